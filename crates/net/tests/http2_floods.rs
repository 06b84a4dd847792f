//! Floods of HTTP/2 frames against our server: memory stays flat, and the connection ends or goes on as it should.
//!
//! Every allocation of this binary is counted, so the tests take turns.
#![cfg(feature = "http2")]

mod http2_support;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http2_support::*;
use peak_alloc::PeakAlloc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use trunkline_net::http2::{Http2Error, Http2Limits};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static TURN: Mutex<()> = Mutex::new(());

/// Runs a test alone, on one thread, in time that passes when nothing else happens.
fn alone(test: impl Future<Output = ()>) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(test);
}

/// The most that was allocated beyond what there was before, in bytes.
async fn peak_of<T>(work: impl Future<Output = T>) -> (T, usize) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let result = work.await;
    (result, ALLOCATOR.peak_usage().saturating_sub(before))
}

#[test]
fn a_hundred_thousand_streams_opened_and_reset_in_one_breath_end_the_connection() {
    alone(async {
        let (driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        let flood = async {
            for id in 0..100_000 {
                let id = 2 * id + 1;
                let one = [headers(id, 0, &WEBSOCKET), reset(id, CANCEL)].concat();
                if raw.try_send(&one).await.is_err() {
                    break;
                }
            }
            raw.ended_with().await
        };
        let (code, peak) = peak_of(flood).await;
        assert_eq!(code, ENHANCE_YOUR_CALM);
        assert!(peak < 200_000, "{peak} bytes");
        assert!(matches!(
            driven.ended().await,
            Err(Http2Error::Failed { code: ENHANCE_YOUR_CALM, remote: false })
        ));
    });
}

#[test]
fn a_hundred_thousand_streams_opened_and_reset_at_leisure_keep_memory_flat() {
    alone(async {
        let (mut driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        let taken = tokio::spawn(async move {
            let mut taken = 0;
            while driven.streams.recv().await.is_some() {
                taken += 1;
            }
            taken
        });
        let flood = async {
            for batch in 0..10_000 {
                let opened = (0..10).map(|n| 2 * (10 * batch + n) + 1);
                let all = opened.flat_map(|id| [headers(id, 0, &WEBSOCKET), reset(id, CANCEL)].concat());
                raw.send(&all.collect::<Vec<_>>()).await;
                raw.settle().await;
            }
        };
        let ((), peak) = peak_of(flood).await;
        assert!(peak < 100_000, "{peak} bytes");
        drop(raw);
        let taken = taken.await.expect("no panic");
        assert!(taken <= 100_000, "{taken}");
    });
}

#[test]
fn streams_that_the_server_is_made_to_reset_end_the_connection_after_a_thousand() {
    alone(async {
        let (driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        let flood = async {
            for id in 0..100_000 {
                let id = 2 * id + 1;
                // Each increment alone is right, and both together are more than a window can be.
                let overflow = [headers(id, 0, &WEBSOCKET), window_update(id, 0x7fff_ffff)].concat();
                if raw.try_send(&overflow).await.is_err() {
                    break;
                }
            }
            raw.ended_with().await
        };
        let (code, peak) = peak_of(flood).await;
        assert_eq!(code, ENHANCE_YOUR_CALM);
        assert!(peak < 1_000_000, "{peak} bytes");
        assert!(driven.ended().await.is_err());
    });
}

#[test]
fn an_endless_block_of_headers_ends_the_connection() {
    alone(async {
        for piece in [&b""[..], &[0, 1, b'a', 1, b'b'].repeat(3000)] {
            let (driven, theirs) = serve(Http2Limits::default());
            let mut raw = Raw::client(theirs, &[]).await;
            let flood = async {
                raw.send(&frame(HEADERS, 0, 1, &block(WEBSOCKET))).await;
                let mut sent = 0;
                while raw.try_send(&frame(CONTINUATION, 0, 1, piece)).await.is_ok() {
                    sent += 1;
                    assert!(sent < 10_000, "the server still listens");
                }
                raw.ended_with().await
            };
            let (code, peak) = peak_of(flood).await;
            assert_eq!(code, ENHANCE_YOUR_CALM);
            assert!(peak < 400_000, "{peak} bytes");
            assert!(driven.ended().await.is_err());
        }
    });
}

#[test]
fn headers_past_the_limit_are_answered_431_and_the_connection_goes_on() {
    alone(async {
        let (_driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        let long = "x".repeat(16_000);
        let flood = async {
            for id in (1..200).step_by(2) {
                let block = block(WEBSOCKET.into_iter().chain([("x-long", &*long), ("x-more", &*long)]));
                let (first, second) = block.split_at(16_384);
                raw.send(&frame(HEADERS, 0, id, first)).await;
                raw.send(&frame(CONTINUATION, END_HEADERS, id, second)).await;
                assert_eq!(raw.next_of(&[HEADERS, GOAWAY]).await.status(), 431);
            }
        };
        let ((), peak) = peak_of(flood).await;
        assert!(peak < 500_000, "{peak} bytes");
        raw.settle().await;
        raw.open(1001).await;
    });
}

#[test]
fn headers_that_are_small_on_the_wire_and_large_when_unpacked_are_not_unpacked() {
    alone(async {
        let (_driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        // One header of 3,000 bytes is remembered by the server (RFC 7541 section 6.2.1), and then meant 10,000 times.
        let mut bomb = block(WEBSOCKET);
        bomb.extend([0x40, 1, b'a', 0x7f, 0xb9, 0x16]);
        bomb.extend([b'x'; 3000]);
        bomb.extend([0xbe; 10_000]);
        raw.send(&frame(HEADERS, END_HEADERS, 1, &bomb)).await;
        let (code, peak) = peak_of(raw.ended_with()).await;
        assert_eq!(code, ENHANCE_YOUR_CALM);
        assert!(peak < 100_000, "{peak} bytes for what says 30 MB");
    });
}

#[test]
fn empty_data_frames_on_a_websocket_end_the_connection() {
    alone(async {
        let (mut driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        raw.open(1).await;
        let unread = driven.stream().await;
        let flood = async {
            let empty = frame(DATA, 0, 1, b"");
            let mut sent = 0;
            while sent < 100_000 && raw.try_send(&empty).await.is_ok() {
                sent += 1;
            }
            raw.ended_with().await
        };
        let (code, peak) = peak_of(flood).await;
        assert_eq!(code, ENHANCE_YOUR_CALM);
        assert!(peak < 50_000, "{peak} bytes");
        drop(unread);
    });
}

#[test]
fn data_in_crumbs_that_nobody_reads_stops_at_its_window_in_bounded_memory() {
    alone(async {
        let (mut driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        raw.open(1).await;
        let unread = driven.stream().await;
        let flood = async {
            let crumbs = frame(DATA, 0, 1, b"x").repeat(1024);
            for _ in 0..256 {
                raw.send(&crumbs).await;
            }
            raw.settle().await;
        };
        let ((), peak) = peak_of(flood).await;
        assert!(peak < 2_500_000, "{peak} bytes for 262,144 frames");
        // The window is used up, and nobody but this stream is the worse for it.
        raw.open(3).await;
        raw.send(&frame(DATA, 0, 1, b"x")).await;
        let end = raw.next_of(&[RST_STREAM, GOAWAY]).await;
        assert_eq!((end.kind, end.stream, end.number()), (RST_STREAM, 1, FLOW_CONTROL_ERROR));
        drop(unread);
    });
}

#[test]
fn a_byte_now_and_then_on_a_stream_that_nobody_reads_holds_no_buffer_that_it_came_in() {
    alone(async {
        let (mut driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        raw.open(1).await;
        let unread = driven.stream().await;
        raw.open(3).await;
        let mut read = driven.stream().await;
        tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
        let flood = async {
            let both = [frame(DATA, 0, 1, b"x"), frame(DATA, 0, 3, &[0; 8000])].concat();
            for _ in 0..100 {
                raw.send(&both.repeat(30)).await;
                raw.settle().await;
            }
        };
        let ((), peak) = peak_of(flood).await;
        assert!(peak < 1_000_000, "{peak} bytes for 3,000 unread ones, between 24 MB");
        drop(unread);
    });
}

#[test]
fn data_in_crumbs_that_is_read_goes_on_for_ever_in_flat_memory() {
    alone(async {
        let (mut driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        raw.open(1).await;
        let mut stream = driven.stream().await;
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            let mut read = 0;
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                read += count;
            }
            read
        });
        let flood = async {
            let crumbs = frame(DATA, 0, 1, b"x").repeat(100);
            for _ in 0..1000 {
                raw.send(&crumbs).await;
                raw.settle().await;
            }
            raw.send(&frame(DATA, END_STREAM, 1, b"")).await;
            reader.await.expect("no panic")
        };
        let (read, peak) = peak_of(flood).await;
        assert_eq!(read, 100_000);
        assert!(peak < 200_000, "{peak} bytes");
    });
}

/// A hundred thousand of them from a remote that reads no answer: the server stops reading too, and in the end counts it
/// as dead.
fn flood_of_what_must_be_answered(one: Vec<u8>) {
    alone(async move {
        let (driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        let flood = async {
            for _ in 0..100_000 {
                if raw.try_send(&one).await.is_err() {
                    break;
                }
            }
            driven.ended().await
        };
        let (ended, peak) = peak_of(flood).await;
        assert!(matches!(ended, Err(Http2Error::TimedOut(_))), "{ended:?}");
        assert!(peak < 300_000, "{peak} bytes");
    });
}

#[test]
fn pings_from_a_remote_that_never_reads_keep_memory_flat() {
    flood_of_what_must_be_answered(frame(PING, 0, 0, &[7; 8]));
}

#[test]
fn settings_from_a_remote_that_never_reads_keep_memory_flat() {
    flood_of_what_must_be_answered(settings(&[(INITIAL_WINDOW_SIZE, 70_000)]));
}

#[test]
fn empty_settings_from_a_remote_that_never_reads_keep_memory_flat() {
    flood_of_what_must_be_answered(settings(&[]));
}

#[test]
fn streams_refused_to_a_remote_that_never_reads_keep_memory_flat() {
    alone(async {
        let (driven, theirs) = serve(Http2Limits { streams: 1, ..Http2Limits::default() });
        let mut raw = Raw::client(theirs, &[]).await;
        raw.open(1).await;
        let flood = async {
            for id in 0..100_000 {
                if raw.try_send(&headers(2 * id + 3, 0, &WEBSOCKET)).await.is_err() {
                    break;
                }
            }
            driven.task.await.expect("no panic")
        };
        let (ended, peak) = peak_of(flood).await;
        assert!(ended.is_err());
        assert!(peak < 200_000, "{peak} bytes");
    });
}

#[test]
fn a_remote_that_answers_what_it_is_asked_may_ping_a_hundred_thousand_times() {
    alone(async {
        let (_driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        let flood = async {
            for _ in 0..1000 {
                raw.send(&frame(PING, 0, 0, &[7; 8]).repeat(100)).await;
                for _ in 0..100 {
                    assert_eq!(raw.next_of(&[PING]).await.flags, ACK);
                }
            }
        };
        let ((), peak) = peak_of(flood).await;
        assert!(peak < 50_000, "{peak} bytes");
    });
}

#[test]
fn a_remote_without_a_window_makes_writers_wait_and_nothing_pile_up() {
    alone(async {
        let (mut driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[(INITIAL_WINDOW_SIZE, 0)]).await;
        let flood = async {
            let data: &'static [u8] = &[7; 1 << 20];
            let mut writers = tokio::task::JoinSet::new();
            for n in 0..128 {
                raw.open(2 * n + 1).await;
                let mut stream = driven.stream().await;
                writers.spawn(async move { stream.write_all(data).await });
            }
            sleep(Duration::from_secs(10)).await;
            writers.shutdown().await;
            // Every one of them was given up, and its place is free again.
            for _ in 0..128 {
                assert_eq!(raw.next_of(&[RST_STREAM, GOAWAY]).await.number(), CANCEL);
            }
            for n in 128..256 {
                raw.open(2 * n + 1).await;
            }
        };
        let ((), peak) = peak_of(flood).await;
        assert!(peak < 500_000, "{peak} bytes for 128 MiB that wait");
    });
}

#[test]
fn a_remote_that_takes_its_window_back_holds_one_send_buffer_a_stream_at_most() {
    alone(async {
        let (mut driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[(INITIAL_WINDOW_SIZE, 1 << 20)]).await;
        raw.send(&window_update(0, 1 << 30)).await;
        let flood = async {
            let data: &'static [u8] = &[7; 1 << 20];
            let mut writers = tokio::task::JoinSet::new();
            for n in 0..16 {
                raw.open(2 * n + 1).await;
                let mut stream = driven.stream().await;
                writers.spawn(async move { stream.write_all(data).await });
            }
            // They fill the pipe and their buffers; then the windows are taken back below nothing.
            sleep(Duration::from_secs(1)).await;
            raw.send(&settings(&[(INITIAL_WINDOW_SIZE, 0)])).await;
            raw.settle().await;
            sleep(Duration::from_secs(1)).await;
            writers.shutdown().await;
        };
        let ((), peak) = peak_of(flood).await;
        assert!(peak < 16 * (64 << 10) + 600_000, "{peak} bytes for 16 MiB that wait");
    });
}
