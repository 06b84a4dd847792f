//! From bytes to events: one header or one stretch of payload at a time (RFC 6455 sections 5.2 to 5.5).
//!
//! Nothing here decides what becomes of the connection: a violation goes up to [`Connection::fail`], a Close frame to
//! [`Connection::receive_close`].

use std::borrow::Cow;
use std::time::Instant;

use super::{Connection, Incoming, Reading};
use crate::assembler::Manner;
use crate::deflate::{Inflated, Progress};
use crate::error::Violation;
use crate::event::{Event, Kind, Piece};
use crate::frame::{Expect, Header, HeaderReader, MAX_CONTROL, OpCode, RSV1};
use crate::mask;
use crate::observe::{FrameNote, Way};

/// The most bytes of a piece that had to be inflated.
const PIECE: usize = 16 << 10;

/// The most compressed bytes that are looked at for one: most do not have to be unmasked twice.
const INFLATE_AT_ONCE: usize = 4 << 10;

/// What has happened, one event at a time, from the bytes given to [`Connection::receive`].
#[derive(Debug)]
pub struct Events<'c, 'b> {
    pub(super) connection: &'c mut Connection,
    pub(super) input: &'b mut [u8],
    given: usize,
    pub(super) now: Instant,
}

impl<'c, 'b> Events<'c, 'b> {
    pub(super) fn new(connection: &'c mut Connection, input: &'b mut [u8], now: Instant) -> Self {
        Self { connection, given: input.len(), input, now }
    }

    /// How many bytes of the input have been used. All of them once the iterator has given `None`; else give the rest
    /// again, if only for what [`Connection::has_more`] tells.
    pub fn consumed(&self) -> usize {
        self.given - self.input.len()
    }

    /// The connection, to answer an event before the next is looked at. Whatever is done to it, the rest of the input is read
    /// as what the remote has sent: an answer comes too late for what is here already.
    pub fn connection(&mut self) -> &mut Connection {
        self.connection
    }
}

impl<'b> Iterator for Events<'_, 'b> {
    type Item = Event<'b>;

    #[inline]
    fn next(&mut self) -> Option<Event<'b>> {
        if let Some(event) = self.next_whole() {
            return Some(event);
        }
        let event = self.next_of_any_kind();
        self.connection.rest();
        event
    }
}

enum Step<'b> {
    Event(Event<'b>),
    Again,
    NeedMore,
}

impl<'b> Events<'_, 'b> {
    fn next_of_any_kind(&mut self) -> Option<Event<'b>> {
        loop {
            if let Some(event) = self.connection.poll_event() {
                return Some(event);
            }
            match self.step() {
                Ok(Step::Event(event)) => return Some(event),
                Ok(Step::Again) => {}
                Ok(Step::NeedMore) => return None,
                Err(violation) => self.connection.fail(self.now, violation),
            }
        }
    }

    /// One header or one stretch of payload. Each call consumes a byte, changes the state, or says that it cannot.
    fn step(&mut self) -> Result<Step<'b>, Violation> {
        if self.connection.reads_nothing() {
            self.input = &mut [];
            return Ok(Step::NeedMore);
        }
        match self.connection.incoming().reading {
            Reading::Header(_) => self.read_header(),
            Reading::Data { .. } => self.read_data(),
            Reading::Control { .. } => self.read_control(),
        }
    }

    fn read_header(&mut self) -> Result<Step<'b>, Violation> {
        let connection = &mut *self.connection;
        let (masked, leniency) = (connection.role.is_server(), connection.leniency);
        let rsv = if connection.compression.is_some() { RSV1 } else { 0 };
        let Incoming { reading, assembler } = connection.incoming();
        let expect = Expect { masked, rsv, in_message: assembler.in_message(), leniency };
        let Reading::Header(reader) = reading else { return Ok(Step::Again) };
        let (taken, header) = reader.receive(self.input, expect)?;
        self.take(taken);
        let Some(header) = header else { return Ok(Step::NeedMore) };
        if header.opcode.is_control() {
            self.connection.incoming().reading = Reading::Control { header, body: Vec::new() };
            return Ok(Step::Again);
        }
        let connection = &mut *self.connection;
        connection.note_received(&header, &[]);
        let manner = if connection.by_piece { Manner::Begun } else { Manner::Whole };
        let incoming = connection.incoming.get_or_insert_default();
        incoming.reading = Reading::Data { header, done: 0 };
        let begins =
            incoming.assembler.begin_frame(&header, manner, connection.large as usize, &connection.limits)?;
        Ok(match incoming.assembler.kind() {
            Some(kind) if begins && manner == Manner::Begun => Step::Event(Event::Begin(kind)),
            _ => Step::Again,
        })
    }

    fn read_data(&mut self) -> Result<Step<'b>, Violation> {
        let Reading::Data { header, done } = self.connection.incoming().reading else {
            return Ok(Step::Again);
        };
        let left = header.len - done;
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len());
        if here == 0 && left > 0 {
            return Ok(Step::NeedMore);
        }
        if self.connection.discarding {
            self.take(here);
            if self.advance(header, done, here) {
                self.connection.incoming().assembler.clear();
            }
            return Ok(Step::Again);
        }
        let kept = self.connection.incoming().assembler.manner() == Manner::Whole;
        if self.connection.incoming().assembler.is_deflated() {
            return if kept {
                self.keep_deflated(header, done, here)
            } else {
                self.give_deflated(header, done, here)
            };
        }
        let piece = self.take(here);
        unmask(piece, &header, done);
        if kept { self.keep(header, done, piece) } else { self.give(header, done, piece) }
    }

    fn keep(&mut self, header: Header, done: u64, piece: &'b [u8]) -> Result<Step<'b>, Violation> {
        if piece.len() as u64 == header.len && self.connection.incoming().assembler.is_single(&header) {
            return self.whole_in_input(piece);
        }
        self.connection.incoming().assembler.keep(piece)?;
        if self.advance(header, done, piece.len()) { self.whole() } else { Ok(Step::Again) }
    }

    fn keep_deflated(&mut self, header: Header, done: u64, here: usize) -> Result<Step<'b>, Violation> {
        let piece = self.take(here);
        unmask(piece, &header, done);
        let last = header.fin && done + here as u64 == header.len;
        self.connection.inflate_kept(piece, last)?;
        if self.advance(header, done, here) { self.whole() } else { Ok(Step::Again) }
    }

    fn give(&mut self, header: Header, done: u64, piece: &'b [u8]) -> Result<Step<'b>, Violation> {
        self.connection.incoming().assembler.judge(piece)?;
        let last = self.advance(header, done, piece.len());
        self.piece(Cow::Borrowed(piece), last)
    }

    /// Inflates no more than one piece's worth. What of the input was not needed for that stays where it is.
    fn give_deflated(&mut self, header: Header, done: u64, here: usize) -> Result<Step<'b>, Violation> {
        let connection = &mut *self.connection;
        // Without permessage-deflate no frame gets as far as this with RSV1 set.
        let Some(compression) = &mut connection.compression else { return Ok(Step::NeedMore) };
        let here = here.min(INFLATE_AT_ONCE);
        let ends = done + here as u64 == header.len;
        let last = header.fin && ends;
        let limit = connection.limits.streamed;
        let left = limit - compression.inflated();
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        let piece = &mut self.input[..here];
        unmask(piece, &header, done);
        let mut data = Vec::new();
        let inflated = compression.inflate(piece, last, room, connection.limits.inflate_ratio, &mut data);
        connection.incoming().assembler.judge(&data)?;
        let Inflated { used, state } = inflated?;
        // Masking is its own inverse: what is given again is as it came.
        unmask(&mut piece[used..], &header, done + used as u64);
        if state == Progress::NeedRoom && data.len() as u64 == left {
            return Err(Violation::MessageTooBig { limit, got: limit.saturating_add(1) });
        }
        self.take(used);
        let last = if state == Progress::NeedRoom {
            self.connection.incoming().reading = Reading::Data { header, done: done + used as u64 };
            false
        } else {
            self.advance(header, done, used)
        };
        self.piece(Cow::Owned(data), last)
    }

    /// Counts payload as read. Whether the message ends with it.
    fn advance(&mut self, header: Header, done: u64, more: usize) -> bool {
        let done = done + more as u64;
        if done < header.len {
            self.connection.incoming().reading = Reading::Data { header, done };
            return false;
        }
        self.await_header();
        header.fin
    }

    /// A piece for the application; one with nothing in it says nothing unless it is the last.
    fn piece(&mut self, data: Cow<'b, [u8]>, last: bool) -> Result<Step<'b>, Violation> {
        let connection = &mut *self.connection;
        connection.tally.received.payload(data.len());
        if last {
            connection.incoming().assembler.finish_pieces()?;
            connection.tally.received.message();
        } else if data.is_empty() {
            return Ok(Step::Again);
        } else {
            connection.incoming().assembler.give();
        }
        Ok(Step::Event(Event::Piece(Piece { data, last })))
    }

    fn whole(&mut self) -> Result<Step<'b>, Violation> {
        Ok(Step::Event(self.connection.whole()?))
    }

    fn whole_in_input(&mut self, payload: &'b [u8]) -> Result<Step<'b>, Violation> {
        let kind = self.connection.incoming().assembler.kind();
        self.connection.incoming().assembler.clear();
        self.await_header();
        let event = if kind == Some(Kind::Text) {
            let text = simdutf8::basic::from_utf8(payload).map_err(|_| Violation::InvalidUtf8)?;
            Event::Text(Cow::Borrowed(text))
        } else {
            Event::Binary(Cow::Borrowed(payload))
        };
        self.connection.count_received(payload.len());
        Ok(Step::Event(event))
    }

    fn read_control(&mut self) -> Result<Step<'b>, Violation> {
        let Reading::Control { header, body } = &mut self.connection.incoming().reading else {
            return Ok(Step::Again);
        };
        let header = *header;
        // At most 125, by the header's own check.
        let left = usize::try_from(header.len).unwrap_or(MAX_CONTROL) - body.len();
        let here = left.min(self.input.len());
        let mut body = std::mem::take(body);
        let piece = self.take(here);
        if let Some(key) = header.mask {
            mask::apply(piece, key, body.len());
        }
        if here < left {
            body.extend_from_slice(piece);
            self.connection.incoming().reading = Reading::Control { header, body };
            return Ok(Step::NeedMore);
        }
        self.await_header();
        if body.is_empty() {
            self.control(header, Cow::Borrowed(piece))
        } else {
            body.extend_from_slice(piece);
            self.control(header, Cow::Owned(body))
        }
    }

    fn control(&mut self, header: Header, body: Cow<'b, [u8]>) -> Result<Step<'b>, Violation> {
        let connection = &mut *self.connection;
        connection.note_received(&header, &body);
        match header.opcode {
            OpCode::Close => {
                connection.receive_close(self.now, &body)?;
                Ok(Step::Again)
            }
            OpCode::Ping => {
                connection.answer_ping(&body);
                Ok(Step::Event(Event::Ping(body)))
            }
            _ => {
                connection.keepalive.answered(&body, self.now);
                Ok(Step::Event(Event::Pong(body)))
            }
        }
    }

    fn await_header(&mut self) {
        self.connection.incoming().reading = Reading::Header(HeaderReader::default());
    }

    pub(super) fn take(&mut self, count: usize) -> &'b mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.input).split_at_mut(count);
        self.input = rest;
        self.connection.tally.wire_in += count as u64;
        taken
    }
}

/// Unmasks what begins `done` bytes into the payload, or masks it again.
pub(super) fn unmask(piece: &mut [u8], header: &Header, done: u64) {
    if let Some(key) = header.mask {
        // The offset matters only modulo 4.
        mask::apply(piece, key, (done % 4) as usize);
    }
}

impl Connection {
    pub(super) fn incoming(&mut self) -> &mut Incoming {
        self.incoming.get_or_insert_default()
    }

    /// Forgets what need not be remembered between messages.
    pub(super) fn rest(&mut self) {
        self.incoming.take_if(|incoming| incoming.is_at_rest());
    }

    fn note_received(&mut self, header: &Header, body: &[u8]) {
        self.tally.received.frame(header.opcode);
        if let Some(observer) = self.observer {
            observer(&FrameNote::new(Way::In, header, body));
        }
    }

    pub(super) fn count_received(&mut self, len: usize) {
        self.tally.received.message();
        self.tally.received.payload(len);
    }
}
