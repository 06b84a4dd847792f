//! Where the time comes from: the only clock that the hub's side of the server reads.
//!
//! Everything pure (channel, presence, peer, ticket, session) is *given* a [`Now`]; only the driver, the
//! memory broker and the node ask the [`Clock`]. It reads tokio's monotonic clock, so that a test under
//! paused time moves all of it together.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment on both clocks: the monotonic one for durations, the wall's for what crosses the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// For deadlines and rates: never goes back.
    pub instant: Instant,
    /// Milliseconds since the Unix epoch: `at`, `expires`, `expires_at` and `time` on the wire.
    pub unix_ms: u64,
}

impl Now {
    /// The same moment, later by `by` on both clocks.
    #[cfg(test)]
    pub(crate) fn later(self, by: Duration) -> Now {
        Now { instant: self.instant + by, unix_ms: self.unix_ms + millis(by) }
    }
}

/// Reads the time.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// With a start, the wall clock follows the monotonic one from there: what a test under paused time
    /// wants.
    start: Option<Now>,
}

impl Clock {
    /// The machine's own clocks.
    pub(crate) fn system() -> Clock {
        Clock { start: None }
    }

    /// A wall clock that begins at `unix_ms` and moves with tokio's (perhaps paused) time.
    #[cfg(test)]
    pub(crate) fn starting_at(unix_ms: u64) -> Clock {
        Clock { start: Some(Now { instant: tokio::time::Instant::now().into_std(), unix_ms }) }
    }

    /// This moment.
    pub(crate) fn now(&self) -> Now {
        let instant = tokio::time::Instant::now().into_std();
        let unix_ms = match self.start {
            Some(start) => start.unix_ms + millis(instant.saturating_duration_since(start.instant)),
            // A wall clock before 1970 is a broken machine; zero is as good as any answer there.
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
        };
        Now { instant, unix_ms }
    }
}

/// Whole milliseconds of a duration, the wire's unit of time.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
