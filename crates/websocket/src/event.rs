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
            Self::Closed(closed) => Event::Closed(closed),
        }
    }
}
