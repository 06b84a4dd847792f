//! Heads as bytes.
//!
//! A CR, LF or NUL cannot get in: neither `Method`, `Uri`, `HeaderName` nor `HeaderValue` can hold one.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode, Version};

/// A request's head as bytes, its target in the form that its URI has (origin-form for one without authority).
///
/// A body in it is left aside.
pub fn write_request<B>(request: &Request<B>) -> Vec<u8> {
    let mut head =
        format!("{} {} {}\r\n", request.method(), request.uri(), version(request.version())).into_bytes();
    write_headers(&mut head, request.headers(), |_| true);
    head.extend_from_slice(b"\r\n");
    head
}

/// A response's head as bytes, and `body` after it. Whatever body `response` itself holds is left aside.
///
/// The length of the body is told by the `Content-Length` written here. Any `Content-Length` or `Transfer-Encoding` of
/// `response` is left out, for it could only contradict. A response that has no body by definition (1xx, 204, 304) gets
/// neither length nor body.
pub fn write_response<B>(response: &Response<B>, body: &[u8]) -> Vec<u8> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("{} {} {reason}\r\n", version(response.version()), status.as_str()).into_bytes();
    write_headers(&mut head, response.headers(), |name| name != CONTENT_LENGTH && name != TRANSFER_ENCODING);
    if has_body(status) {
        head.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        head.extend_from_slice(body);
    } else {
        head.extend_from_slice(b"\r\n");
    }
    head
}

fn has_body(status: StatusCode) -> bool {
    !(status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED)
}

fn version(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" }
}

fn write_headers(head: &mut Vec<u8>, headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) {
    for (name, value) in headers.iter().filter(|(name, _)| wanted(name)) {
        write_name(head, name);
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
}

/// The name as the RFCs spell it: `sec-websocket-key` is `Sec-WebSocket-Key`.
///
/// Names have no case, but there are servers, and people with a packet dump, that expect this one.
fn write_name(head: &mut Vec<u8>, name: &HeaderName) {
    for (index, word) in name.as_str().split('-').enumerate() {
        if index > 0 {
            head.push(b'-');
        }
        match word {
            "websocket" => head.extend_from_slice(b"WebSocket"),
            "www" | "te" | "dnt" => head.extend(word.bytes().map(|byte| byte.to_ascii_uppercase())),
            "etag" => head.extend_from_slice(b"ETag"),
            word => {
                head.extend(word.bytes().take(1).map(|byte| byte.to_ascii_uppercase()));
                head.extend(word.bytes().skip(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_in_the_spelling_of_their_rfcs() {
        for name in [
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Protocol",
            "Host",
            "Origin",
            "User-Agent",
            "WWW-Authenticate",
            "ETag",
            "X-Request-Id",
            "X--Odd-",
        ] {
            let mut head = Vec::new();
            write_name(&mut head, &name.parse().expect("a header name"));
            assert_eq!(String::from_utf8_lossy(&head), name);
        }
    }
}
