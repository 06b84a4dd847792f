//! Messages where they lie: a handler is called with each, and what it answers leaves in one write.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use trunkline_websocket::{CloseCode, Connection, Event, Message, MessageRef, Misuse, Prepared};

use super::drive::{Taker, Until};
use super::held::{Held, Ready};
use super::wakers::Side;
use super::{WebSocket, now};
use crate::error::Error;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Calls `handler` with every message, where it lies in the thread's receive buffer, until the handler breaks or the
    /// connection ends. The fastest way to receive: nothing is allocated or copied for a message that arrived whole, and the
    /// answers to all that arrived at once leave in one write.
    ///
    /// The handler cannot wait. For a message that takes waiting it returns [`ControlFlow::Break`], with the message
    /// ([`Received::into_message`]) or whatever it made of it; call `handle` again to go on with the one behind it. While the
    /// remote does not read its answers, past [`Limits::outgoing`], the handler is not called.
    ///
    /// `None` and errors as for [`recv`](Self::recv).
    ///
    /// ```no_run
    /// # use std::{convert::Infallible, ops::ControlFlow};
    /// # async fn echo<S>(mut socket: trunkline_net::WebSocket<S>) -> Result<(), trunkline_net::Error>
    /// # where S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {
    /// let end = socket
    ///     .handle(|received, replies| {
    ///         // After our own Close frame nothing is sent any more.
    ///         let _ = replies.send_back(received);
    ///         ControlFlow::<Infallible>::Continue(())
    ///     })
    ///     .await;
    /// # end.transpose().map(drop)
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// No message is lost when this future is dropped: the handler has seen it, or the next call gives it. Answers that were
    /// queued leave with the next call of any kind.
    ///
    /// [`Limits::outgoing`]: trunkline_websocket::Limits::outgoing
    pub async fn handle<B, H>(&mut self, mut handler: H) -> Option<Result<B, Error>>
    where
        H: FnMut(Received<'_>, &mut Replies<'_>) -> ControlFlow<B>,
    {
        std::future::poll_fn(|cx| self.poll_handle(cx, &mut handler)).await
    }

    /// [`handle`](Self::handle), for futures that are written by hand: one allocation or state less.
    pub fn poll_handle<B, H>(
        &mut self,
        cx: &mut Context<'_>,
        handler: &mut H,
    ) -> Poll<Option<Result<B, Error>>>
    where
        H: FnMut(Received<'_>, &mut Replies<'_>) -> ControlFlow<B>,
    {
        let mut calls = Calls { handler, broke: None };
        self.want_whole();
        // What another call has read before.
        if let Some(Ready::Message(message)) = self.held.take_ready() {
            calls.call(message.into(), &mut self.connection);
        }
        if calls.broke.is_none() {
            ready!(self.poll_with(cx, Side::Receive, Until::Broken, &mut calls));
        }
        Poll::Ready(match calls.broke {
            Some(broke) => Some(Ok(broke)),
            None => self.take_received().and_then(Result::err).map(Err),
        })
    }
}

/// A message as it was received: borrowed from the thread's buffer where it came whole, owned where it had to be put
/// together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<'a>(Payload<'a>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Payload<'a> {
    Text(Cow<'a, str>),
    Binary(Cow<'a, [u8]>),
    Whole(Message),
}

impl Received<'_> {
    /// The message, borrowed.
    pub fn as_ref(&self) -> MessageRef<'_> {
        match &self.0 {
            Payload::Text(text) => MessageRef::Text(text),
            Payload::Binary(data) => MessageRef::Binary(data),
            Payload::Whole(message) => message.into(),
        }
    }

    /// The payload's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.as_ref().as_bytes()
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        self.as_ref().as_text()
    }

    /// The message to keep: copied where it is borrowed.
    pub fn into_message(self) -> Message {
        match self.0 {
            Payload::Text(text) => text.into_owned().into(),
            Payload::Binary(data) => data.into_owned().into(),
            Payload::Whole(message) => message,
        }
    }

    fn is_owned(&self) -> bool {
        !matches!(&self.0, Payload::Text(Cow::Borrowed(_)) | Payload::Binary(Cow::Borrowed(_)))
    }
}

impl From<Message> for Received<'_> {
    fn from(message: Message) -> Self {
        Self(Payload::Whole(message))
    }
}

/// What a handler answers. Nothing is written before the handler has seen all that arrived.
#[derive(Debug)]
pub struct Replies<'a> {
    connection: &'a mut Connection,
}

impl<'a> Replies<'a> {
    pub(super) fn to(connection: &'a mut Connection) -> Self {
        Self { connection }
    }

    /// Queues a message, room or not: what one message is answered with is the handler's to bound.
    ///
    /// # Errors
    ///
    /// [`Misuse::AfterClose`] after our own Close frame.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Misuse> {
        self.connection.send_promised(message.into())
    }

    /// As [`send`](Self::send), for a message that lies elsewhere: a short one is copied into the output, and nothing is
    /// allocated.
    pub fn send_ref<'m>(&mut self, message: impl Into<MessageRef<'m>>) -> Result<(), Misuse> {
        self.connection.send_ref_promised(message.into())
    }

    /// As [`send`](Self::send), with what was received, in the cheapest way there is.
    pub fn send_back(&mut self, received: Received<'_>) -> Result<(), Misuse> {
        if received.is_owned() {
            self.connection.send_promised(received.into_message())
        } else {
            self.connection.send_ref_promised(received.as_ref())
        }
    }

    /// As [`send`](Self::send), for a message that was framed once for many.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Misuse> {
        self.connection.send_prepared_promised(prepared)
    }

    /// Begins to close; see [`WebSocket::start_close`]. The handler still sees what arrives before the remote's Close frame.
    ///
    /// # Errors
    ///
    /// [`Misuse`] for a reason over 123 bytes.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Misuse> {
        self.connection.close(now(), Some(code), reason)
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.connection.buffered()
    }
}

/// Gives messages to a handler until it breaks.
struct Calls<'h, H, B> {
    handler: &'h mut H,
    broke: Option<B>,
}

impl<H, B> Calls<'_, H, B>
where
    H: FnMut(Received<'_>, &mut Replies<'_>) -> ControlFlow<B>,
{
    fn call(&mut self, received: Received<'_>, connection: &mut Connection) {
        if let ControlFlow::Break(broke) = (self.handler)(received, &mut Replies { connection }) {
            self.broke = Some(broke);
        }
    }
}

impl<H, B> Taker for Calls<'_, H, B>
where
    H: FnMut(Received<'_>, &mut Replies<'_>) -> ControlFlow<B>,
{
    #[inline]
    fn take(&mut self, event: Event<'_>, connection: &mut Connection, _: &mut Held) {
        match event {
            Event::Text(text) => self.call(Received(Payload::Text(text)), connection),
            Event::Binary(data) => self.call(Received(Payload::Binary(data)), connection),
            _ => {}
        }
    }

    #[inline]
    fn wants_more(&self, connection: &Connection, _: &Held) -> bool {
        // Nothing can be sent after our Close frame, so there is nothing that needs room.
        self.broke.is_none() && (connection.has_room() || !connection.is_open())
    }

    fn is_done(&self) -> bool {
        self.broke.is_some()
    }
}
