//! Reading a request's body and query, each way of getting it wrong answered with a problem document.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use trunkline_dialect::{BadJson, DATA_DEPTH, Json};

use super::Problem;
use crate::App;

/// Levels of nesting in a body: an object around data that may be as deep as in the dialect.
const DEPTH: usize = DATA_DEPTH + 1;

/// A JSON object. Its nesting is measured before any parser sees it.
pub(super) struct Body<T>(pub(super) T);

/// The query. A parameter that does not exist is refused: misspelt, it would silently not narrow the answer.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let limits = &app.config.limits;
        let body = read_json(request, limits.request, limits.head_timeout).await?;
        let text = std::str::from_utf8(&body).map_err(|_| Problem::bad_request("the body is not UTF-8"))?;
        let json = Json::parse_within(text, DEPTH);
        let json = json.map_err(|error: BadJson| Problem::bad_request(error.to_string()))?;
        // A parser would take an array for the fields in their order, and another order tomorrow.
        if !json.get().trim_start().starts_with('{') {
            return Err(Problem::bad_request("the body is not a JSON object"));
        }
        json.read().map(Body).map_err(|error| Problem::bad_request(error.to_string()))
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query: Result<Query<T>, QueryRejection> = Query::try_from_uri(&parts.uri);
        query.map(|Query(params)| Params(params)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// A body that says of itself that it is JSON, of at most so many bytes, and complete within a time.
pub(crate) async fn read_json(request: Request, limit: usize, timeout: Duration) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::unsupported_media_type());
    }
    let reading = Limited::new(request.into_body(), limit).collect();
    let read = tokio::time::timeout(timeout, reading).await.map_err(|_| Problem::timed_out())?;
    let read = read.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Problem::too_large(limit),
        None => Problem::bad_request("the body could not be read to its end"),
    })?;
    Ok(read.to_bytes())
}

/// `application/json`, with or without parameters. This is also what keeps a form on another site from posting here:
/// a page cannot send this type across origins without asking first, and nobody answers.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or(value).trim();
    essence.eq_ignore_ascii_case("application/json")
}
