//! Memory follows what has arrived, never what was announced. Alone in its binary: it counts every allocation.

mod common;

use bytes::Bytes;
use common::*;
use peak_alloc::PeakAlloc;
use tokio::io::duplex;
use trunkline_net::deflate::{Agreed, Params};
use trunkline_net::{Error, Limits, Message, Role, Setup, Violation, WebSocket};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// One thread, one test: whatever is allocated meanwhile is the connection's.
#[test]
fn memory_is_bounded_by_what_arrived_under_every_kind_of_flood() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        // The thread's buffers and the runtime's own structures are there before the first measurement.
        warm_up().await;
        announced_lengths_allocate_nothing().await;
        endless_fragments_stop_at_the_limit().await;
        empty_fragments_keep_nothing().await;
        a_ping_flood_from_a_remote_that_never_reads_keeps_memory_flat().await;
        idle_connections_that_compress_hold_no_window_without_context_takeover().await;
    });
}

async fn measured<T>(work: impl Future<Output = T>) -> (T, usize) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let result = work.await;
    (result, ALLOCATOR.peak_usage().saturating_sub(before))
}

async fn warm_up() {
    let (mut server, mut raw) = server_and_raw(4096, &Limits::default());
    write(&mut raw, &masked(0x89, b"?")).await;
    assert!(tokio::time::timeout(std::time::Duration::from_secs(1), server.recv()).await.is_err());
}

async fn announced_lengths_allocate_nothing() {
    let limits = Limits { message: usize::MAX, ..Limits::default() };
    let (mut server, mut raw) = server_and_raw(4096, &limits);
    let header = [&[0x82, 0xff][..], &(1u64 << 62).to_be_bytes(), &[0; 4], &[1; 100]].concat();
    write(&mut raw, &header).await;
    let (_, peak) = measured(tokio::time::timeout(std::time::Duration::from_secs(1), server.recv())).await;
    assert!(peak < 4_096, "{peak} bytes for a header that announces 2^62 and 100 bytes of payload");
}

async fn endless_fragments_stop_at_the_limit() {
    let limits = Limits { message: 100_000, ..Limits::default() };
    let (mut server, mut raw) = server_and_raw(4096, &limits);
    let flood = tokio::spawn(async move {
        write(&mut raw, &masked(0x02, &[1; 1000])).await;
        for _ in 0..99 {
            write(&mut raw, &masked(0x00, &[1; 1000])).await;
        }
        write(&mut raw, &masked(0x00, &[1])).await;
        read_to_end(&mut raw).await
    });
    let (result, peak) = measured(server.recv()).await;
    let error = result.expect("told").expect_err("over the limit");
    assert!(
        matches!(error, Error::Violation(Violation::MessageTooBig { limit: 100_000, got: 100_001 })),
        "{error}"
    );
    assert!(peak < 300_000, "{peak} bytes for a message of 100,000");
    let close = flood.await.expect("no panic");
    assert_eq!((close[0], &close[2..4]), (0x88, &[0x03, 0xf1][..]));
}

async fn empty_fragments_keep_nothing() {
    let limits = Limits { fragments: u32::MAX, ..Limits::default() };
    let (mut server, mut raw) = server_and_raw(4096, &limits);
    let flood = tokio::spawn(async move {
        write(&mut raw, &masked(0x02, b"")).await;
        for _ in 0..10_000 {
            write(&mut raw, &masked(0x00, b"").repeat(100)).await;
        }
    });
    let (_, peak) = measured(server.recv()).await;
    assert!(peak < 20_000, "{peak} bytes for a million empty fragments");
    flood.await.expect("no panic");
}

async fn a_ping_flood_from_a_remote_that_never_reads_keeps_memory_flat() {
    let (mut server, mut raw) = server_and_raw(4096, &Limits::default());
    let flood = tokio::spawn(async move {
        for _ in 0..2000 {
            write(&mut raw, &masked(0x89, &[7; 125]).repeat(30)).await;
        }
    });
    let (_, peak) = measured(server.recv()).await;
    assert!(peak < 40_000, "{peak} bytes for 60,000 unread pongs");
    flood.await.expect("no panic");
}

/// What both ends of an idle connection hold, after messages went both ways.
async fn idle(setup: &Setup) -> usize {
    const PAIRS: usize = 20;
    let mut sockets = Vec::with_capacity(PAIRS);
    let before = ALLOCATOR.current_usage();
    for _ in 0..PAIRS {
        let (server, client) = duplex(4096);
        let mut server = WebSocket::from_upgraded(server, Bytes::new(), Role::Server, setup.clone());
        let mut client = WebSocket::from_upgraded(client, Bytes::new(), client_role(), setup.clone());
        let message = Message::from("words and words ".repeat(100));
        // The first so that the pipes have grown to the same size.
        client.send_uncompressed(message.clone()).await.expect("open");
        server.recv().await.expect("open").expect("clean");
        server.send_uncompressed(message.clone()).await.expect("open");
        client.recv().await.expect("open").expect("clean");
        client.send(message.clone()).await.expect("open");
        server.recv().await.expect("open").expect("clean");
        server.send(message).await.expect("open");
        client.recv().await.expect("open").expect("clean");
        sockets.push((server, client));
    }
    (ALLOCATOR.current_usage() - before) / PAIRS
}

async fn idle_connections_that_compress_hold_no_window_without_context_takeover() {
    let with = |takeover: bool| {
        let params = Params {
            server_no_context_takeover: !takeover,
            client_no_context_takeover: !takeover,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        let deflate = Some(Agreed { params, level: 1, threshold: 0 });
        Setup { deflate, ..Setup::from(Limits::default()) }
    };
    // Once so that the thread has its compressors.
    idle(&with(false)).await;
    let (plain, lean, full) =
        (idle(&Setup::default()).await, idle(&with(false)).await, idle(&with(true)).await);
    assert!(lean <= plain + 500, "{lean} bytes for two ends, {plain} without compression");
    assert!(full > plain + 100_000, "{full} bytes for two ends: their windows are held");
}
