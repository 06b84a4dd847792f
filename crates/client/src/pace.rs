//! How long to wait, by chance: clients that lost the same hub at the same instant must not return at the same instant.

use std::time::Duration;

use rand::RngExt;
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
}
