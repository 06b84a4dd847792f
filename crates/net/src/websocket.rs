//! One WebSocket connection over any stream. It spawns nothing: whoever calls it, drives it.

mod drive;
mod frames;
mod handle;
mod held;
mod pieces;
mod reading;
mod split;
mod stream_sink;
mod waits;
mod wakers;

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use trunkline_websocket::deflate::Variant;
use trunkline_websocket::{CloseCode, Closed, Connection, Counters, Limits, Message, Prepared, Role, Setup};

use self::drive::Until;
use self::held::{Held, Ready};
use self::waits::Waits;
use self::wakers::{Side, Wakers};
use crate::error::Error;
use crate::shelf::shelf;
use crate::timers::Alarm;

pub use self::handle::{Received, Replies};
pub use self::pieces::{MessageReader, MessageWriter};
pub use self::split::{Ended, Receiver, Sender};

/// A WebSocket connection.
///
/// Made by [`accept`](crate::accept()), [`connect`](crate::connect()), or [`WebSocket::from_upgraded`] where
/// something else has read the HTTP request.
///
/// **Whoever reads, keeps the connection alive.** [`recv`](Self::recv) does all that a connection owes while it waits:
/// it writes what is queued, answers Pings, asks an idle remote for a sign of life, and ends a dead one. Reading never
/// waits for writing. An application that only sends should [`split`](Self::split) and poll the receiver.
///
/// **Cancel safety.** Every future here may be dropped at any time, as `select!` does, and the stream stays in step:
/// parsing happens in memory and never across an `await`. What each call has done when it is dropped is said there.
///
/// **Memory.** A connection holds buffers only while bytes are under way; an idle one holds none.
pub struct WebSocket<S> {
    id: u64,
    /// `None` once the connection has ended and the stream was closed.
    stream: Option<S>,
    connection: Connection,
    held: Held,
    /// The message that comes in pieces is not wanted any more.
    skipping: bool,
    alarm: Alarm,
    wakers: Wakers,
    ended: Option<Box<Ending>>,
    /// An error of the stream, to be told with the end that follows from it.
    failed: Option<io::Error>,
    /// The stream took bytes that it may not have passed on yet.
    unflushed: bool,
    /// Messages given since the last write.
    unwritten: u8,
    waits: Waits,
    /// The remote's direction of the stream has ended, and we still owe it something.
    read_over: bool,
    /// Our direction of the stream is shut down.
    shut: bool,
    /// Frames are told of by us, while anybody looks at the log, and not by an observer of the application's.
    own_observer: bool,
    subprotocol: Option<Box<str>>,
}

/// The end, kept for whoever asks.
struct Ending {
    closed: Closed,
    error: Option<Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A connection over a stream on which the opening handshake is already done, by an HTTP framework for example.
    ///
    /// `leftover` is what the framework had read past the request's head; it may be empty. `setup` can be [`Limits`]
    /// alone, shared or not; with extensions it says what was agreed on. The runtime needs its timer enabled.
    pub fn from_upgraded(stream: S, leftover: Bytes, role: Role, setup: impl Into<Setup>) -> Self {
        let mut setup = setup.into();
        setup.shelf.get_or_insert_with(shelf);
        let own_observer = setup.observer.is_none();
        let id = frames::next_id();
        frames::opened(id, role);
        Self {
            id,
            stream: Some(stream),
            connection: Connection::new(role, setup, now()),
            held: Held::of_input(leftover),
            skipping: false,
            alarm: Alarm::default(),
            wakers: Wakers::default(),
            ended: None,
            failed: None,
            unflushed: false,
            unwritten: 0,
            waits: Waits::default(),
            read_over: false,
            shut: false,
            own_observer,
            subprotocol: None,
        }
    }

    pub(crate) fn with_subprotocol(mut self, subprotocol: Option<&str>) -> Self {
        self.subprotocol = subprotocol.map(Into::into);
        self
    }

    /// The next message.
    ///
    /// `None` after the closing handshake: [`closed`](Self::closed) then has its code and reason. Any other ending is
    /// told once as an error and is `None` from then on. The end is told when it is complete, our Close frame written
    /// and the stream closed, which takes [`Limits::close_timeout`] at the most.
    ///
    /// # Cancel safety
    ///
    /// No message is lost when this future is dropped: the next call gives it.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_until(cx, Side::Receive, Until::Message)).await;
        self.take_received()
    }

    /// Sends a message and waits until the stream has taken it.
    ///
    /// What has arrived is read up to the next message, so that Pings are answered and an end is noticed.
    /// Two ends that both only send, each more than the path holds, still wait for each other: somebody has to
    /// receive. Use [`split`](Self::split) where both happen at once.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] after our own Close frame; otherwise how the connection ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for room, the message was not taken. Dropped later it is queued whole, and leaves with
    /// the next call of any kind. Never is half a frame sent.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Queues a message, waiting only for room: for several in a row, with one [`flush`](Self::flush) behind them.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the message was not taken.
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.room().await?;
        Ok(self.act(|connection| connection.send(message.into()))?)
    }

    /// As [`send`](Self::send), and never compressed: for what is compressed already, and for secrets beside what others
    /// can choose, whose length would give them away.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub async fn send_uncompressed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed_uncompressed(message).await?;
        self.flush().await
    }

    /// As [`feed`](Self::feed), and never compressed; see [`send_uncompressed`](Self::send_uncompressed).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the message was not taken.
    pub async fn feed_uncompressed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.room().await?;
        Ok(self.act(|connection| connection.send_uncompressed(message.into()))?)
    }

    /// Queues a message that was framed once for many; see [`Prepared`]. Otherwise as [`feed`](Self::feed).
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.room().await?;
        Ok(self.act(|connection| connection.send_prepared(prepared))?)
    }

    /// Waits until all that is queued has been taken by the stream.
    ///
    /// # Errors
    ///
    /// How the connection ended, if it did before all was written.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; the next call goes on.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_until(cx, Side::Send, Until::Written)).await;
        self.end_as_error()
    }

    /// Queues a Ping of the application's own, at most 125 bytes. Keepalive needs none, see
    /// [`Limits::ping_interval`].
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] if it is too long, if the outgoing mark is passed, or after the end.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        Ok(self.act(|connection| connection.ping(payload))?)
    }

    /// Closes: what is queued leaves, then our Close frame; the remote's is awaited and the stream closed.
    ///
    /// Messages that still arrive are thrown away; receive until `None` first to have them. Bounded by
    /// [`Limits::close_timeout`] for what is queued and the remote's frame, and again for the end of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] for a reason over 123 bytes. A remote that does not answer is no error here: look at
    /// [`Closed::is_clean`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the Close frame is queued and [`recv`](Self::recv) goes on with the handshake.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed, Error> {
        self.start_close(code, reason)?;
        poll_fn(|cx| self.poll_until(cx, Side::Send, Until::Ended)).await;
        match &self.ended {
            Some(ended) => Ok(ended.closed.clone()),
            // The drive ends only with an end; without one there is nothing to report but the misuse.
            None => Err(Error::Misuse(trunkline_websocket::Misuse::AfterClose)),
        }
    }

    /// Queues our Close frame and returns; [`recv`](Self::recv) then goes on until the remote's has come.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] for a reason over 123 bytes.
    pub fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        Ok(self.act(|connection| connection.close(now(), Some(code), reason))?)
    }

    /// A sender and a receiver that two tasks may use at once.
    ///
    /// The receiver owns the connection and **must be polled**: it is what writes. The sender is a bounded queue to
    /// it, and may be cloned.
    pub fn split(self) -> (Sender, Receiver<S>) {
        split::split(self)
    }

    async fn room(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_until(cx, Side::Send, Until::Room)).await;
        self.end_as_error()
    }
}

impl<S> WebSocket<S> {
    /// How the connection ended, once it has.
    pub fn closed(&self) -> Option<&Closed> {
        self.ended.as_ref().map(|ended| &ended.closed)
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The time between the last keepalive Ping and its Pong, once there was one.
    pub fn rtt(&self) -> Option<Duration> {
        self.connection.round_trip()
    }

    /// Whether a message could be queued at once.
    pub fn has_room(&self) -> bool {
        self.connection.has_room()
    }

    /// Bytes that wait to be written, frame headers included; what pages know as `bufferedAmount`, with headers.
    pub fn queued(&self) -> usize {
        self.connection.buffered()
    }

    /// A number that no other connection of this process has; the frame log has it too.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What has gone over the connection so far.
    pub fn counters(&self) -> Counters {
        self.connection.counters()
    }

    /// How a message can be compressed once for many connections such as this; see [`Prepared::deflated`]. `None` without
    /// permessage-deflate, and where this end's messages are compressed with a memory of earlier ones.
    pub fn deflate_variant(&self) -> Option<Variant> {
        self.connection.deflate_variant()
    }

    /// The shortest message that is compressed, in bytes; `None` without permessage-deflate.
    pub fn deflate_threshold(&self) -> Option<usize> {
        self.connection.deflate_threshold()
    }

    /// The bounds of this connection.
    pub fn limits(&self) -> &Limits {
        self.connection.limits()
    }

    /// The stream below, until it was closed.
    pub fn stream(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    /// Does something that may queue frames, so that they are logged with the connection's id.
    fn act<R>(&mut self, act: impl FnOnce(&mut Connection) -> R) -> R {
        let _span = frames::enter(self.id, &mut self.connection, self.own_observer);
        act(&mut self.connection)
    }

    fn take_received(&mut self) -> Option<Result<Message, Error>> {
        if let Some(Ready::Message(message)) = self.held.take_ready() {
            return Some(Ok(message));
        }
        self.ended.as_mut()?.error.take().map(Err)
    }

    /// Why a message that has begun will never be complete: the end is an error here, orderly or not.
    fn end_of_a_message(&mut self) -> Error {
        let told = |ended: &mut Box<Ending>| {
            ended.error.take().unwrap_or_else(|| Error::Closed(ended.closed.clone()))
        };
        // Without an end nothing but a piece could have been waited for.
        self.ended.as_mut().map_or(Error::Misuse(trunkline_websocket::Misuse::NoMessageOpen), told)
    }

    /// Whether nothing will ever be received again.
    fn is_over(&self) -> bool {
        let told = self.ended.as_ref().is_some_and(|ended| ended.error.is_none());
        told && self.held.ready().is_none() && self.stream.is_none()
    }

    /// For the sending side: the end is an error each time, and stays for the receiving side to be told.
    fn end_as_error(&self) -> Result<(), Error> {
        match (&self.ended, &self.failed) {
            (Some(ended), _) => Err(Error::Closed(ended.closed.clone())),
            // Something that was queued will never leave, though the remote's last words may still have to be read.
            (None, Some(failed)) => Err(Error::Io(failed.kind().into())),
            (None, None) => Ok(()),
        }
    }
}

impl<S> std::fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket")
            .field("id", &self.id)
            .field("subprotocol", &self.subprotocol)
            .field("queued", &self.queued())
            .field("closed", &self.closed())
            .finish_non_exhaustive()
    }
}

/// The runtime's clock, which tests can hold still.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}
