//! Short strings with rules, cheap to clone: channel names, user ids, epochs.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Why a text is not a channel name, user id or epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadText {
    /// Nothing at all.
    Empty {
        /// What it should have been.
        what: &'static str,
    },
    /// More bytes of UTF-8 than allowed.
    TooLong {
        /// What it should have been.
        what: &'static str,
        /// The most bytes it may have.
        limit: usize,
        /// The bytes it has.
        got: usize,
    },
    /// A control character (Unicode category Cc: below U+0020, U+007F to U+009F).
    ControlCharacter {
        /// What it should have been.
        what: &'static str,
        /// The byte at which the character starts.
        at: usize,
    },
}

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => write!(f, "{what} has at least 1 byte, got none"),
            Self::TooLong { what, limit, got } => write!(f, "{what} has at most {limit} bytes, got {got}"),
            Self::ControlCharacter { what, at } => {
                write!(f, "{what} has no control characters, got one at byte {at}")
            }
        }
    }
}

impl std::error::Error for BadText {}

macro_rules! short_text {
    ($(#[doc = $doc:literal])+ $name:ident, $what:literal, $max:literal) => {
        $(#[doc = $doc])+
        ///
        /// A clone shares the text.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most bytes of UTF-8 that it may have.
            pub const MAX_BYTES: usize = $max;

            /// Takes the text if it keeps the rules: 1 to [`MAX_BYTES`](Self::MAX_BYTES) bytes, no control
            /// characters.
            pub fn new(text: &str) -> Result<Self, BadText> {
                check(text, $what, $max).map(|()| Self(Arc::from(text)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        // So that a map keyed by it can be asked with a &str; Hash and Ord are those of the text.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadText;
            fn from_str(text: &str) -> Result<Self, BadText> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = BadText;
            fn try_from(text: &str) -> Result<Self, BadText> {
                Self::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!($what, " as a string"))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::new(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

short_text! {
    /// The name of a channel: 1 to 255 bytes of UTF-8 without control characters, as a rule
    /// `namespace:rest`. Names are compared byte by byte, without normalisation.
    ChannelName, "a channel name", 255
}

short_text! {
    /// Who a user is, as the web service that minted the ticket calls them: 1 to 255 bytes of UTF-8 without
    /// control characters. Everybody in a channel may see it.
    UserId, "a user id", 255
}

short_text! {
    /// Which memory of a channel an offset belongs to: opaque, 1 to 64 bytes, compared byte by byte.
    ///
    /// Were there only offsets, a client that remembers offset 5 could not tell a quiet channel from one whose
    /// broker lost its memory and has counted up to 5 again; it would miss publications without knowing.
    Epoch, "an epoch", 64
}

impl ChannelName {
    /// What stands before the first `:`; the whole name if there is none, so that a channel `lobby` needs a
    /// namespace `lobby` and nothing more. May be empty (`:x`): no namespace is called so.
    pub fn namespace(&self) -> &str {
        self.0.split_once(':').map_or(&*self.0, |(namespace, _)| namespace)
    }
}

fn check(text: &str, what: &'static str, limit: usize) -> Result<(), BadText> {
    if text.is_empty() {
        return Err(BadText::Empty { what });
    }
    if text.len() > limit {
        return Err(BadText::TooLong { what, limit, got: text.len() });
    }
    match text.char_indices().find(|(_, character)| character.is_control()) {
        Some((at, _)) => Err(BadText::ControlCharacter { what, at }),
        None => Ok(()),
    }
}
