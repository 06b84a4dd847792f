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
    receive: Option<Waker>,
    send: Option<Waker>,
    both: Option<Arc<Both>>,
}

#[derive(Default)]
struct Both(Mutex<[Option<Waker>; 2]>);

impl Wakers {
    /// Remembers the waker of this side. If the other side waits in another task, gives the waker to hand down in
    /// place of this one.
    pub(super) fn register(&mut self, side: Side, waker: &Waker) -> Option<Waker> {
        let (mine, other) = match side {
            Side::Receive => (&mut self.receive, &self.send),
            Side::Send => (&mut self.send, &self.receive),
        };
        if !mine.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *mine = Some(waker.clone());
        }
        let other = other.as_ref().filter(|other| !other.will_wake(waker))?;
        let both = self.both.get_or_insert_default();
        // Poisoned only if a waker's clone panicked; the wakers are whole all the same.
        *both.0.lock().unwrap_or_else(PoisonError::into_inner) = [Some(waker.clone()), Some(other.clone())];
        Some(Waker::from(Arc::clone(both)))
    }

    /// Wakes this side, for what the other has done and no stream or timer will tell.
    pub(super) fn wake(&self, side: Side) {
        let waker = match side {
            Side::Receive => &self.receive,
            Side::Send => &self.send,
        };
        if let Some(waker) = waker {
            waker.wake_by_ref();
        }
    }

    /// This side no longer waits.
    pub(super) fn clear(&mut self, side: Side) {
        match side {
            Side::Receive => self.receive = None,
            Side::Send => self.send = None,
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
