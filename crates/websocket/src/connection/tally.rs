//! Counting what goes over a connection, in as few bytes as an idle one should hold.

use crate::frame::OpCode;
use crate::observe::{Counters, Traffic};

/// What is counted at each frame. Bytes written are the output's to count, compressed ones the compression's.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Bytes of the stream that were used.
    pub(super) wire_in: u64,
    pub(super) received: Way,
    pub(super) sent: Way,
}

#[derive(Debug, Default)]
pub(super) struct Way {
    frames: u64,
    messages: u64,
    payload: u64,
    pings: u32,
    pongs: u32,
}

/// Compressed bytes, and what they are inflated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Squeezed {
    pub(super) deflated: u64,
    pub(super) inflated: u64,
}

impl Way {
    pub(super) fn frame(&mut self, opcode: OpCode) {
        self.frames += 1;
        match opcode {
            OpCode::Ping => self.pings = self.pings.saturating_add(1),
            OpCode::Pong => self.pongs = self.pongs.saturating_add(1),
            _ => {}
        }
    }

    pub(super) fn message(&mut self) {
        self.messages += 1;
    }

    pub(super) fn payload(&mut self, len: usize) {
        self.payload += len as u64;
    }

    fn traffic(&self, wire_bytes: u64, squeezed: Squeezed) -> Traffic {
        Traffic {
            wire_bytes,
            frames: self.frames,
            messages: self.messages,
            payload_bytes: self.payload,
            pings: self.pings,
            pongs: self.pongs,
            deflated_bytes: squeezed.deflated,
            inflated_bytes: squeezed.inflated,
        }
    }
}

impl Tally {
    /// A frame came that is a whole message.
    #[inline]
    pub(super) fn whole(&mut self, header: usize, payload: usize) {
        self.wire_in += (header + payload) as u64;
        self.received.frames += 1;
        self.received.messages += 1;
        self.received.payload += payload as u64;
    }

    /// The message that was counted last is none: its text is not UTF-8.
    pub(super) fn whole_was_not_one(&mut self, payload: usize) {
        self.received.messages -= 1;
        self.received.payload -= payload as u64;
    }

    /// Compressed bytes come as (received, sent).
    pub(super) fn counters(&self, wire_out: u64, (received, sent): (Squeezed, Squeezed)) -> Counters {
        Counters {
            received: self.received.traffic(self.wire_in, received),
            sent: self.sent.traffic(wire_out, sent),
        }
    }
}
