//! The start of a refusal's body, for the error.

use std::time::Duration;

use http::Response;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The most bytes of a refusal's body that are kept for the error.
pub(crate) const BODY: u64 = 4096;

/// How long such a body is waited for. A server may keep the connection, and then only its framing would tell the end.
const TIME: Duration = Duration::from_secs(1);

/// The response with the start of its body, of which `rest` was read already.
pub(crate) async fn with_body<S: AsyncRead + Unpin>(
    stream: S,
    response: Response<()>,
    rest: &[u8],
) -> Response<Vec<u8>> {
    let length = response.headers().get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(BODY).min(BODY);
    let mut body: Vec<u8> = rest.iter().copied().take(usize::try_from(BODY).unwrap_or(usize::MAX)).collect();
    let missing = length.saturating_sub(body.len() as u64);
    // These have none (RFC 9112 section 6.3).
    let bodiless = response.status().is_informational() || matches!(response.status().as_u16(), 204 | 304);
    if !bodiless && missing > 0 {
        // What there is of the body is worth showing; that it breaks off is not the error to report.
        let _ = timeout(TIME, stream.take(missing).read_to_end(&mut body)).await;
    }
    response.map(|()| body)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kept(headers: &[(&str, &str)], rest: usize, stream: usize) -> usize {
        let mut response = Response::builder().status(403);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(()).expect("a response");
        let (rest, stream) = (vec![b'r'; rest], vec![b's'; stream]);
        with_body(&stream[..], response, &rest).await.body().len()
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_kept_and_of_a_longer_one_the_start() {
        let limit = BODY as usize;
        for (announced, rest, stream, expected) in [
            (None, 0, limit, limit),
            (None, 0, limit + 1, limit),
            (None, limit, 0, limit),
            (None, limit + 1, 0, limit),
            (None, 10, limit, limit),
            (Some("4096"), 0, limit, limit),
            (Some("4097"), 0, limit + 1, limit),
            (Some("18446744073709551615"), 10, limit, limit),
            (Some("99999999999999999999"), 10, 10, 20),
            (Some("-1"), 10, 10, 20),
            (Some("20"), 10, limit, 20),
            (Some("0"), 0, limit, 0),
        ] {
            let headers: Vec<_> = announced.iter().map(|length| ("content-length", *length)).collect();
            assert_eq!(kept(&headers, rest, stream).await, expected, "{announced:?}, {rest} and {stream}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_waited_for_a_second_and_no_longer() {
        let (stream, _open) = tokio::io::duplex(16);
        let response = Response::builder().status(403).body(()).expect("a response");
        let began = tokio::time::Instant::now();
        let response = with_body(stream, response, b"start").await;
        assert_eq!((response.body().as_slice(), began.elapsed()), (&b"start"[..], TIME));
    }
}
