//! [`Rejected`]: which rule of the opening handshake was broken, and the HTTP answer to that.

use std::error::Error;
use std::fmt;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Response, StatusCode};

/// `got` shows this many characters of what a remote sent. Enough to recognize it, too little to fill a log with.
const GOT_CHARS: usize = 64;

/// A rule of the opening handshake that the remote broke.
///
/// Compare rules, not texts: the words of [`Rejected`] may improve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The head is larger than [`HeadLimits::bytes`](super::http1::HeadLimits).
    HeadTooLarge,
    /// The start line alone is larger than [`HeadLimits::bytes`](super::http1::HeadLimits).
    StartLineTooLong,
    /// The head has more fields than [`HeadLimits::headers`](super::http1::HeadLimits).
    TooManyHeaders,
    /// The stream ended before the head did.
    HeadIncomplete,
    /// More empty lines before a request than [`EMPTY_LINES`](super::http1::EMPTY_LINES), or any before a response.
    EmptyLines,
    /// Not a request line or status line at all.
    StartLine,
    /// A request-target that is no origin-form, absolute-form or other form of RFC 9112 §3.2.
    RequestTarget,
    /// A line that ends in LF alone.
    BareLf,
    /// A CR that no LF follows.
    BareCr,
    /// A field continued on the next line, or a space before the first field.
    ObsFold,
    /// A space or tab between a field's name and its colon.
    SpaceBeforeColon,
    /// A field name that is no token, or a line without a colon.
    HeaderName,
    /// A control character, NUL included.
    ControlCharacter,
    /// More interim responses than [`INTERIM_RESPONSES`](super::http1::INTERIM_RESPONSES).
    InterimResponses,
    /// An HTTP version that is not HTTP/1.x.
    HttpVersionUnknown,
    /// An HTTP version without this handshake, HTTP/1.0 above all.
    HttpVersion,
    /// A method other than GET.
    Method,
    /// No `Host`, several, an invalid one, or one that contradicts the absolute-form target.
    Host,
    /// A body announced on an upgrade.
    Body,
    /// A body whose end two readers could see in two places.
    Framing,
    /// `Upgrade` does not name `websocket`.
    Upgrade,
    /// `Connection` does not name `upgrade`.
    Connection,
    /// `Sec-WebSocket-Key` missing, repeated, or not 16 bytes in canonical base64.
    Key,
    /// `Sec-WebSocket-Version` is not, exactly once, 13.
    Version,
    /// The origin is not one that the policy lets in.
    Origin,
    /// `Sec-WebSocket-Protocol` breaks its grammar, or names a subprotocol twice.
    SubprotocolSyntax,
    /// No subprotocol in common, and the policy of this end demands one.
    NoSubprotocol,
    /// The server chose a subprotocol that was not offered.
    UnofferedSubprotocol,
    /// `Sec-WebSocket-Extensions` breaks its grammar.
    ExtensionSyntax,
    /// The server chose an extension that was not offered, or one twice.
    UnofferedExtension,
    /// The server's parameters of an extension, or its choice of several that claim one RSV bit, are unacceptable.
    ExtensionParams,
    /// A status other than 101, over HTTP/2 other than 2xx: the server speaks plain HTTP with us. Not a fault, see
    /// [`Rejected::received`].
    NotSwitching,
    /// `Sec-WebSocket-Accept` is not, exactly once, the answer to our key.
    Accept,
    /// HTTP/2: a method other than CONNECT.
    ConnectMethod,
    /// HTTP/2: a CONNECT without `:protocol`, which asks for a tunnel to `:authority`.
    Tunnel,
    /// HTTP/2: a `:protocol` other than `websocket`.
    Protocol,
    /// HTTP/2: `:scheme`, `:authority` or `:path` is missing, or not one that can be asked for a WebSocket.
    PseudoHeaders,
    /// HTTP/2: a header of one HTTP/1.1 connection, such as `Connection` or `Upgrade`.
    ConnectionSpecific,
    /// `Upgrade` does not name the protocol, other than WebSocket, that this upgrade is to.
    UpgradeProtocol,
    /// `Connection` does not name `upgrade`, on an upgrade to another protocol than WebSocket.
    UpgradeOption,
    /// HTTP/2: a `:protocol` that is not the one asked for, on an extended CONNECT for another protocol than WebSocket.
    ConnectProtocol,
}

/// A rule's answer (status), where it stands (section), and what it says.
type Facts = (StatusCode, &'static str, &'static str);

impl Rule {
    /// The section that makes the rule, such as `RFC 6455 §4.2.1`.
    pub const fn section(self) -> &'static str {
        self.facts().1
    }

    /// What the rule demands, in one sentence without a full stop.
    pub const fn sentence(self) -> &'static str {
        self.facts().2
    }

    #[rustfmt::skip] // A table: one rule a line.
    const fn facts(self) -> Facts {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            Self::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "RFC 6585 §5", "the head has more bytes than allowed"),
            Self::StartLineTooLong => (StatusCode::URI_TOO_LONG, "RFC 9112 §3", "the start line alone has more bytes than the whole head may have"),
            Self::TooManyHeaders => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "RFC 6585 §5", "the head has more header fields than allowed"),
            Self::HeadIncomplete => (BAD, "RFC 9112 §8", "the stream ended before the empty line that ends the head"),
            Self::EmptyLines => (BAD, "RFC 9112 §2.2", "too many empty lines before the start line"),
            Self::StartLine => (BAD, "RFC 9112 §2.1", "this is not the start line of an HTTP/1.1 message"),
            Self::RequestTarget => (BAD, "RFC 9112 §3.2", "the request-target must be a path in printable ASCII, or an absolute http, https, ws or wss URL without userinfo, and have no fragment"),
            Self::BareLf => (BAD, "RFC 9112 §2.2", "a line must end in CR LF, this one ends in LF alone"),
            Self::BareCr => (BAD, "RFC 9112 §2.2", "a CR must be followed by LF"),
            Self::ObsFold => (BAD, "RFC 9112 §5.2", "a header line must not begin with a space or tab"),
            Self::SpaceBeforeColon => (BAD, "RFC 9112 §5.1", "no space or tab is allowed between a header's name and its colon"),
            Self::HeaderName => (BAD, "RFC 9110 §5.1", "a header line must begin with a name, which is a token, and a colon"),
            Self::ControlCharacter => (BAD, "RFC 9110 §5.5", "a head must not contain control characters"),
            Self::InterimResponses => (BAD, "RFC 9110 §15.2", "too many interim (1xx) responses"),
            Self::HttpVersionUnknown => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "RFC 9112 §2.3", "the HTTP version must be HTTP/1.1"),
            Self::HttpVersion => (StatusCode::UPGRADE_REQUIRED, "RFC 9110 §7.8", "Upgrade exists in HTTP/1.1 only and is ignored in any other version (does a proxy in between speak HTTP/1.0?)"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "RFC 6455 §4.2.1", "the method must be GET"),
            Self::Host => (BAD, "RFC 9112 §3.2", "there must be exactly one Host, a valid one, and equal to that of an absolute-form target"),
            Self::Body => (BAD, "RFC 9112 §6", "an upgrade must not announce a body"),
            Self::Framing => {
                (BAD, "RFC 9112 §6.3", "a body must end by its Content-Length or by chunked alone, not by two rules")
            }
            Self::Upgrade => (BAD, "RFC 6455 §4.2.1", "Upgrade must name websocket"),
            Self::Connection => (BAD, "RFC 6455 §4.2.1", "Connection must name upgrade"),
            Self::Key => (BAD, "RFC 6455 §4.2.1", "Sec-WebSocket-Key must be there exactly once, 16 bytes in canonical base64"),
            Self::Version => (StatusCode::UPGRADE_REQUIRED, "RFC 6455 §4.4", "Sec-WebSocket-Version must be there exactly once and be 13"),
            Self::Origin => (StatusCode::FORBIDDEN, "RFC 6455 §10.2", "this Origin is not one that may connect here"),
            Self::SubprotocolSyntax => (BAD, "RFC 6455 §4.3", "Sec-WebSocket-Protocol must be a list of unique tokens, in a response a single one"),
            Self::NoSubprotocol => (BAD, "RFC 6455 §1.9", "there is no subprotocol in common, and one is required"),
            Self::UnofferedSubprotocol => (BAD, "RFC 6455 §4.1", "the server chose a subprotocol that was not offered"),
            Self::ExtensionSyntax => (BAD, "RFC 6455 §9.1", "Sec-WebSocket-Extensions must be a list of extensions and their parameters"),
            Self::UnofferedExtension => (BAD, "RFC 6455 §4.1", "the server chose an extension that was not offered, or one twice"),
            Self::ExtensionParams => (BAD, "RFC 6455 §9.1", "the server chose parameters of an extension that this end cannot accept"),
            Self::NotSwitching => (BAD, "RFC 6455 §4.1", "the server did not answer 101 Switching Protocols, over HTTP/2 2xx"),
            Self::Accept => (BAD, "RFC 6455 §4.1", "Sec-WebSocket-Accept must be there exactly once and be the answer to the key"),
            Self::ConnectMethod => (StatusCode::METHOD_NOT_ALLOWED, "RFC 8441 §4", "over HTTP/2 the method must be CONNECT"),
            Self::Tunnel => (StatusCode::NOT_IMPLEMENTED, "RFC 8441 §4", "this server opens no tunnels; a WebSocket is asked for by CONNECT with :protocol"),
            Self::Protocol => (StatusCode::NOT_IMPLEMENTED, "RFC 9220 §3", ":protocol must be websocket, the only one that is served"),
            Self::PseudoHeaders => (BAD, "RFC 8441 §4", ":scheme (http or https), :authority and :path (from the root) must all be there"),
            Self::ConnectionSpecific => (BAD, "RFC 9113 §8.2.2", "a header that is about one HTTP/1.1 connection must not be sent over HTTP/2"),
            Self::UpgradeProtocol => (BAD, "RFC 9110 §7.8", "Upgrade must name the protocol that this is an upgrade to"),
            Self::UpgradeOption => (BAD, "RFC 9110 §7.8", "a sender of Upgrade must also send the connection option upgrade"),
            Self::ConnectProtocol => (StatusCode::NOT_IMPLEMENTED, "RFC 8441 §4", ":protocol must be one that is served here"),
        }
    }
}

/// Why an opening handshake failed: the remote broke `rule`.
///
/// On the server, [`to_response`](Self::to_response) is the answer to send before the stream is closed. On the client,
/// [`received`](Self::received) is the response that was refused. Its text names the rule, where it stands, the limit
/// and (shortened, escaped) what came instead.
#[derive(Clone, Debug)]
pub struct Rejected {
    rule: Rule,
    limit: Option<usize>,
    got: Option<Box<str>>,
    hint: Option<Box<str>>,
    received: Option<Box<Response<()>>>,
    http2: bool,
}

impl Rejected {
    pub(crate) const fn new(rule: Rule) -> Self {
        Self { rule, limit: None, got: None, hint: None, received: None, http2: false }
    }

    /// Marks this as the answer to a request over HTTP/2, where nothing can be upgraded and no connection closed by a
    /// header.
    pub(crate) const fn over_http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// The bound that was crossed.
    pub(crate) const fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// What came instead, in words of ours, which may quote the remote: they are escaped and shortened here.
    pub(crate) fn got(mut self, got: impl AsRef<[u8]>) -> Self {
        let got = got.as_ref();
        let mut text = got.iter().take(GOT_CHARS).copied().collect::<Vec<_>>().escape_ascii().to_string();
        if got.len() > GOT_CHARS {
            text.push_str("...");
        }
        self.got = Some(text.into());
        self
    }

    /// What would help.
    pub(crate) fn hint(mut self, hint: String) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks this as the verdict of a client over `response`.
    pub(crate) fn of_response<B>(mut self, response: &Response<B>) -> Self {
        let mut copy = Response::new(());
        *copy.status_mut() = response.status();
        *copy.version_mut() = response.version();
        *copy.headers_mut() = response.headers().clone();
        self.received = Some(Box::new(copy));
        self
    }

    /// Which rule was broken.
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// The status to answer with. Of use on the server: a client has nobody to answer.
    pub const fn status(&self) -> StatusCode {
        match self.rule {
            // 426 goes with an Upgrade header (RFC 9110 §15.5.22), which HTTP/2 does not have.
            Rule::Version | Rule::HttpVersion if self.http2 => StatusCode::BAD_REQUEST,
            rule => rule.facts().0,
        }
    }

    /// On the client, the response that was refused: its status and headers, and never a body.
    pub fn received(&self) -> Option<&Response<()>> {
        self.received.as_deref()
    }

    /// The headers of the answer: over HTTP/1.1 `Connection: close` always, and what the status demands.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(5);
        let status = self.status();
        let upgrade_required = status == StatusCode::UPGRADE_REQUIRED;
        if !self.http2 {
            // A request that was refused as an upgrade has said things about what follows it on the stream that two
            // readers could understand differently. Nothing after it may be read as a request.
            let upgrade = if upgrade_required { "upgrade, close" } else { "close" };
            headers.insert(CONNECTION, HeaderValue::from_static(upgrade));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(
            HeaderName::from_static("x-content-type-options"),
            HeaderValue::from_static("nosniff"), // The text quotes the request.
        );
        if upgrade_required {
            // "The server MUST send an Upgrade header field in a 426 response" (RFC 9110 §15.5.22).
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        if upgrade_required || self.rule == Rule::Version {
            headers.insert(super::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = if self.http2 { "CONNECT" } else { "GET" };
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        headers
    }

    /// The whole answer, its body the text of this error and a line feed.
    ///
    /// The driver adds what takes a clock or a connection to know; [`http1::write_response`](super::http1::write_response)
    /// adds `Content-Length`.
    pub fn to_response(&self) -> Response<String> {
        let mut response = Response::new(format!("{self}\n"));
        *response.status_mut() = self.status();
        *response.headers_mut() = self.headers();
        response
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.rule.sentence(), self.rule.section())?;
        if let Some(limit) = self.limit {
            write!(f, "; limit: {limit}")?;
        }
        if let Some(got) = &self.got {
            write!(f, "; got: {got}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl Error for Rejected {}
