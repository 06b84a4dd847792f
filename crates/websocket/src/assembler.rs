//! A message that is still arriving: put together, or given piece by piece (RFC 6455 section 5.4).

use crate::config::Limits;
use crate::error::Violation;
use crate::event::Kind;
use crate::frame::{Header, OpCode, RSV1};
use crate::text;
use crate::utf8;

/// Bytes that the buffer of an inflated message begins with: most messages of a chat fit.
const FIRST_ROOM: usize = 1024;

/// The kind of an open message, what it has cost so far, and the bytes that had to be kept.
///
/// Memory follows the bytes that arrived and never the length that a header announces: those of the message itself, or
/// those of the one before it.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Only while a message is open.
    kind: Option<Kind>,
    manner: Manner,
    deflated: bool,
    /// Frames so far that were not the last; of a message that is not kept, the empty ones.
    fragments: u32,
    /// The length of all its frames so far, by their headers.
    announced: u64,
    /// What the message can reach at most: its whole length once the last frame has begun, the limit before.
    most: u64,
    /// What it is thought to reach, by what came before it.
    expected: usize,
    kept: Vec<u8>,
    utf8: utf8::Validator,
}

/// What becomes of a message that arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It is kept until it is whole.
    #[default]
    Whole,
    /// It is given piece by piece; nothing of it has been given yet.
    Begun,
    /// It is given piece by piece.
    Pieces,
}

/// The parts of a message as one whole.
#[derive(Debug)]
pub(crate) enum Whole {
    Text(String),
    Binary(Vec<u8>),
}

impl Assembler {
    /// Whether a message is open, so that only continuations may follow.
    pub(crate) fn in_message(&self) -> bool {
        self.kind.is_some()
    }

    pub(crate) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    pub(crate) fn manner(&self) -> Manner {
        self.manner
    }

    /// Whether the open message is compressed.
    pub(crate) fn is_deflated(&self) -> bool {
        self.deflated
    }

    /// Counts a data frame by its header, before any of its payload is read. Whether a message begins with it.
    pub(crate) fn begin_frame(
        &mut self,
        header: &Header,
        first: Manner,
        expected: usize,
        limits: &Limits,
    ) -> Result<bool, Violation> {
        let begins = self.kind.is_none();
        if begins {
            self.expected = expected;
            self.kind = Some(if header.opcode == OpCode::Text { Kind::Text } else { Kind::Binary });
            self.manner = first;
            self.deflated = header.rsv & RSV1 != 0;
        }
        // A header's length is below 2^63, so the sum cannot wrap before a limit stops it.
        self.announced = self.announced.saturating_add(header.len);
        self.count_fragment(header, self.manner == Manner::Whole, limits)?;
        self.check_announced(limits)?;
        let plain_end = header.fin && !self.deflated;
        self.most = if plain_end { self.announced } else { self.limit(limits) };
        Ok(begins)
    }

    fn count_fragment(&mut self, header: &Header, kept: bool, limits: &Limits) -> Result<(), Violation> {
        if !header.fin && (kept || header.len == 0) {
            self.fragments = self.fragments.saturating_add(1);
        }
        if self.fragments > limits.fragments {
            return Err(Violation::TooManyFragments { limit: limits.fragments });
        }
        Ok(())
    }

    fn check_announced(&self, limits: &Limits) -> Result<(), Violation> {
        let limit = self.limit(limits);
        // What does not compress grows: by a ninth bit at the worst, with an encoder in its senses.
        let on_the_wire = if self.deflated { limit.saturating_add(limit / 8 + 64) } else { limit };
        if self.announced > on_the_wire {
            return Err(Violation::MessageTooBig { limit, got: self.announced });
        }
        Ok(())
    }

    /// How many bytes of it the application may get.
    pub(crate) fn limit(&self, limits: &Limits) -> u64 {
        match (self.manner, self.deflated) {
            (Manner::Whole, false) => limits.message as u64,
            (Manner::Whole, true) => limits.inflated.unwrap_or(limits.message) as u64,
            _ => limits.streamed,
        }
    }

    /// A message of which nothing has been given is put together after all. `header` is that of the frame being read.
    pub(crate) fn put_together(&mut self, header: Option<&Header>, limits: &Limits) -> Result<(), Violation> {
        self.manner = Manner::Whole;
        if let Some(header) = header {
            self.most = if header.fin && !self.deflated { self.announced } else { self.limit(limits) };
            // An empty one has been counted.
            if header.len > 0 {
                self.count_fragment(header, true, limits)?;
            }
        }
        self.check_announced(limits)
    }

    /// Whether a frame that is whole in the input is the whole message, so that nothing has to be kept.
    pub(crate) fn is_single(&self, header: &Header) -> bool {
        self.fragments == 0 && header.fin
    }

    /// Judges the next bytes of the message: text fails fast.
    pub(crate) fn judge(&mut self, piece: &[u8]) -> Result<(), Violation> {
        match self.kind {
            Some(Kind::Text) => self.utf8.push(piece).map_err(|utf8::Invalid| Violation::InvalidUtf8),
            _ => Ok(()),
        }
    }

    /// Keeps a piece of payload, already unmasked.
    pub(crate) fn keep(&mut self, piece: &[u8]) -> Result<(), Violation> {
        self.judge(piece)?;
        let need = self.kept.len() + piece.len();
        if need > self.kept.capacity() {
            self.grow(need);
        }
        self.kept.extend_from_slice(piece);
        Ok(())
    }

    /// Where inflated bytes go, and how many may: never past what the message can reach.
    pub(crate) fn inflate_into(&mut self) -> (&mut Vec<u8>, usize) {
        let most = usize::try_from(self.most).unwrap_or(usize::MAX);
        if self.kept.len() == self.kept.capacity() && self.kept.len() < most {
            self.grow((self.kept.len() + 1).max(FIRST_ROOM.min(most)));
        }
        let room = self.kept.capacity().min(most) - self.kept.len();
        (&mut self.kept, room)
    }

    /// Judges what was inflated since there were `from` bytes.
    pub(crate) fn judge_inflated(&mut self, from: usize) -> Result<(), Violation> {
        let kept = std::mem::take(&mut self.kept);
        let result = self.judge(&kept[from..]);
        self.kept = kept;
        result
    }

    /// Bytes kept so far.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Where the next bytes of payload may be read to, and how many: never past the frame, nor what the message can reach.
    pub(crate) fn read_into(&mut self, frame: u64) -> (&mut Vec<u8>, usize) {
        let frame = usize::try_from(frame).unwrap_or(usize::MAX);
        if self.kept.len() == self.kept.capacity() {
            self.grow(self.kept.len() + 1);
        }
        let room = frame.min(self.kept.capacity() - self.kept.len());
        (&mut self.kept, room)
    }

    /// Unmasks and judges the last `count` bytes that are kept, which were read to where they stay.
    pub(crate) fn judge_read(
        &mut self,
        count: usize,
        unmask: impl FnOnce(&mut [u8]),
    ) -> Result<(), Violation> {
        let mut kept = std::mem::take(&mut self.kept);
        let from = kept.len().saturating_sub(count);
        unmask(&mut kept[from..]);
        let result = self.judge(&kept[from..]);
        self.kept = kept;
        result
    }

    /// Grows by doubling, so that many fragments cost linear time, or at once to what is expected, but never past what the
    /// message can reach.
    fn grow(&mut self, need: usize) {
        let most = usize::try_from(self.most).unwrap_or(usize::MAX);
        let target = need.max(most.min(self.kept.capacity().saturating_mul(2).max(self.expected)));
        self.kept.reserve_exact(target - self.kept.len());
    }

    /// Ends the message with its last frame.
    pub(crate) fn finish(&mut self) -> Result<Whole, Violation> {
        let Self { kind, mut kept, utf8, .. } = std::mem::take(self);
        // What a frame announced was reserved to the byte; what was inflated may have left half of it unused.
        if kept.len() < kept.capacity() / 2 {
            kept.shrink_to_fit();
        }
        match kind {
            Some(Kind::Text) => text::of_judged(kept, &utf8).map(Whole::Text).ok_or(Violation::InvalidUtf8),
            _ => Ok(Whole::Binary(kept)),
        }
    }

    /// Ends a message that was not kept.
    pub(crate) fn finish_pieces(&mut self) -> Result<(), Violation> {
        let complete = self.utf8.is_complete();
        self.clear();
        if complete { Ok(()) } else { Err(Violation::InvalidUtf8) }
    }

    /// Nothing can turn the message into a whole any more.
    pub(crate) fn give(&mut self) {
        if self.manner == Manner::Begun {
            self.manner = Manner::Pieces;
        }
    }

    /// Drops what has arrived of a message: it will never be whole.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.kept.capacity()
    }
}
