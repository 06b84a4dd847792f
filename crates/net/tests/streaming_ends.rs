//! Messages piece by piece: how they end, and what becomes of those that nobody reads or finishes.

mod common;

use std::time::Duration;

use common::*;
use futures_util::StreamExt;
use tokio::io::DuplexStream;
use tokio::time::timeout;
use trunkline_net::{
    Cause, CloseCode, Error, Kind, Limits, Message, MessageReader, Misuse, Violation, WebSocket,
};

async fn rest(reader: &mut MessageReader<'_, DuplexStream>) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = reader.next().await {
        all.extend_from_slice(&piece.expect("whole"));
    }
    all
}

async fn reader(socket: &mut WebSocket<DuplexStream>) -> MessageReader<'_, DuplexStream> {
    timeout(HANG, socket.recv_stream()).await.expect("in time").expect("open").expect("clean")
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_of_whole_ones_arrives_in_pieces_and_pings_between_are_answered() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits { message: 10, ..Limits::default() });
    let remote = tokio::spawn(async move {
        write(&mut raw, &masked(0x01, &[b'a'; 5000])).await;
        write(&mut raw, &masked(0x89, b"ping")).await;
        write(&mut raw, &masked(0x80, &[b'b'; 3000])).await;
        read_exactly(&mut raw, 6).await
    });
    let mut reader = reader(&mut server).await;
    assert_eq!(reader.kind(), Kind::Text);
    assert_eq!(rest(&mut reader).await, [[b'a'; 5000].as_slice(), &[b'b'; 3000]].concat());
    assert!(reader.next().await.is_none(), "and again");
    drop(reader);
    let _ = timeout(Duration::from_millis(1), server.recv()).await;
    assert_eq!(remote.await.expect("no panic"), b"\x8a\x04ping");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_dropped_early_skips_the_rest_of_its_message_and_no_other() {
    let (mut server, mut client) = pair(100, &Limits { message: 100, ..Limits::default() });
    let sending = tokio::spawn(async move {
        for _ in 0..2 {
            let mut writer = client.send_stream(Kind::Binary).expect("open");
            for _ in 0..50 {
                writer.write(&[7; 100]).await.expect("open");
            }
            writer.finish().await.expect("open");
            drop(writer);
            client.send("next").await.expect("open");
        }
        client
    });
    let mut first = reader(&mut server).await;
    assert!(first.next().await.expect("a piece").is_ok());
    drop(first);
    assert_eq!(server.recv().await.expect("open").expect("clean"), Message::from("next"));
    drop(reader(&mut server).await);
    let mut next = reader(&mut server).await;
    assert_eq!((next.kind(), rest(&mut next).await), (Kind::Text, b"next".to_vec()));
    drop((next, sending.await.expect("no panic")));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_forgotten_is_as_one_that_was_dropped() {
    for whole in [true, false] {
        let (mut server, mut raw) = server_and_raw(10_000, &Limits::default());
        write(&mut raw, &[masked(0x02, &[1; 10]), masked(0x80, &[2; 10]), masked(0x81, b"next")].concat())
            .await;
        let mut forgotten = reader(&mut server).await;
        assert_eq!(forgotten.next().await.expect("open").expect("clean"), [1; 10].as_slice());
        std::mem::forget(forgotten);
        if whole {
            assert_eq!(server.recv().await.expect("open").expect("clean"), Message::from("next"));
        } else {
            let mut next = reader(&mut server).await;
            assert_eq!(rest(&mut next).await, b"next");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whole_messages_and_pieces_may_be_asked_for_in_turn_whatever_has_arrived_already() {
    let (mut server, mut raw) = server_and_raw(10_000, &Limits::default());
    let bytes: Vec<u8> = (0..20u8).flat_map(|i| masked(0x82, &[i; 100])).collect();
    write(&mut raw, &bytes).await;
    for i in 0..20u8 {
        let got = if i % 3 == 0 {
            server.recv().await.expect("open").expect("clean").into_bytes().to_vec()
        } else {
            rest(&mut reader(&mut server).await).await
        };
        assert_eq!(got, [i; 100]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_piece_is_lost_when_the_future_that_waits_for_it_is_dropped() {
    let (mut server, mut raw) = server_and_raw(10_000, &Limits::default());
    let message: Vec<u8> = (0..=255).collect();
    let frame = masked(0x82, &message);
    let writing = tokio::spawn(async move {
        for byte in frame {
            write(&mut raw, &[byte]).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        raw
    });
    let mut got = Vec::new();
    // The header takes longer than this.
    for _ in 0..5 {
        let begun = timeout(Duration::from_millis(1), server.recv_stream()).await;
        assert!(begun.is_err());
    }
    let mut reader = reader(&mut server).await;
    loop {
        match timeout(Duration::from_millis(1), reader.next()).await {
            Err(_) => {}
            Ok(Some(piece)) => got.extend_from_slice(&piece.expect("clean")),
            Ok(None) => break,
        }
    }
    assert_eq!(got, message);
    drop(writing.await.expect("no panic"));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_remote_never_finishes_never_looks_complete() {
    let close = masked(0x88, b"\x03\xe8");
    for (name, ending) in [("closed in order", close), ("stream ended", Vec::new())] {
        let (mut server, mut raw) = server_and_raw(10_000, &Limits::default());
        write(&mut raw, &[masked(0x02, b"half"), ending].concat()).await;
        drop(raw);
        let mut reader = reader(&mut server).await;
        assert_eq!(reader.next().await.expect("a piece").expect("clean"), "half");
        let error = timeout(HANG, reader.next()).await.expect("in time").expect("an error").expect_err("cut");
        assert!(matches!(error, Error::Closed(_)), "{name}: {error}");
        assert!(reader.next().await.is_none());
        drop(reader);
        assert!(server.recv().await.is_none(), "{name}: told already");
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_streamed_limit_the_connection_ends_with_1009() {
    let (mut server, mut raw) = server_and_raw(10_000, &Limits { streamed: 1000, ..Limits::default() });
    write(&mut raw, &[masked(0x02, &[1; 1000]), masked(0x80, &[1])].concat()).await;
    let mut reader = reader(&mut server).await;
    assert_eq!(reader.next().await.expect("a piece").expect("at the limit").len(), 1000);
    let error = timeout(HANG, reader.next()).await.expect("in time").expect("told").expect_err("past it");
    assert!(
        matches!(error, Error::Violation(Violation::MessageTooBig { limit: 1000, got: 1001 })),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_sends_first_can_say_that_a_large_answer_is_expected() {
    for expected in [true, false] {
        let (mut server, mut raw) = server_and_raw(10_000, &Limits { message: 10, ..Limits::default() });
        write(&mut raw, &masked(0x82, &[1; 1000])).await;
        if expected {
            server.expect_stream();
        }
        assert_eq!(server.send("give me all").await.is_ok(), expected);
        if expected {
            assert_eq!(rest(&mut reader(&mut server).await).await, [1; 1000]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_dropped_unfinished_closes_with_1011_and_the_message_does_not_look_whole() {
    let (mut server, mut client) = pair(1000, &Limits::default());
    let mut writer = server.send_stream(Kind::Text).expect("open");
    writer.write(b"half a message").await.expect("open");
    drop(writer);
    assert!(matches!(server.send("x").await, Err(Error::Misuse(Misuse::AfterClose))));
    let (ours, theirs) = tokio::join!(server.recv(), client.recv());
    assert!(ours.is_none() && theirs.is_none(), "the closing handshake, and no message: {theirs:?}");
    assert_eq!(client.closed().expect("ended").code, 1011);
    assert_eq!(server.closed().expect("ended").cause, Cause::ClosedByUs);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_was_not_written_to_may_be_dropped() {
    let (mut server, mut client) = pair(1000, &Limits::default());
    drop(server.send_stream(Kind::Text).expect("open"));
    server.send("fine").await.expect("open");
    assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from("fine"));
}

#[tokio::test(start_paused = true)]
async fn writing_and_finishing_may_be_dropped_at_any_time_and_taken_up_again() {
    let limits = Limits { outgoing: 100, ..Limits::default() };
    let (mut server, mut client) = pair(16, &limits);
    let receiving = tokio::spawn(async move {
        let mut reader = reader(&mut client).await;
        let mut all = Vec::new();
        while let Some(piece) = reader.next().await {
            all.extend_from_slice(&piece.expect("clean"));
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        all
    });
    let mut writer = server.send_stream(Kind::Binary).expect("open");
    for i in 0..50u8 {
        while timeout(Duration::from_millis(1), writer.write(&[i; 20])).await.is_err() {}
    }
    while timeout(Duration::from_millis(1), writer.finish()).await.is_err() {}
    writer.finish().await.expect("again changes nothing");
    drop(writer);
    let expected: Vec<u8> = (0..50u8).flat_map(|i| [i; 20]).collect();
    assert_eq!(receiving.await.expect("no panic"), expected);
    server.send("next").await.expect_err("the other end is gone by now, and the message was over");
}

#[tokio::test(start_paused = true)]
async fn text_in_pieces_must_be_text_at_both_ends() {
    let (mut server, mut client) = pair(1000, &Limits::default());
    let mut writer = server.send_stream(Kind::Text).expect("open");
    writer.write("gr\u{fc}".as_bytes().split_at(3).0).await.expect("a code point may be cut");
    assert!(matches!(writer.write(b"\xff").await, Err(Error::Misuse(Misuse::InvalidUtf8))));
    assert!(matches!(writer.finish().await, Err(Error::Misuse(Misuse::InvalidUtf8))));
    writer.write(b"\xbc\xc3\x9fe").await.expect("it goes on");
    writer.finish().await.expect("whole");
    drop(writer);
    assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from("gr\u{fc}\u{df}e"));
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_a_stream_of_its_pieces() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits::default());
    write(&mut raw, &[masked(0x01, b"ab"), masked(0x00, b"cd"), masked(0x80, b"")].concat()).await;
    let reader = reader(&mut server).await;
    let pieces: Vec<_> = StreamExt::map(reader, |piece| piece.expect("clean")).collect().await;
    assert_eq!(pieces, ["ab", "cd"]);
    let _ = server.close(CloseCode::NORMAL, "").await;
}
