//! Limits of net that count seconds, bytes or places: what has exactly as much passes, one more does not.

mod common;

use std::time::Duration;

use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{sleep, timeout};
use trunkline_net::{Connector, Error, Limits, accept};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const MILLISECOND: Duration = Duration::from_millis(1);

fn handshake_timeout() -> Duration {
    Limits::default().handshake_timeout.expect("there is one")
}

/// Accepts where the last byte of the request comes after `time`.
async fn accepted_after(time: Duration) -> Result<(), Error> {
    let (stream, mut raw) = duplex(4096);
    let asking = tokio::spawn(async move {
        let (most, last) = REQUEST.as_bytes().split_at(REQUEST.len() - 1);
        write(&mut raw, most).await;
        sleep(time).await;
        // The other end may have gone.
        let _ = raw.write_all(last).await;
        raw
    });
    let accepted = accept(stream).await.map(drop);
    drop(asking.await.expect("no panic"));
    accepted
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_whole_in_time_is_accepted_and_one_that_is_not_has_timed_out() {
    accepted_after(handshake_timeout() - MILLISECOND).await.expect("in time");
    let late = accepted_after(handshake_timeout() + MILLISECOND).await.expect_err("too late");
    assert!(matches!(late, Error::TimedOut(_)), "{late}");
}

async fn read_request(raw: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(raw.read_u8().await.expect("a request"));
    }
    String::from_utf8(head).expect("ASCII")
}

/// Connects to a server that answers after `time`.
async fn connected_after(time: Duration) -> Result<(), Error> {
    let (stream, mut raw) = duplex(4096);
    let serving = tokio::spawn(async move {
        let request = read_request(&mut raw).await;
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
        let accept = trunkline_net::handshake::accept_value(key);
        sleep(time).await;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let _ = raw.write_all(answer.as_bytes()).await;
        raw
    });
    let connected = Connector::default().handshake(stream, "ws://example.com/chat").await.map(drop);
    drop(serving.await.expect("no panic"));
    connected
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_in_time_is_taken_and_one_that_does_not_has_timed_out() {
    connected_after(handshake_timeout() - MILLISECOND).await.expect("in time");
    connected_after(handshake_timeout() + MILLISECOND).await.expect_err("too late");
}

#[tokio::test(start_paused = true)]
async fn of_a_refusals_body_exactly_the_first_four_kibibytes_are_kept() {
    for (length, kept) in [(4095, 4095), (4096, 4096), (4097, 4096)] {
        let (stream, mut raw) = duplex(1 << 16);
        let body = "x".repeat(length);
        let answer = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\n\r\n{body}");
        write(&mut raw, answer.as_bytes()).await;
        let refused = Connector::default().handshake(stream, "ws://example.com/").await.expect_err("refused");
        let Error::Handshake(error) = refused else { panic!("not a refusal: {refused}") };
        assert_eq!(error.response.expect("an answer").body().len(), kept, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_to_a_receiver_that_is_not_polled_has_sixteen_places_and_no_more() {
    let (server, _client) = pair(1000, &Limits::default());
    let (sender, receiver) = server.split();
    for place in 1..=16 {
        let sent = timeout(MILLISECOND, sender.send("x")).await;
        assert!(sent.is_ok_and(|result| result.is_ok()), "place {place}");
    }
    assert!(timeout(MILLISECOND, sender.send("one more")).await.is_err(), "it waits");
    drop(receiver);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_finds_the_output_just_below_its_mark_is_taken_and_at_the_mark_it_waits() {
    for (waiting, taken) in [(999, true), (1000, false)] {
        let (mut server, _raw) = server_and_raw(1, &Limits { outgoing: 1000, ..Limits::default() });
        // The pipe takes one byte of it; a header of four bytes goes in front.
        server.feed(vec![7; waiting + 1 - 4]).await.expect("room");
        let _ = timeout(MILLISECOND, server.flush()).await;
        assert_eq!(server.queued(), waiting);
        assert_eq!(server.has_room(), taken);
        assert_eq!(timeout(MILLISECOND, server.feed("one more")).await.is_ok(), taken);
    }
}
