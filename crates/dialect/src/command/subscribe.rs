//! `subscribe`: send me what happens in a channel.

use serde::{Deserialize, Serialize};

use crate::error::Rule;
use crate::json::optional_object;
use crate::{ChannelName, Limits, Position};

/// Begins, or after a reconnect goes on with, a subscription. Answered with
/// [`Subscribed`](crate::Subscribed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// Which channel.
    pub channel: ChannelName,
    /// The last publication that I have: whatever came after it is to be sent.
    #[serde(default, deserialize_with = "optional_object", skip_serializing_if = "Option::is_none")]
    pub since: Option<Position>,
    /// Whether I want to know who is there, who joins and who leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presence: bool,
}

impl Subscribe {
    /// A plain subscription: from now on, without presence.
    pub fn new(channel: ChannelName) -> Self {
        Self { channel, since: None, presence: false }
    }

    pub(super) fn check(&self, _: &Limits) -> Result<(), Rule> {
        Ok(())
    }
}
