//! The client of raw streams against servers that do as they like: what it checks, what it says to whom, and when it tries a
//! WebSocket.
#![cfg(feature = "stream")]

mod dial_support;

use std::net::SocketAddr;

use dial_support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trunkline_net::handshake::Rule;
use trunkline_net::stream::{Carrier, Connector, Stream};
use trunkline_net::{Acceptor, Error, Limits};

const SWITCHES: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: stream\r\nConnection: Upgrade\r\n";

async fn open(connector: &Connector, address: SocketAddr, path: &str) -> Result<Stream, Error> {
    let url = format!("ws://{address}{path}");
    timeout(HANG, connector.connect(&url)).await.expect("in time")
}

fn bare() -> Connector {
    Connector::default().carrier(Carrier::Upgrade)
}

#[tokio::test]
async fn a_mapped_path_is_asked_for_with_headers_and_ticket_and_bytes_behind_the_101_come_first() {
    let (address, heads) = answers(format!("{SWITCHES}\r\nbanner")).await;
    let way = trunkline_net::Connector::default().header("x-a", "1").origin("http://app.example");
    let mut stream = open(&Connector::new(way).ticket("t"), address, "/ssh?x").await.expect("open");
    let mut read = Vec::new();
    timeout(HANG, stream.read_to_end(&mut read)).await.expect("in time").expect("in order");
    assert_eq!(read, b"banner");
    let expected = format!(
        "GET /ssh?x HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: stream\r\n\
         Origin: http://app.example\r\nX-A: 1\r\nX-Auth-Token: t\r\n\r\n"
    );
    assert_eq!(heads.all(), [expected]);
    assert_eq!(stream.carrier(), Carrier::Upgrade);
    assert_eq!(stream.dialled().expect("open").peer_addr(), address);
}

#[tokio::test]
async fn an_answer_that_breaks_a_rule_is_refused_and_nothing_is_sent_after_it() {
    for (answer, rule) in [
        ("HTTP/1.1 101 x\r\nUpgrade: stream\r\n\r\n", Rule::UpgradeOption),
        ("HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n", Rule::UpgradeProtocol),
        ("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", Rule::UpgradeProtocol),
        ("HTTP/1.0 101 x\r\nConnection: Upgrade\r\nUpgrade: stream\r\n\r\n", Rule::HttpVersion),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Rule::NotSwitching),
        ("SSH-2.0-OpenSSH\r\n\r\n", Rule::HttpVersionUnknown),
    ] {
        let (address, _) = answers(answer).await;
        for path in ["/mapped", "/stream/echo"] {
            let error = open(&bare(), address, path).await.expect_err("a rule");
            let Error::Handshake(refused) = &error else { panic!("{answer:?}: {error}") };
            assert_eq!(refused.rejected.rule(), rule, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_101_with_broken_rules_is_tried_no_second_time() {
    let (address, heads) = answers("HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n").await;
    open(&Connector::default(), address, "/x").await.expect_err("a rule");
    assert_eq!(heads.all().len(), 1);
}

#[tokio::test]
async fn a_named_service_is_asked_for_quietly_and_a_stranger_learns_neither_name_nor_ticket() {
    let (address, heads) = answers(format!("{SWITCHES}\r\n")).await;
    let way = trunkline_net::Connector::default().header("cookie", "secret=1");
    let connector = Connector::new(way).ticket("hush");
    let error = open(&connector, address, "/stream/echo").await.expect_err("it does not say who it is");
    assert!(error.to_string().contains("does not say"), "{error}");
    let quiet = format!(
        "GET /.well-known/trunkline HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: stream\r\n\r\n"
    );
    assert_eq!(heads.all(), [quiet]);
}

/// A server that says who it is, takes the line, and answers it with this.
async fn quiet(answer: &'static [u8]) -> SocketAddr {
    serve(move |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        stream.write_all(format!("{SWITCHES}Trunkline: 1\r\n\r\n").as_bytes()).await.expect("taken");
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(stream.read_u8().await.expect("a line"));
        }
        assert_eq!(line, b"{\"service\":\"echo\",\"ticket\":\"t\"}\n");
        for byte in answer {
            stream.write_all(&[*byte]).await.expect("taken");
            tokio::task::yield_now().await;
        }
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[tokio::test]
async fn behind_the_answer_to_what_was_asked_the_bytes_are_the_services() {
    let address = quiet(b"{\"ok\": {}}\nSSH-2.0-x\r\n").await;
    let mut stream = open(&bare().ticket("t"), address, "/stream/echo").await.expect("open");
    let mut read = Vec::new();
    timeout(HANG, stream.read_to_end(&mut read)).await.expect("in time").expect("in order");
    assert_eq!(read, b"SSH-2.0-x\r\n");
}

#[tokio::test]
async fn what_the_server_says_of_a_service_is_told_and_garbage_is_an_error_without_a_second_try() {
    let address = quiet(b"{\"error\": {\"code\": \"forbidden\", \"message\": \"not you\"}}\n").await;
    let error = open(&Connector::default(), address, "/stream/echo?ticket=t").await.expect_err("refused");
    assert!(matches!(&error, Error::Service(refused) if refused.code == "forbidden"), "{error}");
    for garbage in [&b"HTTP/1.1 500 Oops\r\n\r\n"[..], b"", b"{\"ok\"", b"[]\n", &[b'x'; 5000]] {
        let address = quiet(garbage).await;
        let error = open(&Connector::default(), address, "/stream/echo?ticket=t").await.expect_err("garbage");
        assert!(matches!(error, Error::Dial(_)), "{error}");
    }
}

/// A path that lets only WebSockets through: an upgrade to a stream is answered with `refusal`.
async fn only_websockets(refusal: &'static str) -> SocketAddr {
    serve(move |mut stream: TcpStream| async move {
        let limits = Limits::default();
        let head = trunkline_net::http1::read_request(&mut stream, &limits).await.expect("a head");
        if head.request.headers()["upgrade"] != "websocket" {
            let _ = stream.write_all(refusal.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
            return;
        }
        let acceptor = Acceptor::default().subprotocol("stream.1");
        let socket = acceptor.accept_head(stream, head).await.expect("a WebSocket");
        let mut messages = trunkline_net::stream::Messages::new(socket);
        let mut read = Vec::new();
        messages.read_to_end(&mut read).await.expect("in order");
        messages.write_all(&read).await.expect("taken");
        messages.shutdown().await.expect("open");
    })
    .await
}

#[tokio::test]
async fn where_an_upgrade_does_not_pass_the_stream_rides_in_a_websocket_by_itself() {
    for refusal in [
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nServer: envoy\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 426 Upgrade Required\r\nTrunkline: 1\r\nContent-Length: 0\r\n\r\n",
        "",
    ] {
        let address = only_websockets(refusal).await;
        let mut stream = open(&Connector::default(), address, "/mapped").await.expect(refusal);
        assert_eq!(stream.carrier(), Carrier::WebSocket);
        stream.write_all(b"there and back").await.expect("taken");
        stream.shutdown().await.expect("open");
        let mut read = Vec::new();
        timeout(HANG, stream.read_to_end(&mut read)).await.expect("in time").expect("in order");
        assert_eq!(read, b"there and back");
        open(&bare(), address, "/mapped").await.expect_err("it was told to use nothing else");
    }
}

#[tokio::test]
async fn what_one_of_ours_says_of_the_service_is_an_answer() {
    for status in ["401 Unauthorized", "403 Forbidden", "404 Not Found", "429 Too Many", "502 Bad Gateway"] {
        let answer = format!("HTTP/1.1 {status}\r\nTrunkline: 1\r\nContent-Length: 0\r\n\r\n");
        let (address, heads) = answers(answer).await;
        open(&Connector::default(), address, "/x").await.expect_err(status);
        assert_eq!(heads.all().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_websocket_without_the_subprotocol_carries_no_stream() {
    let address = echo().await;
    let connector = Connector::default().carrier(Carrier::WebSocket);
    let error = open(&connector, address, "/x").await.expect_err("it speaks something else");
    assert!(
        matches!(&error, Error::Handshake(refused) if refused.rejected.rule() == Rule::NoSubprotocol),
        "{error}"
    );
}

#[tokio::test]
async fn a_redirect_is_followed_for_a_path_and_never_with_a_ticket_for_a_named_service() {
    let (there, heads) = answers(format!("{SWITCHES}Trunkline: 1\r\n\r\nhi")).await;
    let redirect = format!("HTTP/1.1 307 x\r\nLocation: http://{there}/there\r\nContent-Length: 0\r\n\r\n");
    let (address, _) = answers(redirect).await;
    let connector = Connector::new(trunkline_net::Connector::default().redirects(2)).ticket("hush");
    open(&connector, address, "/x").await.expect("redirected");
    let heads_there = heads.all();
    assert!(heads_there[0].starts_with("GET /there ") && !heads_there[0].contains("hush"), "{heads_there:?}");
    open(&connector, address, "/stream/echo").await.expect_err("a redirect is no answer");
    assert_eq!(heads.all().len(), 1);
}
