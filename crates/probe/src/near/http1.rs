//! Requests by hand: every byte of the head is ours, so that what became of it can be told.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use trunkline_net::handshake::http1::ResponseReader;
use trunkline_net::{Dialled, Limits};

use super::target::{Target, millis, since};
use crate::facts::Outcome;
use crate::wire::{Field, MARKER};

/// How much of a body is read, and for how long, where it only has to say why.
const BODY: usize = 2 << 10;
const BODY_TIME: Duration = Duration::from_secs(1);

/// The most bytes of a body that has to be whole: what the far end says of a request.
const WHOLE: usize = 256 << 10;

/// One read.
const CHUNK: usize = 4 << 10;

/// A request's head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Behind `Host`, which comes first.
    pub(crate) fields: Vec<Field>,
}

/// The head of an answer, and what was read behind it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) stream: Dialled,
    pub(crate) status: StatusCode,
    pub(crate) fields: Vec<Field>,
    pub(crate) rest: Bytes,
    /// From the last byte of the request to the last of the head.
    pub(crate) ms: f64,
}

impl Head {
    pub(crate) fn new(method: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { method: method.to_owned(), target: target.to_owned(), fields }
    }

    /// All fields as they are sent.
    pub(crate) fn all(&self, target: &Target<'_>) -> Vec<Field> {
        let host = ("Host".to_owned(), target.url.authority());
        std::iter::once(host).chain(self.fields.iter().cloned()).chain(target.own.iter().cloned()).collect()
    }

    fn bytes(&self, target: &Target<'_>) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in self.all(target) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// Asks on a new connection, with `behind` in the same packet, and reads the answer's head.
///
/// # Errors
///
/// What came of it instead.
pub(crate) async fn ask(target: &Target<'_>, head: &Head, behind: &[u8]) -> Result<Answer, Outcome> {
    let stream = target.open().await.map_err(|why| Outcome::Unreachable { why })?;
    ask_on(stream, target, head, behind).await
}

/// As [`ask`], on a stream that is there.
pub(crate) async fn ask_on(
    mut stream: Dialled,
    target: &Target<'_>,
    head: &Head,
    behind: &[u8],
) -> Result<Answer, Outcome> {
    let bytes = [&head.bytes(target)[..], behind].concat();
    let begun = Instant::now();
    let exchange = async {
        stream.write_all(&bytes).await.map_err(|error| of_io(&error))?;
        stream.flush().await.map_err(|error| of_io(&error))?;
        read_head(stream, begun).await
    };
    let waited_ms = millis(target.patience);
    timeout(target.patience, exchange).await.unwrap_or(Err(Outcome::NoAnswer { waited_ms }))
}

async fn read_head(mut stream: Dialled, begun: Instant) -> Result<Answer, Outcome> {
    let limits = Limits::default();
    let mut reader = ResponseReader::new(&limits);
    let mut chunk = vec![0; CHUNK];
    let broken =
        |rejected: trunkline_net::handshake::Rejected| Outcome::Violation { rule: rejected.to_string() };
    loop {
        let count = stream.read(&mut chunk).await.map_err(|error| of_io(&error))?;
        if count == 0 {
            return Err(Outcome::Ended { reset: false });
        }
        if let Some(used) = reader.receive(&chunk[..count]).map_err(broken)? {
            let response = reader.response().map_err(broken)?;
            let fields = response.headers().iter();
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            return Ok(Answer {
                stream,
                status: response.status(),
                fields: fields.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
                rest: Bytes::copy_from_slice(&chunk[used..count]),
                ms: since(begun),
            });
        }
    }
}

impl Answer {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What another answer than the wanted one says.
    pub(crate) async fn refused(self) -> Outcome {
        let ours = self.field(MARKER).is_some();
        let by: Vec<&str> = [self.field("server"), self.field("via")].into_iter().flatten().collect();
        let (by, status) = (by.join(", "), self.status.as_u16());
        let body = self.body(BODY, BODY_TIME).await;
        Outcome::Refused { status, ours, by, body: String::from_utf8_lossy(&body).trim().to_owned() }
    }

    /// The body as text, as far as it is there in time.
    pub(crate) async fn whole(self, patience: Duration) -> String {
        String::from_utf8_lossy(&self.body(WHOLE, patience).await).into_owned()
    }

    /// Up to `limit` bytes of the body, without the framing of chunks.
    async fn body(mut self, limit: usize, patience: Duration) -> Vec<u8> {
        let chunked = self.field("transfer-encoding").is_some();
        let length = self.field("content-length").and_then(|length| length.parse::<usize>().ok());
        let wanted = length.unwrap_or(limit).min(limit);
        let mut body = self.rest.to_vec();
        let mut chunk = vec![0; CHUNK];
        let reading = async {
            while body.len() < wanted && !(chunked && is_last_chunk(&body)) {
                match self.stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => body.extend_from_slice(&chunk[..count]),
                }
            }
        };
        // What is there counts, whether more would have come or not.
        let _ = timeout(patience, reading).await;
        if chunked { unchunked(&body) } else { body }
    }
}

/// What a read or write that failed says of the way.
pub(crate) fn of_io(error: &io::Error) -> Outcome {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset => Outcome::Ended { reset: true },
        UnexpectedEof => Outcome::Ended { reset: false },
        _ => Outcome::Unreachable { why: error.to_string() },
    }
}

fn is_last_chunk(body: &[u8]) -> bool {
    body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n")
}

/// The bytes of whole chunks (RFC 9112 §7.1).
fn unchunked(body: &[u8]) -> Vec<u8> {
    let mut rest = body;
    let mut whole = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        let Some(chunk) = rest.get(end + 2..(end + 2).saturating_add(size)) else { break };
        whole.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_and_what_is_broken_ends_them() {
        assert_eq!(unchunked(b"3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n"), b"abcde");
        assert_eq!(unchunked(b"3\r\nabc\r\nffffffffffffffff\r\nx"), b"abc");
        assert_eq!(unchunked(b"zz\r\nabc"), b"");
    }
}
