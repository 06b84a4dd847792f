//! A large message, read to where it stays: its bytes are moved once, by the kernel.

use std::time::Instant;

use super::receive::unmask;
use super::{Connection, Reading};
use crate::assembler::{Manner, Whole};
use crate::error::Violation;
use crate::event::Event;
use crate::frame::Header;

/// With fewer bytes to come, what follows them would be worth reading in the same call.
const DIRECT_FROM: u64 = 32 << 10;

/// A message of this many bytes that had to be put together lets another be expected, and the next read is short: what it
/// would bring beyond a header would have to be moved.
const LARGE_FROM: usize = 128 << 10;

/// The most that is set aside for what is only expected.
const EXPECTED_MOST: u32 = 1 << 20;

/// Such a read. What else is on its way may be small, and shall come at once all the same.
const SHORT_READ: usize = 4 << 10;

impl Connection {
    /// To below: where the next bytes of the stream may be read to, and at most how many, while much of a message that is
    /// put together is still to come. They are payload and nothing else. Append them, then say so by
    /// [`Connection::receive_direct`]. `None` nearly always: give what is read to [`Connection::receive`].
    pub fn direct(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        if self.discarding || self.reads_nothing() {
            return None;
        }
        let incoming = self.incoming.as_mut()?;
        let Reading::Data { header, done } = incoming.reading else { return None };
        let assembler = &mut incoming.assembler;
        let kept = assembler.manner() == Manner::Whole && !assembler.is_deflated();
        let left = header.len - done;
        (kept && left >= DIRECT_FROM).then(|| assembler.read_into(left))
    }

    /// To below: how many bytes are worth reading for [`Connection::receive`], where the stream may have more.
    pub fn read_hint(&self) -> usize {
        if self.large > 0 && self.incoming.is_none() { SHORT_READ } else { usize::MAX }
    }

    /// From below: `count` bytes were appended to what [`Connection::direct`] gave. The message, if they were its last, or
    /// the end, if they broke a rule.
    pub fn receive_direct(&mut self, now: Instant, count: usize) -> Option<Event<'static>> {
        self.keepalive.heard(now, self.output.written());
        self.tally.wire_in += count as u64;
        let event = self.take_direct(count).unwrap_or_else(|violation| {
            self.fail(now, violation);
            self.poll_event()
        });
        self.rest();
        event
    }

    fn take_direct(&mut self, count: usize) -> Result<Option<Event<'static>>, Violation> {
        let Some(incoming) = &mut self.incoming else { return Ok(None) };
        let Reading::Data { header, done } = incoming.reading else { return Ok(None) };
        incoming.assembler.judge_read(count, |piece| unmask(piece, &header, done))?;
        let done = done + count as u64;
        if done < header.len {
            incoming.reading = Reading::Data { header, done };
            return Ok(None);
        }
        incoming.reading = Reading::default();
        self.end_of_frame(&header)
    }

    fn end_of_frame(&mut self, header: &Header) -> Result<Option<Event<'static>>, Violation> {
        if !header.fin {
            return Ok(None);
        }
        self.whole().map(Some)
    }

    /// The message that was put together is complete.
    pub(super) fn whole(&mut self) -> Result<Event<'static>, Violation> {
        let assembler = &mut self.incoming().assembler;
        let len = assembler.len();
        let whole = assembler.finish()?;
        self.large =
            if len >= LARGE_FROM { u32::try_from(len).unwrap_or(u32::MAX).min(EXPECTED_MOST) } else { 0 };
        Ok(match whole {
            Whole::Text(text) => {
                self.count_received(text.len());
                Event::Text(text.into())
            }
            Whole::Binary(data) => {
                self.count_received(data.len());
                Event::Binary(data.into())
            }
        })
    }
}
