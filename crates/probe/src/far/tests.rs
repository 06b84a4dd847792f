use tokio::io::DuplexStream;
use tokio::time::timeout;

use super::*;
use crate::pattern::{Check, Pattern};

impl Measured for DuplexStream {
    fn reset_on_close(&self) -> bool {
        false
    }

    fn without_keepalive(&self) {}
}

/// Generous: reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A near end, and what is remembered of its connection `id`.
fn far_end() -> (Pipe<DuplexStream>, Records) {
    let (near, far) = tokio::io::duplex(1 << 10);
    let records = Records::default();
    let (record, all) = (records.open("id".to_owned()), records.clone());
    let hello = Hello { probe: 1, ..Hello::default() };
    tokio::spawn(async move { serve(Pipe::raw(far, b""), Some(hello), record, &all).await });
    (Pipe::raw(near, b""), records)
}

async fn say(pipe: &mut Pipe<DuplexStream>, command: &Command) {
    pipe.send(Unit::Text(wire::encode(command))).await.expect("open");
}

async fn reply(pipe: &mut Pipe<DuplexStream>) -> Reply {
    match timeout(PATIENCE, pipe.receive()).await.expect("an answer") {
        Ok(Unit::Text(text)) => wire::decode(&text).expect("a reply"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_says_hello_answers_pings_and_sends_bytes_back() {
    let (mut near, _) = far_end();
    assert!(matches!(reply(&mut near).await, Reply::Hello(hello) if hello.probe == 1));
    say(&mut near, &Command::Ping { n: 7, pad: "x".into() }).await;
    assert_eq!(reply(&mut near).await, Reply::Pong { n: 7, pad: "x".into() });
    near.send(Unit::Binary(Bytes::from_static(b"echo"))).await.expect("open");
    assert_eq!(near.receive().await, Ok(Unit::Binary(Bytes::from_static(b"echo"))));
}

#[tokio::test]
async fn a_bulk_goes_both_ways_at_once_and_says_what_was_wrong_with_it() {
    let (mut near, _) = far_end();
    reply(&mut near).await;
    say(&mut near, &Command::Bulk { up: 100_000, down: 50_000, seed: 3 }).await;
    assert_eq!(reply(&mut near).await, Reply::Go {});
    let mut ours = Running::ask(100_000, 50_000, 3);
    let mut spoilt = false;
    let done = loop {
        while near.has_room()
            && let Some(piece) = ours.next_piece()
        {
            let mut piece = piece.to_vec();
            if !std::mem::replace(&mut spoilt, true) {
                piece[10] ^= 1;
            }
            near.feed(Unit::Binary(piece.into())).expect("open");
        }
        let wants = Wants { input: true, room: ours.has_more() };
        match timeout(PATIENCE, near.event(wants)).await.expect("it goes on") {
            Event::Received(Unit::Binary(bytes)) => ours.take(&bytes),
            Event::Received(Unit::Text(text)) => break wire::decode(&text).expect("a reply"),
            Event::Room => {}
            Event::End(end) => panic!("{end:?}"),
        }
    };
    let Reply::Bulk(bulk) = done else { panic!("{done:?}") };
    assert_eq!((bulk.received, bulk.wrong, bulk.first_wrong), (100_000, 1, Some(10)));
    let ours = ours.done().expect("all came before the far end's verdict");
    assert_eq!((ours.received, ours.wrong), (50_000, 0));
}

#[tokio::test]
async fn ticks_still_come_after_the_near_end_has_ended_its_direction() {
    let (mut near, records) = far_end();
    reply(&mut near).await;
    say(&mut near, &Command::Ticks { count: 3, every_ms: 20 }).await;
    near.start_close(1000, "");
    for n in 0..3 {
        assert!(matches!(reply(&mut near).await, Reply::Tick { n: got, .. } if got == n));
    }
    assert_eq!(near.receive().await, Err(End::Ended));
    assert_eq!(records.find("id").map(|ending| ending.how), Some("half".to_owned()));
}

#[tokio::test]
async fn what_is_no_command_or_past_a_limit_is_refused_in_words_and_the_connection_lives() {
    let (mut near, _) = far_end();
    reply(&mut near).await;
    for command in [
        Command::Bulk { up: wire::BULK_LIMIT + 1, down: 0, seed: 0 },
        Command::Ticks { count: 0, every_ms: 1 },
        Command::Ticks { count: TICKS_LIMIT + 1, every_ms: 1 },
        Command::Reset {},
    ] {
        say(&mut near, &command).await;
        assert!(matches!(reply(&mut near).await, Reply::Error { .. }), "{command:?}");
    }
    near.send(Unit::Text("{}".to_owned())).await.expect("open");
    assert!(matches!(reply(&mut near).await, Reply::Error { message } if message.contains("no command")));
    say(&mut near, &Command::Ping { n: 1, pad: String::new() }).await;
    assert_eq!(reply(&mut near).await, Reply::Pong { n: 1, pad: String::new() });
}

#[tokio::test]
async fn a_near_end_that_does_not_read_makes_the_far_end_stop_reading() {
    let (mut near, records) = far_end();
    let piece = Bytes::from(vec![0; 100_000]);
    let flood = async {
        loop {
            near.send(Unit::Binary(piece.clone())).await.expect("open");
        }
    };
    // It is the flood that waits: were it all read, it would never stop.
    timeout(Duration::from_millis(300), flood).await.expect_err("nobody reads the echo");
    let ending = records.find("id").expect("known");
    assert!(ending.received <= (WAITING_BYTES + 300_000) as u64, "{ending:?}");
}

#[tokio::test]
async fn an_ending_can_be_asked_for_on_another_connection() {
    let (mut near, records) = far_end();
    reply(&mut near).await;
    let other = records.open("other".to_owned());
    other.ended(&End::Reset);
    say(&mut near, &Command::Ending { id: "other".into() }).await;
    assert!(matches!(reply(&mut near).await, Reply::Ending(Some(ending)) if ending.how == "reset"));
    say(&mut near, &Command::Ending { id: "nobody".into() }).await;
    assert_eq!(reply(&mut near).await, Reply::Ending(None));
}

#[test]
fn the_pattern_of_each_direction_is_another() {
    let (mut up, mut down) = (Running::ask(64, 0, 1), Running::begin(0, 64, 1));
    let mut check = Check::new(Pattern::new(2));
    check.take(&up.next_piece().expect("a piece"));
    assert!(check.wrong() > 32);
    let mut check = Check::new(Pattern::new(2));
    check.take(&down.next_piece().expect("a piece"));
    assert_eq!(check.wrong(), 0);
}
