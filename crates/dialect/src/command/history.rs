//! `history`: what was in a channel?

use serde::{Deserialize, Serialize};

use crate::error::Rule;
use crate::json::optional_object;
use crate::{ChannelName, Limits, Position};

/// Asks for a piece of a channel's history. Answered with [`History`](struct@crate::History).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Which channel.
    pub channel: ChannelName,
    /// Only what came after it, or in reverse before it.
    #[serde(default, deserialize_with = "optional_object", skip_serializing_if = "Option::is_none")]
    pub since: Option<Position>,
    /// The most publications wanted; the hub may send fewer. 0 asks for the position alone.
    pub limit: u32,
    /// Newest first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reverse: bool,
}

impl History {
    pub(super) fn check(&self, _: &Limits) -> Result<(), Rule> {
        Ok(())
    }
}
