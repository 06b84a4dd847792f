//! Opening handshakes over pipes and sockets: deadlines, refusals, what comes right behind the head.

mod common;

use std::time::Duration;

use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use trunkline_net::handshake::{OriginPolicy, Rule};
use trunkline_net::{Acceptor, Connector, Error, Limits, Message, Why, accept, connect};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn rule(error: &Error) -> Rule {
    match error {
        Error::Handshake(error) => error.rejected.rule(),
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn server_reads_frames_that_came_in_the_same_packet_as_the_request() {
    let (stream, mut raw) = duplex(4096);
    write(&mut raw, &[REQUEST.as_bytes(), &masked(0x81, b"early")].concat()).await;
    let mut server = accept(stream).await.expect("a good request");
    assert_eq!(server.recv().await.expect("open").expect("clean"), Message::from("early"));
}

#[tokio::test(start_paused = true)]
async fn client_reads_frames_that_came_in_the_same_packet_as_the_answer() {
    let (stream, mut raw) = duplex(4096);
    let serving = tokio::spawn(async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(raw.read_u8().await.expect("a request"));
        }
        let text = String::from_utf8(head).expect("ASCII");
        let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
        let accept = trunkline_net::handshake::accept_value(key);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n\u{81}"
        );
        // The frame's first byte is no UTF-8 by itself.
        let mut bytes: Vec<u8> = answer.chars().map(|c| c as u8).collect();
        bytes.extend(b"\x05early");
        write(&mut raw, &bytes).await;
        raw
    });
    let mut client =
        Connector::default().handshake(stream, "ws://example.com/chat").await.expect("a good answer");
    assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from("early"));
    drop(serving.await.expect("no panic"));
}

#[tokio::test(start_paused = true)]
async fn client_sends_nothing_before_the_answer() {
    let (stream, mut raw) = duplex(4096);
    let connecting =
        tokio::spawn(async move { Connector::default().handshake(stream, "ws://example.com/").await });
    let mut bytes = vec![0; 4096];
    let count = timeout(HANG, raw.read(&mut bytes)).await.expect("in time").expect("a request");
    assert!(bytes[..count].ends_with(b"\r\n\r\n"));
    assert!(timeout(Duration::from_secs(5), raw.read(&mut bytes)).await.is_err(), "silent until the 101");
    connecting.abort();
}

#[tokio::test(start_paused = true)]
async fn one_deadline_holds_for_the_whole_head_however_slowly_it_comes() {
    let (stream, mut raw) = duplex(4096);
    let began = Instant::now();
    let dripping = tokio::spawn(async move {
        for byte in REQUEST.bytes() {
            if raw.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let error = accept(stream).await.expect_err("too slow");
    assert!(matches!(error, Error::TimedOut(Why::Handshake)), "{error}");
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    dripping.await.expect("its writes fail now");
}

#[tokio::test(start_paused = true)]
async fn a_refused_upgrade_is_answered_in_words_and_the_stream_is_closed() {
    let (stream, mut raw) = duplex(1 << 16);
    let smuggled = "GET /secret HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let request = REQUEST.replace("Version: 13", "Version: 8") + smuggled;
    write(&mut raw, request.as_bytes()).await;
    let accepting = tokio::spawn(accept(stream));
    let answer = String::from_utf8(read_to_end(&mut raw).await).expect("text");
    drop(raw);
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(
        answer.contains("Sec-WebSocket-Version: 13\r\n") && answer.contains("Connection: upgrade, close\r\n"),
        "{answer}"
    );
    assert_eq!(
        answer.matches("HTTP/1.1").count(),
        1,
        "what is behind the request is not another one: {answer}"
    );
    assert_eq!(rule(&accepting.await.expect("no panic").expect_err("refused")), Rule::Version);
}

#[tokio::test(start_paused = true)]
async fn a_header_flood_is_refused_with_431_before_it_is_read_whole() {
    let (stream, mut raw) = duplex(1 << 16);
    let accepting = tokio::spawn(accept(stream));
    let flood = tokio::spawn(async move {
        let line = b"X-Flood: 0123456789012345678901234567890123456789\r\n".repeat(100);
        let _ = raw.write_all(b"GET / HTTP/1.1\r\n").await;
        for _ in 0..1000 {
            if raw.write_all(&line).await.is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        let _ = raw.read_to_end(&mut answer).await;
        answer
    });
    let error = accepting.await.expect("no panic").expect_err("too large");
    assert!(matches!(rule(&error), Rule::HeadTooLarge | Rule::TooManyHeaders), "{error}");
    assert!(flood.await.expect("no panic").starts_with(b"HTTP/1.1 431 "));
}

#[tokio::test(start_paused = true)]
async fn client_shows_status_headers_and_the_start_of_the_body_of_a_refusal() {
    let (stream, mut raw) = duplex(1 << 16);
    let body = "no ticket ".repeat(1000);
    let answer = format!(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    write(&mut raw, answer.as_bytes()).await;
    let error = Connector::default().handshake(stream, "ws://example.com/").await.expect_err("refused");
    let Error::Handshake(error) = error else { panic!("not a refusal: {error}") };
    assert_eq!(error.rejected.rule(), Rule::NotSwitching);
    let response = error.response.expect("an answer came");
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.body()[..], body.as_bytes()[..4096]);
}

#[tokio::test(start_paused = true)]
async fn client_gives_up_on_a_server_that_does_not_answer() {
    let (stream, _raw) = duplex(4096);
    let error = Connector::default().handshake(stream, "ws://example.com/").await.expect_err("silence");
    assert!(error.is_timeout() && error.to_string().ends_with("(phase: handshake)"), "{error}");
}

#[tokio::test]
async fn subprotocol_header_and_origin_are_plain_arguments() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/chat?x=1", listener.local_addr().expect("bound"));
    let acceptor = Acceptor::default()
        .subprotocol("chat.2")
        .subprotocol("chat.1")
        .origin(OriginPolicy::List(vec!["https://example.com".into()]));
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let head = trunkline_net::http1::read_request(&mut stream, &Limits::default()).await.expect("a head");
        assert_eq!(head.request.headers()["authorization"], "Bearer abc");
        assert_eq!(head.request.uri(), "/chat?x=1");
        let mut server = acceptor.accept_head(stream, head).await.expect("a good request");
        assert_eq!(server.subprotocol(), Some("chat.1"));
        server.send("welcome").await.expect("open");
        server.recv().await
    });
    let connector = Connector::default()
        .subprotocol("chat.1")
        .header("Authorization", "Bearer abc")
        .origin("https://example.com");
    let mut client = connector.connect(&url).await.expect("connected");
    assert_eq!(client.subprotocol(), Some("chat.1"));
    assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from("welcome"));
    client.close(trunkline_net::CloseCode::NORMAL, "").await.expect("valid");
    assert!(serving.await.expect("no panic").is_none());
}

#[tokio::test]
async fn a_header_that_http_does_not_allow_is_an_error_that_hides_its_value() {
    for (name, value) in
        [("x-token", "secret\r\nX-Smuggled: 1"), ("x token", "secret"), ("x-nul", "secret\0")]
    {
        let error =
            Connector::default().header(name, value).connect("ws://127.0.0.1:9/").await.expect_err("invalid");
        assert!(error.to_string().contains(name) && !error.to_string().contains("secret"), "{error}");
    }
    let error =
        Connector::default().header("Upgrade", "h2c").connect("ws://127.0.0.1:9/").await.expect_err("ours");
    assert!(matches!(error, Error::Request(_)), "{error}");
}

#[tokio::test]
async fn with_one_at_a_time_only_one_handshake_per_address_is_under_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/", listener.local_addr().expect("bound"));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let url = url.clone();
        clients.spawn(async move {
            Connector::default().one_at_a_time(true).connect(&url).await.expect("accepted")
        });
    }
    for _ in 0..5 {
        let (stream, _) = listener.accept().await.expect("a client");
        // While this handshake is unanswered nobody else may begin one.
        assert!(timeout(Duration::from_millis(30), listener.accept()).await.is_err());
        let server = accept(stream).await.expect("a good request");
        tokio::spawn(async move {
            let mut server = server;
            server.recv().await
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("connected");
    }
}

#[tokio::test]
async fn a_refused_connection_and_a_bad_url_are_errors_of_their_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/", listener.local_addr().expect("bound"));
    drop(listener);
    assert!(matches!(connect(&url).await, Err(Error::Dial(_))));
    assert!(matches!(connect("http://example.com/").await, Err(Error::Url(_))));
    assert!(matches!(connect("ws://example.com/#fragment").await, Err(Error::Url(_))));
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_carries_a_connection_like_any_stream() {
    let path = std::env::temp_dir().join(format!("trunkline-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).expect("bind");
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut server = accept(stream).await.expect("a good request");
        let message = server.recv().await.expect("open").expect("clean");
        server.send(message).await.expect("open");
        server.recv().await
    });
    let mut client = Connector::default().connect_unix(&path, "ws://localhost/").await.expect("connected");
    client.send("over a unix socket").await.expect("open");
    assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from("over a unix socket"));
    drop(client);
    assert!(serving.await.expect("no panic").is_some_and(|end| end.is_err()));
    std::fs::remove_file(&path).expect("it was there");
}
