//! What the application holds of a channel.

use tokio::sync::{mpsc, oneshot};
use trunkline_dialect::{ChannelName, Position};

use crate::event::Event;
use crate::session::Feed;

/// How to subscribe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The last publication that the application has, from [`Subscription`]s or [`history`](crate::Client::history)
    /// of an earlier life: what came after it is sent first, behind [`Event::Recovered`] or [`Event::Lost`].
    pub since: Option<Position>,
    /// Whether to learn who is there, who joins and who leaves.
    pub presence: bool,
}

/// A channel's events, in order.
///
/// It outlives connections: after a cut the client subscribes again from the last position, and says so with
/// [`Event::Recovered`] or [`Event::Lost`]. When the application takes events more slowly than they come, the client
/// keeps [`Limits::events`](crate::Limits) of them and then fetches the rest from history; what that no longer has is
/// an [`Event::Gap`].
///
/// Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    channel: ChannelName,
    events: mpsc::Receiver<Event>,
    /// What comes after all that is queued; taken once.
    last: Option<oneshot::Receiver<Vec<Event>>>,
    /// In reverse.
    left: Vec<Event>,
    /// Ends with the subscription, which the client's task watches.
    _alive: oneshot::Sender<()>,
}

impl Subscription {
    /// A subscription, with the other end of its queue and the watch on its life.
    pub(crate) fn new(channel: ChannelName, capacity: usize) -> (Self, Feed, oneshot::Receiver<()>) {
        let (sender, events) = mpsc::channel(capacity.max(1));
        let (last_sender, last) = oneshot::channel();
        let (alive, dead) = oneshot::channel();
        let subscription = Self { channel, events, last: Some(last), left: Vec::new(), _alive: alive };
        (subscription, Feed { events: sender, last: last_sender }, dead)
    }

    /// The channel.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// The next event, or `None` when the subscription has ended: unsubscribed, by either side, or the client closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it has taken no event.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.events.recv().await {
            return Some(event);
        }
        self.next_of_the_last()
    }

    /// Whoever drops the queue has said by then what comes last, if anything does.
    fn next_of_the_last(&mut self) -> Option<Event> {
        if let Some(mut last) = self.last.take()
            && let Ok(events) = last.try_recv()
        {
            self.left = events;
            self.left.reverse();
        }
        self.left.pop()
    }

    /// The next event if there is one now.
    #[cfg(test)]
    pub(crate) fn try_next(&mut self) -> Option<Event> {
        match self.events.try_recv() {
            Ok(event) => Some(event),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => self.next_of_the_last(),
        }
    }

    /// How many events fit into the queue now.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.events.capacity()
    }
}
