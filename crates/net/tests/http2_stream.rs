//! How one HTTP/2 stream begins, carries bytes and ends, seen frame by frame (RFC 8441 section 5).
#![cfg(feature = "http2")]

mod http2_support;

use std::io::ErrorKind;

use http2_support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use trunkline_net::http2::Http2Limits;

#[tokio::test]
async fn extended_connect_is_offered_in_the_first_settings() {
    let (_driven, theirs) = serve(Http2Limits::default());
    let raw = Raw::client(theirs, &[]).await;
    assert!(raw.theirs.contains(&(ENABLE_CONNECT_PROTOCOL, 1)), "{:?}", raw.theirs);
}

#[tokio::test]
async fn shutting_down_sends_end_stream_and_reading_goes_on() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    stream.write_all(b"last").await.expect("written");
    stream.shutdown().await.expect("shut down");
    let data = raw.next_of(&[DATA]).await;
    assert_eq!((&data.payload[..], data.flags), (&b"last"[..], 0));
    let end = raw.next_of(&[DATA, RST_STREAM]).await;
    assert_eq!((end.kind, end.flags, end.payload.len()), (DATA, END_STREAM, 0));
    let error = stream.write_all(b"more").await.expect_err("ended");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    stream.shutdown().await.expect("once is enough");

    raw.send(&frame(DATA, END_STREAM, 1, b"answer")).await;
    let mut read = String::new();
    timeout(HANG, stream.read_to_string(&mut read)).await.expect("in time").expect("read");
    assert_eq!(read, "answer");
    drop(stream);
    // Both directions are over, so nothing is left to reset.
    raw.send(&frame(PING, 0, 0, &[7; 8])).await;
    let next = raw.next_of(&[RST_STREAM, PING]).await;
    assert_eq!((next.kind, next.flags), (PING, ACK));
}

#[tokio::test]
async fn dropping_before_shutting_down_sends_rst_stream_with_cancel() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    drop(driven.stream().await);
    let end = raw.next_of(&[DATA, RST_STREAM]).await;
    assert_eq!((end.kind, end.stream, end.number()), (RST_STREAM, 1, CANCEL));
}

#[tokio::test]
async fn what_was_written_before_a_stream_is_dropped_is_sent_before_it_is_reset() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    stream.write_all(&[7; 20_000]).await.expect("written");
    drop(stream);
    let mut got = 0;
    let end = loop {
        let frame = raw.next_of(&[DATA, RST_STREAM]).await;
        if frame.kind == RST_STREAM {
            break frame;
        }
        assert_eq!(frame.flags, 0);
        got += frame.payload.len();
    };
    assert_eq!((got, end.number()), (20_000, CANCEL));
}

#[tokio::test]
async fn the_remotes_end_stream_is_the_end_of_reading_and_writing_goes_on() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    raw.send(&frame(DATA, 0, 1, b"ab")).await;
    raw.send(&frame(DATA, END_STREAM, 1, b"c")).await;
    let mut read = String::new();
    timeout(HANG, stream.read_to_string(&mut read)).await.expect("in time").expect("read");
    assert_eq!(read, "abc");
    stream.write_all(b"still").await.expect("half closed");
    assert_eq!(raw.next_of(&[DATA, RST_STREAM]).await.payload, b"still");
}

#[tokio::test]
async fn a_connect_that_ends_its_stream_at_once_is_a_stream_at_its_end() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.send(&headers(1, END_STREAM, &WEBSOCKET)).await;
    assert_eq!(raw.next_of(&[HEADERS]).await.status(), 200);
    let mut stream = driven.stream().await;
    assert_eq!(
        timeout(HANG, stream.read_u8()).await.expect("in time").expect_err("the end").kind(),
        ErrorKind::UnexpectedEof
    );
}

#[tokio::test]
async fn the_remotes_rst_stream_fails_reading_and_writing_whatever_its_code() {
    for code in [NO_ERROR, PROTOCOL_ERROR, CANCEL, 0xdead_beef] {
        let (mut driven, theirs) = serve(Http2Limits::default());
        let mut raw = Raw::client(theirs, &[]).await;
        raw.open(1).await;
        let mut stream = driven.stream().await;
        raw.send(&reset(1, code)).await;
        let error = timeout(HANG, stream.read_u8()).await.expect("in time").expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{code}: {error}");
        let error = timeout(HANG, stream.write_all(b"x")).await.expect("in time").expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{code}: {error}");
    }
}

#[tokio::test]
async fn what_came_before_a_reset_is_still_read() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    raw.send(&[frame(DATA, 0, 1, b"goodbye"), reset(1, CANCEL)].concat()).await;
    let mut read = [0; 7];
    timeout(HANG, stream.read_exact(&mut read)).await.expect("in time").expect("read");
    assert_eq!(&read, b"goodbye");
    let error = timeout(HANG, stream.read_u8()).await.expect("in time").expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_writer_that_waits_for_the_window_learns_of_a_reset() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    let writer = tokio::spawn(async move { stream.write_all(b"x").await });
    raw.send(&reset(1, CANCEL)).await;
    let result = timeout(HANG, writer).await.expect("in time").expect("no panic");
    assert_eq!(result.expect_err("reset").kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_end_of_the_connection_fails_every_stream() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    drop(raw);
    let error = timeout(HANG, stream.read_u8()).await.expect("in time").expect_err("no END_STREAM");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "an end of the connection is not one of the stream");
    assert!(stream.write_all(b"x").await.is_err());
}

#[tokio::test]
async fn an_empty_data_frame_is_not_the_end() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    for _ in 0..100 {
        raw.send(&frame(DATA, 0, 1, b"")).await;
    }
    let padded = [&[4][..], b"abc", &[0; 4]].concat();
    raw.send(&frame(DATA, 8, 1, &padded)).await;
    let mut read = [0; 3];
    timeout(HANG, stream.read_exact(&mut read)).await.expect("in time").expect("read");
    assert_eq!(&read, b"abc");
    raw.send(&frame(DATA, END_STREAM, 1, b"")).await;
    assert_eq!(timeout(HANG, stream.read(&mut read)).await.expect("in time").expect("the end"), 0);
}

#[tokio::test]
async fn the_window_opens_again_as_the_application_reads_and_not_before() {
    let limits = Http2Limits { stream_window: 1000, ..Http2Limits::default() };
    let (mut driven, theirs) = serve(limits);
    let mut raw = Raw::client(theirs, &[]).await;
    assert!(raw.theirs.contains(&(INITIAL_WINDOW_SIZE, 1000)), "{:?}", raw.theirs);
    raw.open(1).await;
    let mut stream = driven.stream().await;
    raw.send(&frame(DATA, 0, 1, &[1; 1000])).await;
    raw.send(&frame(PING, 0, 0, &[0; 8])).await;
    loop {
        let frame = raw.next_of(&[PING, WINDOW_UPDATE]).await;
        if frame.kind == PING {
            break;
        }
        assert_eq!(frame.stream, 0, "nothing was read yet");
    }
    let mut read = [0; 1000];
    timeout(HANG, stream.read_exact(&mut read)).await.expect("in time").expect("read");
    let mut opened = 0;
    while opened < 1000 {
        let update = raw.next_of(&[WINDOW_UPDATE]).await;
        opened += if update.stream == 1 { update.number() } else { 0 };
    }
    assert_eq!(opened, 1000);
}

#[tokio::test]
async fn a_remote_that_sends_past_its_window_is_reset() {
    let limits = Http2Limits { stream_window: 1000, ..Http2Limits::default() };
    let (mut driven, theirs) = serve(limits);
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    raw.send(&frame(DATA, 0, 1, &[1; 1001])).await;
    let end = raw.next_of(&[RST_STREAM, GOAWAY]).await;
    assert_eq!((end.kind, end.number()), (RST_STREAM, FLOW_CONTROL_ERROR));
    assert!(timeout(HANG, stream.read_u8()).await.expect("in time").is_err());
}

#[tokio::test]
async fn no_more_is_written_than_the_remote_has_granted() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[(INITIAL_WINDOW_SIZE, 10)]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    let writer = tokio::spawn(async move {
        stream.write_all(&[7; 25]).await.expect("written");
        stream
    });
    let mut got = 0;
    for granted in [10, 20, 25] {
        while got < granted {
            let data = raw.next_of(&[DATA]).await;
            got += data.payload.len();
        }
        assert_eq!(got, granted);
        // Nothing more until there is room: the answer to this comes first.
        raw.send(&frame(PING, 0, 0, &[0; 8])).await;
        assert_eq!(raw.next_of(&[DATA, PING]).await.kind, PING);
        raw.send(&window_update(1, 10)).await;
    }
    drop(timeout(HANG, writer).await.expect("in time").expect("no panic"));
}

#[tokio::test]
async fn frames_are_no_larger_than_every_remote_takes() {
    let (mut driven, theirs) = serve(Http2Limits::default());
    let mut raw = Raw::client(theirs, &[]).await;
    raw.open(1).await;
    let mut stream = driven.stream().await;
    tokio::spawn(async move {
        stream.write_all(&[7; 60_000]).await.expect("written");
        stream.shutdown().await.expect("shut down");
    });
    let mut got = 0;
    loop {
        let data = raw.next_of(&[DATA]).await;
        assert!(data.payload.len() <= 16_384, "{}", data.payload.len());
        got += data.payload.len();
        if data.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(got, 60_000);
}

#[tokio::test]
async fn a_stream_dropped_with_data_that_the_remote_has_no_window_for_is_gone_at_once() {
    let limits = Http2Limits { streams: 1, ..Http2Limits::default() };
    let (mut driven, theirs) = serve(limits);
    let mut raw = Raw::client(theirs, &[(INITIAL_WINDOW_SIZE, 4)]).await;
    for id in [1, 3, 5] {
        raw.open(id).await;
        let mut stream = driven.stream().await;
        assert_eq!(stream.write(b"abcdefgh").await.expect("as much as fits"), 4);
        let more = timeout(std::time::Duration::from_millis(1), stream.write(b"efgh"));
        assert!(more.await.is_err(), "there is no window");
        drop(stream);
        let end = raw.next_of(&[RST_STREAM]).await;
        assert_eq!((end.stream, end.number()), (id, CANCEL));
        // There is room for one stream only: the next would be refused if this one were pinned.
    }
}
