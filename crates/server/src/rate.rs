//! A token bucket: so many a second in the long run, so many at once after a pause. Pure, but for the lock of
//! what a session's links share.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::cells::lock;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a pause. At least 1 to let anything through.
    pub burst: u32,
}

/// Counts against a [`Rate`], which its owner knows. Starts full.
///
/// How full a bucket is and when that was are one number: the moment at which it will be full. So it takes 16 bytes, and no
/// fraction of a token is lost between two calls.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(now: Instant) -> Bucket {
        Bucket { full_at: now }
    }

    /// Takes one token; `false` if there is none now.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let cost = Bucket::cost(rate);
        let full_at = self.full_at.max(now);
        // What is left must cover the token: it must not take longer to be full again than to fill from empty.
        let Some(after) = full_at.checked_add(cost) else { return false };
        let enough = rate.burst > 0 && after.saturating_duration_since(now) <= cost * rate.burst;
        if enough {
            self.full_at = after;
        }
        enough
    }

    /// How long one token takes to refill. A rate of none a second refills about once in a lifetime.
    fn cost(rate: Rate) -> Duration {
        match rate.per_second {
            0 => Duration::from_secs(1 << 30),
            per_second => Duration::from_secs(1) / per_second,
        }
    }
}

/// What one client may still do: all that is counted against a rate. It belongs to the session and not to its
/// link, or else coming back would be a way to begin anew. A link and the one that displaces it count together;
/// the lock is held for the arithmetic alone.
#[derive(Debug)]
pub(crate) struct Allowance {
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    commands: Bucket,
    /// How many refusals for want of rate are borne before the client is ended: a second bucket of the same
    /// size, so that a client that overdoes it once is refused, and one that never heeds it is gone.
    patience: Bucket,
    /// Per namespace that limits publishing; at most as many as there are namespaces. Nothing until then.
    #[expect(clippy::box_collection, reason = "a map takes 48 bytes in every session, and few have one")]
    publishes: Option<Box<HashMap<String, Bucket>>>,
}

impl Allowance {
    /// All that a client may that has done nothing yet.
    pub(crate) fn new(now: Instant) -> Allowance {
        let full = Bucket::new(now);
        Allowance { buckets: Mutex::new(Buckets { commands: full.clone(), patience: full, publishes: None }) }
    }

    /// Counts a command against their rate; `false` if it is one too many.
    pub(crate) fn command(&self, rate: Rate, now: Instant) -> bool {
        lock(&self.buckets).commands.take(rate, now)
    }

    /// Counts a refusal for want of that rate; `false` if it is one too many.
    pub(crate) fn refusal(&self, rate: Rate, now: Instant) -> bool {
        lock(&self.buckets).patience.take(rate, now)
    }

    /// Counts a publish in a namespace that limits them to `rate`; `false` if it is one too many.
    pub(crate) fn publish(&self, namespace: &str, rate: Rate, now: Instant) -> bool {
        let mut buckets = lock(&self.buckets);
        let publishes = buckets.publishes.get_or_insert_default();
        if !publishes.contains_key(namespace) {
            publishes.insert(namespace.to_owned(), Bucket::new(now));
        }
        publishes.get_mut(namespace).is_some_and(|bucket| bucket.take(rate, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let (mut bucket, rate) = (Bucket::new(start), Rate { per_second: 10, burst: 3 });
        let granted = |bucket: &mut Bucket, after_ms, tries| {
            (0..tries).filter(|_| bucket.take(rate, start + Duration::from_millis(after_ms))).count()
        };
        assert_eq!(granted(&mut bucket, 0, 10), 3);
        assert_eq!(granted(&mut bucket, 99, 10), 0);
        assert_eq!(granted(&mut bucket, 100, 10), 1);
        assert_eq!(granted(&mut bucket, 350, 10), 2, "two tenths more, the half is kept");
        assert_eq!(granted(&mut bucket, 400, 10), 1, "the half and a half");
        assert_eq!(granted(&mut bucket, 60_000, 10), 3, "a long pause fills it to the burst, no further");
    }

    #[test]
    fn a_rate_or_burst_of_nothing_does_not_divide_by_it() {
        let now = Instant::now();
        assert!(!Bucket::new(now).take(Rate { per_second: 5, burst: 0 }, now));
        let (mut bucket, once) = (Bucket::new(now), Rate { per_second: 0, burst: 1 });
        assert!(bucket.take(once, now));
        assert!(!bucket.take(once, now + Duration::from_secs(3_600)));
    }
}
