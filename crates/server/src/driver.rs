//! Drives a peer: moves its replies and its pushes into the outbox, does its tasks one after the other, and
//! keeps its timer. What a door has left to do is to carry messages.
//!
//! ```text
//! let mut client = Client::open(&node, origin, credential);
//! loop {
//!     select! {
//!         message = connection.recv(), if client.wants_input() => match message {
//!             Some(text) => client.receive(&text),
//!             None => break,
//!         },
//!         out = client.poll_next(context, connection.room()), if connection.has_room() => match out {
//!             Out::Messages { batch, .. } => connection.send_all(batch),
//!             Out::Close(ending) => break connection.close(ending.close_code, ending.reason()),
//!             Out::Cut => break,
//!         }
//!     }
//! }
//! ```

mod task;
mod visit;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;
use trunkline_dialect::command::Credential;
use trunkline_dialect::{ChannelName, Position};

use crate::encoded::Encoded;
use crate::node::Node;
use crate::outbox::{Batch, Ending, Item, Outbox};
use crate::peer::{Event, Manner, Peer, Task};
use crate::session::Origin;
use task::{Finished, Place};
pub(crate) use visit::visit;

/// The other end of a client's connection.
pub(crate) trait Whence {
    /// How it came in, and from where.
    fn origin(&self) -> Origin;

    /// What becomes of what is no command.
    fn manner(&self) -> Manner {
        Manner::Messages
    }
}

/// One client of the hub. Dropping it is the loss of its link: the grace of its presence and the linger of
/// its session begin.
///
/// Very many of these wait at once: what one seldom has is in a box, and there only while it has it.
pub(crate) struct Client<W: Whence> {
    node: Arc<Node>,
    outbox: Arc<Outbox>,
    peer: Peer,
    /// Only while there is any.
    work: Option<Box<Work>>,
    /// Only while the peer has a deadline.
    sleep: Option<Pin<Box<Sleep>>>,
    /// The disconnect push is out, the close is next.
    closing: Option<Box<Ending>>,
    /// Dropped when all else is over.
    whence: W,
}

/// What a client has to be done for it. Tasks are done one after the other, and catching up goes before them.
#[derive(Default)]
struct Work {
    tasks: VecDeque<(Option<u64>, Task)>,
    catch_ups: VecDeque<ChannelName>,
    running: Option<Running>,
}

/// A task, or a step of catching up, which answers nothing.
type Running = Pin<Box<dyn Future<Output = Option<Finished>> + Send>>;

/// What a door does next.
#[derive(Debug, Clone)]
pub(crate) enum Out {
    /// Write these, of which there is at least one. With `last` there is nothing else now, and the task will be woken for what
    /// comes: it need not ask again before it waits.
    Messages {
        /// In this order.
        batch: Batch,
        /// Whether that was all.
        last: bool,
    },
    /// Close with this ending's close code and reason, where the door has such; then it is over.
    Close(Ending),
    /// Drop the connection, whatever still waits.
    Cut,
}

impl<W: Whence> Client<W> {
    /// A client at a door, with the credential of its handshake if it had one.
    pub(crate) fn open(node: &Arc<Node>, whence: W, credential: Option<Credential>) -> Client<W> {
        let mut client = Client {
            node: node.clone(),
            outbox: node.add_connection(),
            peer: Peer::new(node.rules.clone(), node.clock.now()),
            work: None,
            sleep: None,
            closing: None,
            whence,
        };
        if let Some(credential) = credential {
            client.peer.authenticate(credential);
            client.drain_peer();
        }
        client
    }

    /// How it came in, and from where.
    pub(crate) fn origin(&self) -> Origin {
        self.whence.origin()
    }

    /// Tells the client that it is ended, and ends it. The first ending counts.
    pub(crate) fn end(&mut self, ending: Ending) {
        self.outbox.end(ending);
    }

    /// One whole message of the client.
    pub(crate) fn receive(&mut self, message: &[u8]) {
        self.node.counts().commands.fetch_add(1, Ordering::Relaxed);
        self.peer.receive(self.node.clock.now(), message, self.whence.manner());
        self.drain_peer();
    }

    /// A command that the door says in its place. It is no sign that the client has read anything yet.
    pub(crate) fn stand_in(&mut self, command: &[u8]) {
        self.node.counts().commands.fetch_add(1, Ordering::Relaxed);
        self.peer.receive_command(self.node.clock.now(), command, Manner::Messages);
        self.drain_peer();
    }

    /// Where its link is sent up to in a channel, while it is live there.
    pub(crate) fn position(&self, channel: &ChannelName) -> Option<Position> {
        self.node.hub.position(self.peer.link()?, channel)
    }

    /// Whether something is done for it that may still say something.
    pub(crate) fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    /// Whether another message may be read now. While it is `false`, reading must stop: the client has sent
    /// more than it has read.
    pub(crate) fn wants_input(&self) -> bool {
        self.peer.wants_input() && !self.outbox.is_full()
    }

    /// Leaves at once.
    pub(crate) fn cut(&mut self) {
        self.outbox.cut();
    }

    /// Does what there is to do until there is something to write, and gives as much of it as fills `room` bytes, and one
    /// message at the least. All progress is kept in `self`.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>, room: usize) -> Poll<Out> {
        loop {
            if let Some(ending) = self.closing.take() {
                return Poll::Ready(Out::Close(*ending));
            }
            self.poll_tasks(context);
            self.poll_timer(context);
            match self.outbox.poll_take(context, room) {
                Poll::Ready(Item::Messages { batch, last }) => {
                    // What waited for room in the outbox may have it now.
                    let last = last && self.work.is_none();
                    return Poll::Ready(Out::Messages { batch, last });
                }
                Poll::Ready(Item::CatchUp(channel)) => self.work().catch_ups.push_back(channel),
                Poll::Ready(Item::End(ending)) => {
                    let last = Encoded::from(&ending.last_push());
                    self.detach(Some(&ending));
                    self.closing = Some(Box::new(ending));
                    return Poll::Ready(Out::Messages { batch: Batch::from_iter([last]), last: false });
                }
                Poll::Ready(Item::Cut) => return Poll::Ready(Out::Cut),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Instead of [`poll_next`](Client::poll_next), while the connection has no room: does what there is to do without
    /// taking anything out, and is ready once the client is to be ended: at once if it answers `true`, and otherwise after
    /// what `poll_next` then still has to say, which is little.
    pub(crate) fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.poll_tasks(context);
        self.poll_timer(context);
        self.outbox.poll_ended(context)
    }

    /// Does tasks, one at a time, until one has to be waited for or there is none.
    fn poll_tasks(&mut self, context: &mut Context<'_>) {
        while let Some(work) = &mut self.work {
            if work.running.is_none() {
                let next = self.start_next();
                self.work().running = next;
            }
            let Some(running) = self.work.as_mut().and_then(|work| work.running.as_mut()) else { break };
            let Poll::Ready(finished) = running.as_mut().poll(context) else { return };
            self.work().running = None;
            if let Some(finished) = finished {
                self.finish(finished);
            }
        }
        if self.work.as_ref().is_some_and(|work| work.is_done()) {
            self.work = None;
        }
    }

    fn start_next(&mut self) -> Option<Running> {
        let work = self.work.as_mut()?;
        if let (Some(channel), Some(link)) = (work.catch_ups.pop_front(), self.peer.last_link()) {
            let step = task::catch_up(self.node.clone(), self.outbox.clone(), link, channel);
            return Some(Box::pin(async {
                step.await;
                None
            }));
        }
        if self.outbox.is_full() {
            return None;
        }
        let (id, task) = work.tasks.pop_front()?;
        let place = Place {
            node: self.node.clone(),
            outbox: self.outbox.clone(),
            origin: self.origin(),
            link: self.peer.link(),
            grant: self.peer.grant().cloned(),
            allowance: self.peer.allowance().clone(),
        };
        Some(Box::pin(async move { Some(task::perform(place, id, task).await) }))
    }

    fn work(&mut self) -> &mut Work {
        self.work.get_or_insert_default()
    }

    fn finish(&mut self, Finished { id, outcome, start }: Finished) {
        self.peer.complete(self.node.clock.now(), id, outcome);
        // The reply goes into the outbox here; only then may the subscription speak.
        self.drain_peer();
        if let (Some(start), Some(link)) = (start, self.peer.last_link()) {
            self.node.hub.start(link, &start.channel, &start.recovery, start.roll);
        }
    }

    fn drain_peer(&mut self) {
        while let Some(message) = self.peer.poll_transmit() {
            self.outbox.reply(message);
        }
        while let Some(event) = self.peer.poll_event() {
            match event {
                Event::Do(id, task) => self.work().tasks.push_back((id, task)),
                Event::Used(link) => self.node.sessions.confirm(link),
                Event::End(ending) => self.outbox.end(ending),
            }
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) {
        while let Some((at, _)) = self.peer.poll_timeout() {
            let at = tokio::time::Instant::from_std(at);
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            if sleep.as_mut().poll(context).is_pending() {
                return;
            }
            self.peer.handle_timeout(self.node.clock.now());
            self.drain_peer();
        }
        self.sleep = None;
    }

    /// The link is over. Ended by us for good, it leaves at once and the session is no more; otherwise both
    /// are waited for.
    fn detach(&mut self, ending: Option<&Ending>) {
        self.work = None;
        let Some(link) = self.peer.take_link() else { return };
        let for_good = ending.is_some_and(|ending| !ending.disconnect.reconnect);
        // A displaced link ends for good, but its session goes on by the newer one: nobody has left.
        if for_good && self.node.sessions.close(link) {
            self.node.drop_link(link, Duration::ZERO);
        } else {
            self.node.drop_link(link, self.node.rules.limits.presence_grace);
            self.node.sessions.detach(self.node.clock.now(), link);
        }
    }
}

impl Work {
    fn is_done(&self) -> bool {
        self.running.is_none() && self.tasks.is_empty() && self.catch_ups.is_empty()
    }
}

impl<W: Whence> Drop for Client<W> {
    fn drop(&mut self) {
        self.detach(None);
        self.node.remove_connection(&self.outbox);
    }
}

impl<W: Whence> std::fmt::Debug for Client<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
