//! `unsubscribe`: no longer.

use serde::{Deserialize, Serialize};

use crate::error::Rule;
use crate::{ChannelName, Limits};

/// Ends a subscription, and with it the presence in the channel, at once. Answered with
/// [`Unsubscribed`](crate::Unsubscribed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// Which channel.
    pub channel: ChannelName,
}

impl Unsubscribe {
    pub(super) fn check(&self, _: &Limits) -> Result<(), Rule> {
        Ok(())
    }
}
