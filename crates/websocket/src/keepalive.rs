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
    round_trip: Option<Duration>,
    /// Counts the Pings: each has a payload of its own, so that a late Pong is not taken for the next one's.
    count: u32,
}

impl Keepalive {
    pub(crate) fn new(now: Instant) -> Self {
        Self { last_heard: now, asked: None, measuring: None, round_trip: None, count: 0 }
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
            Some(asked) => Some((asked + limits.pong_timeout?, Why::Pong)),
            None => Some((self.last_heard + limits.ping_interval?, Why::Ping)),
        }
    }
}
