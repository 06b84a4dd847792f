use proptest::prelude::*;

use super::*;

fn start() -> Now {
    Now { instant: Instant::now(), unix_ms: 1_000 }
}

fn content(length: usize) -> Content {
    let data = Json::parse(&format!("\"{}\"", "x".repeat(length))).expect("JSON");
    Content { data, user: None, exclude: None }
}

fn channel() -> Channel {
    Channel::new(Epoch::new("e").expect("an epoch"))
}

#[derive(Debug, Clone)]
enum Step {
    Append { length: usize },
    Pass { ms: u64 },
    Resize { size: usize, bytes: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_usize..2_000).prop_map(|length| Step::Append { length }),
        2 => (0_u64..4_000).prop_map(|ms| Step::Pass { ms }),
        1 => ((0_usize..12), (0_usize..8_000)).prop_map(|(size, bytes)| Step::Resize { size, bytes }),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    /// After every step: the history is a run of consecutive offsets that ends at the top, within its bounds,
    /// and every page is a piece of it that begins right after `since`.
    #[test]
    fn history_is_always_the_consecutive_newest_within_its_bounds(steps in steps()) {
        let (mut now, mut channel, mut appended) = (start(), channel(), 0);
        let mut policy = HistoryPolicy { size: 8, ttl: Duration::from_millis(5_000), bytes: 6_000 };
        for step in steps {
            match step {
                Step::Append { length } => {
                    appended += 1;
                    prop_assert_eq!(channel.append(now, content(length), &policy).body.offset, appended);
                    prop_assert!(channel.history.len() <= policy.size);
                    prop_assert!(channel.bytes <= policy.bytes);
                }
                Step::Pass { ms } => now = now.later(Duration::from_millis(ms)),
                Step::Resize { size, bytes } => policy = HistoryPolicy { size, bytes, ..policy },
            }
            channel.expire(now.instant);
            let weights: usize = channel.history.iter().map(|kept| kept.publication.weight()).sum();
            prop_assert_eq!(channel.bytes, weights);
            prop_assert!(channel.history.iter().all(|kept| kept.until > now.instant));
            prop_assert_eq!(channel.position().offset, appended);
            let kept: Vec<u64> = channel.history.iter().map(|kept| kept.publication.body.offset).collect();
            let first = appended + 1 - kept.len() as u64;
            prop_assert!(kept.iter().copied().eq(first..=appended));
            for since in [0, appended / 2, appended, appended + 1] {
                let position = Position::new(channel.epoch.clone(), since);
                let query = HistoryQuery { since: Some(position), limit: 3, bytes: 4_000, reverse: false };
                let page = channel.page(now.instant, &query);
                let begins = first.max(since + 1);
                let offsets: Vec<u64> = page.publications.iter().map(|one| one.body.offset).collect();
                prop_assert!(offsets.len() <= 3);
                prop_assert!(offsets.iter().copied().eq(begins..begins + offsets.len() as u64));
                prop_assert_eq!(offsets.is_empty(), begins > appended);
            }
        }
    }
}

#[test]
fn an_empty_history_holds_no_memory_and_keeps_the_position() {
    let now = start();
    let policy = HistoryPolicy { size: 100, ttl: Duration::from_secs(1), bytes: usize::MAX };
    let mut channel = channel();
    for _ in 0..100 {
        channel.append(now, content(10), &policy);
    }
    assert!(!channel.expire(now.later(Duration::from_secs(1)).instant));
    assert_eq!((channel.history.capacity(), channel.bytes), (0, 0));
    assert_eq!(channel.position().offset, 100);
}

#[test]
fn a_publication_carries_the_time_at_which_it_was_taken() {
    let publication = channel().append(start(), content(1), &HistoryPolicy::default());
    assert_eq!((publication.body.at, publication.body.offset), (1_000, 1));
}
