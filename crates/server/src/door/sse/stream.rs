//! The body of an answer that does not end: a client of the hub, whose messages are events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep};
use trunkline_dialect::command::{Credential, Subscribe};
use trunkline_dialect::{Code, Command, ErrorBody};

use super::super::guard::{guarded, len, what};
use super::place::{END, Place};
use crate::App;
use crate::connection::Remote;
use crate::driver::{Client, Out, Whence};
use crate::encoded::{Encoded, Mark};
use crate::metrics::Open;
use crate::outbox::{Batch, Ending};
use crate::session::{Door, Origin};

/// How much is handed on at once, but for one message that is larger: so much waits at the most in the HTTP library, beside its own
/// buffer, and all else in the outbox, where the hub sees it.
const AT_ONCE: usize = 16 << 10;

/// After how long a browser comes back that has lost its connection, at the least and at the most: at random, so that the
/// clients of a node that has stopped do not come all at once.
const RETRY_MS: std::ops::Range<u32> = 1_000..3_000;

/// A comment, so that the first bytes of the answer leave at once and something always comes before a proxy's patience ends.
const BEAT: &[u8] = b":\n\n";

/// One client that is told in events what happens.
pub(super) struct Events {
    app: Arc<App>,
    client: Client<ByEvents>,
    place: Place,
    /// What the URL asks for and was not asked of the hub yet, because it takes only so much at once.
    asks: VecDeque<Vec<u8>>,
    /// What is ready to go.
    out: Vec<u8>,
    beat: Pin<Box<Sleep>>,
    interval: Duration,
    over: bool,
    _open: Open,
}

/// A remote that came in by this door.
struct ByEvents(Arc<Remote>);

impl Whence for ByEvents {
    fn origin(&self) -> Origin {
        Origin { door: Door::Sse, address: self.0.address() }
    }
}

impl Events {
    /// A client with this credential, once the hub has taken it: only then is it known how to answer.
    ///
    /// # Errors
    /// Why the hub has not.
    pub(super) async fn open(
        app: &Arc<App>,
        remote: &Arc<Remote>,
        credential: Credential,
    ) -> Result<Opening, ErrorBody> {
        let mut client = Client::open(&app.node, ByEvents(remote.clone()), Some(credential));
        // It may have come in after everybody was told.
        if app.stop.is_stopping() {
            client.end(Ending::stopping());
        }
        if app.stop.is_cut() {
            client.cut();
        }
        loop {
            match poll_fn(|cx| client.poll_next(cx, 0)).await {
                Out::Messages { batch, .. } if batch.iter().any(|message| message.is_session()) => {
                    return Ok(Opening { client, first: batch });
                }
                // The push that says what the ending says.
                Out::Messages { .. } => {}
                Out::Close(ending) => {
                    return Err(ErrorBody::new(ending.disconnect.code, ending.disconnect.message));
                }
                Out::Cut => return Err(ErrorBody::new(Code::Unavailable, "this node stops")),
            }
        }
    }

    /// Begins to tell, in the channels of `place` and from there on; with `presence` of joins and leaves too.
    pub(super) fn begin(app: &Arc<App>, opening: Opening, place: Place, presence: bool) -> Events {
        let Opening { client, first } = opening;
        let asks = place.channels().iter().zip(1..).map(|((channel, since), id)| {
            let subscribe = Subscribe { channel: channel.clone(), since: since.clone(), presence };
            Command { id, verb: subscribe.into() }.encode().into_bytes()
        });
        let asks = asks.collect();
        let interval = app.config.heartbeat.interval;
        let retry = rand::random_range(RETRY_MS);
        let mut events = Events {
            app: app.clone(),
            client,
            place,
            asks,
            out: [BEAT, format!("retry: {retry}\n\n").as_bytes()].concat(),
            beat: Box::pin(tokio::time::sleep(interval)),
            interval,
            over: false,
            _open: app.metrics.event_stream(),
        };
        events.tell(&first);
        events
    }

    /// **What the URL asks for is asked, then what the hub says is told; and if it says nothing for a while, that it does.**
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if !self.out.is_empty() {
                self.beat.as_mut().reset(Instant::now() + self.interval);
                return Poll::Ready(Some(std::mem::take(&mut self.out).into()));
            }
            if self.over {
                return Poll::Ready(None);
            }
            while self.client.wants_input()
                && let Some(ask) = self.asks.pop_front()
            {
                self.client.stand_in(&ask);
            }
            let beats = self.beat.as_mut().poll(cx).is_ready();
            // Before it is seen that nothing waits: what the hub has sent up to here was told then.
            let reached = if beats { self.reached() } else { Vec::new() };
            match self.client.poll_next(cx, AT_ONCE) {
                Poll::Ready(Out::Messages { batch, .. }) => self.tell(&batch),
                Poll::Ready(Out::Close(_) | Out::Cut) => self.over = true,
                // One command's answer may have made room for the next.
                Poll::Pending if !self.asks.is_empty() && self.client.wants_input() => {}
                Poll::Pending if beats => self.beat(reached),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Instead of [`poll`](Events::poll), while there is no room: ready once the client is to be ended.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.client.poll_ended(cx).map(drop)
    }

    /// Writes messages as events, each with an id if it brings the client further.
    fn tell(&mut self, batch: &Batch) {
        let mut bytes = 0;
        for message in batch {
            if let Some(id) = self.id_after(message) {
                self.write_id(&id);
            }
            // A message is one line.
            self.out.extend_from_slice(b"data: ");
            self.out.extend_from_slice(message.payload());
            self.out.extend_from_slice(b"\n\n");
            bytes += len(message.payload());
        }
        self.app.metrics.messages_out.inc_by(batch.len() as u64);
        self.app.metrics.bytes_out.inc_by(bytes);
    }

    /// Notes where a message brings the client, and says so if it is elsewhere than before.
    fn id_after(&mut self, message: &Encoded) -> Option<String> {
        match message.mark() {
            Mark::None | Mark::Refused(_) => return None,
            Mark::Session(token) => self.place.set_token(token),
            Mark::Subscribed(id, position) => {
                let index = usize::try_from(*id).ok()?.checked_sub(1)?;
                self.place.set(index, position.clone());
            }
            Mark::At(channel, offset) => self.place.advance(channel, *offset),
            Mark::Unsubscribed(code) => {
                // The hub has lost its place in the channel. Nobody here can subscribe anew, but coming back does.
                self.over |= *code == Code::Unavailable;
                return None;
            }
            Mark::Disconnected(true) => {}
            Mark::Disconnected(false) => return Some(END.to_owned()),
        }
        Some(self.place.id())
    }

    /// Where the client is in its channels by what the hub has sent, where that is known.
    fn reached(&self) -> Vec<(usize, trunkline_dialect::Position)> {
        let channels = self.place.channels().iter().enumerate();
        let reached = channels.filter_map(|(index, (channel, known))| {
            let position = self.client.position(channel)?;
            (known.as_ref() != Some(&position)).then_some((index, position))
        });
        reached.collect()
    }

    /// Nothing has been said for a while: something is, and if publications went by that were not for this client, where it is now.
    fn beat(&mut self, reached: Vec<(usize, trunkline_dialect::Position)>) {
        if reached.is_empty() {
            return self.out.extend_from_slice(BEAT);
        }
        for (index, position) in reached {
            self.place.set(index, position);
        }
        let id = self.place.id();
        self.write_id(&id);
        self.out.push(b'\n');
    }

    fn write_id(&mut self, id: &str) {
        self.out.extend_from_slice(b"id: ");
        self.out.extend_from_slice(id.as_bytes());
        self.out.push(b'\n');
    }
}

/// A client that the hub has taken.
pub(super) struct Opening {
    client: Client<ByEvents>,
    /// What it was told then.
    first: Batch,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let polled = guarded(|| this.poll(cx));
        polled.map(|told| match told {
            Ok(told) => told.map(|bytes| Ok(Frame::data(bytes))),
            Err(panic) => {
                this.app.metrics.panics.inc();
                tracing::error!(fault = what(&*panic), "a connection ends because of a fault of ours");
                None
            }
        })
    }
}
