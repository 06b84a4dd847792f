//! What is counted while it runs: durations in histograms, and errors by their kind.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::output;

/// The longest duration that is told from longer ones: as long as a run may measure.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Digits of a duration that count. A histogram takes about 300 KiB then.
const DIGITS: u8 = 3;

/// Errors that are told apart. What a remote says is part of their words, and might be different each time.
const ERRORS: usize = 64;

/// Bytes of an error's words that are kept.
const WORDS: usize = 200;

/// Durations, recorded by many tasks at once: each of its parts is locked for itself.
pub(super) struct Meter {
    parts: Box<[Mutex<Measured>]>,
}

/// What a meter has recorded.
#[derive(Clone)]
pub(super) struct Measured {
    /// In nanoseconds.
    pub(super) histogram: Histogram<u64>,
    /// When the last one was recorded.
    pub(super) last: Option<Instant>,
}

/// What went wrong, by kind and in words, and how often.
#[derive(Default)]
pub(super) struct Errors {
    counts: Mutex<BTreeMap<(Kind, String), u64>>,
}

/// Where something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A connection did not come about, or a subscription.
    Open,
    /// A connection ended, or a subscription.
    Ended,
    /// An echo was not what had been sent.
    WrongEcho,
    /// An echo, or the hub's answer to a publication, did not come.
    Unanswered,
    /// The hub did not take a publication.
    Refused,
    /// A delivery was not what had been published.
    WrongDelivery,
    /// A connection was not closed as it should be.
    Close,
    /// A fault of this program.
    Fault,
}

/// One of the errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Error {
    pub(super) kind: Kind,
    pub(super) what: String,
    pub(super) count: u64,
}

impl Meter {
    /// With as many parts as there are processors to record at once.
    pub(super) fn new() -> Self {
        let parts = std::thread::available_parallelism().map_or(1, usize::from);
        Self { parts: (0..parts).map(|_| Mutex::new(Measured::new())).collect() }
    }

    /// Records a duration that ended `now`. `task` is any number; tasks of different numbers get into each other's way less.
    pub(super) fn record(&self, task: u64, duration: Duration, now: Instant) {
        let mut part = locked(&self.parts[task as usize % self.parts.len()]);
        part.histogram.saturating_record(nanoseconds(duration));
        part.last = Some(part.last.map_or(now, |last| last.max(now)));
    }

    /// All that was recorded.
    pub(super) fn total(&self) -> Measured {
        let mut total = Measured::new();
        for part in &self.parts {
            let part = locked(part);
            // Both have the same bounds, so everything fits.
            let _ = total.histogram.add(&part.histogram);
            total.last = total.last.max(part.last);
        }
        total
    }
}

impl Measured {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, nanoseconds(LONGEST), DIGITS);
        Self { histogram: histogram.expect("the bounds are a nanosecond and a day"), last: None }
    }
}

impl Errors {
    /// Counts an error. Its words may come from a remote.
    pub(super) fn add(&self, kind: Kind, what: impl std::fmt::Display) {
        self.add_many(kind, what, 1);
    }

    /// Counts so many of an error; none if it is 0.
    pub(super) fn add_many(&self, kind: Kind, what: impl std::fmt::Display, count: u64) {
        if count == 0 {
            return;
        }
        let mut what = output::for_terminal(&what.to_string());
        what.truncate(what.floor_char_boundary(WORDS));
        let mut counts = locked(&self.counts);
        let known = counts.len() < ERRORS || counts.contains_key(&(kind, what.clone()));
        let what = if known { what } else { "others".to_owned() };
        *counts.entry((kind, what)).or_default() += count;
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        locked(&self.counts).values().sum()
    }

    /// All of them, the most frequent of each kind first.
    pub(super) fn list(&self) -> Vec<Error> {
        let counts = locked(&self.counts);
        let each =
            counts.iter().map(|((kind, what), &count)| Error { kind: *kind, what: what.clone(), count });
        let mut list: Vec<Error> = each.collect();
        list.sort_by_key(|error| (error.kind, std::cmp::Reverse(error.count)));
        list
    }
}

/// Nobody panics while they count; and if they did, a count less is all there is to it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tasks_record_comes_together() {
        let meter = Meter::new();
        let now = Instant::now();
        for task in 0..100 {
            meter.record(task, Duration::from_micros(task + 1), now + Duration::from_secs(task));
        }
        meter.record(7, Duration::MAX, now);
        let total = meter.total();
        assert_eq!(total.histogram.len(), 101);
        assert_eq!(total.last, Some(now + Duration::from_secs(99)));
        let median = total.histogram.value_at_quantile(0.5);
        assert!((50_900..51_100).contains(&median), "{median}");
        assert!(total.histogram.max() >= nanoseconds(LONGEST), "past the longest it is that");
    }

    #[test]
    fn errors_are_counted_by_kind_and_words_the_most_frequent_first() {
        let errors = Errors::default();
        errors.add(Kind::Close, "gone\x1b[2J");
        errors.add(Kind::Open, "refused");
        errors.add_many(Kind::Open, "timed out", 3);
        errors.add_many(Kind::Open, "never", 0);
        let list = errors.list();
        let list: Vec<_> = list.iter().map(|error| (error.kind, error.what.as_str(), error.count)).collect();
        assert_eq!(
            list,
            [(Kind::Open, "timed out", 3), (Kind::Open, "refused", 1), (Kind::Close, "gone\\u{1b}[2J", 1)]
        );
        assert_eq!(errors.count(), 5);
    }

    #[test]
    fn words_that_are_different_each_time_take_no_more_than_their_room() {
        let errors = Errors::default();
        for number in 0..1000 {
            errors.add(Kind::Ended, format!("{number} {}", "\u{e4}".repeat(1000)));
        }
        let list = errors.list();
        assert_eq!((list.len(), errors.count()), (ERRORS + 1, 1000));
        assert_eq!((list[0].what.as_str(), list[0].count), ("others", 1000 - ERRORS as u64));
        assert!(list.iter().all(|error| error.what.len() <= WORDS));
    }
}
