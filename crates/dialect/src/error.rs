//! What was wrong with what the other side said, and how to tell it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{ERROR_MESSAGE, INTEGER};
use crate::{Code, Push, Reply};

/// What an error says on the wire: `{"code": "forbidden", "message": "...", "retry": false}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    /// Why, for a program.
    pub code: Code,
    /// Why, for a person: the rule, the limit, and what was got. At most 512 bytes where we write it.
    pub message: String,
    /// Whether the same command, sent again later, may succeed.
    pub retry: bool,
}

impl ErrorBody {
    /// An error with the code's own advice; a message beyond 512 bytes is cut.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: shorten(message.into(), ERROR_MESSAGE), retry: code.retry() }
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ErrorBody {}

impl<'de> Deserialize<'de> for ErrorBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            code: String,
            #[serde(default)]
            message: String,
            retry: Option<bool>,
        }
        let Wire { code: name, message, retry } = Wire::deserialize(deserializer)?;
        Ok(match Code::from_name(&name) {
            Some(code) => Self { code, message, retry: retry.unwrap_or(code.retry()) },
            // A newer hub. Without its word for it, once more is not safe to advise.
            None => Self {
                code: Code::Internal,
                message: shorten(format!("{name}: {message}"), ERROR_MESSAGE),
                retry: retry.unwrap_or(false),
            },
        })
    }
}

/// A message that is not a command, with what is needed to say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCommand {
    /// The command's id, if one could be read: then the error is a reply to it.
    pub id: Option<u64>,
    /// The rule that it broke.
    pub rule: Rule,
}

/// The rules of reading a command. Its `Display` names the rule, the limit, and what was got instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// JSON is UTF-8 (RFC 8259 section 8.1).
    NotUtf8 {
        /// The first byte that is not.
        at: usize,
    },
    /// It is one JSON text and nothing after it; with the parser's words.
    NotJson(String),
    /// It is an object; with what it is instead.
    NotAnObject(&'static str),
    /// It nests no deeper than the limit.
    TooDeep {
        /// [`Limits::depth`](crate::Limits::depth).
        limit: usize,
        /// Its depth.
        got: usize,
    },
    /// No key twice, for readers disagree on which one counts.
    DuplicateKey(String),
    /// It has an id.
    NoId,
    /// The id is a positive integer below 2^53; with what it is instead.
    BadId(String),
    /// It has a verb.
    NoVerb,
    /// It has one verb only; with two of those it has.
    TwoVerbs(String, String),
    /// The verb is one that we know; with the one it has.
    UnknownVerb(String),
    /// The verb's body is what the verb takes.
    BadBody {
        /// The verb.
        verb: &'static str,
        /// What is wrong, in words.
        what: String,
    },
    /// A part is no longer than its limit.
    TooLarge {
        /// Which part: `publish data`, `connect ticket`.
        what: &'static str,
        /// The most bytes it may have.
        limit: usize,
        /// The bytes it has.
        got: usize,
    },
    /// A pong has no id: it is not answered.
    PongWithId,
}

impl BadCommand {
    pub(crate) fn new(id: Option<u64>, rule: Rule) -> Self {
        Self { id, rule }
    }

    /// What to answer.
    pub fn error(&self) -> ErrorBody {
        ErrorBody::new(self.rule.code(), self.rule.to_string())
    }

    /// The answer as the text of one message: a reply where there is an id, otherwise `{"error": {...}}`.
    pub fn encode(&self) -> String {
        match self.id {
            Some(id) => Reply::error(id, self.error()).encode(),
            None => Push::Error(self.error()).encode(),
        }
    }
}

impl Rule {
    /// The code of breaking the rule.
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } => Code::TooLarge,
            _ => Code::BadRequest,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { at } => write!(f, "a command is UTF-8, got another byte at {at}"),
            Self::NotJson(what) => write!(f, "a command is one JSON object: {what}"),
            Self::NotAnObject(got) => write!(f, "a command is a JSON object, got {got}"),
            Self::TooDeep { limit, got } => {
                write!(f, "a command nests at most {limit} levels deep, data included, got {got}")
            }
            Self::DuplicateKey(key) => write!(f, "no key stands twice in a command, got {key:?} again"),
            Self::NoId => f.write_str("a command has an id, got none"),
            Self::BadId(got) => write!(f, "an id is a positive integer below {INTEGER}, got {got}"),
            Self::NoVerb => f.write_str("a command has one verb beside its id, got none"),
            Self::TwoVerbs(first, second) => {
                write!(f, "a command has one verb beside its id, got {first:?} and {second:?}")
            }
            Self::UnknownVerb(got) => {
                write!(f, "a verb is one of {}, got {got:?}", crate::Verb::NAMES.join(", "))
            }
            Self::BadBody { verb, what } => write!(f, "{verb}: {what}"),
            Self::TooLarge { what, limit, got } => write!(f, "{what} has at most {limit} bytes, got {got}"),
            Self::PongWithId => f.write_str("a pong has no id, for it is not answered"),
        }
    }
}

impl fmt::Display for BadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}

impl std::error::Error for BadCommand {}

/// A message of the hub that a client cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadMessage {
    /// What is wrong, in words.
    pub what: String,
}

impl BadMessage {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: shorten(what.into(), ERROR_MESSAGE) }
    }
}

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a message of the hub: {}", self.what)
    }
}

impl std::error::Error for BadMessage {}

/// Reads a code by name; one that we do not know is [`Code::Internal`].
pub(crate) fn read_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(Code::from_name(&name).unwrap_or(Code::Internal))
}

/// The text, cut after at most `limit` bytes at a character's end.
pub(crate) fn shorten(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = text.floor_char_boundary(limit - '…'.len_utf8());
        text.truncate(end);
        text.push('…');
    }
    text
}
