//! The one stream type that every listener and every HTTP version gives.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use trunkline_net::tls::ServerStream;
use trunkline_net::{http2, tcp};

/// The stream of one connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(ServerStream<TcpStream>),
    /// One of the streams of an HTTP/2 connection, which itself is one of the above. Boxed, so that the others are not as
    /// large.
    Http2(Box<http2::Stream>),
}

impl Stream {
    /// The client may stop reading for as long as it likes. What is one stream of an HTTP/2 connection is not a socket of its own.
    pub(crate) fn wait_for_slow_readers(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => tcp::wait_for_slow_readers(stream),
            Stream::Tls(stream) => tcp::wait_for_slow_readers(stream.get_ref()),
            Stream::Unix(_) | Stream::Http2(_) => Ok(()),
        }
    }
}

impl Stream {
    /// The ends of its TCP socket, the client's first; `None` where it has none of its own.
    pub(crate) fn socket(&self) -> Option<(SocketAddr, SocketAddr)> {
        let stream = match self {
            Stream::Tcp(stream) => stream,
            Stream::Tls(stream) => stream.get_ref(),
            Stream::Unix(_) | Stream::Http2(_) => return None,
        };
        Some((stream.peer_addr().ok()?, stream.local_addr().ok()?))
    }
}

macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
            Stream::Tls($stream) => $call,
            Stream::Http2($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A vectored write of one slice costs the kernel several per cent more than a plain one.
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Http2(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_of_stream_makes_the_others_larger() {
        // Very many of these wait at once.
        assert!(size_of::<Stream>() <= size_of::<TcpStream>() + size_of::<usize>());
    }
}
