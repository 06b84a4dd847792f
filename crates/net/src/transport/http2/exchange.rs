//! What a client asks for on one stream, and the ways to answer.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use tokio::select;
use trunkline_websocket::handshake::{self, AcceptPolicy, Accepted, Rejected};

use super::error::{of_stream, reset};
use super::field::{finish, set_length};
use super::flow::Outgoing;
use super::inbound::Inbound;
use super::stream::Stream;

/// A CONNECT: extended, for a WebSocket (RFC 8441), or plain, for a tunnel.
///
/// Nothing but an [`Accepted`] opens it, which only [`accept_http2`](handshake::accept_http2) makes, so a plain one is
/// never tunnelled: "the server MUST NOT" connect to its `:authority` (RFC 8441 section 4).
///
/// Dropped without an answer, it is reset.
#[derive(Debug)]
pub struct Connect {
    request: Request<()>,
    inbound: Inbound,
    respond: SendResponse<Bytes>,
}

impl Connect {
    pub(super) fn new(request: Request<()>, inbound: Inbound, respond: SendResponse<Bytes>) -> Self {
        Self { request, inbound, respond }
    }

    /// The request; its `:scheme`, `:authority` and `:path` are its URI.
    pub const fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Its `:protocol`: `websocket` for what we serve, `None` for a plain CONNECT.
    pub fn protocol(&self) -> Option<&str> {
        self.request.extensions().get::<h2::ext::Protocol>().map(h2::ext::Protocol::as_str)
    }

    /// Whether it comes in: [`accept_http2`](handshake::accept_http2).
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks. [`Rejected::to_response`] is the answer for [`refuse`](Self::refuse).
    pub fn judge(&self, policy: &AcceptPolicy) -> Result<Accepted, Rejected> {
        handshake::accept_http2(&self.request, self.protocol(), policy)
    }

    /// Sends the 200; from here on the stream is the WebSocket's.
    ///
    /// # Errors
    ///
    /// The client has reset the stream, or its connection has ended.
    pub fn accept(mut self, accepted: &Accepted) -> io::Result<Stream> {
        let mut response = accepted.response().clone();
        finish(response.headers_mut());
        let send = self.respond.send_response(response, false).map_err(of_stream)?;
        Ok(Stream::new(send, self.inbound, None))
    }

    /// Sends another answer than a 2xx, and ends the stream.
    ///
    /// Its body goes with it if the client has room for it just now, as clients have; else it is left out. Nothing waits
    /// for a client that is refused.
    ///
    /// # Panics
    ///
    /// If the status is 2xx, since that would open a tunnel.
    pub fn refuse<B: AsRef<[u8]>>(self, response: &Response<B>) {
        assert!(!response.status().is_success(), "a 2xx to CONNECT is no refusal");
        refuse(self.respond, response, false);
    }
}

/// Any other request.
///
/// Dropped without an answer, it is reset.
#[derive(Debug)]
pub struct Exchange {
    request: Request<Body>,
    respond: SendResponse<Bytes>,
    write_timeout: Option<Duration>,
}

impl Exchange {
    pub(super) fn new(
        request: Request<Body>,
        respond: SendResponse<Bytes>,
        write_timeout: Option<Duration>,
    ) -> Self {
        Self { request, respond, write_timeout }
    }

    /// The request.
    pub const fn request(&self) -> &Request<Body> {
        &self.request
    }

    /// Answers with what `service` makes of the request.
    ///
    /// The body of the answer is streamed as the client takes it. What is about one HTTP/1.1 connection is taken out of
    /// the headers, `Date` is added, and `Content-Length` where the body knows it. The body of an answer to HEAD is left
    /// out.
    ///
    /// # Errors
    ///
    /// The client has reset the stream, upon which `service` or its body is dropped; it has taken nothing for
    /// [`Http2Limits::write_timeout`](super::Http2Limits::write_timeout); the connection has ended; the body failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is reset.
    pub async fn answer<F, R, B>(self, service: F) -> io::Result<()>
    where
        F: FnOnce(Request<Body>) -> R,
        R: Future<Output = Response<B>>,
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { request, mut respond, write_timeout } = self;
        let is_head = request.method() == Method::HEAD;
        let response = select! {
            biased;
            response = service(request) => response,
            gone = poll_fn(|cx| respond.poll_reset(cx)) => return Err(gone.map_or_else(of_stream, reset)),
        };
        let (mut head, body) = response.into_parts();
        finish(&mut head.headers);
        let bodiless = is_head || body.is_end_stream();
        if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
            set_length(&mut head.headers, length);
        }
        let send = respond.send_response(Response::from_parts(head, ()), bodiless).map_err(of_stream)?;
        if bodiless { Ok(()) } else { send_body(send, body, write_timeout).await }
    }

    /// Sends an answer that is there already, and ends the stream. As [`Connect::refuse`], for any status; to HEAD it is
    /// without its body.
    pub fn refuse<B: AsRef<[u8]>>(self, response: &Response<B>) {
        refuse(self.respond, response, self.request.method() == Method::HEAD);
    }
}

/// The body of a request. Reading it opens the client's window again.
#[derive(Debug)]
pub struct Body(pub(super) Inbound);

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let inbound = &mut self.get_mut().0;
        let next = ready!(inbound.poll_chunk(cx)).map(|chunk| chunk.map(Frame::data));
        Poll::Ready(next.or_else(|| inbound.take_trailers().map(Frame::trailers).map(Ok)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end()
    }
}

fn refuse<B: AsRef<[u8]>>(mut respond: SendResponse<Bytes>, response: &Response<B>, is_head: bool) {
    let mut head = Response::new(());
    *head.status_mut() = response.status();
    *head.headers_mut() = response.headers().clone();
    finish(head.headers_mut());
    let body = if is_head { &[] } else { response.body().as_ref() };
    // A client that has left misses nothing.
    let Ok(send) = respond.send_response(head, body.is_empty()) else { return };
    if body.is_empty() {
        return;
    }
    let mut send = Outgoing::new(send);
    if send.room_now(body.len()) == body.len() {
        let _ = send.send(Bytes::copy_from_slice(body));
    }
    let _ = send.end();
}

/// What a body and its stream can bring next.
enum Next<D, E> {
    Frame(Option<Result<Frame<D>, E>>),
    Gone(io::Error),
}

async fn send_body<B>(send: SendStream<Bytes>, body: B, write_timeout: Option<Duration>) -> io::Result<()>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut send = Outgoing::new(send);
    let mut body = pin!(body);
    loop {
        let next = poll_fn(|cx| match send.poll_reset(cx) {
            Poll::Ready(gone) => Poll::Ready(Next::Gone(gone)),
            Poll::Pending => body.as_mut().poll_frame(cx).map(Next::Frame),
        });
        let frame = match next.await {
            Next::Gone(gone) => return Err(gone),
            Next::Frame(None) => return send.end(),
            Next::Frame(Some(Ok(frame))) => frame,
            Next::Frame(Some(Err(error))) => {
                send.reset(Reason::INTERNAL_ERROR);
                return Err(io::Error::other(error));
            }
        };
        match frame.into_data() {
            Ok(data) => send_data(&mut send, data, write_timeout).await?,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return end_with(&mut send, trailers);
                }
            }
        }
    }
}

async fn send_data(send: &mut Outgoing, mut data: Bytes, timeout: Option<Duration>) -> io::Result<()> {
    while !data.is_empty() {
        let room = poll_fn(|cx| send.poll_room(cx, data.len()));
        let room = match timeout {
            None => room.await,
            Some(limit) => tokio::time::timeout(limit, room).await.unwrap_or_else(|late| Err(late.into())),
        };
        match room {
            Ok(room) => send.send(data.split_to(room))?,
            Err(error) => {
                send.reset(Reason::CANCEL);
                return Err(error);
            }
        }
    }
    Ok(())
}

fn end_with(send: &mut Outgoing, mut trailers: HeaderMap) -> io::Result<()> {
    finish(&mut trailers);
    send.end_with(trailers)
}
