//! What the handshake tests share: the request of RFC 6455 §1.2, changed a little.

#![allow(dead_code)] // Each test file is a crate of its own and uses its part.

use http::{HeaderName, HeaderValue, Request};
use trunkline_websocket::handshake::{AcceptPolicy, OriginPolicy};

/// The key of the RFC's example, and its answer.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The request of the RFC's example, without what is optional.
pub(crate) fn example() -> Request<()> {
    with(&[
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ])
}

/// A GET with these headers and no others.
pub(crate) fn with(headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::get("/chat").body(()).expect("a request");
    for (name, value) in headers {
        request = add(request, name, value);
    }
    request
}

/// The same request with `name` replaced by these lines; none removes it.
pub(crate) fn set(mut request: Request<()>, name: &str, values: &[&str]) -> Request<()> {
    request.headers_mut().remove(name);
    for value in values {
        request = add(request, name, value);
    }
    request
}

/// The same request with one more line.
pub(crate) fn add(mut request: Request<()>, name: &str, value: &str) -> Request<()> {
    let name: HeaderName = name.parse().expect("a header name");
    request.headers_mut().append(name, HeaderValue::from_str(value).expect("a header value"));
    request
}

/// A policy that speaks `subprotocols` to whoever comes.
pub(crate) fn speaks(subprotocols: &[&str]) -> AcceptPolicy {
    AcceptPolicy {
        subprotocols: subprotocols.iter().map(ToString::to_string).collect(),
        origin: OriginPolicy::Any,
        ..AcceptPolicy::default()
    }
}
