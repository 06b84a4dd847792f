//! Compression of one message after the other (RFC 7692 section 7.2.1).

use std::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::TRAILER;

/// How much the compressor may collect before it must end a block, as zlib counts it: 2^(this + 6) symbols. More costs
/// memory (7 bytes a symbol) and wins next to nothing on messages.
const MEMORY_LEVEL: i32 = 5;

/// A compressor, which is borrowed from a [`Shelf`](super::Shelf).
///
/// It has a window and a level for life, and is the costly part of the extension: see [`DeflateConfig`](super::DeflateConfig).
pub struct Deflater {
    raw: Deflate,
    window_bits: u8,
    level: u8,
    /// Whether there is something to be forgotten.
    used: bool,
    /// Whether the open message has any byte yet.
    begun: bool,
}

impl Deflater {
    /// `window_bits` and `level` are brought into their ranges, 9 to 15 and 1 to 9.
    pub(super) fn new(window_bits: u8, level: u8) -> Self {
        let (window_bits, level) = (window_bits.clamp(9, 15), level.clamp(1, 9));
        let config = DeflateConfig {
            level: level.into(),
            // Negative: without a header.
            window_bits: -i32::from(window_bits),
            mem_level: MEMORY_LEVEL,
            ..DeflateConfig::default()
        };
        Self { raw: Deflate::new_with_config(config), window_bits, level, used: false, begun: false }
    }

    /// Whether it is the one to use with these.
    pub(super) fn fits(&self, window_bits: u8, level: u8) -> bool {
        (self.window_bits, self.level) == (window_bits, level)
    }

    /// Whether a message was begun and not ended.
    pub(super) fn is_open(&self) -> bool {
        self.begun
    }

    /// Forgets whatever it has seen.
    pub(super) fn reset(&mut self) {
        if self.used {
            self.raw.reset();
            (self.used, self.begun) = (false, false);
        }
    }

    /// See [`Codec::deflate`](super::Codec::deflate).
    pub(super) fn deflate(&mut self, piece: &[u8], last: bool, out: &mut Vec<u8>) {
        self.begun |= !piece.is_empty();
        if !self.begun {
            // Nothing to flush. An empty stored block, but for the trailer, is this byte (section 7.2.3.6).
            out.extend(last.then_some(0));
            return;
        }
        self.used = true;
        let flush = if last { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        self.compress(piece, flush, out);
        if last {
            debug_assert!(out.ends_with(&TRAILER), "a flush ends with an empty stored block");
            out.truncate(out.len() - TRAILER.len());
            self.begun = false;
        }
    }

    fn compress(&mut self, mut input: &[u8], flush: DeflateFlush, out: &mut Vec<u8>) {
        // Most messages shrink, so that the first round is the only one.
        let mut room = input.len() / 2 + 64;
        loop {
            let begin = out.len();
            out.resize(begin + room, 0);
            let before = (self.raw.total_in(), self.raw.total_out());
            self.raw
                .compress(input, &mut out[begin..], flush)
                .expect("a compressor that is not finished takes any input");
            // Both are at most the lengths given.
            let taken = usize::try_from(self.raw.total_in() - before.0).unwrap_or(input.len());
            let written = usize::try_from(self.raw.total_out() - before.1).unwrap_or(room);
            input = &input[taken..];
            out.truncate(begin + written);
            if written < room && input.is_empty() {
                return;
            }
            room = (room * 2).min(1 << 16);
        }
    }

    /// What it costs, in bytes: the window twice over, a link for each of its positions, the heads of 2^16 chains, the
    /// symbols of a block and their codes, and the state around them.
    pub(super) fn memory(&self) -> usize {
        let window = 1 << self.window_bits;
        let symbols = 1 << (MEMORY_LEVEL + 6);
        size_of::<Self>() + 2 * window + 2 * window + 2 * (1 << 16) + 7 * symbols + STATE
    }
}

/// Of a compressor, what does not depend on its parameters.
const STATE: usize = 3200;

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { window_bits, level, begun, .. } = self;
        f.debug_struct("Deflater")
            .field("window_bits", window_bits)
            .field("level", level)
            .field("begun", begun)
            .finish_non_exhaustive()
    }
}
