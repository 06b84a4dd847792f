//! What waits to be written to one client, bounded in bytes; and how a slow reader is recognised.
//!
//! Many put in, one takes out: the task that owns the connection. Three kinds of thing go in, by three doors
//! with three bounds:
//!
//! - publications are *offered*: past the bound the answer is no, and the hub catches the client up from
//!   history later;
//! - replies and presence are *pushed*: they cannot be had again, so they go in past the bound, up to twice
//!   of it. The connection's task reads no further commands while the outbox is over its bound, so only a
//!   client that stopped reading gets to twice, and is cut off;
//! - *control* (go_away) goes first, and the ending last: what was queued before is still written if it is
//!   little, and dropped if it is much, for a client that does not read would not learn why it was cut off.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use trunkline_dialect::{ChannelName, Code, Disconnect};

use crate::cells::lock;
use crate::encoded::Encoded;

/// The bounds of an outbox, in bytes as [`Encoded::weight`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Over this no publication is taken. Twice of it ends the connection.
    pub high: usize,
    /// Below this the catching up begins, and an ending lets what is queued be written first.
    pub low: usize,
}

/// The most control messages that wait at once; there is one kind, and a second replaces nothing but comes
/// after.
const CONTROL_LIMIT: usize = 4;

/// What waits to be written to one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    bounds: Bounds,
    totals: Arc<Totals>,
    state: Mutex<State>,
}

/// All outboxes of a node together, for its metrics.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Bytes that wait now.
    pub bytes: AtomicUsize,
    /// How many publications found an outbox over its bound.
    pub refused: AtomicUsize,
    /// How many connections were ended because twice the bound was reached.
    pub overflowed: AtomicUsize,
    /// How many messages were put in.
    pub messages: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    control: VecDeque<Encoded>,
    queue: VecDeque<Encoded>,
    bytes: usize,
    /// Channels in which the hub has stopped pushing to this client. At most as many as it has subscriptions.
    behind: BTreeSet<ChannelName>,
    /// Where in `behind` the last turn ended, so that channels take turns.
    turn: Option<ChannelName>,
    ending: Option<Ending>,
    ended: bool,
    waker: Option<Waker>,
}

/// How a connection ends by our will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The last push.
    pub disconnect: Disconnect,
    /// The close code of doors that have one.
    pub close_code: u16,
}

/// What the connection's task does next.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// Write this.
    Message(Encoded),
    /// There is room again for a channel in which the client is behind.
    CatchUp(ChannelName),
    /// Write the disconnect, close, and be done. Comes once, and nothing after it.
    End(Ending),
}

impl Outbox {
    /// An empty outbox that adds to `totals`.
    pub(crate) fn new(bounds: Bounds, totals: Arc<Totals>) -> Outbox {
        Outbox { bounds, totals, state: Mutex::default() }
    }

    /// Takes a publication if the outbox is not over its bound.
    pub(crate) fn offer(&self, message: &Encoded) -> bool {
        let mut state = lock(&self.state);
        if state.is_over() {
            // Nobody will read it; the client is not behind but gone.
            return true;
        }
        let taken = state.bytes < self.bounds.high;
        if taken {
            self.put(&mut state, message.clone());
        } else {
            self.totals.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Takes a reply, or a push that cannot be had again. At twice the bound the connection ends instead.
    pub(crate) fn push(&self, message: Encoded) {
        let mut state = lock(&self.state);
        if state.is_over() {
            return;
        }
        if state.bytes >= 2 * self.bounds.high {
            self.totals.overflowed.fetch_add(1, Ordering::Relaxed);
            self.end_locked(&mut state, Ending::slow_reader(2 * self.bounds.high));
            return;
        }
        self.put(&mut state, message);
    }

    /// Takes a message that goes before all that waits.
    pub(crate) fn control(&self, message: Encoded) {
        let mut state = lock(&self.state);
        if !state.is_over() && state.control.len() < CONTROL_LIMIT {
            self.count(message.weight(), &mut state);
            state.control.push_back(message);
            state.wake();
        }
    }

    /// Ends the connection. The first ending counts.
    pub(crate) fn end(&self, ending: Ending) {
        self.end_locked(&mut lock(&self.state), ending);
    }

    /// The client is behind in a channel: once there is room, [`Item::CatchUp`] comes.
    pub(crate) fn behind(&self, channel: &ChannelName) {
        let mut state = lock(&self.state);
        if !state.is_over() && !state.behind.contains(channel) {
            state.behind.insert(channel.clone());
            state.wake();
        }
    }

    /// Whether more than the bound waits: time to read no further commands.
    pub(crate) fn is_full(&self) -> bool {
        lock(&self.state).bytes >= self.bounds.high
    }

    /// The bounds it was made with.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// How many bytes may still come before the bound.
    pub(crate) fn room(&self) -> usize {
        self.bounds.high.saturating_sub(lock(&self.state).bytes)
    }

    /// Takes out what comes next. The task of the last call is woken when there is more.
    pub(crate) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Item> {
        let mut state = lock(&self.state);
        if let Some(item) = self.take_locked(&mut state) {
            return Poll::Ready(item);
        }
        state.wait(context);
        Poll::Pending
    }

    /// Waits for the ending alone, while there is no room to write anything else to. The task of the last
    /// call is woken when it may have come.
    pub(crate) fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.is_over() {
            return Poll::Ready(());
        }
        state.wait(context);
        Poll::Pending
    }

    /// Takes out what comes next, if there is anything now.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Option<Item> {
        self.take_locked(&mut lock(&self.state))
    }

    fn take_locked(&self, state: &mut State) -> Option<Item> {
        if let Some(message) = state.control.pop_front() {
            self.discount(message.weight(), state);
            return Some(Item::Message(message));
        }
        // Before the queue is empty, so that writing and fetching overlap.
        if state.bytes < self.bounds.low
            && let Some(channel) = state.next_behind()
        {
            return Some(Item::CatchUp(channel));
        }
        if let Some(message) = state.queue.pop_front() {
            if state.queue.is_empty() {
                // An idle connection holds no buffer.
                state.queue = VecDeque::new();
            }
            self.discount(message.weight(), state);
            return Some(Item::Message(message));
        }
        state.ending.take().map(Item::End)
    }

    fn end_locked(&self, state: &mut State, ending: Ending) {
        if state.is_over() {
            return;
        }
        if state.bytes >= self.bounds.low {
            self.discount(state.bytes, state);
            state.queue = VecDeque::new();
            state.control = VecDeque::new();
        }
        state.behind = BTreeSet::new();
        state.ended = true;
        state.ending = Some(ending);
        state.wake();
    }

    fn put(&self, state: &mut State, message: Encoded) {
        self.totals.messages.fetch_add(1, Ordering::Relaxed);
        self.count(message.weight(), state);
        state.queue.push_back(message);
        state.wake();
    }

    fn count(&self, weight: usize, state: &mut State) {
        state.bytes += weight;
        self.totals.bytes.fetch_add(weight, Ordering::Relaxed);
    }

    fn discount(&self, weight: usize, state: &mut State) {
        state.bytes -= weight;
        self.totals.bytes.fetch_sub(weight, Ordering::Relaxed);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.totals.bytes.fetch_sub(lock(&self.state).bytes, Ordering::Relaxed);
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.ended
    }

    fn next_behind(&mut self) -> Option<ChannelName> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self
            .turn
            .as_ref()
            .and_then(|turn| self.behind.range::<ChannelName, _>((Excluded(turn), Unbounded)).next());
        let next = after.or_else(|| self.behind.first()).cloned();
        if let Some(next) = &next {
            self.behind.remove(next);
        }
        self.turn = next.clone().filter(|_| !self.behind.is_empty());
        next
    }

    /// One owner, one waker; an idle outbox keeps nothing else.
    fn wait(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Ending {
    /// RFC 6455 section 7.4.1, "going away": a server that stops.
    const GOING_AWAY: u16 = 1001;

    /// An ending with a code, its advice and its close code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Ending {
        Ending { disconnect: Disconnect::new(code, message), close_code: code.close_code() }
    }

    /// This node stops; another, or its successor, goes on.
    pub(crate) fn stopping() -> Ending {
        let ending = Ending::new(Code::Unavailable, "this node stops");
        Ending { close_code: Ending::GOING_AWAY, ..ending }
    }

    /// A newer link has taken the session over.
    pub(crate) fn displaced() -> Ending {
        Ending::new(Code::Conflict, "another connection has taken this session over")
    }

    /// The client does not read what it is sent.
    pub(crate) fn slow_reader(bytes: usize) -> Ending {
        Ending::new(Code::TooMany, format!("slow reader: {bytes} bytes wait to be read"))
    }

    /// The close reason: the message, within the 123 bytes that a Close frame carries (RFC 6455 section 5.5).
    pub(crate) fn reason(&self) -> String {
        let message = &self.disconnect.message;
        message[..message.floor_char_boundary(123)].to_owned()
    }
}

#[cfg(test)]
mod tests;
