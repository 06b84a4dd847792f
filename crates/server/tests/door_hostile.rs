//! What strangers do to a door: smuggling, trickling, flooding.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use support::raw::{ask, dial, read_answer, rest, upgrade};
use support::{eventually, start, start_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_refused_upgrade_ends_the_connection_and_nothing_behind_it_is_read_as_a_request() {
    let server = start().await;
    let smuggled =
        format!("POST /api/v1/publish HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", server.address);
    let refused = [
        upgrade(server.address, "/connect", "Origin: https://evil.example\r\n"),
        upgrade(server.address, "/connect", "").replace("Version: 13", "Version: 8"),
        upgrade(server.address, "/connect", "").replace("Upgrade: websocket", "Upgrade: h2c"),
    ];
    for request in refused {
        for first in ["", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            let mut stream = dial(server.address).await;
            stream
                .write_all(format!("{first}{request}{smuggled}").as_bytes())
                .await
                .expect("the server reads");
            if !first.is_empty() {
                assert_eq!(read_answer(&mut stream).await.status, 200);
            }
            let answer = read_answer(&mut stream).await;
            assert!(answer.status >= 400, "{answer:?}");
            assert!(answer.header("connection").is_some_and(|value| value.contains("close")), "{answer:?}");
            assert_eq!(rest(&mut stream).await, "", "one answer, to the upgrade alone");
        }
    }
}

#[tokio::test]
async fn a_body_on_an_upgrade_is_refused_however_it_is_announced() {
    let server = start().await;
    for body in [
        "Content-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut stream = dial(server.address).await;
        let request = upgrade(server.address, "/connect", body) + "GET ";
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        assert_eq!(read_answer(&mut stream).await.status, 400, "{body}");
        assert_eq!(rest(&mut stream).await, "");
    }
}

#[tokio::test]
async fn a_head_that_two_readers_could_read_differently_is_refused_before_anybody_routes_it() {
    let server = start().await;
    for broken in [
        "GET /healthz HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /healthz HTTP/1.1\nHost: a\n\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "hello\r\n\r\n",
    ] {
        let answer = ask(server.address, broken).await;
        assert_eq!(answer.status, 400, "{broken:?}");
        assert_eq!(answer.header("trunkline"), Some(env!("CARGO_PKG_VERSION")));
    }
}

#[tokio::test]
async fn a_plain_request_without_one_host_or_with_a_body_of_two_ends_is_refused_first_or_later() {
    let server = start().await;
    let post = "POST /dev/ticket HTTP/1.1\r\nContent-Type: application/json\r\n";
    for broken in [
        "GET /healthz HTTP/1.1\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: a b@c\r\n\r\n".to_owned(),
        "GET http://elsewhere/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        format!("{post}Host: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Host: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ] {
        // hyper drops the length, goes by the chunks, and closes: later requests with both cannot be told from good ones.
        let both = broken.contains("Content-Length");
        for first in ["", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            if both && !first.is_empty() {
                continue;
            }
            let mut stream = dial(server.address).await;
            stream.write_all(format!("{first}{broken}").as_bytes()).await.expect("the server reads");
            if !first.is_empty() {
                assert_eq!(read_answer(&mut stream).await.status, 200);
            }
            let answer = read_answer(&mut stream).await;
            assert_eq!(answer.status, 400, "{broken:?}: {answer:?}");
            assert!(answer.header("trunkline").is_some() && answer.body.contains("RFC 9112"), "{answer:?}");
            assert_eq!(rest(&mut stream).await, "", "the connection is closed");
        }
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_has_one_deadline_for_all_of_it() {
    let server = start_with("limits.head_timeout_s = 0.3").await;
    let mut stream = dial(server.address).await;
    let (mut reading, mut writing) = stream.split();
    let trickle = async {
        // Ten times the deadline, and never silent for long.
        for byte in upgrade(server.address, "/connect", "").bytes().cycle().take(100) {
            if writing.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        panic!("the server went on reading");
    };
    let answer = async {
        let mut answer = String::new();
        let _ = reading.read_to_string(&mut answer).await;
        answer
    };
    let answer = tokio::select! { answer = answer => answer, () = trickle => String::new() };
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    eventually("the slow head is counted", || async {
        server.metric("trunkline_rejected_total").await >= 1.0
    })
    .await;
}

#[tokio::test]
async fn a_kept_alive_connection_that_asks_nothing_more_is_closed() {
    let server = start_with("limits.head_timeout_s = 0.2").await;
    let mut stream = dial(server.address).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 200);
    rest(&mut stream).await;
}

#[tokio::test]
async fn a_head_with_too_many_bytes_or_fields_is_answered_431() {
    let server = start().await;
    let long = upgrade(server.address, "/connect", &format!("X-Long: {}\r\n", "x".repeat(20_000)));
    let many = upgrade(server.address, "/connect", &"X-Many: 1\r\n".repeat(200));
    for request in [long, many] {
        let mut stream = dial(server.address).await;
        // The answer may come before all of it is written.
        let _ = stream.write_all(request.as_bytes()).await;
        assert_eq!(read_answer(&mut stream).await.status, 431);
    }
}

#[tokio::test]
async fn one_connection_too_many_is_answered_503_and_admitted_once_another_has_gone() {
    let server = start_with("limits.connections = 2").await;
    let first = dial(server.address).await;
    let _second = dial(server.address).await;
    let third = turned_away(server.address).await;
    assert_eq!(third, 503);
    drop(first);
    eventually("there is room again", || async { turned_away(server.address).await == 200 }).await;
}

/// The status that a connection gets which asks for `/healthz`.
async fn turned_away(address: SocketAddr) -> u16 {
    let mut stream = dial(address).await;
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    read_answer(&mut stream).await.status
}
