//! What a connection tells the application.

use std::borrow::Cow;

use crate::close::Closed;

/// Something that happened on a connection, in the order in which it happened.
///
/// A payload is borrowed from the input where a whole message lay in it, and owned where it had to be assembled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// A whole text message, valid UTF-8.
    Text(Cow<'b, str>),
    /// A whole binary message.
    Binary(Cow<'b, [u8]>),
    /// A Ping. The Pong is on its way already; this is for those who want to see it.
    Ping(Cow<'b, [u8]>),
    /// A Pong, asked for or not.
    Pong(Cow<'b, [u8]>),
    /// A message begins that will be given piece by piece; see
    /// [`Connection::receive_pieces`](crate::Connection::receive_pieces). Nothing of it has been given yet.
    Begin(Kind),
    /// The next piece of that message.
    Piece(Piece<'b>),
    /// The end: exactly one, and nothing after it.
    Closed(Closed),
}

impl Event<'_> {
    /// The same event, owning its payload.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Text(text) => Event::Text(Cow::Owned(text.into_owned())),
            Self::Binary(data) => Event::Binary(Cow::Owned(data.into_owned())),
            Self::Ping(data) => Event::Ping(Cow::Owned(data.into_owned())),
            Self::Pong(data) => Event::Pong(Cow::Owned(data.into_owned())),
            Self::Begin(kind) => Event::Begin(kind),
            Self::Piece(piece) => {
                let data = Cow::Owned(piece.data.into_owned());
                Event::Piece(Piece { data, last: piece.last })
            }
            Self::Closed(closed) => Event::Closed(closed),
        }
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Anything else.
    Binary,
}

/// A part of a message, as much as had arrived. Where it was cut means nothing; only the last may be empty.
///
/// Of text, everything so far is UTF-8 but for a code point that the cut went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'b> {
    /// The bytes.
    pub data: Cow<'b, [u8]>,
    /// Whether the message ends with it.
    pub last: bool,
}
