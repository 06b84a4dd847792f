//! What the hub answers to commands.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use crate::error::ErrorBody;
use crate::json::{integer, optional_integer};
use crate::{Epoch, Member, Position, Publication, Secret, UserId};

/// The answer to one command, with the command's id. Replies may come in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `{"id": 7, "ok": {...}}`
    Ok {
        /// The command's id.
        id: u64,
        /// What the verb answers with.
        body: OkBody,
    },
    /// `{"id": 7, "error": {...}}`
    Error {
        /// The command's id.
        id: u64,
        /// Why not.
        error: ErrorBody,
    },
}

/// What each verb answers with. On the wire nothing says which it is: the id does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum OkBody {
    /// To `connect`; the push `connected` has the same body.
    Connected(Connected),
    /// To `refresh`.
    Refreshed(Refreshed),
    /// To `subscribe`.
    Subscribed(Subscribed),
    /// To `unsubscribe`.
    Unsubscribed(Unsubscribed),
    /// To `publish`.
    Published(Published),
    /// To `presence`.
    Presence(Presence),
    /// To `history`.
    History(History),
    /// To `ping`.
    Pong(Pong),
}

/// The session stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// What to come back with: a sealed token, renewed by each connect.
    pub session: Secret,
    /// Who the hub takes the client for; absent if nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The node that answers.
    pub node: String,
    /// When the credential runs out, in milliseconds since the Unix epoch; absent if it does not.
    #[serde(default, deserialize_with = "optional_integer", skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// How often the hub makes bytes flow when nothing else does; silence of twice as long is a dead connection.
    #[serde(deserialize_with = "integer")]
    pub heartbeat_ms: u64,
    /// What the hub will take.
    #[serde(default)]
    pub limits: SessionLimits,
}

/// What the hub will take from one session, so that a client need not learn it from errors. A limit that is
/// absent is not told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLimits {
    /// The longest message, in bytes.
    #[serde(default, deserialize_with = "optional_integer", skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
    /// The longest JSON text of `data` in a publish, in bytes.
    #[serde(default, deserialize_with = "optional_integer", skip_serializing_if = "Option::is_none")]
    pub data: Option<u64>,
    /// Commands a second, in the long run.
    #[serde(default, deserialize_with = "optional_integer", skip_serializing_if = "Option::is_none")]
    pub commands_per_s: Option<u64>,
    /// Commands at once, after a pause.
    #[serde(default, deserialize_with = "optional_integer", skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// Channels at the same time.
    #[serde(default, deserialize_with = "optional_integer", skip_serializing_if = "Option::is_none")]
    pub channels: Option<u64>,
}

/// The session has new permissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// When they run out, in milliseconds since the Unix epoch; absent if they do not.
    #[serde(default, deserialize_with = "optional_integer", skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// The subscription stands; pushes of the channel follow, none came before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The channel's epoch.
    pub epoch: Epoch,
    /// The offset of the last publication in `publications`, or of the channel where there is none: pushes go
    /// on with the next one.
    #[serde(deserialize_with = "integer")]
    pub offset: u64,
    /// Whether everything since `since` is in `publications` or will follow. False where `since` was not
    /// given, is of another epoch, or reaches back further than history.
    pub recovered: bool,
    /// What was missed, oldest first; what does not fit here follows as pushes.
    #[serde(default)]
    pub publications: Vec<Publication>,
    /// Who is in the channel, where the command asked for presence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
}

/// The subscription is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribed {}

/// It is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Published {
    /// Where.
    pub position: Position,
}

/// Who is in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Each user once.
    pub members: Vec<Member>,
    /// How many users there are, which may be more than the hub names.
    #[serde(deserialize_with = "integer")]
    pub count: u64,
}

/// A piece of a channel's history, and where the channel is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The publications, oldest first, or newest first where the command asked for it.
    pub publications: Vec<Publication>,
    /// The channel's epoch.
    pub epoch: Epoch,
    /// The offset of the channel's last publication.
    #[serde(deserialize_with = "integer")]
    pub offset: u64,
}

/// The hub is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// Its clock: milliseconds since the Unix epoch.
    #[serde(deserialize_with = "integer")]
    pub time: u64,
}

impl Reply {
    /// The good answer to command `id`.
    pub fn ok(id: u64, body: impl Into<OkBody>) -> Self {
        Self::Ok { id, body: body.into() }
    }

    /// The bad answer to command `id`.
    pub fn error(id: u64, error: ErrorBody) -> Self {
        Self::Error { id, error }
    }

    /// The reply as the text of one message: one line, without a newline.
    pub fn encode(&self) -> String {
        crate::json::encode(self)
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            Self::Ok { id, body } => {
                map.serialize_entry("id", id)?;
                map.serialize_entry("ok", body)?;
            }
            Self::Error { id, error } => {
                map.serialize_entry("id", id)?;
                map.serialize_entry("error", error)?;
            }
        }
        map.end()
    }
}

impl Subscribed {
    /// The place after which pushes go on.
    pub fn position(&self) -> Position {
        Position::new(self.epoch.clone(), self.offset)
    }
}

impl History {
    /// Where the channel is now.
    pub fn position(&self) -> Position {
        Position::new(self.epoch.clone(), self.offset)
    }
}

/// A body that an `ok` can have: what [`RawBody::read`](crate::RawBody::read) reads.
pub trait ReplyBody: DeserializeOwned + Into<OkBody> + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! bodies {
    ($($body:ident),+) => {$(
        impl From<$body> for OkBody {
            fn from(body: $body) -> Self {
                Self::$body(body)
            }
        }
        impl sealed::Sealed for $body {}
        impl ReplyBody for $body {}
    )+};
}

bodies!(Connected, Refreshed, Subscribed, Unsubscribed, Published, Presence, History, Pong);
