//! THE state machine of a WebSocket connection (RFC 6455 sections 5 to 7), for both roles.
//!
//! ```text
//!            send / receive                         deadline: Ping, then Pong
//!          +----------------+                     +---------------------------+
//!          v                |                     v                           |
//!        OPEN --------------+---------------------+---------------------------+
//!          |            |                         |                    |
//!          | close()    | Close received,         | violation,         | end of stream
//!          v            | ours queued             | or no Pong;        |
//!       CLOSING         |                         | Close queued       |
//!          |            |                         |                    |
//!          | Close received, or violation         |                    |
//!          +----------->+<------------------------+                    |
//!          |            v                                              |
//!          |         ENDING  what we owe leaves, the stream ends       |
//!          |            |                                              |
//!          | deadline   | written and the stream ended, or deadline    |
//!          | or end of  v                                              |
//!          | stream    GONE <------------------------------------------+
//!          +----------->^
//! ```
//!
//! Every way out of OPEN and CLOSING goes through [`Connection::finish`], which is why there is exactly one
//! [`Event::Closed`]. All transitions are in this file and in `end`, which has what leads there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::assembler::Assembler;
use crate::close::{self, Cause, CloseCode, Closed, Why};
use crate::config::{Limits, Role};
use crate::deflate::{NoShelf, Variant};
use crate::error::Misuse;
use crate::event::Event;
use crate::frame::{Header, HeaderReader, OpCode};
use crate::keepalive::Keepalive;
use crate::leniency::Leniency;
use crate::observe::{Counters, Observer};
use crate::output::{Output, OutputBuffer};
use crate::setup::Setup;

mod compression;
mod direct;
mod end;
mod pieces;
mod receive;
mod send;
mod tally;
mod whole;

use compression::Compression;
use pieces::Outgoing;
use tally::Tally;

pub use receive::Events;

/// One WebSocket connection, from the end of its opening handshake.
///
/// The crate's documentation shows the run loop. After any call, look at [`Connection::poll_event`],
/// [`Connection::poll_transmit`], [`Connection::poll_timeout`] and [`Connection::after_write`] again.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    limits: Arc<Limits>,
    leniency: Leniency,
    observer: Option<Observer>,
    state: State,
    /// What is there of a frame, or of a message, until it is whole. `None` between messages, which is nearly always.
    incoming: Option<Box<Incoming>>,
    /// Whether messages that begin from now on are given piece by piece.
    by_piece: bool,
    /// Nobody wants the messages that still arrive.
    discarding: bool,
    /// The length of the last message, in bytes, if it was so large that another of its kind is expected; otherwise 0.
    large: u32,
    /// The message that is being sent piece by piece.
    outgoing: Option<Outgoing>,
    /// What permessage-deflate needs, until the end.
    compression: Option<Box<Compression>>,
    output: Output,
    keepalive: Keepalive,
    tally: Tally,
    /// The end, until the application has been told.
    untold: Option<Box<Closed>>,
}

#[derive(Debug)]
enum State {
    Open,
    /// Our Close frame is queued or sent, the remote's is awaited.
    Closing {
        since: Instant,
    },
    /// The application knows the end; what we owe has to leave, then the stream ends.
    Ending {
        since: Instant,
        how: AfterWrite,
    },
    Gone,
}

/// What to do with the stream once everything that waits is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterWrite {
    /// Go on reading.
    Read,
    /// The closing handshake is done and this is the client: "the server MUST close the connection immediately, the
    /// client SHOULD wait" (section 7.1.1). Read on, and throw away, until the stream ends or the deadline passes.
    AwaitEnd,
    /// The remote broke a rule: end our direction, then read on and throw away as in [`AfterWrite::AwaitEnd`].
    /// Closing a socket with unread bytes sends a reset, which can overtake the Close frame that says why.
    ShutdownThenAwaitEnd,
    /// End the stream once everything is written.
    Drop,
    /// End the stream now, whatever still waits: the remote is gone, or its time is over.
    DropAtOnce,
}

#[derive(Debug, Default)]
struct Incoming {
    reading: Reading,
    assembler: Assembler,
}

#[derive(Debug)]
enum Reading {
    Header(HeaderReader),
    Data { header: Header, done: u64 },
    Control { header: Header, body: Vec<u8> },
}

impl Default for Reading {
    fn default() -> Self {
        Self::Header(HeaderReader::default())
    }
}

impl Incoming {
    /// Whether the next byte begins a frame that begins a message: nothing has to be remembered.
    fn is_at_rest(&self) -> bool {
        matches!(&self.reading, Reading::Header(reader) if reader.is_empty()) && !self.assembler.in_message()
    }
}

impl Connection {
    /// A connection whose opening handshake has just been completed. Limits alone are a [`Setup`] too.
    pub fn new(role: Role, setup: impl Into<Setup>, now: Instant) -> Self {
        let setup = setup.into();
        Self {
            role,
            limits: setup.limits,
            leniency: setup.leniency,
            observer: setup.observer,
            state: State::Open,
            incoming: None,
            by_piece: false,
            discarding: false,
            large: 0,
            outgoing: None,
            compression: setup.deflate.map(|agreed| {
                let shelf = setup.shelf.unwrap_or(&NoShelf);
                Box::new(Compression::new(agreed, role.is_server(), shelf))
            }),
            output: Output::default(),
            keepalive: Keepalive::new(now),
            tally: Tally::default(),
            untold: None,
        }
    }

    /// From below: bytes that arrived. Never fails: a violation is an event and a Close frame.
    ///
    /// The input is unmasked in place. Iterate until `None`, or stop earlier and give the bytes behind
    /// [`Events::consumed`] again.
    pub fn receive<'b>(&mut self, now: Instant, input: &'b mut [u8]) -> Events<'_, 'b> {
        if !input.is_empty() {
            self.keepalive.heard(now, self.output.written());
        }
        Events::new(self, input, now)
    }

    /// From below: the stream has ended, in whatever way. What follows is an [`Event::Closed`] from
    /// [`Connection::poll_event`], unless one has been given already.
    ///
    /// There is no difference between an end and a reset, nor between a frame boundary and the middle of a frame: a
    /// disconnect at any byte is normal, and a partial message is dropped.
    pub fn receive_end(&mut self, now: Instant) {
        self.finish(now, Closed { code: 1006, reason: String::new(), cause: Cause::StreamEnded });
        self.state = State::Gone;
    }

    /// From above: begins the closing handshake (section 7.1.2). Messages that are queued leave first.
    ///
    /// Without a code the Close frame is empty, which the remote sees as 1005. Does nothing where the end has begun
    /// already.
    pub fn close(&mut self, now: Instant, code: Option<CloseCode>, reason: &str) -> Result<(), Misuse> {
        let body = close::encode_body(code, reason)?;
        if matches!(self.state, State::Open) {
            self.begin_close(now, &body);
        }
        Ok(())
    }

    /// To above: what is not borrowed from input, which is the end by a deadline or by the end of the stream.
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        self.untold.take().map(|closed| Event::Closed(*closed))
    }

    /// To below: what waits to be written, if anything does. Write some, [`advance`](bytes::Buf::advance), ask again.
    pub fn poll_transmit(&mut self) -> Option<&mut Output> {
        if let Some(payload) = self.output.release_pong() {
            self.answer_ping(&payload);
        }
        (!self.output.is_empty()).then_some(&mut self.output)
    }

    /// To below: lends memory to write into, unless the connection has memory of its own just now; then it is given back.
    /// Not needed: without it the connection allocates, and frees when all is written.
    pub fn lend(&mut self, buffer: OutputBuffer) -> Option<OutputBuffer> {
        self.output.lend(buffer)
    }

    /// To below: gives what was lent back, if anything was. What still waits in it is copied to memory of the connection's
    /// own.
    pub fn reclaim(&mut self) -> Option<OutputBuffer> {
        self.output.reclaim()
    }

    /// To below: what becomes of the stream once [`Connection::poll_transmit`] has nothing more.
    pub fn after_write(&self) -> AfterWrite {
        match self.state {
            State::Open | State::Closing { .. } => AfterWrite::Read,
            State::Ending { how, .. } => how,
            State::Gone => AfterWrite::DropAtOnce,
        }
    }

    /// The one deadline that is set, and why. One that no [`Instant`] can express is none.
    pub fn poll_timeout(&self) -> Option<(Instant, Why)> {
        let close = |since: Instant| since.checked_add(self.limits.close_timeout?);
        match self.state {
            State::Open => self.keepalive.deadline(&self.limits),
            State::Closing { since } => Some((close(since)?, Why::Close)),
            State::Ending { since, .. } => Some((close(since)?, Why::Linger)),
            State::Gone => None,
        }
    }

    /// Does what has become due at `now`; nothing if nothing has.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some((_, why)) = self.poll_timeout().filter(|(at, _)| *at <= now) else { return };
        match why {
            // One Ping on its way is enough: a remote that talks and does not read must not gather them.
            Why::Ping if self.keepalive.is_queued(self.output.written()) => self.keepalive.asked_already(now),
            Why::Ping => {
                let payload = self.keepalive.asked(now);
                let alone = self.output.is_empty();
                self.queue_control(OpCode::Ping, &payload);
                let end = self.output.end();
                self.keepalive.queued(end, if alone { end } else { self.output.written() });
            }
            Why::Pong if self.keepalive.on_its_way(self.output.written(), now) => {}
            Why::Pong => {
                // The remote may hear us though we do not hear it, so it is told, and told who failed whom.
                self.queue_close(CloseCode::POLICY, "no answer to a ping");
                self.time_out(now, why, self.limits.pong_timeout);
            }
            Why::Close => {
                self.time_out(now, why, self.limits.close_timeout);
                self.state = State::Gone;
            }
            Why::Linger => self.state = State::Gone,
            Why::Handshake => {}
        }
    }

    /// To below: who is told of frames from now on, in place of [`Setup::observer`].
    pub fn observe(&mut self, observer: Option<Observer>) {
        self.observer = observer;
    }

    /// Nothing more is read: "MUST NOT continue to attempt to process data" (section 7.1.7).
    fn reads_nothing(&self) -> bool {
        matches!(self.state, State::Ending { .. } | State::Gone)
    }

    /// Whether messages can still be sent.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether sending would not meet [`Misuse::Full`].
    pub fn has_room(&self) -> bool {
        // Whatever the mark, one message may overshoot it.
        self.output.is_empty() || self.output.len() < self.limits.outgoing
    }

    /// Bytes that wait to be written.
    pub fn buffered(&self) -> usize {
        self.output.len()
    }

    /// The time between the last keepalive Ping and its Pong, once there was one.
    pub fn round_trip(&self) -> Option<Duration> {
        self.keepalive.round_trip()
    }

    /// What has gone over it so far.
    pub fn counters(&self) -> Counters {
        let compressed = self.compression.as_deref().map(Compression::totals).unwrap_or_default();
        self.tally.counters(self.output.written(), compressed)
    }

    /// Bytes that compressed messages have become, of [`Connection::counters`].
    pub fn inflated_bytes(&self) -> u64 {
        self.compression.as_deref().map_or(0, |compression| compression.totals().0.inflated)
    }

    /// Whether the remote waits for a Pong that is not written yet.
    pub fn owes_pong(&self) -> bool {
        self.output.owes_pong()
    }

    /// How a message can be compressed once for many connections such as this; see
    /// [`Prepared::deflated`](crate::Prepared::deflated). `None` without permessage-deflate, and where what we send reaches
    /// back over earlier messages ("context takeover"): nobody else can then do it.
    pub fn deflate_variant(&self) -> Option<Variant> {
        self.compression.as_ref()?.variant()
    }

    /// The shortest message that is compressed, in bytes; `None` without permessage-deflate.
    pub fn deflate_threshold(&self) -> Option<usize> {
        Some(self.compression.as_ref()?.threshold())
    }

    /// The bounds this connection was given.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Server or client.
    pub fn role(&self) -> Role {
        self.role
    }
}

#[cfg(test)]
mod tests;
