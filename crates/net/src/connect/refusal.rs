//! The start of a refusal's body, for the error.

use std::io;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Response};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::timeout;

use crate::dial::Watch;

/// The most bytes of a refusal's body that are kept for the error.
pub(crate) const BODY: u64 = 4096;

/// How long such a body is waited for. A server may keep the connection and not say how long it is.
const TIME: Duration = Duration::from_secs(1);

/// The longest line in front of a chunk: its size, and extensions that nobody uses.
const CHUNK_LINE: u64 = 256;

/// How the end of a body is known (RFC 9112 section 6.3).
enum Framing {
    Chunks,
    /// So many bytes, or fewer if the stream ends.
    Length(u64),
}

/// The response with the start of its body, of which `rest` was read already. What there is of the body is worth
/// showing; that it breaks off or breaks a rule is not the error to report.
pub(crate) async fn with_body<S: AsyncRead + Unpin>(
    stream: S,
    response: Response<()>,
    rest: &[u8],
    watch: &Watch,
) -> Response<Vec<u8>> {
    let mut body = Vec::new();
    let stream = rest.chain(stream);
    let reading = async {
        match framing(&response) {
            Framing::Chunks => read_chunks(&mut BufReader::new(stream), &mut body).await,
            Framing::Length(length) => stream.take(length.min(BODY)).read_to_end(&mut body).await.map(drop),
        }
    };
    let _ = timeout(watch.left(TIME), reading).await;
    response.map(|()| body)
}

fn framing(response: &Response<()>) -> Framing {
    let bodiless = response.status().is_informational() || matches!(response.status().as_u16(), 204 | 304);
    if bodiless {
        return Framing::Length(0);
    }
    match response.headers().get_all(TRANSFER_ENCODING).iter().next_back() {
        Some(codings) if is_chunked(codings.as_bytes()) => Framing::Chunks,
        Some(_) => Framing::Length(u64::MAX),
        None => Framing::Length(announced(response.headers()).unwrap_or(u64::MAX)),
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the last coding is `chunked`: one before it is none of the framing.
fn is_chunked(codings: &[u8]) -> bool {
    let last = codings.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// The contents of chunks (RFC 9112 section 7.1), up to the last one, the limit, or what is none.
async fn read_chunks<S: AsyncBufRead + Unpin>(stream: &mut S, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let room = BODY.saturating_sub(body.len() as u64);
        if room == 0 {
            return Ok(());
        }
        let mut line = Vec::new();
        (&mut *stream).take(CHUNK_LINE).read_until(b'\n', &mut line).await?;
        let size = match chunk_size(&line) {
            None | Some(0) => return Ok(()),
            Some(size) => size,
        };
        (&mut *stream).take(size.min(room)).read_to_end(body).await?;
        if size > room {
            return Ok(());
        }
        let mut end = [0; 2];
        stream.read_exact(&mut end).await?;
        if end != *b"\r\n" {
            return Ok(());
        }
    }
}

/// The number in front of a chunk; extensions behind it say nothing to us.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?;
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    // It takes a sign too.
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::Timeouts;

    fn watch(whole: Option<Duration>) -> Watch {
        Watch::start(&Timeouts { whole, ..Timeouts::default() }, None)
    }

    async fn kept(headers: &[(&str, &str)], rest: usize, stream: usize) -> usize {
        let mut response = Response::builder().status(403);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(()).expect("a response");
        let (rest, stream) = (vec![b'r'; rest], vec![b's'; stream]);
        with_body(&stream[..], response, &rest, &watch(None)).await.body().len()
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
    async fn a_body_that_does_not_come_is_waited_for_a_second_or_what_is_left_of_the_whole_time() {
        for (whole, waits) in [(None, TIME), (Some(TIME / 4), TIME / 4), (Some(TIME * 4), TIME)] {
            for (coding, start) in [("identity", "start"), ("chunked", "5\r\nstart\r\n9\r\n")] {
                let (stream, _open) = tokio::io::duplex(16);
                let response = Response::builder().status(403).header(TRANSFER_ENCODING, coding);
                let response = response.body(()).expect("a response");
                let began = tokio::time::Instant::now();
                let response = with_body(stream, response, start.as_bytes(), &watch(whole)).await;
                assert_eq!((response.body().as_slice(), began.elapsed()), (&b"start"[..], waits), "{coding}");
            }
        }
    }

    /// What is kept of a chunked body that is followed by silence: whoever waits for more waits for ever.
    async fn unchunked(codings: &str, text: &[u8]) -> Vec<u8> {
        let mut kept = Vec::new();
        for read_already in [0, text.len() / 2, text.len()] {
            let response = Response::builder().status(403).header(TRANSFER_ENCODING, codings);
            let response = response.header(CONTENT_LENGTH, "3").body(()).expect("a response");
            let (rest, stream) = text.split_at(read_already);
            let (mut far, near) = tokio::io::duplex(1 << 16);
            tokio::io::AsyncWriteExt::write_all(&mut far, stream).await.expect("there is room");
            let began = tokio::time::Instant::now();
            let response = with_body(near, response, rest, &watch(None)).await;
            assert_eq!(began.elapsed(), Duration::ZERO, "{read_already} of {}", text.escape_ascii());
            kept.push(response.into_body());
        }
        assert!(kept.iter().all(|body| *body == kept[0]), "{kept:?} of {}", text.escape_ascii());
        kept.remove(0)
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_chunked_body_the_contents_are_kept_and_its_end_is_seen() {
        for (text, kept) in [
            ("0\r\n\r\n", ""),
            ("3\r\none\r\n0\r\n\r\n", "one"),
            ("3;x=\"y\"\r\none\r\n00B ;z\r\n, and three\r\n0\r\nTrailer: x\r\n\r\n", "one, and three"),
            // What breaks a rule ends it, and what came before is kept.
            ("3\r\none\r\n-1\r\n", "one"),
            ("3\r\none\r\n+3\r\ntwo\r\n", "one"),
            ("3\r\none\r\n\r\n", "one"),
            ("3\r\none\r\n3\ntwo\r\n", "one"),
            ("3\r\none\r\n10000000000000000\r\n", "one"),
            ("2\r\none\r\n0\r\n\r\n", "on"),
            ("<h1>no chunks</h1>\n", ""),
        ] {
            let found = unchunked("gzip, Chunked ", text.as_bytes()).await;
            assert_eq!(String::from_utf8_lossy(&found), kept, "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn chunks_of_exactly_the_limits_are_kept_and_not_one_byte_more() {
        let limit = usize::try_from(BODY).expect("it is small");
        let chunk = |size: usize| format!("{size:x}\r\n{}\r\n", "c".repeat(size));
        for (text, kept) in [
            (chunk(limit), limit),
            (chunk(limit + 1), limit),
            (chunk(limit - 1) + &chunk(1), limit),
            (chunk(limit - 1) + &chunk(2), limit),
            (format!("ffffffffffffffff\r\n{}", "c".repeat(limit)), limit),
        ] {
            assert_eq!(unchunked("chunked", text.as_bytes()).await.len(), kept);
        }
        let line = usize::try_from(CHUNK_LINE).expect("it is small");
        for (length, kept) in [(line, 1), (line + 1, 0)] {
            let extension = "x".repeat(length - "1;\r\n".len());
            let text = format!("1;{extension}\r\nc\r\n0\r\n\r\n");
            assert_eq!(unchunked("chunked", text.as_bytes()).await.len(), kept, "a line of {length}");
        }
    }
}
