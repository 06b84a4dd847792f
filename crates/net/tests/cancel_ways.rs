//! TLS and HTTP/2 dropped at every one of their awaits: the stream goes with the future, the other end learns it, and nothing
//! else is touched.
#![cfg(all(feature = "tls", feature = "http2"))]

mod step;
mod tls_common;

use std::time::Duration;

use step::{Stepping, Steps, polled};
use tls_common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;
use trunkline_net::Acceptor;
use trunkline_net::handshake::ConnectOptions;
use trunkline_net::http2::{Http2Limits, Session, Sockets};
use trunkline_net::url::WsUrl;

const POLLS: usize = 20_000;

fn slow(stream: DuplexStream) -> Stepping<DuplexStream> {
    Stepping::new(stream, Steps { piece: 9, ..Steps::default() })
}

/// Runs an attempt with one poll more each time until it is done.
async fn every_await<F: Future<Output = bool>>(mut attempt: impl FnMut(usize) -> F) {
    for polls in 0..POLLS {
        if attempt(polls).await {
            assert!(polls > 4, "there were awaits to be dropped at: {polls}");
            return;
        }
    }
    panic!("it was never done");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_drop_its_tls_handshake_at_any_await_and_the_server_learns_it() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let client = trusting(&ca);
    every_await(async |polls| {
        let (near, far) = duplex(1 << 16);
        let accepting = tokio::spawn({
            let server = server.clone();
            async move { server.accept(far).await.map(drop) }
        });
        let done = polled(client.connect("chat.example", slow(near)), polls).await;
        let accepted = timeout(HANG, async {
            // A server that was told all it needed has a connection, whether the client has stayed or not.
            accepting.await.expect("no panic")
        });
        let is_done = done.is_some();
        drop(done.map(|stream| stream.expect("a good certificate")));
        let accepted = accepted.await.expect("it learns that the stream has ended");
        assert!(!is_done || accepted.is_ok());
        is_done
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_may_drop_a_tls_handshake_at_any_await_and_the_client_learns_it() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let client = trusting(&ca);
    every_await(async |polls| {
        let (near, far) = duplex(1 << 16);
        let connecting = tokio::spawn({
            let client = client.clone();
            async move {
                let mut stream = client.connect("chat.example", near).await.ok()?;
                // In TLS 1.3 a client is done before the server is.
                stream.read_u8().await.ok()
            }
        });
        let done = match polled(server.accept(slow(far)), polls).await {
            None => false,
            Some(stream) => {
                let mut stream = stream.expect("a good hello");
                stream.write_u8(7).await.expect("open");
                stream.flush().await.expect("open");
                true
            }
        };
        let heard =
            timeout(HANG, connecting).await.expect("it learns that the stream has ended").expect("no panic");
        assert_eq!(heard, done.then_some(7));
        done
    })
    .await;
}

/// A server of sockets that are not used, on its end of a pipe.
async fn serve(stream: DuplexStream) -> usize {
    let Ok(mut sockets) = Sockets::start(stream, Acceptor::default(), &Http2Limits::default()).await else {
        return 0;
    };
    let mut count = 0;
    while let Some(socket) = sockets.accept().await {
        count += usize::from(socket.is_ok());
    }
    count
}

#[tokio::test(start_paused = true)]
async fn a_client_may_drop_the_beginning_of_an_http2_connection_at_any_await() {
    every_await(async |polls| {
        let (near, far) = duplex(1 << 16);
        let serving = tokio::spawn(serve(near));
        let done = polled(Session::start(slow(far), &Http2Limits::default()), polls).await;
        let is_done = done.is_some();
        drop(done.map(|session| session.expect("offered")));
        let served = timeout(HANG, serving).await.expect("the stream has ended").expect("no panic");
        assert_eq!(served, 0);
        is_done
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_may_drop_the_beginning_of_an_http2_connection_at_any_await() {
    every_await(async |polls| {
        let (near, far) = duplex(1 << 16);
        let starting = tokio::spawn(async move { Session::start(far, &Http2Limits::default()).await });
        let limits = Http2Limits::default();
        let done = polled(Sockets::start(slow(near), Acceptor::default(), &limits), polls).await;
        let is_done = done.is_some();
        let serving = async {
            let Some(sockets) = done else { return };
            let mut sockets = sockets.expect("a client");
            while sockets.accept().await.is_some() {}
        };
        let asking = async {
            // The server's settings may have left before it was dropped; then the session finds out next.
            let Ok(session) = starting.await.expect("no panic") else { return false };
            while !is_done && session.has_room() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            true
        };
        let ((), started) = timeout(HANG, async { tokio::join!(serving, asking) }).await.expect("no hang");
        assert!(started || !is_done);
        is_done
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn asking_for_a_socket_over_http2_may_be_dropped_at_any_await_and_frees_its_place() {
    let url = WsUrl::parse("ws://server.example.com/chat").expect("a URL");
    let limits = Http2Limits { streams: 1, ..Http2Limits::default() };
    let (near, far) = duplex(1 << 16);
    let _serving = tokio::spawn(serve(near));
    let session = Session::start(far, &limits).await.expect("offered");
    let mut done = false;
    for polls in 0..200 {
        let opened = polled(session.open(&url, &ConnectOptions::default()), polls).await;
        done = opened.is_some();
        drop(opened);
        // The only place there is has to be free again, with or without an answer.
        let free = async {
            while !session.has_room() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(HANG, free).await.expect("its place is free again");
        if done {
            break;
        }
    }
    assert!(done, "it was never done");
}
