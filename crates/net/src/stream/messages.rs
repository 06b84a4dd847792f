//! A byte stream out of the binary messages of a WebSocket: [`SUBPROTOCOL`](super::SUBPROTOCOL).
//!
//! Where messages begin and end means nothing, but for one: an empty message is the end of the bytes of its direction, as a
//! FIN is in TCP. Whoever reads the other's end after it has sent its own begins the closing handshake, with 1000. So each end
//! knows that it has all, and nothing is overtaken by a close.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream as _;
use futures_sink::Sink as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline_websocket::{CloseCode, Message};

use crate::error::Error;
use crate::websocket::WebSocket;

/// The largest message that is sent. Larger ones save nothing, and a ping waits for the whole of one.
const PIECE: usize = 64 << 10;

/// A byte stream in the binary messages of a WebSocket.
///
/// Reading is what keeps the WebSocket alive, as with [`WebSocket`] itself: whoever only writes should read beside it.
/// Shutting down ends this direction and leaves the other; a WebSocket that is dropped before both have ended is a stream that
/// was cut, and its other end learns so.
///
/// # Cancel safety
///
/// As for any stream: what a dropped read had not given is given by the next.
pub struct Messages<S> {
    socket: WebSocket<S>,
    /// What is left of the message that is being read.
    rest: Bytes,
    /// The other end has said all.
    read_over: bool,
    /// We have.
    written: Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// There may be more.
    Open,
    /// The empty message is queued.
    Ended,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    /// The stream in `socket`, on which nothing has been said yet.
    pub fn new(socket: WebSocket<S>) -> Self {
        Self { socket, rest: Bytes::new(), read_over: false, written: Written::Open }
    }

    /// The WebSocket, for what is to be known of it.
    pub fn socket(&self) -> &WebSocket<S> {
        &self.socket
    }

    /// Begins to close with another code than a stream that has ended does; the other end learns that it was not one.
    pub fn refuse(&mut self, code: CloseCode, reason: &str) {
        // A reason that is too long is our own fault, and the close then comes without it.
        if self.socket.start_close(code, reason).is_err() {
            let _ = self.socket.start_close(code, "");
        }
    }

    /// Both ends have said all: the closing handshake may begin.
    fn close_if_done(&mut self) {
        if self.read_over && self.written == Written::Ended && self.socket.closed().is_none() {
            let _ = self.socket.start_close(CloseCode::NORMAL, "");
        }
    }

    /// The next message's bytes into `rest`, or the end.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let message = match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
            None => {
                self.read_over = true;
                return Poll::Ready(self.judge_the_end());
            }
        };
        match message {
            Message::Binary(bytes) if bytes.is_empty() => {
                self.read_over = true;
                self.close_if_done();
                // Sends what that has queued; that it cannot be sent at once is no trouble of a reader.
                let _ = Pin::new(&mut self.socket).poll_flush(cx);
            }
            Message::Binary(bytes) => self.rest = bytes,
            Message::Text(_) => {
                self.refuse(CloseCode::UNSUPPORTED, "stream.1 has binary messages alone");
                let error = io::Error::new(io::ErrorKind::InvalidData, "a text message in a stream of bytes");
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A close is the end of the bytes if it is that of a stream that has ended; else something was cut.
    fn judge_the_end(&self) -> io::Result<()> {
        match self.socket.closed() {
            Some(closed) if closed.code == CloseCode::NORMAL.get() => Ok(()),
            Some(closed) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, closed.to_string())),
            None => Ok(()),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Messages<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() && !self.read_over {
            ready!(self.poll_message(cx))?;
        }
        let count = self.rest.len().min(into.remaining());
        into.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        if self.rest.is_empty() {
            // An empty slice may still hold the message.
            self.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Messages<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.written != Written::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(cx)).map_err(into_io)?;
        let count = data.len().min(PIECE);
        if count > 0 {
            let message = Message::Binary(Bytes::copy_from_slice(&data[..count]));
            socket.as_mut().start_send(message).map_err(into_io)?;
            // It leaves now as far as it can, and goes on leaving with every other call.
            if let Poll::Ready(sent) = socket.poll_flush(cx) {
                sent.map_err(into_io)?;
            }
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(into_io)
    }

    /// Ends this direction. If the other has ended already, waits for the closing handshake too, for which
    /// [`Limits::close_timeout`](crate::Limits::close_timeout) is the longest.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.socket.closed().is_some() {
            return Poll::Ready(Ok(()));
        }
        if self.written == Written::Open {
            let mut socket = Pin::new(&mut self.socket);
            ready!(socket.as_mut().poll_ready(cx)).map_err(into_io)?;
            socket.start_send(Message::Binary(Bytes::new())).map_err(into_io)?;
            self.written = Written::Ended;
        }
        if !self.read_over {
            return Pin::new(&mut self.socket).poll_flush(cx).map_err(into_io);
        }
        // The other end begins to close when it has read all. Were it to go on for ever, the idle limit of whoever drives this
        // would end it.
        while let Some(message) = ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            message.map_err(into_io)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> std::fmt::Debug for Messages<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages")
            .field("socket", &self.socket)
            .field("read_over", &self.read_over)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::TimedOut(_) => io::Error::new(io::ErrorKind::TimedOut, error.to_string()),
        Error::Violation(_) => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
        error => io::Error::new(io::ErrorKind::ConnectionAborted, error.to_string()),
    }
}
