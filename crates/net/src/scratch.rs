//! The receive buffer of a thread. A connection has bytes of its own only while a message is incomplete or untaken.

use std::cell::Cell;

/// One read's worth: what a loopback or a fast path delivers at once, and small enough for the second-level cache.
const SIZE: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the thread's buffer. Its contents mean nothing before or after.
///
/// A stream that is itself driven by a connection asks for it while it is lent; it then gets one of its own.
pub(crate) fn with<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = SCRATCH.take().unwrap_or_else(|| vec![0; SIZE].into_boxed_slice());
    let result = work(&mut buffer);
    SCRATCH.set(Some(buffer));
    result
}
