//! What dialling gives: one stream, whatever it runs over.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A stream to the host of a URL: TCP, TLS, either of them through a proxy, or one stream of an HTTP/2 connection.
///
/// What it is can be asked; what it does is the same for all.
pub struct Dialled {
    below: Below,
    place: Place,
    /// What is below ends at a proxy: its TLS is not the host's.
    ends_at_proxy: bool,
}

/// Where a stream leads.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    peer: SocketAddr,
    proxy: Option<Box<str>>,
}

/// TCP costs no allocation of its own; all else has several already.
enum Below {
    Tcp(TcpStream),
    Other(Box<dyn Stream>),
}

/// What can be below.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Whether it is encrypted up to the host of the URL.
    fn is_tls(&self) -> bool {
        false
    }

    /// What was agreed on by ALPN.
    fn alpn(&self) -> Option<&[u8]> {
        None
    }

    /// The server's certificates in DER, its own first.
    fn peer_certificates(&self) -> Vec<&[u8]> {
        Vec::new()
    }

    /// The HTTP version of the opening handshake.
    fn version(&self) -> Version {
        Version::HTTP_11
    }

    /// The socket that is this stream's alone.
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl Stream for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Dialled {
    /// Something on a stream that leads to `place`.
    pub(crate) fn new(stream: impl Stream + 'static, place: Place) -> Self {
        Self { below: Below::Other(Box::new(stream)), place, ends_at_proxy: false }
    }

    pub(crate) fn tcp(stream: TcpStream, peer: SocketAddr) -> Self {
        Self { below: Below::Tcp(stream), place: Place { peer, proxy: None }, ends_at_proxy: false }
    }

    /// A stream to a proxy that has become one to the host.
    pub(crate) fn through(self, proxy: &str) -> Self {
        let place = Place { proxy: Some(proxy.into()), ..self.place };
        Self { place, ends_at_proxy: true, ..self }
    }

    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    /// The address that TCP is connected to: that of the proxy if there is one.
    pub fn peer_addr(&self) -> SocketAddr {
        self.place.peer
    }

    /// The proxy on the way, as URL without user name and password.
    pub fn proxy(&self) -> Option<&str> {
        self.place.proxy.as_deref()
    }

    /// Whether it is encrypted up to the host of the URL. TLS that ends at a proxy does not count.
    pub fn is_tls(&self) -> bool {
        self.to_host().is_some_and(Stream::is_tls)
    }

    /// What was agreed on by ALPN (RFC 7301): `h2` or `http/1.1`. `None` without TLS, and where the server chose nothing.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.to_host()?.alpn()
    }

    /// The server's certificates in DER, its own first. None without TLS.
    pub fn peer_certificates(&self) -> Vec<&[u8]> {
        self.to_host().map(Stream::peer_certificates).unwrap_or_default()
    }

    /// The HTTP version that the opening handshake uses or used: HTTP/1.1 or HTTP/2.
    pub fn version(&self) -> Version {
        self.below().version()
    }

    /// The TCP socket below, for its options: that to the proxy if there is one. `None` in an HTTP/2 connection, whose socket
    /// is that of its other streams too.
    pub fn tcp_socket(&self) -> Option<&TcpStream> {
        self.below().tcp()
    }

    /// What can tell of the host.
    fn to_host(&self) -> Option<&dyn Stream> {
        (!self.ends_at_proxy).then(|| self.below())
    }

    fn below(&self) -> &dyn Stream {
        match &self.below {
            Below::Tcp(stream) => stream,
            Below::Other(stream) => &**stream,
        }
    }

    fn below_mut(&mut self) -> Pin<&mut dyn Stream> {
        match &mut self.below {
            Below::Tcp(stream) => Pin::new(stream),
            Below::Other(stream) => Pin::new(&mut **stream),
        }
    }
}

impl fmt::Debug for Dialled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialled")
            .field("peer", &self.place.peer)
            .field("proxy", &self.place.proxy)
            .field("tls", &self.is_tls())
            .field("version", &self.version())
            .finish()
    }
}

impl AsyncRead for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.below_mut().poll_read(cx, into)
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.below_mut().poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.below_mut().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.below().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below_mut().poll_shutdown(cx)
    }
}
