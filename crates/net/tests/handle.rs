//! Messages handled where they lie, and answers that leave together.

mod common;

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use common::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::timeout;
use trunkline_net::{CloseCode, Error, Limits, Message, Received, Replies, Role, WebSocket};

/// A pipe that counts the writes into it.
struct Counted {
    pipe: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.pipe).poll_write(cx, bytes);
        self.writes.fetch_add(usize::from(poll.is_ready()), Ordering::Relaxed);
        poll
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        self.poll_write(cx, &all)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

fn counted(room: usize) -> (WebSocket<Counted>, DuplexStream, Arc<AtomicUsize>) {
    let ((pipe, raw), writes) = (duplex(room), Arc::<AtomicUsize>::default());
    let stream = Counted { pipe, writes: writes.clone() };
    (WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default()), raw, writes)
}

fn send_back(received: Received<'_>, replies: &mut Replies<'_>) -> ControlFlow<Infallible> {
    replies.send_back(received).expect("open");
    ControlFlow::Continue(())
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_hundred_messages_that_came_at_once_are_answered_in_one_write() {
    let (mut server, mut raw, writes) = counted(1 << 16);
    let expected: Vec<u8> = (0..100).flat_map(|i| [0x82, 3, 1, 2, i]).collect();
    for i in 0..100 {
        write(&mut raw, &masked(0x82, &[1, 2, i])).await;
    }
    assert!(timeout(SECOND, server.handle(send_back)).await.is_err(), "it goes on");
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    assert_eq!(read_exactly(&mut raw, expected.len()).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_loop_of_recv_and_feed_answers_a_batch_in_few_writes_and_a_pong_at_once() {
    let (mut server, mut raw, writes) = counted(1 << 16);
    let batch = [masked(0x82, b"one").repeat(64), masked(0x89, b"?"), masked(0x82, b"two")].concat();
    write(&mut raw, &batch).await;
    for _ in 0..64 {
        let message = server.recv().await.expect("open").expect("clean");
        server.feed(message).await.expect("room");
    }
    let before = writes.load(Ordering::Relaxed);
    assert!(before <= 2, "{before} writes for 64 messages");
    // The Pong stands before this message, so it has left before the message is given.
    assert_eq!(server.recv().await.expect("open").expect("clean").as_bytes(), b"two");
    let answers = read_exactly(&mut raw, 64 * 5 + 3).await;
    assert_eq!(answers[64 * 5..], [0x8a, 1, b'?']);
}

#[tokio::test(start_paused = true)]
async fn send_has_written_when_it_returns_though_more_messages_wait() {
    let (mut server, mut raw, _) = counted(1 << 16);
    write(&mut raw, &masked(0x81, b"one").repeat(3)).await;
    server.recv().await.expect("open").expect("clean");
    server.send("now").await.expect("open");
    assert_eq!(read_exactly(&mut raw, 5).await, b"\x81\x03now");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_breaks_gives_its_value_and_the_rest_waits_for_the_next_call() {
    let (mut server, mut client) = pair(1 << 16, &Limits::default());
    for text in ["a", "b", "stop", "c", "d"] {
        client.send(text).await.expect("open");
    }
    let mut seen = Vec::new();
    let broke = server.handle(|received, _| {
        seen.push(received.as_text().expect("text").to_owned());
        if received.as_text() == Some("stop") {
            ControlFlow::Break(received.into_message())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(broke.await.expect("open").expect("clean"), Message::from("stop"));
    assert_eq!(seen, ["a", "b", "stop"]);
    assert_eq!(
        server.recv().await.expect("open").expect("clean"),
        Message::from("c"),
        "and calls may be mixed"
    );
    let broke = server.handle(|received, _| ControlFlow::Break(received.into_message())).await;
    assert_eq!(broke.expect("open").expect("clean"), Message::from("d"));
}

#[tokio::test(start_paused = true)]
async fn while_the_remote_does_not_read_its_answers_the_handler_is_not_called() {
    let limits = Limits { outgoing: 1000, ..Limits::default() };
    let (mut server, raw) = server_and_raw(4096, &limits);
    let (mut reading, mut writing) = tokio::io::split(raw);
    let writing = tokio::spawn(async move {
        for _ in 0..1000 {
            writing.write_all(&masked(0x82, &[7; 100])).await.expect("open");
        }
    });
    let mut calls = 0;
    let mut handler = |received: Received<'_>, replies: &mut Replies<'_>| {
        calls += 1;
        assert!(replies.queued() < 1000, "past the mark nothing is handled");
        send_back(received, replies)
    };
    assert!(timeout(SECOND, server.handle(&mut handler)).await.is_err());
    let mut answers = vec![0; 1000 * 102];
    tokio::select! {
        end = server.handle(&mut handler) => panic!("{end:?}"),
        read = reading.read_exact(&mut answers) => drop(read.expect("all of them")),
    }
    writing.await.expect("no panic");
    assert_eq!(calls, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_never_reads_its_answers_counts_as_dead_in_time() {
    let limits = Limits { outgoing: 1000, ..Limits::default() };
    let (mut server, mut raw) = server_and_raw(2048, &limits);
    let writing = tokio::spawn(async move {
        for _ in 0..1000 {
            if raw.write_all(&masked(0x82, &[7; 100])).await.is_err() {
                break;
            }
        }
        raw
    });
    let end = timeout(10 * HANG, server.handle(send_back)).await.expect("given up");
    assert!(matches!(end, Some(Err(Error::Io(_)))), "{end:?}");
    drop(server);
    writing.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_poll_no_message_is_lost_and_none_is_handled_twice() {
    let (mut server, mut client) = pair(64, &Limits::default());
    let sending = tokio::spawn(async move {
        for i in 0..200_u32 {
            client.feed(i.to_string()).await.expect("open");
        }
        client.flush().await.expect("open");
        client
    });
    let mut seen = Vec::new();
    while seen.len() < 200 {
        let handling = server.handle(|received, _| {
            seen.push(received.as_text().expect("text").parse::<u32>().expect("a number"));
            ControlFlow::<()>::Continue(())
        });
        tokio::select! {
            biased;
            end = handling => panic!("{end:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(seen.iter().copied().eq(0..200), "{seen:?}");
    sending.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn large_and_fragmented_messages_come_whole_and_go_back_whole() {
    let (mut server, mut raw) = server_and_raw(1 << 20, &Limits::default());
    let large = vec![b'x'; 300_000];
    let bytes = [masked(0x01, b"frag"), masked(0x80, b"ment"), masked(0x82, &large)].concat();
    write(&mut raw, &bytes).await;
    assert!(timeout(SECOND, server.handle(send_back)).await.is_err());
    assert_eq!(read_exactly(&mut raw, 10).await, b"\x81\x08fragment");
    assert_eq!(read_exactly(&mut raw, 300_010).await[10..], large);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_close_and_the_end_is_told_when_it_is_complete() {
    let (mut server, mut client) = pair(1 << 16, &Limits::default());
    client.send("bye").await.expect("open");
    let answering = tokio::spawn(async move { (client.recv().await.is_none(), client.closed().cloned()) });
    let end = server.handle(|_, replies| {
        replies.close(CloseCode::GOING_AWAY, "enough").expect("short");
        ControlFlow::<()>::Continue(())
    });
    assert!(end.await.is_none(), "a clean end");
    let (ended, closed) = answering.await.expect("no panic");
    assert!(ended);
    assert_eq!(closed.map(|closed| (closed.code, closed.reason)), Some((1001, "enough".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn text_that_is_not_utf8_never_reaches_the_handler() {
    let (mut server, mut raw) = server_and_raw(1 << 16, &Limits::default());
    write(&mut raw, &[masked(0x81, b"fine"), masked(0x81, b"\xc3\x28")].concat()).await;
    let mut calls = 0;
    let end = server.handle(|received, replies| {
        calls += 1;
        send_back(received, replies)
    });
    let (end, _) = tokio::join!(end, async { read_to_end(&mut raw).await });
    assert!(matches!(end, Some(Err(Error::Violation(_)))), "{end:?}");
    assert_eq!(calls, 1);
}

/// Sends so many messages of ten bytes by one call.
async fn send(server: &mut WebSocket<Counted>, count: u8) -> Result<(), trunkline_net::Misuse> {
    let fill = |replies: &mut Replies<'_>| (0..count).try_for_each(|index| replies.send(vec![index; 10]));
    std::future::poll_fn(|cx| Poll::Ready(server.write_now(cx, fill))).await
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_at_once_leaves_in_one_write_and_what_the_stream_does_not_take_leaves_later() {
    let (mut server, mut raw, writes) = counted(1000);
    send(&mut server, 50).await.expect("open");
    assert_eq!((writes.load(Ordering::Relaxed), server.queued()), (1, 0));
    send(&mut server, 100).await.expect("open");
    assert_eq!(server.queued(), 150 * 12 - 1000, "the pipe is full");
    let expected: Vec<u8> =
        (0..50).chain(0..100).flat_map(|index| [&[0x82, 10][..], &[index; 10]].concat()).collect();
    let mut came = vec![0; expected.len()];
    let (read, written) = tokio::join!(raw.read_exact(&mut came), server.flush());
    read.expect("all of it");
    written.expect("open");
    assert!(came == expected);
    server.start_close(CloseCode::NORMAL, "").expect("a short reason");
    send(&mut server, 1).await.expect_err("nothing is sent after our Close frame");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_sends_at_once_is_woken_for_what_arrives_afterwards() {
    let (mut server, mut raw, _) = counted(1 << 16);
    let sent = |replies: &mut Replies<'_>| replies.send("first");
    std::future::poll_fn(|cx| Poll::Ready(server.write_now(cx, sent))).await.expect("open");
    let task = tokio::spawn(async move { server.recv().await });
    tokio::task::yield_now().await;
    write(&mut raw, &masked(0x81, b"second")).await;
    let received = timeout(SECOND, task).await.expect("in time").expect("no panic");
    assert_eq!(received.expect("a message").expect("no error").as_text(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn input_that_waited_for_room_is_looked_at_when_one_write_has_made_all_of_it() {
    let (pipe, mut raw) = duplex(1 << 20);
    let limits = Limits { outgoing: 1000, ..Limits::default() };
    let mut server = WebSocket::from_upgraded(pipe, Bytes::new(), Role::Server, limits);
    // One read brings them all; the first answer is more than may wait, and leaves at once.
    for index in 0..5_u8 {
        write(&mut raw, &masked(0x82, &[index; 2000])).await;
    }
    let task = tokio::spawn(async move { server.handle(send_back).await });
    let expected: Vec<u8> =
        (0..5_u8).flat_map(|index| [&[0x82, 126, 0x07, 0xd0][..], &[index; 2000]].concat()).collect();
    let mut came = vec![0; expected.len()];
    timeout(SECOND, raw.read_exact(&mut came)).await.expect("nobody waits for ever").expect("all of it");
    assert!(came == expected);
    drop(raw);
    task.await.expect("no panic");
}
