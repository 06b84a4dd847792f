//! Every public future of a connection dropped at every one of its awaits, one after the other.

mod common;
mod step;

use bytes::Bytes;
use common::*;
use futures_util::{SinkExt, StreamExt};
use step::{Stepping, Steps, polled};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use trunkline_net::{CloseCode, Error, Kind, Limits, Message, MessageReader, Prepared, Role, WebSocket};

/// More polls than any of these futures takes; to meet it is to have made no progress.
const POLLS: usize = 20_000;

type Slow = WebSocket<Stepping<DuplexStream>>;

/// An end that is slow to send, with a mark that one message passes; and the other end, receiving all there is.
fn slow_sender(role: Role) -> (Slow, JoinHandle<Vec<Message>>) {
    let (here, there) = duplex(8);
    let limits = Limits { outgoing: 16, ..Limits::default() };
    let other = if role.is_server() { client_role() } else { Role::Server };
    let stream = Stepping::new(here, Steps { piece: 5, ..Steps::default() });
    let mut receiver = WebSocket::from_upgraded(there, Bytes::new(), other, limits.clone());
    let receiving = tokio::spawn(async move {
        let mut got = Vec::new();
        while let Some(message) = receiver.recv().await {
            got.push(message.expect("whole frames and a clean end"));
        }
        got
    });
    (WebSocket::from_upgraded(stream, Bytes::new(), role, limits), receiving)
}

/// What is dropped.
#[derive(Clone, Copy, Debug)]
enum Sending {
    Send,
    Feed,
    SendUncompressed,
    FeedUncompressed,
    FeedPrepared,
    Flush,
    SinkSend,
    SinkFlush,
}

const SENDING: [Sending; 8] = [
    Sending::Send,
    Sending::Feed,
    Sending::SendUncompressed,
    Sending::FeedUncompressed,
    Sending::FeedPrepared,
    Sending::Flush,
    Sending::SinkSend,
    Sending::SinkFlush,
];

async fn sending(socket: &mut Slow, what: Sending, text: &str, polls: usize) -> Option<Result<(), Error>> {
    match what {
        Sending::Send => polled(socket.send(text), polls).await,
        Sending::Feed => polled(socket.feed(text), polls).await,
        Sending::SendUncompressed => polled(socket.send_uncompressed(text), polls).await,
        Sending::FeedUncompressed => polled(socket.feed_uncompressed(text), polls).await,
        Sending::FeedPrepared => polled(socket.feed_prepared(&Prepared::text(text)), polls).await,
        Sending::Flush => polled(socket.flush(), polls).await,
        Sending::SinkSend => polled(SinkExt::send(socket, Message::from(text)), polls).await,
        Sending::SinkFlush => polled(SinkExt::flush(socket), polls).await,
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_sends_may_be_dropped_at_any_await_and_a_message_is_taken_whole_or_not_at_all() {
    for role in [Role::Server, client_role()] {
        for what in SENDING {
            let is_flush = matches!(what, Sending::Flush | Sending::SinkFlush);
            let (mut taken, mut left) = (0, 0);
            for polls in 0..POLLS {
                let (mut socket, receiving) = slow_sender(role);
                // Fills the output, so that there are awaits for room and awaits for writing.
                let first = "first, and longer than the mark, ".repeat(8);
                socket.feed(first.as_str()).await.expect("room");
                let done = sending(&mut socket, what, "in the middle", polls).await;
                socket.send("last").await.expect("open");
                socket.close(CloseCode::NORMAL, "").await.expect("valid");
                let got = timeout(HANG, receiving).await.expect("no hang").expect("no panic");
                let without: Vec<Message> = vec![first.into(), "last".into()];
                let mut with = without.clone();
                with.insert(1, "in the middle".into());
                assert!(
                    got == without || got == with && !is_flush,
                    "{what:?} dropped after {polls}: {got:?}"
                );
                taken += usize::from(got == with);
                left += usize::from(got == without);
                if let Some(result) = done {
                    result.expect("open");
                    assert_eq!(got == with, !is_flush, "{what:?} was done");
                    break;
                }
            }
            assert!(
                left > 3 && (is_flush || taken > 0),
                "{what:?}: left {left} times and taken {taken} times"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_in_pieces_may_be_written_with_every_await_dropped_and_arrives_once() {
    for polls in 1..12 {
        let (mut socket, receiving) = slow_sender(Role::Server);
        let mut writer = socket.send_stream(Kind::Text).expect("no other is open");
        let mut expected = String::new();
        for number in 0..40 {
            let piece = format!("piece {number:02}, ");
            // Dropped before it is done, nothing of the piece was taken.
            if let Some(result) = polled(writer.write(piece.as_bytes()), polls).await {
                result.expect("open");
                expected += &piece;
            }
            let _ = polled(writer.flush(), polls).await;
        }
        for attempt in 0.. {
            assert!(attempt < POLLS, "no progress with {polls} polls at a time");
            if let Some(result) = polled(writer.finish(), polls).await {
                result.expect("open");
                break;
            }
        }
        drop(writer);
        socket.close(CloseCode::NORMAL, "").await.expect("valid");
        let got = timeout(HANG, receiving).await.expect("no hang").expect("no panic");
        assert_eq!(got, [Message::from(expected)], "{polls} polls at a time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_may_be_read_in_pieces_with_every_await_dropped_and_none_is_lost_or_repeated() {
    let (bytes, messages) = conversation();
    for polls in 1..40 {
        let (here, mut raw) = duplex(4096);
        let stream = Stepping::new(here, Steps { piece: 3, ..Steps::default() });
        let mut server = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default());
        write(&mut raw, &bytes).await;
        let mut got = Vec::new();
        for attempt in 0.. {
            assert!(attempt < POLLS, "no progress with {polls} polls at a time");
            match polled(server.recv_stream(), polls).await {
                None => {}
                Some(Some(reader)) => got.push(all_pieces(reader.expect("clean"), polls).await),
                Some(None) => break,
            }
        }
        let expected: Vec<Vec<u8>> = messages.iter().map(|message| message.as_bytes().to_vec()).collect();
        assert_eq!(got, expected, "{polls} polls at a time");
        assert!(server.closed().expect("ended").is_clean());
    }
}

async fn all_pieces<S>(mut reader: MessageReader<'_, S>, polls: usize) -> Vec<u8>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut whole = Vec::new();
    for _ in 0..POLLS {
        match polled(reader.next(), polls).await {
            None => {}
            Some(Some(piece)) => whole.extend_from_slice(&piece.expect("clean")),
            Some(None) => return whole,
        }
    }
    panic!("no progress with {polls} polls at a time");
}

/// What a client sends, and what must be received of it.
fn conversation() -> (Vec<u8>, Vec<Message>) {
    let bytes = [
        masked(0x81, "grüße".as_bytes()),
        masked(0x01, b"in "),
        masked(0x89, b"ping"),
        masked(0x80, b"two frames"),
        masked(0x82, b""),
        masked(0x88, &[3, 0xe8]),
    ];
    (bytes.concat(), vec!["grüße".into(), "in two frames".into(), Vec::new().into()])
}

#[tokio::test(start_paused = true)]
async fn whatever_receives_may_be_dropped_at_any_await_and_nothing_is_lost_or_repeated() {
    let (bytes, messages) = conversation();
    for stream_half in [false, true] {
        for polls in 1..60 {
            let (here, mut raw) = duplex(4096);
            let stream = Stepping::new(here, Steps { piece: 3, ..Steps::default() });
            let mut server = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default());
            write(&mut raw, &bytes).await;
            let mut got = Vec::new();
            for attempt in 0.. {
                assert!(attempt < POLLS, "no progress with {polls} polls at a time");
                let received = if stream_half {
                    polled(StreamExt::next(&mut server), polls).await
                } else {
                    polled(server.recv(), polls).await
                };
                match received {
                    None => {}
                    Some(Some(message)) => got.push(message.expect("clean")),
                    Some(None) => break,
                }
            }
            assert_eq!(got, messages, "{polls} polls at a time");
            assert!(server.closed().expect("ended").is_clean());
            let answered = read_to_end(&mut raw).await;
            assert_eq!(
                answered,
                [&b"\x8a\x04ping"[..], &[0x88, 2, 3, 0xe8]].concat(),
                "each once, {polls} polls"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn closing_may_be_dropped_at_any_await_and_there_is_one_close_frame_and_a_clean_end() {
    for through_the_sink in [false, true] {
        for polls in 0..POLLS {
            let (here, mut raw) = duplex(4096);
            let stream = Stepping::new(here, Steps { piece: 3, ..Steps::default() });
            let mut server = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default());
            server.feed("what was queued").await.expect("room");
            write(&mut raw, &masked(0x88, &[3, 0xe8])[..3]).await;
            let closed = if through_the_sink {
                polled(SinkExt::close(&mut server), polls).await.map(|result| result.expect("open"))
            } else {
                polled(server.close(CloseCode::NORMAL, ""), polls).await.map(drop)
            };
            if !through_the_sink && closed.is_some() {
                panic!("the remote's Close frame is not whole yet");
            }
            // Half of it had come before; here is the rest.
            write(&mut raw, &masked(0x88, &[3, 0xe8])[3..]).await;
            let finishing = tokio::spawn(async move {
                server.close(CloseCode::GOING_AWAY, "again").await.expect("a valid reason")
            });
            let bytes = read_to_end(&mut raw).await;
            let end = finishing.await.expect("no panic");
            assert!(end.is_clean(), "{end}");
            assert_eq!(bytes[..17], [&[0x81, 15][..], b"what was queued"].concat());
            // Not polled at all it has not begun; or the remote's came first and ours is its answer.
            let codes = [1000_u16, 1001];
            let code = u16::from_be_bytes([bytes[19], bytes[20]]);
            assert!(bytes[17] == 0x88 && codes.contains(&code), "{bytes:x?}");
            assert_eq!(bytes.len(), 19 + usize::from(bytes[18]), "one Close frame, dropped after {polls}");
            assert!(polls == 0 || code == 1000, "the first one counts");
            if closed.is_some() || polls > 60 {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_halves_may_be_dropped_at_any_await_and_what_was_queued_arrives_once_and_in_order() {
    for polls in 1..20 {
        let (socket, receiving) = slow_sender(Role::Server);
        let (sender, mut receiver) = socket.split();
        let serving = tokio::spawn(async move {
            for _ in 0..POLLS {
                // Dropped again and again, wherever it stands.
                if let Some(end) = polled(receiver.recv(), polls).await {
                    return end;
                }
            }
            panic!("no progress with {polls} polls at a time");
        });
        let mut certain = Vec::new();
        for number in 0..60 {
            let text = format!("message {number:02}");
            let sent = if number % 2 == 0 {
                polled(sender.send(text.as_str()), polls).await
            } else {
                polled(sender.send_prepared(Prepared::text(&text)), polls).await
            };
            if let Some(result) = sent {
                result.expect("open");
                certain.push(Message::from(text));
            }
        }
        sender.close(CloseCode::NORMAL, "").expect("open");
        let got = timeout(HANG, receiving).await.expect("no hang").expect("no panic");
        assert_eq!(got, certain, "a place in the queue is had or not, {polls} polls");
        assert!(serving.await.expect("no panic").is_none());
    }
}

/// What the other end of a stream has got once this end was dropped.
async fn arrived(mut raw: DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(HANG, raw.read_to_end(&mut bytes)).await.expect("the stream was dropped").expect("readable");
    bytes
}

#[tokio::test(start_paused = true)]
async fn ending_the_stream_of_a_dropped_connection_is_all_that_dropping_does() {
    let (socket, receiving) = slow_sender(Role::Server);
    let (sender, receiver) = socket.split();
    drop(receiver);
    assert!(sender.send("to nobody").await.is_err());
    assert!(receiving.await.is_err(), "an end without a Close frame is not clean");

    let (here, raw) = duplex(64);
    let mut server = WebSocket::from_upgraded(here, Bytes::new(), Role::Server, Limits::default());
    server.feed("queued and never written").await.expect("room");
    drop(server);
    assert_eq!(arrived(raw).await, b"", "nothing is written behind anybody's back");
}
