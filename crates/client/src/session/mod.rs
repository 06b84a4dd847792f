//! What survives a reconnect: subscriptions with their positions, and what has been asked.
//!
//! Pure: bytes and requests go in, commands and signals come out. It knows nothing of sockets and time; the link that
//! drives it does (`link`), in this order: one of [`receive`](Session::receive), [`request`](Session::request),
//! [`woken`](Session::woken), [`cut`](Session::cut); then [`poll_transmit`](Session::poll_transmit) and
//! [`poll_wait`](Session::poll_wait) until both have nothing more.

mod ask;
mod channel;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use tokio::sync::{mpsc, oneshot};
use trunkline_dialect::command::{Connect, Refresh};
use trunkline_dialect::{
    BadMessage, ChannelName, ChannelPush, Command, Connected, Disconnect, ErrorBody, Expiring, GoAway,
    History, Incoming, Position, Presence, Published, Push, RawBody, Refreshed, Removed, ServerMessage,
    Subscribed, Unsubscribed, Verb, command, json,
};

use crate::Error;
use crate::event::Event;

use ask::{AfterCut, Ask, pass, pass_as, read};
pub(crate) use ask::{Answer, Key};
use channel::{Channel, Need};
pub(crate) use channel::{Feed, room};

/// What a user of the client asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Subscribe {
        channel: ChannelName,
        since: Option<Position>,
        presence: bool,
        feed: Feed,
        /// Ends when the application drops the subscription.
        alive: oneshot::Receiver<()>,
        answer: Answer<()>,
    },
    Unsubscribe(ChannelName, Answer<()>),
    Publish(command::Publish, Answer<Position>),
    Presence(command::Presence, Answer<Presence>),
    History(command::History, Answer<History>),
    Ping(Answer<trunkline_dialect::Pong>),
}

/// What the hub said that concerns the connection and not a channel or a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Connected(Connected),
    /// The credential will not do.
    ConnectRefused(ErrorBody),
    Expiring(Expiring),
    GoAway(GoAway),
    Disconnect(Disconnect),
}

/// What the session wants to be woken for.
#[derive(Debug)]
pub(crate) enum Wait {
    /// Until the application drops the subscription.
    Dropped(Key, oneshot::Receiver<()>),
    /// Until half of the queue is free.
    Room(Key, mpsc::Sender<Event>),
    /// A moment: the hub could not take the subscription back now.
    Retry(Key),
}

/// What it was woken for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Dropped(Key),
    Room(Key),
    Retry(Key),
}

/// A message for the hub.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Transmit {
    pub(crate) text: String,
    /// Whether it has a credential.
    pub(crate) secret: bool,
}

#[derive(Debug)]
pub(crate) struct Session {
    /// How many commands may be sent and not yet answered.
    window: usize,
    last_id: u64,
    generation: u64,
    /// Whether the hub has taken us, so that it takes commands.
    open: bool,
    channels: HashMap<ChannelName, Channel>,
    in_flight: HashMap<u64, Ask>,
    /// To be sent, in this order. What users ask for comes in only while it is empty; the rest is bounded by the
    /// number of channels and of commands in flight.
    ready: VecDeque<Ask>,
    pong: Option<u64>,
    waits: VecDeque<Wait>,
}

impl Session {
    pub(crate) fn new(window: usize) -> Self {
        Self {
            window,
            last_id: 0,
            generation: 0,
            open: false,
            channels: HashMap::new(),
            in_flight: HashMap::new(),
            ready: VecDeque::new(),
            pong: None,
            waits: VecDeque::new(),
        }
    }

    /// Whether a request would be sent at once. Until then requests stay where backpressure reaches their makers.
    pub(crate) fn wants_requests(&self) -> bool {
        self.open && self.ready.is_empty() && self.in_flight.len() < self.window
    }

    /// Whether no command waits for its answer.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.in_flight.is_empty()
    }

    /// Says who we are; the answer is [`Signal::Connected`] or [`Signal::ConnectRefused`].
    pub(crate) fn connect(&mut self, connect: Connect) {
        self.ready.push_front(Ask::Connect(connect));
    }

    /// New permissions for a connection that stands.
    pub(crate) fn refresh(&mut self, refresh: Refresh) {
        self.ready.push_back(Ask::Refresh(refresh));
    }

    pub(crate) fn request(&mut self, request: Request) {
        let ask = match request {
            Request::Subscribe { channel, since, presence, feed, alive, answer } => {
                return self.subscribe(channel, since, presence, feed, alive, answer);
            }
            Request::Unsubscribe(channel, answer) => return self.unsubscribe(channel, answer),
            Request::Publish(publish, answer) => Ask::Publish(publish, answer),
            Request::Presence(presence, answer) => Ask::Presence(presence, answer),
            Request::History(history, answer) => Ask::History(history, answer),
            Request::Ping(answer) => Ask::Ping(answer),
        };
        self.ready.push_back(ask);
    }

    /// One message of the hub. An error means that it does not speak our dialect: the link is of no use.
    pub(crate) fn receive(&mut self, message: &[u8]) -> Result<Option<Signal>, BadMessage> {
        match json::decode_message(message)? {
            ServerMessage::Ok { id, body } => self.answered(id, Ok(body)),
            ServerMessage::Error { id, error } => self.answered(id, Err(error)),
            ServerMessage::Push(push) => Ok(self.pushed(push)),
            // A newer hub says something that this version need not understand.
            _ => Ok(None),
        }
    }

    pub(crate) fn woken(&mut self, woken: Woken) {
        match woken {
            Woken::Dropped(key) => {
                if let Some(channel) = self.take(&key)
                    && channel.is_on_the_hub()
                {
                    self.ready.push_back(Ask::Unsubscribe(key.channel, None));
                }
            }
            Woken::Room(key) => {
                let need = self.find(&key).map(Channel::has_room_again);
                self.meet(&key, need);
            }
            Woken::Retry(key) => {
                if self.open && self.find(&key).is_some_and(|channel| !channel.is_on_the_hub()) {
                    self.ready.push_back(Ask::Subscribe(key));
                }
            }
        }
    }

    /// The connection is gone. What it was asked and did not answer is settled, or asked again on the next one.
    pub(crate) fn cut(&mut self) {
        self.open = false;
        self.pong = None;
        let mut lost: Vec<_> = self.in_flight.drain().collect();
        lost.sort_unstable_by_key(|(id, _)| *id);
        let again = lost.into_iter().filter_map(|(_, ask)| match ask.cut() {
            AfterCut::Again(ask) => Some(ask),
            AfterCut::Settled => None,
        });
        let kept: Vec<_> = again.collect();
        // What was not sent goes out later, save what only this link needed.
        let unsent = std::mem::take(&mut self.ready);
        self.ready.extend(kept);
        for ask in unsent {
            if ask.outlives_the_link() {
                self.ready.push_back(ask);
            } else {
                ask.cut();
            }
        }
        for channel in self.channels.values_mut() {
            channel.cut();
        }
    }

    /// The next message to send, if there is one and the hub may be sent one.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(number) = self.pong.take() {
            return Some(Transmit { text: Incoming::Pong(number).encode(), secret: false });
        }
        while self.in_flight.len() < self.window {
            let ask = self.ready.pop_front_if(|ask| self.open || matches!(ask, Ask::Connect(_)))?;
            let Some(verb) = self.verb(&ask) else { continue };
            let secret = matches!(ask, Ask::Connect(_) | Ask::Refresh(_));
            self.last_id += 1;
            self.in_flight.insert(self.last_id, ask);
            return Some(Transmit { text: Command { id: self.last_id, verb }.encode(), secret });
        }
        None
    }

    /// The next thing to be woken for.
    pub(crate) fn poll_wait(&mut self) -> Option<Wait> {
        self.waits.pop_front()
    }

    fn subscribe(
        &mut self,
        channel: ChannelName,
        since: Option<Position>,
        presence: bool,
        feed: Feed,
        alive: oneshot::Receiver<()>,
        answer: Answer<()>,
    ) {
        if self.channels.contains_key(&channel) {
            // Whoever waited may have gone: then nobody needs to know.
            let _ = answer.send(Err(Error::AlreadySubscribed(channel)));
            return;
        }
        self.generation += 1;
        let key = Key { channel: channel.clone(), generation: self.generation };
        self.channels.insert(channel, Channel::new(key.clone(), feed, presence, since, answer));
        self.waits.push_back(Wait::Dropped(key.clone(), alive));
        self.ready.push_back(Ask::Subscribe(key));
    }

    fn unsubscribe(&mut self, channel: ChannelName, answer: Answer<()>) {
        let Some(removed) = self.channels.remove(&channel) else {
            // Whoever waited may have gone: then nobody needs to know.
            let _ = answer.send(Err(Error::NotSubscribed(channel)));
            return;
        };
        removed.refuse(Error::NotSubscribed(channel.clone()));
        self.ready.push_back(Ask::Unsubscribe(channel, Some(answer)));
    }

    /// What to send for it now; nothing if it is not wanted any more.
    fn verb(&mut self, ask: &Ask) -> Option<Verb> {
        match ask {
            Ask::Subscribe(key) => {
                let channel = self.find(key).filter(|channel| !channel.is_on_the_hub())?;
                Some(channel.subscribe().into())
            }
            Ask::CatchUp(key) => self.find(key)?.catch_up().map(Verb::from),
            Ask::Members(key) => self.find(key).and_then(|_| ask.verb()),
            _ if ask.is_abandoned() => None,
            _ => ask.verb(),
        }
    }

    fn answered(&mut self, id: u64, reply: Result<RawBody, ErrorBody>) -> Result<Option<Signal>, BadMessage> {
        let Some(ask) = self.in_flight.remove(&id) else {
            tracing::debug!(id, "an answer to nothing");
            return Ok(None);
        };
        match ask {
            Ask::Connect(_) => {
                return Ok(Some(match reply {
                    Ok(body) => self.connected(body.read()?),
                    Err(error) => Signal::ConnectRefused(error),
                }));
            }
            Ask::Refresh(_) => match reply {
                Ok(body) => {
                    body.read::<Refreshed>()?;
                }
                // The connection then ends with its credential, and the next one needs a new one anyway.
                Err(error) => tracing::warn!(%error, "the hub refused a refresh"),
            },
            Ask::Subscribe(key) => self.subscribed(&key, reply)?,
            Ask::CatchUp(key) => {
                let reply = read(reply)?;
                let need = self.find(&key).map(|channel| channel.caught_up(reply));
                self.meet(&key, need);
            }
            Ask::Members(key) => {
                let reply = read(reply)?;
                let need = self.find(&key).map(|channel| channel.fetched_members(reply));
                self.meet(&key, need);
            }
            Ask::Unsubscribe(_, Some(answer)) => pass_as(answer, reply, |Unsubscribed {}| ()),
            Ask::Unsubscribe(_, None) => {}
            Ask::Publish(_, answer) => pass_as(answer, reply, |Published { position }| position),
            Ask::Presence(_, answer) => pass(answer, reply),
            Ask::History(_, answer) => pass(answer, reply),
            Ask::Ping(answer) => pass(answer, reply),
        }
        Ok(None)
    }

    fn pushed(&mut self, push: Push) -> Option<Signal> {
        match push {
            Push::Connected(connected) => return Some(self.connected(connected)),
            Push::Channel(channel, ChannelPush::Unsubscribed(removed)) => {
                if let Some(channel) = self.channels.remove(&channel) {
                    end(channel, removed);
                }
            }
            Push::Channel(channel, push) => {
                let channel = self.channels.get_mut(&channel)?;
                let (need, key) = (channel.push(push), channel.key().clone());
                self.meet(&key, Some(need));
            }
            Push::Expiring(expiring) => return Some(Signal::Expiring(expiring)),
            Push::Ping(number) => self.pong = Some(number),
            Push::GoAway(go_away) => return Some(Signal::GoAway(go_away)),
            Push::Disconnect(disconnect) => return Some(Signal::Disconnect(disconnect)),
            Push::Error(error) => tracing::warn!(%error, "the hub could not read a command of ours"),
            _ => {}
        }
        None
    }

    fn connected(&mut self, connected: Connected) -> Signal {
        self.open = true;
        let waiting = self.channels.values().filter(|channel| !channel.is_on_the_hub());
        let mut keys: Vec<_> = waiting.map(|channel| channel.key().clone()).collect();
        // In the order in which the application subscribed, ahead of all else that waits: without them it misses.
        keys.sort_unstable_by_key(|key| std::cmp::Reverse(key.generation));
        for key in keys {
            self.ready.push_front(Ask::Subscribe(key));
        }
        Signal::Connected(connected)
    }

    fn subscribed(&mut self, key: &Key, reply: Result<RawBody, ErrorBody>) -> Result<(), BadMessage> {
        let error = match reply {
            Ok(body) => {
                let reply: Subscribed = body.read()?;
                let need = self.find(key).map(|channel| channel.subscribed(reply));
                self.meet(key, need);
                return Ok(());
            }
            Err(error) => error,
        };
        let Some(channel) = self.find(key) else { return Ok(()) };
        if channel.is_first() {
            if let Some(channel) = self.take(key) {
                channel.refuse(Error::Refused(error));
            }
        } else if error.retry {
            channel.cut();
            self.waits.push_back(Wait::Retry(key.clone()));
        } else if let Some(channel) = self.take(key) {
            channel.end(Removed { code: error.code, message: error.message });
        }
        Ok(())
    }

    fn meet(&mut self, key: &Key, need: Option<Need>) {
        match need {
            None | Some(Need::Nothing) => {}
            Some(Need::History) => self.ready.push_back(Ask::CatchUp(key.clone())),
            Some(Need::Members) => self.ready.push_back(Ask::Members(key.clone())),
            Some(Need::Room) => {
                if let Some(channel) = self.find(key) {
                    let events = channel.events().clone();
                    self.waits.push_back(Wait::Room(key.clone(), events));
                }
            }
        }
    }

    fn find(&mut self, key: &Key) -> Option<&mut Channel> {
        self.channels.get_mut(&key.channel).filter(|channel| channel.key() == key)
    }

    fn take(&mut self, key: &Key) -> Option<Channel> {
        self.find(key)?;
        self.channels.remove(&key.channel)
    }
}

/// Ends a subscription that the hub ended. One whose first answer is still awaited has nobody to read events.
fn end(channel: Channel, removed: Removed) {
    if channel.is_first() {
        let Removed { code, message } = removed;
        channel.refuse(Error::Refused(ErrorBody::new(code, message)));
    } else {
        channel.end(removed);
    }
}
