//! The graceful stop: in what order it happens, and what it does to whom.

mod support;

use serde_json::json;
use support::peer::Peer;
use support::raw::{dial, read_answer, rest, upgrade};
use support::{start, start_with};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn every_peer_is_told_to_go_away_then_disconnected_and_closed_with_1001() {
    let mut server = start().await;
    let mut peers = vec![Peer::connect(&server, "ann").await, Peer::connect(&server, "bob").await];
    server.begin_stop();
    for peer in &mut peers {
        let (words, closed) = peer.end().await;
        assert_eq!(words.len(), 2, "{words:?}");
        assert_eq!(words[0]["go_away"]["code"], "unavailable", "{words:?}");
        assert_eq!(words[1]["disconnect"]["code"], "unavailable", "{words:?}");
        assert_eq!(words[1]["disconnect"]["reconnect"], true, "{words:?}");
        assert_eq!(closed.code, 1001, "{closed}");
    }
    let summary = server.stopped().await;
    assert_eq!((summary.told, summary.closed, summary.cut), (2, 2, 0), "{summary}");
}

#[tokio::test]
async fn nobody_comes_in_any_more_and_idle_http_connections_end() {
    let mut server = start().await;
    let address = server.address;
    let mut idle = dial(address).await;
    idle.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("the server reads");
    assert_eq!(read_answer(&mut idle).await.status, 200);
    let mut silent = dial(address).await;
    let summary = server.stop().await;
    assert_eq!(summary.cut, 0, "{summary}");
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut silent).await, "");
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn while_it_stops_it_is_not_ready_and_takes_no_new_clients() {
    let mut server = start_with("stop.timeout_s = 3").await;
    // A client that does not answer the Close holds the stop open.
    let mut held = dial(server.address).await;
    held.write_all(upgrade(server.address, "/connect", "").as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut held).await.status, 101);
    // A request that is under way when the stop begins is answered.
    let mut asking = dial(server.address).await;
    asking
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\n")
        .await
        .expect("the server reads");
    assert_eq!(read_answer(&mut asking).await.status, 200);
    let mut upgrading = dial(server.address).await;
    upgrading
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\nGET /connect HTTP/1.1\r\n")
        .await
        .expect("the server reads");
    assert_eq!(read_answer(&mut upgrading).await.status, 200);
    server.begin_stop();
    let (goodbye, _) = support::raw::read_frame(&mut held).await;
    assert_eq!(goodbye, 0x81, "the stop has begun");
    if asking.write_all(b"Host: a\r\n\r\n").await.is_ok() {
        let answer = rest(&mut asking).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    let rest_of_upgrade = upgrade(server.address, "/connect", "").replace("GET /connect HTTP/1.1\r\n", "");
    if upgrading.write_all(rest_of_upgrade.as_bytes()).await.is_ok() {
        let answer = rest(&mut upgrading).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_client_that_does_not_take_its_leave_is_cut_in_bounded_time() {
    let mut server = start_with("stop.timeout_s = 0.2").await;
    let mut stream = dial(server.address).await;
    stream.write_all(upgrade(server.address, "/connect", "").as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 101);
    let summary = server.stop().await;
    assert_eq!((summary.told, summary.closed, summary.cut), (1, 0, 1), "{summary}");
}

#[tokio::test]
async fn a_server_that_is_dropped_cuts_its_connections() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("ping", json!({})).await;
    drop(server);
    let ended = support::within(ann.socket.recv()).await;
    assert!(matches!(ended, None | Some(Err(_))), "{ended:?}");
}
