//! What clients ask for: one file a verb.

mod connect;
mod history;
mod ping;
mod presence;
mod publish;
mod refresh;
mod subscribe;
mod unsubscribe;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::Limits;
use crate::error::Rule;
use crate::json::{encode, read_object};

pub use connect::{ClientInfo, Connect, Credential};
pub use history::History;
pub use ping::Ping;
pub use presence::Presence;
pub use publish::Publish;
pub use refresh::Refresh;
pub use subscribe::Subscribe;
pub use unsubscribe::Unsubscribe;

/// `{"id": 7, "<verb>": {...}}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Positive, below 2^53, and no other command in flight has it.
    pub id: u64,
    /// What is asked for.
    pub verb: Verb,
}

/// What a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Something to be answered.
    Command(Command),
    /// `{"pong": n}`: the answer to the push `ping`, the one message without id; not answered.
    Pong(u64),
}

macro_rules! verbs {
    ($($(#[doc = $doc:literal])+ $verb:ident, $name:literal;)+) => {
        /// What is asked for.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Verb {
            $($(#[doc = $doc])+ $verb($verb),)+
        }

        impl Verb {
            /// The name of every verb.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name on the wire.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$verb(_) => $name,)+ }
            }

            pub(crate) fn read(name: &str, body: &RawValue, limits: &Limits) -> Result<Self, Rule> {
                match name {
                    $($name => {
                        let body: $verb =
                            read_object(body).map_err(|what| Rule::BadBody { verb: $name, what })?;
                        body.check(limits)?;
                        Ok(Self::$verb(body))
                    })+
                    _ => Err(Rule::UnknownVerb(crate::error::shorten(name.to_owned(), 64))),
                }
            }
        }

        impl Serialize for Command {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("id", &self.id)?;
                match &self.verb { $(Verb::$verb(body) => map.serialize_entry($name, body)?,)+ }
                map.end()
            }
        }

        $(impl From<$verb> for Verb {
            fn from(verb: $verb) -> Self {
                Self::$verb(verb)
            }
        })+
    };
}

verbs! {
    /// Who I am.
    Connect, "connect";
    /// Who I am, again, with new permissions.
    Refresh, "refresh";
    /// Send me what happens in a channel.
    Subscribe, "subscribe";
    /// No longer.
    Unsubscribe, "unsubscribe";
    /// Tell everybody in a channel.
    Publish, "publish";
    /// Who is in a channel?
    Presence, "presence";
    /// What was in a channel?
    History, "history";
    /// Are you there?
    Ping, "ping";
}

impl Command {
    /// The command as the text of one message: one line, without a newline.
    pub fn encode(&self) -> String {
        encode(self)
    }
}

impl Incoming {
    /// The message as text: one line, without a newline.
    pub fn encode(&self) -> String {
        match self {
            Self::Command(command) => command.encode(),
            Self::Pong(number) => format!(r#"{{"pong":{number}}}"#),
        }
    }
}

fn at_most(what: &'static str, limit: usize, got: usize) -> Result<(), Rule> {
    if got > limit { Err(Rule::TooLarge { what, limit, got }) } else { Ok(()) }
}
