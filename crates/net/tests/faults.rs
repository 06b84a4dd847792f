//! Streams that split, hesitate, break off and fail; futures that are dropped at any moment.

mod common;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use common::*;
use tokio::io::{AsyncWriteExt, duplex};
use trunkline_net::{Cause, Error, Limits, Message, Role, WebSocket};
use trunkline_sim::{Chance, Faulty, Plan};

/// What a client sends in these tests, and what must arrive of it.
fn conversation() -> (Vec<u8>, Vec<Message>) {
    let bytes = [
        masked(0x81, "grüße".as_bytes()),
        masked(0x89, b"ping"),
        masked(0x02, &[1; 300]),
        masked(0x80, &[2; 70_000]),
        masked(0x82, b""),
    ];
    let long = [vec![1; 300], vec![2; 70_000]].concat();
    (bytes.concat(), vec!["grüße".into(), long.into(), Vec::new().into()])
}

#[tokio::test(start_paused = true)]
async fn splits_and_hesitations_of_any_seed_change_nothing() {
    let (bytes, messages) = conversation();
    for seed in 0..40 {
        let plan = Plan { piece: 1 + seed as usize * 50, hesitate: 40, ..Plan::default() };
        let (mut server, mut raw) = faulty_server(plan, seed);
        write(&mut raw, &bytes).await;
        for message in &messages {
            assert_eq!(server.recv().await.expect("open").expect("clean"), *message, "seed {seed}");
            server.send(message.clone()).await.expect("open");
        }
        let echoed = 2 + "grüße".len() + 6 + 10 + 70_300 + 2;
        read_exactly(&mut raw, echoed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn futures_dropped_at_every_await_lose_nothing_and_repeat_nothing() {
    let (bytes, messages) = conversation();
    for seed in 0..30 {
        let plan = Plan { piece: 1 + 40 * seed as usize, hesitate: 50, ..Plan::default() };
        let (mut server, mut raw) = faulty_server(plan, seed);
        write(&mut raw, &bytes).await;
        let (mut got, mut polls) = (Vec::new(), 0);
        while got.len() < messages.len() {
            polls += 1;
            assert!(polls < 1_000_000, "no progress, seed {seed}");
            // One poll, then the future is dropped, wherever it stood; every third time it is a send.
            let mut cx = Context::from_waker(Waker::noop());
            if polls % 3 == 0 && pin!(server.flush()).poll(&mut cx).is_pending() {
                continue;
            }
            if let Poll::Ready(Some(message)) = pin!(server.recv()).poll(&mut cx) {
                got.push(message.expect("clean"));
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(got, messages, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn sends_dropped_at_every_await_never_leave_half_a_frame() {
    for seed in 0..30 {
        let (stream, raw) = duplex(64);
        let stream = Faulty::new(stream, Plan { piece: 7, hesitate: 50, ..Plan::default() }, seed);
        let limits = Limits { outgoing: 100, ..Limits::default() };
        let mut server = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, limits.clone());
        let mut client = WebSocket::from_upgraded(raw, Bytes::new(), client_role(), limits);
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            while let Some(Ok(message)) = client.recv().await {
                got.push(String::from_utf8(message.into_bytes().to_vec()).expect("whole messages are text"));
            }
            got
        });
        let mut certain = Vec::new();
        for i in 0..50u32 {
            let message = format!("message {i} {}", "x".repeat(60));
            let mut cx = Context::from_waker(Waker::noop());
            // Dropped after one poll: taken whole or not at all.
            if pin!(server.send(message.clone())).poll(&mut cx).is_ready() {
                certain.push(message);
            }
            tokio::task::yield_now().await;
        }
        server.flush().await.expect("open");
        server.close(trunkline_net::CloseCode::NORMAL, "").await.expect("valid");
        let got = reader.await.expect("no panic");
        let mut position = 0;
        for message in certain {
            position +=
                got[position..].iter().position(|other| *other == message).expect("sent, in order") + 1;
        }
        assert!(got.is_sorted_by_key(|text| text.split(' ').nth(1).and_then(|i| i.parse::<u32>().ok())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_after_any_byte_ends_the_connection_once() {
    let (bytes, messages) = conversation();
    for end in (0..400).chain([70_000, bytes.len() as u64 - 1, bytes.len() as u64]) {
        let (mut server, mut raw) = faulty_server(Plan { end_after: Some(end), ..Plan::default() }, 1);
        write(&mut raw, &bytes).await;
        let mut got = Vec::new();
        let error = loop {
            match server.recv().await {
                Some(Ok(message)) => got.push(message),
                Some(Err(error)) => break error,
                None => panic!("an unclean end must be told, cut after {end}"),
            }
        };
        assert!(matches!(error, Error::Closed(_)), "cut after {end}: {error}");
        assert_eq!(got, messages[..got.len()]);
        assert_eq!(server.closed().expect("ended").cause, Cause::StreamEnded);
        assert!(server.recv().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_at_its_kth_call_ends_the_connection_once() {
    let (bytes, _) = conversation();
    let mut failed = 0;
    for k in 0..40 {
        let plan = Plan { fail_at: Some(k), piece: 20_000, ..Plan::default() };
        let (mut server, mut raw) = faulty_server(plan, k);
        write(&mut raw, &bytes).await;
        raw.shutdown().await.expect("open");
        let mut errors = Vec::new();
        while let Some(result) = server.recv().await {
            match result {
                // How a send fails is not the question here: the receiving side tells the end.
                Ok(message) => drop(server.send(message).await),
                Err(error) => errors.push(error),
            }
        }
        // Where the calls end before k the stream ended by itself, which is told in the same way.
        assert!(matches!(errors[..], [Error::Io(_) | Error::Closed(_)]), "call {k}: {errors:?}");
        assert_eq!(server.closed().expect("ended").cause, Cause::StreamEnded, "call {k}");
        failed += u32::from(matches!(errors[..], [Error::Io(_)]));
    }
    assert!(failed > 10, "the faults were met");
}

#[tokio::test(start_paused = true)]
async fn garbage_of_any_seed_ends_in_one_error_or_goes_on_reading() {
    for seed in 0..200 {
        let mut chance = Chance::new(seed);
        let (mut server, mut raw) = faulty_server(Plan { piece: 50, ..Plan::default() }, seed);
        let bytes: Vec<u8> = (0..300).map(|_| chance.word() as u8).collect();
        write(&mut raw, &bytes).await;
        drop(raw);
        let mut errors = 0;
        while let Some(result) = server.recv().await {
            errors += u32::from(result.is_err());
        }
        assert!(errors <= 1);
        assert!(server.closed().is_some(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_queued_messages_leave_in_one_vectored_write() {
    let (stream, mut raw) = duplex(1 << 20);
    let mut server = WebSocket::from_upgraded(
        Faulty::new(stream, Plan::default(), 0),
        Bytes::new(),
        Role::Server,
        Limits::default(),
    );
    let large = Bytes::from(vec![7u8; 10_000]);
    for _ in 0..5 {
        server.feed(large.clone()).await.expect("room");
    }
    server.flush().await.expect("open");
    let stream = server.stream().expect("open");
    assert_eq!((stream.calls(), stream.vectored_writes()), (1, 1), "one call, header and payload apart");
    assert_eq!(read_exactly(&mut raw, 5 * 10_004).await[..4], [0x82, 126, 0x27, 0x10]);
}
