//! What the application holds.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use trunkline_dialect::command::{self, Publish};
use trunkline_dialect::{ChannelName, History, Json, Pong, Position, Presence};

use crate::builder::Builder;
use crate::event::{BROKEN, ConnectionEvent, Ending};
use crate::session::{Answer, Request};
use crate::subscription::{SubscribeOptions, Subscription};
use crate::{Error, Limits};

/// A client of the hub that stays connected by itself.
///
/// A clone is another handle on the same client. When the last one is dropped, the client says goodbye and ends, and
/// with it all [`Subscription`]s.
///
/// Calls made while there is no connection wait for one. **Cancel safety** of all of them: dropped before it is done, a
/// command that was not sent yet is not sent; one that was, takes effect, and its answer is thrown away.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    stop: Arc<watch::Sender<bool>>,
    events: broadcast::Sender<ConnectionEvent>,
    ended: watch::Receiver<Option<Ending>>,
    limits: Limits,
}

impl Client {
    /// A client of the hub at a `ws:` URL.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(&url.into())
    }

    pub(crate) fn new(
        requests: mpsc::Sender<Request>,
        stop: watch::Sender<bool>,
        events: broadcast::Sender<ConnectionEvent>,
        ended: watch::Receiver<Option<Ending>>,
        limits: Limits,
    ) -> Self {
        Self { requests, stop: Arc::new(stop), events, ended, limits }
    }

    /// Subscribes to a channel. One client has one subscription of a channel at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] by the hub, [`Error::AlreadySubscribed`], [`Error::Channel`], [`Error::Closed`].
    pub async fn subscribe(&self, channel: &str, options: SubscribeOptions) -> Result<Subscription, Error> {
        let channel = ChannelName::new(channel)?;
        let SubscribeOptions { since, presence } = options;
        let (subscription, feed, alive) = Subscription::new(channel.clone(), self.limits.events);
        self.ask(|answer| Request::Subscribe { channel, since, presence, feed, alive, answer }).await?;
        Ok(subscription)
    }

    /// Ends a subscription at once. Its [`Subscription::next`] gives what is queued, and then `None`.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubscribed`], [`Error::Channel`], [`Error::Refused`], [`Error::Closed`].
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), Error> {
        let channel = ChannelName::new(channel)?;
        self.ask(|answer| Request::Unsubscribe(channel, answer)).await
    }

    /// Publishes anything that is JSON to everybody in a channel, this client included; gives the place in the channel.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownOutcome`] if the connection was cut before the answer: it is published or not, and is not sent
    /// again. [`Error::Refused`] by the hub, [`Error::Data`], [`Error::Channel`], [`Error::Closed`].
    pub async fn publish<T: Serialize + ?Sized>(&self, channel: &str, data: &T) -> Result<Position, Error> {
        self.publish_to(channel, data, false).await
    }

    /// As [`publish`](Self::publish), to everybody but this connection. After a reconnect, and where this client fetches
    /// from history because it fell behind, it gets what it published even so.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_to_others<T: Serialize + ?Sized>(
        &self,
        channel: &str,
        data: &T,
    ) -> Result<Position, Error> {
        self.publish_to(channel, data, true).await
    }

    /// Who is in a channel.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], [`Error::Channel`], [`Error::Closed`].
    pub async fn presence(&self, channel: &str) -> Result<Presence, Error> {
        let command = command::Presence { channel: ChannelName::new(channel)? };
        self.ask(|answer| Request::Presence(command, answer)).await
    }

    /// At most `limit` publications of a channel's history behind `since`, or from the oldest there is. The hub may give
    /// fewer.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], [`Error::Channel`], [`Error::Closed`].
    pub async fn history(
        &self,
        channel: &str,
        since: Option<Position>,
        limit: u32,
    ) -> Result<History, Error> {
        self.history_in_order(channel, since, limit, false).await
    }

    /// As [`history`](Self::history), newest first: before `since`, or from the newest there is.
    ///
    /// # Errors
    ///
    /// As [`history`](Self::history).
    pub async fn history_backwards(
        &self,
        channel: &str,
        since: Option<Position>,
        limit: u32,
    ) -> Result<History, Error> {
        self.history_in_order(channel, since, limit, true).await
    }

    /// Asks the hub, not only its socket, whether it is there; gives its clock.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], [`Error::Closed`].
    pub async fn ping(&self) -> Result<Pong, Error> {
        self.ask(Request::Ping).await
    }

    /// What happens to the connection from now on.
    pub fn events(&self) -> ConnectionEvents {
        let events = self.events.subscribe();
        // In this order: an end that is not seen here comes as an event.
        ConnectionEvents { events, over: self.ended.borrow().is_some() }
    }

    /// Says goodbye and ends, whatever other handles there are; gives how it ended. Calls that wait fail with
    /// [`Error::Closed`], or [`Error::UnknownOutcome`] for what was sent to be published.
    pub async fn close(&self) -> Ending {
        self.stop.send_replace(true);
        let mut ended = self.ended.clone();
        // The task's end drops the sender; without its last word the runtime is going down.
        let ending = ended.wait_for(Option::is_some).await.map(|ending| ending.clone());
        ending.ok().flatten().unwrap_or_else(abandoned)
    }

    pub(crate) fn closed(&self) -> Error {
        Error::Closed(self.ended.borrow().clone().unwrap_or_else(abandoned))
    }

    async fn publish_to<T: Serialize + ?Sized>(
        &self,
        channel: &str,
        data: &T,
        exclude_self: bool,
    ) -> Result<Position, Error> {
        let publish = Publish { channel: ChannelName::new(channel)?, data: Json::of(data)?, exclude_self };
        self.ask(|answer| Request::Publish(publish, answer)).await
    }

    async fn history_in_order(
        &self,
        channel: &str,
        since: Option<Position>,
        limit: u32,
        reverse: bool,
    ) -> Result<History, Error> {
        let command = command::History { channel: ChannelName::new(channel)?, since, limit, reverse };
        self.ask(|answer| Request::History(command, answer)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| self.closed())?;
        answered.await.unwrap_or_else(|_| Err(self.closed()))
    }
}

/// What happens to the connection.
#[derive(Debug)]
pub struct ConnectionEvents {
    events: broadcast::Receiver<ConnectionEvent>,
    over: bool,
}

impl ConnectionEvents {
    /// The next event, or `None` after [`ConnectionEvent::Closed`]. Who is further behind than
    /// [`Limits::connection_events`] misses the oldest.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it has taken no event.
    pub async fn next(&mut self) -> Option<ConnectionEvent> {
        while !self.over {
            match self.events.recv().await {
                Ok(event) => {
                    self.over = matches!(event, ConnectionEvent::Closed { .. });
                    return Some(event);
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => self.over = true,
            }
        }
        None
    }
}

fn abandoned() -> Ending {
    Ending::new(BROKEN, "the client's task has ended")
}
