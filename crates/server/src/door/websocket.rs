//! The websocket door: one task that carries whole messages between a WebSocket and a client of the hub.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream as _;
use futures_sink::Sink as _;
use tokio::io::{AsyncRead, AsyncWrite};
use trunkline_dialect::Code;
use trunkline_dialect::command::Credential;
use trunkline_net::deflate::Agreed;
use trunkline_net::{CloseCode, Error, Message, Role, Setup, WebSocket};

use crate::App;
use crate::connection::Remote;
use crate::driver::{Client, Out};
use crate::metrics::{Metrics, Via};
use crate::outbox::Ending;
use crate::session::Origin;
use crate::stream::Stream;

/// How long the last words may take to leave, when a client does not read them.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A handshake that is done.
pub(super) struct Upgraded {
    pub(super) stream: Stream,
    /// What the client has sent behind it.
    pub(super) leftover: Bytes,
    pub(super) via: Via,
    pub(super) deflate: Option<Agreed>,
    pub(super) credential: Option<Credential>,
}

/// Gives a WebSocket a task of its own, so that nothing of the handshake stays in memory with it.
pub(super) fn start(app: &Arc<App>, remote: &Arc<Remote>, upgraded: Upgraded) {
    let (app, remote) = (app.clone(), remote.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = run(&app, &remote, upgraded) => {}
            () = app.stop.cut() => tracing::debug!(address = ?remote.address, "cut a client that did not leave in time"),
        }
    });
}

/// Carries messages until one side ends it. However it ends by our doing, the client is told why: a `disconnect` push,
/// then a Close frame.
async fn run(app: &Arc<App>, remote: &Remote, upgraded: Upgraded) {
    let Upgraded { stream, leftover, via, deflate, credential } = upgraded;
    let _open = app.metrics.websocket(via, deflate.is_some());
    let setup = Setup { deflate, ..Setup::from(app.socket_limits.clone()) };
    let mut socket = WebSocket::from_upgraded(stream, leftover, Role::Server, setup);
    let origin = Origin { door: "websocket", address: remote.address };
    let carried = or_panic(pin!(async {
        let mut client = Client::open(&app.node, origin, credential);
        if app.stop.is_stopping() {
            // It may have come in after everybody was told.
            client.end(Ending::stopping());
        }
        carry(&mut socket, &mut client, &app.metrics).await
    }))
    .await;
    if let Err(panic) = carried {
        app.metrics.panics.inc();
        end_by_fault(&mut socket, what(&*panic)).await;
    }
    if let Some(round_trip) = socket.rtt() {
        app.metrics.round_trip(round_trip);
    }
    app.metrics.closed(socket.closed().map_or(1006, |closed| closed.code));
}

/// What happened next.
enum Event {
    /// The client sent a message, or its connection is over.
    Received(Option<Result<Message, Error>>),
    /// The hub has something for the client.
    Out(Out),
    /// The socket, which was full, has room again.
    Room,
    /// The hub has ended this client, which has no room to be told so.
    Ended,
}

/// **One event, then all that follows from it, then the next.**
///
/// Reading does not wait for writing: while the socket is full, messages still come in as long as the client wants any. What the
/// client does not read waits in its outbox, where the hub sees it.
async fn carry<S>(socket: &mut WebSocket<S>, client: &mut Client, metrics: &Metrics)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let room = socket.has_room();
        let wants_input = client.wants_input();
        let event = tokio::select! {
            biased;
            event = async {
                match room {
                    true => Event::Out(client.next().await),
                    false => {
                        client.ended().await;
                        Event::Ended
                    }
                }
            } => event,
            event = poll_fn(|cx| poll_socket(socket, cx, wants_input, !room)) => event,
        };
        match event {
            Event::Received(Some(Ok(message))) => {
                metrics.messages_in.inc();
                metrics.bytes_in.inc_by(len(message.as_bytes()));
                client.receive(message.as_bytes());
            }
            // Its end, clean or not: the hub keeps the session for a while.
            Event::Received(_) => return,
            Event::Out(Out::Message(message)) => {
                metrics.messages_out.inc();
                metrics.bytes_out.inc_by(len(message.payload()));
                if socket.feed_prepared(&message.for_wire(socket)).await.is_err() {
                    return;
                }
            }
            Event::Out(Out::Close(ending)) => return close(socket, &ending).await,
            // What is over takes nothing and waits for nothing.
            Event::Room if socket.closed().is_some() => return,
            Event::Room => {}
            Event::Ended => return last_words(socket, client).await,
        }
    }
}

/// Drives the socket: always its writing, and its reading as far as the client wants input.
fn poll_socket<S>(
    socket: &mut WebSocket<S>,
    cx: &mut Context<'_>,
    wants_input: bool,
    wants_room: bool,
) -> Poll<Event>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = Pin::new(socket);
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

/// The hub has ended a client that has not been reading: what it still has to say is bounded in time, not by the
/// client's patience.
async fn last_words<S>(socket: &mut WebSocket<S>, client: &mut Client)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let words = async {
        loop {
            match client.next().await {
                Out::Message(message) => socket.feed_prepared(&message.for_wire(socket)).await.ok()?,
                Out::Close(ending) => return Some(ending),
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

/// Runs `work` to its end, or to its panic.
async fn or_panic<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, Box<dyn Any + Send>> {
    // What `work` had borrowed may be in any state that its own methods can leave behind; nobody polls it again, and the caller
    // only says goodbye on it.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn what(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words")
}

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use trunkline_net::Limits;

    use super::*;

    #[tokio::test]
    async fn a_panic_ends_in_a_disconnect_push_and_close_4450_and_not_in_silence() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let mut socket = WebSocket::from_upgraded(ours, Bytes::new(), Role::Server, Limits::default());
        let mut client =
            WebSocket::from_upgraded(theirs, Bytes::new(), Role::Client(|| [1, 2, 3, 4]), Limits::default());
        let serve = async {
            let panic = or_panic(pin!(async {
                socket.send("before").await.expect("open");
                let nothing: &[u8] = &[];
                nothing[std::hint::black_box(0)]
            }))
            .await
            .expect_err("a panic");
            end_by_fault(&mut socket, what(&*panic)).await;
        };
        let read = async {
            let mut said = Vec::new();
            while let Some(message) = client.recv().await {
                said.push(message.expect("a clean end").as_text().expect("text").to_owned());
            }
            (said, client.closed().cloned().expect("an end"))
        };
        let ((), (said, closed)) = tokio::join!(serve, read);
        assert_eq!(said[0], "before");
        assert!(said[1].starts_with(r#"{"disconnect":{"code":"internal""#), "{said:?}");
        assert_eq!((said.len(), closed.code), (2, 4450));
    }

    #[tokio::test]
    async fn what_does_not_panic_is_left_alone() {
        let work = pin!(async {
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(or_panic(work).await.ok(), Some(7));
    }
}
