//! Is the remote still there? Asks with a Ping when nothing has arrived for a while, and measures the round trip.

use std::time::{Duration, Instant};

use crate::close::Why;
use crate::config::Limits;

#[derive(Debug)]
pub(crate) struct Keepalive {
    last_heard: Instant,
    /// When we asked, while nothing has arrived since.
    asked: Option<Instant>,
    /// The Ping whose Pong would tell the round trip.
    measuring: Option<Instant>,
    /// The output's position behind that Ping, and how far the output had come when it was last looked at.
    ping_end: u64,
    seen_written: u64,
    round_trip: Option<Duration>,
    /// Counts the Pings: each has a payload of its own, so that a late Pong is not taken for the next one's.
    count: u32,
}

impl Keepalive {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            last_heard: now,
            asked: None,
            measuring: None,
            ping_end: 0,
            seen_written: 0,
            round_trip: None,
            count: 0,
        }
    }

    /// Something arrived. Whatever it is, the remote lives.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.asked = None;
    }

    /// The payload of the Ping that asks now.
    pub(crate) fn asked(&mut self, now: Instant) -> [u8; 4] {
        self.asked = Some(now);
        self.measuring = Some(now);
        self.count = self.count.wrapping_add(1);
        self.count.to_be_bytes()
    }

    /// Time to ask, but the last Ping has not even left: its answer is awaited anew.
    pub(crate) fn asked_already(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// Whether the last Ping still waits in the output, of which this much is written.
    pub(crate) fn is_queued(&self, written: u64) -> bool {
        self.ping_end > written
    }

    /// Where that Ping stands in the output.
    pub(crate) fn queued(&mut self, ping_end: u64, written: u64) {
        self.ping_end = ping_end;
        self.seen_written = written;
    }

    /// Whether the Ping was still behind other bytes when we last looked and those have moved since: a remote that
    /// reads slowly is not dead, and cannot answer what it has not got. It then has the time for its answer anew.
    pub(crate) fn on_its_way(&mut self, written: u64, now: Instant) -> bool {
        let moving = self.seen_written < self.ping_end && written > self.seen_written;
        if moving {
            self.seen_written = written;
            self.asked = Some(now);
        }
        moving
    }

    /// A Pong arrived; perhaps the one that answers us.
    pub(crate) fn answered(&mut self, payload: &[u8], now: Instant) {
        if payload == self.count.to_be_bytes()
            && let Some(asked) = self.measuring.take()
        {
            self.round_trip = Some(now.saturating_duration_since(asked));
        }
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(crate) fn deadline(&self, limits: &Limits) -> Option<(Instant, Why)> {
        match self.asked {
            Some(asked) => Some((asked.checked_add(limits.pong_timeout?)?, Why::Pong)),
            None => Some((self.last_heard.checked_add(limits.ping_interval?)?, Why::Ping)),
        }
    }
}
