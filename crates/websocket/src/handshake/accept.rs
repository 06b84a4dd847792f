//! The server's side (RFC 6455 §4.2): [`accept`] judges a request and makes the 101.
//!
//! What only HTTP/1.1 has (Upgrade, Connection, the key) is judged by [`http1_upgrade`], what only HTTP/2 has in
//! [`http2`](super::http2); what the handshake has in both (origin, subprotocol, extensions) by [`agree`].

use std::str;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Uri, Version};

use super::field::{Single, declared_body, is_token, list_contains, single};
use super::misuse::Misuse;
use super::negotiate::{self, Extension, Extensions};
use super::origin::OriginPolicy;
use super::rejected::{Rejected, Rule};
use super::{
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, accept_value, is_reserved,
};
use crate::leniency::Leniency;
use crate::url::Authority;

/// What a server agrees to.
///
/// The default lets in pages of the same origin and clients that are no browsers, and speaks no subprotocol.
#[derive(Clone, Debug, Default)]
pub struct AcceptPolicy {
    /// The subprotocols that this server speaks, best first: its order decides among those that the client offers.
    pub subprotocols: Vec<String>,
    /// Whether to refuse a client that offers none of them (400, with a text that lists ours). Else the connection goes
    /// without a subprotocol, and it is the client's to give up (RFC 6455 §4.1).
    pub require_subprotocol: bool,
    /// Which pages may connect.
    pub origin: OriginPolicy,
    /// Whether the client came over TLS, if that is known here: then `http://example.com` is another origin than
    /// `https://example.com`. `None` takes the origin's word for it.
    pub secure: Option<bool>,
    /// The extensions to agree to.
    pub extensions: Vec<Arc<dyn Extension>>,
    /// What a client is forgiven; nothing by default.
    pub leniency: Leniency,
}

impl AcceptPolicy {
    /// Every mistake in it. [`accept`] does not look for them: such an entry just never matches.
    pub fn check(&self) -> Vec<Misuse> {
        let mut problems = self.origin.check();
        for (index, name) in self.subprotocols.iter().enumerate() {
            if !is_token(name.as_bytes()) {
                problems.push(Misuse::Subprotocol(name.clone()));
            } else if self.subprotocols[..index].contains(name) {
                problems.push(Misuse::SubprotocolTwice(name.clone()));
            }
        }
        if self.require_subprotocol && self.subprotocols.is_empty() {
            problems.push(Misuse::NoSubprotocol);
        }
        let nameless = self
            .extensions
            .iter()
            .map(|extension| extension.name())
            .filter(|name| !is_token(name.as_bytes()));
        problems.extend(nameless.map(|name| Misuse::Extension(name.into())));
        problems
    }
}

/// Proof that a request passed every check: only [`accept`], [`accept_http2`](super::accept_http2) and their twins for other
/// protocols, [`accept_upgrade`](super::accept_upgrade) and [`accept_upgrade_http2`](super::accept_upgrade_http2), make one.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub(super) response: Response<()>,
    pub(super) agreed: Agreement,
    pub(super) expects_continue: bool,
}

/// What both ends now go by.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    subprotocol: Option<String>,
    extensions: Extensions,
}

/// Judges a request for a WebSocket (RFC 6455 §4.2.1) and makes the answer to it (§4.2.2).
///
/// Send [`Accepted::response`]; what the client sends after its head are frames. Or send
/// [`Rejected::to_response`] and close the stream: nothing after a refused upgrade may be read as another request.
///
/// The body type does not matter, since a body must not be there. Bytes after the head before the 101 are for the
/// driver to judge; a client has no reason to send any.
///
/// # Errors
///
/// The first rule that the request breaks.
pub fn accept<B>(request: &Request<B>, policy: &AcceptPolicy) -> Result<Accepted, Rejected> {
    let head = Head::of(request);
    let host = http1_request(&head)?;
    let key = http1_upgrade(head.headers)?;
    let agreed = agree(head.headers, &host, policy.secure, policy)?;
    Ok(Accepted {
        response: switching_protocols(key, &agreed),
        agreed,
        expects_continue: expects_continue(head.headers),
    })
}

impl Accepted {
    /// The 101, complete: `Upgrade`, `Connection`, `Sec-WebSocket-Accept`, and what was chosen. Over HTTP/2 the 200, with
    /// what was chosen alone.
    pub const fn response(&self) -> &Response<()> {
        &self.response
    }

    /// The same, to hand it to an HTTP framework.
    pub fn into_response(self) -> Response<()> {
        self.response
    }

    /// The subprotocol chosen from the client's offer.
    pub fn subprotocol(&self) -> Option<&str> {
        self.agreed.subprotocol.as_deref()
    }

    /// The extensions chosen from the client's offer.
    pub const fn extensions(&self) -> &Extensions {
        &self.agreed.extensions
    }

    /// Whether the client asked with `Expect: 100-continue`: then the server "MUST send a 100 (Continue) response
    /// before" the 101 (RFC 9110 §7.8).
    pub const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Adds a header of the application to the answer, such as `Set-Cookie`.
    ///
    /// # Errors
    ///
    /// [`Misuse::ReservedHeader`] for one that the handshake itself sets.
    pub fn add_header(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Misuse> {
        if is_reserved(&name) {
            return Err(Misuse::ReservedHeader(name));
        }
        self.response.headers_mut().try_append(name, value).map_err(|_| Misuse::TooManyHeaders)?;
        Ok(())
    }
}

/// The parts of a request that the handshake looks at.
pub(super) struct Head<'r> {
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    pub(super) version: Version,
    pub(super) headers: &'r HeaderMap,
}

impl<'r> Head<'r> {
    pub(super) fn of<B>(request: &'r Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
        }
    }
}

/// Judges what every HTTP/1.1 request has to keep, upgrade or not, and what two readers could otherwise understand in two
/// ways: one valid `Host` that agrees with the target (RFC 9112 §3.2), and a body whose end is told once, by a length or
/// by `chunked` alone (§6.1, §6.3).
///
/// For servers that hand requests on to an HTTP library which is more tolerant than they want to be.
///
/// # Errors
///
/// The first rule that the request breaks.
pub fn check_request<B>(request: &Request<B>) -> Result<(), Rejected> {
    let head = Head::of(request);
    if head.version == Version::HTTP_11 || head.headers.contains_key(HOST) {
        host(&head)?;
    }
    let Some(coding) = head.headers.get(TRANSFER_ENCODING) else { return Ok(()) };
    let rejected = Rejected::new(Rule::Framing);
    if head.headers.contains_key(CONTENT_LENGTH) {
        return Err(rejected.got("Content-Length and Transfer-Encoding"));
    }
    if head.headers.get_all(TRANSFER_ENCODING).iter().count() > 1
        || !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
    {
        return Err(rejected.got(coding.as_bytes()));
    }
    Ok(())
}

/// What RFC 9110 and 9112 say about any HTTP/1.1 request that wants to be upgraded. Returns the host it is for.
pub(super) fn http1_request(head: &Head<'_>) -> Result<Authority, Rejected> {
    // "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request" (RFC 9110 §7.8).
    if head.version != Version::HTTP_11 {
        return Err(Rejected::new(Rule::HttpVersion).got(format!("{:?}", head.version)));
    }
    if head.method != Method::GET {
        return Err(Rejected::new(Rule::Method).got(head.method.as_str()));
    }
    check_target(head.uri)?;
    let host = host(head)?;
    match declared_body(head.headers) {
        Some(body) => Err(Rejected::new(Rule::Body).got(body)),
        None => Ok(host),
    }
}

/// Origin-form, or an absolute-form that a WebSocket server can be asked for.
pub(super) fn check_target(uri: &Uri) -> Result<(), Rejected> {
    let known = uri.scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https" | "ws" | "wss"));
    let userinfo = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if known && !userinfo && uri.path().starts_with('/') {
        return Ok(());
    }
    let rejected = Rejected::new(Rule::RequestTarget);
    Err(if userinfo { rejected.got("userinfo") } else { rejected.got(uri.to_string()) })
}

/// "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header
/// field and to any request message that contains more than one Host header field line or a Host header field with an
/// invalid field value" (RFC 9112 §3.2).
pub(super) fn host(head: &Head<'_>) -> Result<Authority, Rejected> {
    let rejected = Rejected::new(Rule::Host);
    let value = match single(head.headers, &HOST) {
        Single::None => return Err(rejected.got("none")),
        Single::Several(count) => return Err(rejected.got(format!("{count} Host fields"))),
        Single::One(value) => value,
    };
    let Some(host) = authority(value) else { return Err(rejected.got(value)) };
    let Some(target) = head.uri.authority() else { return Ok(host) };

    // The target would win over `Host` (§3.2.2). That they differ means that somebody in between reads the other one.
    let default = crate::url::default_port(matches!(head.uri.scheme_str(), Some("https" | "wss")));
    let same = authority(target.as_str().as_bytes()).is_some_and(|target| {
        target.host == host.host && target.port.unwrap_or(default) == host.port.unwrap_or(default)
    });
    if same {
        Ok(host)
    } else {
        Err(rejected.got(format!("{} in Host, {target} in the target", value.escape_ascii())))
    }
}

pub(super) fn authority(value: &[u8]) -> Option<Authority> {
    Authority::parse(str::from_utf8(value).ok()?).ok()
}

/// What only HTTP/1.1 has of RFC 6455 §4.2.1: items 3 to 6. Returns the key.
fn http1_upgrade(headers: &HeaderMap) -> Result<&str, Rejected> {
    for (name, wanted, rule) in
        [(UPGRADE, "websocket", Rule::Upgrade), (CONNECTION, "upgrade", Rule::Connection)]
    {
        match list_contains(headers, &name, wanted) {
            Ok(true) => {}
            Ok(false) => {
                let values = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
                let got = if values.is_empty() { b"none".to_vec() } else { values.join(&b", "[..]) };
                return Err(Rejected::new(rule).got(got));
            }
            Err(bad) => return Err(Rejected::new(rule).got(bad.0)),
        }
    }
    check_version(headers)?;
    key(headers)
}

/// "If this version does not match a version understood by the server, the server MUST abort the WebSocket handshake
/// [...] and instead send an appropriate HTTP error code (such as 426 Upgrade Required)" (§4.2.2).
pub(super) fn check_version(headers: &HeaderMap) -> Result<(), Rejected> {
    let rejected = Rejected::new(Rule::Version);
    match single(headers, &SEC_WEBSOCKET_VERSION) {
        Single::One(b"13") => Ok(()),
        Single::One(value) => Err(rejected.got(value)),
        Single::None => Err(rejected.got("none")),
        Single::Several(count) => Err(rejected.got(format!("{count} Sec-WebSocket-Version fields"))),
    }
}

/// "A base64-encoded value that, when decoded, is 16 bytes in length" (§4.2.1). The decoder refuses an encoding that is
/// not canonical: the bits that the last character has too many must be zero (erratum 3150).
fn key(headers: &HeaderMap) -> Result<&str, Rejected> {
    let rejected = Rejected::new(Rule::Key);
    let value = match single(headers, &SEC_WEBSOCKET_KEY) {
        Single::One(value) => value,
        Single::None => {
            let hint = "a proxy that turns HTTP/2 into HTTP/1.1 must add one";
            return Err(rejected.got("none").hint(hint.into()));
        }
        Single::Several(count) => return Err(rejected.got(format!("{count} Sec-WebSocket-Key fields"))),
    };
    let mut nonce = [0; 18]; // What 24 characters of base64 could decode to at most; more do not fit and are refused.
    let valid = STANDARD.decode_slice(value, &mut nonce) == Ok(16);
    str::from_utf8(value).ok().filter(|_| valid).ok_or_else(|| rejected.got(value))
}

/// What the WebSocket handshake is about in every HTTP version: origin, subprotocol, extensions.
pub(super) fn agree(
    headers: &HeaderMap,
    host: &Authority,
    secure: Option<bool>,
    policy: &AcceptPolicy,
) -> Result<Agreement, Rejected> {
    policy.origin.judge(headers, host, secure)?;
    let subprotocol = select_subprotocol(headers, policy)?;
    let extensions = negotiate::select(headers, &policy.extensions)?;
    Ok(Agreement { subprotocol, extensions })
}

fn select_subprotocol(headers: &HeaderMap, policy: &AcceptPolicy) -> Result<Option<String>, Rejected> {
    let offered = negotiate::parse_subprotocols(headers)?;
    let chosen = policy.subprotocols.iter().find(|ours| offered.contains(&ours.as_str()));
    if chosen.is_none() && policy.require_subprotocol {
        let got = if offered.is_empty() { "none".into() } else { offered.join(", ") };
        let hint = format!("this server speaks: {}", policy.subprotocols.join(", "));
        return Err(Rejected::new(Rule::NoSubprotocol).got(got).hint(hint));
    }
    Ok(chosen.cloned())
}

/// "100-continue" is the only expectation there is (RFC 9110 §10.1.1).
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    matches!(list_contains(headers, &EXPECT, "100-continue"), Ok(true))
}

fn switching_protocols(key: &str, agreed: &Agreement) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::try_from(accept_value(key)).expect("base64 is ASCII without controls");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    agreed.answer(headers);
    response
}

impl Agreement {
    /// Tells the client what was chosen.
    pub(super) fn answer(&self, headers: &mut HeaderMap) {
        // The client offered this subprotocol in a header, so it can stand in one.
        let subprotocol = self.subprotocol.as_deref().map(HeaderValue::from_str).and_then(Result::ok);
        for (name, value) in
            [(SEC_WEBSOCKET_PROTOCOL, subprotocol), (SEC_WEBSOCKET_EXTENSIONS, self.extensions.header())]
        {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
    }
}
