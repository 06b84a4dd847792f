//! Every bound of the client, in one place.

use std::time::Duration;

/// Bounds of a client, each with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commands that wait to be sent, at most (64). More callers wait for their turn. Enough to keep a connection
    /// busy; what stands in a queue while there is no connection is old when there is one.
    pub requests: usize,
    /// Commands sent and not yet answered, at most (32). The hub refuses more than 64.
    pub in_flight: usize,
    /// Events of one subscription that the application has not yet taken, at most (256). Past that the client stops
    /// keeping what is published, and fetches it from history once half of this is free.
    pub events: usize,
    /// Connection events that a slow reader of them can be behind, at most (64); the oldest go first.
    pub connection_events: usize,
    /// From the start of an attempt to the hub's `connected`, the ticket source included (30 s): a network that
    /// swallows packets must not end the retrying.
    pub attempt: Duration,
    /// How long a connection must hold for the next backoff to begin anew (10 s): a hub that takes us and drops us
    /// is not helped by being asked twice a second.
    pub stable: Duration,
    /// The largest message that the hub may send, in bytes (1 MiB).
    pub message: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 64,
            in_flight: 32,
            events: 256,
            connection_events: 64,
            attempt: Duration::from_secs(30),
            stable: Duration::from_secs(10),
            message: 1 << 20,
        }
    }
}
