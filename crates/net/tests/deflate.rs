//! permessage-deflate over streams: agreed on by `accept` and `connect`, borrowed from the thread, bounded.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use trunkline_net::deflate::{Agreed, Params};
use trunkline_net::{
    Acceptor, DeflateConfig, Error, Kind, Limits, Message, Prepared, Role, Setup, Violation, WebSocket, shelf,
};

/// Both ends of a connection that compresses everything.
fn both(room: usize, limits: &Limits, takeover: bool) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let params = Params {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let deflate = Some(Agreed { params, level: 6, threshold: 0 });
    let setup = Setup { deflate, ..Setup::from(limits.clone()) };
    let (server, client) = duplex(room);
    (
        WebSocket::from_upgraded(server, Bytes::new(), Role::Server, setup.clone()),
        WebSocket::from_upgraded(client, Bytes::new(), client_role(), setup),
    )
}

/// What a server answers to a request that offers these extensions; and the stream behind it.
async fn answer(acceptor: &Acceptor, offer: &str) -> (String, WebSocket<DuplexStream>, DuplexStream) {
    let (stream, mut raw) = duplex(10_000);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"
    );
    raw.write_all(request.as_bytes()).await.expect("room");
    let socket = acceptor.accept(stream).await.expect("a good request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(raw.read_u8().await.expect("a whole head"));
    }
    (String::from_utf8(head).expect("ASCII").to_lowercase(), socket, raw)
}

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[tokio::test(start_paused = true)]
async fn an_acceptor_agrees_to_compression_only_if_it_was_told_to() {
    let (head, mut socket, mut raw) = answer(&Acceptor::default(), "permessage-deflate").await;
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    write(&mut raw, &masked(0xc1, &HELLO)).await;
    let error = socket.recv().await.expect("told").expect_err("RSV1 means nothing here");
    assert!(matches!(error, Error::Violation(Violation::ReservedBits { bits: 4 })), "{error}");

    let acceptor = Acceptor::default().deflate(DeflateConfig::lean());
    let (head, mut socket, mut raw) = answer(&acceptor, "permessage-deflate; client_max_window_bits").await;
    assert!(
        head.contains("sec-websocket-extensions: permessage-deflate; server_no_context_takeover"),
        "{head}"
    );
    write(&mut raw, &masked(0xc1, &HELLO)).await;
    assert_eq!(socket.recv().await.expect("open").expect("clean"), Message::from("Hello"));
    socket.send("a".repeat(1000)).await.expect("open");
    assert_eq!(read_exactly(&mut raw, 1).await, [0xc1]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_offers_nothing_gets_nothing_compressed() {
    let acceptor = Acceptor::default().deflate(DeflateConfig::default());
    let (head, mut socket, mut raw) = answer(&acceptor, "x-something-else").await;
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    assert_eq!(socket.deflate_variant(), None);
    socket.send("a".repeat(100)).await.expect("open");
    assert_eq!(read_exactly(&mut raw, 2).await, [0x81, 100]);
}

#[tokio::test(start_paused = true)]
async fn the_later_of_two_configurations_counts_and_a_bad_one_agrees_to_nothing() {
    let acceptor = Acceptor::default().deflate(DeflateConfig::default()).deflate(DeflateConfig::lean());
    let (_, socket, _raw) = answer(&acceptor, "permessage-deflate").await;
    assert!(socket.deflate_variant().is_some());
    let bad = DeflateConfig { level: 0, ..DeflateConfig::lean() };
    let (head, socket, _raw) = answer(&acceptor.deflate(bad), "permessage-deflate").await;
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    assert_eq!(socket.deflate_threshold(), None);
}

#[tokio::test(start_paused = true)]
async fn messages_of_all_kinds_go_both_ways_compressed_in_small_reads() {
    for takeover in [true, false] {
        let (mut server, mut client) = both(7, &Limits::default(), takeover);
        let echo = tokio::spawn(async move {
            while let Some(Ok(message)) = server.recv().await {
                server.send(message).await.expect("open");
            }
            server.counters()
        });
        let prepared = Prepared::text("prepared, and not compressed beforehand");
        for round in 0..3 {
            let long = format!("{round} {}", "g\u{fc}nstig ".repeat(500));
            client.send(long.as_str()).await.expect("open");
            assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from(long));
            client.send_uncompressed(vec![round; 300]).await.expect("open");
            assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from(vec![round; 300]));
            client.feed_prepared(&prepared).await.expect("open");
            let message = client.recv().await.expect("open").expect("clean");
            assert_eq!(message.as_bytes(), prepared.payload());
        }
        let sent = client.counters().sent;
        assert!(sent.deflated_bytes > 0 && sent.deflated_bytes < sent.inflated_bytes / 10, "{sent:?}");
        drop(client);
        assert_eq!(echo.await.expect("no panic").received.payload_bytes, sent.payload_bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn compressed_messages_go_in_pieces_both_ways_and_a_bomb_waits_for_its_reader() {
    let (mut server, mut client) = both(1000, &Limits { message: 10, ..Limits::default() }, true);
    const LEN: usize = 3 << 20;
    let sending = tokio::spawn(async move {
        let mut writer = client.send_stream(Kind::Binary).expect("open");
        for _ in 0..LEN >> 16 {
            writer.write(&[0; 1 << 16]).await.expect("open");
        }
        writer.finish().await.expect("open");
        drop(writer);
        client
    });
    let mut reader = server.recv_stream().await.expect("open").expect("clean");
    let (mut len, mut longest) = (0, 0);
    while let Some(piece) = reader.next().await {
        let piece = piece.expect("whole");
        assert!(piece.iter().all(|byte| *byte == 0));
        len += piece.len();
        longest = longest.max(piece.len());
    }
    assert_eq!((len, longest), (LEN, 16 << 10));
    drop(reader);
    let received = server.counters().received;
    assert_eq!((received.messages, received.inflated_bytes), (1, LEN as u64));
    assert!(received.wire_bytes < 10_000, "{received:?}");
    drop(sending.await.expect("no panic"));
}

#[tokio::test(start_paused = true)]
async fn a_reader_dropped_in_the_middle_of_a_compressed_message_leaves_the_window_in_step() {
    let (mut server, mut client) = both(1 << 20, &Limits::default(), true);
    let words = "words that the next message refers to, ".repeat(3000);
    client.send(words.as_str()).await.expect("open");
    client.send(words.as_str()).await.expect("open");
    let mut reader = server.recv_stream().await.expect("open").expect("clean");
    assert!(reader.next().await.expect("a piece").expect("clean").len() <= 16 << 10);
    drop(reader);
    assert_eq!(server.recv().await.expect("open").expect("clean"), Message::from(words));
}

#[tokio::test(start_paused = true)]
async fn a_bomb_ends_its_connection_with_1009_and_not_the_process() {
    let (mut server, mut raw) = duplex(100_000);
    let mut squeezed = Vec::new();
    let variant = DeflateConfig::lean();
    let params = Params {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let agreed = Agreed { params, level: variant.level, threshold: 0 };
    agreed.variant(true).expect("no takeover").deflate(&vec![0; 8 << 20], shelf(), &mut squeezed);
    let setup = Setup { deflate: Some(agreed), ..Setup::from(Limits::default()) };
    let mut socket = WebSocket::from_upgraded(&mut server, Bytes::new(), Role::Server, setup);
    write(&mut raw, &masked(0xc2, &squeezed)).await;
    let ended = tokio::join!(socket.recv(), async { read_exactly(&mut raw, 4).await });
    let error = ended.0.expect("told").expect_err("too big");
    assert!(matches!(error, Error::Violation(Violation::MessageTooBig { limit: 1_048_576, got: 1_048_577 })));
    assert_eq!(ended.1[2..], [0x03, 0xf1]);
}

/// A read of 64 KiB can hold dozens of them, each a mebibyte: they are not all inflated before anybody else has a turn.
#[tokio::test]
async fn messages_that_inflate_a_thousandfold_take_turns_with_other_tasks() {
    const MESSAGES: usize = 40;
    let (mut server, mut client) = both(1 << 20, &Limits::default(), false);
    for _ in 0..MESSAGES {
        client.send(vec![0; 1 << 20]).await.expect("it takes a kilobyte of the pipe");
    }
    let receiving = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            assert_eq!(server.recv().await.expect("one more").expect("a good one").len(), 1 << 20);
        }
    });
    let turns = Arc::new(AtomicUsize::new(0));
    // Ready at any time; tokio's own `yield_now` would wait for more than one turn.
    let counting = tokio::spawn({
        let turns = turns.clone();
        std::future::poll_fn(move |cx| {
            turns.fetch_add(1, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        })
    });
    receiving.await.expect("all came");
    counting.abort();
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns >= MESSAGES / 2, "{turns} turns for another task beside {MESSAGES} messages");
}

#[tokio::test]
async fn what_arrives_while_we_close_is_not_inflated() {
    let (mut server, mut client) = both(1 << 20, &Limits::default(), false);
    for _ in 0..40 {
        client.send(vec![0; 1 << 20]).await.expect("it takes a kilobyte of the pipe");
    }
    let closing = tokio::spawn(async move {
        let closed =
            server.close(trunkline_net::CloseCode::POLICY, "enough").await.expect("a reason that fits");
        (closed, server.counters().received)
    });
    assert!(client.recv().await.is_none());
    let (closed, received) = closing.await.expect("no panic");
    assert!(closed.is_clean(), "{closed}");
    assert!(received.inflated_bytes < 2 << 20, "{received:?}");
    assert!(received.wire_bytes > 40_000, "{received:?}");
}
