//! Since when, or until when, a connection waits for its stream. Most of the time it does not.

use std::time::Instant;

use super::now;

#[derive(Default)]
pub(super) struct Waits(Option<Box<Inner>>);

#[derive(Default)]
struct Inner {
    /// Until when a stream that failed to write may still have something to read.
    last_words: Option<Instant>,
    /// Since when the stream has taken nothing, while something waits.
    stalled: Option<Instant>,
}

impl Waits {
    /// The stream takes nothing, while something waits.
    pub(super) fn stall(&mut self) {
        self.0.get_or_insert_default().stalled.get_or_insert_with(now);
    }

    /// It took something.
    pub(super) fn unstall(&mut self) {
        if let Some(inner) = &mut self.0 {
            inner.stalled = None;
            if inner.last_words.is_none() {
                self.0 = None;
            }
        }
    }

    pub(super) fn stalled(&self) -> Option<Instant> {
        self.0.as_ref()?.stalled
    }

    /// Until when its last words are waited for, from the first time that is asked.
    pub(super) fn last_words(&mut self, first: impl FnOnce() -> Instant) -> Instant {
        *self.0.get_or_insert_default().last_words.get_or_insert_with(first)
    }
}
