//! [`Stream`] and [`Sink`], for the combinators of the futures crates.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use trunkline_websocket::{CloseCode, Message};

use super::drive::Until;
use super::wakers::Side;
use super::{WebSocket, now};
use crate::error::Error;

/// Messages as they arrive; see [`WebSocket::recv`]. Ends after the end.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(self.poll_until(cx, Side::Receive, Until::Message));
        Poll::Ready(self.take_received())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FusedStream for WebSocket<S> {
    fn is_terminated(&self) -> bool {
        self.is_over()
    }
}

/// Messages to send. Ready means room below [`Limits::outgoing`](trunkline_websocket::Limits::outgoing).
///
/// Closing sends a Close frame with 1000 and returns when it is written, or can no longer be; the stream half then ends
/// with the remote's. Receive until `None` before the connection is dropped, or a reset may overtake the Close frame.
///
/// [`WebSocket`] has methods of its own called `send`, `feed`, `flush` and `close`, which are found first.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_until(cx, Side::Send, Until::Room));
        Poll::Ready(self.end_as_error())
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        Ok(self.act(|connection| connection.send_promised(message))?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_until(cx, Side::Send, Until::Written));
        Poll::Ready(self.end_as_error())
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.connection.is_open() {
            self.act(|connection| connection.close(now(), Some(CloseCode::NORMAL), ""))?;
            // There is a nearer deadline now, and a task that only receives has its timer at the old one.
            self.wakers.wake(Side::Receive);
        }
        ready!(self.poll_until(cx, Side::Send, Until::Written));
        Poll::Ready(Ok(()))
    }
}
