//! What the client tells of its own accord: about the connection, and about one channel.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use trunkline_dialect::{Connected, Gap, Join, Leave, Member, Position, Publication, Removed};

/// What happens to the connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// An attempt begins.
    Connecting {
        /// How many failed since the last one that held: 0 for the first.
        attempt: u32,
    },
    /// The hub has taken us; subscriptions are being restored.
    Connected {
        /// What it told us. Its `session` is a secret.
        session: Arc<Connected>,
    },
    /// The credential runs out, and no ticket source can get a new one: when it has, the hub disconnects.
    Expiring {
        /// How long it still holds.
        within: Duration,
    },
    /// The connection is gone, or an attempt failed. The client comes back by itself.
    Disconnected {
        /// How it ended.
        ending: Ending,
        /// How long until the next attempt.
        reconnect_in: Duration,
    },
    /// The client has ended and does not come back.
    Closed {
        /// Why.
        ending: Ending,
    },
}

/// How a connection, or the client, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// A WebSocket close code. 1006 where the connection just broke or never came about; 44xx is a code of the hub
    /// ([`Code::from_close_code`](trunkline_dialect::Code::from_close_code)).
    pub code: u16,
    /// In words.
    pub reason: String,
}

impl Ending {
    pub(crate) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.reason)
    }
}

/// What happens in a subscribed channel, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Something was published. Each comes once.
    Publication(Publication),
    /// A user came. Only with [`SubscribeOptions::presence`](crate::SubscribeOptions).
    Join(Join),
    /// A user went. Only with presence.
    Leave(Leave),
    /// Everybody who is in the channel now; takes the place of whatever was known. Only with presence: first, and
    /// after each time in which joins and leaves may have been missed.
    Members(Vec<Member>),
    /// Publications that this subscription will never get: history no longer has them.
    Gap(Gap),
    /// The subscription stands again after a cut, and nothing was lost: what was missed follows.
    Recovered {
        /// The last publication before the cut.
        since: Position,
    },
    /// The subscription stands again, but what was between is lost.
    Lost(Lost),
    /// The hub ended the subscription; nothing follows.
    Unsubscribed(Removed),
}

/// Where something was lost: between two positions, whose epochs may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The last publication that the application got.
    pub before: Position,
    /// The position from which it goes on: the next publication is behind it.
    pub now: Position,
}
