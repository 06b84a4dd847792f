//! The client's side of one HTTP/2 connection.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::Ping;
use h2::client::{Connection, SendRequest};
use http::Response;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use trunkline_websocket::handshake::{
    self, ConnectOptions, Established, HTTP2_PROTOCOL, Http2Attempt, Rejected,
};
use trunkline_websocket::url::WsUrl;

use super::error::{Http2Error, of_connection};
use super::inbound::{Drain, Drains, Paced, inbound};
use super::keepalive::Keepalive;
use super::limits::Http2Limits;
use super::stream::Stream;
use crate::error::{Error, HandshakeError};
use crate::transport::http1::within;

/// The most bytes of a refusal's body that are kept for the error, and how long they are waited for.
const REFUSAL_BODY: u64 = 4096;
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// One HTTP/2 connection with a server that lets WebSockets into it: many of them, asked for at any time.
///
/// Clones are the same connection. It is driven by one task, which [`start`](Self::start) spawns and which ends with the
/// connection: when the server ends it, or when all clones and all streams are gone.
#[derive(Clone, Debug)]
pub struct Session {
    requests: SendRequest<Bytes>,
    /// Hands the driver what arrives on a stream. Not bounded by itself: there are no more than there are places.
    drains: mpsc::UnboundedSender<Drain>,
    places: Arc<Places>,
    handshake_timeout: Option<Duration>,
}

impl Session {
    /// Begins an HTTP/2 connection and waits for the server's settings, since without them no WebSocket may be asked for
    /// (RFC 8441 section 3). Over TLS, ALPN must have chosen [`ALPN`](super::ALPN).
    ///
    /// # Errors
    ///
    /// [`Http2Error::NotOffered`] if the server does not let WebSockets in over HTTP/2; [`Http2Error::Failed`] if it
    /// speaks something else; [`Http2Error::TimedOut`], [`Http2Error::Closing`], [`Http2Error::Io`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is dropped with it.
    pub async fn start<S>(stream: S, limits: &Http2Limits) -> Result<Self, Http2Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let begun = begin(stream, limits);
        let (requests, connection, keepalive) = match limits.handshake_timeout {
            None => begun.await?,
            Some(limit) => {
                timeout(limit, begun).await.map_err(|_| Http2Error::TimedOut("the server's settings"))??
            }
        };
        // One for each stream that is open: bounded by the places.
        let (drains, given) = mpsc::unbounded_channel();
        tokio::spawn(drive(connection, given, keepalive));
        Ok(Self {
            requests,
            drains,
            places: Arc::new(Places { ours: limits.streams as usize, taken: AtomicUsize::new(0) }),
            handshake_timeout: limits.handshake_timeout,
        })
    }

    /// Asks for a WebSocket: the handshake, and the stream for what follows it.
    ///
    /// The answer has [`Http2Limits::handshake_timeout`].
    ///
    /// # Errors
    ///
    /// [`Error::Request`]; [`Error::Handshake`] for an answer that is no WebSocket's, with its status, its headers and
    /// the first 4 KiB of its body; [`Error::TimedOut`]; [`Error::Http2`] where the connection has no stream left
    /// ([`Full`](Http2Error::Full)), is closing, or the server has reset this stream.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is reset.
    pub async fn open(&self, url: &WsUrl, options: &ConnectOptions) -> Result<(Stream, Established), Error> {
        let attempt = handshake::request_http2(url, options)?;
        within(self.handshake_timeout, self.ask(&attempt)).await
    }

    /// Whether another stream may be opened just now: both ends allow one more, and neither has begun to end the connection.
    pub fn has_room(&self) -> bool {
        // Nobody waits here, so it does not matter who would be woken.
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let open = self.requests.clone().poll_ready(cx);
        matches!(open, Poll::Ready(Ok(()))) && self.places.has_room(self.limit())
    }

    /// How many streams both ends allow.
    fn limit(&self) -> usize {
        self.requests.current_max_send_streams().min(self.places.ours)
    }

    async fn ask(&self, attempt: &Http2Attempt) -> Result<(Stream, Established), Error> {
        let place = Places::take(&self.places, self.limit()).map_err(Box::new)?;
        let mut requests = self.requests.clone();
        poll_fn(|cx| requests.poll_ready(cx)).await.map_err(failed)?;
        // A server "MUST NOT" take it back (RFC 8441 section 3), but one that does means it.
        if !requests.is_extended_connect_protocol_enabled() {
            return Err(Box::new(Http2Error::NotOffered).into());
        }
        let mut request = attempt.request().clone();
        request.extensions_mut().insert(h2::ext::Protocol::from_static(HTTP2_PROTOCOL));
        let (response, send) = requests.send_request(request, false).map_err(failed)?;
        let (head, receive) = response.await.map_err(failed)?.into_parts();
        let (inbound, drain) = inbound(receive);
        // A driver that has ended drops it, and the stream learns of it by that.
        let _ = self.drains.send(drain);
        let stream = Stream::new(send, inbound, Some(place));
        let response = Response::from_parts(head, ());
        match attempt.verify(&response) {
            Ok(established) => Ok((stream, established)),
            Err(rejected) => Err(refused(stream, rejected, response).await),
        }
    }
}

fn failed(error: h2::Error) -> Box<Http2Error> {
    Box::new(of_connection(error))
}

/// Up to the server's settings.
async fn begin<S>(
    stream: S,
    limits: &Http2Limits,
) -> Result<(SendRequest<Bytes>, Connection<Paced<S>, Bytes>, Option<Keepalive>), Http2Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = Paced::new(stream);
    let life = stream.life();
    let begun = limits.client().handshake(stream).await;
    let (requests, mut connection) = begun.map_err(of_connection)?;
    // Settings are the first that a server sends (RFC 9113 section 3.4). By the time it answers this, they have been seen.
    let mut pings = connection.ping_pong();
    if let Some(pings) = &mut pings {
        pings.send_ping(Ping::opaque()).map_err(of_connection)?;
    }
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(Err(ended.map_or_else(of_connection, |()| Http2Error::Closing)));
        }
        if requests.is_extended_connect_protocol_enabled() {
            return Poll::Ready(Ok(()));
        }
        let answered = pings.as_mut().is_some_and(|pings| pings.poll_pong(cx).is_ready());
        if answered { Poll::Ready(Err(Http2Error::NotOffered)) } else { Poll::Pending }
    })
    .await?;
    Ok((requests, connection, Keepalive::new(pings, life, limits)))
}

/// The task of a session.
async fn drive<S>(
    mut connection: Connection<Paced<S>, Bytes>,
    mut given: mpsc::UnboundedReceiver<Drain>,
    mut keepalive: Option<Keepalive>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut drains = Drains::default();
    let ended = poll_fn(|cx| {
        let ended = Pin::new(&mut connection).poll(cx).map_err(of_connection);
        while let Poll::Ready(Some(drain)) = given.poll_recv(cx) {
            drains.push(drain);
        }
        drains.poll(cx);
        if ended.is_pending() && keepalive.as_mut().is_some_and(|keepalive| keepalive.poll(cx).is_ready()) {
            return Poll::Ready(Err(Http2Error::TimedOut("the answer to a PING")));
        }
        ended
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "an HTTP/2 connection has failed");
    }
    // Every stream that is left learns of it by this.
    drop(connection);
    poll_fn(|cx| {
        drains.poll(cx);
        Poll::Ready(())
    })
    .await;
}

async fn refused(stream: Stream, rejected: Rejected, response: Response<()>) -> Error {
    let mut body = Vec::new();
    // What there is of the body is worth showing; that it breaks off is not the error to report.
    let _ = timeout(REFUSAL_TIME, stream.take(REFUSAL_BODY).read_to_end(&mut body)).await;
    let response = Some(response.map(|()| body));
    Error::Handshake(Box::new(HandshakeError { rejected, response }))
}

/// The streams of a session that are in use.
#[derive(Debug)]
struct Places {
    ours: usize,
    taken: AtomicUsize,
}

impl Places {
    fn has_room(&self, limit: usize) -> bool {
        self.taken.load(Ordering::Relaxed) < limit
    }

    fn take(this: &Arc<Self>, limit: usize) -> Result<Place, Http2Error> {
        let more = |taken| (taken < limit).then_some(taken + 1);
        match this.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Place(Arc::clone(this))),
            Err(_) => Err(Http2Error::Full { streams: limit }),
        }
    }
}

/// One of them; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
