//! A stream inside TLS.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::{CommonState, HandshakeKind, ProtocolVersion};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::{Remote, in_words};
use super::wire::{Records, Wire};

/// What [`ClientTls::connect`](super::ClientTls::connect) makes of a stream.
pub type ClientStream<S> = TlsStream<S>;

/// What [`ServerTls::accept`](super::ServerTls::accept) makes of a stream.
pub type ServerStream<S> = TlsStream<S>;

/// A stream inside TLS, of either end.
///
/// Shutting it down sends `close_notify` before the stream below is shut down. A stream that the remote ended without
/// one reads as `UnexpectedEof`: whoever reads to the end of a stream would not know otherwise that somebody has cut it.
///
/// Flush after writing: what was taken is encrypted, and may not have left yet.
///
/// **Memory.** It holds buffers only while bytes are under way; an idle one has none.
pub struct TlsStream<S> {
    inner: Box<Inner<S>>,
}

struct Inner<S> {
    wire: Wire<S>,
    end: End,
    /// The name that was asked for.
    name: Option<Box<str>>,
}

/// Which end we are.
pub(super) enum End {
    Client { records: UnbufferedClientConnection, server: Box<str> },
    Server { records: UnbufferedServerConnection },
}

/// Does the same with the records of either end.
macro_rules! with_records {
    ($end:expr, $records:ident => $work:expr) => {
        match $end {
            End::Client { records: $records, .. } => $work,
            End::Server { records: $records } => $work,
        }
    };
}

impl<S> TlsStream<S> {
    pub(super) fn new(wire: Wire<S>, end: End, name: Option<Box<str>>) -> Self {
        Self { inner: Box::new(Inner { wire, end, name }) }
    }

    /// The application protocol that was agreed on.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.state().alpn_protocol()
    }

    /// The name that the client asked for (SNI), in lower case; `None` where it asked for none, or by an address.
    pub fn server_name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// The certificates that the remote has shown, its own first. They are verified.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.state().peer_certificates()
    }

    /// `TLS 1.3` or `TLS 1.2`.
    pub fn version(&self) -> &'static str {
        match self.state().protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        }
    }

    /// Whether the handshake was short, because a session was resumed.
    pub fn resumed(&self) -> bool {
        self.state().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.inner.wire.stream
    }

    fn state(&self) -> &CommonState {
        with_records!(&self.inner.end, records => records.state())
    }

    fn in_words<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let remote = || match &self.inner.end {
            End::Client { server, .. } => Remote::Server(server.to_string()),
            End::Server { .. } => Remote::Client(self.inner.name.as_deref().map(str::to_owned)),
        };
        result.map_err(|error| in_words(remote, error))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Inner { wire, end, .. } = &mut *self.inner;
        let result = with_records!(end, records => wire.poll_read(records, cx, into));
        self.in_words(result)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Inner { wire, end, .. } = &mut *self.inner;
        let result = with_records!(end, records => wire.poll_write(records, cx, slices));
        self.in_words(result)
    }

    /// Slices are gathered into as few records as they fill.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.wire.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Inner { wire, end, .. } = &mut *self.inner;
        with_records!(end, records => wire.poll_shutdown(records, cx))
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("version", &self.version())
            .field("server_name", &self.server_name())
            .finish_non_exhaustive()
    }
}
