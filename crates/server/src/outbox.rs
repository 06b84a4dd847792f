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
//!
//! All outboxes together have a bound as well. As they near it, each may hold no more than is still free of it: the largest, those of the
//! slowest, meet that bound first and wait in history, and the small ones of all others go on as before. Nothing is searched
//! for or taken away, and nobody waits.

mod ending;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use smallvec::SmallVec;
use trunkline_dialect::ChannelName;

use crate::cells::lock;
use crate::counter::Sharded;
use crate::encoded::Encoded;
pub(crate) use ending::Ending;

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

/// A part of its own bound that every outbox may hold, however full all are together: what a live channel puts in at once. With
/// the default bound it is 16 KiB.
const SHARE: usize = 64;

/// Messages in the order in which they are to be written. One or two, which is what a live channel makes of a turn, need no
/// heap.
pub(crate) type Batch = SmallVec<[Encoded; 2]>;

/// What waits to be written to one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    all: Arc<Outboxes>,
    state: Mutex<State>,
}

/// All outboxes of a node together: their bounds, and what they add up to for its metrics.
#[derive(Debug)]
pub(crate) struct Outboxes {
    /// Of each.
    pub bounds: Bounds,
    /// Bytes that may wait in all of them; replies and presence, which cannot be had again, go in past it.
    pub total: usize,
    /// Bytes that wait now.
    pub bytes: Sharded,
    /// How many messages were put in.
    pub messages: Sharded,
    /// How many publications found an outbox over its bound.
    pub refused: AtomicUsize,
    /// How many of them found it so only because all together were nearly full.
    pub crowded: AtomicUsize,
    /// How many connections were ended because twice the bound was reached.
    pub overflowed: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    queue: Batch,
    bytes: usize,
    waker: Option<Waker>,
    waits: Waits,
    ended: bool,
    cut: bool,
    rare: Option<Box<Rare>>,
}

/// What the connection's task waits for. It is woken once, however much comes before it looks again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// It has been woken already, or is at work.
    #[default]
    Not,
    /// It cannot write: nothing but the end is worth a turn.
    ForTheEnd,
    ForAnything,
}

/// What an outbox seldom has; it is gone with the last of it.
#[derive(Debug, Default)]
struct Rare {
    control: Vec<Encoded>,
    /// Channels in which the hub has stopped pushing to this client. At most as many as it has subscriptions.
    behind: BTreeSet<ChannelName>,
    /// Where in `behind` the last turn ended, so that channels take turns.
    turn: Option<ChannelName>,
    ending: Option<Ending>,
}

/// What the connection's task does next.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// Write these, of which there is at least one. With `last` nothing else is there to be taken, and the task will be
    /// woken for what comes: it need not ask again before it waits.
    Messages {
        /// In this order.
        batch: Batch,
        /// Whether that was all.
        last: bool,
    },
    /// There is room again for a channel in which the client is behind.
    CatchUp(ChannelName),
    /// Write the disconnect, close, and be done. Comes once, and nothing after it.
    End(Ending),
    /// Leave at once, whatever still waits.
    Cut,
}

impl Outboxes {
    /// None yet, with these bounds for each, and one for all together.
    pub(crate) fn new(bounds: Bounds, total: usize) -> Arc<Outboxes> {
        Arc::new(Outboxes {
            bounds,
            total,
            bytes: Sharded::default(),
            messages: Sharded::default(),
            refused: AtomicUsize::new(0),
            crowded: AtomicUsize::new(0),
            overflowed: AtomicUsize::new(0),
        })
    }
}

impl Outboxes {
    /// What one that holds so many bytes may hold now: its own bound, or what is free of the bound of all, if that is less.
    fn bound(&self, bytes: usize) -> usize {
        let share = self.bounds.high / SHARE;
        if bytes < share {
            // Most of them, most of the time: not worth adding up what all hold.
            return self.bounds.high;
        }
        let used = usize::try_from(self.bytes.get()).unwrap_or(usize::MAX);
        self.total.saturating_sub(used).clamp(share, self.bounds.high)
    }
}

impl Outbox {
    /// An empty outbox, one of `all`.
    pub(crate) fn new(all: Arc<Outboxes>) -> Outbox {
        Outbox { all, state: Mutex::default() }
    }

    /// Takes a publication if the outbox is not over its bound.
    pub(crate) fn offer(&self, message: &Encoded) -> bool {
        let mut state = lock(&self.state);
        if state.ended {
            // Nobody will read it; the client is not behind but gone.
            return true;
        }
        let taken = state.bytes < self.all.bound(state.bytes);
        if taken {
            self.put(&mut state, message.clone());
            state.wake();
        } else {
            self.all.refused.fetch_add(1, Ordering::Relaxed);
            let crowded = state.bytes < self.all.bounds.high;
            self.all.crowded.fetch_add(usize::from(crowded), Ordering::Relaxed);
        }
        taken
    }

    /// Takes a push that cannot be had again. At twice the bound the connection ends instead.
    pub(crate) fn push(&self, message: Encoded) {
        let mut state = lock(&self.state);
        self.push_locked(&mut state, message);
        state.wake();
    }

    /// As [`push`](Outbox::push), by the connection's own task: which looks before it waits, and need not be woken.
    pub(crate) fn reply(&self, message: Encoded) {
        self.push_locked(&mut lock(&self.state), message);
    }

    fn push_locked(&self, state: &mut State, message: Encoded) {
        if state.ended {
            return;
        }
        // However full all are: a large reply alone is no sign of a reader who has stopped.
        let most = 2 * self.all.bound(state.bytes).max(self.all.bounds.low);
        if state.bytes >= most {
            self.all.overflowed.fetch_add(1, Ordering::Relaxed);
            self.end_locked(state, Ending::slow_reader(most));
            return;
        }
        self.put(state, message);
    }

    /// Takes a message that goes before all that waits.
    pub(crate) fn control(&self, message: Encoded) {
        let mut state = lock(&self.state);
        if !state.ended && state.rare().control.len() < CONTROL_LIMIT {
            self.count(message.weight(), &mut state);
            state.rare().control.push(message);
            state.wake();
        }
    }

    /// Ends the connection. The first ending counts.
    pub(crate) fn end(&self, ending: Ending) {
        self.end_locked(&mut lock(&self.state), ending);
    }

    /// Ends the connection without another word.
    pub(crate) fn cut(&self) {
        let mut state = lock(&self.state);
        state.cut = true;
        state.wake_at_the_end();
    }

    /// The client is behind in a channel: once there is room, [`Item::CatchUp`] comes.
    pub(crate) fn behind(&self, channel: &ChannelName) {
        let mut state = lock(&self.state);
        if !state.ended && !state.rare().behind.contains(channel) {
            state.rare().behind.insert(channel.clone());
            state.wake();
        }
    }

    /// Whether more than the bound waits: time to read no further commands.
    pub(crate) fn is_full(&self) -> bool {
        let bytes = lock(&self.state).bytes;
        bytes >= self.all.bound(bytes)
    }

    /// The bounds it was made with.
    pub(crate) fn bounds(&self) -> Bounds {
        self.all.bounds
    }

    /// How many bytes may still come before the bound.
    pub(crate) fn room(&self) -> usize {
        let bytes = lock(&self.state).bytes;
        self.all.bound(bytes).saturating_sub(bytes)
    }

    /// Takes out what comes next: of messages as many as it takes to fill `room` bytes, and one at the least. The task of the
    /// last call is woken when there is more.
    pub(crate) fn poll_take(&self, context: &Context<'_>, room: usize) -> Poll<Item> {
        let mut state = lock(&self.state);
        match self.take_locked(&mut state, room) {
            Some(Item::Messages { batch, .. }) => {
                let last = state.is_drained();
                if last {
                    state.wait(context, Waits::ForAnything);
                }
                Poll::Ready(Item::Messages { batch, last })
            }
            Some(item) => Poll::Ready(item),
            None => {
                state.wait(context, Waits::ForAnything);
                Poll::Pending
            }
        }
    }

    /// Waits for the ending alone, while there is no room to write anything else to; answers whether to leave at once. The
    /// task of the last call is woken when it may have come.
    pub(crate) fn poll_ended(&self, context: &Context<'_>) -> Poll<bool> {
        let mut state = lock(&self.state);
        if state.ended || state.cut {
            return Poll::Ready(state.cut);
        }
        state.wait(context, Waits::ForTheEnd);
        Poll::Pending
    }

    /// Takes out what comes next, if there is anything now; of messages one, but for control.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Option<Item> {
        self.take_locked(&mut lock(&self.state), 0)
    }

    fn take_locked(&self, state: &mut State, room: usize) -> Option<Item> {
        if state.cut {
            return Some(Item::Cut);
        }
        let mut batch = Batch::new();
        if let Some(rare) = &mut state.rare {
            batch.extend(rare.control.drain(..));
            // Before the queue is empty, so that writing and fetching overlap.
            if batch.is_empty()
                && state.bytes < self.all.bounds.low.min(self.all.bound(state.bytes))
                && let Some(channel) = rare.next_behind()
            {
                state.tidy();
                return Some(Item::CatchUp(channel));
            }
        }
        if batch.is_empty() {
            batch = state.take_queued(room);
        }
        if !batch.is_empty() {
            self.discount(batch.iter().map(Encoded::weight).sum(), state);
            state.tidy();
            return Some(Item::Messages { batch, last: false });
        }
        let ending = state.rare.as_mut()?.ending.take();
        state.tidy();
        ending.map(Item::End)
    }

    fn end_locked(&self, state: &mut State, ending: Ending) {
        if state.ended {
            return;
        }
        if state.bytes >= self.all.bounds.low {
            self.discount(state.bytes, state);
            state.queue = Batch::new();
            state.rare().control = Vec::new();
        }
        state.ended = true;
        let rare = state.rare();
        rare.behind = BTreeSet::new();
        rare.ending = Some(ending);
        state.wake_at_the_end();
    }

    fn put(&self, state: &mut State, message: Encoded) {
        self.all.messages.add(1);
        self.count(message.weight(), state);
        state.queue.push(message);
    }

    fn count(&self, weight: usize, state: &mut State) {
        state.bytes += weight;
        self.all.bytes.add(weight as u64);
    }

    fn discount(&self, weight: usize, state: &mut State) {
        state.bytes -= weight;
        self.all.bytes.sub(weight as u64);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.all.bytes.sub(lock(&self.state).bytes as u64);
    }
}

impl State {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Whether there is nothing to take.
    fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.rare.is_none() && !self.cut
    }

    /// An idle connection holds no buffer.
    fn tidy(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }

    fn take_queued(&mut self, room: usize) -> Batch {
        if self.bytes <= room {
            return std::mem::take(&mut self.queue);
        }
        let mut taken = 0_usize;
        let fits = |message: &&Encoded| {
            let fits = taken < room.max(1);
            taken = taken.saturating_add(message.weight());
            fits
        };
        let count = self.queue.iter().take_while(fits).count();
        if count == self.queue.len() {
            return std::mem::take(&mut self.queue);
        }
        self.queue.drain(..count).collect()
    }

    /// One owner, one waker; an idle outbox keeps nothing else.
    fn wait(&mut self, context: &Context<'_>, waits: Waits) {
        self.waits = waits;
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }

    fn wake(&mut self) {
        if self.waits == Waits::ForAnything {
            self.wake_at_the_end();
        }
    }

    fn wake_at_the_end(&mut self) {
        if std::mem::take(&mut self.waits) != Waits::Not
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.control.is_empty() && self.behind.is_empty() && self.ending.is_none()
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
}

#[cfg(test)]
mod tests;
