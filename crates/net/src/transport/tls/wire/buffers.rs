//! Buffers of the thread: whoever has bytes under way borrows one.

use std::cell::Cell;

/// How many buffers of a kind a thread keeps. More than one is in use where TLS runs inside TLS, through a proxy.
const SPARE: usize = 3;

thread_local! {
    /// To read into.
    pub(super) static READING: Spare = const { Spare(Cell::new(Vec::new())) };
    /// To bring slices together in.
    pub(super) static GATHERING: Spare = const { Spare(Cell::new(Vec::new())) };
    /// To encrypt into.
    pub(super) static SENDING: Spare = const { Spare(Cell::new(Vec::new())) };
}

/// Buffers that are in nobody's use.
pub(super) struct Spare(Cell<Vec<Vec<u8>>>);

impl Spare {
    pub(super) fn take(&self) -> Vec<u8> {
        let mut spare = self.0.take();
        let buffer = spare.pop();
        self.0.set(spare);
        buffer.unwrap_or_default()
    }

    pub(super) fn give(&self, buffer: Vec<u8>) {
        let mut spare = self.0.take();
        if spare.len() < SPARE {
            spare.push(buffer);
        }
        self.0.set(spare);
    }
}
