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

/// The close code of whatever ended without a Close frame (RFC 6455 §7.1.5).
pub(crate) const BROKEN: u16 = 1006;

/// How a connection, or the client, ended. In words, a code stands in front of the reason if one was said.
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
        match (self.code, self.reason.as_str()) {
            // It stands for a Close frame that never came, perhaps because there was no connection: only its cause says
            // something.
            (BROKEN, "") => f.write_str("the connection broke"),
            (BROKEN, reason) => f.write_str(reason),
            (code, "") => write!(f, "{code}"),
            (code, reason) => write!(f, "{code} {reason}"),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_shows_its_code_only_where_one_was_said() {
        let table = [
            (4401, "used", "4401 used"),
            (1001, "", "1001"),
            (BROKEN, "Connection refused", "Connection refused"),
            (BROKEN, "", "the connection broke"),
        ];
        for (code, reason, expected) in table {
            assert_eq!(Ending::new(code, reason).to_string(), expected);
        }
    }
}
