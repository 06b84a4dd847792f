//! Where compressors and decompressors rest that no connection holds.

use std::fmt::Debug;

use super::{Deflater, Inflater};

/// Lends compressors and decompressors to the connections.
///
/// This crate is pure and has no place of its own to keep them in: the driver passes one in. A good one keeps a [`Pool`]
/// for each of its threads.
pub trait Shelf: Sync + Debug {
    /// A compressor that remembers nothing, with a window of 2^`window_bits` bytes (9 to 15) and this level (1 to 9).
    fn take_deflater(&self, window_bits: u8, level: u8) -> Box<Deflater>;
    /// Takes it back.
    fn give_deflater(&self, deflater: Box<Deflater>);
    /// A decompressor for a window of 2^`window_bits` bytes (8 to 15).
    fn take_inflater(&self, window_bits: u8) -> Box<Inflater>;
    /// Takes it back.
    fn give_inflater(&self, inflater: Box<Inflater>);
}

/// Keeps nothing and makes a new one each time: for tests, and for drivers that would rather have no memory lie around.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoShelf;

impl Shelf for NoShelf {
    fn take_deflater(&self, window_bits: u8, level: u8) -> Box<Deflater> {
        Box::new(Deflater::new(window_bits, level))
    }

    fn give_deflater(&self, _: Box<Deflater>) {}

    fn take_inflater(&self, window_bits: u8) -> Box<Inflater> {
        Box::new(Inflater::new(window_bits))
    }

    fn give_inflater(&self, _: Box<Inflater>) {}
}

/// What a [`Shelf`] can be made of: it has the same four methods, and keeps a few of each.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "they come and go as boxes, and are large")]
pub struct Pool {
    deflaters: Vec<Box<Deflater>>,
    inflaters: Vec<Box<Inflater>>,
}

impl Pool {
    /// Compressors that it keeps at most. A message that is sent in one go needs one for no longer than a call, so that
    /// one for each level and window in use is enough.
    pub const DEFLATERS: usize = 4;

    /// Decompressors that it keeps at most. Each is borrowed for as long as a message takes to come in.
    pub const INFLATERS: usize = 8;

    /// An empty one.
    pub const fn new() -> Self {
        Self { deflaters: Vec::new(), inflaters: Vec::new() }
    }

    /// See [`Shelf::take_deflater`].
    pub fn take_deflater(&mut self, window_bits: u8, level: u8) -> Box<Deflater> {
        let found = self.deflaters.iter().rposition(|deflater| deflater.fits(window_bits, level));
        found.map_or_else(|| NoShelf.take_deflater(window_bits, level), |at| self.deflaters.remove(at))
    }

    /// See [`Shelf::give_deflater`]. Lets go of the one that was not asked for the longest if it has too many.
    pub fn give_deflater(&mut self, mut deflater: Box<Deflater>) {
        if deflater.is_open() {
            // At level 1 the library's reset leaves the block of an abandoned message open, for the next one to begin in.
            return;
        }
        deflater.reset();
        keep(&mut self.deflaters, deflater, Self::DEFLATERS);
    }

    /// See [`Shelf::take_inflater`].
    pub fn take_inflater(&mut self, window_bits: u8) -> Box<Inflater> {
        self.inflaters.pop().unwrap_or_else(|| NoShelf.take_inflater(window_bits))
    }

    /// See [`Shelf::give_inflater`].
    pub fn give_inflater(&mut self, inflater: Box<Inflater>) {
        keep(&mut self.inflaters, inflater, Self::INFLATERS);
    }

    /// What it costs, in bytes.
    pub fn memory(&self) -> usize {
        let deflaters = self.deflaters.iter().map(|deflater| deflater.memory());
        let inflaters = self.inflaters.iter().map(|inflater| inflater.memory());
        deflaters.chain(inflaters).sum()
    }
}

fn keep<T>(kept: &mut Vec<T>, one_more: T, limit: usize) {
    if kept.len() == limit {
        kept.remove(0);
    }
    kept.push(one_more);
}
