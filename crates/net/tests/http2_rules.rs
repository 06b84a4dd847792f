//! What a server makes of requests that are wrong, frame by frame (RFC 8441 section 4, RFC 9113 section 8).
#![cfg(feature = "http2")]

mod http2_support;

use http2_support::*;
use tokio::io::AsyncWriteExt;
use trunkline_net::http2::Http2Limits;

/// How a request was answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Status(u16),
    /// As malformed: of the stream or, which RFC 9113 section 5.4.2 leaves open, of the connection.
    Malformed,
    Other(Frame),
}

/// The answer to one request, on a connection of its own.
async fn answer(request: &[u8]) -> Answer {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.send(request).await;
    let frame = raw.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
    let answer = match frame.kind {
        HEADERS => Answer::Status(frame.status()),
        RST_STREAM if frame.number() == PROTOCOL_ERROR => Answer::Malformed,
        GOAWAY if frame.goaway_code() == PROTOCOL_ERROR => Answer::Malformed,
        _ => Answer::Other(frame),
    };
    if answer != Answer::Status(200) {
        assert!(driven.streams.try_recv().is_err(), "nothing was opened");
    }
    answer
}

async fn answer_to(fields: &[(&str, &str)]) -> Answer {
    answer(&headers(1, 0, fields)).await
}

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    WEBSOCKET.into_iter().filter(|(other, _)| *other != name).collect()
}

fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut fields = without(name);
    // Pseudo-headers come first.
    fields.insert(if name.starts_with(':') { 0 } else { fields.len() }, (name, value));
    fields
}

#[tokio::test]
async fn an_extended_connect_as_it_must_be_gets_200() {
    assert_eq!(answer_to(&WEBSOCKET).await, Answer::Status(200));
    let (_driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.send(&headers(1, 0, &WEBSOCKET)).await;
    let frame = raw.next_of(&[HEADERS]).await;
    // The stream stays open, and nothing says how long it will be.
    assert_eq!(frame.flags, END_HEADERS);
    assert!(!frame.payload.windows(14).any(|bytes| bytes == b"content-length"));
}

#[tokio::test]
async fn another_protocol_gets_501() {
    for protocol in ["webtransport", "connect-udp", "WebSocket", "", "h2c"] {
        assert_eq!(answer_to(&with(":protocol", protocol)).await, Answer::Status(501), "{protocol}");
    }
}

#[tokio::test]
async fn a_plain_connect_is_never_tunnelled() {
    let plain = [(":method", "CONNECT"), (":authority", "127.0.0.1:22")];
    assert_eq!(answer_to(&plain).await, Answer::Status(501));
    let versioned = [(":method", "CONNECT"), (":authority", "127.0.0.1:22"), ("sec-websocket-version", "13")];
    assert_eq!(answer_to(&versioned).await, Answer::Status(501));
    // What an extended CONNECT has and a plain one has not makes it malformed.
    assert_eq!(answer_to(&without(":protocol")).await, Answer::Malformed);
}

#[tokio::test]
async fn each_pseudo_header_that_is_missing_refuses_the_request() {
    for (name, expected) in [
        (":method", Answer::Malformed),
        (":scheme", Answer::Malformed),
        (":path", Answer::Malformed),
        (":authority", Answer::Status(400)),
    ] {
        assert_eq!(answer_to(&without(name)).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_pseudo_header_that_cannot_be_refuses_the_request() {
    for (name, value, expected) in [
        (":path", "", Answer::Malformed),
        (":path", "*", Answer::Status(400)),
        (":scheme", "ftp", Answer::Status(400)),
        (":scheme", "wss", Answer::Status(400)),
        (":authority", "user@server.example.com", Answer::Status(400)),
        (":authority", "a b", Answer::Malformed),
        (":method", "GET", Answer::Malformed),
        (":status", "200", Answer::Malformed),
        (":unknown", "x", Answer::Malformed),
    ] {
        assert_eq!(answer_to(&with(name, value)).await, expected, "{name}: {value}");
    }
    let twice = [&WEBSOCKET[..1], &[(":path", "/other")], &WEBSOCKET[1..]].concat();
    assert_eq!(answer_to(&twice).await, Answer::Malformed, "two paths");
    let late = [&without(":path")[..], &[(":path", "/chat")]].concat();
    assert_eq!(answer_to(&late).await, Answer::Malformed, "after the other headers");
}

#[tokio::test]
async fn headers_about_one_http1_connection_and_uppercase_names_are_malformed() {
    for (name, value) in [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("Sec-WebSocket-Protocol", "chat"),
        ("X-A", "b"),
        ("", "empty name"),
        ("a b", "c"),
    ] {
        assert_eq!(answer_to(&with(name, value)).await, Answer::Malformed, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_control_character_in_a_header_refuses_the_request_and_reaches_no_application() {
    for bad in [&b"a\r\nx: y"[..], b"a\nb", b"a\rb", b"a\0b", b"\0", b"\n", b"\x7f", b"\x1f"] {
        for name in [&b"x-a"[..], b"cookie", b"origin", b"sec-websocket-protocol"] {
            let fields = WEBSOCKET.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let block = raw_block(fields.chain([(name, bad)]));
            let answer = answer(&frame(HEADERS, END_HEADERS, 1, &block)).await;
            let (bad, name) = (bad.escape_ascii(), name.escape_ascii());
            assert_eq!(answer, Answer::Malformed, "{bad} in {name}");
        }
        for name in [&b":path"[..], b":authority", b":protocol"] {
            let fields = WEBSOCKET.iter().map(|(other, value)| {
                (other.as_bytes(), if other.as_bytes() == name { bad } else { value.as_bytes() })
            });
            let answer = answer(&frame(HEADERS, END_HEADERS, 1, &raw_block(fields))).await;
            let (bad, name) = (bad.escape_ascii(), name.escape_ascii());
            assert!(matches!(answer, Answer::Malformed | Answer::Status(501)), "{bad} in {name}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_rules_of_the_handshake_are_those_of_http1() {
    for (name, value, status) in [
        ("sec-websocket-version", "8", 400),
        ("sec-websocket-version", "13, 13", 400),
        ("origin", "https://evil.example", 403),
        ("origin", "http://server.example.com", 403),
        ("origin", "https://server.example.com", 200),
        ("host", "other.example.com", 400),
        ("host", "server.example.com", 200),
        ("sec-websocket-protocol", "a, a", 400),
        ("sec-websocket-extensions", "=", 400),
        ("sec-websocket-key", "is not looked at", 200),
        ("content-length", "0", 200),
        ("content-length", "5", 400),
    ] {
        assert_eq!(answer_to(&with(name, value)).await, Answer::Status(status), "{name}: {value}");
    }
    assert_eq!(answer_to(&without("sec-websocket-version")).await, Answer::Status(400));
}

#[tokio::test]
async fn a_refused_request_leaves_the_connection_and_its_other_streams_alone() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    raw.send(&headers(3, 0, &with("content-length", "5"))).await;
    raw.send(&headers(5, 0, &with(":protocol", "other"))).await;
    raw.send(&headers(7, 0, &with("connection", "close"))).await;
    let mut ended = Vec::new();
    while ended.len() < 3 {
        let frame = raw.next_of(&[RST_STREAM, GOAWAY]).await;
        assert_eq!(frame.kind, RST_STREAM);
        ended.push((frame.stream, frame.number()));
    }
    // A complete answer, and no more wanted; or a broken rule.
    ended.sort_unstable();
    assert_eq!(ended, [(3, NO_ERROR), (5, NO_ERROR), (7, PROTOCOL_ERROR)]);
    stream.write_all(b"alive").await.expect("written");
    assert_eq!(raw.next_of(&[DATA, GOAWAY]).await.payload, b"alive");
}

#[tokio::test]
async fn a_get_over_http2_is_no_websocket() {
    let get = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/chat")];
    assert_eq!(answer_to(&get).await, Answer::Status(404), "an ordinary request");
    let upgrade = [&get[..], &[("upgrade", "websocket"), ("connection", "upgrade")]].concat();
    assert_eq!(answer_to(&upgrade).await, Answer::Malformed);
}
