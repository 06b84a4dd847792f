//! What carries publications and presence between nodes: the interface alone. Implementations stand beside
//! it, and `suite` is the one test suite that says what each of them must do.

pub(crate) mod memory;
#[cfg(test)]
pub(crate) mod suite;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use trunkline_dialect::{ChannelName, Code, Epoch, ErrorBody, Json, Member, Position, UserId};

use crate::channel::{Content, HistoryPage, HistoryPolicy, HistoryQuery, Publication};
use crate::session::{LinkId, SessionId};

/// What a broker answers later. Boxed, because which broker it is is decided when the server starts.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, BrokerError>> + Send + 'a>>;

/// What carries publications and presence between nodes.
///
/// Every method but the last three may be dropped before it has answered; what it asked for may then have
/// happened or not.
pub(crate) trait Broker: Send + Sync {
    /// Gives `content` the channel's next offset, keeps it in the history as `policy` says, and sends it to
    /// the sinks of all nodes interested: assigning and keeping are one atomic step, so offsets are
    /// consecutive however many publish at once.
    fn publish<'a>(
        &'a self,
        channel: &'a ChannelName,
        content: Content,
        policy: &'a HistoryPolicy,
    ) -> Answer<'a, Position>;

    /// A page of the history, and where the channel is. A channel that was never heard of begins its first
    /// epoch by being asked for, so that the position answered is good to come back to.
    fn history<'a>(&'a self, channel: &'a ChannelName, query: HistoryQuery) -> Answer<'a, HistoryPage>;

    /// A session is present. The first of its user is a [`Delivery::Join`]. Entering again, by the same or a
    /// newer link, is silent and ends a lingering.
    fn enter<'a>(
        &'a self,
        channel: &'a ChannelName,
        link: LinkId,
        user: &'a UserId,
        info: Option<&'a Json>,
    ) -> Answer<'a, ()>;

    /// A session is present no longer. The last of its user is a [`Delivery::Leave`]. Ignored if a newer link
    /// of the session entered.
    fn leave<'a>(&'a self, channel: &'a ChannelName, link: LinkId, user: &'a UserId) -> Answer<'a, ()>;

    /// Who is present.
    fn members<'a>(&'a self, channel: &'a ChannelName) -> Answer<'a, Vec<Member>>;

    /// How many users are present in each of some channels; what is not known counts 0.
    fn count_members<'a>(&'a self, channels: &'a [ChannelName]) -> Answer<'a, Vec<usize>>;

    /// Answers once everything that this broker needs is there: readiness asks it.
    fn ready(&self) -> Answer<'_, ()>;

    /// Whether this node wants the channel's deliveries. Takes effect in the order of the *calls*, whenever
    /// the answer is waited for; after it every publication of the channel reaches the sink. Called under the
    /// hub's locks: it must neither block nor deliver.
    fn interest(&self, channel: &ChannelName, wanted: bool) -> Answer<'static, ()>;

    /// A link is lost: its session's presence ends after `grace`, unless it enters again before. In the order
    /// of the calls; must not block.
    fn linger(&self, channel: &ChannelName, link: LinkId, user: &UserId, grace: Duration);

    /// Lets time pass: ends what has lingered long enough, forgets what has been kept long enough. Called a
    /// few times a second; must not block.
    fn maintain(&self);
}

/// Where a broker delivers. Called in the order of offsets for each channel, from whichever thread publishes.
pub(crate) trait Sink: Send + Sync {
    /// Something happened in a channel that this node may be interested in.
    fn deliver(&self, channel: &ChannelName, delivery: Delivery<'_>);
}

/// What happened in a channel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivery<'a> {
    /// Something was published.
    Publication(&'a Epoch, &'a Arc<Publication>),
    /// A user joined, by this session.
    Join(&'a UserId, Option<&'a Json>, SessionId),
    /// A user left.
    Leave(&'a UserId),
}

/// Why a broker did not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BrokerError {
    /// It holds as many of these as it may.
    Full(&'static str),
    /// It cannot be reached, or failed: in words, for the log.
    Unavailable(String),
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BrokerError::Full(what) => write!(f, "as many {what} as this server holds"),
            BrokerError::Unavailable(why) => write!(f, "the broker is not available: {why}"),
        }
    }
}

impl std::error::Error for BrokerError {}

impl From<BrokerError> for ErrorBody {
    fn from(error: BrokerError) -> ErrorBody {
        match error {
            BrokerError::Full(_) => ErrorBody::new(Code::TooMany, error.to_string()),
            // What is wrong behind the server is not for clients to know.
            BrokerError::Unavailable(_) => {
                ErrorBody::new(Code::Unavailable, "the broker is not available now")
            }
        }
    }
}
