//! How a handshake begins on the server's side, and how one ends that failed.

use std::io;
use std::time::Duration;

use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::error::TlsError;

/// One read of a ClientHello: with a post-quantum key share it has about 1,800 bytes.
const HELLO_CHUNK: usize = 2048;

/// After a handshake that failed, how long and how much of what the client still sends is thrown away, so that the
/// alert that says why is not overtaken by a reset.
pub(super) const DRAIN_TIME: Duration = Duration::from_secs(1);
const DRAIN_BYTES: u64 = 64 << 10;

/// What a client begins with.
pub(super) struct Hello {
    pub(super) accepted: Accepted,
    /// All that was read.
    pub(super) bytes: Vec<u8>,
}

/// Reads the ClientHello, which says for whom the client takes us, before anything is decided. The handshake then reads
/// the same bytes again.
pub(super) async fn read_hello<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
) -> Result<(S, Hello), (io::Error, S)> {
    let mut acceptor = Acceptor::default();
    let (mut bytes, mut chunk) = (Vec::new(), [0; HELLO_CHUNK]);
    loop {
        let read = match stream.read(&mut chunk).await {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            other => other,
        };
        let mut new = match read {
            Ok(count) => &chunk[..count],
            Err(error) => return Err((error, stream)),
        };
        bytes.extend_from_slice(new);
        while !new.is_empty() {
            // It takes at most 64 KiB for a message and refuses what is longer.
            if let Err(error) = acceptor.read_tls(&mut new) {
                let error = rustls::Error::General(error.to_string());
                return Err((io::Error::new(io::ErrorKind::InvalidData, error), stream));
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok((stream, Hello { accepted, bytes })),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    let mut said = Vec::new();
                    let _ = alert.write_all(&mut said);
                    let _ = timeout(DRAIN_TIME, stream.write_all(&said)).await;
                    return Err((io::Error::new(io::ErrorKind::InvalidData, error), stream));
                }
            }
        }
    }
}

/// Ends a stream whose client was told why.
pub(super) async fn refused<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, error: TlsError) -> TlsError {
    let last = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(DRAIN_BYTES), &mut tokio::io::sink()).await
    };
    // Whether it heard us is the client's affair.
    let _ = timeout(DRAIN_TIME, last).await;
    error
}
