//! Our client and our server over HTTP/2: many sockets in one connection, beside ordinary requests (RFC 8441).
#![cfg(feature = "http2")]

mod http2_support;

use std::time::Duration;

use bytes::Bytes;
use http2_support::HANG;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use trunkline_net::handshake::{ConnectOptions, Rule};
use trunkline_net::http2::{Http2Error, Http2Limits, Session, Sockets, Stream};
use trunkline_net::url::WsUrl;
use trunkline_net::{Acceptor, CloseCode, Error, Limits, Message, Role, WebSocket, random_mask};

fn url(path: &str) -> WsUrl {
    WsUrl::parse(&format!("ws://server.example.com{path}")).expect("a URL")
}

/// A server that echoes on every socket, on one end of a pipe of `room` bytes, and a session on the other.
async fn echo(room: usize, limits: Http2Limits) -> (Session, JoinHandle<usize>) {
    let (ours, theirs) = duplex(room);
    let served = tokio::spawn(serve_echo(ours, Acceptor::default(), limits.clone()));
    (Session::start(theirs, &limits).await.expect("offered"), served)
}

/// Counts the sockets.
async fn serve_echo(stream: DuplexStream, acceptor: Acceptor, limits: Http2Limits) -> usize {
    let mut sockets = Sockets::start(stream, acceptor, &limits).await.expect("a client");
    let mut count = 0;
    while let Some(socket) = sockets.accept().await {
        let Ok(mut socket) = socket else { continue };
        count += 1;
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.recv().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        });
    }
    count
}

async fn open(session: &Session, path: &str) -> Result<WebSocket<Stream>, Error> {
    let (stream, _) =
        timeout(HANG, session.open(&url(path), &ConnectOptions::default())).await.expect("in time")?;
    Ok(WebSocket::from_upgraded(stream, Bytes::new(), Role::Client(random_mask), Limits::default()))
}

async fn recv(socket: &mut WebSocket<Stream>) -> Message {
    timeout(HANG, socket.recv()).await.expect("in time").expect("a message").expect("no error")
}

fn http2_error(error: Error) -> Http2Error {
    let Error::Http2(error) = error else { panic!("{error}") };
    *error
}

#[tokio::test]
async fn a_hundred_sockets_share_one_connection_and_each_keeps_its_messages() {
    let (session, served) = echo(64 << 10, Http2Limits::default()).await;
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..100 {
        let session = session.clone();
        clients.spawn(async move {
            let mut socket = open(&session, "/").await.expect("a socket");
            for round in 0..20 {
                let text = format!("{n}:{round}");
                socket.send(text.clone()).await.expect("sent");
                assert_eq!(recv(&mut socket).await.as_text(), Some(&*text));
            }
            let closed = timeout(HANG, socket.close(CloseCode::NORMAL, "done"))
                .await
                .expect("in time")
                .expect("closed");
            assert!(closed.is_clean(), "{closed}");
        });
    }
    while let Some(client) = timeout(HANG, clients.join_next()).await.expect("in time") {
        client.expect("no panic");
    }
    drop(session);
    assert_eq!(timeout(HANG, served).await.expect("in time").expect("no panic"), 100);
}

#[tokio::test]
async fn large_messages_cross_both_ways_at_once_under_the_smallest_windows() {
    let limits = Http2Limits { stream_window: 100, send_buffer: 100, ..Http2Limits::default() };
    let (session, _served) = echo(1000, limits).await;
    let (mut first, mut second) =
        (open(&session, "/a").await.expect("a socket"), open(&session, "/b").await.expect("a socket"));
    let large = |byte: u8| Message::from(vec![byte; 200_000]);
    let both = async {
        tokio::join!(
            async {
                first.send(large(1)).await.expect("sent");
                recv(&mut first).await
            },
            async {
                second.send(large(2)).await.expect("sent");
                recv(&mut second).await
            }
        )
    };
    let (one, two) = timeout(HANG, both).await.expect("in time");
    assert!(one == large(1) && two == large(2));
}

#[tokio::test]
async fn a_socket_that_is_not_read_stalls_alone() {
    let limits = Http2Limits { stream_window: 64 << 10, ..Http2Limits::default() };
    let (session, _served) = echo(64 << 10, limits).await;
    let mut stalled = Vec::new();
    for _ in 0..10 {
        let mut socket = open(&session, "/stalled").await.expect("a socket");
        // Sends until nothing moves any more: the echo fills our window, then the server's, since it cannot write.
        let filled = async {
            loop {
                socket.send(vec![0; 30_000]).await.expect("sent");
                socket.flush().await.expect("written");
            }
        };
        assert!(timeout(Duration::from_millis(300), filled).await.is_err(), "it never stalls");
        stalled.push(socket);
    }
    let mut lively = open(&session, "/lively").await.expect("a socket");
    for _ in 0..50 {
        lively.send(vec![1; 10_000]).await.expect("sent");
        assert_eq!(recv(&mut lively).await.len(), 10_000);
    }
    for socket in &mut stalled {
        assert_eq!(recv(socket).await.len(), 30_000, "and goes on where it is read again");
    }
}

#[tokio::test]
async fn the_handshake_is_the_one_over_http1() {
    let (ours, theirs) = duplex(64 << 10);
    let acceptor = Acceptor::default().subprotocol("chat");
    tokio::spawn(serve_echo(ours, acceptor, Http2Limits::default()));
    let session = Session::start(theirs, &Http2Limits::default()).await.expect("offered");
    let options =
        ConnectOptions { subprotocols: vec!["other".into(), "chat".into()], ..ConnectOptions::default() };
    let (_stream, established) = session.open(&url("/"), &options).await.expect("a socket");
    assert_eq!(established.subprotocol(), Some("chat"));
    assert_eq!(established.response().status(), 200);
    assert!(established.response().headers().contains_key("date"));

    let options = ConnectOptions { origin: Some("https://evil.example".into()), ..ConnectOptions::default() };
    let Err(Error::Handshake(refused)) = session.open(&url("/"), &options).await else { panic!("let in") };
    assert_eq!(refused.rejected.rule(), Rule::NotSwitching);
    let response = refused.response.as_ref().expect("a response");
    assert_eq!(response.status(), 403);
    assert!(String::from_utf8_lossy(response.body()).contains("Origin"), "{response:?}");
}

#[tokio::test]
async fn the_socket_says_how_it_ended() {
    let (session, _served) = echo(64 << 10, Http2Limits::default()).await;
    let mut socket = open(&session, "/").await.expect("a socket");
    // Too large for the server, which says so in a Close frame and ends the stream in good order.
    let _ = socket.send(vec![0; 2 << 20]).await;
    while let Some(Ok(_)) = timeout(HANG, socket.recv()).await.expect("in time") {}
    let closed = socket.closed().expect("told");
    assert_eq!(closed.code, 1009, "{closed}");
    drop(session);
}

#[tokio::test]
async fn a_server_that_does_not_offer_it_is_told_from_one_that_speaks_something_else() {
    let (ours, theirs) = duplex(64 << 10);
    tokio::spawn(async move {
        let mut connection = h2::server::handshake(ours).await.expect("a client");
        while connection.accept().await.is_some() {}
    });
    let error = Session::start(theirs, &Http2Limits::default()).await.expect_err("not offered");
    assert!(matches!(error, Http2Error::NotOffered), "{error}");

    let (mut ours, theirs) = duplex(64 << 10);
    tokio::spawn(async move {
        ours.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.expect("written");
        tokio::io::copy(&mut ours, &mut tokio::io::sink()).await
    });
    let error = Session::start(theirs, &Http2Limits::default()).await.expect_err("HTTP/1.1");
    assert!(matches!(error, Http2Error::Failed { remote: false, .. }), "{error}");

    let (ours, theirs) = duplex(64 << 10);
    drop(ours);
    assert!(Session::start(theirs, &Http2Limits::default()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_silent_remote_is_given_up_in_time_by_both_roles() {
    let (_silent, theirs) = duplex(64 << 10);
    let error = Session::start(theirs, &Http2Limits::default()).await.expect_err("silence");
    assert!(matches!(error, Http2Error::TimedOut(_)), "{error}");
    let (_silent, theirs) = duplex(64 << 10);
    let error =
        Sockets::start(theirs, Acceptor::default(), &Http2Limits::default()).await.expect_err("silence");
    assert!(matches!(error, Http2Error::TimedOut(_)), "{error}");
}

#[tokio::test]
async fn a_session_has_as_many_places_as_both_ends_allow_and_they_are_free_again() {
    for (server, client) in [(2, 128), (128, 2)] {
        let (ours, theirs) = duplex(64 << 10);
        let limits = |streams| Http2Limits { streams, ..Http2Limits::default() };
        tokio::spawn(serve_echo(ours, Acceptor::default(), limits(server)));
        let session = Session::start(theirs, &limits(client)).await.expect("offered");
        let first = open(&session, "/").await.expect("the first");
        assert!(session.has_room());
        let _second = open(&session, "/").await.expect("the second");
        assert!(!session.has_room());
        let error = http2_error(open(&session, "/").await.expect_err("one too many"));
        assert!(matches!(error, Http2Error::Full { streams: 2 }), "{error}");
        drop(first);
        assert!(session.has_room());
        open(&session, "/").await.expect("in the place of the first");
    }
}

#[tokio::test]
async fn after_goaway_open_sockets_go_on_and_no_new_ones_begin() {
    let (ours, theirs) = duplex(64 << 10);
    let server = tokio::spawn(async move {
        let mut sockets =
            Sockets::start(ours, Acceptor::default(), &Http2Limits::default()).await.expect("a client");
        let mut socket = sockets.accept().await.expect("not over").expect("a socket");
        sockets.shut_down();
        let echo = tokio::spawn(async move {
            while let Some(Ok(message)) = socket.recv().await {
                socket.send(message).await.expect("sent");
            }
        });
        assert!(sockets.accept().await.is_none(), "the end, when the last socket is closed");
        echo.await.expect("no panic");
    });
    let session = Session::start(theirs, &Http2Limits::default()).await.expect("offered");
    let mut socket = open(&session, "/").await.expect("a socket");
    timeout(HANG, async {
        while session.has_room() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("told");
    let error = http2_error(open(&session, "/").await.expect_err("going away"));
    assert!(matches!(error, Http2Error::Closing), "{error}");
    socket.send("still here").await.expect("sent");
    assert_eq!(recv(&mut socket).await.as_text(), Some("still here"));
    assert!(
        timeout(HANG, socket.close(CloseCode::NORMAL, ""))
            .await
            .expect("in time")
            .expect("closed")
            .is_clean()
    );
    timeout(HANG, server).await.expect("in time").expect("no panic");
}

#[tokio::test]
async fn sockets_outlive_their_session_and_the_connection_ends_with_the_last_of_both() {
    let (session, served) = echo(64 << 10, Http2Limits::default()).await;
    let mut socket = open(&session, "/").await.expect("a socket");
    drop(session);
    socket.send("alone").await.expect("sent");
    assert_eq!(recv(&mut socket).await.as_text(), Some("alone"));
    drop(socket);
    assert_eq!(timeout(HANG, served).await.expect("in time").expect("no panic"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_streams_is_ended_by_the_server_and_one_with_an_idle_socket_is_not() {
    let (ours, theirs) = duplex(64 << 10);
    // Only the connection itself asks whether somebody is there.
    let acceptor = Acceptor::default().limits(Limits { ping_interval: None, ..Limits::default() });
    let served = tokio::spawn(serve_echo(ours, acceptor, Http2Limits::default()));
    let session = Session::start(theirs, &Http2Limits::default()).await.expect("offered");
    let socket = open(&session, "/").await.expect("a socket");
    sleep(Duration::from_secs(3600)).await;
    assert!(session.has_room() && !served.is_finished());
    drop(socket);
    sleep(Duration::from_secs(121)).await;
    assert!(served.is_finished());
    assert!(!session.has_room(), "and the client knows");
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_is_gone_without_a_word_is_noticed_by_both_roles() {
    let (ours, at_server) = duplex(64 << 10);
    let (theirs, at_client) = duplex(64 << 10);
    let (cut, is_cut) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut at_server, mut at_client) = (at_server, at_client);
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut at_server, &mut at_client) => {}
            _ = is_cut => {}
        }
        // Both ends stay open, and nothing is carried from one to the other.
        std::future::pending::<()>().await;
    });
    let served = tokio::spawn(serve_echo(ours, Acceptor::default(), Http2Limits::default()));
    let session = Session::start(theirs, &Http2Limits::default()).await.expect("offered");
    let (mut stream, _) = session.open(&url("/"), &ConnectOptions::default()).await.expect("a socket");
    let mut nothing = [0; 64];
    let quiet = timeout(Duration::from_secs(29), stream.read(&mut nothing)).await;
    assert!(quiet.is_err(), "the WebSocket's own Ping comes later");
    cut.send(()).expect("the cable stands");
    let failed = timeout(Duration::from_secs(60), stream.read(&mut nothing)).await.expect("noticed");
    assert!(failed.is_err(), "{failed:?}");
    assert!(!session.has_room());
    assert_eq!(timeout(Duration::from_secs(60), served).await.expect("noticed").expect("no panic"), 1);
}

#[tokio::test]
async fn a_cancelled_handshake_resets_its_stream_and_frees_its_place() {
    let (ours, theirs) = duplex(64 << 10);
    let limits = Http2Limits { streams: 1, ..Http2Limits::default() };
    let server_limits = limits.clone();
    let server = tokio::spawn(async move {
        let mut server = trunkline_net::http2::Server::start(ours, &server_limits).await.expect("a client");
        let mut kept = Vec::new();
        while let Some(incoming) = server.accept().await {
            kept.push(incoming.expect("a stream")); // And no answer.
        }
        kept.len()
    });
    let session = Session::start(theirs, &limits).await.expect("offered");
    for _ in 0..3 {
        let never =
            timeout(Duration::from_millis(50), session.open(&url("/"), &ConnectOptions::default())).await;
        assert!(never.is_err(), "there was no answer");
        assert!(session.has_room());
    }
    drop(session);
    assert_eq!(timeout(HANG, server).await.expect("in time").expect("no panic"), 3);
}

#[tokio::test]
async fn bytes_cross_a_stream_whatever_their_portions() {
    let (ours, theirs) = duplex(777);
    tokio::spawn(async move {
        let mut server =
            trunkline_net::http2::Server::start(ours, &Http2Limits::default()).await.expect("a client");
        while let Some(Ok(trunkline_net::http2::Incoming::Connect(connect))) = server.accept().await {
            let accepted = connect.judge(&Default::default()).expect("good");
            let (mut read, mut write) = tokio::io::split(connect.accept(&accepted).expect("there"));
            tokio::spawn(async move {
                tokio::io::copy(&mut read, &mut write).await.expect("copied");
                write.shutdown().await.expect("shut down");
            });
        }
    });
    let session = Session::start(theirs, &Http2Limits::default()).await.expect("offered");
    let (stream, _) = session.open(&url("/"), &ConnectOptions::default()).await.expect("a stream");
    let (mut read, mut write) = tokio::io::split(stream);
    let sent = (0..300_000_u32).map(|n| n as u8).collect::<Vec<_>>();
    let pieces = sent.clone();
    let writer = tokio::spawn(async move {
        for piece in pieces.chunks(7001) {
            write.write_all(piece).await.expect("written");
        }
        write.shutdown().await.expect("shut down");
        write
    });
    let mut got = Vec::new();
    timeout(HANG, read.read_to_end(&mut got)).await.expect("in time").expect("read");
    assert!(got == sent, "{} bytes", got.len());
    writer.await.expect("no panic");
}
