//! The lines door: the dialect as JSON objects one after the other, over a stream that is nothing else any more.
//!
//! As at the websocket door very many of these tasks wait at once, and what one holds meanwhile is its [`Carrier`].

mod handshake;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response as HttpResponse;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::coop;
use trunkline_dialect::command::Credential;
use trunkline_dialect::{Code, ErrorBody, Found, Objects, Push};
use trunkline_net::handshake::http1::write_response;
use trunkline_net::http1::{RequestHead, refuse};
use trunkline_net::{Plain, Silence};

use super::guard::{LAST_WORDS, Panic, guarded, len, or_panic, what};
use super::{count, credential, taken_back};
use crate::App;
use crate::connection::Remote;
use crate::driver::{Client, Out, Whence};
use crate::metrics::Open;
use crate::outbox::{Batch, Ending};
use crate::peer::Manner;
use crate::session::{Door, Origin};
use crate::stream::Stream;

pub(super) use handshake::{is_asked, tokens};

/// A request that came first on its connection.
pub(super) async fn over_stream(app: &Arc<App>, remote: &Arc<Remote>, mut stream: Stream, head: RequestHead) {
    let response = match count(app, handshake::verdict(app, remote, &head.request)) {
        Ok(response) => response,
        Err(refused) => {
            // The client may be gone: then nobody misses the answer. Nothing after this request is read as another.
            let _ = refuse(&mut stream, &refused.response).await;
            return;
        }
    };
    let credential = credential(head.request.uri(), head.request.headers());
    let answer = async {
        stream.write_all(&write_response(&response, b"")).await?;
        stream.flush().await
    };
    match tokio::time::timeout(app.config.limits.head_timeout, answer).await {
        Ok(Ok(())) => start(app, remote, stream, &head.rest, credential),
        Ok(Err(error)) => tracing::debug!(%error, "a client left during its handshake"),
        Err(_) => tracing::debug!("a client did not take the answer to its handshake"),
    }
}

/// A request that hyper has read.
pub(super) fn over_hyper(app: &Arc<App>, remote: &Arc<Remote>, mut request: Request) -> HttpResponse {
    let response = match count(app, handshake::verdict(app, remote, &request)) {
        Ok(response) => response,
        Err(refused) => return refused.response.map(Into::into),
    };
    let credential = credential(request.uri(), request.headers());
    let upgrade = hyper::upgrade::on(&mut request);
    let (app, remote) = (app.clone(), remote.clone());
    tokio::spawn(async move {
        let upgraded = tokio::select! {
            upgraded = upgrade => upgraded,
            () = app.stop.cut() => return,
        };
        if let Some((stream, leftover)) = taken_back(upgraded) {
            start(&app, &remote, stream, &leftover, credential);
        }
    });
    response.map(|()| Body::empty())
}

/// A connection that is lines from its first byte: without a handshake, so that `connect` brings the credential.
pub(crate) async fn raw(app: &Arc<App>, remote: &Arc<Remote>, mut stream: Stream) {
    let error = if !remote.may_go_unmasked(app) {
        ErrorBody::new(
            Code::Forbidden,
            "lines are for TLS, unix sockets, loopback and listed proxies that do TLS",
        )
    } else if remote.handshake().is_err() {
        ErrorBody::new(Code::RateLimited, "too many handshakes a second from this address")
    } else {
        return start(app, remote, stream, b"", None);
    };
    let line = format!("{}\n", Push::Error(error).encode());
    // The client may be gone: then nobody misses the answer.
    let _ = tokio::time::timeout(LAST_WORDS, stream.write_all(line.as_bytes())).await;
}

/// Gives a connection a task of its own, so that nothing of the handshake stays in memory with it.
fn start(
    app: &Arc<App>,
    remote: &Arc<Remote>,
    stream: Stream,
    leftover: &[u8],
    credential: Option<Credential>,
) {
    let plain = Plain::new(stream, leftover, app.socket_limits.clone());
    let mut carrier = Carrier::open(app, remote, plain, credential);
    tokio::spawn(async move {
        let end = poll_fn(|cx| carrier.poll(cx)).await;
        Box::pin(carrier.end(end)).await;
    });
}

/// One stream of lines and one client.
struct Carrier<S> {
    app: Arc<App>,
    plain: Plain<S>,
    objects: Objects,
    /// How often the client was asked whether it is there.
    pings: u32,
    _open: Open,
    /// With the remote, which counts the connection until all else is over.
    client: Client<ByLines>,
}

/// A remote that came in by this door.
struct ByLines(Arc<Remote>);

impl Whence for ByLines {
    fn origin(&self) -> Origin {
        Origin { door: Door::Lines, address: self.0.address() }
    }

    fn manner(&self) -> Manner {
        Manner::Objects
    }
}

/// Why nothing is carried any more.
enum End {
    /// The connection is broken, or its client silent: the hub keeps the session for a while.
    Gone,
    /// The client says nothing more, and may wait for an answer.
    Heard,
    /// All is said that was to be said.
    Said,
    /// The hub has ended a client that has no room to be told so.
    LastWords,
    /// A fault of ours.
    Fault(Panic),
    /// It did not leave in time when the server stopped.
    Cut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Carrier<S> {
    fn open(
        app: &Arc<App>,
        remote: &Arc<Remote>,
        plain: Plain<S>,
        credential: Option<Credential>,
    ) -> Carrier<S> {
        let mut client = Client::open(&app.node, ByLines(remote.clone()), credential);
        // It may have come in after everybody was told.
        if app.stop.is_stopping() {
            client.end(Ending::stopping());
        }
        if app.stop.is_cut() {
            client.cut();
        }
        let open = app.metrics.lines();
        Carrier { app: app.clone(), plain, objects: Objects::default(), pings: 0, _open: open, client }
    }

    /// Carries objects until one side ends it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        guarded(|| self.carry(cx)).map(|carried| carried.unwrap_or_else(End::Fault))
    }

    /// **All that waits is written, then what came is read, then the next.** Reading does not wait for writing: while there is no
    /// room, objects still come in as long as the client wants any.
    fn carry(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let room = self.plain.room();
            if room > 0 {
                match self.client.poll_next(cx, room) {
                    Poll::Ready(Out::Messages { batch, last }) => {
                        self.feed(&batch);
                        if !last {
                            continue;
                        }
                    }
                    Poll::Ready(Out::Close(_)) => return Poll::Ready(End::Said),
                    Poll::Ready(Out::Cut) => return Poll::Ready(End::Cut),
                    Poll::Pending => {}
                }
            } else if let Poll::Ready(cut) = self.client.poll_ended(cx) {
                return Poll::Ready(if cut { End::Cut } else { End::LastWords });
            }
            if let Poll::Ready(Err(error)) = self.plain.poll_flush(cx) {
                tracing::debug!(%error, "a connection broke");
                return Poll::Ready(End::Gone);
            }
            if room == 0 && self.plain.room() > 0 {
                continue;
            }
            let reads = self.client.wants_input();
            match self.plain.poll_silence(cx, reads) {
                Poll::Ready(Silence::Ask) => self.ping(),
                Poll::Ready(Silence::Gone) => return Poll::Ready(End::Gone),
                Poll::Pending if !reads => return Poll::Pending,
                Poll::Pending => {
                    if let Some(end) = ready!(self.poll_object(cx)) {
                        return Poll::Ready(end);
                    }
                }
            }
        }
    }

    /// Takes one object, or reads once. Ready with `None` if that brought something.
    fn poll_object(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        // One client that sends without pause leaves its thread to others after so many objects.
        let turn = ready!(coop::poll_proceed(cx));
        match self.objects.next(self.plain.input(), self.app.socket_limits.message) {
            Ok(Found::Object { start, end }) => {
                let object = &self.plain.input()[start..end];
                self.app.metrics.messages_in.inc();
                self.app.metrics.bytes_in.inc_by(len(object));
                self.client.receive(object);
                self.plain.consume(end);
            }
            Ok(Found::More { start }) => {
                self.plain.consume(start);
                match ready!(self.plain.poll_fill(cx)) {
                    Ok(0) => return Poll::Ready(Some(End::Heard)),
                    Ok(_) => {}
                    Err(_) => return Poll::Ready(Some(End::Gone)),
                }
            }
            // Nothing that is behind it is looked at: the ending comes before the next turn reads.
            Err(why) => self.client.end(Ending::not_objects(why)),
        }
        turn.made_progress();
        Poll::Ready(None)
    }

    /// Queues messages, one a line.
    fn feed(&mut self, batch: &Batch) {
        let mut bytes = 0;
        for message in batch {
            self.plain.queue(message.payload());
            self.plain.queue(b"\n");
            bytes += len(message.payload());
        }
        self.app.metrics.messages_out.inc_by(batch.len() as u64);
        self.app.metrics.bytes_out.inc_by(bytes);
    }

    fn ping(&mut self) {
        self.pings = self.pings.wrapping_add(1);
        let ping = Push::Ping(self.pings.into()).encode();
        self.plain.queue(format!("{ping}\n").as_bytes());
    }

    async fn end(mut self, end: End) {
        let app = self.app.clone();
        let over = tokio::select! {
            over = self.ends(end) => over,
            () = app.stop.cut() => false,
        };
        if !over {
            tracing::debug!(address = ?self.client.origin().address, "cut a client that did not leave in time");
        }
    }

    /// Whether it has ended by itself.
    async fn ends(&mut self, end: End) -> bool {
        let ended = match end {
            End::Cut => return false,
            End::Gone => Ok(()),
            End::Said => or_panic(pin!(self.plain.close())).await,
            End::Heard | End::LastWords => or_panic(pin!(self.last_words())).await,
            End::Fault(panic) => Err(panic),
        };
        if let Err(panic) = ended {
            self.app.metrics.panics.inc();
            tracing::error!(fault = what(&*panic), "a connection ends because of a fault of ours");
            let ending = Ending::new(Code::Internal, "a fault of this server");
            self.plain.queue(format!("{}\n", ending.last_push().encode()).as_bytes());
            // A second fault, in what says goodbye, is not worth a third try.
            let _ = or_panic(pin!(self.plain.close())).await;
        }
        true
    }

    /// What is still to be said to one who does not listen, or who does not speak any more and may wait for the answers. It is
    /// bounded in time, not by the client's patience.
    async fn last_words(&mut self) {
        let words = poll_fn(|cx| {
            loop {
                if ready!(self.plain.poll_flush(cx)).is_err() {
                    return Poll::Ready(());
                }
                match self.client.poll_next(cx, 0) {
                    Poll::Ready(Out::Messages { batch, .. }) => self.feed(&batch),
                    Poll::Ready(Out::Close(_) | Out::Cut) => return Poll::Ready(()),
                    Poll::Pending if self.client.is_busy() => return Poll::Pending,
                    Poll::Pending => return Poll::Ready(()),
                }
            }
        });
        match tokio::time::timeout(LAST_WORDS, words).await {
            Ok(()) => self.plain.close().await,
            Err(_) => tracing::debug!("a client did not read why it was disconnected"),
        }
    }
}

#[cfg(test)]
mod tests;
