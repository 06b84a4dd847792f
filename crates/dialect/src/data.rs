//! What passes through unread: JSON of users, and secrets.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::limits::DATA_DEPTH;
use crate::shape;

/// JSON that a user published, or that others see of a user: well-formed, on one line, its bytes as they came.
///
/// Numbers keep their digits, objects the order of their keys, strings their escapes. Only when the text spans
/// lines is the whitespace between its tokens taken out, so that it fits into doors that speak in lines. A clone
/// shares the text.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

/// Why a text is not JSON that can be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadJson {
    /// Not JSON; with the parser's words.
    Syntax(String),
    /// Nested so deep that it would not fit into a command.
    TooDeep {
        /// The deepest that fits.
        limit: usize,
        /// How deep it is.
        got: usize,
    },
}

impl Json {
    /// Takes a JSON text: at most 62 levels deep, which is what fits into a command.
    pub fn parse(text: &str) -> Result<Self, BadJson> {
        Self::parse_within(text, DATA_DEPTH)
    }

    /// As [`parse`](Self::parse), for text that may be nested `limit` levels deep: such as an object around data.
    ///
    /// # Errors
    ///
    /// [`BadJson`], as there.
    pub fn parse_within(text: &str, limit: usize) -> Result<Self, BadJson> {
        let got = shape::depth(text.as_bytes());
        if got > limit {
            return Err(BadJson::TooDeep { limit, got });
        }
        serde_json::from_str(text).map_err(|error| BadJson::Syntax(error.to_string()))
    }

    /// The JSON of a value. Fails where `serde_json` does (a map whose keys are not strings), or as
    /// [`parse`](Self::parse) does.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, BadJson> {
        let text = serde_json::to_string(value).map_err(|error| BadJson::Syntax(error.to_string()))?;
        Self::parse(&text)
    }

    /// The text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads the text as a value of Rust.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.get())
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        if !raw.get().contains(['\n', '\r']) {
            return Self(Arc::from(raw));
        }
        // What is left of JSON without its whitespace is JSON; were it not, the text would be kept as it is.
        Self(Arc::from(RawValue::from_string(minify(raw.get())).unwrap_or(raw)))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Display for BadJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(what) => write!(f, "not JSON: {what}"),
            Self::TooDeep { limit, got } => write!(f, "JSON nested deeper than {limit} levels, got {got}"),
        }
    }
}

impl std::error::Error for BadJson {}

/// A ticket, token or session token: whoever has it *is* the user, so it does not show itself in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text: for comparing and for the wire, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[secret of {} bytes]", self.0.len())
    }
}

/// The text without the whitespace between its tokens. Only for well-formed JSON.
fn minify(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in text.chars() {
        if in_string {
            (in_string, escaped) = match character {
                _ if escaped => (true, false),
                '\\' => (true, true),
                '"' => (false, false),
                _ => (true, false),
            };
        } else if matches!(character, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else if character == '"' {
            in_string = true;
        }
        out.push(character);
    }
    out
}
