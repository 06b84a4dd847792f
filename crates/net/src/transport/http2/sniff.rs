//! Which HTTP a client speaks on a port that serves both.

use tokio::io::{AsyncRead, AsyncReadExt};
use trunkline_websocket::Limits;

use crate::error::Error;
use crate::transport::http1::{Rewind, within};

/// The name of HTTP/2 over TLS in ALPN (RFC 9113 section 3.2).
pub const ALPN: &[u8] = b"h2";

/// What every client begins an HTTP/2 connection with (RFC 9113 section 3.4). No server of HTTP/1.1 would take it for a
/// request.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1, or nothing that HTTP/2 begins with: whoever reads on finds out.
    One,
    /// HTTP/2 with prior knowledge (RFC 9113 section 3.3).
    Two,
}

/// Reads the first bytes of a stream without TLS, to tell HTTP/2 with prior knowledge from HTTP/1.1. Over TLS,
/// [`ALPN`] tells.
///
/// The first byte that the preface of HTTP/2 does not have decides, which is the first or second of nearly every request.
/// The stream that is given back has every byte in front again. A stream that ends in between is HTTP/1.1's to judge.
///
/// # Errors
///
/// [`Error::TimedOut`] when it is not decided within [`Limits::handshake_timeout`]; [`Error::Io`], with `UnexpectedEof`
/// where the stream ends before the first byte, as a port check does.
///
/// # Cancel safety
///
/// Dropped, the stream is dropped with it.
pub async fn sniff<S: AsyncRead + Unpin>(mut stream: S, limits: &Limits) -> Result<(Http, Rewind<S>), Error> {
    let mut first = [0; PREFACE.len()];
    let (http, count) = within(limits.handshake_timeout, async {
        let mut count = 0;
        loop {
            let read = stream.read(&mut first[count..]).await?;
            if read == 0 && count == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            count += read;
            if read == 0 || first[..count] != PREFACE[..count] {
                return Ok((Http::One, count));
            }
            if count == PREFACE.len() {
                return Ok((Http::Two, count));
            }
        }
    })
    .await?;
    Ok((http, Rewind::new(first[..count].to_vec().into(), stream)))
}
