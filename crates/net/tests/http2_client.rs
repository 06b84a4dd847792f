//! Our client against servers of every kind, frame by frame (RFC 8441 sections 3 to 5).
#![cfg(feature = "http2")]

mod http2_support;

use std::io::ErrorKind;

use http2_support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use trunkline_net::Error;
use trunkline_net::handshake::{ConnectOptions, Rule};
use trunkline_net::http2::{Http2Error, Http2Limits, Session, Stream};
use trunkline_net::url::WsUrl;

const OFFER: [(u16, u32); 1] = [(ENABLE_CONNECT_PROTOCOL, 1)];

/// A session with a server by hand that has begun with these settings.
async fn session(settings: &[(u16, u32)]) -> (Result<Session, Http2Error>, Raw) {
    let (ours, theirs) = duplex(64 << 10);
    let limits = Http2Limits::default();
    let (session, raw) = tokio::join!(Session::start(ours, &limits), async {
        let mut raw = Raw::server(theirs, settings).await;
        let ping = raw.next_of(&[PING]).await;
        // A client that has ended for what the settings say does not want the answer.
        let _ = raw.try_send(&frame(PING, ACK, 0, &ping.payload)).await;
        raw
    });
    (session, raw)
}

/// A session that has asked for a WebSocket; the stream that it has asked on.
async fn asked() -> (JoinHandle<Result<Stream, Error>>, Raw, u32) {
    let (session, mut raw) = session(&OFFER).await;
    let session = session.expect("offered");
    let asking = tokio::spawn(async move {
        let url = WsUrl::parse("wss://server.example.com/chat").expect("a URL");
        session.open(&url, &ConnectOptions::default()).await.map(|(stream, _)| stream)
    });
    let request = raw.next_of(&[HEADERS]).await;
    assert_eq!(request.flags, END_HEADERS, "the stream stays open");
    (asking, raw, request.stream)
}

/// What the client makes of these headers, followed by this.
async fn verdict(fields: &[(&str, &str)], then: &[u8]) -> Result<Stream, Error> {
    let (asking, mut raw, stream) = asked().await;
    raw.send(&headers(stream, 0, fields)).await;
    raw.send(then).await;
    timeout(HANG, asking).await.expect("in time").expect("no panic")
}

async fn opened() -> (Stream, Raw, u32) {
    let (asking, mut raw, stream) = asked().await;
    raw.send(&headers(stream, 0, &[(":status", "200")])).await;
    (timeout(HANG, asking).await.expect("in time").expect("no panic").expect("opened"), raw, stream)
}

fn http2_error(error: &Error) -> &Http2Error {
    let Error::Http2(error) = error else { panic!("{error}") };
    error
}

#[tokio::test]
async fn nothing_is_asked_of_a_server_that_has_not_offered_it() {
    for settings in [&[][..], &[(ENABLE_CONNECT_PROTOCOL, 0)], &[(INITIAL_WINDOW_SIZE, 70_000)]] {
        let (session, mut raw) = session(settings).await;
        assert!(matches!(session.expect_err("not offered"), Http2Error::NotOffered));
        while let Some(frame) = raw.next().await {
            assert_ne!(frame.kind, HEADERS);
        }
    }
}

#[tokio::test]
async fn an_offer_that_is_neither_0_nor_1_is_an_error() {
    for value in [2, u32::MAX] {
        let (session, _raw) = session(&[(ENABLE_CONNECT_PROTOCOL, value)]).await;
        let error = session.expect_err("no such value");
        assert!(matches!(error, Http2Error::Failed { code: PROTOCOL_ERROR, remote: false }), "{error}");
    }
}

#[tokio::test]
async fn an_offer_that_is_taken_back_is_not_used_any_more() {
    let (session, mut raw) = session(&OFFER).await;
    let session = session.expect("offered");
    raw.send(&settings(&[(ENABLE_CONNECT_PROTOCOL, 0)])).await;
    raw.settle().await;
    let url = WsUrl::parse("wss://server.example.com/chat").expect("a URL");
    let error = session.open(&url, &ConnectOptions::default()).await.expect_err("taken back");
    assert!(matches!(http2_error(&error), Http2Error::NotOffered | Http2Error::Failed { .. }), "{error}");
}

#[tokio::test]
async fn every_2xx_opens_and_what_follows_are_bytes() {
    for status in ["200", "204", "299"] {
        let bytes = frame(DATA, END_STREAM, 1, b"bytes");
        let mut stream = verdict(&[(":status", status)], &bytes).await.expect("opened");
        let mut read = String::new();
        timeout(HANG, stream.read_to_string(&mut read)).await.expect("in time").expect("read");
        assert_eq!(read, "bytes");
    }
}

#[tokio::test]
async fn another_status_is_told_with_its_headers_and_the_start_of_its_body() {
    let fields = [(":status", "503"), ("retry-after", "5")];
    let body = [frame(DATA, 0, 1, &[b'x'; 3000]), frame(DATA, END_STREAM, 1, &[b'y'; 3000])].concat();
    let Err(Error::Handshake(error)) = verdict(&fields, &body).await else { panic!("opened") };
    assert_eq!(error.rejected.rule(), Rule::NotSwitching);
    let response = error.response.as_ref().expect("a response");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"5".parse().expect(""))
    );
    assert_eq!(*response.body(), [vec![b'x'; 3000], vec![b'y'; 1096]].concat());
}

#[tokio::test]
async fn an_interim_response_is_not_the_answer() {
    let (asking, mut raw, stream) = asked().await;
    for _ in 0..3 {
        raw.send(&headers(stream, 0, &[(":status", "103"), ("link", "</a>")])).await;
    }
    raw.send(&headers(stream, 0, &[(":status", "200")])).await;
    timeout(HANG, asking).await.expect("in time").expect("no panic").expect("opened");
}

#[tokio::test]
async fn an_answer_that_is_malformed_or_chooses_what_was_not_offered_is_refused() {
    for field in
        [("connection", "upgrade"), ("upgrade", "websocket"), ("transfer-encoding", "chunked"), ("X-A", "b")]
    {
        assert!(verdict(&[(":status", "200"), field], &[]).await.is_err(), "{field:?}");
    }
    for (field, rule) in [
        (("sec-websocket-protocol", "chat"), Rule::UnofferedSubprotocol),
        (("sec-websocket-extensions", "permessage-deflate"), Rule::UnofferedExtension),
    ] {
        let Err(Error::Handshake(error)) = verdict(&[(":status", "200"), field], &[]).await else {
            panic!("{field:?}")
        };
        assert_eq!(error.rejected.rule(), rule);
    }
    verdict(&[(":status", "200"), ("sec-websocket-accept", "whatever")], &[]).await.expect("not looked at");
}

#[tokio::test(start_paused = true)]
async fn the_answer_that_brought_the_settings_is_not_taken_for_one_to_the_first_keepalive() {
    let (session, mut raw) = session(&OFFER).await;
    let session = session.expect("offered");
    raw.settle().await;
    assert!(session.has_room());
    let limits = Http2Limits::default();
    let silence = limits.ping_interval.expect("asked") + limits.ping_timeout;
    tokio::time::sleep(silence + std::time::Duration::from_secs(1)).await;
    assert!(!session.has_room(), "a server that says nothing any more counts as dead");
}

#[tokio::test]
async fn a_refused_stream_and_a_connection_that_ends_are_told_apart() {
    let (asking, mut raw, stream) = asked().await;
    raw.send(&reset(stream, REFUSED_STREAM)).await;
    let error = timeout(HANG, asking).await.expect("in time").expect("no panic").expect_err("refused");
    assert!(
        matches!(http2_error(&error), Http2Error::Failed { code: REFUSED_STREAM, remote: true }),
        "{error}"
    );
    let (asking, raw, _) = asked().await;
    drop(raw);
    assert!(timeout(HANG, asking).await.expect("in time").expect("no panic").is_err());
}

#[tokio::test]
async fn a_server_cannot_push() {
    let (asking, mut raw, stream) = asked().await;
    let promise = [&2_u32.to_be_bytes()[..], &block([(":method", "GET"), (":path", "/")])].concat();
    raw.send(&frame(PUSH_PROMISE, END_HEADERS, stream, &promise)).await;
    assert_eq!(raw.ended_with().await, PROTOCOL_ERROR);
    assert!(timeout(HANG, asking).await.expect("in time").expect("no panic").is_err());
}

#[tokio::test]
async fn shutting_down_and_dropping_are_end_stream_and_rst_stream() {
    let (mut stream, mut raw, id) = opened().await;
    stream.write_all(b"last").await.expect("written");
    stream.shutdown().await.expect("shut down");
    assert_eq!(raw.next_of(&[DATA]).await.payload, b"last");
    let end = raw.next_of(&[DATA, RST_STREAM]).await;
    assert_eq!((end.kind, end.flags), (DATA, END_STREAM));
    raw.send(&frame(DATA, END_STREAM, id, b"")).await;
    assert_eq!(timeout(HANG, stream.read(&mut [0; 9])).await.expect("in time").expect("the end"), 0);

    let (stream, mut raw, id) = opened().await;
    drop(stream);
    let end = raw.next_of(&[DATA, RST_STREAM]).await;
    assert_eq!((end.kind, end.stream, end.number()), (RST_STREAM, id, CANCEL));
}

#[tokio::test]
async fn a_reset_after_end_stream_takes_nothing_of_what_was_sent_away() {
    // "Clients MUST NOT discard responses as a result of receiving such a RST_STREAM" (RFC 9113 section 8.1).
    let (mut stream, mut raw, id) = opened().await;
    raw.send(&[frame(DATA, END_STREAM, id, b"all of it"), reset(id, NO_ERROR)].concat()).await;
    let mut read = String::new();
    timeout(HANG, stream.read_to_string(&mut read)).await.expect("in time").expect("in good order");
    assert_eq!(read, "all of it");
    let error = timeout(HANG, stream.write_all(b"x")).await.expect("in time").expect_err("not wanted");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_empty_data_frame_is_not_the_end() {
    let (mut stream, mut raw, id) = opened().await;
    raw.send(&[frame(DATA, 0, id, b""), frame(DATA, 0, id, b"more")].concat()).await;
    let mut read = [0; 4];
    timeout(HANG, stream.read_exact(&mut read)).await.expect("in time").expect("read");
    assert_eq!(&read, b"more");
}
