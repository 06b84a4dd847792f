//! The API key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Problem;
use crate::App;
use crate::connection::Remote;

/// Lets a request through that carries the API key.
pub(super) async fn require_key(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match bearer(request.headers()) {
        Some(key) if same(key, app.api_key.reveal().as_bytes()) => next.run(request).await,
        _ => Problem::unauthenticated().into_response(),
    }
}

/// As [`require_key`], of all but clients on this machine: where only this machine can connect, a proxy may yet bring others.
pub(super) async fn require_key_of_strangers(
    state: State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    if is_from_elsewhere(&request) {
        require_key(state, request, next).await
    } else {
        next.run(request).await
    }
}

/// Whether a trusted proxy brings this request for a client that is not on this machine.
pub(super) fn is_from_elsewhere(request: &Request) -> bool {
    let remote = request.extensions().get::<Arc<Remote>>();
    remote.is_some_and(|remote| !remote.address().is_this_machine())
}

/// The token of `Authorization: Bearer <token>`, perhaps an empty one, if there is exactly one such field. The scheme's
/// name has no case (RFC 9110 §11.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let field = field.as_bytes();
    let (scheme, token) = field.split_at(field.iter().position(|byte| *byte == b' ').unwrap_or(field.len()));
    scheme.eq_ignore_ascii_case(b"Bearer").then(|| token.trim_ascii())
}

/// Compares digests, so that neither content nor length of the key shows in how long the answer takes.
fn same(given: &[u8], key: &[u8]) -> bool {
    Sha256::digest(given).as_slice().ct_eq(Sha256::digest(key).as_slice()).into()
}
