//! How long to wait. By chance, because clients that lost the same hub at the same instant must not return at the same
//! instant; and by what the hub takes, because it ends who never heeds it.

use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;
use trunkline_dialect::SessionLimits;
use trunkline_net::backoff::backoff;

/// The longest that the hub can ask to wait, for leaving or returning (1 h): a larger number is a mistake of its side,
/// and would be an outage here.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long to wait after the `failures`-th failure in a row, the first being 0: full jitter.
pub(crate) fn before_attempt(failures: u32) -> Duration {
    backoff(failures, rand::rng().random())
}

/// A moment within the milliseconds that the hub gives for leaving.
pub(crate) fn leaving(leave_ms: u64) -> Duration {
    limited(leave_ms).mul_f64(rand::rng().random_range(0.0..=1.0))
}

/// The last moment for leaving.
pub(crate) fn limited(ms: u64) -> Duration {
    Duration::from_millis(ms).min(LONGEST)
}

/// When to return: not before the milliseconds that the hub asks for, and up to half as long again after.
pub(crate) fn returning(return_ms: u64) -> Duration {
    limited(return_ms).mul_f64(rand::rng().random_range(1.0..=1.5))
}

/// How fast commands may go: four fifths of what the hub says that it takes. It counts as they arrive, and the network
/// may hold some up and then deliver them together.
///
/// Matters where many subscriptions are restored at once: the hub would refuse those above its limit, and in the end the
/// connection.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// One command each; nothing where the hub named no limit.
    interval: Duration,
    /// How far commands may be ahead of that.
    ahead: Duration,
    /// When the last command would have gone, had they all gone at their interval.
    paced: Instant,
}

impl Allowance {
    /// The most commands at once that are believed (10,000): more makes no difference.
    const BURST: u64 = 10_000;

    pub(crate) fn new(limits: &SessionLimits, now: Instant) -> Self {
        let share = |limit: u64| (limit.min(Self::BURST) * 4 / 5).max(1);
        let rate = limits.commands_per_s.map(share);
        let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1).div_f64(rate as f64));
        let burst = limits.burst.map_or(1, share);
        Self { interval, ahead: interval.mul_f64((burst - 1) as f64), paced: now }
    }

    /// When the next command may go, if not now.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        self.paced.checked_sub(self.ahead).filter(|next| *next > now)
    }

    /// A command goes.
    pub(crate) fn take(&mut self, now: Instant) {
        self.paced = self.paced.max(now) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_is_within_what_the_hub_gives_and_returning_not_before_what_it_asks() {
        for ms in [0, 1, 1000, 60_000] {
            let asked = Duration::from_millis(ms);
            for _ in 0..100 {
                assert!(leaving(ms) <= asked);
                assert!((asked..=asked.mul_f64(1.5)).contains(&returning(ms)));
            }
        }
    }

    #[test]
    fn no_number_of_the_hub_makes_us_wait_for_ever() {
        assert!(leaving(u64::MAX) <= LONGEST);
        assert!(returning(u64::MAX) <= LONGEST.mul_f64(1.5));
        assert_eq!(limited(u64::MAX), LONGEST);
    }

    /// How many commands go within a time, sent as soon as they may.
    fn sent_within(limits: &SessionLimits, time: Duration) -> u32 {
        let start = Instant::now();
        let mut allowance = Allowance::new(limits, start);
        let (mut now, mut sent) = (start, 0);
        while sent < 100_000 {
            if let Some(next) = allowance.next(now) {
                now = next;
            }
            if now > start + time {
                break;
            }
            allowance.take(now);
            sent += 1;
        }
        sent
    }

    #[test]
    fn commands_go_at_four_fifths_of_what_the_hub_takes() {
        let limits =
            SessionLimits { commands_per_s: Some(100), burst: Some(500), ..SessionLimits::default() };
        assert_eq!(sent_within(&limits, Duration::ZERO), 400);
        assert_eq!(sent_within(&limits, Duration::from_secs(1)), 480);
        assert_eq!(sent_within(&limits, Duration::from_secs(10)), 1200);
    }

    #[test]
    fn whatever_the_hub_says_there_is_some_way_to_go_on() {
        for (commands_per_s, burst, at_least) in [
            (None, None, 100_000),
            (Some(0), Some(0), 10),
            (Some(1), None, 10),
            (Some(u64::MAX), Some(u64::MAX), 50_000),
        ] {
            let limits = SessionLimits { commands_per_s, burst, ..SessionLimits::default() };
            let sent = sent_within(&limits, Duration::from_secs(10));
            assert!(sent >= at_least, "{limits:?}: {sent}");
        }
    }
}
