//! `publish`: tell everybody in a channel.

use serde::{Deserialize, Serialize};

use super::at_most;
use crate::error::Rule;
use crate::{ChannelName, Json, Limits};

/// Publishes. Answered with [`Published`](crate::Published): then it has its place in the channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Which channel.
    pub channel: ChannelName,
    /// Any JSON, `null` included; at most [`Limits::data`] bytes of text (64 KiB), once on one line.
    pub data: Json,
    /// Whether this connection is not to get the push.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclude_self: bool,
}

impl Publish {
    pub(super) fn check(&self, limits: &Limits) -> Result<(), Rule> {
        at_most("publish data", limits.data, self.data.get().len())
    }
}
