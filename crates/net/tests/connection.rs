//! A connection over a pipe in memory, with the clock held still.

mod common;

use std::time::Duration;

use common::*;
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};
use trunkline_net::{Cause, CloseCode, Error, Limits, Message, Misuse, Prepared, Violation, WebSocket, Why};

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_whole_and_in_order() {
    let (mut server, mut client) = pair(100, &Limits::default());
    let echo = tokio::spawn(async move {
        while let Some(message) = server.recv().await {
            server.send(message.expect("clean")).await.expect("open");
        }
        server.closed().expect("ended").clone()
    });
    let large = "ü".repeat(50_000);
    for message in
        [Message::from("hello"), Message::from(vec![0u8, 255]), Message::from(""), Message::from(large)]
    {
        client.send(message.clone()).await.expect("open");
        assert_eq!(client.recv().await.expect("open").expect("clean"), message);
    }
    let closed = client.close(CloseCode::new(4000).expect("valid"), "done").await.expect("valid");
    assert_eq!((closed.code, closed.cause), (4000, Cause::ClosedByUs));
    let closed = echo.await.expect("no panic");
    assert_eq!((closed.code, closed.reason.as_str(), closed.cause), (4000, "done", Cause::ClosedByRemote));
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_once_and_is_none_from_then_on() {
    let (mut server, raw) = server_and_raw(1000, &Limits::default());
    drop(raw);
    let Some(Err(Error::Closed(closed))) = server.recv().await else { panic!("an unclean end is an error") };
    assert_eq!((closed.code, closed.cause), (1006, Cause::StreamEnded));
    assert!(server.recv().await.is_none());
    assert!(server.recv().await.is_none());
    assert!(matches!(server.send("x").await, Err(Error::Closed(_))));
    assert!(server.stream().is_none(), "the stream is closed with the connection");
}

#[tokio::test(start_paused = true)]
async fn pongs_leave_even_when_the_application_only_reads() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits::default());
    let reader = tokio::spawn(async move { server.recv().await });
    write(&mut raw, &masked(0x89, b"are you there")).await;
    assert_eq!(read_exactly(&mut raw, 15).await, [&[0x8a, 13][..], b"are you there"].concat());
    reader.abort();
}

#[tokio::test(start_paused = true)]
async fn pongs_leave_while_the_application_waits_for_room_to_send() {
    let (mut server, mut raw) = server_and_raw(64, &Limits { outgoing: 10, ..Limits::default() });
    server.feed(vec![1u8; 200]).await.expect("the first message may overshoot");
    let sender = tokio::spawn(async move {
        server.send("second").await.expect("open");
        server
    });
    write(&mut raw, &masked(0x89, b"ping")).await;
    let bytes = read_exactly(&mut raw, 4 + 200 + 6 + 8).await;
    assert_eq!(bytes[204..210], *b"\x8a\x04ping");
    assert_eq!(bytes[210..], *b"\x81\x06second");
    drop(sender.await.expect("no panic"));
}

#[tokio::test(start_paused = true)]
async fn reading_never_waits_for_writing() {
    // The remote reads nothing, so that what we wrote is stuck; what it sends must still arrive.
    let (mut server, mut raw) = server_and_raw(64, &Limits::default());
    server.feed(vec![1u8; 10_000]).await.expect("room");
    for i in 0..100u8 {
        write(&mut raw, &masked(0x82, &[i])).await;
        let message = timeout(HANG, server.recv()).await.expect("in time").expect("open").expect("clean");
        assert_eq!(message.as_bytes(), [i]);
    }
    assert!(server.queued() > 9_000);
}

#[tokio::test(start_paused = true)]
async fn sending_waits_at_the_outgoing_mark_and_memory_stays_bounded() {
    let limits = Limits { outgoing: 1000, ..Limits::default() };
    let (mut server, mut raw) = server_and_raw(64, &limits);
    let mut fed = 0;
    while timeout(Duration::from_millis(10), server.feed(vec![7u8; 96])).await.is_ok() {
        fed += 1;
        assert!(fed < 100, "the mark was passed without waiting");
    }
    assert!(server.queued() < 1000 + 98);
    let reader = tokio::spawn(async move { read_exactly(&mut raw, (fed + 1) * 98).await.len() });
    server.send(vec![7u8; 96]).await.expect("room again");
    assert_eq!(reader.await.expect("no panic"), (fed + 1) * 98);
}

#[tokio::test(start_paused = true)]
async fn feeding_many_and_flushing_once_keeps_their_order() {
    let (mut server, mut client) = pair(1 << 16, &Limits::default());
    let shared = Prepared::text("prepared");
    for i in 0..100u32 {
        server.feed(i.to_string()).await.expect("room");
        server.feed_prepared(&shared).await.expect("room");
    }
    server.flush().await.expect("open");
    for i in 0..100u32 {
        assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from(i.to_string()));
        assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from("prepared"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_remote_is_asked_and_a_dead_one_ends_the_connection() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits::default());
    let began = Instant::now();
    let Some(Err(error)) = server.recv().await else { panic!("a dead remote is an error") };
    assert!(matches!(error, Error::TimedOut(Why::Pong)), "{error}");
    assert_eq!(began.elapsed().as_secs(), 40, "30 s of silence and 10 s without an answer");
    let bytes = read_to_end(&mut raw).await;
    assert_eq!(bytes[..6], [0x89, 4, 0, 0, 0, 1]);
    assert_eq!(bytes[6..], [&[0x88, 21, 0x03, 0xf0][..], b"no answer to a ping"].concat());
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_answers_pings_stays_and_its_round_trip_is_known() {
    let (mut server, raw) = server_and_raw(1000, &Limits::default());
    // One that asked at the same moment would be a sign of life.
    let patient = Limits { ping_interval: None, ..Limits::default() };
    let mut client = WebSocket::from_upgraded(raw, bytes::Bytes::new(), client_role(), patient);
    let answering = tokio::spawn(async move { client.recv().await });
    assert!(timeout(Duration::from_secs(3600), server.recv()).await.is_err(), "still open after an hour");
    assert_eq!(server.rtt(), Some(Duration::ZERO), "the clock stood still between ping and pong");
    answering.abort();
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_never_completes_the_close_is_given_up_after_the_close_timeout() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits::default());
    let began = Instant::now();
    let closed = server.close(CloseCode::NORMAL, "").await.expect("valid");
    assert_eq!(closed.cause, Cause::TimedOut(Why::Close, Duration::from_secs(5)));
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_eq!(read_to_end(&mut raw).await, [0x88, 2, 0x03, 0xe8]);
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_neither_reads_nor_closes_cannot_hold_the_close() {
    let (mut server, _raw) = server_and_raw(16, &Limits::default());
    server.feed(vec![0u8; 10_000]).await.expect("room");
    let began = Instant::now();
    let closed = server.close(CloseCode::NORMAL, "").await.expect("valid");
    assert!(!closed.is_clean());
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert!(server.stream().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_violation_is_answered_by_a_close_frame_and_the_end_of_the_stream() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits::default());
    let receiving = tokio::spawn(async move { server.recv().await });
    // Unmasked; and more behind it, which must not be read as anything.
    write(&mut raw, b"\x81\x02hi\x81\x02hi").await;
    let close = read_to_end(&mut raw).await;
    assert_eq!(close[..4], [0x88, close.len() as u8 - 2, 0x03, 0xea]);
    assert_eq!(close[4..], *Violation::Unmasked.to_string().as_bytes(), "the rule in words");
    drop(raw);
    let error = receiving.await.expect("no panic").expect("told").expect_err("an error");
    assert!(matches!(error, Error::Violation(Violation::Unmasked)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_keeps_talking_after_its_violation_is_cut_off() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits::default());
    let began = Instant::now();
    let talking = tokio::spawn(async move {
        while raw.write_all(b"\x81\x02hi").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(matches!(server.recv().await, Some(Err(Error::Violation(Violation::Unmasked)))));
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    talking.await.expect("its writes fail now");
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_close_arrives_before_it() {
    let (mut server, mut client) = pair(32, &Limits::default());
    server.feed("last words").await.expect("room");
    server.start_close(CloseCode::GOING_AWAY, "stop").expect("valid");
    let closing = tokio::spawn(async move { server.close(CloseCode::GOING_AWAY, "").await });
    assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from("last words"));
    assert!(client.recv().await.is_none());
    let closed = client.closed().expect("ended");
    assert_eq!((closed.code, closed.reason.as_str()), (1001, "stop"));
    assert!(closing.await.expect("no panic").expect("valid").is_clean());
}

#[tokio::test(start_paused = true)]
async fn sending_after_our_close_is_our_own_mistake() {
    let (mut server, _raw) = server_and_raw(1000, &Limits::default());
    server.start_close(CloseCode::NORMAL, "").expect("valid");
    assert!(matches!(server.send("late").await, Err(Error::Misuse(Misuse::AfterClose))));
    let long = "r".repeat(124);
    assert!(matches!(
        server.start_close(CloseCode::NORMAL, &long),
        Err(Error::Misuse(Misuse::LongReason { .. }))
    ));
}

#[tokio::test(start_paused = true)]
async fn stream_and_sink_work_from_two_tasks_without_losing_a_wake_up() {
    // Every byte waits for a wake-up of its own side: a lost one would hang.
    let (server, client) = pair(7, &Limits::default());
    let (mut server_out, mut server_in) = StreamExt::split(server);
    let (mut client_out, mut client_in) = StreamExt::split(client);
    let up = tokio::spawn(async move {
        for i in 0..200u32 {
            client_out.send(Message::from(i.to_string())).await.expect("open");
        }
        client_out
    });
    let down = tokio::spawn(async move {
        for i in 0..200u32 {
            server_out.send(Message::from(i.to_string())).await.expect("open");
        }
        server_out
    });
    let arriving = tokio::spawn(async move {
        for i in 0..200u32 {
            assert_eq!(server_in.next().await.expect("open").expect("clean"), Message::from(i.to_string()));
        }
        server_in
    });
    for i in 0..200u32 {
        let message = timeout(HANG, client_in.next()).await.expect("no lost wake-up");
        assert_eq!(message.expect("open").expect("clean"), Message::from(i.to_string()));
    }
    let (up, down, arriving) =
        timeout(HANG, async { tokio::join!(up, down, arriving) }).await.expect("no lost wake-up");
    drop((up.expect("no panic"), down.expect("no panic"), arriving.expect("no panic")));
}
