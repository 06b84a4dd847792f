//! The short way from bytes to an event: a frame that is a whole message, of which every byte is there.
//!
//! Nearly all frames are. Nothing is remembered for them and nothing is copied; whatever is out of the ordinary, a rule that
//! is broken among it, is left to [`receive`](super::receive), which judges each byte in its turn and says what was wrong.

use std::borrow::Cow;

use super::Connection;
use super::receive::Events;
use crate::error::Violation;
use crate::event::Event;
use crate::frame::MAX_CONTROL;
use crate::{mask, text};

/// A header that the short way takes: FIN, no RSV, text or binary, a length in its shortest form.
struct Plain {
    text: bool,
    header: usize,
    payload: usize,
}

impl Plain {
    /// Judges the first bytes of a frame. `None` wherever there is the slightest doubt.
    #[inline]
    fn read(input: &[u8], masked: bool) -> Option<Self> {
        let [first, second, rest @ ..] = input else { return None };
        // FIN is set, no RSV is, and the opcode is one of two.
        let text = match *first {
            0x81 => true,
            0x82 => false,
            _ => return None,
        };
        if (second & 0x80 != 0) != masked {
            return None;
        }
        let key = if masked { 4 } else { 0 };
        let (extended, payload) = match usize::from(second & 0x7f) {
            126 => {
                let [high, low, ..] = rest else { return None };
                (2, usize::from(u16::from_be_bytes([*high, *low])))
            }
            127 => {
                let len = rest.first_chunk::<8>()?;
                (8, usize::try_from(u64::from_be_bytes(*len)).ok()?)
            }
            short => (0, short),
        };
        let shortest = match extended {
            0 => true,
            2 => payload > MAX_CONTROL,
            _ => payload > usize::from(u16::MAX),
        };
        let header: usize = 2 + extended + key;
        (shortest && header.checked_add(payload)? <= input.len()).then_some(Self { text, header, payload })
    }
}

impl<'b> Events<'_, 'b> {
    /// The next event, if it is a message that can go the short way.
    #[inline]
    pub(super) fn next_whole(&mut self) -> Option<Event<'b>> {
        if !self.connection.is_plain() {
            return None;
        }
        let masked = self.connection.role.is_server();
        let plain = Plain::read(self.input, masked)?;
        if plain.payload > self.connection.limits.message {
            return None;
        }
        let (head, rest) = std::mem::take(&mut self.input).split_at_mut(plain.header);
        let (data, rest) = rest.split_at_mut(plain.payload);
        self.input = rest;
        self.connection.tally.whole(plain.header, plain.payload);
        let key = if masked { head.last_chunk().copied() } else { None };
        if plain.text { self.text(data, key) } else { Some(binary(data, key)) }
    }

    /// Looks for what is not ASCII while unmasking, and judges by more than that only where there is some.
    #[inline]
    fn text(&mut self, data: &'b mut [u8], key: Option<[u8; 4]>) -> Option<Event<'b>> {
        if key.is_some_and(|key| mask::apply_and_look(data, key)) {
            return Some(Event::Text(Cow::Borrowed(text::of_ascii(data))));
        }
        if let Ok(text) = simdutf8::basic::from_utf8(data) {
            return Some(Event::Text(Cow::Borrowed(text)));
        }
        self.connection.tally.whole_was_not_one(data.len());
        self.connection.fail(self.now, Violation::InvalidUtf8);
        self.connection.poll_event()
    }
}

#[inline]
fn binary(data: &mut [u8], key: Option<[u8; 4]>) -> Event<'_> {
    if let Some(key) = key {
        mask::apply(data, key, 0);
    }
    Event::Binary(Cow::Borrowed(data))
}

impl Connection {
    /// Whether a message that begins now can go the short way: no other is under way, it is wanted, and wanted whole, and
    /// nobody looks at frames. While a message is read in pieces or the end has come, none can.
    #[inline]
    fn is_plain(&self) -> bool {
        self.incoming.is_none()
            && self.observer.is_none()
            && !self.by_piece
            && !self.discarding
            && self.untold.is_none()
            && !self.reads_nothing()
    }
}
