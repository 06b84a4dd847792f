//! A stream whose answer to the handshake waits for the first bytes behind it, so that both leave in one packet: what a path does
//! to data that comes with the 101 can only be seen if some does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use trunkline_probe::pipe::Measured;

use crate::stream::Stream;

/// The stream.
#[derive(Debug)]
pub(super) struct Behind {
    /// What was not written yet, and is written before anything else.
    before: BytesMut,
    stream: Stream,
}

impl Behind {
    pub(super) fn new(before: impl AsRef<[u8]>, stream: Stream) -> Self {
        Self { before: BytesMut::from(before.as_ref()), stream }
    }

    /// One more line, to leave with the answer.
    pub(super) fn append(&mut self, line: &str) {
        self.before.extend_from_slice(line.as_bytes());
        self.before.extend_from_slice(b"\n");
    }

    fn poll_before(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.before.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.before))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.before.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Behind {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Behind {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_write(cx, data);
        }
        // Taken as written: it is copied behind the answer, once, and the next write waits for both.
        self.before.extend_from_slice(data);
        match self.poll_before(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(data.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_before(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_before(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Measured for Behind {
    fn reset_on_close(&self) -> bool {
        match &self.stream {
            // What is not sent yet is thrown away, and the other end is told by a reset.
            Stream::Tcp(stream) => reset_on_close(stream),
            Stream::Tls(stream) => reset_on_close(stream.get_ref()),
            Stream::Unix(_) | Stream::Http2(_) => false,
        }
    }

    fn without_keepalive(&self) {
        let quiet = |stream: &TcpStream| SockRef::from(stream).set_keepalive(false);
        // A socket that has ended already needs none.
        let _ = match &self.stream {
            Stream::Tcp(stream) => quiet(stream),
            Stream::Tls(stream) => quiet(stream.get_ref()),
            Stream::Unix(_) | Stream::Http2(_) => Ok(()),
        };
    }
}

fn reset_on_close(stream: &TcpStream) -> bool {
    SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)).is_ok()
}
