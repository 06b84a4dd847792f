//! A fault of ours at a door ends one connection and no other.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// How long the last words may take to leave, when a client does not read them.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(5);

/// What was said in a panic.
pub(super) type Panic = Box<dyn Any + Send>;

/// Runs `work` to its end, or to its panic.
pub(super) async fn or_panic<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, Panic> {
    poll_fn(|cx| guarded(|| work.as_mut().poll(cx))).await
}

/// What `poll` had borrowed may, after a panic, be in any state that its own methods can leave behind; nobody polls it again, and
/// the caller only says goodbye on it.
pub(super) fn guarded<T>(poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, Panic>> {
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

/// The words of a panic.
pub(super) fn what(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words")
}

/// A length, as metrics count it.
pub(super) fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
