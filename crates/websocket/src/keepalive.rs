//! Is the remote still there? Asks with a Ping when nothing has arrived for a while, and measures the round trip.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::close::Why;
use crate::config::Limits;

#[derive(Debug)]
pub(crate) struct Keepalive {
    last_heard: Instant,
    /// From a Ping until its answer: most of the time there is none.
    asking: Option<Box<Asking>>,
    /// In microseconds, and one more.
    round_trip: Option<NonZeroU32>,
    /// Counts the Pings: each has a payload of its own, so that a late Pong is not taken for the next one's.
    count: u32,
}

#[derive(Debug, Default)]
struct Asking {
    /// When we asked, while nothing has arrived since.
    since: Option<Instant>,
    /// The Ping whose Pong would tell the round trip.
    measuring: Option<Instant>,
    /// The output's position behind that Ping, and how far the output had come when it was last looked at.
    ping_end: u64,
    seen_written: u64,
}

impl Keepalive {
    pub(crate) fn new(now: Instant) -> Self {
        Self { last_heard: now, asking: None, round_trip: None, count: 0 }
    }

    /// Something arrived. Whatever it is, the remote lives. `written` is how much of the output is.
    #[inline]
    pub(crate) fn heard(&mut self, now: Instant, written: u64) {
        self.last_heard = now;
        if let Some(asking) = &mut self.asking {
            asking.since = None;
            if asking.measuring.is_none() && asking.ping_end <= written {
                self.asking = None;
            }
        }
    }

    /// The payload of the Ping that asks now.
    pub(crate) fn asked(&mut self, now: Instant) -> [u8; 4] {
        let asking = self.asking.get_or_insert_default();
        asking.since = Some(now);
        asking.measuring = Some(now);
        self.count = self.count.wrapping_add(1);
        self.count.to_be_bytes()
    }

    /// Time to ask, but the last Ping has not even left: its answer is awaited anew.
    pub(crate) fn asked_already(&mut self, now: Instant) {
        self.asking.get_or_insert_default().since = Some(now);
    }

    /// Whether the last Ping still waits in the output, of which this much is written.
    pub(crate) fn is_queued(&self, written: u64) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.ping_end > written)
    }

    /// Where that Ping stands in the output.
    pub(crate) fn queued(&mut self, ping_end: u64, written: u64) {
        let asking = self.asking.get_or_insert_default();
        asking.ping_end = ping_end;
        asking.seen_written = written;
    }

    /// Whether the Ping was still behind other bytes when we last looked and those have moved since: a remote that
    /// reads slowly is not dead, and cannot answer what it has not got. It then has the time for its answer anew.
    pub(crate) fn on_its_way(&mut self, written: u64, now: Instant) -> bool {
        let Some(asking) = &mut self.asking else { return false };
        let moving = asking.seen_written < asking.ping_end && written > asking.seen_written;
        if moving {
            asking.seen_written = written;
            asking.since = Some(now);
        }
        moving
    }

    /// A Pong arrived; perhaps the one that answers us.
    pub(crate) fn answered(&mut self, payload: &[u8], now: Instant) {
        if payload == self.count.to_be_bytes()
            && let Some(asked) = self.asking.as_mut().and_then(|asking| asking.measuring.take())
        {
            let micros = now.saturating_duration_since(asked).as_micros();
            // Beyond 71 minutes it is not worth a wider number.
            self.round_trip = NonZeroU32::new(u32::try_from(micros).unwrap_or(u32::MAX).saturating_add(1));
        }
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.map(|micros| Duration::from_micros(u64::from(micros.get()) - 1))
    }

    pub(crate) fn deadline(&self, limits: &Limits) -> Option<(Instant, Why)> {
        match self.asking.as_ref().and_then(|asking| asking.since) {
            Some(asked) => Some((asked.checked_add(limits.pong_timeout?)?, Why::Pong)),
            None => Some((self.last_heard.checked_add(limits.ping_interval?)?, Why::Ping)),
        }
    }
}
