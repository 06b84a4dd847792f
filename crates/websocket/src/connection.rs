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
//! [`Event::Closed`]. All transitions are in this file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::close::{self, Cause, CloseCode, Closed, Why};
use crate::config::{Limits, Role};
use crate::error::{Misuse, Violation};
use crate::event::Event;
use crate::frame::{self, Header, HeaderReader, MAX_CONTROL, MAX_HEADER, OpCode};
use crate::keepalive::Keepalive;
use crate::mask;
use crate::message::{Assembler, Message, Prepared};
use crate::output::Output;
use crate::pongs::Pongs;

mod receive;

pub use receive::Events;

/// One WebSocket connection, from the end of its opening handshake.
///
/// The crate's documentation shows the run loop. After any call, look at [`Connection::poll_event`],
/// [`Connection::poll_transmit`], [`Connection::poll_timeout`] and [`Connection::after_write`] again.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    limits: Arc<Limits>,
    state: State,
    reading: Reading,
    assembler: Assembler,
    output: Output,
    pongs: Pongs,
    keepalive: Keepalive,
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

#[derive(Debug)]
enum Reading {
    Header(HeaderReader),
    Data {
        header: Header,
        done: u64,
    },
    Control {
        header: Header,
        body: Vec<u8>,
    },
    /// Nothing more is read: "MUST NOT continue to attempt to process data" (section 7.1.7).
    Nothing,
}

impl Connection {
    /// A connection whose opening handshake has just been completed.
    pub fn new(role: Role, limits: Arc<Limits>, now: Instant) -> Self {
        Self {
            role,
            limits,
            state: State::Open,
            reading: Reading::Header(HeaderReader::default()),
            assembler: Assembler::default(),
            output: Output::default(),
            pongs: Pongs::default(),
            keepalive: Keepalive::new(now),
            untold: None,
        }
    }

    /// From below: bytes that arrived. Never fails: a violation is an event and a Close frame.
    ///
    /// The input is unmasked in place. Iterate until `None`, or stop earlier and give the bytes behind
    /// [`Events::consumed`] again.
    pub fn receive<'b>(&mut self, now: Instant, input: &'b mut [u8]) -> Events<'_, 'b> {
        if !input.is_empty() {
            self.keepalive.heard(now);
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

    /// From above: queues a message.
    ///
    /// [`Misuse::Full`] past the outgoing mark: nothing was queued, write and try again.
    pub fn send(&mut self, message: Message) -> Result<(), Misuse> {
        self.may_send()?;
        self.send_promised(message)
    }

    /// From above: queues a message for which there was [room](Connection::has_room) when it was asked for. Pongs may
    /// have taken it since, and a promise is a promise.
    pub fn send_promised(&mut self, message: Message) -> Result<(), Misuse> {
        if !self.is_open() {
            return Err(Misuse::AfterClose);
        }
        self.queue(message.opcode(), message.into_bytes());
        Ok(())
    }

    /// From above: queues a message that was framed before; see [`Prepared`].
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Misuse> {
        self.may_send()?;
        self.send_prepared_promised(prepared)
    }

    /// As [`Connection::send_promised`], for a message that was framed before.
    pub fn send_prepared_promised(&mut self, prepared: &Prepared) -> Result<(), Misuse> {
        if !self.is_open() {
            return Err(Misuse::AfterClose);
        }
        match self.role {
            Role::Server => self.output.share(prepared.frame().clone()),
            Role::Client(_) => self.queue_copy(prepared.opcode(), prepared.payload()),
        }
        Ok(())
    }

    /// From above: queues a Ping of the application's own, at most 125 bytes. Keepalive needs none.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Misuse> {
        self.send_control(OpCode::Ping, payload)
    }

    /// From above: queues an unasked Pong, at most 125 bytes (section 5.5.3). Pings are answered without this.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Misuse> {
        self.send_control(OpCode::Pong, payload)
    }

    /// From above: begins the closing handshake (section 7.1.2). Messages that are queued leave first.
    ///
    /// Without a code the Close frame is empty, which the remote sees as 1005. Does nothing where the end has begun
    /// already.
    pub fn close(&mut self, now: Instant, code: Option<CloseCode>, reason: &str) -> Result<(), Misuse> {
        let body = close::encode_body(code, reason)?;
        if matches!(self.state, State::Open) {
            self.queue_copy(OpCode::Close, &body);
            self.state = State::Closing { since: now };
        }
        Ok(())
    }

    /// To above: what is not borrowed from input, which is the end by a deadline or by the end of the stream.
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        self.untold.take().map(|closed| Event::Closed(*closed))
    }

    /// To below: what waits to be written, if anything does. Write some, [`advance`](bytes::Buf::advance), ask again.
    pub fn poll_transmit(&mut self) -> Option<&mut Output> {
        if let Some(payload) = self.pongs.release(&self.output) {
            self.answer_ping(&payload);
        }
        (!self.output.is_empty()).then_some(&mut self.output)
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
                self.queue_copy(OpCode::Ping, &payload);
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

    /// The bounds this connection was given.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Server or client.
    pub fn role(&self) -> Role {
        self.role
    }
}

/// Sending.
impl Connection {
    fn may_send(&self) -> Result<(), Misuse> {
        match self.state {
            State::Open if self.has_room() => Ok(()),
            State::Open => Err(Misuse::Full { waiting: self.output.len(), limit: self.limits.outgoing }),
            _ => Err(Misuse::AfterClose),
        }
    }

    fn send_control(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), Misuse> {
        if payload.len() > MAX_CONTROL {
            return Err(Misuse::LongControl { limit: MAX_CONTROL, got: payload.len() });
        }
        self.may_send()?;
        self.queue_copy(opcode, payload);
        Ok(())
    }

    fn queue(&mut self, opcode: OpCode, payload: bytes::Bytes) {
        match self.role {
            Role::Server => {
                self.queue_header(opcode, payload.len(), None);
                self.output.share(payload);
            }
            Role::Client(_) => self.queue_copy(opcode, &payload),
        }
    }

    fn queue_copy(&mut self, opcode: OpCode, payload: &[u8]) {
        // "a fresh masking key MUST be chosen from the set of allowed 32-bit values" for each frame (section 5.3).
        let key = match self.role {
            Role::Server => None,
            Role::Client(source) => Some(source()),
        };
        self.queue_header(opcode, payload.len(), key);
        match key {
            None => self.output.copy(payload),
            Some(key) => self.output.copy_with(payload, |data| mask::apply(data, key, 0)),
        }
    }

    fn queue_header(&mut self, opcode: OpCode, len: usize, mask: Option<[u8; 4]>) {
        let mut bytes = [0; MAX_HEADER];
        let size = frame::encode(&Header { fin: true, rsv: 0, opcode, mask, len: len as u64 }, &mut bytes);
        self.output.copy(&bytes[..size]);
    }

    /// A Close frame of our own making; a reason that is too long is cut at the last character that fits.
    fn queue_close(&mut self, code: CloseCode, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(close::MAX_REASON)];
        let body = [&code.get().to_be_bytes(), reason.as_bytes()].concat();
        self.queue_copy(OpCode::Close, &body);
    }
}

/// Ending.
impl Connection {
    /// The one way to the end: tells the application once, drops a partial message, stops reading.
    fn finish(&mut self, now: Instant, closed: Closed) {
        if matches!(self.state, State::Ending { .. } | State::Gone) {
            return;
        }
        let how = match (&closed.cause, self.role) {
            (Cause::Violation(_), _) => AfterWrite::ShutdownThenAwaitEnd,
            // A remote that does not answer will not end the stream either.
            (Cause::TimedOut(..), _) => AfterWrite::Drop,
            (_, Role::Client(_)) => AfterWrite::AwaitEnd,
            (_, Role::Server) => AfterWrite::Drop,
        };
        self.state = State::Ending { since: now, how };
        self.untold = Some(Box::new(closed));
        self.assembler.clear();
        self.reading = Reading::Nothing;
    }

    fn time_out(&mut self, now: Instant, why: Why, limit: Option<Duration>) {
        let cause = Cause::TimedOut(why, limit.unwrap_or_default());
        self.finish(now, Closed { code: 1006, reason: String::new(), cause });
    }

    /// _Fail the WebSocket Connection_ (section 7.1.7): say why, then end.
    fn fail(&mut self, now: Instant, violation: Violation) {
        if matches!(self.state, State::Open) {
            self.queue_close(violation.close_code(), &violation.to_string());
        }
        self.finish(now, Closed { code: 1006, reason: String::new(), cause: Cause::Violation(violation) });
    }

    fn receive_close(&mut self, now: Instant, body: &[u8]) -> Result<(), Violation> {
        let (code, reason) = close::decode_body(body)?;
        let cause = if matches!(self.state, State::Closing { .. }) {
            Cause::ClosedByUs
        } else {
            // "When sending a Close frame in response, the endpoint typically echos the status code it received."
            self.queue_copy(OpCode::Close, body.get(..2).unwrap_or_default());
            Cause::ClosedByRemote
        };
        self.finish(now, Closed { code, reason: reason.to_owned(), cause });
        Ok(())
    }
}

/// Answering.
impl Connection {
    /// "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it already received a
    /// Close frame" (section 5.5.2).
    fn answer_ping(&mut self, payload: &[u8]) {
        if !self.is_open() {
            // Our Close frame is the last frame that we send.
            return;
        }
        if self.pongs.reserve(payload, &self.output) {
            self.queue_copy(OpCode::Pong, payload);
            self.pongs.queued(&self.output);
        }
    }
}

#[cfg(test)]
mod tests;
