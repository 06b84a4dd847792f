//! permessage-deflate on one connection (RFC 7692 section 6): the codec, and what bounds it.

use super::Connection;
use super::tally::Squeezed;
use crate::deflate::{Agreed, Codec, Inflated, Progress, Shelf, Variant};
use crate::error::Violation;

/// The ratio is judged whenever so many bytes have been inflated.
const MARK: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Compression {
    codec: Codec,
    /// Of the message that is arriving.
    message: Squeezed,
    received: Squeezed,
    sent: Squeezed,
}

impl Compression {
    pub(super) fn new(agreed: Agreed, server: bool, shelf: &'static dyn Shelf) -> Self {
        Self {
            codec: Codec::new(agreed, server, shelf),
            message: Squeezed::default(),
            received: Squeezed::default(),
            sent: Squeezed::default(),
        }
    }

    pub(super) fn variant(&self) -> Option<Variant> {
        self.codec.variant()
    }

    pub(super) fn threshold(&self) -> usize {
        self.codec.agreed().threshold
    }

    /// What has been (received, sent).
    pub(super) fn totals(&self) -> (Squeezed, Squeezed) {
        (self.received, self.sent)
    }

    /// Bytes inflated of the open message.
    pub(super) fn inflated(&self) -> u64 {
        self.message.inflated
    }

    /// Gives back what was borrowed. Nothing is compressed or inflated from then on.
    pub(super) fn abandon(&mut self) {
        self.codec.abandon();
    }

    /// A whole message, compressed. `None` where that gains nothing and nobody will miss it: with context takeover the
    /// remote has to get what our window now remembers.
    pub(super) fn deflate(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let squeezed = self.run(message, true);
        if self.variant().is_some() && squeezed.len() >= message.len() {
            return None;
        }
        self.count_sent(squeezed.len(), message.len());
        Some(squeezed)
    }

    /// A piece of a message, compressed as far as the compressor lets go of it.
    pub(super) fn deflate_piece(&mut self, piece: &[u8], last: bool) -> Vec<u8> {
        let squeezed = self.run(piece, last);
        self.count_sent(squeezed.len(), piece.len());
        squeezed
    }

    /// Through the compressor. It takes room for what does not shrink well; what waits to be written is counted by its
    /// length and must not hold much more.
    fn run(&mut self, piece: &[u8], last: bool) -> Vec<u8> {
        let mut squeezed = Vec::new();
        self.codec.deflate(piece, last, &mut squeezed);
        if squeezed.len() < squeezed.capacity() / 2 {
            squeezed.shrink_to_fit();
        }
        squeezed
    }

    pub(super) fn count_sent(&mut self, deflated: usize, inflated: usize) {
        self.sent.deflated += deflated as u64;
        self.sent.inflated += inflated as u64;
    }

    /// Inflates at most `room` bytes of the open message into `out`.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        last: bool,
        room: usize,
        ratio: u32,
        out: &mut Vec<u8>,
    ) -> Result<Inflated, Violation> {
        let to_mark = MARK - self.message.inflated % MARK;
        let room = usize::try_from(to_mark).unwrap_or(usize::MAX).min(room);
        let before = out.len();
        let inflated = self.codec.inflate(input, last, room, out).map_err(Violation::InvalidDeflate)?;
        let more = Squeezed { deflated: inflated.used as u64, inflated: (out.len() - before) as u64 };
        self.message.add(more);
        self.received.add(more);
        let ended = inflated.state == Progress::Done;
        if self.message.inflated >= MARK && (ended || self.message.inflated.is_multiple_of(MARK)) {
            self.judge_ratio(ratio)?;
        }
        if ended {
            self.message = Squeezed::default();
        }
        Ok(inflated)
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.codec.memory()
    }

    fn judge_ratio(&self, limit: u32) -> Result<(), Violation> {
        let most = self.message.deflated.saturating_mul(limit.into());
        if self.message.inflated > most { Err(Violation::InflateRatio { limit }) } else { Ok(()) }
    }
}

impl Squeezed {
    fn add(&mut self, other: Self) {
        self.deflated += other.deflated;
        self.inflated += other.inflated;
    }
}

impl Connection {
    /// Inflates all of `input` into the message that is put together. The limit holds at every byte.
    pub(super) fn inflate_kept(&mut self, mut input: &[u8], last: bool) -> Result<(), Violation> {
        // Without permessage-deflate no frame gets as far as this with RSV1 set.
        let (Some(compression), Some(incoming)) = (&mut self.compression, &mut self.incoming) else {
            return Ok(());
        };
        let assembler = &mut incoming.assembler;
        let limit = assembler.limit(&self.limits);
        loop {
            let from = assembler.len();
            let (kept, room) = assembler.inflate_into();
            let inflated = compression.inflate(input, last, room, self.limits.inflate_ratio, kept);
            // First what came out before something went wrong: so it is the same however the input is cut.
            assembler.judge_inflated(from)?;
            let inflated = inflated?;
            input = &input[inflated.used..];
            match inflated.state {
                Progress::NeedInput | Progress::Done => return Ok(()),
                Progress::NeedRoom if assembler.len() as u64 == limit => {
                    return Err(Violation::MessageTooBig { limit, got: limit.saturating_add(1) });
                }
                Progress::NeedRoom => {}
            }
        }
    }
}
