//! Drives a peer: moves its replies and its pushes into the outbox, does its tasks one after the other, and
//! keeps its timer. What a door has left to do is to carry messages.
//!
//! ```text
//! let mut client = Client::open(&node, origin, credential);
//! loop {
//!     tokio::select! {
//!         message = connection.recv(), if client.wants_input() => match message {
//!             Some(text) => client.receive(&text),
//!             None => break,
//!         },
//!         out = client.next(), if connection.has_room() => match out {
//!             Out::Message(message) => connection.send(message),
//!             Out::Close(ending) => break connection.close(ending.close_code, ending.reason()),
//!         }
//!     }
//! }
//! ```

mod task;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;
use trunkline_dialect::command::Credential;
use trunkline_dialect::{ChannelName, Push};

use crate::encoded::Encoded;
use crate::node::Node;
use crate::outbox::{Ending, Item, Outbox};
use crate::peer::{Event, Peer, Task};
use crate::session::{LinkId, Origin};
use task::{Finished, Place};

/// One client of the hub. Dropping it is the loss of its link: the grace of its presence and the linger of
/// its session begin.
pub(crate) struct Client {
    node: Arc<Node>,
    number: u64,
    origin: Origin,
    outbox: Arc<Outbox>,
    peer: Peer,
    /// The link of the peer, kept beyond the peer's own end.
    link: Option<LinkId>,
    tasks: VecDeque<(Option<u64>, Task)>,
    catch_ups: VecDeque<ChannelName>,
    running: Option<Running>,
    /// Only while the peer has a deadline.
    sleep: Option<Pin<Box<Sleep>>>,
    stage: Stage,
}

/// A task, or a step of catching up, which answers nothing.
type Running = Pin<Box<dyn Future<Output = Option<Finished>> + Send>>;

#[derive(Debug)]
enum Stage {
    Open,
    /// The disconnect push is out, the close is next.
    Closing(Ending),
    Over,
}

/// What a door does next.
#[derive(Debug, Clone)]
pub(crate) enum Out {
    /// Write one message.
    Message(Encoded),
    /// Close with this ending's close code and reason, where the door has such; then it is over.
    Close(Ending),
}

impl Client {
    /// A client at a door, with the credential of its handshake if it had one.
    pub(crate) fn open(node: &Arc<Node>, origin: Origin, credential: Option<Credential>) -> Client {
        let (number, outbox) = node.add_connection();
        let mut client = Client {
            node: node.clone(),
            number,
            origin,
            outbox,
            peer: Peer::new(node.rules.clone(), node.clock.now()),
            link: None,
            tasks: VecDeque::new(),
            catch_ups: VecDeque::new(),
            running: None,
            sleep: None,
            stage: Stage::Open,
        };
        if let Some(credential) = credential {
            client.peer.authenticate(credential);
            client.drain_peer();
        }
        client
    }

    /// Tells the client that it is ended, and ends it. The first ending counts.
    pub(crate) fn end(&mut self, ending: Ending) {
        self.outbox.end(ending);
    }

    /// One whole message of the client.
    pub(crate) fn receive(&mut self, message: &[u8]) {
        self.node.counts().commands.fetch_add(1, Ordering::Relaxed);
        self.peer.receive(self.node.clock.now(), message);
        self.drain_peer();
    }

    /// Whether another message may be read now. While it is `false`, reading must stop: the client has sent
    /// more than it has read.
    pub(crate) fn wants_input(&self) -> bool {
        matches!(self.stage, Stage::Open) && self.peer.wants_input() && !self.outbox.is_full()
    }

    /// Does what there is to do until there is something to write.
    ///
    /// # Cancel safety
    /// All progress is kept in `self`: the future may be dropped at any time, and nothing is lost or done
    /// twice.
    pub(crate) async fn next(&mut self) -> Out {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Instead of [`next`](Client::next), while the connection has no room: does what there is to do without
    /// taking anything out, and returns once the client is to be ended. What `next` then still has to say is
    /// little.
    ///
    /// # Cancel safety
    /// As `next`.
    pub(crate) async fn ended(&mut self) {
        poll_fn(|context| {
            self.poll_tasks(context);
            self.poll_timer(context);
            self.outbox.poll_ended(context)
        })
        .await;
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Out> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Open => self.stage = Stage::Open,
                Stage::Closing(ending) => return Poll::Ready(Out::Close(ending)),
                Stage::Over => return Poll::Pending,
            }
            self.poll_tasks(context);
            self.poll_timer(context);
            match self.outbox.poll_take(context) {
                Poll::Ready(Item::Message(message)) => return Poll::Ready(Out::Message(message)),
                Poll::Ready(Item::CatchUp(channel)) => self.catch_ups.push_back(channel),
                Poll::Ready(Item::End(ending)) => {
                    let last = Encoded::from(&Push::Disconnect(ending.disconnect.clone()));
                    self.detach(Some(&ending));
                    self.stage = Stage::Closing(ending);
                    return Poll::Ready(Out::Message(last));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Does tasks, one at a time, until one has to be waited for or there is none.
    fn poll_tasks(&mut self, context: &mut Context<'_>) {
        loop {
            if self.running.is_none() {
                self.running = self.start_next();
            }
            let Some(running) = &mut self.running else { return };
            let Poll::Ready(finished) = running.as_mut().poll(context) else { return };
            self.running = None;
            if let Some(finished) = finished {
                self.finish(finished);
            }
        }
    }

    fn start_next(&mut self) -> Option<Running> {
        if let (Some(channel), Some(link)) = (self.catch_ups.pop_front(), self.link) {
            let step = task::catch_up(self.node.clone(), self.outbox.clone(), link, channel);
            return Some(Box::pin(async {
                step.await;
                None
            }));
        }
        if self.outbox.is_full() {
            return None;
        }
        let (id, task) = self.tasks.pop_front()?;
        let place = Place {
            node: self.node.clone(),
            outbox: self.outbox.clone(),
            origin: self.origin,
            link: self.peer.link(),
            grant: self.peer.grant().cloned(),
            allowance: self.peer.allowance().clone(),
        };
        Some(Box::pin(async move { Some(task::perform(place, id, task).await) }))
    }

    fn finish(&mut self, Finished { id, outcome, start }: Finished) {
        self.peer.complete(self.node.clock.now(), id, outcome);
        self.link = self.link.or(self.peer.link());
        // The reply goes into the outbox here; only then may the subscription speak.
        self.drain_peer();
        if let (Some(start), Some(link)) = (start, self.link) {
            self.node.hub.start(link, &start.channel, &start.recovery, start.roll);
        }
    }

    fn drain_peer(&mut self) {
        while let Some(message) = self.peer.poll_transmit() {
            self.outbox.push(message);
        }
        while let Some(event) = self.peer.poll_event() {
            match event {
                Event::Do(id, task) => self.tasks.push_back((id, task)),
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
        self.running = None;
        self.tasks.clear();
        let Some(link) = self.link.take() else { return };
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

impl Drop for Client {
    fn drop(&mut self) {
        self.detach(None);
        self.node.remove_connection(self.number);
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("number", &self.number)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
