//! The handshake over HTTP/2 (RFC 8441), and over HTTP/3 (RFC 9220), where it is the same: an extended CONNECT instead of
//! an upgrade, 200 instead of 101.
//!
//! There is no key, since a server that answers an extended CONNECT has said in its settings that it means to: "the
//! processing of the Sec-WebSocket-Key and Sec-WebSocket-Accept header fields is superseded by the `:protocol`
//! pseudo-header field" (§5). All else is as over HTTP/1.1: version, origin, subprotocol, extensions.
//!
//! `http::Request` has no place for `:protocol`, so it comes beside it.

use http::header::{CONNECTION, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use super::SEC_WEBSOCKET_VERSION;
use super::accept::{
    AcceptPolicy, Accepted, Agreement, Head, agree, authority, check_target, check_version, host,
};
use super::connect::{ConnectOptions, Established, Offer};
use super::field::declared_body;
use super::misuse::Misuse;
use super::rejected::{Rejected, Rule};
use crate::url::{Authority, WsUrl};

/// The `:protocol` of a WebSocket.
pub const HTTP2_PROTOCOL: &str = "websocket";

/// Headers about one HTTP/1.1 connection (RFC 9110 §7.6.1): "an endpoint MUST NOT generate an HTTP/2
/// message containing connection-specific header fields" (RFC 9113 §8.2.2).
const CONNECTION_SPECIFIC: [HeaderName; 5] = [
    CONNECTION,
    UPGRADE,
    TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Judges an extended CONNECT for a WebSocket (RFC 8441 §4, §5) and makes the answer to it, a 200 that has only what was
/// chosen.
///
/// `protocol` is the request's `:protocol`, if it has one. A CONNECT without it asks for a tunnel, and is refused. The
/// request's URI has `:scheme`, `:authority` and `:path`; if `:scheme` is `https`, the client came over TLS
/// ([`AcceptPolicy::secure`]) whatever else is known. `http` does not tell: a proxy may have taken the TLS off.
///
/// Send [`Accepted::response`] without ending the stream: DATA frames carry the connection from here on. A
/// [`Rejected`] knows that it answers HTTP/2.
///
/// # Errors
///
/// The first rule that the request breaks.
pub fn accept_http2<B>(
    request: &Request<B>,
    protocol: Option<&str>,
    policy: &AcceptPolicy,
) -> Result<Accepted, Rejected> {
    judge(&Head::of(request), protocol, policy).map_err(Rejected::over_http2)
}

fn judge(head: &Head<'_>, protocol: Option<&str>, policy: &AcceptPolicy) -> Result<Accepted, Rejected> {
    let host = extended_connect(head, protocol, HTTP2_PROTOCOL, Rule::Protocol)?;
    check_headers(head.headers)?;
    if let Some(body) = declared_body(head.headers) {
        return Err(Rejected::new(Rule::Body).got(body));
    }
    if !policy.leniency.http2_without_version || head.headers.contains_key(SEC_WEBSOCKET_VERSION) {
        check_version(head.headers)?;
    }
    let secure = if head.uri.scheme_str() == Some("https") { Some(true) } else { policy.secure };
    let agreed = agree(head.headers, &host, secure, policy)?;
    Ok(Accepted { response: opened(&agreed), agreed, expects_continue: false })
}

/// What RFC 8441 §4 says of the request's pseudo-headers; a `:protocol` other than `wanted` breaks the rule `unserved`.
/// Returns the host it is for.
pub(super) fn extended_connect(
    head: &Head<'_>,
    protocol: Option<&str>,
    wanted: &str,
    unserved: Rule,
) -> Result<Authority, Rejected> {
    if !matches!(head.version, Version::HTTP_2 | Version::HTTP_3) {
        return Err(Rejected::new(Rule::HttpVersion).got(format!("{:?}", head.version)));
    }
    if head.method != Method::CONNECT {
        return Err(Rejected::new(Rule::ConnectMethod).got(head.method.as_str()));
    }
    match protocol {
        None => return Err(Rejected::new(Rule::Tunnel).got("no :protocol")),
        Some(protocol) if protocol == wanted => {}
        Some(other) => return Err(Rejected::new(unserved).got(other)),
    }
    let missing = |name: &str| Rejected::new(Rule::PseudoHeaders).got(format!("no {name}"));
    // Without an `:authority`, an `http::Uri` cannot have a scheme, so it is missed first.
    let target = head.uri.authority().ok_or_else(|| missing(":authority"))?.as_str();
    match head.uri.scheme_str() {
        Some("http" | "https") => {}
        Some(other) => return Err(Rejected::new(Rule::PseudoHeaders).got(format!(":scheme {other}"))),
        None => return Err(missing(":scheme")),
    }
    let path = head.uri.path_and_query().ok_or_else(|| missing(":path"))?;
    if !path.as_str().starts_with('/') {
        return Err(Rejected::new(Rule::PseudoHeaders).got(format!(":path {path}")));
    }
    check_target(head.uri)?;
    if head.headers.contains_key(HOST) {
        return host(head);
    }
    authority(target.as_bytes()).ok_or_else(|| Rejected::new(Rule::Host).got(target))
}

pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), Rejected> {
    if let Some(name) = CONNECTION_SPECIFIC.iter().find(|name| headers.contains_key(*name)) {
        return Err(Rejected::new(Rule::ConnectionSpecific).got(name.as_str()));
    }
    // "The TE header field [...] MUST NOT contain any value other than `trailers`" (RFC 9113 §8.2.2).
    match headers.get_all(TE).iter().find(|value| *value != "trailers") {
        Some(value) => Err(Rejected::new(Rule::ConnectionSpecific).got([b"te: ", value.as_bytes()].concat())),
        None => Ok(()),
    }
}

/// "The server replies with 2xx" (§5). No `Content-Length` (RFC 9110 §9.3.6).
pub(super) fn opened(agreed: &Agreement) -> Response<()> {
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    agreed.answer(response.headers_mut());
    response
}

/// A handshake over HTTP/2 under way: the request to send, and what its answer must be.
#[derive(Clone, Debug)]
pub struct Http2Attempt {
    request: Request<()>,
    offer: Offer,
}

/// Makes the extended CONNECT for a WebSocket at `url`: send it with [`HTTP2_PROTOCOL`] as its `:protocol`, and only after
/// the server's settings have allowed that (RFC 8441 §3).
///
/// `ws` becomes `http` and `wss` `https` (§5).
///
/// # Errors
///
/// What in `options` cannot be sent.
pub fn request_http2(url: &WsUrl, options: &ConnectOptions) -> Result<Http2Attempt, Misuse> {
    let uri = Uri::builder()
        .scheme(if url.is_secure() { "https" } else { "http" })
        .authority(url.authority())
        .path_and_query(url.resource().clone())
        .build()
        .expect("a parsed URL's host and resource are valid in a URI");
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    let offer = Offer::write(request.headers_mut(), url, options)?;
    Ok(Http2Attempt { request, offer })
}

impl Http2Attempt {
    /// The request to send.
    pub const fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Judges the server's final answer. What follows a 2xx that passed are frames; what follows any other response is
    /// its body, which the driver may attach to the error.
    ///
    /// "A client MUST ignore any Content-Length or Transfer-Encoding header fields received in a successful response to
    /// CONNECT" (RFC 9110 §9.3.6), and `Sec-WebSocket-Accept` has no meaning here.
    ///
    /// # Errors
    ///
    /// [`Rule::NotSwitching`] for a status other than 2xx, as for [`Attempt::verify`](super::Attempt::verify). Else the
    /// first rule that the server broke.
    pub fn verify<B>(&self, response: &Response<B>) -> Result<Established, Rejected> {
        self.judge(response.status(), response.headers())
            .map_err(|rejected| rejected.over_http2().of_response(response))
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Result<Established, Rejected> {
        if !status.is_success() {
            return Err(Rejected::new(Rule::NotSwitching).got(status.to_string()));
        }
        check_headers(headers)?;
        self.offer.confirm(status, headers)
    }
}
