//! How long a client waits before it tries to connect again (RFC 6455 §7.2.3).

use std::time::Duration;

/// Upper bound of the first wait. Half a second is not felt after a network change, and spreads the clients of one
/// server over more time than the server needs to come back.
pub const BASE: Duration = Duration::from_millis(500);

/// Upper bound of every wait: a client that comes back to a network is connected within this time.
pub const CAP: Duration = Duration::from_secs(20);

/// How long to wait before attempt number `attempt`, the first after a loss being 0: `random(0, min(CAP, BASE * 2^n))`.
///
/// `random` is a fresh number, evenly distributed over all of `u64`. The whole interval is random ("full jitter"): when
/// a server goes, all its clients lose it at the same instant, and only chance can pull them apart.
///
/// ```
/// use std::time::Duration;
/// use trunkline_websocket::backoff::backoff;
///
/// assert_eq!(backoff(0, u64::MAX / 2).as_millis(), 249);
/// assert_eq!(backoff(3, 0), Duration::ZERO);
/// assert!(backoff(u32::MAX, u64::MAX) < Duration::from_secs(20));
/// ```
pub fn backoff(attempt: u32, random: u64) -> Duration {
    let bound = BASE.saturating_mul(2_u32.saturating_pow(attempt)).min(CAP);
    // `random / 2^64` of the bound. The bound is at most 2 * 10^10 ns, below 2^35, so neither step can overflow.
    let nanos = (bound.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(nanos as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_stays_below_a_bound_that_doubles_up_to_twenty_seconds() {
        for (attempt, bound) in
            [(0, 500), (1, 1000), (2, 2000), (3, 4000), (4, 8000), (5, 16_000), (6, 20_000)]
        {
            let bound = Duration::from_millis(bound);
            assert!(backoff(attempt, u64::MAX) < bound);
            assert!(
                backoff(attempt, u64::MAX) > bound - Duration::from_micros(1),
                "the whole interval is used"
            );
            assert_eq!(backoff(attempt, 1 << 63), bound / 2);
            assert_eq!(backoff(attempt, 0), Duration::ZERO);
        }
    }

    #[test]
    fn no_attempt_number_overflows() {
        for attempt in (6..100).chain([u32::MAX - 1, u32::MAX]) {
            assert_eq!(backoff(attempt, 1 << 63), CAP / 2, "attempt {attempt}");
        }
    }

    #[test]
    fn waits_are_spread_evenly_over_the_interval() {
        let quarter = u64::MAX / 4;
        let waits: Vec<_> = (0..4).map(|n| backoff(2, n * quarter + quarter / 2).as_millis()).collect();
        assert_eq!(waits, [249, 749, 1249, 1749]);
    }
}
