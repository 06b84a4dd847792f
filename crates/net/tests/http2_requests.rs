//! Ordinary requests on the connection that holds the sockets: streamed both ways, under flow control, given up in time.
#![cfg(feature = "http2")]

mod http2_support;

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame as BodyFrame, SizeHint};
use http2_support::*;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::timeout;
use trunkline_net::http2::{Body, Http2Limits, Incoming, Server};

/// A body of frames that are given one by one.
struct Given(mpsc::UnboundedReceiver<BodyFrame<Bytes>>);

impl HttpBody for Given {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A body that is there already.
struct Whole(Option<Bytes>);

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(BodyFrame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |data| data.len() as u64))
    }
}

fn whole(text: &'static str) -> Response<Whole> {
    Response::new(Whole(Some(Bytes::from_static(text.as_bytes()))))
}

/// Counts those that are alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers every request by `service`; what became of each answer comes out.
fn answering<F, R, B>(
    limits: Http2Limits,
    service: F,
) -> (mpsc::UnboundedReceiver<io::Result<()>>, DuplexStream)
where
    F: Fn(Request<Body>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<B>> + Send,
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (ours, theirs) = duplex(64 << 10);
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut server = Server::start(ours, &limits).await.expect("a client");
        while let Some(Ok(incoming)) = server.accept().await {
            let Incoming::Request(exchange) = incoming else { continue };
            let (service, tell) = (service.clone(), tell.clone());
            tokio::spawn(async move {
                let _ = tell.send(exchange.answer(service).await);
            });
        }
    });
    (told, theirs)
}

fn request(stream: u32, method: &str, flags: u8) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "https"), (":authority", "a"), (":path", "/page?x")];
    headers(stream, flags, &fields)
}

async fn outcome(told: &mut mpsc::UnboundedReceiver<io::Result<()>>) -> io::Result<()> {
    timeout(HANG, told.recv()).await.expect("in time").expect("an outcome")
}

#[tokio::test]
async fn a_request_is_answered_with_its_body_its_length_and_a_date() {
    let (mut told, theirs) = answering(Http2Limits::default(), |request| async move {
        assert_eq!(request.uri(), "https://a/page?x");
        let mut response = whole("hello");
        response.headers_mut().insert("connection", HeaderValue::from_static("keep-alive"));
        response
    });
    let mut raw = Raw::client(theirs, &[]).await;
    raw.send(&request(1, "GET", END_STREAM)).await;
    let head = raw.next_of(&[HEADERS]).await;
    assert_eq!((head.status(), head.flags), (200, END_HEADERS));
    // By their places in the static table of RFC 7541: content-length (28) and date (33), and nothing else.
    assert!(head.payload.windows(2).any(|bytes| bytes == [0x0f, 28 - 15]), "{:02x?}", head.payload);
    assert!(head.payload.windows(2).any(|bytes| bytes == [0x0f, 33 - 15]), "{:02x?}", head.payload);
    assert_eq!(raw.next_of(&[DATA]).await.payload, b"hello");
    assert_eq!(raw.next_of(&[DATA]).await.flags, END_STREAM);
    outcome(&mut told).await.expect("all of it");
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let (mut told, theirs) = answering(Http2Limits::default(), |_| async { whole("hello") });
    let mut raw = Raw::client(theirs, &[]).await;
    raw.send(&request(1, "HEAD", END_STREAM)).await;
    let head = raw.next_of(&[HEADERS]).await;
    assert_eq!((head.status(), head.flags), (200, END_HEADERS | END_STREAM));
    outcome(&mut told).await.expect("all of it");
}

#[tokio::test]
async fn a_head_that_is_refused_gets_no_body_either() {
    let (_driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.send(&request(1, "HEAD", END_STREAM)).await;
    let head = raw.next_of(&[HEADERS]).await;
    assert_eq!((head.status(), head.flags), (404, END_HEADERS | END_STREAM));
    raw.send(&request(3, "GET", END_STREAM)).await;
    let body = raw.next_of(&[DATA]).await;
    assert_eq!((body.stream, &*body.payload), (3, &b"nothing here\n"[..]));
}

#[tokio::test]
async fn a_request_body_and_its_trailers_arrive_and_an_answer_may_have_trailers_too() {
    let (mut told, theirs) = answering(Http2Limits::default(), |request| async move {
        let mut body = request.into_body();
        let (give, given) = mpsc::unbounded_channel();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            give.send(frame.expect("a good body")).expect("taken");
        }
        Response::new(Given(given))
    });
    let mut raw = Raw::client(theirs, &[]).await;
    raw.send(&request(1, "POST", 0)).await;
    raw.send(&frame(DATA, 0, 1, b"to and ")).await;
    raw.send(&frame(DATA, 0, 1, b"")).await;
    raw.send(&frame(DATA, 0, 1, b"fro")).await;
    raw.send(&headers(1, END_STREAM, &[("x-sum", "9")])).await;
    assert_eq!(raw.next_of(&[HEADERS]).await.status(), 200);
    let mut got = Vec::new();
    let trailers = loop {
        let frame = raw.next_of(&[DATA, HEADERS]).await;
        match frame.kind {
            DATA => got.extend(frame.payload),
            _ => break frame,
        }
    };
    assert_eq!((&got[..], trailers.flags), (&b"to and fro"[..], END_HEADERS | END_STREAM));
    outcome(&mut told).await.expect("all of it");
}

#[tokio::test]
async fn a_body_is_streamed_as_it_comes_and_as_the_client_takes_it() {
    let (give, given) = mpsc::unbounded_channel();
    let given = Arc::new(std::sync::Mutex::new(Some(Given(given))));
    let (mut told, theirs) = answering(Http2Limits::default(), move |_| {
        let body = given.lock().expect("not poisoned").take().expect("one request");
        async { Response::new(body) }
    });
    let mut raw = Raw::client(theirs, &[(INITIAL_WINDOW_SIZE, 5)]).await;
    raw.send(&request(1, "GET", END_STREAM)).await;
    assert_eq!(raw.next_of(&[HEADERS]).await.status(), 200);
    give.send(BodyFrame::data(Bytes::from_static(b"first, second"))).expect("taken");
    assert_eq!(raw.next_of(&[DATA]).await.payload, b"first");
    raw.settle().await;
    raw.send(&window_update(1, 100)).await;
    assert_eq!(raw.next_of(&[DATA]).await.payload, b", second");
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("1"))]);
    give.send(BodyFrame::trailers(trailers)).expect("taken");
    assert_eq!(raw.next_of(&[HEADERS]).await.flags, END_HEADERS | END_STREAM);
    outcome(&mut told).await.expect("all of it");
}

#[tokio::test]
async fn a_client_that_resets_its_request_stops_the_service_and_the_body() {
    let alive = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&alive);
    let (give, _) = tokio::sync::broadcast::channel::<()>(1);
    let wait = give.clone();
    let (mut told, theirs) = answering(Http2Limits::default(), move |request| {
        let alive = Alive::new(&count);
        let mut wait = wait.subscribe();
        async move {
            if request.method() == http::Method::POST {
                let _ = wait.recv().await; // For ever.
            }
            let (endless, given) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                endless.closed().await;
                drop(alive);
            });
            Response::new(Given(given))
        }
    });
    let mut raw = Raw::client(theirs, &[]).await;
    for (id, method) in [(1, "POST"), (3, "GET")] {
        raw.send(&request(id, method, END_STREAM)).await;
        if method == "GET" {
            assert_eq!(raw.next_of(&[HEADERS]).await.status(), 200);
        } else {
            raw.settle().await;
        }
        assert_eq!(alive.load(Ordering::Relaxed), 1);
        raw.send(&reset(id, CANCEL)).await;
        assert_eq!(outcome(&mut told).await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
        while alive.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    }
    drop(give);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_a_body_is_given_up_and_one_that_waits_for_more_is_not() {
    let limits = Http2Limits { ping_interval: None, ..Http2Limits::default() };
    let (mut told, theirs) = answering(limits, |request| async move {
        let (give, given) = mpsc::unbounded_channel();
        give.send(BodyFrame::data(Bytes::from_static(b"x"))).expect("taken");
        if request.method() == http::Method::POST {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                drop(give);
            });
        }
        Response::new(Given(given))
    });
    let mut raw = Raw::client(theirs, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    raw.send(&request(1, "GET", END_STREAM)).await;
    assert_eq!(raw.next_of(&[HEADERS]).await.status(), 200);
    let end = raw.next_of(&[RST_STREAM]).await;
    assert_eq!((end.stream, end.number()), (1, CANCEL));
    assert_eq!(outcome(&mut told).await.expect_err("late").kind(), io::ErrorKind::TimedOut);

    raw.send(&request(3, "POST", END_STREAM)).await;
    raw.send(&window_update(3, 1)).await;
    assert_eq!(raw.next_of(&[DATA]).await.payload, b"x");
    tokio::time::sleep(Duration::from_secs(3601)).await;
    assert_eq!(raw.next_of(&[DATA, RST_STREAM]).await.flags, END_STREAM);
    outcome(&mut told).await.expect("all of it");
}

#[tokio::test]
async fn a_body_that_fails_resets_its_stream() {
    struct Failing;
    impl HttpBody for Failing {
        type Data = Bytes;
        type Error = &'static str;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<BodyFrame<Bytes>, &'static str>>> {
            Poll::Ready(Some(Err("the disk is gone")))
        }
    }
    let (mut told, theirs) = answering(Http2Limits::default(), |_| async { Response::new(Failing) });
    let mut raw = Raw::client(theirs, &[]).await;
    raw.send(&request(1, "GET", END_STREAM)).await;
    assert_eq!(raw.next_of(&[RST_STREAM]).await.number(), INTERNAL_ERROR);
    assert_eq!(outcome(&mut told).await.expect_err("failed").to_string(), "the disk is gone");
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_reset_be_it_a_connect_or_not() {
    let (ours, theirs) = duplex(64 << 10);
    tokio::spawn(async move {
        let mut server = Server::start(ours, &Http2Limits::default()).await.expect("a client");
        while let Some(Ok(incoming)) = server.accept().await {
            drop(incoming);
        }
    });
    let mut raw = Raw::client(theirs, &[]).await;
    for (id, asked) in [(1, request(1, "GET", END_STREAM)), (3, headers(3, 0, &WEBSOCKET))] {
        raw.send(&asked).await;
        let end = raw.next_of(&[HEADERS, RST_STREAM]).await;
        assert_eq!((end.kind, end.stream, end.number()), (RST_STREAM, id, CANCEL));
    }
}

#[tokio::test]
async fn a_body_that_the_service_leaves_unread_is_not_wanted_any_more() {
    let (mut told, theirs) = answering(Http2Limits::default(), |_| async { whole("no, thank you") });
    let mut raw = Raw::client(theirs, &[]).await;
    raw.send(&request(1, "POST", 0)).await;
    raw.send(&frame(DATA, 0, 1, &[0; 10_000])).await;
    assert_eq!(raw.next_of(&[HEADERS]).await.status(), 200);
    outcome(&mut told).await.expect("all of it");
    let end = raw.next_of(&[RST_STREAM, GOAWAY]).await;
    assert_eq!((end.kind, end.number()), (RST_STREAM, NO_ERROR));
}
