//! A bulk that is under way, at either end.

use bytes::Bytes;
use tokio::time::Instant;

use super::micros;
use crate::pattern::{Check, Pattern};
use crate::wire::{Bulk, PIECE};

/// What is to be sent and what is to come, both at once.
#[derive(Debug)]
pub(crate) struct Running {
    begun: Instant,
    pattern: Pattern,
    sent: u64,
    to_send: u64,
    sent_us: Option<u64>,
    check: Check,
    to_receive: u64,
    received_us: Option<u64>,
}

impl Running {
    /// The far end's: receives `up` bytes of `seed`, sends `down` bytes of the seed behind it.
    pub(crate) fn begin(up: u64, down: u64, seed: u64) -> Self {
        Self::new(down, seed.wrapping_add(1), up, seed)
    }

    /// The near end's: the other way round.
    #[cfg(any(test, feature = "near"))]
    pub(crate) fn ask(up: u64, down: u64, seed: u64) -> Self {
        Self::new(up, seed, down, seed.wrapping_add(1))
    }

    fn new(to_send: u64, sent_seed: u64, to_receive: u64, received_seed: u64) -> Self {
        let nothing = |bytes| (bytes == 0).then_some(0);
        Self {
            begun: Instant::now(),
            pattern: Pattern::new(sent_seed),
            sent: 0,
            to_send,
            sent_us: nothing(to_send),
            check: Check::new(Pattern::new(received_seed)),
            to_receive,
            received_us: nothing(to_receive),
        }
    }

    /// The bytes that are to be sent next.
    pub(crate) fn next_piece(&mut self) -> Option<Bytes> {
        let left = usize::try_from(self.to_send - self.sent).unwrap_or(usize::MAX);
        if left == 0 {
            return None;
        }
        let mut piece = vec![0; left.min(PIECE)];
        self.pattern.fill(self.sent, &mut piece);
        self.sent += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if self.sent == self.to_send {
            self.sent_us = Some(micros(self.begun.elapsed()));
        }
        Some(piece.into())
    }

    /// Bytes handed over to be sent.
    #[cfg(feature = "near")]
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether there is anything left to send.
    pub(crate) fn has_more(&self) -> bool {
        self.sent < self.to_send
    }

    /// Whether anything is still to come.
    pub(crate) fn expects_more(&self) -> bool {
        self.check.received() < self.to_receive
    }

    /// Takes what came.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.check.take(bytes);
        if !self.expects_more() {
            self.received_us = Some(micros(self.begun.elapsed()));
        }
    }

    /// What came of it, once both directions are done.
    pub(crate) fn done(&mut self) -> Option<Bulk> {
        (!self.has_more() && !self.expects_more()).then(|| self.so_far())
    }

    /// What came of it up to now.
    pub(crate) fn so_far(&self) -> Bulk {
        let now = micros(self.begun.elapsed());
        Bulk {
            received: self.check.received(),
            wrong: self.check.wrong(),
            first_wrong: self.check.first_wrong(),
            received_us: self.received_us.unwrap_or(now),
            sent_us: self.sent_us.unwrap_or(now),
        }
    }
}
