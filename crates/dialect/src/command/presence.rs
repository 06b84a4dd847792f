//! `presence`: who is in a channel?

use serde::{Deserialize, Serialize};

use crate::error::Rule;
use crate::{ChannelName, Limits};

/// Asks who is in a channel. Answered with [`Presence`](struct@crate::Presence).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Which channel.
    pub channel: ChannelName,
}

impl Presence {
    pub(super) fn check(&self, _: &Limits) -> Result<(), Rule> {
        Ok(())
    }
}
