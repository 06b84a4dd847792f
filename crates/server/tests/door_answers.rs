//! The answer table of docs/protocol.md for `/connect`: one test a row, each asked twice over: as the first request of a
//! connection, which the server reads itself, and as the second, which hyper reads.

mod support;

use std::net::SocketAddr;

use support::raw::{self, ACCEPT, Answer, KEY, ask, dial, read_answer, rest, upgrade};
use support::{Running, start};
use tokio::io::AsyncWriteExt;

/// Asks as the first request, and again after another one on a kept-alive connection. Both answers have to be the same, and the connection
/// has to end with each of them.
async fn ask_both_ways(server: &Running, request: &str) -> Answer {
    let first = ask(server.address, request).await;
    let second = ask_second(server.address, request).await;
    assert_eq!(first.status, second.status, "{first:?} {second:?}");
    assert_eq!(first.body, second.body);
    for name in ["connection", "upgrade", "sec-websocket-version", "trunkline"] {
        assert_eq!(first.header(name), second.header(name), "{name}");
    }
    assert_eq!(first.header("trunkline"), Some(env!("CARGO_PKG_VERSION")));
    first
}

async fn ask_second(address: SocketAddr, request: &str) -> Answer {
    let mut stream = dial(address).await;
    let healthz = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(healthz.as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 200);
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let answer = read_answer(&mut stream).await;
    assert_eq!(rest(&mut stream).await, "", "the connection ends with the refusal");
    answer
}

fn get(server: &Running, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", server.address)
}

#[tokio::test]
async fn a_plain_get_is_answered_400_and_told_the_ways_in() {
    let server = start().await;
    let answer = ask_both_ways(&server, &get(&server, "/connect", "Connection: close\r\n")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("Upgrade: websocket"), "{}", answer.body);
}

#[tokio::test]
async fn options_without_an_upgrade_is_answered_426_and_told_what_to_upgrade_to() {
    let server = start().await;
    let request = format!("OPTIONS / HTTP/1.1\r\nHost: {}\r\nX-Auth-Token: x\r\n\r\n", server.address);
    let answer = ask_both_ways(&server, &request).await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), Some("firepresence, hub-lines, websocket"));
    assert!(answer.body.contains("websocket"), "the body says it too, for headers get lost: {}", answer.body);
}

#[tokio::test]
async fn an_upgrade_to_what_is_not_served_is_answered_400_and_told_what_is() {
    let server = start().await;
    for token in ["h2c", "stream", "trunk/1", "hub-lines/2", "h2c, stream", "websocketx"] {
        let answer = ask_both_ways(
            &server,
            &get(&server, "/connect", &format!("Upgrade: {token}\r\nConnection: Upgrade\r\n")),
        )
        .await;
        assert_eq!(answer.status, 400, "{token}");
        assert!(
            answer.body.contains("served is: firepresence, hub-lines, websocket"),
            "{token}: {}",
            answer.body
        );
    }
    let options = format!(
        "OPTIONS / HTTP/1.1\r\nHost: {}\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n",
        server.address
    );
    assert_eq!(ask_both_ways(&server, &options).await.status, 400);
}

#[tokio::test]
async fn a_websocket_of_another_or_no_version_is_answered_426_and_told_13() {
    let server = start().await;
    let head = format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n");
    let old_draft =
        "Upgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key1: 1 2\r\nSec-WebSocket-Key2: 3 4\r\n";
    for more in [
        head.clone(),
        format!("{head}Sec-WebSocket-Version: 8\r\n"),
        format!("{head}Sec-WebSocket-Version: 14\r\n"),
        old_draft.into(),
    ] {
        let answer = ask_both_ways(&server, &get(&server, "/connect", &more)).await;
        assert_eq!(answer.status, 426, "{more}");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        assert!(answer.body.contains("13"), "the body says it in words: {}", answer.body);
    }
}

#[tokio::test]
async fn any_other_broken_rule_is_answered_400_and_named() {
    let server = start().await;
    let good = upgrade(server.address, "/connect", "");
    let broken = [
        (good.replace(&format!("Sec-WebSocket-Key: {KEY}\r\n"), ""), "Sec-WebSocket-Key"),
        (good.replace(KEY, "c2hvcnQ="), "Sec-WebSocket-Key"),
        (good.replace("Connection: Upgrade\r\n", "Connection: close\r\n"), "Connection"),
        (
            good.replace(
                "Sec-WebSocket-Version: 13\r\n",
                "Sec-WebSocket-Version: 13\r\nContent-Length: 5\r\n",
            ),
            "body",
        ),
        (good.replace("GET /connect", "OPTIONS /connect"), "method"),
        (
            good.replace(
                "Sec-WebSocket-Version: 13\r\n",
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a,,b c\r\n",
            ),
            "Sec-WebSocket-Protocol",
        ),
    ];
    for (request, rule) in broken {
        let answer = ask_both_ways(&server, &request).await;
        assert_eq!(answer.status, 400, "{request}");
        assert!(answer.body.contains(rule), "{rule} is named: {}", answer.body);
    }
    let http_1_0 = ask(server.address, &good.replace("HTTP/1.1", "HTTP/1.0")).await;
    assert_eq!(http_1_0.status, 400);
}

#[tokio::test]
async fn a_page_of_another_origin_is_answered_403() {
    let server = start().await;
    let request = upgrade(server.address, "/connect", "Origin: https://evil.example\r\n");
    let answer = ask_both_ways(&server, &request).await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("Origin"), "{}", answer.body);
}

#[tokio::test]
async fn subprotocols_that_are_not_spoken_are_answered_400_and_told_ours() {
    let server = start().await;
    let request = upgrade(server.address, "/connect", "Sec-WebSocket-Protocol: mqtt, stomp\r\n");
    let answer = ask_both_ways(&server, &request).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("hub.json.1"), "{}", answer.body);
}

#[tokio::test]
async fn a_good_upgrade_is_answered_101_and_the_subprotocol_only_if_it_was_offered() {
    let server = start().await;
    for (offer, chosen) in [("", None), ("Sec-WebSocket-Protocol: mqtt, hub.json.1\r\n", Some("hub.json.1"))]
    {
        for healthz_first in [false, true] {
            let mut stream = dial(server.address).await;
            if healthz_first {
                let healthz = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
                stream.write_all(healthz.as_bytes()).await.expect("the server reads");
                assert_eq!(read_answer(&mut stream).await.status, 200);
            }
            stream
                .write_all(upgrade(server.address, "/connect", offer).as_bytes())
                .await
                .expect("the server reads");
            let answer = read_answer(&mut stream).await;
            assert_eq!(answer.status, 101, "{answer:?}");
            assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
            assert_eq!(answer.header("sec-websocket-protocol"), chosen);
            assert_eq!(answer.header("trunkline"), Some(env!("CARGO_PKG_VERSION")));
        }
    }
}

#[tokio::test]
async fn a_connection_that_hyper_gave_back_carries_the_dialect_from_the_first_byte() {
    let server = start().await;
    let ticket = server.ticket("ann").await;
    let mut stream = dial(server.address).await;
    let healthz = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    stream.write_all(healthz.as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 200);
    let mut request = upgrade(server.address, &format!("/connect?ticket={ticket}"), "").into_bytes();
    // A frame right behind the request: hyper has read it by the time it gives the stream back.
    request.extend(raw::frame(r#"{"id":1,"ping":{}}"#));
    stream.write_all(&request).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 101);
    let (opcode, connected) = raw::read_frame(&mut stream).await;
    assert_eq!(opcode, 0x81);
    assert!(connected.starts_with(br#"{"connected":"#), "{}", String::from_utf8_lossy(&connected));
    let (_, pong) = raw::read_frame(&mut stream).await;
    assert!(pong.starts_with(br#"{"id":1,"ok":"#), "{}", String::from_utf8_lossy(&pong));
}

#[tokio::test]
async fn expect_continue_is_answered_before_the_101() {
    let server = start().await;
    let mut stream = dial(server.address).await;
    let request = upgrade(server.address, "/connect", "Expect: 100-continue\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 100);
    assert_eq!(read_answer(&mut stream).await.status, 101);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_a_way_in_and_its_peers_have_no_address() {
    let path = std::env::temp_dir().join(format!("trunkline-door-{}.sock", std::process::id()));
    let toml = format!("[listen]\naddress = \"127.0.0.1:0\"\nunix = {path:?}");
    let server = support::start_with(&toml).await;
    let ticket = server.ticket("ann").await;
    let url = format!("ws://localhost/connect?ticket={ticket}");
    let connector = trunkline_net::Connector::default().subprotocol("hub.json.1");
    let mut socket = connector.connect_unix(&path, &url).await.expect("the door opens");
    let connected = support::within(socket.recv()).await.expect("a push").expect("no error");
    assert!(connected.as_text().is_some_and(|text| text.starts_with(r#"{"connected":"#)));
    let (_, sessions) = server.get("sessions?user=ann").await;
    assert!(sessions["sessions"][0]["address"].is_null(), "{sessions}");
}
