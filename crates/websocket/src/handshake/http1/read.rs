//! [`HeadReader`]: one head, from bytes to `http` types.

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};

use super::super::rejected::{Rejected, Rule};
use super::scan::{Place, Scanner};
use crate::Limits;

/// The bounds of a head, which a remote could else grow for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the head, its empty line and any empty lines before it included. A head of exactly this size passes.
    pub bytes: usize,
    /// Header fields. A head of exactly this many passes.
    pub headers: usize,
}

impl From<&Limits> for HeadLimits {
    fn from(limits: &Limits) -> Self {
        Self { bytes: limits.head_bytes, headers: limits.head_headers }
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

/// Reads one HTTP/1.1 head, given to it in pieces of any size.
///
/// Call [`receive`](Self::receive) with what arrived until it returns `Some`, then [`request`](Self::request) or
/// [`response`](Self::response). The work is linear in the bytes received even when they come one at a time, and
/// memory follows what has arrived: nothing is reserved ahead.
///
/// It is as strict as RFC 9112 allows: lines end in CR LF, no line is folded, no space stands before a colon, there
/// are no control characters. What two readers could read differently is refused, because one of them may be a proxy.
///
/// There is no clock here: the driver puts one deadline
/// ([`Limits::handshake_timeout`]) over the whole head.
///
/// ```
/// use trunkline_websocket::handshake::http1::{HeadLimits, HeadReader};
///
/// let mut reader = HeadReader::new(HeadLimits::default());
/// assert_eq!(reader.receive(b"GET /chat HTTP/1.1\r\nHost: exam")?, None);
/// assert_eq!(reader.receive(b"ple.com\r\n\r\nnext")?, Some(11));
/// let request = reader.request()?;
/// assert_eq!(request.uri().path(), "/chat");
/// assert_eq!(request.headers()["host"], "example.com");
/// # Ok::<(), trunkline_websocket::handshake::Rejected>(())
/// ```
#[derive(Clone)]
pub struct HeadReader {
    limits: HeadLimits,
    scanner: Scanner,
    head: Vec<u8>,
    /// The first refusal: it stays the answer to whatever comes later.
    rejected: Option<Rejected>,
}

/// Without the head itself: it holds cookies, tickets and passwords, and a log is no place for them.
impl fmt::Debug for HeadReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadReader")
            .field("bytes", &self.head.len())
            .field("rejected", &self.rejected)
            .finish()
    }
}

impl HeadReader {
    /// A reader of one head within `limits`.
    pub fn new(limits: impl Into<HeadLimits>) -> Self {
        Self { limits: limits.into(), scanner: Scanner::new(), head: Vec::new(), rejected: None }
    }

    /// Takes what arrived next. `Some(n)`: the head is complete, and ended with the `n`th byte of this `input`; the
    /// rest belongs to what follows the head. `None`: all of `input` belongs to the head, and more must come.
    ///
    /// Once complete it takes nothing more and returns `Some(0)`.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, at the first byte that breaks it; then the same again on every later call.
    pub fn receive(&mut self, input: &[u8]) -> Result<Option<usize>, Rejected> {
        if let Some(rejected) = &self.rejected {
            return Err(rejected.clone());
        }
        self.scan(input).inspect_err(|rejected| self.rejected = Some(rejected.clone()))
    }

    fn scan(&mut self, input: &[u8]) -> Result<Option<usize>, Rejected> {
        if self.scanner.place == Place::Done {
            return Ok(Some(0));
        }
        let room = self.limits.bytes - self.head.len();
        let input = &input[..input.len().min(room)];
        for (index, byte) in input.iter().enumerate() {
            let verdict = self.scanner.step(*byte);
            let too_many = self.scanner.headers > self.limits.headers;
            if verdict.is_err() || too_many || self.scanner.place == Place::Done {
                self.head.extend_from_slice(&input[..index]);
                verdict.map_err(|rule| self.describe(rule, *byte))?;
                if too_many {
                    return Err(Rejected::new(Rule::TooManyHeaders).limit(self.limits.headers).got("more"));
                }
                self.head.push(*byte);
                return Ok(Some(index + 1));
            }
        }
        self.head.extend_from_slice(input);
        // At the limit without an end: at least one more byte would have to come.
        if input.len() == room { Err(self.too_large()) } else { Ok(None) }
    }

    /// The bytes of the head that have arrived.
    pub fn bytes(&self) -> &[u8] {
        &self.head
    }

    /// The bytes of the head that have arrived, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.head
    }

    /// The request, once [`receive`](Self::receive) said that it is complete.
    ///
    /// # Errors
    ///
    /// [`Rule::HeadIncomplete`] if it is not complete; the rule that the request line breaks.
    pub fn request(self) -> Result<Request<()>, Rejected> {
        self.complete()?;
        let mut fields = vec![httparse::EMPTY_HEADER; self.scanner.headers];
        let mut parsed = httparse::Request::new(&mut fields);
        parsed.parse(&self.head).map_err(|error| self.refused(error))?;
        let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Rejected::new(Rule::StartLine));
        };

        let mut request = Request::new(());
        *request.method_mut() =
            Method::from_bytes(method.as_bytes()).map_err(|_| Rejected::new(Rule::StartLine).got(method))?;
        *request.uri_mut() = request_target(target)?;
        *request.version_mut() = version(minor);
        *request.headers_mut() = self.header_map(parsed.headers)?;
        Ok(request)
    }

    /// The response, once [`receive`](Self::receive) said that it is complete.
    ///
    /// It may be an interim one; [`ResponseReader`](super::ResponseReader) steps over these.
    ///
    /// # Errors
    ///
    /// [`Rule::HeadIncomplete`] if it is not complete; the rule that the status line breaks.
    pub fn response(self) -> Result<Response<()>, Rejected> {
        self.complete()?;
        if self.scanner.empty_lines > 0 {
            return Err(Rejected::new(Rule::EmptyLines).limit(0).got(self.scanner.empty_lines.to_string()));
        }
        let mut fields = vec![httparse::EMPTY_HEADER; self.scanner.headers];
        let mut parsed = httparse::Response::new(&mut fields);
        parsed.parse(&self.head).map_err(|error| self.refused(error))?;
        let (Some(code), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(Rejected::new(Rule::StartLine));
        };

        let mut response = Response::new(());
        *response.status_mut() =
            StatusCode::from_u16(code).map_err(|_| Rejected::new(Rule::StartLine).got(self.start_line()))?;
        *response.version_mut() = version(minor);
        *response.headers_mut() = self.header_map(parsed.headers)?;
        Ok(response)
    }

    fn complete(&self) -> Result<(), Rejected> {
        match &self.rejected {
            Some(rejected) => Err(rejected.clone()),
            None if self.scanner.place == Place::Done => Ok(()),
            None => Err(Rejected::new(Rule::HeadIncomplete).got(format!("{} bytes", self.head.len()))),
        }
    }

    fn header_map(&self, fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Rejected> {
        let mut headers = HeaderMap::new();
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes())
                .map_err(|_| Rejected::new(Rule::HeaderName).got(field.name))?;
            let value = HeaderValue::from_bytes(field.value)
                .map_err(|_| Rejected::new(Rule::ControlCharacter).got(field.name))?;
            // The map has a bound of its own, far above our default, and `append` would panic there.
            headers
                .try_append(name, value)
                .map_err(|_| Rejected::new(Rule::TooManyHeaders).got(fields.len().to_string()))?;
        }
        Ok(headers)
    }

    /// What the scanner could not know: it has seen every byte, but not the meaning of the start line.
    fn refused(&self, error: httparse::Error) -> Rejected {
        let rule = match error {
            httparse::Error::Version => Rule::HttpVersionUnknown,
            httparse::Error::HeaderName => Rule::HeaderName,
            httparse::Error::HeaderValue => Rule::ControlCharacter,
            httparse::Error::TooManyHeaders => Rule::TooManyHeaders,
            httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => Rule::StartLine,
        };
        Rejected::new(rule).got(self.start_line())
    }

    fn too_large(&self) -> Rejected {
        let rule = match self.scanner.place {
            // "MUST respond with a 414 (URI Too Long)" (RFC 9112 §3).
            Place::StartLine => Rule::StartLineTooLong,
            _ => Rule::HeadTooLarge,
        };
        Rejected::new(rule).limit(self.limits.bytes).got("more")
    }

    fn describe(&self, rule: Rule, byte: u8) -> Rejected {
        let rejected = Rejected::new(rule);
        match rule {
            Rule::EmptyLines => rejected.limit(super::EMPTY_LINES).got("more"),
            // A handshake record of TLS begins with 0x16 0x03: by far the most frequent thing that is no HTTP.
            Rule::StartLine if byte == 0x16 && self.head.len() == 2 * self.scanner.empty_lines => {
                rejected.got([byte]).hint("this looks like TLS, and plain HTTP is spoken here".into())
            }
            // Of the line it is in, only the name: a value may be a secret, and this text is logged.
            Rule::SpaceBeforeColon => rejected.got(self.last_line()),
            _ => rejected.got(format!("byte 0x{byte:02x} at offset {}", self.head.len())),
        }
    }

    fn start_line(&self) -> &[u8] {
        let line = &self.head[2 * self.scanner.empty_lines..];
        line.split(|byte| *byte == b'\r').next().unwrap_or_default()
    }

    fn last_line(&self) -> &[u8] {
        self.head.rsplit(|byte| *byte == b'\n').next().unwrap_or_default()
    }
}

const fn version(minor: u8) -> Version {
    if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// Every form of RFC 9112 §3.2. A fragment is none of them, and `Uri` would drop it without a word.
fn request_target(target: &str) -> Result<Uri, Rejected> {
    let refused = || Rejected::new(Rule::RequestTarget).got(target);
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(refused());
    }
    Uri::try_from(target).map_err(|_| refused())
}
