//! WebSockets in HTTP/2 connections (RFC 8441), as the client dials them: one connection for each.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline_websocket::url::WsUrl;

use super::{Connector, Hop, Multiplexing, Opening};
use crate::dial::dialled::Stream as Below;
use crate::dial::{self, DialCause, Dialled, Phase, Protocols, Way};
use crate::error::Error;
use crate::http2::{ALPN, Http2Error, Http2Limits, Session, Stream};
use crate::websocket::WebSocket;

/// When a WebSocket runs in an HTTP/2 connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Http2 {
    /// Never: it upgrades an HTTP/1.1 connection.
    #[default]
    Never,
    /// Over TLS, where the server chooses `h2` by ALPN and allows WebSockets in it. Else over HTTP/1.1, on a new
    /// connection if need be, as browsers do. `ws:` has no ALPN and stays with HTTP/1.1.
    Alpn,
    /// Always: over TLS `h2` alone is offered, and plaintext begins with HTTP/2. A server without it is an error.
    PriorKnowledge,
}

impl Connector {
    /// With HTTP/2; without unless told. Each [`connect`](Self::connect) opens a connection of its own; for many
    /// WebSockets in one there are [`Session`] and [`over_http2`](Self::over_http2).
    #[must_use]
    pub fn http2(mut self, when: Http2) -> Self {
        self.multiplexing = match when {
            Http2::Never => None,
            when => Some(Arc::new(when)),
        };
        self
    }

    /// Asks for one more WebSocket in an HTTP/2 connection; `url` gives the host and resource to name.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), but nothing is dialled and no redirect is followed.
    pub async fn over_http2(&self, session: &Session, url: &str) -> Result<WebSocket<Stream>, Error> {
        let hop = self.first_hop(url)?;
        let way = Way { to: dial::host_and_port(&hop.url), proxy: None };
        let opening = session.open(&hop.url, &hop.options);
        let opened = self.watch().bound(Phase::Handshake, &way, opening).await?;
        let (stream, established) = opened.map_err(|error| super::in_handshake(error, &way))?;
        Ok(self.socket(stream, Bytes::new(), &established))
    }
}

impl Multiplexing for Http2 {
    fn protocols(&self, url: &WsUrl) -> Protocols {
        match self {
            Self::PriorKnowledge => Protocols::Http2,
            Self::Alpn if url.is_secure() => Protocols::Http2OrHttp1,
            Self::Alpn | Self::Never => Protocols::Http1,
        }
    }

    fn is_spoken_on(&self, stream: &Dialled) -> bool {
        *self == Self::PriorKnowledge || stream.alpn() == Some(ALPN)
    }

    fn open<'a>(&'a self, stream: Dialled, hop: &'a Hop, way: &'a Way) -> Opening<'a> {
        Box::pin(async move {
            let facts = Facts::of(&stream);
            let place = stream.place();
            // The time of this phase is kept by whoever dials.
            let limits = Http2Limits { handshake_timeout: None, ..Http2Limits::default() };
            let session = match Session::start(stream, &limits).await {
                Ok(session) => session,
                Err(Http2Error::NotOffered) if *self == Self::Alpn => return Ok(None),
                Err(error) => return Err(failed(Box::new(error), way)),
            };
            let opened = session.open(&hop.url, &hop.options).await;
            let (stream, established) = opened.map_err(|error| match error {
                Error::Http2(error) => failed(error, way),
                error => error,
            })?;
            Ok(Some((Dialled::new(OneStream { stream, facts }, place), established)))
        })
    }
}

/// The connection is this WebSocket's alone, so what becomes of it becomes of the way to the host.
fn failed(error: Box<Http2Error>, way: &Way) -> Error {
    way.failed(Phase::Handshake, DialCause::Http2(error)).into()
}

/// One stream, and what was known of the connection that it is in.
struct OneStream {
    stream: Stream,
    facts: Facts,
}

struct Facts {
    is_tls: bool,
    alpn: Option<Box<[u8]>>,
    certificates: Vec<Box<[u8]>>,
}

impl Facts {
    fn of(stream: &Dialled) -> Self {
        Self {
            is_tls: stream.is_tls(),
            alpn: stream.alpn().map(Into::into),
            certificates: stream.peer_certificates().into_iter().map(Into::into).collect(),
        }
    }
}

impl Below for OneStream {
    fn is_tls(&self) -> bool {
        self.facts.is_tls
    }

    fn alpn(&self) -> Option<&[u8]> {
        self.facts.alpn.as_deref()
    }

    fn peer_certificates(&self) -> Vec<&[u8]> {
        self.facts.certificates.iter().map(AsRef::as_ref).collect()
    }

    fn version(&self) -> Version {
        Version::HTTP_2
    }
}

impl AsyncRead for OneStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for OneStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
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
