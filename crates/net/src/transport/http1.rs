//! HTTP/1.1 heads on a stream: read with one deadline, handed on with every byte, answered and closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use trunkline_websocket::handshake::Rejected;
use trunkline_websocket::handshake::http1::{self, HeadReader};
use trunkline_websocket::{Limits, Why};

use crate::error::Error;

/// One read of a head; most requests and responses fit.
const CHUNK: usize = 2048;

/// After a refusal, how long and how much of what the client still sends is thrown away, so that the refusal is not
/// overtaken by a reset.
const DRAIN_TIME: Duration = Duration::from_secs(1);
const DRAIN_BYTES: u64 = 256 << 10;

/// A request's head, read from a stream.
#[derive(Debug)]
pub struct RequestHead {
    /// The request. Its body, if it has one, begins in `rest`.
    pub request: http::Request<()>,
    /// The head's bytes as they came, the empty line included.
    pub raw: Bytes,
    /// Bytes that were read past it.
    pub rest: Bytes,
}

/// Reads one request head.
///
/// # Errors
///
/// [`Error::Handshake`] names the rule that the head breaks; [`Error::TimedOut`] when it is not complete within
/// [`Limits::handshake_timeout`], however it trickles in; [`Error::Io`] with `UnexpectedEof` when the stream ends
/// before the first byte, as a port check does.
///
/// # Cancel safety
///
/// None: dropped, what was read is lost, and with it the stream's place.
pub async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    limits: &Limits,
) -> Result<RequestHead, Error> {
    within(limits.handshake_timeout, async {
        let mut reader = HeadReader::new(limits);
        let rest = read_head(stream, |input| reader.receive(input)).await?;
        let raw = Bytes::copy_from_slice(reader.bytes());
        Ok(RequestHead { request: reader.request()?, raw, rest })
    })
    .await
}

/// Answers a request that is refused, and ends the stream: nothing behind it may be read as another request.
///
/// # Errors
///
/// Of the stream. There is nothing left to do about it but to log it.
pub async fn refuse<S, B>(stream: &mut S, response: &http::Response<B>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: AsRef<[u8]>,
{
    let all = async {
        stream.write_all(&http1::write_response(response, response.body().as_ref())).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(DRAIN_BYTES), &mut tokio::io::sink()).await.map(|_| ())
    };
    // Not answering in time is the client's loss.
    timeout(DRAIN_TIME, all).await.unwrap_or(Ok(()))
}

/// Feeds a head reader until it is done; gives what was read past the head.
pub(crate) async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    mut receive: impl FnMut(&[u8]) -> Result<Option<usize>, Rejected>,
) -> Result<Bytes, Error> {
    let mut chunk = vec![0; CHUNK];
    let mut begun = false;
    loop {
        let count = stream.read(&mut chunk).await?;
        match (count, begun) {
            (0, false) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            // The reader itself says that the head is incomplete.
            (0, true) => return Ok(Bytes::new()),
            _ => begun = true,
        }
        if let Some(used) = receive(&chunk[..count])? {
            return Ok(Bytes::copy_from_slice(&chunk[used..count]));
        }
    }
}

pub(crate) async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match limit {
        None => work.await,
        Some(limit) => timeout(limit, work).await.unwrap_or(Err(Error::TimedOut(Why::Handshake))),
    }
}

/// A stream whose first bytes were read already: reading gives them again, then goes on with the stream.
///
/// This is how a connection that turned out to be plain HTTP is handed to an HTTP server, bytes included.
#[derive(Debug)]
pub struct Rewind<S> {
    first: Bytes,
    stream: S,
}

impl<S> Rewind<S> {
    /// Puts `first` in front of `stream`.
    pub fn new(first: Bytes, stream: S) -> Self {
        Self { first, stream }
    }

    /// The stream with the whole of a head in front of it.
    pub fn head(head: RequestHead, stream: S) -> Self {
        Self::new([head.raw, head.rest].concat().into(), stream)
    }

    /// What was not read again yet, and the stream.
    pub fn into_parts(self) -> (Bytes, S) {
        (self.first, self.stream)
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let count = self.first.len().min(into.remaining());
        into.put_slice(&self.first[..count]);
        self.first.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
