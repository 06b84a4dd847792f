//! A counter that every thread adds to as often as it delivers a message.
//!
//! One number for all of them would go from core to core with each addition, which costs more than what is counted. So each
//! thread adds to a part of its own, and whoever asks, which is a scrape of the metrics now and then, adds up the parts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many parts there are: more than 16 threads share them. The memory is 2 KiB for each counter of the process.
const PARTS: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sharded {
    parts: [Part; PARTS],
}

/// On a pair of cache lines of its own: processors fetch them by two.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU64);

impl Sharded {
    /// Counts so many more.
    pub(crate) fn add(&self, count: u64) {
        self.part().0.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts so many less, which may have been added by another thread: a part alone means nothing.
    pub(crate) fn sub(&self, count: u64) {
        self.part().0.fetch_sub(count, Ordering::Relaxed);
    }

    /// The sum. What is taken off elsewhere while it is made may be seen before it was added: never less than nothing.
    pub(crate) fn get(&self) -> u64 {
        let sum = self.parts.iter().fold(0_u64, |sum, part| sum.wrapping_add(part.0.load(Ordering::Relaxed)));
        if sum > u64::MAX / 2 { 0 } else { sum }
    }

    fn part(&self) -> &Part {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % PARTS;
        }
        // A thread that is ending has no number any more; any part will do.
        &self.parts[MINE.try_with(|mine| *mine).unwrap_or(0)]
    }
}

/// So that it can be the number of a metric. What these answer is of the thread's own part; nothing here asks for it.
impl prometheus_client::metrics::counter::Atomic<u64> for Sharded {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    fn inc_by(&self, count: u64) -> u64 {
        self.part().0.fetch_add(count, Ordering::Relaxed)
    }

    fn get(&self) -> u64 {
        Sharded::get(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_thread_adds_another_can_take_off() {
        let counter = Sharded::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| counter.add(3)));
            }
        });
        std::thread::scope(|scope| {
            scope.spawn(|| counter.sub(11_999));
        });
        assert_eq!(counter.get(), 1);
    }

    #[test]
    fn what_was_taken_off_before_it_was_added_counts_as_nothing() {
        let counter = Sharded::default();
        counter.sub(5);
        assert_eq!(counter.get(), 0);
        counter.add(7);
        assert_eq!(counter.get(), 2);
    }
}
