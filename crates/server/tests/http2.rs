//! HTTP/2 on the port of HTTP/1.1: pages, the API and many WebSockets in one connection, and the answer table of
//! docs/protocol.md as it is for them.

mod support;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;
use support::http2::{Client, connect};
use support::peer::Peer;
use support::raw::{self, rest};
use support::tls;
use support::{Running, eventually, start, start_with, within};
use tokio::io::AsyncWriteExt;
use trunkline_net::handshake::ConnectOptions;
use trunkline_net::http2::{Http2Limits, Session, Stream};
use trunkline_net::url::WsUrl;
use trunkline_net::{Limits, Role, WebSocket, random_mask};

async fn client(server: &Running) -> Client {
    Client::start(raw::dial(server.address).await).await
}

async fn session(server: &Running) -> Session {
    let stream = raw::dial(server.address).await;
    within(Session::start(stream, &Http2Limits::default())).await.expect("extended CONNECT is offered")
}

/// Comes in with a ticket, as one stream of a connection.
async fn peer(server: &Running, session: &Session, user: &str) -> Peer<Stream> {
    let url = format!("ws://{}/connect?ticket={}", server.address, server.ticket(user).await);
    Peer::over(open(session, &url).await).await
}

async fn open(session: &Session, url: &str) -> WebSocket<Stream> {
    let url = WsUrl::parse(url).expect("a URL");
    let opened = within(session.open(&url, &ConnectOptions::default())).await;
    let (stream, _) = opened.expect("the door opens");
    WebSocket::from_upgraded(stream, Bytes::new(), Role::Client(random_mask), Limits::default())
}

/// The answer to a CONNECT of `/connect` with these headers more.
async fn knock(server: &Running, headers: &[(&str, &str)]) -> Response<String> {
    let url = format!("http://{}/connect", server.address);
    client(server).await.ask(connect(&url, Some("websocket"), headers), "").await.expect("an answer")
}

fn header<'a>(response: &'a Response<String>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().expect("text"))
}

#[tokio::test]
async fn the_page_the_api_and_health_are_served_over_http2_with_prior_knowledge() {
    let server = start().await;
    let client = client(&server).await;
    let base = format!("http://{}", server.address);
    let page = client.get(&format!("{base}/")).await;
    assert_eq!((page.status().as_u16(), page.version()), (200, http::Version::HTTP_2));
    assert!(page.body().contains("<!doctype html>"), "{}", page.body());
    assert_eq!(header(&page, "trunkline"), Some(env!("CARGO_PKG_VERSION")));
    assert!(header(&page, "date").is_some());
    assert_eq!(client.get(&format!("{base}/healthz")).await.body(), "ok\n");
    let mint = Request::post(format!("{base}/api/v1/tickets"))
        .header("authorization", format!("Bearer {}", server.key))
        .header("content-type", "application/json")
        .body(())
        .expect("a request");
    let minted = client.ask(mint, r#"{"user":"ann"}"#).await.expect("an answer");
    assert_eq!(minted.status(), 200, "{}", minted.body());
    let nothing = client.get(&format!("{base}/nothing")).await;
    assert_eq!((nothing.status().as_u16(), header(&nothing, "connection")), (404, None));
}

#[tokio::test]
async fn over_tls_it_is_agreed_on_by_alpn() {
    let (authority, server) = tls::start("").await;
    let stream = tls::dial(&server, &authority.client().alpn(&[b"h2", b"http/1.1"]), "localhost").await;
    let stream = stream.expect("a handshake");
    assert_eq!(stream.alpn(), Some(&b"h2"[..]));
    let session = within(Session::start(stream, &Http2Limits::default())).await.expect("HTTP/2");
    let url = format!("wss://localhost/connect?ticket={}", server.ticket("ann").await);
    let mut ann = Peer::over(open(&session, &url).await).await;
    ann.ok("ping", json!({})).await;
    assert_eq!(server.metric_of("trunkline_websockets", "http=\"2\"").await, 1.0);
}

#[tokio::test]
async fn over_tls_without_alpn_the_preface_is_no_way_in() {
    let (authority, server) = tls::start("").await;
    let stream = tls::dial(&server, &authority.client().alpn(&[]), "localhost").await;
    let mut stream = stream.expect("a handshake");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the server reads");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 505"), "{answer}");
}

#[tokio::test]
async fn many_websockets_in_one_connection_talk_to_each_other_beside_requests() {
    let server = start().await;
    let session = session(&server).await;
    let mut peers = Vec::new();
    for index in 0..50 {
        let mut peer = peer(&server, &session, &format!("user{index}")).await;
        peer.ok("subscribe", json!({ "channel": "room:1" })).await;
        peers.push(peer);
    }
    assert_eq!(server.metric_of("trunkline_websockets", "http=\"2\"").await, 50.0);
    peers[0].ok("publish", json!({ "channel": "room:1", "data": "x".repeat(60_000) })).await;
    for peer in &mut peers {
        let push = peer.push().await;
        assert_eq!(push["pub"]["data"].as_str().map(str::len), Some(60_000));
    }
}

#[tokio::test]
async fn one_that_does_not_read_does_not_stop_the_others() {
    let server = start_with("[limits]\noutbox_bytes = \"256 KiB\"").await;
    let session = session(&server).await;
    let mut deaf = peer(&server, &session, "deaf").await;
    deaf.ok("subscribe", json!({ "channel": "room:1" })).await;
    let mut ann = peer(&server, &session, "ann").await;
    ann.ok("subscribe", json!({ "channel": "room:1" })).await;
    for n in 0..100 {
        ann.ok("publish", json!({ "channel": "room:1", "data": "x".repeat(20_000) })).await;
        assert_eq!(ann.push().await["pub"]["offset"], n + 1);
    }
}

#[tokio::test]
async fn a_connect_is_answered_as_an_upgrade_is() {
    let server = start().await;
    let origin = knock(&server, &[("origin", "https://evil.example")]).await;
    assert_eq!(origin.status(), 403);
    assert!(origin.body().contains("Origin"), "the body says it too: {}", origin.body());
    let mqtt = knock(&server, &[("sec-websocket-protocol", "mqtt")]).await;
    assert_eq!(mqtt.status(), 400);
    assert!(mqtt.body().contains("hub.json.1"), "{}", mqtt.body());
    let twice = knock(&server, &[("sec-websocket-version", "8")]).await;
    assert_eq!((twice.status().as_u16(), header(&twice, "sec-websocket-version")), (400, Some("13")));
    for refused in [&origin, &mqtt, &twice] {
        assert_eq!(header(refused, "trunkline"), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(header(refused, "connection"), None);
    }
}

#[tokio::test]
async fn a_websocket_has_no_more_header_fields_than_any_other_request() {
    let server = start().await;
    let fields = |count: usize| (0..count).map(|_| ("x", "y")).collect::<Vec<_>>();
    // It has one of its own: the version.
    let refused = knock(&server, &fields(100)).await;
    assert_eq!(refused.status(), 431);
    assert!(refused.body().contains("100"), "{}", refused.body());
    let wrong = [fields(98), vec![("origin", "https://evil.example")]].concat();
    assert_eq!(knock(&server, &wrong).await.status(), 403, "read to its end");
}

#[tokio::test]
async fn what_is_no_websocket_is_answered_501_and_elsewhere_there_is_nothing() {
    let server = start().await;
    let client = client(&server).await;
    let url = format!("http://{}/connect", server.address);
    let unknown = client.ask(connect(&url, Some("webtransport"), &[]), "").await.expect("an answer");
    assert_eq!(unknown.status(), 501);
    assert!(unknown.body().contains("websocket"), "{}", unknown.body());
    let elsewhere = url.replace("/connect", "/other");
    let nothing = client.ask(connect(&elsewhere, Some("websocket"), &[]), "").await.expect("an answer");
    assert_eq!(nothing.status(), 404);
    let tunnel = connect("127.0.0.1:1", None, &[]);
    assert_eq!(client.ask(tunnel, "").await.expect("an answer").status(), 501);
    // None of it ends the connection.
    assert_eq!(client.get(&url.replace("/connect", "/healthz")).await.status(), 200);
    assert_eq!(server.metric_of("trunkline_handshakes_total", "outcome=\"not_served\"").await, 2.0);
}

#[tokio::test]
async fn a_get_is_told_the_ways_in_without_what_http2_does_not_have() {
    let server = start().await;
    let client = client(&server).await;
    let url = format!("http://{}/connect", server.address);
    let told = client.get(&url).await;
    assert_eq!(
        (told.status().as_u16(), header(&told, "connection"), header(&told, "upgrade")),
        (400, None, None)
    );
    assert!(told.body().contains(":protocol websocket"), "{}", told.body());
    let options = Request::options(url.replace("/connect", "/")).body(()).expect("a request");
    assert_eq!(client.ask(options, "").await.expect("an answer").status(), 400);
}

#[tokio::test]
async fn host_must_be_what_the_authority_says() {
    let server = start().await;
    let client = client(&server).await;
    let request = Request::get(format!("http://{}/healthz", server.address)).header("host", "other.example");
    let refused = client.ask(request.body(()).expect("a request"), "").await.expect("an answer");
    assert_eq!(refused.status(), 400);
    // Dev mode reads the name, wherever it stands.
    let foreign = client.get("http://rebound.example/").await;
    assert_eq!(foreign.status(), 403);
}

#[tokio::test]
async fn the_subprotocol_is_answered_if_it_was_offered() {
    let server = start().await;
    let url = format!("http://{}/connect", server.address);
    for (offer, chosen) in
        [(&[][..], None), (&[("sec-websocket-protocol", "mqtt, hub.json.1")][..], Some("hub.json.1"))]
    {
        let stream = raw::dial(server.address).await;
        let (mut send, connection) = within(h2::client::handshake(stream)).await.expect("HTTP/2");
        let driver = tokio::spawn(connection);
        eventually("extended CONNECT", async || send.is_extended_connect_protocol_enabled()).await;
        let (answer, _stream) =
            send.send_request(connect(&url, Some("websocket"), offer), false).expect("open");
        let answer = within(answer).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let said = answer.headers().get("sec-websocket-protocol").map(|value| value.to_str().expect("text"));
        assert_eq!(said, chosen);
        assert!(answer.headers().get("sec-websocket-accept").is_none());
        driver.abort();
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_those_within_go_on() {
    let server = start_with("[limits]\nstreams_per_connection = 2").await;
    let session = session(&server).await;
    let mut ann = peer(&server, &session, "ann").await;
    let mut bob = peer(&server, &session, "bob").await;
    assert!(!session.has_room(), "the server has said so");
    ann.ok("ping", json!({})).await;
    bob.ok("ping", json!({})).await;
    drop(ann);
    eventually("room for one more", async || session.has_room()).await;
    peer(&server, &session, "cat").await.ok("ping", json!({})).await;
}

#[tokio::test]
async fn a_websocket_in_a_connection_counts_as_one_more() {
    // One connection, two sockets in it, and one that says nothing.
    let server = start_with("[limits]\nconnections = 4").await;
    let session = session(&server).await;
    let ann = peer(&server, &session, "ann").await;
    let _bob = peer(&server, &session, "bob").await;
    let ticket = server.ticket("cat").await;
    let held = raw::dial(server.address).await;
    eventually("the fourth is counted", async || full(server.address).await).await;
    let url = WsUrl::parse(&format!("ws://{}/connect?ticket={ticket}", server.address)).expect("a URL");
    let refused = within(session.open(&url, &ConnectOptions::default())).await.expect_err("there is no room");
    assert!(refused.to_string().contains("503"), "{refused}");
    drop((ann, held));
    eventually("room again", async || !full(server.address).await).await;
    assert_eq!(server.metric_of("trunkline_handshakes_total", "outcome=\"no_room\"").await, 1.0);
}

/// Whether one more connection is turned away.
async fn full(address: std::net::SocketAddr) -> bool {
    raw::ask(address, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.status == 503
}

#[tokio::test]
async fn a_stop_says_goodbye_on_every_stream_and_then_ends_the_connection() {
    let mut server = start().await;
    let session = session(&server).await;
    let mut peers = [peer(&server, &session, "ann").await, peer(&server, &session, "bob").await];
    let idle = client(&server).await;
    server.begin_stop();
    for peer in &mut peers {
        let (words, closed) = peer.end().await;
        assert_eq!(words.len(), 2, "{words:?}");
        assert_eq!(words[0]["go_away"]["code"], "unavailable", "{words:?}");
        assert_eq!(words[1]["disconnect"]["code"], "unavailable", "{words:?}");
        assert_eq!(closed.code, 1001, "{closed}");
    }
    idle.ended().await.expect("GOAWAY without an error");
    let summary = server.stopped().await;
    // Two sockets, and the two connections.
    assert_eq!((summary.told, summary.closed, summary.cut), (2, 4, 0), "{summary}");
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_its_sessions_to_come_back_to() {
    let server = start().await;
    let session_of_http2 = session(&server).await;
    let ann = peer(&server, &session_of_http2, "ann").await;
    let token = ann.session();
    drop((ann, session_of_http2));
    eventually("the link is gone", async || server.metric("trunkline_links").await == 0.0).await;
    let mut back = Peer::with_connect(&server, json!({ "session": token })).await;
    back.ok("ping", json!({})).await;
    assert_eq!(server.metric("trunkline_sessions_resumed_total").await, 1.0);
}

#[tokio::test]
async fn a_frame_that_breaks_a_rule_ends_its_socket_and_not_its_neighbour() {
    let server = start().await;
    let session = session(&server).await;
    let mut ann = peer(&server, &session, "ann").await;
    let url = WsUrl::parse(&format!("ws://{}/connect", server.address)).expect("a URL");
    let (mut bad, _) = within(session.open(&url, &ConnectOptions::default())).await.expect("the door opens");
    bad.write_all(&[0x81, 0x00]).await.expect("the server reads");
    let (first, reason) = raw::read_frame(&mut bad).await;
    assert_eq!((first, &reason[..2]), (0x88, &1002_u16.to_be_bytes()[..]), "an unmasked frame");
    ann.ok("ping", json!({})).await;
}
