//! Errors of the HTTP API as problem documents (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use trunkline_dialect::{Code, ErrorBody};

/// The media type of RFC 9457 §6.1.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request was not done. `title` follows from the status, `code` is the dialect's name for the same, so that a
/// backend and a client read one vocabulary.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    code: Code,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Document<'a> {
    /// "about:blank": the status says what kind of problem it is (RFC 9457 §4.2.1).
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), header: None }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, Code::BadRequest, detail)
    }

    /// 401. The challenge says how to authenticate (RFC 6750 §3); which of key and spelling was wrong it does not.
    pub(crate) fn unauthenticated() -> Problem {
        let detail = "the API asks for its key: Authorization: Bearer <key>";
        Problem {
            header: Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"trunkline\""))),
            ..Problem::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, detail)
        }
    }

    /// What a client of a door is told, with the header that belongs to it.
    pub(crate) fn of_client(error: ErrorBody) -> Problem {
        let header = header_of(error.code);
        Problem { header, ..Problem::from(error) }
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, Code::Forbidden, detail)
    }

    pub(crate) fn not_found(path: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, Code::BadRequest, format!("there is nothing at {path:?}"))
    }

    pub(crate) fn method_not_allowed(method: &http::Method) -> Problem {
        let detail = format!("{method} is not served here; Allow names what is");
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, detail)
    }

    pub(crate) fn unsupported_media_type() -> Problem {
        let detail = "the body has to be JSON and to say so: Content-Type: application/json";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, detail)
    }

    pub(crate) fn too_large(limit: usize) -> Problem {
        let detail = format!("the body is larger than {limit} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, detail)
    }

    pub(crate) fn timed_out() -> Problem {
        Problem::new(StatusCode::REQUEST_TIMEOUT, Code::BadRequest, "the body did not arrive in time")
    }
}

impl From<ErrorBody> for Problem {
    fn from(error: ErrorBody) -> Problem {
        Problem::new(status(error.code), error.code, error.message)
    }
}

/// The header that belongs to the status of a code, where a client of a door is answered: how to authenticate (RFC 6750 §3), or when
/// to ask again.
pub(crate) fn header_of(code: Code) -> Option<(HeaderName, HeaderValue)> {
    match status(code) {
        StatusCode::UNAUTHORIZED => {
            Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"trunkline\"")))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Some((RETRY_AFTER, HeaderValue::from_static("1")))
        }
        _ => None,
    }
}

/// The HTTP status that says what a code of the dialect says.
pub(crate) fn status(code: Code) -> StatusCode {
    match code {
        Code::BadRequest => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::UnknownChannel => StatusCode::NOT_FOUND,
        Code::Conflict | Code::NotSubscribed => StatusCode::CONFLICT,
        Code::Expired => StatusCode::GONE,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::TooMany | Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // Also what a code is that this version of the server does not know.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code.name(),
        };
        let body = serde_json::to_string(&document).expect("strings and a number are always JSON");
        let mut response = (self.status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}
