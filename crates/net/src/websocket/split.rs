//! Two tasks at once: the receiver owns the connection, the sender is a bounded queue to it.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{self, error::TrySendError};
use trunkline_websocket::{CloseCode, Closed, Message, Prepared};

use super::WebSocket;
use super::drive::Until;
use super::wakers::Side;
use crate::error::Error;

/// Messages that may wait for the receiver to take them, beside what [`Limits::outgoing`] holds.
///
/// [`Limits::outgoing`]: trunkline_websocket::Limits::outgoing
const QUEUE: usize = 16;

/// The sending half. Cloning it gives another way into the same queue, which has room for 16 messages.
///
/// Messages leave when the [`Receiver`] is polled. When the last sender is dropped nothing happens: close with
/// [`Sender::close`], or let the receiver go.
#[derive(Clone, Debug)]
pub struct Sender {
    queue: mpsc::Sender<Order>,
    goodbye: mpsc::Sender<Goodbye>,
}

/// The receiving half, which owns the connection and drives it: poll [`Receiver::recv`] without pause. Messages come whole;
/// to have them in pieces, keep the [`WebSocket`] in one.
#[derive(Debug)]
pub struct Receiver<S> {
    socket: WebSocket<S>,
    queue: mpsc::Receiver<Order>,
    goodbye: mpsc::Receiver<Goodbye>,
}

#[derive(Debug)]
enum Order {
    Message(Message),
    Uncompressed(Message),
    Prepared(Prepared),
}

/// Our Close frame. Not one of the orders: those wait for room, which a remote that does not read never makes.
type Goodbye = (CloseCode, String);

pub(super) fn split<S>(socket: WebSocket<S>) -> (Sender, Receiver<S>) {
    let (orders, queue) = mpsc::channel(QUEUE);
    // The first goodbye counts; there is no use for a second.
    let (farewell, goodbye) = mpsc::channel(1);
    (Sender { queue: orders, goodbye: farewell }, Receiver { socket, queue, goodbye })
}

/// The connection has ended, or its [`Receiver`] is gone: the message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended: nothing more can be sent")]
pub struct Ended;

impl Sender {
    /// Queues a message, waiting for a place in the queue.
    ///
    /// # Errors
    ///
    /// [`Ended`] if the connection is closing or gone. A message that was queued before may still not arrive: only the
    /// remote can tell.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the message was not queued.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), Ended> {
        self.order(Order::Message(message.into())).await
    }

    /// Queues a message that is not to be compressed; see [`WebSocket::send_uncompressed`]. Otherwise as
    /// [`send`](Self::send).
    pub async fn send_uncompressed(&self, message: impl Into<Message>) -> Result<(), Ended> {
        self.order(Order::Uncompressed(message.into())).await
    }

    /// Queues a message that was framed once for many; see [`Prepared`].
    pub async fn send_prepared(&self, prepared: Prepared) -> Result<(), Ended> {
        self.order(Order::Prepared(prepared)).await
    }

    /// Closes: what was queued before leaves, then our Close frame. The receiver then ends with the remote's answer, or
    /// after [`Limits::close_timeout`]. Returns at once; messages that still wait for a place in the queue are not sent.
    ///
    /// A reason is cut at the last character that fits into 123 bytes.
    ///
    /// # Errors
    ///
    /// [`Ended`] if the connection is gone. Closing one that is closing already changes nothing.
    ///
    /// [`Limits::close_timeout`]: trunkline_websocket::Limits::close_timeout
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), Ended> {
        let reason = &reason[..reason.floor_char_boundary(trunkline_websocket::close::MAX_REASON)];
        match self.goodbye.try_send((code, reason.to_owned())) {
            Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Ended),
        }
    }

    async fn order(&self, order: Order) -> Result<(), Ended> {
        self.queue.send(order).await.map_err(|_| Ended)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    /// The next message; as [`WebSocket::recv`], and cancel-safe as that. Sends what the senders queued.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_recv(cx)).await;
        self.socket.take_received()
    }

    /// How the connection ended, once it has.
    pub fn closed(&self) -> Option<&Closed> {
        self.socket.closed()
    }

    /// The connection itself, for what it can tell.
    pub fn get_ref(&self) -> &WebSocket<S> {
        &self.socket
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.take_goodbye(cx);
            let asleep = self.take_orders(cx);
            let poll = self.socket.poll_until(cx, Side::Receive, Until::Message);
            if !self.socket.connection.is_open() {
                // Closing or closed: senders that wait for a place shall learn it now.
                self.queue.close();
            }
            if self.socket.stream().is_none() {
                self.goodbye.close();
            }
            if poll.is_ready() {
                return Poll::Ready(());
            }
            // Writing may have made room, and only a queue that has been asked wakes this task.
            if asleep || !self.socket.has_room() {
                return Poll::Pending;
            }
        }
    }

    /// Takes orders while there is room for them. Whether the queue is empty and will wake this task.
    fn take_orders(&mut self, cx: &mut Context<'_>) -> bool {
        while self.socket.has_room() {
            let Poll::Ready(Some(order)) = self.queue.poll_recv(cx) else { return true };
            self.carry_out(order);
        }
        false
    }

    /// Begins to close, if a sender has said so: with all that is queued, room or not. That is [`QUEUE`] messages at
    /// the most.
    fn take_goodbye(&mut self, cx: &mut Context<'_>) {
        let Poll::Ready(Some((code, reason))) = self.goodbye.poll_recv(cx) else { return };
        self.queue.close();
        while let Ok(order) = self.queue.try_recv() {
            self.carry_out(order);
        }
        // The sender has cut the reason to length, so there is nothing to refuse.
        let _ = self.socket.start_close(code, &reason);
    }

    fn carry_out(&mut self, order: Order) {
        let result = match order {
            Order::Message(message) => self.socket.act(|connection| connection.send_promised(message)),
            Order::Uncompressed(message) => {
                self.socket.act(|connection| connection.send_uncompressed_promised(message))
            }
            Order::Prepared(prepared) => {
                self.socket.act(|connection| connection.send_prepared_promised(&prepared))
            }
        };
        if result.is_err() {
            // Closing or closed: senders shall learn it at their next call.
            self.queue.close();
        }
    }
}
