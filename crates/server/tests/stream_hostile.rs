//! The stream door against garbage, trickles, cuts at every byte, and what must not be read as a request; and over HTTP/2 and TLS.

mod support;

use support::http2::{Client, connect};
use support::stream::{echoes, expect, head, open, request, rest};
use support::{Running, eventually, raw, start, start_with, tls, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trunkline_net::handshake::ConnectOptions;
use trunkline_net::http2::{Http2Limits, Session};
use trunkline_net::stream::{Carrier, Connector, Messages};
use trunkline_net::url::WsUrl;
use trunkline_net::{Limits, Role, WebSocket, random_mask};

const QUIET: &str = "/.well-known/trunkline";

async fn nobody_is_left(server: &Running) {
    eventually("all streams have ended", async || server.metric("trunkline_streams").await == 0.0).await;
}

#[tokio::test]
async fn what_looks_like_a_request_is_bytes_like_any_other() {
    let server = start().await;
    let smuggled = b"GET /api/v1/node HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer y\r\n\r\n";
    let mut stream = open(&server, "/stream/echo", "", smuggled).await;
    expect(&mut stream, smuggled).await;
    stream.shutdown().await.expect("open");
    assert_eq!(rest(&mut stream).await, b"");
}

#[tokio::test]
async fn nothing_behind_a_refused_request_is_read_as_another() {
    let server = start().await;
    let mut stream = raw::dial(server.address).await;
    let refused = request(&server, "/stream/nothing", "");
    let behind = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    stream.write_all(format!("{refused}{behind}").as_bytes()).await.expect("taken");
    let all = String::from_utf8(rest(&mut stream).await).expect("text");
    assert!(all.starts_with("HTTP/1.1 404 ") && !all.contains("HTTP/1.1 200"), "{all}");
}

#[tokio::test]
async fn a_client_that_leaves_after_any_byte_leaves_nothing_behind() {
    let server = start().await;
    let whole = [request(&server, QUIET, "").as_bytes(), b"{\"service\":\"echo\"}\nbytes"].concat();
    for cut in (0..=whole.len()).step_by(3) {
        let mut stream = raw::dial(server.address).await;
        stream.write_all(&whole[..cut]).await.expect("taken");
        drop(stream);
    }
    nobody_is_left(&server).await;
    eventually("no connection is left but ours", async || {
        server.metric("trunkline_connections").await <= 1.0
    })
    .await;
    echoes(&mut open(&server, "/stream/echo", "", b"").await, b"x").await;
}

#[tokio::test]
async fn a_request_that_comes_a_byte_at_a_time_is_one() {
    let server = start().await;
    let mut stream = raw::dial(server.address).await;
    for byte in request(&server, "/stream/echo", "").bytes() {
        stream.write_all(&[byte]).await.expect("taken");
    }
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    echoes(&mut stream, b"x").await;
}

#[tokio::test]
async fn a_quiet_client_that_says_nothing_is_told_and_ended_in_time() {
    let server = start_with("limits.connect_timeout_s = 0.2").await;
    let mut stream = open(&server, QUIET, "", b"{\"service\"").await;
    let said = String::from_utf8(rest(&mut stream).await).expect("text");
    assert!(said.contains("\"unauthenticated\"") && said.ends_with('\n'), "{said}");
}

#[tokio::test]
async fn a_reader_that_stops_keeps_an_echo_from_taking_more_and_others_from_nothing() {
    let server = start().await;
    let mut stalled = open(&server, "/stream/echo", "", b"").await;
    let flood = vec![1; 1 << 20];
    let mut taken = 0;
    // What it takes is what the kernel holds each way, and 64 KiB.
    while let Ok(Ok(count)) =
        tokio::time::timeout(std::time::Duration::from_millis(300), stalled.write(&flood)).await
    {
        taken += count;
        assert!(taken < 64 << 20, "it takes without end");
    }
    echoes(&mut open(&server, "/stream/echo", "", b"").await, b"others").await;
    let mut read = vec![0; taken];
    within(stalled.read_exact(&mut read)).await.expect("all of it comes back");
}

#[tokio::test]
async fn a_reader_that_stops_for_longer_than_a_heartbeat_loses_nothing_by_either_carrier() {
    let server = start_with("[heartbeat]\ninterval_s = 0.05\ntimeout_s = 0.05").await;
    for carrier in [Carrier::Upgrade, Carrier::WebSocket] {
        let url = format!("ws://{}/stream/echo", server.address);
        let opened = within(Connector::default().carrier(carrier).connect(&url)).await.expect("open");
        let (mut reader, mut writer) = tokio::io::split(opened);
        const ALL: usize = 12 << 20;
        let writing = tokio::spawn(async move {
            writer.write_all(&vec![5; ALL]).await.expect("taken");
            writer.shutdown().await.expect("open");
        });
        // Longer than twenty heartbeats with their answers.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let mut read = Vec::new();
        within(reader.read_to_end(&mut read)).await.expect("in order");
        within(writing).await.expect("no panic");
        assert!(read.len() == ALL, "{carrier:?}: {} bytes came", read.len());
    }
}

#[tokio::test]
async fn garbage_in_a_websocket_ends_it_by_its_rule_and_text_by_1003() {
    let server = start().await;
    let connector = trunkline_net::Connector::default().subprotocol("stream.1");
    let mut socket =
        within(connector.connect(&format!("ws://{}/stream/echo", server.address))).await.expect("open");
    socket.send("text").await.expect("taken");
    assert!(within(socket.recv()).await.is_none());
    let closed = socket.closed().expect("an end").clone();
    assert_eq!(closed.code, 1003, "{closed}");
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn over_http2_a_stream_comes_as_itself_or_in_a_websocket_beside_others() {
    let server = start().await;
    let stream = raw::dial(server.address).await;
    let session = within(Session::start(stream, &Http2Limits::default())).await.expect("HTTP/2");
    let url = WsUrl::parse(&format!("ws://{}/stream/echo", server.address)).expect("a URL");
    let options = ConnectOptions {
        subprotocols: vec!["stream.1".into()],
        require_subprotocol: true,
        ..ConnectOptions::default()
    };
    for _ in 0..3 {
        let (stream, _) = within(session.open(&url, &options)).await.expect("it comes in");
        let role = Role::Client(random_mask);
        let mut messages =
            Messages::new(WebSocket::from_upgraded(stream, bytes::Bytes::new(), role, Limits::default()));
        echoes(&mut messages, b"in messages").await;
        messages.shutdown().await.expect("open");
        assert_eq!(rest(&mut messages).await, b"");
    }
}

#[tokio::test]
async fn over_http2_the_protocol_stream_is_bare_and_others_are_told_what_is_served() {
    let server = start().await;
    let (mut send, connection) =
        within(h2::client::handshake(raw::dial(server.address).await)).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    eventually("extended CONNECT is allowed", async || send.is_extended_connect_protocol_enabled()).await;
    let url = format!("http://{}/stream/echo", server.address);
    within(std::future::poll_fn(|cx| send.poll_ready(cx))).await.expect("ready");
    let (answer, mut up) = send.send_request(connect(&url, Some("stream"), &[]), false).expect("open");
    let answer = within(answer).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    up.send_data("bare bytes".into(), true).expect("taken");
    let mut down = answer.into_body();
    let mut heard = Vec::new();
    while let Some(data) = within(down.data()).await {
        heard.extend_from_slice(&data.expect("in order"));
    }
    assert_eq!(heard, b"bare bytes");
    driver.abort();
    let client = Client::start(raw::dial(server.address).await).await;
    let other = client.ask(connect(&url, Some("other"), &[]), "").await.expect("an answer");
    assert_eq!(other.status(), 501, "{}", other.body());
    let plain = client.get(&url).await;
    assert_eq!(plain.status(), 400, "{}", plain.body());
    assert!(plain.body().contains("Upgrade: stream"));
}

#[tokio::test]
async fn over_tls_both_carriers_come_in_and_the_end_is_told_by_close_notify() {
    let (authority, server) = tls::start("").await;
    for carrier in [Carrier::Upgrade, Carrier::WebSocket] {
        let way = trunkline_net::Connector::default().tls(authority.client());
        let connector = Connector::new(way).carrier(carrier);
        let url = format!("https://localhost:{}/stream/echo", server.address.port());
        let mut opened = within(connector.connect(&url)).await.expect("open");
        assert!(opened.dialled().expect("open").is_tls());
        echoes(&mut opened, b"secret").await;
        opened.shutdown().await.expect("open");
        assert_eq!(rest(&mut opened).await, b"", "{carrier:?}");
    }
}

#[tokio::test]
async fn many_idle_streams_wait_at_once_and_each_still_answers() {
    let server = start().await;
    let mut streams: Vec<TcpStream> = Vec::new();
    for _ in 0..200 {
        streams.push(open(&server, "/stream/echo", "", b"").await);
    }
    assert_eq!(server.metric("trunkline_streams").await, 200.0);
    for stream in &mut streams {
        echoes(stream, b"here").await;
    }
    drop(streams);
    nobody_is_left(&server).await;
}
