//! Opening handshakes dropped at every one of their awaits: the stream goes with them, and what was written is a beginning.

mod common;
mod step;

use common::*;
use step::{Stepping, Steps, polled};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::timeout;
use trunkline_net::{Acceptor, Connector, Limits, Message, accept, http1};

const POLLS: usize = 20_000;

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nExpect: 100-continue\r\n\r\n";

fn slow(stream: DuplexStream) -> Stepping<DuplexStream> {
    Stepping::new(stream, Steps { piece: 11, ..Steps::default() })
}

async fn arrived(mut raw: DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(HANG, raw.read_to_end(&mut bytes)).await.expect("the stream was dropped").expect("readable");
    bytes
}

/// Runs an attempt with one poll more each time until it is done. What was written before it was dropped is a beginning of
/// what is written when it is not.
async fn every_await<F, T>(whole: &[u8], mut attempt: impl FnMut(DuplexStream, usize) -> F)
where
    F: Future<Output = Option<T>>,
{
    let mut most = 0;
    for polls in 0..POLLS {
        let (stream, raw) = duplex(4096);
        let (mut reader, mut writer) = tokio::io::split(raw);
        if !whole.starts_with(b"GET") {
            writer.write_all(REQUEST.as_bytes()).await.expect("room");
        }
        let done = attempt(stream, polls).await;
        if done.is_some() {
            assert!(polls > 10, "there were awaits to be dropped at");
            assert_eq!(most, whole.len(), "the last await was behind the last byte");
            return;
        }
        let mut bytes = Vec::new();
        timeout(HANG, reader.read_to_end(&mut bytes))
            .await
            .expect("the stream was dropped")
            .expect("readable");
        assert!(
            same_beginning(whole, &bytes),
            "dropped after {polls} polls: {:?}",
            String::from_utf8_lossy(&bytes)
        );
        most = most.max(bytes.len());
    }
    panic!("it was never done");
}

/// Whether `bytes` is a beginning of `whole`, but for the key that is another each time.
fn same_beginning(whole: &[u8], bytes: &[u8]) -> bool {
    let key =
        whole.windows(19).position(|name| name == b"Sec-WebSocket-Key: ").map_or(0..0, |at| at + 19..at + 43);
    bytes.len() <= whole.len() && (0..bytes.len()).all(|at| whole[at] == bytes[at] || key.contains(&at))
}

async fn whole_answer(request: &str) -> Vec<u8> {
    let (stream, mut raw) = duplex(4096);
    write(&mut raw, request.as_bytes()).await;
    let accepting = tokio::spawn(async move { drop(accept(stream).await) });
    let bytes = arrived(raw).await;
    accepting.await.expect("no panic");
    bytes
}

#[tokio::test(start_paused = true)]
async fn accepting_may_be_dropped_at_any_await() {
    let whole = whole_answer(REQUEST).await;
    assert!(whole.starts_with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 "));
    every_await(&whole, async |stream, polls| {
        polled(accept(slow(stream)), polls).await.map(|socket| socket.expect("a good request"))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn accepting_a_head_that_was_read_may_be_dropped_at_any_await() {
    let whole = whole_answer(REQUEST).await;
    every_await(&whole, async |stream, polls| {
        let mut stream = slow(stream);
        let head = http1::read_request(&mut stream, &Limits::default()).await.expect("a head");
        polled(Acceptor::default().accept_head(stream, head), polls).await.map(|socket| socket.expect("good"))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn refusing_may_be_dropped_at_any_await() {
    let request = REQUEST.replace("Version: 13", "Version: 8");
    let whole = whole_answer(&request).await;
    assert!(whole.starts_with(b"HTTP/1.1 426 "));
    let mut done = false;
    for polls in 0..POLLS {
        let (stream, mut raw) = duplex(4096);
        write(&mut raw, request.as_bytes()).await;
        raw.shutdown().await.expect("open");
        done = polled(accept(slow(stream)), polls).await.is_some_and(|result| result.is_err());
        let bytes = arrived(raw).await;
        assert!(
            whole.starts_with(&bytes),
            "dropped after {polls} polls: {:?}",
            String::from_utf8_lossy(&bytes)
        );
        if done {
            assert_eq!(bytes, whole);
            break;
        }
    }
    assert!(done);
}

#[tokio::test(start_paused = true)]
async fn asking_for_a_connection_may_be_dropped_at_any_await() {
    let ask = async |stream, polls| {
        polled(Connector::default().handshake(slow(stream), "ws://example.com/chat"), polls).await
    };
    let (stream, raw) = duplex(4096);
    assert!(ask(stream, 1000).await.is_none(), "nobody answers");
    let request = arrived(raw).await;
    assert!(request.ends_with(b"\r\n\r\n"));
    // Nobody answers, so that it is done only by its deadline; the last await is the one for the answer.
    for polls in 0..200 {
        let (stream, raw) = duplex(4096);
        assert!(ask(stream, polls).await.is_none());
        let bytes = arrived(raw).await;
        assert!(same_beginning(&request, &bytes), "dropped after {polls} polls: {bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reading_the_answer_may_be_dropped_at_any_await() {
    let mut done = false;
    for polls in 0..POLLS {
        let (stream, raw) = duplex(4096);
        let serving =
            tokio::spawn(
                async move { accept(raw).await.map(|mut server| async move { server.recv().await }) },
            );
        let connector = Connector::default();
        let connecting = connector.handshake(slow(stream), "ws://example.com/chat");
        match polled(connecting, polls).await {
            None => {
                // The server had its request or half of it, and in both cases an end.
                if let Ok(end) = serving.await.expect("no panic") {
                    assert!(matches!(end.await, Some(Err(_))));
                }
            }
            Some(client) => {
                drop((client.expect("a good answer"), serving));
                done = true;
                break;
            }
        }
    }
    assert!(done);
}

/// Real sockets, so the number of polls is the kernel's affair; none of them may leave a trace.
#[tokio::test]
async fn dialling_may_be_dropped_at_any_await_and_leaves_neither_a_socket_nor_its_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/", listener.local_addr().expect("bound"));
    let connector = Connector::default().one_at_a_time(true);
    let mut attempts = 0;
    for polls in 0..12 {
        let (done, _) = tokio::join!(polled(connector.connect(&url), polls), tokio::task::yield_now());
        attempts += usize::from(polls > 0);
        assert!(done.is_none(), "nobody has answered");
    }
    // Nobody holds the turn: this one gets through, behind whatever the kernel has kept of the others.
    let serving = tokio::spawn(async move {
        for _ in 0..=attempts {
            let (stream, _) = listener.accept().await.expect("a client");
            // One that was dropped may have asked already; nothing but the end comes from it.
            let Ok(mut server) = accept(stream).await else { continue };
            if let Some(Ok(message)) = server.recv().await {
                return Some(message);
            }
        }
        None
    });
    let mut client = timeout(HANG, connector.connect(&url)).await.expect("its turn").expect("accepted");
    client.send("got through").await.expect("open");
    let got = timeout(HANG, serving).await.expect("no hang").expect("no panic");
    assert_eq!(got, Some(Message::from("got through")));
}

#[cfg(unix)]
#[tokio::test]
async fn dialling_a_unix_socket_may_be_dropped_at_any_await() {
    let path = std::env::temp_dir().join(format!("trunkline-cancel-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).expect("bind");
    for polls in 0..12 {
        let connector = Connector::default();
        assert!(polled(connector.connect_unix(&path, "ws://localhost/"), polls).await.is_none());
        if polls > 0 {
            let (mut stream, _) = timeout(HANG, listener.accept()).await.expect("in time").expect("a client");
            let mut bytes = Vec::new();
            timeout(HANG, stream.read_to_end(&mut bytes))
                .await
                .expect("its socket is closed")
                .expect("readable");
            assert!(bytes.is_empty() || bytes.starts_with(b"GET / HTTP/1.1\r\n"));
        }
    }
    std::fs::remove_file(&path).expect("it was there");
}

/// A connection made on a stream that is read and written a byte at a time is no different from any other.
#[tokio::test(start_paused = true)]
async fn handshakes_over_streams_that_hesitate_at_every_byte_end_well() {
    let (here, there) = duplex(16);
    let crumbs = |stream| Stepping::new(stream, Steps { piece: 1, ..Steps::default() });
    let connector = Connector::default();
    let (server, client) =
        tokio::join!(accept(crumbs(here)), connector.handshake(crumbs(there), "ws://example.com/"));
    let (mut server, mut client) = (server.expect("accepted"), client.expect("connected"));
    let (sent, got) = tokio::join!(client.send("crumbs"), server.recv());
    sent.expect("open");
    assert_eq!(got.expect("open").expect("clean"), Message::from("crumbs"));
}
