//! The buffers of a thread. A connection has bytes of its own only while a message is incomplete or untaken, or while the
//! stream does not take what it wrote.

use std::cell::Cell;

use trunkline_websocket::OutputBuffer;

/// One read's worth: what a loopback or a fast path delivers at once. Most reads bring little, and touch little of it.
const SIZE: usize = 256 << 10;

/// One write's worth, for most. It grows for whoever answers more at once, and is kept up to the second number.
const OUTPUT: usize = 64 << 10;
const OUTPUT_KEPT: usize = 768 << 10;

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static WRITTEN: Cell<Option<OutputBuffer>> = const { Cell::new(None) };
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

/// The thread's buffer to write into, to be [given back](give_back).
pub(crate) fn output() -> OutputBuffer {
    WRITTEN.take().unwrap_or_else(|| OutputBuffer::with_capacity(OUTPUT))
}

/// Gives such a buffer back; one that has grown too large is let go.
pub(crate) fn give_back(buffer: OutputBuffer) {
    if buffer.capacity() <= OUTPUT_KEPT {
        WRITTEN.set(Some(buffer));
    }
}
