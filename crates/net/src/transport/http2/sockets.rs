//! Nothing but WebSockets on an HTTP/2 connection: the simple server.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use trunkline_websocket::handshake;

use super::error::Http2Error;
use super::exchange::Connect;
use super::limits::Http2Limits;
use super::server::{Incoming, Server};
use super::stream::Stream;
use crate::accept::Acceptor;
use crate::error::Error;
use crate::websocket::WebSocket;

/// The WebSockets of one HTTP/2 connection. What else the client asks for is refused.
///
/// As with [`Server`], nothing moves unless [`accept`](Self::accept) is awaited, so await it in a loop and spawn a task
/// for each socket.
#[derive(Debug)]
pub struct Sockets<S> {
    server: Server<S>,
    acceptor: Acceptor,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sockets<S> {
    /// Begins the connection.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is dropped with it.
    pub async fn start(stream: S, acceptor: Acceptor, limits: &Http2Limits) -> Result<Self, Http2Error> {
        Ok(Self { server: Server::start(stream, limits).await?, acceptor })
    }

    /// The next WebSocket; `None` when the connection has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for a request that was refused, [`Error::Io`] for one whose client has left: go on after
    /// either. [`Error::Http2`] is what the connection itself ended with, and then comes `None`.
    ///
    /// # Cancel safety
    ///
    /// As [`Server::accept`].
    pub async fn accept(&mut self) -> Option<Result<WebSocket<Stream>, Error>> {
        match self.server.accept().await? {
            Ok(Incoming::Connect(connect)) => Some(self.socket(connect)),
            Ok(Incoming::Request(exchange)) => {
                let verdict = handshake::accept_http2(exchange.request(), None, self.acceptor.policy());
                let rejected = verdict.expect_err("no WebSocket is asked for without CONNECT");
                exchange.refuse(&rejected.to_response());
                Some(Err(rejected.into()))
            }
            Err(error) => Some(Err(Box::new(error).into())),
        }
    }

    /// Tells the client to open no more. Sockets that are open go on.
    pub fn shut_down(&mut self) {
        self.server.shut_down();
    }

    fn socket(&self, connect: Connect) -> Result<WebSocket<Stream>, Error> {
        match connect.judge(self.acceptor.policy()) {
            Ok(accepted) => {
                let stream = connect.accept(&accepted)?;
                Ok(self.acceptor.socket(stream, Bytes::new(), &accepted))
            }
            Err(rejected) => {
                connect.refuse(&rejected.to_response());
                Err(rejected.into())
            }
        }
    }
}
