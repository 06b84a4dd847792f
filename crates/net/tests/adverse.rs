//! Remotes and streams at their worst: half dead, half closed, slow, silent, or failing in one direction.

mod common;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use common::*;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::time::{Instant, timeout};
use trunkline_net::handshake::Rule;
use trunkline_net::{Cause, CloseCode, Connector, Ended, Error, Limits, Message, Role, WebSocket};

/// Reads nothing, and fails or hangs its writes.
struct Broken;
impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}
impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_write_fails_is_an_error() {
    let mut server = WebSocket::from_upgraded(Broken, Bytes::new(), Role::Server, Limits::default());
    let result = server.send("lost").await;
    assert!(result.is_err(), "the message went nowhere: {result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_send_on_a_connection_that_the_remote_dropped_is_an_error_sooner_or_later() {
    let (mut server, raw) = server_and_raw(1000, &Limits::default());
    drop(raw);
    for _ in 0..100 {
        if server.send("lost").await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("100 messages were 'sent' to nobody");
}

#[tokio::test]
async fn a_send_on_a_tcp_connection_that_was_reset_is_an_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let client =
        tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connect");
    let (stream, _) = listener.accept().await.expect("accept");
    let mut server = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default());
    drop(client);
    for _ in 0..20 {
        if server.send("lost").await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("20 messages were 'sent' to nobody");
}

#[tokio::test(start_paused = true)]
async fn closing_while_a_message_and_the_close_arrive_in_one_packet_is_clean_and_at_once() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits::default());
    let began = Instant::now();
    let closing = tokio::spawn(async move { server.close(CloseCode::NORMAL, "").await });
    read_exactly(&mut raw, 4).await;
    write(&mut raw, &[masked(0x81, b"late"), masked(0x88, &[3, 0xe8])].concat()).await;
    let closed = closing.await.expect("no panic").expect("valid");
    assert_eq!((closed.cause, began.elapsed()), (Cause::ClosedByUs, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_still_leaves_when_the_remote_half_closes_behind_its_close_frame() {
    let (mut server, mut raw) = server_and_raw(64, &Limits::default());
    server.feed(vec![1u8; 10_000]).await.expect("room");
    write(&mut raw, &masked(0x88, &[3, 0xe8])).await;
    raw.shutdown().await.expect("open");
    let serving = tokio::spawn(async move { (server.recv().await.is_none(), server.closed().cloned()) });
    let bytes = read_to_end(&mut raw).await;
    assert_eq!(bytes.len(), 10_004 + 4, "the message and our Close frame");
    assert!(serving.await.expect("no panic").0);
}

#[tokio::test(start_paused = true)]
async fn a_steady_slow_reader_is_not_taken_for_dead() {
    let (mut server, mut raw) = server_and_raw(1024, &Limits { message: 1 << 20, ..Limits::default() });
    let reading = tokio::spawn(async move {
        let mut total = 0;
        let mut bytes = vec![0; 1024];
        // 10 KiB a second: 100 s for the message. A client that answers every Ping it sees.
        while total < (1 << 20) + 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let count = raw.read(&mut bytes).await.expect("open");
            if count == 0 {
                break;
            }
            total += count;
        }
        (total, raw)
    });
    server.feed(vec![1u8; 1 << 20]).await.expect("room");
    let result = timeout(Duration::from_secs(105), server.recv()).await;
    assert!(result.is_err(), "ended: {result:?}");
    assert!(reading.await.expect("no panic").0 >= (1 << 20) + 10);
}

#[tokio::test(start_paused = true)]
async fn the_longest_durations_do_not_panic() {
    let for_ever = Some(Duration::MAX);
    let limits = Limits {
        ping_interval: for_ever,
        pong_timeout: for_ever,
        close_timeout: for_ever,
        ..Limits::default()
    };
    let (mut server, _raw) = server_and_raw(1000, &limits);
    assert!(timeout(Duration::from_secs(1), server.recv()).await.is_err());
    assert!(timeout(Duration::from_secs(1), server.close(CloseCode::NORMAL, "")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_close_deadline_holds_when_the_sink_closes_while_the_stream_waits_in_another_task() {
    let limits = Limits { ping_interval: None, ..Limits::default() };
    let (server, _raw) = server_and_raw(1000, &limits);
    let (mut out, mut inn) = StreamExt::split(server);
    let waiting = tokio::spawn(async move { inn.next().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    out.close().await.expect("written");
    let end = timeout(Duration::from_secs(3600), waiting).await.expect("within an hour").expect("no panic");
    assert!(matches!(end, Some(Err(Error::TimedOut(_)))), "{end:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

/// A stream whose two directions know nothing of each other, as many tunnels are.
#[derive(Clone, Default)]
struct Halves(Arc<Mutex<Directions>>);

#[derive(Default)]
struct Directions {
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl AsyncRead for Halves {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.lock().expect("whole").reader = Some(cx.waker().clone());
        Poll::Pending
    }
}
impl AsyncWrite for Halves {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut this = self.0.lock().expect("whole");
        if this.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        this.writer = Some(cx.waker().clone());
        Poll::Ready(Ok(data.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn the_receiving_task_is_told_when_the_sending_task_meets_the_end() {
    let stream = Halves::default();
    let limits = Limits { ping_interval: None, ..Limits::default() };
    let server = WebSocket::from_upgraded(stream.clone(), Bytes::new(), Role::Server, limits);
    let (mut out, mut inn) = StreamExt::split(server);
    let waiting = tokio::spawn(async move { inn.next().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream.0.lock().expect("whole").broken = true;
    for _ in 0..3 {
        let _ = out.send(Message::from("x")).await;
        let _ = out.flush().await;
    }
    let end = timeout(Duration::from_secs(3600), waiting).await.expect("within an hour").expect("no panic");
    assert!(matches!(end, Some(Err(_))), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn senders_learn_of_the_end_while_the_receiver_is_kept() {
    let (server, raw) = server_and_raw(1000, &Limits::default());
    let (sender, mut receiver) = server.split();
    drop(raw);
    assert!(matches!(receiver.recv().await, Some(Err(_))));
    let sending = async {
        for _ in 0..100 {
            if sender.send("x").await == Err(Ended) {
                return true;
            }
        }
        false
    };
    assert!(timeout(Duration::from_secs(3600), sending).await.expect("no deadlock"));
    drop(receiver);
}

#[tokio::test(start_paused = true)]
async fn a_split_connection_can_be_closed_though_the_remote_does_not_read() {
    let (server, mut raw) = server_and_raw(64, &Limits { outgoing: 1000, ..Limits::default() });
    let (sender, mut receiver) = server.split();
    // It talks, so it is not dead, but it never reads.
    let talking = tokio::spawn(async move {
        while raw.write_all(&masked(0x8a, b"")).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let receiving = tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    while timeout(Duration::from_millis(10), sender.send(vec![0u8; 500])).await.is_ok() {}
    let closing = async {
        sender.close(CloseCode::NORMAL, "").expect("still there");
        receiving.await.expect("no panic");
    };
    timeout(Duration::from_secs(3600), closing).await.expect("within an hour");
    talking.abort();
}

#[tokio::test(start_paused = true)]
async fn start_send_takes_what_poll_ready_promised() {
    let (server, mut raw) = server_and_raw(16, &Limits { outgoing: 40, ..Limits::default() });
    let mut server = Box::pin(server);
    let cx = &mut Context::from_waker(Waker::noop());
    // Fill the pipe, so that the pongs stay in the output.
    server.as_mut().get_mut().feed(vec![0u8; 30]).await.expect("room");
    assert!(matches!(server.as_mut().poll_ready(cx), Poll::Ready(Ok(()))));
    for _ in 0..3 {
        write(&mut raw, &masked(0x89, b"0123456789")).await;
        assert!(server.as_mut().poll_next(cx).is_pending());
    }
    server.as_mut().start_send(Message::from("promised")).expect("poll_ready said so");
}

#[tokio::test(start_paused = true)]
async fn an_outgoing_mark_of_zero_still_lets_one_message_through() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits { outgoing: 0, ..Limits::default() });
    timeout(HANG, server.send("one at a time")).await.expect("no deadlock").expect("open");
    read_exactly(&mut raw, 15).await;
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_never_reads_cannot_hold_a_send_for_ever_by_two_messages() {
    let (mut server, mut raw) = server_and_raw(64, &Limits::default());
    write(&mut raw, &[masked(0x81, b"1"), masked(0x81, b"2")].concat()).await;
    server.recv().await.expect("open").expect("clean");
    let sent = timeout(Duration::from_secs(3600), server.send(vec![0u8; 10_000])).await;
    assert!(sent.expect("within an hour").is_err());
}

async fn refusal(answer: impl FnOnce(&str) -> String) -> Result<(Rule, Duration), String> {
    let (stream, mut raw) = duplex(1 << 16);
    let connecting =
        tokio::spawn(async move { Connector::default().handshake(stream, "ws://example.com/").await });
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(raw.read_u8().await.expect("a request"));
    }
    let text = String::from_utf8(head).expect("ASCII");
    let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    write(&mut raw, answer(key).as_bytes()).await;
    let began = Instant::now();
    match connecting.await.expect("no panic") {
        Err(Error::Handshake(error)) => Ok((error.rejected.rule(), began.elapsed())),
        Err(other) => Err(other.to_string()),
        Ok(_) => Err("accepted".into()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_on_a_connection_that_stays_open_is_told_as_a_refusal() {
    let chunked = |_: &str| {
        "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n".into()
    };
    let got = refusal(chunked).await.expect("a refusal");
    assert_eq!(got.0, Rule::NotSwitching);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_101_is_told_at_once() {
    let wrong = |_: &str| {
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
            .into()
    };
    let got = refusal(wrong).await.expect("a refusal");
    assert_eq!(got, (Rule::Accept, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_pure_sender_answers_pings() {
    let (mut server, mut raw) = server_and_raw(1000, &Limits::default());
    write(&mut raw, &masked(0x89, b"")).await;
    for _ in 0..5 {
        server.send("x").await.expect("open");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(server);
    assert_eq!(read_to_end(&mut raw).await.len(), 15 + 2);
}

#[tokio::test]
async fn what_arrived_before_a_failing_write_is_still_received() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let mut client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
    let (stream, _) = listener.accept().await.expect("accept");
    let mut server = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default());
    assert!(timeout(Duration::from_millis(10), server.recv()).await.is_err());
    std::io::Write::write_all(&mut client, &[masked(0x81, b"last words"), masked(0x88, &[3, 0xe8])].concat())
        .expect("open");
    drop(client);
    // A busy thread: the runtime's driver has no chance to learn that the stream is readable.
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(20));
        let _ = server.send("x").await;
    }
    let got = server.recv().await;
    assert!(matches!(&got, Some(Ok(message)) if message.as_bytes() == b"last words"), "{got:?}");
    assert!(server.recv().await.is_none());
}
