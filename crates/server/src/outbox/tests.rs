use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use trunkline_dialect::Code;

use super::*;

const BOUNDS: Bounds = Bounds { high: 1_000, low: 400 };

fn outbox() -> (Outbox, Arc<Outboxes>) {
    let all = Outboxes::new(BOUNDS, usize::MAX);
    (Outbox::new(all.clone()), all)
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

fn texts(batch: &Batch) -> Vec<String> {
    batch.iter().map(|message| message.json().trim().to_owned()).collect()
}

/// All that can be taken now, in words.
fn drain(outbox: &Outbox) -> Vec<String> {
    let words = |item| match item {
        Item::Messages { batch, .. } => texts(&batch),
        Item::CatchUp(channel) => vec![format!("catch up {channel}")],
        Item::End(ending) => vec![format!("end {}", ending.disconnect.code)],
        Item::Cut => vec!["cut".to_owned()],
    };
    std::iter::from_fn(|| outbox.take()).take(100).flat_map(words).collect()
}

#[test]
fn publications_are_taken_up_to_the_bound_and_again_once_it_has_drained() {
    let (outbox, all) = outbox();
    let taken = (0..15).filter(|number| outbox.offer(&message(&number.to_string()))).count();
    assert_eq!(taken, 10);
    assert!(outbox.is_full());
    assert_eq!((outbox.room(), all.refused.load(Ordering::Relaxed)), (0, 5));
    assert!(outbox.take().is_some());
    assert_eq!(outbox.room(), 100);
    assert!(outbox.offer(&message("again")));
    assert_eq!(drain(&outbox).len(), 10);
}

#[test]
fn replies_go_in_past_the_bound_and_end_the_connection_at_twice_of_it() {
    let (outbox, all) = outbox();
    for number in 0..20 {
        outbox.push(message(&number.to_string()));
    }
    assert_eq!(all.overflowed.load(Ordering::Relaxed), 0);
    outbox.push(message("one too many"));
    assert_eq!(drain(&outbox), ["end too_many"], "who does not read is sent nothing of it");
    assert_eq!((all.overflowed.load(Ordering::Relaxed), all.bytes.get()), (1, 0));
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
            Some(Item::Messages { batch, .. }) => seen.extend(texts(&batch)),
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
    let (outbox, all) = outbox();
    for number in 0..9 {
        outbox.push(message(&number.to_string()));
    }
    assert_eq!(all.bytes.get(), 900);
    assert_eq!(drain(&outbox).len(), 9);
    assert!(!lock(&outbox.state).queue.spilled());
    outbox.push(message("left"));
    drop(outbox);
    assert_eq!(all.bytes.get(), 0);
}

#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker, and how often it was used.
fn counting() -> (Waker, impl Fn() -> usize) {
    let counting = Arc::new(Counting::default());
    (Waker::from(counting.clone()), move || counting.0.load(Ordering::Relaxed))
}

#[test]
fn whoever_waits_is_woken_by_whatever_comes() {
    let events: [fn(&Outbox); 6] = [
        |outbox| assert!(outbox.offer(&message("publication"))),
        |outbox| outbox.push(message("push")),
        |outbox| outbox.control(message("control")),
        |outbox| outbox.behind(&channel("room:1")),
        |outbox| outbox.end(Ending::stopping()),
        |outbox| outbox.cut(),
    ];
    for (number, event) in events.into_iter().enumerate() {
        let (outbox, _) = outbox();
        let (waker, woken) = counting();
        let context = Context::from_waker(&waker);
        assert!(outbox.poll_take(&context, 0).is_pending());
        event(&outbox);
        assert_eq!(woken(), 1, "event {number}");
        assert!(outbox.poll_take(&context, 0).is_ready());
    }
}

#[test]
fn many_publications_before_a_turn_are_one_wake_and_one_batch() {
    let (outbox, _) = outbox();
    let (waker, woken) = counting();
    let context = Context::from_waker(&waker);
    for turn in 1..=3 {
        assert!(outbox.poll_take(&context, 10_000).is_pending());
        let expected = ["a", "b", "c", "d", "e"];
        assert!(expected.iter().all(|text| outbox.offer(&message(text))));
        assert_eq!(woken(), turn);
        let Poll::Ready(Item::Messages { batch, last: true }) = outbox.poll_take(&context, 10_000) else {
            panic!("all at once")
        };
        assert_eq!(texts(&batch), expected);
    }
}

#[test]
fn who_has_taken_the_last_is_woken_without_asking_again_and_who_has_not_is_not() {
    let (outbox, _) = outbox();
    let (waker, woken) = counting();
    let context = Context::from_waker(&waker);
    for text in ["a", "b", "c"] {
        assert!(outbox.offer(&message(text)));
    }
    let take = |room| match outbox.poll_take(&context, room) {
        Poll::Ready(Item::Messages { batch, last }) => (texts(&batch).concat(), last),
        other => panic!("unexpected {other:?}"),
    };
    assert_eq!(take(150), ("ab".to_owned(), false), "as many as it takes to fill the room");
    assert!(outbox.offer(&message("d")));
    assert_eq!(woken(), 0, "it is at work");
    assert_eq!(take(0), ("c".to_owned(), false), "one at the least");
    assert_eq!(take(100), ("d".to_owned(), true));
    assert!(outbox.offer(&message("e")));
    assert_eq!(woken(), 1);
}

#[test]
fn who_has_no_room_is_woken_by_the_end_alone() {
    let (outbox, _) = outbox();
    let (waker, woken) = counting();
    assert!(outbox.poll_ended(&Context::from_waker(&waker)).is_pending());
    assert!(outbox.offer(&message("publication")));
    outbox.push(message("push"));
    outbox.behind(&channel("room:1"));
    assert_eq!(woken(), 0);
    outbox.end(Ending::stopping());
    assert_eq!(woken(), 1);
    assert_eq!(outbox.poll_ended(&Context::from_waker(&waker)), Poll::Ready(false));
    outbox.cut();
    assert_eq!(outbox.poll_ended(&Context::from_waker(&waker)), Poll::Ready(true));
    assert_eq!(drain(&outbox).first().map(String::as_str), Some("cut"));
}

#[test]
fn a_close_reason_fits_into_a_close_frame() {
    let ending = Ending::new(Code::Internal, "ü".repeat(100));
    assert_eq!(ending.reason().len(), 122, "cut between characters, at most 123 bytes");
}

/// Outboxes that together may hold so many bytes.
fn outboxes<const N: usize>(total: usize) -> (Arc<Outboxes>, [Outbox; N]) {
    let all = Outboxes::new(BOUNDS, total);
    (all.clone(), std::array::from_fn(|_| Outbox::new(all.clone())))
}

#[test]
fn as_much_waits_in_all_together_as_the_limit_and_what_is_one_too_many_is_caught_up_later() {
    let (all, [slow, slower]) = outboxes(1_000);
    let fill = |outbox: &Outbox| (0..20).filter(|_| outbox.offer(&message("x"))).count();
    // Half of what there is: as much as the other then may have too.
    assert_eq!(fill(&slow), 5);
    assert_eq!(fill(&slower), 3);
    assert!(all.bytes.get() <= 1_000);
    assert_eq!(all.crowded.load(Ordering::Relaxed), 15 + 17);
    assert!(slow.is_full() && slow.room() == 0);
    // The slow one is read, and there is room for both again.
    assert_eq!(drain(&slow).len(), 5);
    assert!(slower.offer(&message("again")));
}

#[test]
fn whoever_reads_is_sent_everything_while_the_outboxes_of_those_who_do_not_are_full() {
    let (all, boxes) = outboxes::<40>(1_000);
    let [reader, stopped @ ..] = &boxes;
    for number in 0..100 {
        for outbox in stopped {
            outbox.offer(&message("x"));
        }
        assert!(reader.offer(&message(&number.to_string())), "{number}: {} bytes wait", all.bytes.get());
        assert_eq!(drain(reader), [number.to_string()]);
    }
    // Each has its share and one message more at the most.
    assert!(all.bytes.get() <= 1_000 + 40 * 100);
}

#[test]
fn catching_up_waits_for_room_in_all_together_and_never_for_an_outbox_that_is_empty() {
    let (_, [behind, other]) = outboxes(500);
    for _ in 0..3 {
        behind.offer(&message("x"));
        other.push(message("y"));
    }
    behind.behind(&channel("c"));
    assert_eq!(drain(&behind), ["x", "x", "catch up c"], "no step is due that would find no room");
    other.push(message("y"));
    other.push(message("y"));
    behind.behind(&channel("c"));
    assert_eq!(drain(&behind), ["catch up c"], "nothing waits in it: it has its share");
}

#[test]
fn a_large_reply_while_all_are_full_is_no_reason_to_end_a_connection() {
    let (_, [client, other]) = outboxes(100);
    other.push(message("y"));
    for _ in 0..8 {
        client.push(message("reply"));
    }
    assert!(!drain(&client).iter().any(|word| word.starts_with("end")));
    for _ in 0..9 {
        client.push(message("reply"));
    }
    assert_eq!(drain(&client), ["end too_many"], "twice the low bound is enough");
}
