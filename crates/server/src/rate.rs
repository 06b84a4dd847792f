//! A token bucket: so many a second in the long run, so many at once after a pause. Pure.

use std::time::{Duration, Instant};

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a pause. At least 1 to let anything through.
    pub burst: u32,
}

/// Counts against a [`Rate`]. Starts full.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: Rate,
    /// In nanoseconds of refilling, so that no fraction of a token is lost between two calls.
    level: Duration,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate, now: Instant) -> Bucket {
        Bucket { rate, level: Bucket::cost(rate) * rate.burst, filled: now }
    }

    /// Takes one token; `false` if there is none now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let cost = Bucket::cost(self.rate);
        let refilled = self.level + now.saturating_duration_since(self.filled);
        self.level = refilled.min(cost * self.rate.burst);
        self.filled = self.filled.max(now);
        let enough = self.level >= cost && self.rate.burst > 0;
        if enough {
            self.level -= cost;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: 10, burst: 3 }, start);
        let granted = |bucket: &mut Bucket, after_ms, tries| {
            (0..tries).filter(|_| bucket.take(start + Duration::from_millis(after_ms))).count()
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
        assert!(!Bucket::new(Rate { per_second: 5, burst: 0 }, now).take(now));
        let mut once = Bucket::new(Rate { per_second: 0, burst: 1 }, now);
        assert!(once.take(now));
        assert!(!once.take(now + Duration::from_secs(3_600)));
    }
}
