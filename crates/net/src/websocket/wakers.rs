//! Two tasks may poll one connection, one to receive and one to send, but a stream remembers a single waker.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// What a task polls the connection for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Receive,
    Send,
}

/// The wakers of both sides.
///
/// As long as one task does everything its own waker is handed down. Only when two different ones are waiting, as with
/// a `Stream` and a `Sink` in two tasks, is a waker made that wakes both: either of them may then be the one that
/// the stream remembers, and no wake-up is lost.
#[derive(Default)]
pub(super) struct Wakers {
    receive: Known,
    /// Most connections are only received on: sending then happens between two calls to receive.
    send: Option<Box<Sending>>,
    /// The side that was registered last is [`Side::Send`].
    sent_last: bool,
}

/// The task that polled last for one side. It is remembered when it waits no longer, to be recognised next time.
#[derive(Default)]
struct Known {
    waker: Option<Waker>,
    waits: bool,
}

#[derive(Default)]
struct Sending {
    known: Known,
    both: Option<Arc<Both>>,
}

#[derive(Default)]
struct Both(Mutex<[Option<Waker>; 2]>);

impl Known {
    /// Remembers a task that waits. Whether it is another than before.
    fn is_new(&mut self, waker: &Waker) -> bool {
        self.waits = true;
        let new = !self.is(waker);
        if new {
            self.waker = Some(waker.clone());
        }
        new
    }

    fn is(&self, waker: &Waker) -> bool {
        self.waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    /// The task that waits, if it is another than this.
    fn other(&self, waker: &Waker) -> Option<&Waker> {
        self.waker.as_ref().filter(|known| self.waits && !known.will_wake(waker))
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.as_ref().filter(|_| self.waits) {
            waker.wake_by_ref();
        }
    }
}

impl Wakers {
    /// Remembers the waker of this side. If the other side waits in another task, gives the waker to hand down in
    /// place of this one. Says too whether another waker than the last time is to be handed down.
    pub(super) fn register(&mut self, side: Side, waker: &Waker) -> (Option<Waker>, bool) {
        let turned = std::mem::replace(&mut self.sent_last, side == Side::Send) != self.sent_last;
        if side == Side::Receive && self.send.is_none() {
            return (None, self.receive.is_new(waker));
        }
        let send = self.send.get_or_insert_default();
        let (mine, other) = match side {
            Side::Receive => (&mut self.receive, &send.known),
            Side::Send => (&mut send.known, &self.receive),
        };
        let new = mine.is_new(waker) || (turned && !other.is(waker));
        let Some(other) = other.other(waker) else { return (None, new) };
        let both = send.both.get_or_insert_default();
        // Poisoned only if a waker's clone panicked; the wakers are whole all the same.
        *both.0.lock().unwrap_or_else(PoisonError::into_inner) = [Some(waker.clone()), Some(other.clone())];
        (Some(Waker::from(Arc::clone(both))), true)
    }

    /// Wakes this side, for what the other has done and no stream or timer will tell.
    pub(super) fn wake(&self, side: Side) {
        match (side, &self.send) {
            (Side::Receive, _) => self.receive.wake(),
            (Side::Send, Some(send)) => send.known.wake(),
            (Side::Send, None) => {}
        }
    }

    /// This side no longer waits.
    pub(super) fn clear(&mut self, side: Side) {
        match (side, &mut self.send) {
            (Side::Receive, _) => self.receive.waits = false,
            (Side::Send, Some(send)) => send.known.waits = false,
            (Side::Send, None) => {}
        }
    }
}

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}
