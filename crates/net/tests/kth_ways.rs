//! TLS and HTTP/2 over a stream that fails at its k-th call, for every k: an end on both sides, within the deadlines.
#![cfg(all(feature = "tls", feature = "http2"))]

mod step;
mod tls_common;

use std::time::Duration;

use bytes::Bytes;
use step::{Fault, Met, Stepping, Steps};
use tls_common::*;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::time::timeout;
use trunkline_net::handshake::ConnectOptions;
use trunkline_net::http2::{Http2Limits, Session, Sockets};
use trunkline_net::url::WsUrl;
use trunkline_net::{Acceptor, Connector, Error, Limits, Message, Role, WebSocket, accept, random_mask};

/// Longer than every deadline of the defaults together; the clock is held still but for them.
const DEADLINES: Duration = Duration::from_secs(600);

/// Runs a scenario with the fault at every call until none is met any more.
async fn every_call<F>(
    faults: &[Fault],
    mut scenario: impl FnMut(DuplexStream, DuplexStream, u64, Fault) -> F,
) where
    F: Future<Output = Met>,
{
    for &fault in faults {
        let mut k = 0;
        loop {
            let (here, there) = duplex(4096);
            let met = timeout(DEADLINES, scenario(here, there, k, fault));
            if !met.await.unwrap_or_else(|_| panic!("{fault:?} at call {k}: no end")).yet() {
                break;
            }
            k += 1;
            assert!(k < 500, "the scenario ends by itself");
        }
        assert!(k > 4, "there were calls to fail at: {k}");
    }
}

fn faulty(stream: DuplexStream, k: u64, fault: Fault) -> Stepping<DuplexStream> {
    Stepping::new(stream, Steps { piece: 500, hesitate: false, fault: Some((k, fault)) })
}

/// Echoes until the end.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
    let _ = socket.recv().await;
}

/// Says three things, hears them, and closes. Whether all of that went well; and it has ended in any case.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocket<S>) -> Result<(), Error> {
    for number in 0..3_u8 {
        socket.send(vec![number; 700]).await?;
        match socket.recv().await {
            Some(message) => assert_eq!(message?, Message::from(vec![number; 700])),
            None => return Err(Error::Closed(socket.closed().expect("ended").clone())),
        }
    }
    let closed = socket.close(trunkline_net::CloseCode::NORMAL, "").await?;
    if closed.is_clean() { Ok(()) } else { Err(Error::Closed(closed)) }
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_tls_whose_stream_fails_at_any_call_ends_on_both_sides() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let client = trusting(&ca);
    // Silence while TLS shakes hands is for the caller's own deadline, see `Timeouts::tls`.
    every_call(&[Fault::Error, Fault::Nothing], async |here, there, k, fault| {
        let serving = tokio::spawn({
            let server = server.clone();
            async move {
                if let Ok(stream) = server.accept(there).await
                    && let Ok(socket) = accept(stream).await
                {
                    echo(socket).await;
                }
            }
        });
        let stream = faulty(here, k, fault);
        let met = stream.met();
        let talked = async {
            let stream = client.connect("chat.example", stream).await.map_err(|_| "the handshake of TLS")?;
            let connector = Connector::default();
            let socket = connector.handshake(stream, "ws://chat.example/").await;
            let mut socket = socket.map_err(|_| "the opening handshake")?;
            talk(&mut socket).await.map_err(|_| "the connection")
        };
        let talked = talked.await;
        assert!(met.yet() || talked.is_ok(), "{fault:?} at call {k}: {talked:?}");
        timeout(DEADLINES, serving).await.expect("the other side ends too").expect("no panic");
        met
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_in_http2_whose_stream_fails_at_any_call_ends_on_both_sides() {
    let url = WsUrl::parse("ws://server.example.com/chat").expect("a URL");
    every_call(&[Fault::Error, Fault::Nothing, Fault::Silence], async |here, there, k, fault| {
        let serving = tokio::spawn(async move {
            let started = Sockets::start(there, Acceptor::default(), &Http2Limits::default()).await;
            let Ok(mut sockets) = started else { return };
            let mut echoes = tokio::task::JoinSet::new();
            while let Some(socket) = sockets.accept().await {
                let Ok(socket) = socket else { continue };
                echoes.spawn(echo(socket));
            }
            while let Some(echo) = echoes.join_next().await {
                echo.expect("no panic");
            }
        });
        let stream = faulty(here, k, fault);
        let met = stream.met();
        let talked = async {
            let session = Session::start(stream, &Http2Limits::default()).await.map_err(|_| "the preface")?;
            let opened = session.open(&url, &ConnectOptions::default()).await;
            let (stream, _) = opened.map_err(|_| "the opening handshake")?;
            let role = Role::Client(random_mask);
            let mut socket = WebSocket::from_upgraded(stream, Bytes::new(), role, Limits::default());
            let talked = talk(&mut socket).await.map_err(|_| "the connection");
            // A send that failed leaves the end to be told by receiving.
            while socket.recv().await.is_some() {}
            assert!(socket.closed().is_some(), "it has ended, one way or the other");
            talked
        };
        let talked = talked.await;
        assert!(met.yet() || talked.is_ok(), "{fault:?} at call {k}: {talked:?}");
        timeout(DEADLINES, serving).await.expect("the other side ends too").expect("no panic");
        met
    })
    .await;
}
