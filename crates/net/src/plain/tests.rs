use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

fn limits(outgoing: usize) -> Arc<Limits> {
    Arc::new(Limits {
        outgoing,
        ping_interval: Some(Duration::from_secs(30)),
        pong_timeout: Some(Duration::from_secs(10)),
        close_timeout: Some(Duration::from_secs(5)),
        ..Limits::default()
    })
}

/// Ours, of which the remote takes `pipe` bytes at once unread, and the remote.
fn pair(pipe: usize) -> (Plain<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(pipe);
    (Plain::new(ours, b"", limits(100)), theirs)
}

async fn fill(plain: &mut Plain<DuplexStream>) -> usize {
    poll_fn(|cx| plain.poll_fill(cx)).await.expect("the pipe does not break")
}

async fn flush(plain: &mut Plain<DuplexStream>) {
    poll_fn(|cx| plain.poll_flush(cx)).await.expect("the pipe does not break");
}

#[tokio::test]
async fn what_is_left_over_comes_first_and_what_is_not_consumed_stays() {
    let (ours, mut theirs) = duplex(100);
    let mut plain = Plain::new(ours, b"ab", limits(100));
    assert_eq!(plain.input(), b"ab");
    plain.consume(1);
    theirs.write_all(b"cd").await.expect("room");
    assert_eq!(fill(&mut plain).await, 2);
    assert_eq!(plain.input(), b"bcd");
    plain.consume(3);
    assert!(plain.held.is_none(), "an idle one holds no buffer");
    drop(theirs);
    assert_eq!(fill(&mut plain).await, 0, "the end");
}

#[tokio::test]
async fn no_more_is_read_at_once_than_the_limit() {
    let (mut plain, mut theirs) = pair(READ + 1);
    theirs.write_all(&vec![b'x'; READ + 1]).await.expect("room");
    assert_eq!((fill(&mut plain).await, fill(&mut plain).await), (READ, 1));
}

#[tokio::test]
async fn what_the_remote_does_not_take_waits_and_counts_against_the_room() {
    let (mut plain, mut theirs) = pair(4);
    plain.queue(b"0123");
    plain.queue(b"456789");
    assert_eq!((plain.queued(), plain.room()), (10, 90));
    let written = poll_fn(|cx| Poll::Ready(plain.poll_flush(cx).is_pending())).await;
    assert!(written, "there is no room for all of it");
    assert_eq!(plain.queued(), 6);
    let mut got = [0; 10];
    let (_, read) = tokio::join!(flush(&mut plain), theirs.read_exact(&mut got));
    read.expect("all of it");
    assert_eq!(&got, b"0123456789");
    assert!(plain.held.is_none(), "an idle one holds no buffer");
}

async fn silence(plain: &mut Plain<DuplexStream>, reads: bool) -> Silence {
    poll_fn(|cx| plain.poll_silence(cx, reads)).await
}

/// How long this took, in whole seconds of the paused clock.
async fn seconds<T>(work: impl Future<Output = T>) -> (u64, T) {
    let began = tokio::time::Instant::now();
    let result = work.await;
    (began.elapsed().as_secs(), result)
}

#[tokio::test(start_paused = true)]
async fn a_silent_remote_is_asked_and_then_given_up_and_any_byte_is_an_answer() {
    let (mut plain, mut theirs) = pair(4);
    assert_eq!(seconds(silence(&mut plain, true)).await, (30, Silence::Ask));
    theirs.write_all(b"x").await.expect("room");
    fill(&mut plain).await;
    assert_eq!(seconds(silence(&mut plain, true)).await, (30, Silence::Ask));
    assert_eq!(seconds(silence(&mut plain, true)).await, (10, Silence::Gone));
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_takes_what_it_is_sent_is_not_gone() {
    let (mut plain, mut theirs) = pair(4);
    silence(&mut plain, true).await;
    plain.queue(b"a question that is longer than the pipe");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        let mut taken = [0; 4];
        let _ = poll_fn(|cx| Poll::Ready(plain.poll_flush(cx).is_pending())).await;
        theirs.read_exact(&mut taken).await.expect("four bytes");
        let _ = poll_fn(|cx| Poll::Ready(plain.poll_flush(cx).is_pending())).await;
        let now = poll_fn(|cx| Poll::Ready(plain.poll_silence(cx, true))).await;
        assert_eq!(now, Poll::Pending);
    }
    assert_eq!(silence(&mut plain, true).await, Silence::Gone);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_read_is_not_asked_in_vain() {
    let (mut plain, _theirs) = pair(4);
    silence(&mut plain, false).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        let now = poll_fn(|cx| Poll::Ready(plain.poll_silence(cx, false))).await;
        assert_eq!(now, Poll::Pending);
    }
    assert_eq!(seconds(silence(&mut plain, true)).await, (10, Silence::Gone), "read again, it has its time");
}

#[tokio::test(start_paused = true)]
async fn closing_says_all_reads_on_to_the_end_and_does_not_wait_for_ever() {
    let (mut plain, mut theirs) = pair(1000);
    plain.queue(b"bye");
    theirs.write_all(b"not to be read any more").await.expect("room");
    let remote = async {
        let mut said = String::new();
        theirs.read_to_string(&mut said).await.expect("text");
        drop(theirs);
        said
    };
    let ((took, ()), said) = tokio::join!(seconds(plain.close()), remote);
    assert_eq!((took, said.as_str()), (0, "bye"));
    let (mut plain, _theirs) = pair(1000);
    assert_eq!(seconds(plain.close()).await.0, 5);
}

#[test]
fn an_idle_one_is_small() {
    // Very many of these wait at once.
    assert!(size_of::<Plain<[u8; 32]>>() <= 32 + 80, "{}", size_of::<Plain<[u8; 32]>>());
}
