//! Counting what is allocated.

use peak_alloc::PeakAlloc;

/// Counts for every program that links this crate: the unit tests and the fuzz targets.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Runs `work` and asserts that never more than `limit` bytes of heap were in use at once beyond what was before.
///
/// The count is that of the whole process, so nothing else may run beside it.
#[track_caller]
pub(crate) fn within<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let result = work();
    let grown = HEAP.peak_usage().saturating_sub(before);
    assert!(grown <= limit, "{grown} bytes of heap were in use at once, at most {limit} are allowed");
    result
}
