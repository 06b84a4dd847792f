//! A listener with TLS: what is served over it, which certificate is shown, how it changes, and who is turned away.

mod support;

use serde_json::json;
use support::peer::Peer;
use support::raw::{self, ask, read_answer, rest, upgrade};
use support::tls::{self, Authority, leaf_of};
use support::{Running, eventually, start_with, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trunkline_net::Connector;
use trunkline_net::tls::{ClientStream, ClientTls, Failure, TlsError};

type Stream = ClientStream<TcpStream>;

async fn dial(server: &Running, client: &ClientTls) -> Stream {
    tls::dial(server, client, "localhost").await.expect("a handshake")
}

async fn get(stream: &mut Stream, path: &str, more: &str) -> raw::Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    read_answer(stream).await
}

/// Comes in with a ticket, over TLS.
async fn peer(server: &Running, client: &ClientTls, user: &str) -> Peer<Stream> {
    let url =
        format!("wss://localhost:{}/connect?ticket={}", server.address.port(), server.ticket(user).await);
    let (connector, stream) = (Connector::default(), dial(server, client).await);
    let socket = within(connector.handshake(stream, &url)).await.expect("the door opens");
    Peer::over(socket).await
}

/// Which certificate is shown to a client that asks for `host`.
async fn shown(server: &Running, client: &ClientTls, host: &str) -> Vec<u8> {
    let stream = tls::dial(server, client, host).await.expect("a handshake");
    stream.peer_certificates().expect("a certificate")[0].to_vec()
}

#[tokio::test]
async fn pages_and_the_door_are_served_over_tls_and_the_dialect_flows() {
    let (authority, server) = tls::start("").await;
    let client = authority.client();
    let mut stream = dial(&server, &client).await;
    assert_eq!(stream.alpn(), Some(&b"http/1.1"[..]));
    let page = get(&mut stream, "/", "").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("strict-transport-security"), None, "that is for whoever owns the name to decide");
    // An upgrade on the connection that hyper has kept alive.
    stream.write_all(upgrade(server.address, "/connect", "").as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 101);

    let mut ann = peer(&server, &client, "ann").await;
    let mut bob = peer(&server, &client, "bob").await;
    bob.ok("subscribe", json!({ "channel": "room:1" })).await;
    ann.ok("publish", json!({ "channel": "room:1", "data": "x".repeat(50_000) })).await;
    let push = bob.push().await;
    assert_eq!(push["pub"]["data"].as_str().map(str::len), Some(50_000));
    assert_eq!(server.metric_of("trunkline_tls_handshakes_total", "outcome=\"ok\"").await, 3.0);
    assert_eq!(server.metric_of("trunkline_websockets", "http=\"1.1\"").await, 3.0);
}

#[tokio::test]
async fn a_client_that_speaks_no_alpn_gets_http_1_1() {
    let (authority, server) = tls::start("").await;
    let mut stream = dial(&server, &authority.client().alpn(&[])).await;
    assert_eq!(stream.alpn(), None);
    assert_eq!(get(&mut stream, "/", "").await.status, 200);
}

#[tokio::test]
async fn dev_tickets_are_for_pages_of_the_https_origin_alone() {
    let (authority, server) = tls::start("").await;
    let host = format!("localhost:{}", server.address.port());
    for (scheme, status) in [("https", 200), ("http", 403)] {
        let mut stream = dial(&server, &authority.client()).await;
        let body = json!({ "user": "ann" }).to_string();
        let request = format!(
            "POST /dev/ticket HTTP/1.1\r\nHost: {host}\r\nOrigin: {scheme}://{host}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        assert_eq!(read_answer(&mut stream).await.status, status, "{scheme}");
    }
}

#[tokio::test]
async fn over_tls_a_page_that_came_without_it_is_of_another_origin() {
    let (authority, server) = tls::start("").await;
    for (scheme, status) in [("https", 101), ("http", 403)] {
        let mut stream = dial(&server, &authority.client()).await;
        let origin = format!("Origin: {scheme}://{}\r\n", server.address);
        stream
            .write_all(upgrade(server.address, "/connect", &origin).as_bytes())
            .await
            .expect("the server reads");
        assert_eq!(read_answer(&mut stream).await.status, status, "{scheme}");
    }
}

#[tokio::test]
async fn each_name_gets_its_certificate_and_all_others_the_first() {
    let authority = Authority::new();
    authority.issue("first", &["first.example", "127.0.0.1"]);
    authority.issue("second", &["second.example"]);
    let server = start_with(&authority.toml(&["first", "second"], "")).await;
    let client = authority.client();
    let leaf = |name: &str| leaf_of(&authority.path(name));
    assert_eq!(shown(&server, &client, "first.example").await, leaf("first.pem"));
    assert_eq!(shown(&server, &client, "second.example").await, leaf("second.pem"));
    assert_eq!(shown(&server, &client, "127.0.0.1").await, leaf("first.pem"), "an address is no name");
    let wrong = tls::dial(&server, &client, "third.example").await.expect_err("it is for another name");
    assert!(wrong.to_string().contains("first.example"), "{wrong}");
}

#[tokio::test]
async fn certificates_that_change_are_shown_to_new_connections_and_cut_no_old_one() {
    let authority = Authority::new();
    authority.issue("server", &["localhost"]);
    let server = start_with(&authority.toml(&["server"], "reload_s = 0.05")).await;
    let client = authority.client();
    let mut ann = peer(&server, &client, "ann").await;
    let before = shown(&server, &client, "localhost").await;
    authority.issue("server", &["localhost"]);
    let after = leaf_of(&authority.path("server.pem"));
    assert_ne!(before, after);
    eventually("the new certificate is shown", async || shown(&server, &client, "localhost").await == after)
        .await;
    ann.ok("ping", json!({})).await;
    assert_eq!(server.metric_of("trunkline_tls_reloads_total", "outcome=\"ok\"").await, 1.0);

    // Half a change is none.
    authority.write("server.key", "nothing\n");
    eventually("the failure is counted", async || {
        server.metric_of("trunkline_tls_reloads_total", "outcome=\"failed\"").await > 0.0
    })
    .await;
    assert_eq!(shown(&server, &client, "localhost").await, after);
    ann.ok("ping", json!({})).await;
}

#[tokio::test]
async fn certificates_are_read_again_when_asked() {
    let authority = Authority::new();
    authority.issue("server", &["localhost"]);
    let server = start_with(&authority.toml(&["server"], "reload_s = 0")).await;
    let reloader = server.reloader.clone().expect("there are certificates");
    authority.issue("server", &["localhost"]);
    let after = leaf_of(&authority.path("server.pem"));
    assert_ne!(shown(&server, &authority.client(), "localhost").await, after, "nobody has asked yet");
    reloader.reload();
    assert_eq!(shown(&server, &authority.client(), "localhost").await, after);
    assert_eq!(server.metric_of("trunkline_tls_reloads_total", "outcome=\"ok\"").await, 1.0);
    assert!(server.metric("trunkline_tls_certificate_expiry_timestamp_seconds").await > 1.7e9);
}

#[tokio::test]
async fn where_clients_have_to_show_a_certificate_nobody_comes_in_without_a_good_one() {
    let authority = Authority::new();
    authority.issue("server", &["localhost"]);
    authority.issue("client", &["client.example"]);
    let more = format!("client = \"required\"\nclient_ca = {:?}", authority.path("ca.pem"));
    let server = start_with(&authority.toml(&["server"], &more)).await;
    let without = authority.client();
    // In TLS 1.3 a client learns of its refusal with the first byte that it reads.
    let refused = match tls::dial(&server, &without, "localhost").await {
        Ok(mut stream) => within(stream.read_u8()).await.expect_err("an alert").to_string(),
        Err(error) => error.to_string(),
    };
    assert!(refused.contains("certificate"), "{refused}");
    eventually("it is counted", async || {
        server.metric_of("trunkline_tls_handshakes_total", "outcome=\"no_certificate\"").await == 1.0
    })
    .await;

    let with =
        authority.client().client_certificate(authority.path("client.pem"), authority.path("client.key"));
    let mut ann = peer(&server, &with.expect("a certificate"), "ann").await;
    ann.ok("ping", json!({})).await;
}

#[tokio::test]
async fn plain_http_on_a_port_with_tls_is_told_so() {
    let (_authority, server) = tls::start("").await;
    let answer = ask(server.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("https://"), "{}", answer.body);
    assert_eq!(server.metric_of("trunkline_tls_handshakes_total", "outcome=\"not_tls\"").await, 1.0);
}

#[tokio::test]
async fn what_is_neither_tls_nor_http_is_closed() {
    let (_authority, server) = tls::start("").await;
    let mut stream = raw::dial(server.address).await;
    stream.write_all(&[0; 64]).await.expect("the server reads");
    let mut bytes = Vec::new();
    let _ = within(stream.read_to_end(&mut bytes)).await;
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
    eventually("it is counted", async || {
        server.metric_of("trunkline_tls_handshakes_total", "outcome=\"not_tls\"").await == 1.0
    })
    .await;
}

#[tokio::test]
async fn a_handshake_that_is_not_done_in_time_is_cut() {
    let (_authority, server) = tls::start("[limits]\nhead_timeout_s = 0.1").await;
    let mut silent = raw::dial(server.address).await;
    let mut slow = raw::dial(server.address).await;
    // The beginning of a record that never comes.
    slow.write_all(&[0x16, 0x03, 0x01]).await.expect("the server reads");
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut slow).await, "");
    assert_eq!(server.metric_of("trunkline_tls_handshakes_total", "outcome=\"too_slow\"").await, 2.0);
}

#[tokio::test]
async fn a_head_over_tls_has_its_own_time() {
    let (authority, server) = tls::start("[limits]\nhead_timeout_s = 0.1").await;
    let mut stream = dial(&server, &authority.client()).await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 408);
}

#[tokio::test]
async fn a_stop_cuts_handshakes_and_says_goodbye_to_peers() {
    let (authority, mut server) = tls::start("").await;
    let mut half = raw::dial(server.address).await;
    half.write_all(&[0x16]).await.expect("the server reads");
    let mut ann = peer(&server, &authority.client(), "ann").await;
    server.begin_stop();
    let (words, closed) = ann.end().await;
    assert_eq!(words.len(), 2, "{words:?}");
    assert_eq!(closed.code, 1001, "{closed}");
    assert_eq!(rest(&mut half).await, "");
    let summary = server.stopped().await;
    assert_eq!((summary.told, summary.cut), (1, 0), "{summary}");
}

#[tokio::test]
async fn a_connection_too_many_is_closed_before_its_handshake() {
    let (authority, server) = tls::start("[limits]\nconnections = 1").await;
    let held = dial(&server, &authority.client()).await;
    let refused = tls::dial(&server, &authority.client(), "localhost").await.expect_err("there is no room");
    let ended = matches!(&refused, TlsError::Failed { why: Failure::Ended | Failure::Io(_), .. });
    assert!(ended, "{refused}");
    drop(held);
    eventually("room again", async || tls::dial(&server, &authority.client(), "localhost").await.is_ok())
        .await;
    // Of the scrapes themselves some may have been refused before.
    eventually("room for a scrape", async || server.metric("trunkline_rejected_total").await >= 1.0).await;
}

#[tokio::test]
async fn the_end_of_a_connection_is_told_in_tls() {
    let (authority, server) = tls::start("").await;
    let mut stream = dial(&server, &authority.client()).await;
    stream.write_all(b"GET /connect HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("the server reads");
    let mut answer = String::new();
    // A stream that ended without a close_notify is an error here.
    within(stream.read_to_string(&mut answer)).await.expect("a clean end");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn a_unix_socket_beside_it_stays_without_tls() {
    let authority = Authority::new();
    authority.issue("server", &["localhost"]);
    let path = authority.path("doors.sock");
    let toml =
        format!("[listen]\naddress = \"127.0.0.1:0\"\nunix = {path:?}\n{}", authority.toml(&["server"], ""));
    let server = start_with(&toml).await;
    let url = format!("ws://localhost/connect?ticket={}", server.ticket("ann").await);
    let socket = within(Connector::default().connect_unix(&path, &url)).await.expect("the door opens");
    let mut ann = Peer::over(socket).await;
    ann.ok("ping", json!({})).await;
}
