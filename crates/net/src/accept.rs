//! The server's side: a stream on which a client has begun, to a connection.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use trunkline_websocket::deflate::{self, DeflateConfig};
use trunkline_websocket::handshake::{self, AcceptPolicy, Accepted, OriginPolicy, Rejected, http1};
use trunkline_websocket::{Leniency, Limits, Role, Setup};

use crate::error::Error;
use crate::transport::http1::{RequestHead, read_request, refuse, within};
use crate::websocket::WebSocket;

/// Accepts a WebSocket on a stream, with the default [`Limits`] and [`AcceptPolicy`]: pages of the same origin and
/// clients that are no browsers, no subprotocol, no compression.
///
/// # Errors
///
/// As [`Acceptor::accept`].
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<WebSocket<S>, Error> {
    Acceptor::default().accept(stream).await
}

/// How to accept: made once, used for every connection, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Acceptor {
    limits: Arc<Limits>,
    policy: Arc<AcceptPolicy>,
    deflate: Option<DeflateConfig>,
}

impl Acceptor {
    /// With these limits and this policy.
    pub fn new(limits: impl Into<Arc<Limits>>, policy: impl Into<Arc<AcceptPolicy>>) -> Self {
        Self { limits: limits.into(), policy: policy.into(), deflate: None }
    }

    /// With other limits.
    #[must_use]
    pub fn limits(self, limits: impl Into<Arc<Limits>>) -> Self {
        Self { limits: limits.into(), ..self }
    }

    /// With one more subprotocol, behind those that are preferred to it.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.policy).subprotocols.push(name.into());
        self
    }

    /// With other rules for which pages may connect.
    #[must_use]
    pub fn origin(mut self, origin: OriginPolicy) -> Self {
        Arc::make_mut(&mut self.policy).origin = origin;
        self
    }

    /// With permessage-deflate (RFC 7692), for clients that offer it. Off by default: it costs memory and time, and lengths
    /// of compressed messages tell of their contents.
    ///
    /// [`DeflateConfig::lean`] holds nothing for an idle connection. One that [`DeflateConfig::check`] finds fault with
    /// agrees to no offer.
    #[must_use]
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        let extensions = &mut Arc::make_mut(&mut self.policy).extensions;
        extensions.retain(|extension| extension.name() != deflate::NAME);
        extensions.push(Arc::new(config.clone()));
        self.deflate = Some(config);
        self
    }

    /// With what a client is forgiven. Nothing by default.
    #[must_use]
    pub fn leniency(mut self, leniency: Leniency) -> Self {
        Arc::make_mut(&mut self.policy).leniency = leniency;
        self
    }

    /// Reads the request, judges it, answers it.
    ///
    /// Reading the request has [`Limits::handshake_timeout`], and so has answering it. A request that is refused has been
    /// answered with its status and the rule in words, and the stream closed, when this returns; that may take a second
    /// more.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for a request that breaks a rule, [`Error::TimedOut`], [`Error::Io`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is dropped with it.
    pub async fn accept<S>(&self, mut stream: S) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match read_request(&mut stream, &self.limits).await {
            Ok(head) => self.accept_head(stream, head).await,
            Err(Error::Handshake(error)) => Err(reject(&mut stream, error.rejected).await),
            Err(error) => Err(error),
        }
    }

    /// As [`accept`](Self::accept), where the request has been read already.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub async fn accept_head<S>(&self, mut stream: S, head: RequestHead) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let accepted = match handshake::accept(&head.request, self.policy()) {
            Ok(accepted) => accepted,
            Err(rejected) => return Err(reject(&mut stream, rejected).await),
        };
        within(self.limits.handshake_timeout, answer(&mut stream, &accepted)).await?;
        Ok(self.socket(stream, head.rest, &accepted))
    }

    /// What a request is judged by.
    pub(crate) fn policy(&self) -> &AcceptPolicy {
        &self.policy
    }

    /// The connection on a stream whose request was accepted and answered; `rest` was read past the request.
    pub(crate) fn socket<S>(&self, stream: S, rest: Bytes, accepted: &Accepted) -> WebSocket<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let setup = Setup {
            limits: Arc::clone(&self.limits),
            leniency: self.policy.leniency,
            deflate: self.deflate.as_ref().and_then(|config| config.agreed(accepted.extensions(), true)),
            ..Setup::default()
        };
        let socket = WebSocket::from_upgraded(stream, rest, Role::Server, setup);
        socket.with_subprotocol(accepted.subprotocol())
    }
}

async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, accepted: &Accepted) -> Result<(), Error> {
    if accepted.expects_continue() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    stream.write_all(&http1::write_response(accepted.response(), b"")).await?;
    Ok(stream.flush().await?)
}

async fn reject<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, rejected: Rejected) -> Error {
    if let Err(error) = refuse(stream, &rejected.to_response()).await {
        tracing::debug!(%error, "the client did not wait for its refusal");
    }
    rejected.into()
}
