//! The stream door: named, quiet and mapped, by an upgrade and in a WebSocket.

mod support;

use serde_json::json;
use support::stream::{echoes, expect, head, line, open, request, rest};
use support::{Running, raw, start, start_with, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trunkline_net::stream::{self, Carrier};
use trunkline_net::{Connector, Error};

const QUIET: &str = "/.well-known/trunkline";

async fn refused(server: &Running, request: &str) -> (u16, String) {
    let answer = raw::ask(server.address, request).await;
    assert!(answer.header("trunkline").is_some(), "whoever answers says so");
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_named_stream_echoes_and_its_end_comes_back() {
    let server = start().await;
    let mut stream = raw::dial(server.address).await;
    stream.write_all(request(&server, "/stream/echo", "").as_bytes()).await.expect("the server reads");
    let head = head(&mut stream).await;
    assert!(
        head.contains("\r\nUpgrade: stream\r\n") && head.contains("\r\nConnection: Upgrade\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nTrunkline: "), "{head}");
    echoes(&mut stream, b"hello").await;
    echoes(&mut stream, &[0xff, 0, b'\r', b'\n']).await;
    stream.write_all(b"last words").await.expect("it is taken");
    stream.shutdown().await.expect("it is open");
    assert_eq!(rest(&mut stream).await, b"last words");
}

#[tokio::test]
async fn bytes_behind_the_request_are_the_first_of_the_stream() {
    let server = start().await;
    let early = vec![b'e'; 100_000];
    let mut stream = open(&server, "/stream/echo", "", &early).await;
    expect(&mut stream, &early).await;
    // As the second request of a connection, too, where another reader has read it.
    let mut kept = raw::dial(server.address).await;
    let first = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let both = [first.as_bytes(), request(&server, "/stream/echo", "").as_bytes(), b"early"].concat();
    kept.write_all(&both).await.expect("the server reads");
    assert!(head(&mut kept).await.starts_with("HTTP/1.1 200 "));
    expect(&mut kept, b"ok\n").await;
    assert!(head(&mut kept).await.starts_with("HTTP/1.1 101 "));
    expect(&mut kept, b"early").await;
    echoes(&mut kept, b"and more").await;
}

#[tokio::test]
async fn a_quiet_stream_says_nothing_before_the_server_has_said_who_it_is() {
    let server = start().await;
    let mut stream = open(&server, QUIET, "", b"").await;
    stream.write_all(b"{\"service\": \"echo\"}\nfirst").await.expect("it is taken");
    assert_eq!(line(&mut stream).await, "{\"ok\":{}}\n");
    expect(&mut stream, b"first").await;
    echoes(&mut stream, b"second").await;
}

#[tokio::test]
async fn a_quiet_line_may_come_a_byte_at_a_time_or_with_the_request() {
    let server = start().await;
    let said = b"{\"service\":\"echo\"}\nrest";
    let mut slow = open(&server, QUIET, "", b"").await;
    for byte in said {
        slow.write_all(&[*byte]).await.expect("it is taken");
        slow.flush().await.expect("it is taken");
    }
    let mut early = open(&server, QUIET, "", said).await;
    for stream in [&mut slow, &mut early] {
        assert_eq!(line(stream).await, "{\"ok\":{}}\n");
        expect(stream, b"rest").await;
    }
}

#[tokio::test]
async fn what_is_asked_quietly_and_cannot_be_had_is_answered_by_a_line_and_the_end() {
    let server = start_with("[service.locked]\nupstream = \"tcp:127.0.0.1:9\"").await;
    for (asked, code) in [
        ("nonsense", "bad_request"),
        ("{}", "bad_request"),
        ("GET / HTTP/1.1", "bad_request"),
        ("{\"service\": \"nothing\"}", "bad_request"),
        ("{\"service\": \"locked\"}", "unauthenticated"),
        ("{\"service\": \"locked\", \"ticket\": \"made up\"}", "unauthenticated"),
        (&"x".repeat(5_000), "bad_request"),
    ] {
        let mut stream = open(&server, QUIET, "", b"").await;
        stream.write_all(format!("{asked}\n").as_bytes()).await.expect("it is taken");
        let answer: serde_json::Value = serde_json::from_slice(&rest(&mut stream).await).expect("one line");
        assert_eq!(answer["error"]["code"], code, "{asked}");
    }
}

#[tokio::test]
async fn a_ticket_opens_a_service_once_in_any_form_and_nothing_else_does() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = upstream.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = upstream.accept().await {
            stream.write_all(b"banner").await.expect("it is taken");
        }
    });
    let server = start_with(&format!("[service.x]\nupstream = \"tcp:{address}\"\npath = \"/x\"")).await;
    let url = |path: &str| format!("ws://{}{path}", server.address);
    for path in ["/x", "/stream/x"] {
        let (status, body) = refused(&server, &request(&server, path, "")).await;
        assert_eq!(status, 401, "{body}");
        let ticket = server.ticket("ann").await;
        let field = format!("X-Auth-Token: {ticket}\r\n");
        let mut stream = open(&server, path, &field, b"").await;
        assert_eq!(rest(&mut stream).await, b"banner");
        assert_eq!(refused(&server, &request(&server, path, &field)).await.0, 401, "a ticket is good once");
        let in_url = format!("{path}?ticket={}", server.ticket("ann").await);
        assert_eq!(rest(&mut open(&server, &in_url, "", b"").await).await, b"banner");
    }
    for carrier in [Carrier::Upgrade, Carrier::WebSocket] {
        let connector = stream::Connector::default().carrier(carrier);
        let ticket = server.ticket("ann").await;
        let mut opened =
            within(connector.clone().ticket(&ticket).connect(&url("/stream/x"))).await.expect("open");
        assert_eq!(opened.carrier(), carrier);
        assert_eq!(rest(&mut opened).await, b"banner", "{carrier:?}");
        let error =
            within(connector.ticket(ticket).connect(&url("/stream/x"))).await.expect_err("it is spent");
        assert!(matches!(&error, Error::Service(refused) if refused.code == "unauthenticated"), "{error}");
    }
    let narrowed = server.mint(&json!({"user": "ann", "channels": {"room:1": ["subscribe"]}})).await;
    let field = format!("X-Auth-Token: {narrowed}\r\n");
    assert_eq!(refused(&server, &request(&server, "/x", &field)).await.0, 403);
}

#[tokio::test]
async fn a_bad_ticket_in_a_websocket_is_told_by_a_close_that_a_page_can_read() {
    let server = start_with("[service.x]\nupstream = \"tcp:127.0.0.1:9\"").await;
    let connector = Connector::default().subprotocol("stream.1");
    let url = format!("ws://{}/stream/x?ticket=bad", server.address);
    let mut socket = within(connector.connect(&url)).await.expect("the door opens");
    assert!(within(socket.recv()).await.is_none());
    assert_eq!(socket.closed().expect("an end").code, 4401);
}

#[tokio::test]
async fn the_clients_stream_is_the_same_whatever_carries_it() {
    let server = start().await;
    for carrier in [Carrier::Upgrade, Carrier::WebSocket] {
        for by_name in [false, true] {
            let mut connector = stream::Connector::default().carrier(carrier);
            if by_name {
                connector = connector.by_name();
            }
            let url = format!("http://{}/stream/echo", server.address);
            let mut opened = within(connector.connect(&url)).await.expect("open");
            assert_eq!(opened.carrier(), carrier);
            echoes(&mut opened, b"hello").await;
            echoes(&mut opened, &vec![7; 300_000][..60_000]).await;
            opened.write_all(b"the end").await.expect("it is taken");
            opened.shutdown().await.expect("it is open");
            assert_eq!(rest(&mut opened).await, b"the end", "{carrier:?}, by name: {by_name}");
        }
    }
}

#[tokio::test]
async fn eight_mebibytes_each_way_at_once_arrive_whole_by_either_carrier() {
    const ALL: usize = 8 << 20;
    let server = start().await;
    for carrier in [Carrier::Upgrade, Carrier::WebSocket] {
        let connector = stream::Connector::default().carrier(carrier);
        let url = format!("ws://{}/stream/echo", server.address);
        let opened = within(connector.connect(&url)).await.expect("open");
        let (mut reader, mut writer) = tokio::io::split(opened);
        let sent: Vec<u8> = (0..ALL).map(|index| (index * 31 % 251) as u8).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            writer.write_all(&sent).await.expect("it is taken");
            writer.shutdown().await.expect("it is open");
        });
        let mut read = Vec::with_capacity(ALL);
        within(reader.read_to_end(&mut read)).await.expect("the stream ends in order");
        within(writing).await.expect("it does not panic");
        assert!(read == expected, "{carrier:?}: {} bytes came", read.len());
    }
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_is_told_how_to_come_in() {
    let server = start().await;
    for path in ["/stream/echo", QUIET] {
        let plain = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        let answer = raw::ask(server.address, &plain).await;
        assert_eq!((answer.status, answer.header("upgrade")), (426, Some("stream, websocket")));
        assert!(answer.body.contains("Upgrade: stream") && answer.body.contains("stream.1"));
        let other = request(&server, path, "").replace("Upgrade: stream", "Upgrade: firepresence");
        assert_eq!(refused(&server, &other).await.0, 400);
    }
    assert_eq!(refused(&server, &request(&server, "/stream/nothing", "")).await.0, 404);
}

#[tokio::test]
async fn broken_rules_of_the_upgrade_are_answered_by_name() {
    let server = start().await;
    let good = request(&server, "/stream/echo", "");
    for (request, status, words) in [
        (good.replace("Connection: Upgrade\r\n", ""), 400, "connection option"),
        (good.replace("GET", "POST"), 400, "GET"),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 400, "HTTP/1.0"),
        (good.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"), 400, "body"),
        (good.replace("\r\n\r\n", "\r\nOrigin: http://evil.example\r\n\r\n"), 403, "Origin"),
    ] {
        let (got, body) = refused(&server, &request).await;
        assert!(got == status && body.contains(words), "{request}: {got} {body}");
    }
}

#[tokio::test]
async fn pages_come_in_as_the_service_says_in_every_form() {
    let toml = "[service.echo]\norigins = [\"http://app.example\"]\npath = \"/e\"";
    let server = start_with(toml).await;
    let from = |origin: &str| format!("Origin: http://{origin}\r\n");
    assert_eq!(refused(&server, &request(&server, "/e", &from("evil.example"))).await.0, 403);
    echoes(&mut open(&server, "/e", &from("app.example"), b"").await, b"x").await;
    // In the quiet form the service is known only by the line.
    let own = server.address.to_string();
    let server =
        start_with("origins = [\"http://evil.example\"]\n[service.echo]\norigins = [\"http://app.example\"]")
            .await;
    let mut stream = open(&server, QUIET, &from("evil.example"), b"{\"service\":\"echo\"}\n").await;
    let answer: serde_json::Value = serde_json::from_slice(&rest(&mut stream).await).expect("one line");
    assert_eq!(answer["error"]["code"], "forbidden", "{own}");
}

#[tokio::test]
async fn streams_are_counted_while_they_are_open_with_their_bytes() {
    let server = start().await;
    let mut stream = open(&server, "/stream/echo", "", b"").await;
    echoes(&mut stream, b"12345").await;
    assert_eq!(server.metric_of("trunkline_streams", "upgrade").await, 1.0);
    assert_eq!(server.metric("trunkline_stream_bytes_in_total").await, 5.0);
    drop(stream);
    support::eventually("nobody is left", async || server.metric("trunkline_streams").await == 0.0).await;
}
