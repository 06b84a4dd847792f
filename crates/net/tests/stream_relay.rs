//! Relays and echoes: both ways at once, half-closes, readers that stop, streams that fail, and time.
#![cfg(feature = "stream")]

mod common;

use std::time::Duration;

use common::{HANG, read_exactly, read_to_end, write};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use trunkline_net::stream::{Bounds, Carried, Echo, Messages, Relay, Why};
use trunkline_net::{Limits, WebSocket};
use trunkline_sim::{Faulty, Plan};

/// Two far ends with a relay between them.
fn relay(room: usize, bounds: Bounds) -> (DuplexStream, DuplexStream, JoinHandle<Carried>) {
    let (first, near) = duplex(room);
    let (second, far) = duplex(room);
    (first, second, tokio::spawn(Relay::new(near, far, bounds)))
}

async fn ended(relay: JoinHandle<Carried>) -> Carried {
    timeout(HANG, relay).await.expect("in time").expect("it does not panic")
}

#[tokio::test]
async fn each_direction_ends_by_itself_and_the_other_goes_on() {
    let (mut first, mut second, relay) = relay(1 << 10, Bounds::default());
    write(&mut first, b"question").await;
    first.shutdown().await.expect("open");
    assert_eq!(read_to_end(&mut second).await, b"question");
    write(&mut second, b"answer").await;
    assert_eq!(read_exactly(&mut first, 6).await, b"answer");
    second.shutdown().await.expect("open");
    assert_eq!(read_to_end(&mut first).await, b"");
    let Carried { there, back, why } = ended(relay).await;
    assert_eq!((there, back), (8, 6));
    assert!(matches!(why, Why::Ended), "{why:?}");
}

#[tokio::test]
async fn who_speaks_first_does_not_matter() {
    let (mut first, mut second, _relay) = relay(1 << 10, Bounds::default());
    write(&mut second, b"SSH-2.0-x\r\n").await;
    assert_eq!(read_exactly(&mut first, 11).await, b"SSH-2.0-x\r\n");
}

#[tokio::test]
async fn bytes_cross_whole_in_both_directions_whatever_the_streams_do() {
    for seed in 0..20 {
        let plan = Plan { piece: 1 + seed as usize * 997, hesitate: 30, ..Plan::default() };
        let (first, near) = duplex(700);
        let (second, far) = duplex(3_000);
        let relay = Relay::new(
            Faulty::new(near, plan.clone(), seed),
            Faulty::new(far, plan, seed + 1),
            Bounds::default(),
        );
        let relay = tokio::spawn(relay);
        let sides = [first, second].map(|side| {
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(side);
                let sent: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
                let writing = async {
                    writer.write_all(&sent).await.expect("taken");
                    writer.shutdown().await.expect("open");
                };
                let mut read = Vec::new();
                let (_, count) = tokio::join!(writing, reader.read_to_end(&mut read));
                count.expect("it ends in order");
                assert!(read == sent, "{} bytes came", read.len());
            })
        });
        for side in sides {
            timeout(HANG, side).await.expect("in time").expect("whole");
        }
        let carried = ended(relay).await;
        assert_eq!((carried.there, carried.back), (200_000, 200_000), "seed {seed}");
    }
}

#[tokio::test]
async fn a_reader_that_has_stopped_stops_its_own_direction_alone_and_little_is_kept_for_it() {
    const ROOM: usize = 1 << 10;
    let (mut first, mut second, _relay) = relay(ROOM, Bounds::default());
    let flood = vec![7; 1 << 20];
    // Nobody reads at the second: what fits is what the pipes and the relay's own 64 KiB hold.
    let mut taken = 0;
    while let Ok(Ok(count)) = timeout(Duration::from_millis(50), first.write(&flood)).await {
        taken += count;
    }
    assert!(taken <= (64 << 10) + 3 * ROOM, "{taken} bytes were taken for nobody");
    write(&mut second, b"still there").await;
    assert_eq!(read_exactly(&mut first, 11).await, b"still there");
    assert_eq!(read_exactly(&mut second, taken).await, &flood[..taken]);
}

#[tokio::test]
async fn a_stream_that_fails_ends_the_relay_and_says_which_it_was() {
    for (first_fails, expected) in [(true, "First"), (false, "Second")] {
        let fails = Plan { fail_at: Some(0), ..Plan::default() };
        let sound = Plan::default();
        let (mut first, near) = duplex(64);
        let (mut second, far) = duplex(64);
        write(if first_fails { &mut first } else { &mut second }, b"x").await;
        let (one, other) = if first_fails { (fails, sound) } else { (sound, fails) };
        let relay = Relay::new(Faulty::new(near, one, 1), Faulty::new(far, other, 2), Bounds::default());
        let why = ended(tokio::spawn(relay)).await.why;
        assert!(format!("{why:?}").starts_with(expected), "{why:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_any_more_is_thrown_away_and_the_other_direction_keeps_all() {
    let (mut first, second, relay) = relay(64, Bounds::default());
    // It says something and takes nothing: it is closed for what comes.
    let mut second = second;
    write(&mut second, b"goodbye").await;
    drop(second);
    let flooding = tokio::spawn(async move {
        let said = read_exactly(&mut first, 7).await;
        let flood = first.write_all(&vec![1; 100_000]).await;
        (said, flood.is_ok())
    });
    let Carried { back, why, .. } = ended(relay).await;
    assert_eq!(back, 7);
    assert!(matches!(why, Why::Refused | Why::Ended), "{why:?}");
    let (said, _) = timeout(HANG, flooding).await.expect("in time").expect("it does not panic");
    assert_eq!(said, b"goodbye");
}

#[tokio::test(start_paused = true)]
async fn a_relay_in_which_nothing_passes_ends_at_the_idle_limit_and_not_before() {
    let idle = Duration::from_secs(60);
    let (mut first, mut second, relay) = relay(64, Bounds { idle: Some(idle), lifetime: None });
    let began = Instant::now();
    for _ in 0..5 {
        tokio::time::sleep(idle - Duration::from_secs(1)).await;
        write(&mut first, b"x").await;
        assert_eq!(read_exactly(&mut second, 1).await, b"x");
    }
    let last = began.elapsed();
    let why = timeout(HANG * 10, relay).await.expect("in time").expect("no panic").why;
    assert!(matches!(why, Why::Idle), "{why:?}");
    assert!(began.elapsed() >= last + idle && began.elapsed() < last + idle + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_stopped_is_idle_and_so_is_one_that_has_half_closed() {
    let bounds = Bounds { idle: Some(Duration::from_secs(60)), lifetime: None };
    let (mut first, _second, stalled) = relay(64, bounds);
    write(&mut first, b"x").await;
    let (mut closed, _far, half) = relay(64, bounds);
    closed.shutdown().await.expect("open");
    for relay in [stalled, half] {
        let why = timeout(HANG * 10, relay).await.expect("in time").expect("no panic").why;
        assert!(matches!(why, Why::Idle), "{why:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_ends_at_its_lifetime_however_busy_it_is() {
    let lifetime = Duration::from_secs(100);
    let (mut first, mut second, relay) = relay(64, Bounds { idle: None, lifetime: Some(lifetime) });
    let began = Instant::now();
    let busy = tokio::spawn(async move {
        while first.write_all(b"x").await.is_ok() {
            if second.read_exact(&mut [0]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let why = timeout(HANG * 10, relay).await.expect("in time").expect("no panic").why;
    assert!(matches!(why, Why::Lifetime), "{why:?}");
    assert!(began.elapsed() >= lifetime && began.elapsed() < lifetime + Duration::from_secs(2));
    timeout(HANG, busy).await.expect("in time").expect("it does not panic");
}

#[tokio::test]
async fn an_echo_sends_back_what_comes_and_then_its_end() {
    let (mut client, near) = duplex(256);
    let echo = tokio::spawn(Echo::new(near, Bounds::default()));
    for _ in 0..100 {
        write(&mut client, b"0123456789").await;
        assert_eq!(read_exactly(&mut client, 10).await, b"0123456789");
    }
    client.shutdown().await.expect("open");
    assert_eq!(read_to_end(&mut client).await, b"");
    let carried = ended(echo).await;
    assert_eq!(carried.back, 1000);
    assert!(matches!(carried.why, Why::Ended));
}

#[tokio::test(start_paused = true)]
async fn an_echo_whose_client_never_reads_takes_little_and_ends_as_idle() {
    let (mut client, near) = duplex(64);
    let idle = Bounds { idle: Some(Duration::from_secs(60)), lifetime: None };
    let echo = tokio::spawn(Echo::new(near, idle));
    let flood = vec![1; 1 << 20];
    let taken = timeout(Duration::from_secs(5), client.write_all(&flood)).await;
    assert!(taken.is_err(), "a mebibyte was taken from who does not read");
    let why = timeout(HANG * 10, echo).await.expect("in time").expect("no panic").why;
    assert!(matches!(why, Why::Idle), "{why:?}");
}

/// A stream in messages at each end of one WebSocket.
fn messages(room: usize) -> (Messages<DuplexStream>, Messages<DuplexStream>) {
    let (server, client) = common::pair(room, &Limits::default());
    (Messages::new(server), Messages::new(client))
}

#[tokio::test]
async fn a_stream_in_messages_ends_each_direction_by_itself_and_then_closes_with_1000() {
    let (mut server, mut client) = messages(1 << 10);
    let serving = tokio::spawn(async move {
        let mut read = Vec::new();
        server.read_to_end(&mut read).await.expect("it ends in order");
        server.write_all(b"answer").await.expect("taken");
        server.shutdown().await.expect("open");
        (read, server.socket().closed().cloned())
    });
    client.write_all(b"question").await.expect("taken");
    client.shutdown().await.expect("open");
    let mut read = Vec::new();
    timeout(HANG, client.read_to_end(&mut read)).await.expect("in time").expect("it ends in order");
    assert_eq!(read, b"answer");
    timeout(HANG, client.shutdown()).await.expect("in time").expect("it has ended");
    let (heard, closed) = timeout(HANG, serving).await.expect("in time").expect("no panic");
    assert_eq!(heard, b"question");
    let closed = closed.expect("the closing handshake is done");
    assert!(closed.is_clean() && closed.code == 1000, "{closed}");
}

#[tokio::test]
async fn megabytes_cross_in_messages_both_ways_at_once() {
    let (server, client) = messages(3_000);
    let sides = [server, client].map(|side| {
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(side);
            let sent: Vec<u8> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
            let writing = async {
                writer.write_all(&sent).await.expect("taken");
                writer.shutdown().await.expect("open");
            };
            let mut read = Vec::new();
            let (_, count) = tokio::join!(writing, reader.read_to_end(&mut read));
            count.expect("it ends in order");
            assert!(read == sent, "{} bytes came", read.len());
        })
    });
    for side in sides {
        timeout(HANG, side).await.expect("in time").expect("whole");
    }
}

#[tokio::test]
async fn a_socket_that_is_dropped_is_a_stream_that_was_cut() {
    let (server, mut client) = messages(1 << 10);
    drop(server);
    let read = timeout(HANG, client.read(&mut [0; 8])).await.expect("in time");
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn a_text_message_is_no_bytes_and_ends_the_stream_with_1003() {
    let (server, client) = common::pair(1 << 10, &Limits::default());
    let mut server = Messages::new(server);
    let speaking = tokio::spawn(async move {
        let mut client: WebSocket<DuplexStream> = client;
        client.send("text").await.expect("taken");
        assert!(client.recv().await.is_none());
        client.closed().cloned()
    });
    let error = timeout(HANG, server.read(&mut [0; 8])).await.expect("in time").expect_err("a rule");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    // Whoever goes on reading carries out the close.
    while timeout(HANG, server.read(&mut [0; 8])).await.expect("in time").is_ok_and(|read| read > 0) {}
    let closed = timeout(HANG, speaking).await.expect("in time").expect("no panic").expect("an end");
    assert_eq!(closed.code, 1003);
}

#[tokio::test]
async fn where_messages_end_means_nothing_and_only_an_empty_one_is_the_end() {
    let (server, mut raw) = common::server_and_raw(1 << 10, &Limits::default());
    let mut server = Messages::new(server);
    for message in [&b"ab"[..], b"c", b"defg"] {
        write(&mut raw, &common::masked(0x82, message)).await;
    }
    // In fragments, one of them empty.
    for (first, message) in [(0x02, &b"h"[..]), (0x00, b""), (0x80, b"i")] {
        write(&mut raw, &common::masked(first, message)).await;
    }
    write(&mut raw, &common::masked(0x82, b"")).await;
    let mut read = Vec::new();
    timeout(HANG, server.read_to_end(&mut read)).await.expect("in time").expect("it ends in order");
    assert_eq!(read, b"abcdefghi");
    assert!(server.socket().closed().is_none(), "the other direction is still open");
    server.write_all(b"more").await.expect("taken");
    assert_eq!(read_exactly(&mut raw, 6).await, b"\x82\x04more");
}
