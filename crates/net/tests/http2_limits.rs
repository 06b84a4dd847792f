//! Every limit of an HTTP/2 connection: what is just within it, and one past it.
#![cfg(feature = "http2")]

mod http2_support;

use std::time::Duration;

use http2_support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::timeout;
use trunkline_net::handshake::AcceptPolicy;
use trunkline_net::http2::{Http, Http2Error, Http2Limits, Incoming, Server, sniff};
use trunkline_net::{Acceptor, Error, Limits};

#[tokio::test]
async fn streams_past_the_limit_are_refused_and_may_try_again_when_there_is_room() {
    let (mut driven, theirs) = serve(Http2Limits { streams: 3, ..Http2Limits::default() });
    let mut raw = Raw::client(theirs, &[]).await;
    for id in [1, 3, 5] {
        raw.open(id).await;
    }
    raw.send(&headers(7, 0, &WEBSOCKET)).await;
    let end = raw.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
    assert_eq!((end.kind, end.stream, end.number()), (RST_STREAM, 7, REFUSED_STREAM));
    drop(driven.stream().await);
    assert_eq!(raw.next_of(&[RST_STREAM]).await.stream, 1);
    raw.open(9).await;
}

#[tokio::test]
async fn headers_of_exactly_the_limit_are_read_and_one_byte_more_gets_431() {
    // As RFC 9113 section 6.5.2 counts: "the length of the name and value in octets plus an overhead of 32".
    let fixed: usize = WEBSOCKET.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    let limit = 1000;
    for (length, status) in [(limit, 200), (limit + 1, 431)] {
        let (_driven, theirs) = serve(Http2Limits { header_list: limit as u32, ..Http2Limits::default() });
        let mut raw = Raw::client(theirs, &[]).await;
        let value = "x".repeat(length - fixed - 32 - 1);
        let fields = [&WEBSOCKET[..], &[("x", &value)]].concat();
        raw.send(&headers(1, 0, &fields)).await;
        assert_eq!(raw.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await.status(), status, "{length} bytes");
    }
}

#[tokio::test]
async fn as_many_streams_may_be_reset_before_they_are_looked_at_and_one_more_ends_the_connection() {
    for (count, alive) in [(5, true), (6, false)] {
        let (_driven, theirs) = serve(Http2Limits { pending_resets: 5, ..Http2Limits::default() });
        let mut raw = Raw::client(theirs, &[]).await;
        // In one piece, so that the server has read them all before it looks at the first.
        let opened = (0..count).map(|n| 2 * n + 1);
        let all = opened.flat_map(|id| [headers(id, 0, &WEBSOCKET), reset(id, CANCEL)].concat());
        raw.send(&all.collect::<Vec<_>>()).await;
        if alive {
            raw.open(101).await;
        } else {
            assert_eq!(raw.ended_with().await, ENHANCE_YOUR_CALM);
        }
    }
}

#[tokio::test]
async fn as_many_streams_may_make_us_reset_them_and_one_more_ends_the_connection() {
    for (count, alive) in [(5, true), (6, false)] {
        let (driven, theirs) = serve(Http2Limits { error_resets: 5, ..Http2Limits::default() });
        let mut raw = Raw::client(theirs, &[]).await;
        for n in 0..count {
            let id = 2 * n + 1;
            raw.send(&[headers(id, 0, &WEBSOCKET), window_update(id, 0x7fff_ffff)].concat()).await;
        }
        if alive {
            for _ in 0..count {
                assert_eq!(raw.next_of(&[RST_STREAM]).await.number(), FLOW_CONTROL_ERROR);
            }
            raw.open(101).await;
        } else {
            assert_eq!(raw.ended_with().await, ENHANCE_YOUR_CALM);
            let ended = driven.ended().await;
            assert!(matches!(ended, Err(Http2Error::Failed { code: ENHANCE_YOUR_CALM, remote: false })));
        }
    }
}

#[tokio::test]
async fn a_hundred_empty_data_frames_are_taken_and_one_more_ends_the_connection() {
    let (_driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    raw.send(&frame(DATA, 0, 1, b"").repeat(100)).await;
    raw.open(3).await;
    raw.send(&frame(DATA, 0, 3, b"")).await;
    assert_eq!(raw.ended_with().await, ENHANCE_YOUR_CALM);
}

#[tokio::test]
async fn exactly_the_send_buffer_waits_for_the_socket() {
    let (ours, theirs) = duplex(64 << 10);
    let limits = Http2Limits { send_buffer: 1000, ..Http2Limits::default() };
    let (mut server, mut raw) = tokio::join!(
        async { Server::start(ours, &limits).await.expect("a client") },
        Raw::client(theirs, &[])
    );
    raw.send(&headers(1, 0, &WEBSOCKET)).await;
    let Some(Ok(Incoming::Connect(connect))) = server.accept().await else { panic!("no CONNECT") };
    let accepted = connect.judge(&AcceptPolicy::default()).expect("good");
    let mut stream = connect.accept(&accepted).expect("there");
    // Nobody drives the connection, so whatever is taken waits.
    let mut taken = 0;
    while let Ok(count) = timeout(Duration::from_millis(20), stream.write(&[7; 300])).await {
        taken += count.expect("written");
    }
    assert_eq!(taken, 1000);
    let driver = tokio::spawn(async move { server.accept().await.is_none() });
    let mut got = 0;
    while got < 1000 {
        got += raw.next_of(&[DATA]).await.payload.len();
    }
    assert_eq!(timeout(HANG, stream.write(&[7; 300])).await.expect("in time").expect("room again"), 300);
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_has_a_stream_is_ended_after_the_idle_time() {
    let limits = Http2Limits {
        idle_timeout: Some(Duration::from_secs(100)),
        ping_interval: None,
        ..Http2Limits::default()
    };
    let (driven, theirs) = serve(limits);
    let mut raw = Raw::client(theirs, &[]).await;
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert!(!driven.task.is_finished());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(raw.ended_with().await, NO_ERROR);
    driven.ended().await.expect("in good order");
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_answered_in_time_keeps_the_connection_and_one_that_is_not_ends_it() {
    let limits = Http2Limits { idle_timeout: None, ..Http2Limits::default() };
    let (driven, theirs) = serve(limits.clone());
    let mut raw = Raw::client(theirs, &[]).await;
    for _ in 0..5 {
        let ping = raw.next_of(&[PING]).await;
        tokio::time::sleep(limits.ping_timeout - Duration::from_secs(1)).await;
        raw.send(&frame(PING, ACK, 0, &ping.payload)).await;
    }
    raw.next_of(&[PING]).await;
    tokio::time::sleep(limits.ping_timeout + Duration::from_secs(1)).await;
    assert!(matches!(driven.ended().await, Err(Http2Error::TimedOut(_))));
}

#[tokio::test(start_paused = true)]
async fn a_ping_whose_answer_is_behind_other_bytes_has_its_time_anew_as_long_as_these_arrive() {
    let limits = Http2Limits { idle_timeout: None, ..Http2Limits::default() };
    let (driven, theirs) = serve(limits.clone());
    let mut raw = Raw::client(theirs, &[]).await;
    let ping = raw.next_of(&[PING]).await;
    for byte in frame(UNKNOWN, 0, 0, b"slow") {
        tokio::time::sleep(limits.ping_timeout - Duration::from_secs(1)).await;
        raw.send(&[byte]).await;
    }
    raw.send(&frame(PING, ACK, 0, &ping.payload)).await;
    raw.next_of(&[PING]).await;
    raw.send(b"\0").await;
    tokio::time::sleep(limits.ping_timeout + Duration::from_secs(1)).await;
    assert!(matches!(driven.ended().await, Err(Http2Error::TimedOut(_))));
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_reads_slowly_is_not_dead_and_one_that_takes_nothing_is() {
    let limits = Http2Limits { idle_timeout: None, ..Http2Limits::default() };
    let (mut driven, theirs) = serve(limits.clone());
    let mut raw = Raw::client(theirs, &[(INITIAL_WINDOW_SIZE, 1 << 30)]).await;
    raw.send(&window_update(0, 1 << 30)).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    let writing = tokio::spawn(async move { while stream.write_all(&[7; 10_000]).await.is_ok() {} });
    let almost = limits.ping_timeout - Duration::from_secs(1);
    let mut read = 0;
    let ping = loop {
        tokio::time::sleep(almost).await;
        match raw.next_of(&[DATA, PING]).await {
            ping if ping.kind == PING => break ping,
            data => read += data.payload.len(),
        }
    };
    assert!(read > 64 << 10, "the PING was behind {read} bytes");
    raw.send(&frame(PING, ACK, 0, &ping.payload)).await;
    raw.settle().await;
    assert!(!writing.is_finished());
    tokio::time::sleep(limits.ping_interval.expect("asked") + 2 * limits.ping_timeout).await;
    assert!(matches!(driven.ended().await, Err(Http2Error::TimedOut(_))));
    timeout(HANG, writing).await.expect("in time").expect("no panic");
}

#[tokio::test]
async fn the_preface_tells_http2_from_http1_at_its_first_byte_that_differs_and_no_byte_is_lost() {
    let limits = Limits::default();
    for (sent, expected) in [
        (PREFACE, Http::Two),
        (b"GET / HTTP/1.1\r\n\r\n", Http::One),
        (b"G", Http::One),
        (b"PROPFIND / HTTP/1.1\r\n", Http::One),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", Http::One),
        (b"\x16\x03\x01", Http::One),
    ] {
        for piece in 1..=sent.len() {
            let (mut ours, theirs) = duplex(1024);
            let writer = tokio::spawn(async move {
                for part in sent.chunks(piece) {
                    ours.write_all(part).await.expect("written");
                    tokio::task::yield_now().await;
                }
                ours.write_all(b"rest").await.expect("written");
            });
            let (http, mut stream) =
                timeout(HANG, sniff(theirs, &limits)).await.expect("in time").expect("read");
            assert_eq!(http, expected, "{}", sent.escape_ascii());
            let mut all = Vec::new();
            timeout(HANG, stream.read_to_end(&mut all)).await.expect("in time").expect("read");
            assert_eq!(all, [sent, b"rest"].concat());
            writer.await.expect("no panic");
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_within_the_preface_is_http1s_to_judge_and_one_that_ends_before_it_is_nobodys() {
    let limits = Limits::default();
    let (mut ours, theirs) = duplex(64);
    ours.write_all(&PREFACE[..10]).await.expect("written");
    drop(ours);
    let (http, _) = sniff(theirs, &limits).await.expect("read");
    assert_eq!(http, Http::One);
    let (ours, theirs) = duplex(64);
    drop(ours);
    let Err(Error::Io(error)) = sniff(theirs, &limits).await else { panic!("nothing came") };
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_trickles_in_has_one_deadline() {
    let (mut ours, theirs) = duplex(64);
    let slow = tokio::spawn(async move {
        for byte in PREFACE {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if ours.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    let error = sniff(theirs, &Limits::default()).await.expect_err("ten seconds are over");
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    slow.await.expect("no panic");
}

#[tokio::test]
async fn one_port_serves_websockets_over_both_versions() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let acceptor = Acceptor::default();
                let (http, stream) = sniff(stream, &Limits::default()).await.expect("a client");
                if http == Http::One {
                    let mut socket = acceptor.accept(stream).await.expect("a socket");
                    return socket.send("one").await.expect("sent");
                }
                let limits = Http2Limits::default();
                let mut sockets =
                    trunkline_net::http2::Sockets::start(stream, acceptor, &limits).await.expect("a client");
                while let Some(Ok(mut socket)) = sockets.accept().await {
                    tokio::spawn(async move { socket.send("two").await });
                }
            });
        }
    });
    let url = format!("ws://{address}/");
    let mut socket = trunkline_net::connect(&url).await.expect("a socket");
    let message = timeout(HANG, socket.recv()).await.expect("in time").expect("a message").expect("no error");
    assert_eq!(message.as_text(), Some("one"));

    let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    let session =
        trunkline_net::http2::Session::start(stream, &Http2Limits::default()).await.expect("offered");
    let url = trunkline_net::url::WsUrl::parse(&url).expect("a URL");
    let (stream, _) = session.open(&url, &Default::default()).await.expect("a stream");
    let role = trunkline_net::Role::Client(trunkline_net::random_mask);
    let mut socket =
        trunkline_net::WebSocket::from_upgraded(stream, bytes::Bytes::new(), role, Limits::default());
    let message = timeout(HANG, socket.recv()).await.expect("in time").expect("a message").expect("no error");
    assert_eq!(message.as_text(), Some("two"));
}
