//! What the hub says of its own accord.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::{ErrorBody, read_code};
use crate::json::integer;
use crate::{ChannelName, Code, Connected, Json, Publication, UserId};

/// A message of the hub that answers no command: one JSON object without `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Push {
    /// `{"connected": {...}}`: the first message where the handshake carried the credential.
    Connected(Connected),
    /// `{"channel": c, ...}`: something happened in a channel.
    Channel(ChannelName, ChannelPush),
    /// `{"expiring": {...}}`: refresh soon.
    Expiring(Expiring),
    /// `{"ping": n}`, on doors without ping frames: answer `{"pong": n}`.
    Ping(u64),
    /// `{"go_away": {...}}`: leave in your own time, and come back.
    GoAway(GoAway),
    /// `{"disconnect": {...}}`: the last message before the hub ends the connection.
    Disconnect(Disconnect),
    /// `{"error": {...}}`: something came in that could not be read as a command, not even its id.
    Error(ErrorBody),
}

/// What happened in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelPush {
    /// `"pub"`: something was published. In order, each once.
    Publication(Publication),
    /// `"join"`: a user came, with their first session.
    Join(Join),
    /// `"leave"`: a user's last session went, and did not return within the grace.
    Leave(Leave),
    /// `"gap"`: publications that this client will not get.
    Gap(Gap),
    /// `"unsubscribed"`: the hub ended the subscription; no more pushes of this channel come.
    Unsubscribed(Removed),
}

/// A user came into a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Who.
    pub user: UserId,
    /// What their ticket says that others may see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Json>,
}

/// A user went from a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// Who.
    pub user: UserId,
}

/// Publications that were in the channel and that history no longer has for this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first offset that is missing.
    #[serde(deserialize_with = "integer")]
    pub from: u64,
    /// The last offset that is missing: both ends belong to the gap.
    #[serde(deserialize_with = "integer")]
    pub to: u64,
}

/// Why the hub ended a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Why.
    #[serde(deserialize_with = "read_code")]
    pub code: Code,
    /// Why, for a person.
    #[serde(default)]
    pub message: String,
}

/// The credential runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiring {
    /// Milliseconds until it does.
    #[serde(deserialize_with = "integer")]
    pub in_ms: u64,
}

/// This node wants to be left, without hurry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoAway {
    /// Leave at a random moment within these milliseconds; who stays longer is disconnected.
    #[serde(deserialize_with = "integer")]
    pub leave_ms: u64,
    /// Do not come back before these milliseconds have passed since leaving.
    #[serde(deserialize_with = "integer")]
    pub return_ms: u64,
    /// The URL to come back to, if it is another one.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why.
    #[serde(deserialize_with = "read_code")]
    pub code: Code,
}

/// The hub ends the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disconnect {
    /// Why.
    #[serde(deserialize_with = "read_code")]
    pub code: Code,
    /// Why, for a person.
    #[serde(default)]
    pub message: String,
    /// Whether coming back makes sense; with which credential, [`Code::reconnect`] says.
    pub reconnect: bool,
}

impl Push {
    /// The push as the text of one message: one line, without a newline.
    pub fn encode(&self) -> String {
        crate::json::encode(self)
    }
}

impl Disconnect {
    /// The end with a code and the code's own advice.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let ErrorBody { message, .. } = ErrorBody::new(code, message);
        Self { code, message, reconnect: code.reconnect() != crate::Reconnect::No }
    }
}

impl Serialize for Push {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Connected(body) => map.serialize_entry("connected", body)?,
            Self::Channel(channel, push) => {
                map.serialize_entry("channel", channel)?;
                match push {
                    ChannelPush::Publication(body) => map.serialize_entry("pub", body)?,
                    ChannelPush::Join(body) => map.serialize_entry("join", body)?,
                    ChannelPush::Leave(body) => map.serialize_entry("leave", body)?,
                    ChannelPush::Gap(body) => map.serialize_entry("gap", body)?,
                    ChannelPush::Unsubscribed(body) => map.serialize_entry("unsubscribed", body)?,
                }
            }
            Self::Expiring(body) => map.serialize_entry("expiring", body)?,
            Self::Ping(number) => map.serialize_entry("ping", number)?,
            Self::GoAway(body) => map.serialize_entry("go_away", body)?,
            Self::Disconnect(body) => map.serialize_entry("disconnect", body)?,
            Self::Error(body) => map.serialize_entry("error", body)?,
        }
        map.end()
    }
}
