//! From bytes to events: one header or one stretch of payload at a time (RFC 6455 sections 5.2 to 5.5).
//!
//! Nothing here decides what becomes of the connection: a violation goes up to [`Connection::fail`], a Close frame to
//! [`Connection::receive_close`].

use std::borrow::Cow;
use std::time::Instant;

use super::{Connection, Reading};
use crate::error::Violation;
use crate::event::Event;
use crate::frame::{Expect, HeaderReader, OpCode};
use crate::mask;
use crate::message::Whole;

/// What has happened, one event at a time, from the bytes given to [`Connection::receive`].
#[derive(Debug)]
pub struct Events<'c, 'b> {
    connection: &'c mut Connection,
    input: &'b mut [u8],
    given: usize,
    now: Instant,
}

impl<'c, 'b> Events<'c, 'b> {
    pub(super) fn new(connection: &'c mut Connection, input: &'b mut [u8], now: Instant) -> Self {
        Self { connection, given: input.len(), input, now }
    }

    /// How many bytes of the input have been used. All of them once the iterator has given `None`.
    pub fn consumed(&self) -> usize {
        self.given - self.input.len()
    }
}

impl<'b> Iterator for Events<'_, 'b> {
    type Item = Event<'b>;

    fn next(&mut self) -> Option<Event<'b>> {
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
}

enum Step<'b> {
    Event(Event<'b>),
    Again,
    NeedMore,
}

impl<'b> Events<'_, 'b> {
    /// One header or one stretch of payload. Each call consumes a byte, changes the state, or says that it cannot.
    fn step(&mut self) -> Result<Step<'b>, Violation> {
        match &mut self.connection.reading {
            Reading::Header(_) => self.read_header(),
            Reading::Data { .. } => self.read_data(),
            Reading::Control { .. } => self.read_control(),
            Reading::Nothing => {
                self.input = &mut [];
                Ok(Step::NeedMore)
            }
        }
    }

    fn read_header(&mut self) -> Result<Step<'b>, Violation> {
        let connection = &mut *self.connection;
        let expect = Expect {
            masked: connection.role.is_server(),
            // No extension is implemented yet that could have claimed one.
            rsv: 0,
            in_message: connection.assembler.in_message(),
        };
        let Reading::Header(reader) = &mut connection.reading else { return Ok(Step::Again) };
        let (taken, header) = reader.receive(self.input, expect)?;
        self.take(taken);
        let Some(header) = header else { return Ok(Step::NeedMore) };
        let connection = &mut *self.connection;
        connection.reading = if header.opcode.is_control() {
            Reading::Control { header, body: Vec::new() }
        } else {
            connection.assembler.begin_frame(&header, &connection.limits)?;
            Reading::Data { header, done: 0 }
        };
        Ok(Step::Again)
    }

    fn read_data(&mut self) -> Result<Step<'b>, Violation> {
        let Reading::Data { header, done } = self.connection.reading else { return Ok(Step::Again) };
        let left = header.len - done;
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len());
        if here == 0 && left > 0 {
            return Ok(Step::NeedMore);
        }
        let piece = self.take(here);
        if let Some(key) = header.mask {
            // The offset matters only modulo 4.
            mask::apply(piece, key, (done % 4) as usize);
        }
        if here as u64 == header.len && self.connection.assembler.is_single(&header) {
            return self.whole_in_input(piece);
        }
        self.connection.assembler.keep(piece)?;
        if (here as u64) < left {
            self.connection.reading = Reading::Data { header, done: done + here as u64 };
            return Ok(Step::NeedMore);
        }
        self.await_header();
        if !header.fin {
            return Ok(Step::Again);
        }
        Ok(Step::Event(match self.connection.assembler.finish()? {
            Whole::Text(text) => Event::Text(Cow::Owned(text)),
            Whole::Binary(data) => Event::Binary(Cow::Owned(data)),
        }))
    }

    fn whole_in_input(&mut self, payload: &'b [u8]) -> Result<Step<'b>, Violation> {
        let is_text = self.connection.assembler.is_text();
        self.connection.assembler.clear();
        self.await_header();
        Ok(Step::Event(if is_text {
            let text = std::str::from_utf8(payload).map_err(|_| Violation::InvalidUtf8)?;
            Event::Text(Cow::Borrowed(text))
        } else {
            Event::Binary(Cow::Borrowed(payload))
        }))
    }

    fn read_control(&mut self) -> Result<Step<'b>, Violation> {
        let Reading::Control { header, body } = &mut self.connection.reading else { return Ok(Step::Again) };
        let header = *header;
        // At most 125, by the header's own check.
        let left = header.len as usize - body.len();
        let here = left.min(self.input.len());
        let mut body = std::mem::take(body);
        let piece = self.take(here);
        if let Some(key) = header.mask {
            mask::apply(piece, key, body.len());
        }
        if here < left {
            body.extend_from_slice(piece);
            self.connection.reading = Reading::Control { header, body };
            return Ok(Step::NeedMore);
        }
        self.await_header();
        if body.is_empty() {
            self.control(header.opcode, Cow::Borrowed(piece))
        } else {
            body.extend_from_slice(piece);
            self.control(header.opcode, Cow::Owned(body))
        }
    }

    fn control(&mut self, opcode: OpCode, body: Cow<'b, [u8]>) -> Result<Step<'b>, Violation> {
        let connection = &mut *self.connection;
        match opcode {
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
        self.connection.reading = Reading::Header(HeaderReader::default());
    }

    fn take(&mut self, count: usize) -> &'b mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.input).split_at_mut(count);
        self.input = rest;
        taken
    }
}
