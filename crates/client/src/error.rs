//! Why a call of the client failed.

use std::fmt;

use trunkline_dialect::{BadJson, BadMessage, BadText, ChannelName, ErrorBody};
use trunkline_net::url::UrlError;

use crate::event::Ending;

/// Why a call failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The hub says no; [`ErrorBody::retry`] says whether asking again later may help.
    Refused(ErrorBody),
    /// The connection was cut between a publish and its answer: it is published or it is not. The client does not
    /// send it again, because then it could be published twice; only the application knows which is worse.
    UnknownOutcome,
    /// The client has ended: closed, dropped, or told by the hub not to come back.
    Closed(Ending),
    /// The first connection did not come about.
    Connect(Ending),
    /// The channel has a [`Subscription`](crate::Subscription) already.
    AlreadySubscribed(ChannelName),
    /// The channel has no subscription, or lost it before the hub answered.
    NotSubscribed(ChannelName),
    /// Not a channel name.
    Channel(BadText),
    /// Not JSON that can be published.
    Data(BadJson),
    /// What was built cannot be connected with.
    Misuse(Misuse),
    /// The hub answered with something else than the command asks for.
    Unreadable(BadMessage),
}

/// Why a [`Builder`](crate::Builder) cannot connect, whatever the hub and the network are like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// The URL is not one of a WebSocket.
    Url(UrlError),
    /// The header of this name has a name or a value that HTTP does not allow. The value may be a secret.
    Header(String),
    /// More than one credential is to go with the handshake: in headers, or in the URL's query.
    TwoCredentials,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Header(name) => {
                write!(f, "the header {name:?} has a name or a value that HTTP does not allow")
            }
            Self::TwoCredentials => f.write_str("one credential can go with the handshake, not two"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "the hub refused: {error}"),
            Self::UnknownOutcome => f.write_str(
                "the connection was cut before the answer came: published or not, nobody here knows",
            ),
            Self::Closed(ending) => write!(f, "the client is closed: {ending}"),
            Self::Connect(ending) => write!(f, "could not connect: {ending}"),
            Self::AlreadySubscribed(channel) => write!(f, "{channel} has a subscription already"),
            Self::NotSubscribed(channel) => write!(f, "{channel} has no subscription"),
            Self::Channel(bad) => bad.fmt(f),
            Self::Data(bad) => bad.fmt(f),
            Self::Misuse(misuse) => misuse.fmt(f),
            Self::Unreadable(bad) => bad.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl From<BadText> for Error {
    fn from(bad: BadText) -> Self {
        Self::Channel(bad)
    }
}

impl From<BadJson> for Error {
    fn from(bad: BadJson) -> Self {
        Self::Data(bad)
    }
}
