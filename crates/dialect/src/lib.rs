//! What hub clients and the Trunkline hub say to each other, whatever the door: dialect `hub.json.1`.
//!
//! A client sends [`Command`]s, each with an id; the hub answers each with one [`Reply`], in any order, and
//! sends [`Push`]es, which have no id. Every type goes both ways: a server decodes commands and encodes
//! replies and pushes, a client the opposite, so the two cannot drift apart.
//!
//! ```
//! use trunkline_dialect::{Incoming, Limits, Position, Epoch, Published, Reply, Verb, json};
//!
//! let text = br#"{"id": 7, "publish": {"channel": "room:1", "data": {"hello": 1}}}"#;
//! let Ok(Incoming::Command(command)) = json::decode_command(text, &Limits::default()) else { panic!() };
//! let Verb::Publish(publish) = &command.verb else { panic!() };
//! assert_eq!(publish.channel.namespace(), "room");
//! assert_eq!(publish.data.get(), r#"{"hello": 1}"#);
//!
//! let position = Position::new(Epoch::new("e1").unwrap(), 42);
//! let reply = Reply::ok(command.id, Published { position });
//! assert_eq!(reply.encode(), r#"{"id":7,"ok":{"epoch":"e1","offset":42}}"#);
//! ```
//!
//! # What this crate never does
//!
//! * No socket, clock, randomness, task or lock: bytes come in as arguments and go out as strings.
//! * No decision: who may do what, and what is remembered, is the hub's. Here is only what can be *said*.
//! * No input of a remote makes it panic, recurse, or allocate more than a small multiple of the input.
//! * What it encodes is always one line: a newline inside of `data` or `info` is taken out on the way in.
//!
//! # Compatibility
//!
//! Unknown fields *inside* a body are ignored by both sides, so either side may add one. Unknown *verbs* are
//! refused by the hub, because a command that is silently not done is worse than an error; unknown *pushes*
//! are handed to the client as [`ServerMessage::Unknown`], and unknown codes are read as `internal`.

// What a remote sends has a length of 64 bits: it is compared before it is made any shorter.
#![cfg_attr(not(test), deny(clippy::cast_possible_truncation))]

mod code;
pub mod command;
mod data;
mod error;
pub mod json;
mod limits;
mod objects;
mod position;
mod push;
mod reply;
mod shape;
mod text;

pub use code::{Code, Reconnect};
pub use command::{Command, Incoming, Verb};
pub use data::{BadJson, Json, Secret};
pub use error::{BadCommand, BadMessage, ErrorBody, Rule};
pub use json::{RawBody, ServerMessage};
pub use limits::{DATA_DEPTH, Limits};
pub use objects::{Found, NotObjects, Objects};
pub use position::{Member, Position, Publication};
pub use push::{ChannelPush, Disconnect, Expiring, Gap, GoAway, Join, Leave, Push, Removed};
pub use reply::{
    Connected, History, OkBody, Pong, Presence, Published, Refreshed, Reply, ReplyBody, SessionLimits,
    Subscribed, Unsubscribed,
};
pub use text::{BadText, ChannelName, Epoch, UserId};

/// The WebSocket subprotocol and lane dialect that this crate speaks.
pub const NAME: &str = "hub.json.1";
