//! A stream that fails at its k-th call, for every k, in every way, whatever the connection is about to do.
//!
//! Calls are reads, writes, flushes and shutdowns together. There must be one end, told once, within the deadlines.

mod common;
mod step;

use std::time::Duration;

use bytes::Bytes;
use common::*;
use futures_util::{SinkExt, StreamExt};
use step::{Fault, Met, Stepping, Steps};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;
use trunkline_net::{Cause, CloseCode, Connector, Error, Limits, Message, Prepared, Role, WebSocket, accept};

const FAULTS: [Fault; 3] = [Fault::Error, Fault::Nothing, Fault::Silence];

/// Longer than every deadline of the defaults together; the clock is held still but for them.
const DEADLINES: Duration = Duration::from_secs(300);

fn faulty(stream: DuplexStream, k: u64, fault: Fault) -> Stepping<DuplexStream> {
    Stepping::new(stream, Steps { piece: 50, hesitate: false, fault: Some((k, fault)) })
}

/// Runs a scenario with the fault at every call until none is met any more. Says how many were met.
async fn every_call<F>(mut scenario: impl FnMut(DuplexStream, DuplexStream, u64, Fault) -> F)
where
    F: Future<Output = Met>,
{
    for fault in FAULTS {
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
        assert!(k > 3, "there were calls to fail at: {k}");
    }
}

/// What must be so once a connection has ended by a fault, or by itself.
fn judge<S>(socket: &WebSocket<S>, met: &Met, errors: &[Error], name: &str) {
    let closed = socket.closed().unwrap_or_else(|| panic!("{name}: it has not ended"));
    assert!(socket.stream().is_none(), "{name}: the stream is kept");
    assert!(errors.len() <= 1, "{name}: {errors:?}");
    assert!(met.yet() || closed.is_clean(), "{name}: {closed}");
    assert!(!closed.is_clean() || errors.is_empty(), "{name}: clean, and {errors:?}");
    let right = match &errors.first() {
        None => closed.is_clean(),
        Some(Error::Io(_) | Error::Closed(_)) => closed.cause == Cause::StreamEnded,
        Some(Error::TimedOut(_)) => matches!(closed.cause, Cause::TimedOut(..)),
        Some(_) => false,
    };
    assert!(right, "{name}: {closed}, and {errors:?}");
}

/// The other end: says so many things, hears what comes, says goodbye, and does not mind.
async fn honest(stream: DuplexStream, role: Role) -> Vec<Message> {
    let mut socket = WebSocket::from_upgraded(stream, Bytes::new(), role, Limits::default());
    let mut heard = Vec::new();
    for text in ["one", "two", "three"] {
        let _ = socket.send(text).await;
        let _ = socket.ping(b"and a ping");
    }
    while let Some(Ok(message)) = socket.recv().await {
        heard.push(message);
        if heard.len() == 3 {
            let _ = socket.start_close(CloseCode::NORMAL, "enough");
        }
    }
    heard
}

/// What an echo has heard of "one", "two", "three", and the end of each sending.
async fn echo(socket: &mut WebSocket<Stepping<DuplexStream>>) -> (Vec<Message>, Vec<Error>) {
    let (mut heard, mut errors) = (Vec::new(), Vec::new());
    while let Some(received) = socket.recv().await {
        match received {
            Ok(message) => {
                heard.push(message.clone());
                // The receiving side tells the end; a sending one only that there is one.
                let _ = socket.send(message).await;
            }
            Err(error) => errors.push(error),
        }
    }
    assert!(socket.recv().await.is_none(), "the end is told once");
    assert!(socket.send("late").await.is_err());
    assert!(socket.flush().await.is_err());
    (heard, errors)
}

#[tokio::test(start_paused = true)]
async fn an_echo_whose_stream_fails_at_any_call_ends_once_and_echoes_nothing_twice() {
    for server in [true, false] {
        every_call(async |here, there, k, fault| {
            let roles = [Role::Server, client_role()];
            let (role, other) = if server { (roles[0], roles[1]) } else { (roles[1], roles[0]) };
            let stream = faulty(here, k, fault);
            let met = stream.met();
            let mut socket = WebSocket::from_upgraded(stream, Bytes::new(), role, Limits::default());
            let remote = tokio::spawn(honest(there, other));
            let (heard, errors) = echo(&mut socket).await;
            judge(&socket, &met, &errors, &format!("{fault:?} at call {k}"));
            drop(socket);
            let all: [Message; 3] = ["one".into(), "two".into(), "three".into()];
            let back = remote.await.expect("no panic");
            assert!(all.starts_with(&heard), "{heard:?}");
            assert!(heard.starts_with(&back), "{back:?} came back of {heard:?}");
            met
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn closing_on_a_stream_that_fails_at_any_call_ends_in_time() {
    for server in [true, false] {
        every_call(async |here, there, k, fault| {
            let roles = [Role::Server, client_role()];
            let (role, other) = if server { (roles[0], roles[1]) } else { (roles[1], roles[0]) };
            let stream = faulty(here, k, fault);
            let met = stream.met();
            let mut socket = WebSocket::from_upgraded(stream, Bytes::new(), role, Limits::default());
            let mut remote = WebSocket::from_upgraded(there, Bytes::new(), other, Limits::default());
            let remote = tokio::spawn(async move { while let Some(Ok(_)) = remote.recv().await {} });
            let _ = socket.feed(vec![7; 3000]).await;
            let closed = socket.close(CloseCode::NORMAL, "").await.expect("a valid reason");
            assert_eq!(socket.closed(), Some(&closed));
            assert!(met.yet() || closed.is_clean(), "{fault:?} at call {k}: {closed}");
            assert!(socket.stream().is_none(), "{fault:?} at call {k}: the stream is kept");
            // The end may still have to be told to whoever receives; then there is no more.
            let _ = socket.recv().await;
            assert!(socket.recv().await.is_none(), "{fault:?} at call {k}");
            drop(socket);
            remote.await.expect("no panic");
            met
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn both_halves_learn_of_a_stream_that_fails_at_any_call() {
    every_call(async |here, there, k, fault| {
        let stream = faulty(here, k, fault);
        let met = stream.met();
        let socket = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default());
        let remote = tokio::spawn(honest(there, client_role()));
        let (sender, mut receiver) = socket.split();
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while sent < 40 {
                let prepared = Prepared::text("prepared");
                let sending = async {
                    if sent % 2 == 0 {
                        sender.send("plain").await
                    } else {
                        sender.send_prepared(prepared).await
                    }
                };
                if sending.await.is_err() {
                    break;
                }
                sent += 1;
            }
            sent
        });
        let mut errors = Vec::new();
        while let Some(received) = receiver.recv().await {
            errors.extend(received.err());
        }
        judge(receiver.get_ref(), &met, &errors, &format!("{fault:?} at call {k}"));
        drop(receiver);
        sending.await.expect("senders do not wait for what will not come");
        remote.await.expect("no panic");
        met
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_and_a_sink_in_two_tasks_learn_of_a_stream_that_fails_at_any_call() {
    every_call(async |here, there, k, fault| {
        let stream = faulty(here, k, fault);
        let met = stream.met();
        let socket = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default());
        let remote = tokio::spawn(honest(there, client_role()));
        let (mut sink, mut messages) = StreamExt::split(socket);
        let sending = tokio::spawn(async move {
            for _ in 0..20 {
                if SinkExt::send(&mut sink, Message::from("out")).await.is_err() {
                    break;
                }
            }
            let _ = sink.close().await;
            sink
        });
        let mut errors = Vec::new();
        while let Some(received) = messages.next().await {
            errors.extend(received.err());
        }
        let sink = sending.await.expect("no panic");
        let socket = messages.reunite(sink).expect("the same connection");
        judge(&socket, &met, &errors, &format!("{fault:?} at call {k}"));
        drop(socket);
        remote.await.expect("no panic");
        met
    })
    .await;
}

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn accepting_on_a_stream_that_fails_at_any_call_fails_in_time() {
    for (request, good) in [(REQUEST.to_owned(), true), (REQUEST.replace("websocket", "h2c"), false)] {
        every_call(async |here, mut raw, k, fault| {
            let request = request.clone();
            // In crumbs, so that there are reads to fail at.
            let writing = tokio::spawn(async move {
                for piece in request.as_bytes().chunks(40) {
                    if raw.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = raw.shutdown().await;
                read_to_end(&mut raw).await
            });
            let stream = faulty(here, k, fault);
            let met = stream.met();
            let accepted = accept(stream).await;
            assert_eq!(accepted.is_ok(), good && !met.yet(), "{fault:?} at call {k}");
            if let Some(error) = accepted.err() {
                let told = matches!(error, Error::Io(_) | Error::Handshake(_) | Error::TimedOut(_));
                assert!(told, "{fault:?} at call {k}: {error}");
            }
            let answer = writing.await.expect("no panic");
            assert!(answer.is_empty() || b"HTTP/1.1 ".starts_with(&answer[..answer.len().min(9)]));
            met
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn asking_on_a_stream_that_fails_at_any_call_fails_in_time() {
    every_call(async |here, there, k, fault| {
        let serving = tokio::spawn(async move {
            let mut server =
                accept(Stepping::new(there, Steps { piece: 40, hesitate: false, fault: None })).await?;
            let _ = server.recv().await;
            Ok::<_, Error>(())
        });
        let stream = faulty(here, k, fault);
        let met = stream.met();
        let connected = Connector::default().handshake(stream, "ws://example.com/chat").await;
        assert_eq!(connected.is_ok(), !met.yet(), "{fault:?} at call {k}");
        if let Some(error) = connected.err() {
            // A deadline on the way to a connection is told with its phase.
            let told = matches!(error, Error::Io(_) | Error::Handshake(_) | Error::Dial(_));
            assert!(told, "{fault:?} at call {k}: {error}");
        }
        let _ = serving.await.expect("no panic");
        met
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_nothing_of_what_is_written_is_an_error_and_no_loop() {
    for fault in [Fault::Nothing, Fault::Silence] {
        let (here, mut raw) = duplex(4096);
        let stream = Stepping::new(here, Steps { piece: 1, hesitate: true, fault: Some((1, fault)) });
        let mut server = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default());
        write(&mut raw, &masked(0x89, b"ping")).await;
        let sent = timeout(DEADLINES, server.send("it will not leave")).await.expect("no loop");
        assert!(sent.is_err(), "{fault:?}");
        let end = timeout(DEADLINES, server.recv()).await.expect("no loop");
        assert!(
            matches!(end, Some(Err(Error::Io(_) | Error::TimedOut(_) | Error::Closed(_)))),
            "{fault:?}: {end:?}"
        );
    }
}
