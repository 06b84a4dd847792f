//! Four gibibytes in one message, through one mebibyte of memory. Alone in its binary: it counts every allocation.

mod common;

use common::*;
use peak_alloc::PeakAlloc;
use tokio::io::DuplexStream;
use trunkline_net::{Kind, Limits, WebSocket};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MESSAGE: u64 = 4 << 30;
const MEMORY: usize = 1 << 20;

/// Byte number i of the message is i mod this: no power of two, so that a piece out of place is noticed.
const PERIOD: usize = 251;

/// Bytes of the message as long as the largest piece, from any place in the period on.
fn pattern() -> Vec<u8> {
    (0..(64 << 10) + PERIOD).map(|i| (i % PERIOD) as u8).collect()
}

async fn send(mut socket: WebSocket<DuplexStream>, pattern: &[u8]) -> WebSocket<DuplexStream> {
    let mut writer = socket.send_stream(Kind::Binary).expect("open");
    let mut at = 0;
    while at < MESSAGE {
        let len = (MESSAGE - at).min(60_000) as usize;
        writer.write(&pattern[(at % PERIOD as u64) as usize..][..len]).await.expect("open");
        at += len as u64;
    }
    writer.finish().await.expect("open");
    drop(writer);
    socket
}

async fn receive(mut socket: WebSocket<DuplexStream>, pattern: &[u8]) -> (u64, WebSocket<DuplexStream>) {
    let mut reader = socket.recv_stream().await.expect("open").expect("clean");
    let mut at = 0;
    while let Some(piece) = reader.next().await {
        let piece = piece.expect("the message is not over");
        let expected = &pattern[(at % PERIOD as u64) as usize..][..piece.len()];
        assert!(piece == expected, "wrong bytes at {at}");
        at += piece.len() as u64;
    }
    drop(reader);
    (at, socket)
}

/// One thread, one test: whatever is allocated meanwhile is the two connections' and the pipe's between them.
#[test]
fn four_gibibytes_go_through_one_mebibyte_of_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let pattern = pattern();
        let (server, client) = pair(64 << 10, &Limits::default());
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        let (server, (received, client)) = tokio::join!(send(server, &pattern), receive(client, &pattern));
        let peak = ALLOCATOR.peak_usage().saturating_sub(before);
        assert_eq!(received, MESSAGE);
        assert!(peak < MEMORY, "{peak} bytes for a message of {MESSAGE}");
        let (sent, arrived) = (server.counters().sent, client.counters().received);
        assert_eq!(sent, arrived);
        assert_eq!((sent.messages, sent.payload_bytes), (1, MESSAGE));
    });
}
