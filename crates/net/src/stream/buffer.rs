//! The thread's buffer for bytes that are on their way from one stream to another.

use std::cell::Cell;

/// As much as is carried at once. What the other end does not take of it is kept, so this is also the most that a stream has
/// of a reader who has stopped: a few round trips' worth of a fast path, and no more than a TLS or WebSocket layer below
/// holds in any case.
pub(super) const SIZE: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends it. Its contents mean nothing before or after. Streams below have buffers of their own and do not ask for this one; if
/// one does, it gets another.
pub(super) fn with<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = BUFFER.take().unwrap_or_else(|| vec![0; SIZE].into_boxed_slice());
    let result = work(&mut buffer);
    BUFFER.set(Some(buffer));
    result
}
