//! The server's side of one HTTP/2 connection.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::error::{Http2Error, of_connection};
use super::exchange::{Body, Connect, Exchange};
use super::inbound::{Drains, Paced, inbound};
use super::keepalive::Keepalive;
use super::limits::Http2Limits;

/// What a client asks for on one stream.
#[derive(Debug)]
pub enum Incoming {
    /// A CONNECT, for a WebSocket if it is a good one.
    Connect(Connect),
    /// Any other request.
    Request(Exchange),
}

/// One HTTP/2 connection with a client: WebSockets and ordinary requests, in any order and many at once.
///
/// Nothing is spawned. The connection, and with it every stream that was handed out, moves only while
/// [`accept`](Self::accept) is awaited; so await it in a loop, and spawn what takes time:
///
/// ```no_run
/// # use trunkline_net::http2::{Http2Error, Http2Limits, Incoming, Server};
/// # use trunkline_net::handshake::AcceptPolicy;
/// # async fn example(stream: tokio::net::TcpStream) -> Result<(), Http2Error> {
/// let mut server = Server::start(stream, &Http2Limits::default()).await?;
/// while let Some(incoming) = server.accept().await {
///     match incoming? {
///         Incoming::Connect(connect) => match connect.judge(&AcceptPolicy::default()) {
///             Ok(accepted) => {
///                 let stream = connect.accept(&accepted)?;
///                 tokio::spawn(async move { drop(stream) });
///             }
///             Err(rejected) => connect.refuse(&rejected.to_response()),
///         },
///         Incoming::Request(exchange) => {
///             exchange.refuse(&http::Response::new("a page"));
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server<S> {
    /// `None` once it has ended.
    connection: Option<Connection<Paced<S>, Bytes>>,
    drains: Drains,
    keepalive: Option<Keepalive>,
    idle: Option<Idle>,
    write_timeout: Option<Duration>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    /// Sends our settings, WebSockets allowed (RFC 8441 section 3), and waits for the client's preface.
    ///
    /// # Errors
    ///
    /// [`Http2Error::Failed`] for a client that speaks something else, [`Http2Error::TimedOut`], [`Http2Error::Io`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is dropped with it.
    pub async fn start(stream: S, limits: &Http2Limits) -> Result<Self, Http2Error> {
        let stream = Paced::new(stream);
        let life = stream.life();
        let handshake = limits.server().handshake(stream);
        let connection = match limits.handshake_timeout {
            None => handshake.await,
            Some(limit) => {
                timeout(limit, handshake).await.map_err(|_| Http2Error::TimedOut("the client's preface"))?
            }
        };
        let mut connection = connection.map_err(of_connection)?;
        Ok(Self {
            keepalive: Keepalive::new(connection.ping_pong(), life, limits),
            idle: limits.idle_timeout.map(Idle::new),
            connection: Some(connection),
            drains: Drains::default(),
            write_timeout: limits.write_timeout,
        })
    }

    /// The next stream that the client opens; `None` when the connection has ended. After an error comes `None`.
    ///
    /// # Errors
    ///
    /// What the connection ended with: the client broke a rule, or a limit of [`Http2Limits`], and has been told so;
    /// it does not answer any more; the stream below failed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped, but the connection stands still until it is called again.
    pub async fn accept(&mut self) -> Option<Result<Incoming, Http2Error>> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Tells the client to open no more streams (GOAWAY). Those that are open go on, and [`accept`](Self::accept) gives
    /// `None` when they are done.
    pub fn shut_down(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.graceful_shutdown();
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Http2Error>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        let next = connection.poll_accept(cx);
        self.drains.poll(cx);
        let ended = match next {
            Poll::Ready(Some(Ok((request, respond)))) => {
                return Poll::Ready(Some(Ok(self.incoming(request, respond))));
            }
            Poll::Ready(Some(Err(error))) => Some(of_connection(error)),
            Poll::Ready(None) => None,
            Poll::Pending => {
                ready!(self.poll_timers(cx));
                Some(Http2Error::TimedOut("the answer to a PING"))
            }
        };
        // Every stream that is left learns of it by this.
        self.connection = None;
        self.drains.poll(cx);
        Poll::Ready(ended.map(Err))
    }

    fn incoming(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Incoming {
        if let Some(idle) = &mut self.idle {
            idle.used = true;
        }
        let (head, receive) = request.into_parts();
        let (inbound, drain) = inbound(receive);
        self.drains.push(drain);
        if head.method == Method::CONNECT {
            Incoming::Connect(Connect::new(Request::from_parts(head, ()), inbound, respond))
        } else {
            let request = Request::from_parts(head, Body(inbound));
            Incoming::Request(Exchange::new(request, respond, self.write_timeout))
        }
    }

    /// Ready when the client counts as dead. Ends a connection that nobody uses.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else { return Poll::Pending };
        let has_streams = connection.has_streams();
        if self.idle.as_mut().is_some_and(|idle| idle.poll(cx, has_streams).is_ready()) {
            connection.abrupt_shutdown(Reason::NO_ERROR);
            cx.waker().wake_by_ref(); // To send the GOAWAY.
        }
        match &mut self.keepalive {
            Some(keepalive) => keepalive.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// How long the connection has had no stream.
#[derive(Debug)]
struct Idle {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether there was a stream since the timer was set.
    used: bool,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { limit, timer: Box::pin(sleep(limit)), used: false }
    }

    /// Ready when there was none from one firing of the timer to the next.
    fn poll(&mut self, cx: &mut Context<'_>, has_streams: bool) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(Instant::now() + self.limit);
            if !std::mem::replace(&mut self.used, has_streams) && !has_streams {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
