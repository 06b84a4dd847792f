//! Reading: from the bytes of one message to a command, or to what the hub said.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::command::Incoming;
use crate::error::{BadCommand, BadMessage, ErrorBody, Rule, shorten};
use crate::limits::{INTEGER, SERVER_MESSAGE_DEPTH};
use crate::shape::{Shape, depth, parse_id};
use crate::{ChannelPush, Command, Limits, Push, ReplyBody, Verb};

/// Reads one message of a client.
///
/// One linear pass measures the nesting before any parser sees the bytes; nothing here recurses. On an error
/// the connection can go on: [`BadCommand::encode`] is what to answer.
pub fn decode_command(input: &[u8], limits: &Limits) -> Result<Incoming, BadCommand> {
    let without_id = |rule| BadCommand::new(None, rule);
    let text =
        std::str::from_utf8(input).map_err(|error| without_id(Rule::NotUtf8 { at: error.valid_up_to() }))?;
    let shape = Shape::measure(input);
    if shape.depth > limits.depth {
        // Its sender waits for an answer to this id as to any other.
        return Err(BadCommand::new(shape.id, Rule::TooDeep { limit: limits.depth, got: shape.depth }));
    }
    let Entries { id, first, second, duplicate } = Entries::read(text).map_err(without_id)?;
    let id = id.map(read_id).transpose();
    let known_id = id.as_ref().ok().copied().flatten();
    let refuse = |rule| BadCommand::new(known_id, rule);
    if let Some(key) = duplicate {
        // Of two ids neither can be answered to.
        return Err(BadCommand::new(known_id.filter(|_| key != "id"), Rule::DuplicateKey(name(&key))));
    }
    let id = id.map_err(refuse)?;
    let (verb, body) = match (first, second) {
        (Some((first, _)), Some(second)) => return Err(refuse(Rule::TwoVerbs(name(&first), name(&second)))),
        (Some(first), None) => first,
        (None, _) => return Err(refuse(Rule::NoVerb)),
    };
    if verb == "pong" {
        return match id {
            Some(_) => Err(refuse(Rule::PongWithId)),
            None => read_number(body).map(Incoming::Pong).map_err(refuse),
        };
    }
    let verb = Verb::read(&verb, body, limits).map_err(refuse)?;
    let id = id.ok_or_else(|| without_id(Rule::NoId))?;
    Ok(Incoming::Command(Command { id, verb }))
}

/// What a hub says to a client.
#[derive(Clone, Debug)]
pub enum ServerMessage {
    /// The good answer to command `id`; which body it has, the command says.
    Ok {
        /// The command's id.
        id: u64,
        /// To be read once the command is known.
        body: RawBody,
    },
    /// The bad answer to command `id`.
    Error {
        /// The command's id.
        id: u64,
        /// Why not.
        error: ErrorBody,
    },
    /// What answers no command.
    Push(Push),
    /// A push that this version does not know: to be left alone, for a newer hub may send it.
    Unknown,
}

/// The body of a good reply, not yet read.
#[derive(Clone, Debug)]
pub struct RawBody(Box<RawValue>);

impl RawBody {
    /// Reads it as what the command's verb answers with.
    pub fn read<T: ReplyBody>(&self) -> Result<T, BadMessage> {
        read_object(&self.0).map_err(BadMessage::new)
    }

    /// Its text.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

/// Reads one message of a hub.
pub fn decode_message(input: &[u8]) -> Result<ServerMessage, BadMessage> {
    let text = std::str::from_utf8(input).map_err(|error| BadMessage::new(error.to_string()))?;
    let got = depth(input);
    if got > SERVER_MESSAGE_DEPTH {
        return Err(BadMessage::new(format!("nests at most {SERVER_MESSAGE_DEPTH} levels deep, got {got}")));
    }
    let Object(envelope): Object<Envelope<'_>> =
        serde_json::from_str(text).map_err(|error| BadMessage::new(error.to_string()))?;
    envelope.classify().map_err(BadMessage::new)
}

/// Everything that can stand at the top of a message of the hub; anything else is ignored.
#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    ok: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    channel: Option<crate::ChannelName>,
    #[serde(rename = "pub")]
    publication: Option<&'a RawValue>,
    join: Option<&'a RawValue>,
    leave: Option<&'a RawValue>,
    gap: Option<&'a RawValue>,
    unsubscribed: Option<&'a RawValue>,
    connected: Option<&'a RawValue>,
    expiring: Option<&'a RawValue>,
    ping: Option<u64>,
    go_away: Option<&'a RawValue>,
    disconnect: Option<&'a RawValue>,
}

impl Envelope<'_> {
    fn classify(self) -> Result<ServerMessage, String> {
        if let Some(id) = self.id {
            return match (self.ok, self.error) {
                (Some(body), None) => Ok(ServerMessage::Ok { id, body: RawBody(body.to_owned()) }),
                (None, Some(error)) => Ok(ServerMessage::Error { id, error: read_object(error)? }),
                _ => Err("a reply has either ok or error".into()),
            };
        }
        let push = if let Some(channel) = self.channel.clone() {
            self.classify_channel()?.map(|push| Push::Channel(channel, push))
        } else if let Some(body) = self.connected {
            Some(Push::Connected(read_object(body)?))
        } else if let Some(body) = self.expiring {
            Some(Push::Expiring(read_object(body)?))
        } else if let Some(number) = self.ping {
            Some(Push::Ping(number))
        } else if let Some(body) = self.go_away {
            Some(Push::GoAway(read_object(body)?))
        } else if let Some(body) = self.disconnect {
            Some(Push::Disconnect(read_object(body)?))
        } else if let Some(body) = self.error {
            Some(Push::Error(read_object(body)?))
        } else {
            None
        };
        Ok(push.map_or(ServerMessage::Unknown, ServerMessage::Push))
    }

    fn classify_channel(&self) -> Result<Option<ChannelPush>, String> {
        Ok(if let Some(body) = self.publication {
            Some(ChannelPush::Publication(read_object(body)?))
        } else if let Some(body) = self.join {
            Some(ChannelPush::Join(read_object(body)?))
        } else if let Some(body) = self.leave {
            Some(ChannelPush::Leave(read_object(body)?))
        } else if let Some(body) = self.gap {
            Some(ChannelPush::Gap(read_object(body)?))
        } else if let Some(body) = self.unsubscribed {
            Some(ChannelPush::Unsubscribed(read_object(body)?))
        } else {
            None
        })
    }
}

/// The text of a message.
pub(crate) fn encode<T: Serialize>(message: &T) -> String {
    // Fails only for maps with keys that are not strings, and for types whose Serialize fails: no message has any.
    serde_json::to_string(message).expect("messages serialize to JSON")
}

/// Reads an object as a body; the error is in words, without a place, as that would count from the body's start.
pub(crate) fn read_object<T: for<'de> Deserialize<'de>>(body: &RawValue) -> Result<T, String> {
    match serde_json::from_str::<Object<T>>(body.get()) {
        Ok(Object(value)) => Ok(value),
        Err(error) => {
            let words = error.to_string();
            Err(words.rsplit_once(" at line ").map_or(&*words, |(what, _)| what).to_owned())
        }
    }
}

/// An integer from 0 to below 2^53.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number < INTEGER {
        return Ok(number);
    }
    Err(serde::de::Error::custom(format_args!("an integer is below {INTEGER}, got {number}")))
}

/// An [`integer`], null, or nothing at all.
pub(crate) fn optional_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Integer(#[serde(deserialize_with = "integer")] u64);
    Ok(Option::<Integer>::deserialize(deserializer)?.map(|Integer(number)| number))
}

/// An [`Object`], null, or nothing at all.
pub(crate) fn optional_object<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
}

/// Reads `T` from a JSON object only. A derived struct alone would take an array of its fields as well.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(OnlyMap(PhantomData)).map(Object)
    }
}

fn read_id(value: &RawValue) -> Result<u64, Rule> {
    parse_id(value.get()).ok_or_else(|| Rule::BadId(name(value.get())))
}

fn read_number(value: &RawValue) -> Result<u64, Rule> {
    let number = value.get().parse().ok().filter(|number| *number < INTEGER);
    number.ok_or_else(|| Rule::BadBody {
        verb: "pong",
        what: format!("a number is an integer from 0 and below {INTEGER}, got {}", name(value.get())),
    })
}

/// What somebody else wrote, short enough to be repeated in an error.
fn name(text: &str) -> String {
    shorten(text.to_owned(), 64)
}

/// The top of a command: at most one id and one verb are wanted, so no more than two verbs are kept,
/// however many there are.
#[derive(Default)]
struct Entries<'a> {
    id: Option<&'a RawValue>,
    first: Option<(Cow<'a, str>, &'a RawValue)>,
    second: Option<Cow<'a, str>>,
    duplicate: Option<String>,
}

impl<'a> Entries<'a> {
    fn read(text: &'a str) -> Result<Self, Rule> {
        let kind = match text.trim_ascii_start().bytes().next() {
            None | Some(b'{') => None,
            Some(b'[') => Some("an array"),
            Some(b'"') => Some("a string"),
            Some(b'n') => Some("null"),
            Some(b't' | b'f') => Some("a boolean"),
            Some(_) => Some("a number"),
        };
        let syntax = |error: serde_json::Error| Rule::NotJson(error.to_string());
        match kind {
            None => serde_json::from_str(text).map_err(syntax),
            Some(kind) => match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => Err(Rule::NotAnObject(kind)),
                Err(error) => Err(syntax(error)),
            },
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Entries::default();
                while let Some(Key(key)) = map.next_key()? {
                    let value: &RawValue = map.next_value()?;
                    entries.add(key, value);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl<'a> Entries<'a> {
    fn add(&mut self, key: Cow<'a, str>, value: &'a RawValue) {
        let twice = match (&self.first, &self.second) {
            _ if key == "id" => self.id.is_some(),
            (Some((first, _)), _) if *first == key => true,
            (_, Some(second)) => *second == key,
            _ => false,
        };
        if twice {
            self.duplicate.get_or_insert_with(|| key.into_owned());
        } else if key == "id" {
            self.id = Some(value);
        } else if self.first.is_none() {
            self.first = Some((key, value));
        } else if self.second.is_none() {
            self.second = Some(key);
        }
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text).map(Key)
    }
}
