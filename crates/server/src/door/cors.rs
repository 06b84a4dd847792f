//! Pages of other origins: which may ask here, and how they are told (Fetch Standard, "CORS protocol").

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue,
    ORIGIN, VARY,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use trunkline_net::handshake::Rejected;

use super::{broken_rule, origin_policy};
use crate::App;
use crate::connection::Remote;
use crate::http::{TRUNKLINE, VERSION};

/// What a page may send beside what every page may.
const HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Last-Event-ID, X-Auth-Token");

/// What a page may read of an answer.
const EXPOSED: HeaderValue = HeaderValue::from_static("Retry-After, Trunkline");

/// For how many seconds a browser need not ask again: what is allowed changes with the configuration, and so with a restart.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Whether the page behind a request, if there is one, may ask: its origin, to be [signed](sign) with.
///
/// # Errors
/// The rule on `Origin`.
pub(super) fn judge<B>(
    app: &App,
    remote: &Remote,
    request: &Request<B>,
) -> Result<Option<HeaderValue>, Rejected> {
    let headers = request.headers();
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = headers.get(HOST).map(HeaderValue::as_bytes).or(authority).unwrap_or_default();
    origin_policy(&app.config.origins).admits(headers, host, remote.secure())?;
    Ok(headers.get(ORIGIN).cloned())
}

/// Says on an answer which page may read it. Cookies are never read, so that credentials are not spoken of.
pub(super) fn sign(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// Whether a browser asks on behalf of a page what it may send.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    let asks = |name| request.headers().contains_key(name);
    request.method() == Method::OPTIONS && asks(ORIGIN) && asks(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to it: 204 with what is allowed, or 403.
pub(super) fn preflight<B>(
    app: &App,
    remote: &Remote,
    request: &Request<B>,
    methods: &'static str,
) -> Response<String> {
    let origin = match judge(app, remote, request) {
        Ok(origin) => origin,
        Err(rejected) => return broken_rule(&rejected).response,
    };
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    sign(headers, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.insert(TRUNKLINE, VERSION);
    response
}
