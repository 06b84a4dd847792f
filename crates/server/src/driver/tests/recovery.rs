//! Publishing, history, coming back without loss, and slow readers.

use super::*;
use crate::channel::HistoryPolicy;
use crate::policy::SlowReader;

#[tokio::test(start_paused = true)]
async fn a_publication_reaches_every_subscriber_with_its_position_and_publisher() {
    let world = World::new();
    let (mut ann, _) = world.connect("ann").await;
    let (mut bob, _) = world.connect("bob").await;
    for user in [&mut ann, &mut bob] {
        let ok = user.ask("subscribe", json!({"channel": "room:1"})).await;
        assert_eq!(
            (&ok["offset"], &ok["recovered"], &ok["publications"]),
            (&json!(0), &json!(false), &json!([]))
        );
        assert!(ok["members"].is_null(), "not asked for");
    }
    ann.say("publish", json!({"channel": "room:1", "data": {"hello": [1, 2.50]}}));
    let publication = json!({"offset": 1, "data": {"hello": [1, 2.50]}, "user": "ann", "at": 1_000_000});
    let push = json!({"channel": "room:1", "pub": publication});
    assert_eq!(ann.hear().await, push, "the publisher is a subscriber like any other");
    assert_eq!(ann.hear().await["ok"]["offset"], 1);
    assert_eq!(bob.hear().await, push);
}

#[tokio::test(start_paused = true)]
async fn exclude_self_skips_the_publisher_live_and_when_it_comes_back() {
    let world = World::new();
    let (mut ann, session) = world.connect("ann").await;
    let (mut bob, _) = world.connect("bob").await;
    let start = ann.ask("subscribe", json!({"channel": "room:1"})).await;
    bob.ask("subscribe", json!({"channel": "room:1"})).await;
    let publish = json!({"channel": "room:1", "data": 1, "exclude_self": true});
    assert_eq!(ann.ask("publish", publish).await["offset"], 1);
    assert_eq!(bob.hear().await["pub"]["offset"], 1);
    ann.ask("publish", json!({"channel": "room:1", "data": 2, "exclude_self": true})).await;
    world.publish("room:1", json!(3)).await;
    assert_eq!(ann.hear().await["pub"]["offset"], 3);
    drop(ann);
    let mut ann = world.arrive("192.0.2.1", None);
    ann.ask("connect", json!({"session": session})).await;
    let since = json!({"epoch": start["epoch"], "offset": start["offset"]});
    let ok = ann.ask("subscribe", json!({"channel": "room:1", "since": since})).await;
    assert_eq!((offsets(&ok["publications"]), &ok["recovered"]), (vec![3], &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_in_the_reply_and_what_does_not_fit_follows_as_pushes() {
    let world = World::with(Limits { reply: 3_000, ..small_outbox() }, [("room", Namespace::default())]);
    let (mut ann, _) = world.connect("ann").await;
    let start = ann.ask("subscribe", json!({"channel": "room:1"})).await;
    drop(ann);
    for number in 1..=60 {
        world.publish("room:1", json!({"number": number, "text": "x".repeat(300)})).await;
    }
    let (mut ann, _) = world.connect("ann").await;
    let since = json!({"epoch": start["epoch"], "offset": 0});
    let ok = ann.ask("subscribe", json!({"channel": "room:1", "since": since})).await;
    let mut seen = offsets(&ok["publications"]);
    assert!((1..20).contains(&seen.len()), "{seen:?}");
    assert_eq!((&ok["recovered"], ok["offset"].as_u64()), (&json!(true), seen.last().copied()));
    world.publish("room:1", json!("while it catches up")).await;
    while seen.len() < 61 {
        seen.push(ann.hear().await["pub"]["offset"].as_u64().expect("a publication"));
    }
    assert_eq!(seen, (1..=61).collect::<Vec<u64>>());
    ann.hear_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_history_no_longer_has_is_a_gap_and_not_recovered() {
    let history = HistoryPolicy { size: 3, ..HistoryPolicy::default() };
    let world = World::with(Limits::default(), [("room", Namespace { history, ..Namespace::default() })]);
    let (mut ann, _) = world.connect("ann").await;
    let start = ann.ask("subscribe", json!({"channel": "room:1"})).await;
    ann.ask("unsubscribe", json!({"channel": "room:1"})).await;
    for number in 1..=8 {
        world.publish("room:1", json!(number)).await;
    }
    let since = json!({"epoch": start["epoch"], "offset": 2});
    let ok = ann.ask("subscribe", json!({"channel": "room:1", "since": since})).await;
    assert_eq!((offsets(&ok["publications"]), &ok["recovered"]), (vec![6, 7, 8], &json!(false)));
    assert_eq!(ann.hear().await, json!({"channel": "room:1", "gap": {"from": 3, "to": 5}}));
    world.publish("room:1", json!(9)).await;
    assert_eq!(ann.hear().await["pub"]["offset"], 9);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_epoch_is_not_recovered_and_brings_all_there_is_of_the_new_one() {
    let world = World::new();
    for number in 1..=3 {
        world.publish("room:1", json!(number)).await;
    }
    let (mut ann, _) = world.connect("ann").await;
    let since = json!({"epoch": "of-another-life", "offset": 57});
    let ok = ann.ask("subscribe", json!({"channel": "room:1", "since": since})).await;
    assert_eq!((offsets(&ok["publications"]), &ok["recovered"]), (vec![1, 2, 3], &json!(false)));
    assert_ne!(ok["epoch"], "of-another-life");
    ann.hear_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn the_position_of_a_quiet_channel_is_good_the_next_day() {
    let world = World::new();
    world.publish("room:1", json!(1)).await;
    let (mut ann, _) = world.connect("ann").await;
    let start = ann.ask("subscribe", json!({"channel": "room:1"})).await;
    drop(ann);
    world.pass(Duration::from_secs(12 * 3_600)).await;
    let (mut ann, _) = world.connect("ann").await;
    let since = json!({"epoch": start["epoch"], "offset": 1});
    let ok = ann.ask("subscribe", json!({"channel": "room:1", "since": since})).await;
    assert_eq!((&ok["recovered"], &ok["offset"]), (&json!(true), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn history_is_read_in_pages_both_ways() {
    let world = World::new();
    for number in 1..=5 {
        world.publish("room:1", json!(number)).await;
    }
    let (mut ann, _) = world.connect("ann").await;
    let page = ann.ask("history", json!({"channel": "room:1", "limit": 2})).await;
    assert_eq!((offsets(&page["publications"]), &page["offset"]), (vec![1, 2], &json!(5)));
    let since = json!({"epoch": page["epoch"], "offset": 2});
    let page = ann.ask("history", json!({"channel": "room:1", "limit": 9, "since": since})).await;
    assert_eq!(offsets(&page["publications"]), [3, 4, 5]);
    let page = ann.ask("history", json!({"channel": "room:1", "limit": 2, "reverse": true})).await;
    assert_eq!(offsets(&page["publications"]), [5, 4]);
}

/// What a subscriber sees that reads nothing while 200 publications come, and then all there is.
async fn seen_by_a_slow_reader(slow_reader: SlowReader, history: HistoryPolicy) -> Vec<Value> {
    let namespace = Namespace { slow_reader: Some(slow_reader), history, ..Namespace::default() };
    let world = World::with(small_outbox(), [("room", namespace)]);
    let (mut slow, _) = world.connect("slow").await;
    let (mut brisk, _) = world.connect("brisk").await;
    for user in [&mut slow, &mut brisk] {
        user.ask("subscribe", json!({"channel": "room:1"})).await;
    }
    for number in 1..=200 {
        assert_eq!(world.publish("room:1", json!("x".repeat(100))).await, number);
        assert_eq!(brisk.hear().await["pub"]["offset"], number, "nobody waits for the slow one");
    }
    assert!(world.node.figures().outbox_bytes <= 8_000 + 1_000, "bounded while it does not read");
    let mut seen: Vec<Value> = Vec::new();
    while let Ok(Next::Message(message)) =
        tokio::time::timeout(Duration::from_secs(1), slow.client.next()).await
    {
        seen.push(serde_json::from_str(message.json()).expect("JSON"));
    }
    if seen.last().is_some_and(|last| last["disconnect"].is_null()) {
        world.publish("room:1", json!("live again")).await;
        assert_eq!(slow.hear().await["pub"]["offset"], 201);
    }
    seen
}

/// Offsets of publications as they are, gaps as negative pairs.
fn in_short(seen: &[Value]) -> Vec<i64> {
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let short = |push: &Value| match &push["gap"] {
        Value::Null => vec![number(&push["pub"]["offset"])],
        gap => vec![-number(&gap["from"]), -number(&gap["to"])],
    };
    seen.iter().flat_map(short).collect()
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_catches_up_from_history_and_misses_nothing() {
    let seen = in_short(&seen_by_a_slow_reader(SlowReader::CatchUp, HistoryPolicy::default()).await);
    assert_eq!(seen, (1..=200).collect::<Vec<i64>>());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_told_of_the_gap_that_history_cannot_fill() {
    let history = HistoryPolicy { size: 50, ..HistoryPolicy::default() };
    let seen = in_short(&seen_by_a_slow_reader(SlowReader::CatchUp, history).await);
    let gap = seen.iter().position(|number| *number < 0).expect("a gap");
    let last_before = seen[gap - 1];
    assert!((10..150).contains(&last_before), "{seen:?}");
    assert_eq!(seen[gap..gap + 2], [-(last_before + 1), -150]);
    assert_eq!(seen[gap + 2..], (151..=200).collect::<Vec<i64>>());
}

#[tokio::test(start_paused = true)]
async fn newest_only_sends_the_newest_and_announces_the_rest_with_or_without_history() {
    for history in [HistoryPolicy::default(), HistoryPolicy::OFF] {
        let seen = in_short(&seen_by_a_slow_reader(SlowReader::NewestOnly, history).await);
        let gap = seen.iter().position(|number| *number < 0).expect("a gap");
        assert_eq!(seen[gap..], [-(seen[gap - 1] + 1), -199, 200]);
    }
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_sends_the_newest_that_fit_and_announces_the_rest() {
    let seen = in_short(&seen_by_a_slow_reader(SlowReader::DropOldest, HistoryPolicy::default()).await);
    let gap = seen.iter().position(|number| *number < 0).expect("a gap");
    let first = 1 - seen[gap + 1];
    assert!((130..200).contains(&first), "{seen:?}");
    assert_eq!(seen[gap + 2..], (first..=200).collect::<Vec<i64>>());
}

#[tokio::test(start_paused = true)]
async fn without_history_a_slow_reader_that_would_catch_up_is_told_of_the_gap() {
    let seen = in_short(&seen_by_a_slow_reader(SlowReader::CatchUp, HistoryPolicy::OFF).await);
    let gap = seen.iter().position(|number| *number < 0).expect("a gap");
    assert_eq!(seen[gap..], [-(seen[gap - 1] + 1), -200]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_disconnected_where_the_namespace_says_so() {
    let seen = seen_by_a_slow_reader(SlowReader::Disconnect, HistoryPolicy::default()).await;
    let [only] = seen.as_slice() else { panic!("{} messages", seen.len()) };
    assert_eq!(
        (&only["disconnect"]["code"], &only["disconnect"]["reconnect"]),
        (&json!("too_many"), &json!(true))
    );
}
