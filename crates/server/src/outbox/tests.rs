use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use super::*;

const BOUNDS: Bounds = Bounds { high: 1_000, low: 400 };

fn outbox() -> (Outbox, Arc<Totals>) {
    let totals = Arc::new(Totals::default());
    (Outbox::new(BOUNDS, totals.clone()), totals)
}

/// A message that weighs 100.
fn message(text: &str) -> Encoded {
    let message = Encoded::new(&format!("{text:<36}"));
    assert_eq!(message.weight(), 100);
    message
}

fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).expect("a channel name")
}

/// All that can be taken now, in words.
fn drain(outbox: &Outbox) -> Vec<String> {
    let words = |item| match item {
        Item::Message(message) => message.json().trim().to_owned(),
        Item::CatchUp(channel) => format!("catch up {channel}"),
        Item::End(ending) => format!("end {}", ending.disconnect.code),
    };
    std::iter::from_fn(|| outbox.take()).map(words).collect()
}

#[test]
fn publications_are_taken_up_to_the_bound_and_again_once_it_has_drained() {
    let (outbox, totals) = outbox();
    let taken = (0..15).filter(|number| outbox.offer(&message(&number.to_string()))).count();
    assert_eq!(taken, 10);
    assert!(outbox.is_full());
    assert_eq!((outbox.room(), totals.refused.load(Ordering::Relaxed)), (0, 5));
    assert!(outbox.take().is_some());
    assert_eq!(outbox.room(), 100);
    assert!(outbox.offer(&message("again")));
    assert_eq!(drain(&outbox).len(), 10);
}

#[test]
fn replies_go_in_past_the_bound_and_end_the_connection_at_twice_of_it() {
    let (outbox, totals) = outbox();
    for number in 0..20 {
        outbox.push(message(&number.to_string()));
    }
    assert_eq!(totals.overflowed.load(Ordering::Relaxed), 0);
    outbox.push(message("one too many"));
    assert_eq!(drain(&outbox), ["end too_many"], "who does not read is sent nothing of it");
    assert_eq!((totals.overflowed.load(Ordering::Relaxed), totals.bytes.load(Ordering::Relaxed)), (1, 0));
    outbox.push(message("after the end"));
    assert!(drain(&outbox).is_empty());
}

#[test]
fn what_little_was_queued_is_written_before_the_end() {
    let (outbox, _) = outbox();
    outbox.push(message("reply"));
    outbox.end(Ending::new(Code::Forbidden, "first"));
    outbox.end(Ending::new(Code::Internal, "second"));
    outbox.push(message("late"));
    assert!(outbox.offer(&message("late")), "nobody is behind who is gone");
    assert_eq!(drain(&outbox), ["reply", "end forbidden"]);
}

#[test]
fn control_goes_first_and_is_bounded() {
    let (outbox, _) = outbox();
    outbox.push(message("reply"));
    for _ in 0..10 {
        outbox.control(message("go away"));
    }
    let mut expected = vec!["go away"; CONTROL_LIMIT];
    expected.push("reply");
    assert_eq!(drain(&outbox), expected);
}

#[test]
fn catching_up_waits_for_room_and_channels_take_turns() {
    let (outbox, _) = outbox();
    for number in 0..5 {
        outbox.push(message(&number.to_string()));
    }
    for name in ["b", "a", "b", "c"] {
        outbox.behind(&channel(name));
    }
    let mut seen = Vec::new();
    for _ in 0..8 {
        match outbox.take() {
            Some(Item::Message(message)) => seen.push(message.json().trim().to_owned()),
            Some(Item::CatchUp(name)) => {
                seen.push(name.to_string());
                outbox.behind(&name);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(
        seen,
        ["0", "1", "a", "b", "c", "a", "b", "c"],
        "first below the low-water mark, then each in turn"
    );
}

#[test]
fn an_empty_outbox_holds_no_buffer_and_its_drop_takes_its_bytes_off_the_total() {
    let (outbox, totals) = outbox();
    for number in 0..9 {
        outbox.push(message(&number.to_string()));
    }
    assert_eq!(totals.bytes.load(Ordering::Relaxed), 900);
    assert_eq!(drain(&outbox).len(), 9);
    assert_eq!(lock(&outbox.state).queue.capacity(), 0);
    outbox.push(message("left"));
    drop(outbox);
    assert_eq!(totals.bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn whoever_waits_is_woken_by_whatever_comes() {
    #[derive(Default)]
    struct Counting(AtomicUsize);
    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let events: [fn(&Outbox); 5] = [
        |outbox| assert!(outbox.offer(&message("publication"))),
        |outbox| outbox.push(message("reply")),
        |outbox| outbox.control(message("control")),
        |outbox| outbox.behind(&channel("room:1")),
        |outbox| outbox.end(Ending::stopping()),
    ];
    for (number, event) in events.into_iter().enumerate() {
        let (outbox, _) = outbox();
        let counting = Arc::new(Counting::default());
        let waker = Waker::from(counting.clone());
        assert!(outbox.poll_take(&mut Context::from_waker(&waker)).is_pending());
        event(&outbox);
        assert_eq!(counting.0.load(Ordering::Relaxed), 1, "event {number}");
        assert!(outbox.poll_take(&mut Context::from_waker(&waker)).is_ready());
    }
}

#[test]
fn a_close_reason_fits_into_a_close_frame() {
    let ending = Ending::new(Code::Internal, "ü".repeat(100));
    assert_eq!(ending.reason().len(), 122, "cut between characters, at most 123 bytes");
}
