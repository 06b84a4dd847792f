//! Every limit of the hub's side of the server, by name, with its default and the reason for it.

use std::time::Duration;

use crate::outbox::Bounds;
use crate::rate::Rate;

/// What may be how large, how many, how often, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Commands of one peer. 100/s and 500 at once: a person's page needs a few; a burst covers a page that
    /// subscribes to everything after a reconnect.
    pub commands: Rate,
    /// Commands of one peer that wait for their answer. 64: enough to hide a broker's round trip; past it the
    /// peer is read no further.
    pub commands_in_flight: usize,
    /// Channels one link subscribes to. 1,000: more than a page shows, and what a return must make again
    /// within the burst.
    pub subscriptions: usize,
    /// A message of a client, in bytes; doors enforce it, peers tell it. 1 MiB, the default of the WebSocket
    /// below.
    pub message: usize,
    /// `data` of a publish, in bytes. 64 KiB: it is kept, and multiplied by the number of subscribers.
    pub publication: usize,
    /// Publications, and members, in one reply, in bytes each. 256 KiB: a quarter of the outbox.
    pub reply: usize,
    /// Publications that one `history` returns. 1,000, as many as are kept by default.
    pub history: usize,
    /// Outbox of one peer. 1 MiB before publications wait in history instead; catching up begins below a
    /// quarter.
    pub outbox: Bounds,
    /// Bytes in the outboxes of all clients together, counted for each though what many receive is shared. 256 MiB: what the slow
    /// may take of a machine with 1 GiB; 256 of them may be a whole outbox behind, and 10,000 some 25 KiB each.
    pub outbox_total: usize,
    /// Time for a credential to come. 10 s: a page asks its web service for a ticket meanwhile.
    pub connect_timeout: Duration,
    /// How long a session is good after its last link. 60 s: a tunnel, a reload, a change of network.
    pub session_linger: Duration,
    /// How long a lost link is not yet a leave. 5 s: a reload or a change of network shows to nobody.
    pub presence_grace: Duration,
    /// How long before a credential runs out its client is told. 30 s: time to fetch and redeem another.
    pub expiring_notice: Duration,
    /// How often doors make bytes flow; told to the client. 30 s: below the idle timeouts of common proxies.
    pub heartbeat: Duration,
    /// Sessions of this node, attached or not. 1,000,000; a few hundred bytes each.
    pub sessions: usize,
    /// Channels of this node. 1,000,000.
    pub channels: usize,
    /// Tickets that wait in memory. 1,000,000; with 10 s of life that is 100,000 logins a second.
    pub tickets: usize,
    /// Life of a ticket for which none is asked. 10 s: it is redeemed by the page that asked for it.
    pub ticket_ttl: Duration,
    /// The longest life of a ticket that can be asked for. 60 s.
    pub ticket_ttl_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            commands: Rate { per_second: 100, burst: 500 },
            commands_in_flight: 64,
            subscriptions: 1_000,
            message: 1 << 20,
            publication: 64 << 10,
            reply: 256 << 10,
            history: 1_000,
            outbox: Bounds { high: 1 << 20, low: 256 << 10 },
            outbox_total: 256 << 20,
            connect_timeout: Duration::from_secs(10),
            session_linger: Duration::from_secs(60),
            presence_grace: Duration::from_secs(5),
            expiring_notice: Duration::from_secs(30),
            heartbeat: Duration::from_secs(30),
            sessions: 1_000_000,
            channels: 1_000_000,
            tickets: 1_000_000,
            ticket_ttl: Duration::from_secs(10),
            ticket_ttl_max: Duration::from_secs(60),
        }
    }
}
