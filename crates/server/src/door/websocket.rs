//! The websocket door: one task that carries whole messages between a WebSocket and a client of the hub.
//!
//! Very many of these tasks wait at once, so what one holds while it waits is the [`Carrier`] and nothing beside it. Its end,
//! which takes time and room, is a future of its own on the heap.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream as _;
use futures_sink::Sink as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;
use trunkline_dialect::Code;
use trunkline_dialect::command::Credential;
use trunkline_net::deflate::Agreed;
use trunkline_net::{CloseCode, Error, Message, Role, Setup, WebSocket};

use super::guard::{LAST_WORDS, Panic, guarded, len, or_panic, what};
use crate::App;
use crate::connection::Remote;
use crate::driver::{Client, Out, Whence};
use crate::encoded::Form;
use crate::metrics::{Open, Via};
use crate::outbox::{Batch, Ending};
use crate::session::{Door, Origin};
use crate::stream::Stream;

/// A handshake that is done.
pub(super) struct Upgraded<S = Stream> {
    pub(super) stream: S,
    /// What the client has sent behind it.
    pub(super) leftover: Bytes,
    pub(super) via: Via,
    pub(super) deflate: Option<Agreed>,
    pub(super) credential: Option<Credential>,
}

/// Gives a WebSocket a task of its own, so that nothing of the handshake stays in memory with it.
pub(super) fn start(app: &Arc<App>, remote: &Arc<Remote>, upgraded: Upgraded) {
    let mut carrier = Carrier::open(app, remote, upgraded);
    tokio::spawn(async move {
        let end = poll_fn(|cx| carrier.poll(cx)).await;
        Box::pin(carrier.end(end)).await;
    });
}

/// One WebSocket and one client.
struct Carrier<S> {
    app: Arc<App>,
    socket: WebSocket<S>,
    _open: Open,
    /// With the remote, which counts the connection until all else is over.
    client: Client<ByWebSocket>,
}

/// A remote that came in by this door.
struct ByWebSocket(Arc<Remote>);

impl Whence for ByWebSocket {
    fn origin(&self) -> Origin {
        Origin { door: Door::WebSocket, address: self.0.address() }
    }
}

/// Why nothing is carried any more.
enum End {
    /// The connection is over, clean or not: the hub keeps the session for a while.
    Gone,
    /// We close it, for this reason.
    Close(Ending),
    /// The hub has ended a client that has no room to be told so.
    LastWords,
    /// A fault of ours.
    Fault(Panic),
    /// It did not leave in time when the server stopped.
    Cut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Carrier<S> {
    fn open(app: &Arc<App>, remote: &Arc<Remote>, upgraded: Upgraded<S>) -> Carrier<S> {
        let Upgraded { stream, leftover, via, deflate, credential } = upgraded;
        let open = app.metrics.websocket(via, deflate.is_some());
        let setup = Setup { deflate, ..Setup::from(app.socket_limits.clone()) };
        let mut client = Client::open(&app.node, ByWebSocket(remote.clone()), credential);
        // It may have come in after everybody was told.
        if app.stop.is_stopping() {
            client.end(Ending::stopping());
        }
        if app.stop.is_cut() {
            client.cut();
        }
        Carrier {
            app: app.clone(),
            socket: WebSocket::from_upgraded(stream, leftover, Role::Server, setup),
            _open: open,
            client,
        }
    }
}

/// What the socket has to say.
enum Event {
    /// The client sent a message, or its connection is over.
    Received(Option<Result<Message, Error>>),
    /// The socket, which was full, has room again.
    Room,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Carrier<S> {
    /// Carries messages until one side ends it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        guarded(|| self.carry(cx)).map(|carried| carried.unwrap_or_else(End::Fault))
    }

    /// **All that waits goes into the socket, then the socket is driven once, then the next.** So what was published before a
    /// turn leaves in one write.
    ///
    /// Reading does not wait for writing: while the socket is full, messages still come in as long as the client wants any. What
    /// the client does not read waits in its outbox, where the hub sees it.
    fn carry(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if self.socket.has_room() {
                let room = self.socket.limits().outgoing.saturating_sub(self.socket.queued());
                match self.client.poll_next(cx, room) {
                    Poll::Ready(Out::Messages { batch, last }) => {
                        if !self.feed(cx, &batch) {
                            return Poll::Ready(End::Gone);
                        }
                        if !last {
                            continue;
                        }
                    }
                    Poll::Ready(Out::Close(ending)) => return Poll::Ready(End::Close(ending)),
                    Poll::Ready(Out::Cut) => return Poll::Ready(End::Cut),
                    Poll::Pending => {}
                }
            } else if let Poll::Ready(cut) = self.client.poll_ended(cx) {
                return Poll::Ready(if cut { End::Cut } else { End::LastWords });
            }
            // One client that sends without pause leaves its thread to others after so many messages.
            let turn = ready!(coop::poll_proceed(cx));
            let event = ready!(self.poll_socket(cx));
            turn.made_progress();
            match event {
                Event::Received(Some(Ok(message))) => {
                    self.app.metrics.messages_in.inc();
                    self.app.metrics.bytes_in.inc_by(len(message.as_bytes()));
                    self.client.receive(message.as_bytes());
                }
                Event::Received(_) => return Poll::Ready(End::Gone),
                // What is over takes nothing and waits for nothing.
                Event::Room if self.socket.closed().is_some() => return Poll::Ready(End::Gone),
                Event::Room => {}
            }
        }
    }

    /// Sends messages that fit into the room there was, in one write. `false` if the connection takes no more: what it did not
    /// take would be lost, so better the connection, whose client comes back for it.
    fn feed(&mut self, cx: &mut Context<'_>, batch: &Batch) -> bool {
        let form = Form::of(&self.socket);
        let sent = self.socket.write_now(cx, |replies| {
            batch.into_iter().try_for_each(|message| replies.send_prepared(&message.in_form(form)))
        });
        if sent.is_err() {
            return false;
        }
        let bytes = batch.into_iter().map(|message| len(message.payload())).sum();
        self.app.metrics.messages_out.inc_by(batch.len() as u64);
        self.app.metrics.bytes_out.inc_by(bytes);
        true
    }

    /// Drives the socket: always its writing, and its reading as far as the client wants input.
    fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let (wants_input, wants_room) = (self.client.wants_input(), !self.socket.has_room());
        let mut socket = Pin::new(&mut self.socket);
        if wants_input && let Poll::Ready(received) = socket.as_mut().poll_next(cx) {
            return Poll::Ready(Event::Received(received));
        }
        if wants_room {
            // The end of the connection counts as room; receiving then tells of it.
            let _ = ready!(socket.as_mut().poll_ready(cx));
            return Poll::Ready(Event::Room);
        }
        if !wants_input {
            let _ = ready!(socket.as_mut().poll_flush(cx));
        }
        Poll::Pending
    }

    /// However it ends by our doing, the client is told why: a `disconnect` push, then a Close frame.
    async fn end(mut self, end: End) {
        let app = self.app.clone();
        let over = tokio::select! {
            over = self.ends(end) => over,
            () = app.stop.cut() => false,
        };
        if !over {
            tracing::debug!(address = ?self.client.origin().address, "cut a client that did not leave in time");
            return;
        }
        if let Some(round_trip) = self.socket.rtt() {
            app.metrics.round_trip(round_trip);
        }
        app.metrics.closed(self.socket.closed().map_or(1006, |closed| closed.code));
    }

    /// Whether it has ended by itself.
    async fn ends(&mut self, end: End) -> bool {
        let (socket, client) = (&mut self.socket, &mut self.client);
        let ended = match end {
            End::Cut => return false,
            End::Gone => Ok(()),
            End::Close(ending) => or_panic(pin!(close(socket, &ending))).await,
            End::LastWords => or_panic(pin!(last_words(socket, client))).await,
            End::Fault(panic) => Err(panic),
        };
        if let Err(panic) = ended {
            self.app.metrics.panics.inc();
            end_by_fault(socket, what(&*panic)).await;
        }
        true
    }
}

/// The hub has ended a client that has not been reading: what it still has to say is bounded in time, not by the
/// client's patience.
async fn last_words<S>(socket: &mut WebSocket<S>, client: &mut Client<ByWebSocket>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let words = async {
        loop {
            match poll_fn(|cx| client.poll_next(cx, 0)).await {
                Out::Messages { batch, .. } => {
                    for message in &batch {
                        socket.feed_prepared(&message.for_wire(socket)).await.ok()?;
                    }
                }
                Out::Close(ending) => return Some(ending),
                Out::Cut => return None,
            }
        }
    };
    match tokio::time::timeout(LAST_WORDS, words).await {
        Ok(Some(ending)) => close(socket, &ending).await,
        Ok(None) => {}
        Err(_) => tracing::debug!("a client did not read why it was disconnected"),
    }
}

/// A fault of ours ends this connection and no other, and its client is told.
async fn end_by_fault<S>(socket: &mut WebSocket<S>, fault: &str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tracing::error!(fault, "a connection ends because of a fault of ours");
    let ending = Ending::new(Code::Internal, "a fault of this server");
    // A second fault, in what says goodbye, is not worth a third try.
    let _ = or_panic(pin!(say_goodbye(socket, &ending))).await;
}

async fn say_goodbye<S>(socket: &mut WebSocket<S>, ending: &Ending)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let push = trunkline_dialect::Push::Disconnect(ending.disconnect.clone()).encode();
    let told = tokio::time::timeout(LAST_WORDS, socket.feed(push)).await;
    if matches!(told, Ok(Ok(()))) {
        close(socket, ending).await;
    }
}

/// The closing handshake, bounded by the socket's own limit.
async fn close<S>(socket: &mut WebSocket<S>, ending: &Ending)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let code = CloseCode::new(ending.close_code).unwrap_or(CloseCode::INTERNAL);
    if let Err(error) = socket.close(code, &ending.reason()).await {
        tracing::debug!(%error, "a connection could not be closed in order");
    }
}

#[cfg(test)]
mod tests;
