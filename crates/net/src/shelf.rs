//! Where compressors and decompressors rest between messages: a few for each thread.

use std::cell::RefCell;

use trunkline_websocket::deflate::{Deflater, Inflater, NoShelf, Pool, Shelf};

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool::new()) };
}

/// The compressors and decompressors of the thread that asks. Every connection of this crate borrows from it.
///
/// A connection without context takeover holds one only while it compresses or inflates a message; a thread keeps
/// [`Pool::DEFLATERS`] and [`Pool::INFLATERS`] of them.
pub fn shelf() -> &'static dyn Shelf {
    &OfThisThread
}

#[derive(Debug)]
struct OfThisThread;

/// What `work` does with the thread's pool; `None` where the thread has torn it down, as it ends.
fn with<R>(work: impl FnOnce(&mut Pool) -> R) -> Option<R> {
    POOL.try_with(|pool| work(&mut pool.borrow_mut())).ok()
}

impl Shelf for OfThisThread {
    fn take_deflater(&self, window_bits: u8, level: u8) -> Box<Deflater> {
        with(|pool| pool.take_deflater(window_bits, level))
            .unwrap_or_else(|| NoShelf.take_deflater(window_bits, level))
    }

    fn give_deflater(&self, deflater: Box<Deflater>) {
        with(|pool| pool.give_deflater(deflater));
    }

    fn take_inflater(&self, window_bits: u8) -> Box<Inflater> {
        with(|pool| pool.take_inflater(window_bits)).unwrap_or_else(|| NoShelf.take_inflater(window_bits))
    }

    fn give_inflater(&self, inflater: Box<Inflater>) {
        with(|pool| pool.give_inflater(inflater));
    }
}
