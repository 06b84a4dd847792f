//! What is asked of the hub, by whom, and who gets the answer.

use tokio::sync::oneshot;
use trunkline_dialect::command::{self, Connect, Ping, Publish, Refresh, Unsubscribe};
use trunkline_dialect::{
    BadMessage, ChannelName, ErrorBody, History, Pong, Position, Presence, RawBody, ReplyBody, Verb,
};

use crate::Error;

/// Where an answer goes. Whoever waited may have gone.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// One subscription of a channel: a later one of the same channel has another generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) channel: ChannelName,
    pub(crate) generation: u64,
}

/// A command to be sent, or sent and not yet answered.
#[derive(Debug)]
pub(crate) enum Ask {
    Connect(Connect),
    Refresh(Refresh),
    /// What exactly is asked stands in the channel at the moment of sending.
    Subscribe(Key),
    Unsubscribe(ChannelName, Option<Answer<()>>),
    Publish(Publish, Answer<Position>),
    Presence(command::Presence, Answer<Presence>),
    History(command::History, Answer<History>),
    Ping(Answer<Pong>),
    /// History for a subscription that fell behind.
    CatchUp(Key),
    /// Members for a subscription that missed joins and leaves.
    Members(Key),
}

/// What becomes of an [`Ask`] that was sent, when the connection is cut before the answer.
pub(crate) enum AfterCut {
    /// It changes nothing, so it is asked again.
    Again(Ask),
    /// It is settled by the cut, or is part of what reconnecting does anyway.
    Settled,
}

impl Ask {
    /// The command, for those that are the same whenever they are sent.
    pub(crate) fn verb(&self) -> Option<Verb> {
        Some(match self {
            Self::Connect(connect) => connect.clone().into(),
            Self::Refresh(refresh) => refresh.clone().into(),
            Self::Unsubscribe(channel, _) => Unsubscribe { channel: channel.clone() }.into(),
            Self::Publish(publish, _) => publish.clone().into(),
            Self::Presence(presence, _) => presence.clone().into(),
            Self::History(history, _) => history.clone().into(),
            Self::Ping(_) => Ping {}.into(),
            Self::Members(key) => command::Presence { channel: key.channel.clone() }.into(),
            Self::Subscribe(_) | Self::CatchUp(_) => return None,
        })
    }

    /// Whether nobody waits for it any more, so that it need not be sent.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Publish(_, answer) => answer.is_closed(),
            Self::Presence(_, answer) => answer.is_closed(),
            Self::History(_, answer) => answer.is_closed(),
            Self::Ping(answer) => answer.is_closed(),
            _ => false,
        }
    }

    /// Whether it still makes sense on another link, if it was not sent on this one.
    pub(crate) fn outlives_the_link(&self) -> bool {
        match self {
            Self::Publish(..) | Self::Presence(..) | Self::History(..) | Self::Ping(_) => true,
            // The next link subscribes to what is wanted then, and to nothing else.
            Self::Connect(_)
            | Self::Refresh(_)
            | Self::Subscribe(_)
            | Self::Unsubscribe(..)
            | Self::CatchUp(_)
            | Self::Members(_) => false,
        }
    }

    /// The connection is gone, and with it the answer.
    pub(crate) fn cut(self) -> AfterCut {
        match self {
            Self::Presence(..) | Self::History(..) | Self::Ping(_) => AfterCut::Again(self),
            Self::Publish(_, answer) => settle(answer, Err(Error::UnknownOutcome)),
            // The link is gone, and the next one does not subscribe.
            Self::Unsubscribe(_, Some(answer)) => settle(answer, Ok(())),
            Self::Unsubscribe(_, None)
            | Self::Connect(_)
            | Self::Refresh(_)
            | Self::Subscribe(_)
            | Self::CatchUp(_)
            | Self::Members(_) => AfterCut::Settled,
        }
    }
}

fn settle<T>(answer: Answer<T>, result: Result<T, Error>) -> AfterCut {
    // Whoever waited may have gone: then nobody needs to know.
    let _ = answer.send(result);
    AfterCut::Settled
}

/// Reads a good answer; a bad one stays as it is. An error means that the hub does not speak our dialect.
pub(crate) fn read<T: ReplyBody>(
    reply: Result<RawBody, ErrorBody>,
) -> Result<Result<T, ErrorBody>, BadMessage> {
    match reply {
        Ok(body) => body.read().map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

/// Gives an answer to whoever waits for it, if they still do.
pub(crate) fn pass<T: ReplyBody>(answer: Answer<T>, reply: Result<RawBody, ErrorBody>) {
    pass_as(answer, reply, |body: T| body);
}

/// As [`pass`], with the part of the body that the application gets.
pub(crate) fn pass_as<B: ReplyBody, T>(
    answer: Answer<T>,
    reply: Result<RawBody, ErrorBody>,
    part: impl FnOnce(B) -> T,
) {
    let result = match reply {
        Ok(body) => body.read().map(part).map_err(Error::Unreadable),
        Err(error) => Err(Error::Refused(error)),
    };
    // Whoever waited may have gone: then nobody needs to know.
    let _ = answer.send(result);
}
