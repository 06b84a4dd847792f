//! Where something is in a channel, and what is there.

use serde::{Deserialize, Serialize};

use crate::Json;
use crate::json::integer;
use crate::text::{Epoch, UserId};

/// A place in a channel: the epoch says which memory of the channel, the offset which publication in it.
///
/// Offsets start at 1 and are consecutive. As `since` it is exclusive ("I have seen this one"), so offset 0
/// stands before the first publication.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Which memory of the channel the offset counts in.
    pub epoch: Epoch,
    /// The publication, below 2^53; 0 is before the first.
    #[serde(deserialize_with = "integer")]
    pub offset: u64,
}

impl Position {
    /// The place at `offset` of `epoch`.
    pub fn new(epoch: Epoch, offset: u64) -> Self {
        Self { epoch, offset }
    }
}

/// One item in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Its place in the channel's current epoch.
    #[serde(deserialize_with = "integer")]
    pub offset: u64,
    /// What was published.
    pub data: Json,
    /// Who published it; absent if the backend did, or nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// When the hub took it: milliseconds since the Unix epoch.
    #[serde(deserialize_with = "integer")]
    pub at: u64,
}

/// One user in a channel, however many sessions they have there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who it is.
    pub user: UserId,
    /// What their ticket says that others may see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Json>,
    /// Their sessions in this channel, at least 1.
    pub sessions: u32,
}
