//! What every broker does, as tests: each function is one rule. [`broker_suite`] instantiates all of them for
//! one broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use trunkline_dialect::{ChannelName, Json, Member, Position, UserId};

use super::{Broker, Delivery, Sink};
use crate::cells::lock;
use crate::channel::{Content, HistoryPage, HistoryPolicy, HistoryQuery};
use crate::session::{LinkId, SessionId};

/// Makes brokers of one kind, and lets time pass for them.
pub(crate) trait World {
    /// A broker that remembers nothing yet.
    fn broker(&self, sink: Arc<dyn Sink>) -> Arc<dyn Broker>;

    /// Lets time pass, virtual or real, and the broker do what is due.
    async fn pass(&self, broker: &Arc<dyn Broker>, time: Duration);
}

/// One test per rule, for the broker that `$world` makes.
macro_rules! broker_suite {
    ($world:expr) => {
        broker_suite! { $world,
            offsets_are_consecutive_from_1_and_deliveries_come_in_their_order
            since_is_exclusive_in_both_directions
            a_page_is_bounded_by_number_and_by_bytes_but_never_empty_for_bytes
            history_keeps_no_more_than_its_size
            history_keeps_no_more_than_its_bytes
            history_ends_with_its_ttl_and_the_position_stays
            without_history_positions_count_all_the_same
            a_new_memory_is_a_new_epoch_and_answers_nothing_to_the_old_one
            asking_for_a_position_makes_it_good_to_come_back_to
            channels_do_not_know_each_other
            the_excluded_session_is_kept_with_the_publication
            a_user_joins_with_the_first_session_and_leaves_with_the_last
            entering_twice_and_leaving_what_was_not_entered_are_silent
            a_return_within_the_grace_is_neither_leave_nor_join
            a_grace_that_passes_is_one_leave_and_a_later_return_is_a_join
            what_an_older_link_of_a_session_says_is_ignored
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn each_offset_is_given_once_however_many_publish() {
            super::super::suite::each_offset_is_given_once_however_many_publish(&$world).await;
        }
    };
    ($world:expr, $($rule:ident)+) => {
        $(#[tokio::test(start_paused = true)]
        async fn $rule() {
            super::super::suite::$rule(&$world).await;
        })+
    };
}
pub(crate) use broker_suite;

/// What was delivered, in words: `room:1 3 "data"`, `room:1 +user`, `room:1 -user`.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    /// All that was delivered since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Sink for Recorder {
    fn deliver(&self, channel: &ChannelName, delivery: Delivery<'_>) {
        let what = match delivery {
            Delivery::Publication(_, publication) => {
                format!("{channel} {} {}", publication.body.offset, publication.body.data)
            }
            Delivery::Join(user, ..) => format!("{channel} +{user}"),
            Delivery::Leave(user) => format!("{channel} -{user}"),
        };
        lock(&self.0).push(what);
    }
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).expect("a channel name")
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user id")
}

pub(crate) fn content(data: &str) -> Content {
    Content { data: Json::parse(data).expect("JSON"), user: None, exclude: None }
}

pub(crate) fn link(session: u8, serial: u64) -> LinkId {
    LinkId { session: SessionId([session; 16]), serial }
}

const GRACE: Duration = Duration::from_secs(2);
const ALL: HistoryQuery = HistoryQuery { since: None, limit: usize::MAX, bytes: usize::MAX, reverse: false };

/// A broker with one channel under test.
struct Room {
    recorder: Arc<Recorder>,
    broker: Arc<dyn Broker>,
    channel: ChannelName,
    policy: HistoryPolicy,
}

impl Room {
    async fn new(world: &impl World) -> Room {
        let recorder = Arc::new(Recorder::default());
        let broker = world.broker(recorder.clone());
        let channel = channel("room:1");
        broker.interest(&channel, true).await.expect("interest");
        Room { recorder, broker, channel, policy: HistoryPolicy::default() }
    }

    async fn publish(&self, data: &str) -> Position {
        self.broker.publish(&self.channel, content(data), &self.policy).await.expect("published")
    }

    async fn publish_many(&self, count: usize) -> Position {
        let mut last = None;
        for number in 1..=count {
            last = Some(self.publish(&number.to_string()).await);
        }
        last.expect("at least one")
    }

    async fn page(&self, query: HistoryQuery) -> HistoryPage {
        self.broker.history(&self.channel, query).await.expect("history")
    }

    async fn offsets(&self, query: HistoryQuery) -> Vec<u64> {
        self.page(query).await.publications.iter().map(|publication| publication.body.offset).collect()
    }

    async fn enter(&self, link: LinkId, name: &str) {
        self.broker.enter(&self.channel, link, &user(name), None).await.expect("entered");
    }

    async fn leave(&self, link: LinkId, name: &str) {
        self.broker.leave(&self.channel, link, &user(name)).await.expect("left");
    }

    fn linger(&self, link: LinkId, name: &str) {
        self.broker.linger(&self.channel, link, &user(name), GRACE);
    }

    async fn members(&self) -> Vec<(String, u32)> {
        let members: Vec<Member> = self.broker.members(&self.channel).await.expect("members");
        members.into_iter().map(|member| (member.user.to_string(), member.sessions)).collect()
    }
}

pub(crate) async fn offsets_are_consecutive_from_1_and_deliveries_come_in_their_order(world: &impl World) {
    let room = Room::new(world).await;
    let first = room.publish("\"a\"").await;
    let second = room.publish("\"b\"").await;
    assert_eq!((first.offset, second.offset), (1, 2));
    assert_eq!(first.epoch, second.epoch);
    assert_eq!(room.recorder.take(), ["room:1 1 \"a\"", "room:1 2 \"b\""]);
}

pub(crate) async fn each_offset_is_given_once_however_many_publish(world: &impl World) {
    let room = Arc::new(Room::new(world).await);
    let publisher = |number: usize| {
        let room = room.clone();
        async move {
            let mut mine = Vec::new();
            for _ in 0..50 {
                mine.push(room.publish(&number.to_string()).await.offset);
            }
            mine
        }
    };
    let tasks: Vec<_> = (0..8).map(|number| tokio::spawn(publisher(number))).collect();
    let mut given = Vec::new();
    for task in tasks {
        let mine = task.await.expect("a publisher");
        assert!(mine.is_sorted(), "one publisher's offsets rise in its order");
        given.extend(mine);
    }
    given.sort_unstable();
    let expected: Vec<u64> = (1..=400).collect();
    assert_eq!(given, expected);
    assert_eq!(room.offsets(ALL).await, expected);
    let offset_of = |delivered: String| delivered.split(' ').nth(1).and_then(|offset| offset.parse().ok());
    let delivered: Vec<u64> = room.recorder.take().into_iter().filter_map(offset_of).collect();
    assert_eq!(delivered, expected, "delivered in the order of offsets");
}

pub(crate) async fn since_is_exclusive_in_both_directions(world: &impl World) {
    let room = Room::new(world).await;
    let top = room.publish_many(5).await;
    let since = |offset| Some(Position::new(top.epoch.clone(), offset));
    let forwards = |offset| HistoryQuery { since: since(offset), ..ALL };
    assert_eq!(room.offsets(forwards(0)).await, [1, 2, 3, 4, 5]);
    assert_eq!(room.offsets(forwards(3)).await, [4, 5]);
    assert_eq!(room.offsets(forwards(5)).await, [0; 0]);
    assert_eq!(room.offsets(forwards(99)).await, [0; 0]);
    assert_eq!(room.offsets(forwards(u64::MAX)).await, [0; 0]);
    let backwards = |offset| HistoryQuery { since: since(offset), reverse: true, ..ALL };
    assert_eq!(room.offsets(backwards(3)).await, [2, 1]);
    assert_eq!(room.offsets(backwards(1)).await, [0; 0]);
    assert_eq!(room.offsets(HistoryQuery { reverse: true, limit: 2, ..ALL }).await, [5, 4]);
}

pub(crate) async fn a_page_is_bounded_by_number_and_by_bytes_but_never_empty_for_bytes(world: &impl World) {
    let room = Room::new(world).await;
    let top = room.publish_many(9).await;
    assert_eq!(room.offsets(HistoryQuery { limit: 4, ..ALL }).await, [1, 2, 3, 4]);
    assert_eq!(
        room.offsets(HistoryQuery { bytes: 1, ..ALL }).await,
        [1],
        "a page that cannot grow would never end"
    );
    let some = room.offsets(HistoryQuery { bytes: 600, ..ALL }).await;
    assert!((2..9).contains(&some.len()), "{some:?}");
    let nothing = room.page(HistoryQuery { limit: 0, ..ALL }).await;
    assert!(nothing.publications.is_empty());
    assert_eq!(nothing.top, top, "the position comes with every page");
}

pub(crate) async fn history_keeps_no_more_than_its_size(world: &impl World) {
    let mut room = Room::new(world).await;
    room.policy.size = 3;
    let top = room.publish_many(8).await;
    assert_eq!(top.offset, 8);
    assert_eq!(room.offsets(ALL).await, [6, 7, 8]);
    let since = Some(Position::new(top.epoch, 2));
    assert_eq!(room.offsets(HistoryQuery { since, ..ALL }).await, [6, 7, 8], "what is left after it");
}

pub(crate) async fn history_keeps_no_more_than_its_bytes(world: &impl World) {
    let mut room = Room::new(world).await;
    room.policy.bytes = 4_000;
    for _ in 0..9 {
        room.publish(&format!("\"{}\"", "x".repeat(1_000))).await;
    }
    assert_eq!(room.offsets(ALL).await, [7, 8, 9]);
    room.publish(&format!("\"{}\"", "x".repeat(5_000))).await;
    assert_eq!(room.offsets(ALL).await, [0; 0], "larger than all of the history may be");
}

pub(crate) async fn history_ends_with_its_ttl_and_the_position_stays(world: &impl World) {
    let mut room = Room::new(world).await;
    room.policy.ttl = Duration::from_secs(3);
    let first = room.publish("1").await;
    world.pass(&room.broker, Duration::from_secs(2)).await;
    room.publish("2").await;
    world.pass(&room.broker, Duration::from_secs(2)).await;
    assert_eq!(room.offsets(ALL).await, [2]);
    world.pass(&room.broker, Duration::from_secs(2)).await;
    let page = room.page(ALL).await;
    assert!(page.publications.is_empty());
    assert_eq!(
        page.top,
        Position::new(first.epoch.clone(), 2),
        "a quiet channel's position does not age out"
    );
    assert_eq!(room.publish("3").await, Position::new(first.epoch, 3));
}

pub(crate) async fn without_history_positions_count_all_the_same(world: &impl World) {
    let mut room = Room::new(world).await;
    room.policy = HistoryPolicy::OFF;
    assert_eq!(room.publish_many(3).await.offset, 3);
    let page = room.page(ALL).await;
    assert!(page.publications.is_empty());
    assert_eq!(page.top.offset, 3);
    assert_eq!(room.recorder.take().len(), 3, "delivered, not kept");
}

pub(crate) async fn a_new_memory_is_a_new_epoch_and_answers_nothing_to_the_old_one(world: &impl World) {
    let before = Room::new(world).await.publish_many(3).await;
    let room = Room::new(world).await;
    let now = room.publish_many(5).await;
    assert_ne!(before.epoch, now.epoch);
    let page = room.page(HistoryQuery { since: Some(before), ..ALL }).await;
    assert!(page.publications.is_empty(), "offsets of another epoch mean nothing here");
    assert_eq!(page.top, now);
}

pub(crate) async fn asking_for_a_position_makes_it_good_to_come_back_to(world: &impl World) {
    let room = Room::new(world).await;
    let before = room.page(HistoryQuery { limit: 0, ..ALL }).await.top;
    assert_eq!(before.offset, 0);
    let first = room.publish("1").await;
    assert_eq!(first.epoch, before.epoch);
    assert_eq!(room.offsets(HistoryQuery { since: Some(before), ..ALL }).await, [1]);
}

pub(crate) async fn channels_do_not_know_each_other(world: &impl World) {
    let room = Room::new(world).await;
    let other = channel("room:2");
    room.broker.interest(&other, true).await.expect("interest");
    room.publish("1").await;
    let theirs = room.broker.publish(&other, content("2"), &room.policy).await.expect("published");
    assert_eq!(theirs.offset, 1);
    room.enter(link(1, 1), "ann").await;
    assert_eq!(room.broker.members(&other).await, Ok(Vec::new()));
    let counted = room.broker.count_members(&[room.channel.clone(), other, channel("room:3")]).await;
    assert_eq!(counted, Ok(vec![1, 0, 0]));
    assert_eq!(room.recorder.take(), ["room:1 1 1", "room:2 1 2", "room:1 +ann"]);
}

pub(crate) async fn the_excluded_session_is_kept_with_the_publication(world: &impl World) {
    let room = Room::new(world).await;
    let session = link(9, 1).session;
    let content = Content { exclude: Some(session), user: Some(user("ann")), ..content("1") };
    room.broker.publish(&room.channel, content, &room.policy).await.expect("published");
    let page = room.page(ALL).await;
    let publication = page.publications.first().expect("one");
    assert_eq!(publication.exclude, Some(session));
    assert_eq!(publication.body.user, Some(user("ann")));
}

pub(crate) async fn a_user_joins_with_the_first_session_and_leaves_with_the_last(world: &impl World) {
    let room = Room::new(world).await;
    room.enter(link(1, 1), "ann").await;
    room.enter(link(2, 1), "bob").await;
    room.enter(link(3, 1), "ann").await;
    assert_eq!(room.recorder.take(), ["room:1 +ann", "room:1 +bob"]);
    let mut members = room.members().await;
    members.sort();
    assert_eq!(members, [("ann".to_owned(), 2), ("bob".to_owned(), 1)]);
    room.leave(link(1, 1), "ann").await;
    assert_eq!(room.recorder.take(), [""; 0]);
    room.leave(link(3, 1), "ann").await;
    assert_eq!(room.recorder.take(), ["room:1 -ann"]);
    assert_eq!(room.members().await, [("bob".to_owned(), 1)]);
}

pub(crate) async fn entering_twice_and_leaving_what_was_not_entered_are_silent(world: &impl World) {
    let room = Room::new(world).await;
    room.leave(link(1, 1), "ann").await;
    room.linger(link(1, 1), "ann");
    room.enter(link(1, 1), "ann").await;
    room.enter(link(1, 1), "ann").await;
    assert_eq!(room.recorder.take(), ["room:1 +ann"]);
    assert_eq!(room.members().await, [("ann".to_owned(), 1)]);
    room.leave(link(2, 1), "ann").await;
    room.leave(link(1, 1), "bob").await;
    assert_eq!(room.recorder.take(), [""; 0]);
    room.leave(link(1, 1), "ann").await;
    room.leave(link(1, 1), "ann").await;
    assert_eq!(room.recorder.take(), ["room:1 -ann"]);
}

pub(crate) async fn a_return_within_the_grace_is_neither_leave_nor_join(world: &impl World) {
    let room = Room::new(world).await;
    room.enter(link(1, 1), "ann").await;
    room.linger(link(1, 1), "ann");
    world.pass(&room.broker, GRACE / 2).await;
    assert_eq!(room.members().await, [("ann".to_owned(), 1)], "still a member within the grace");
    room.enter(link(1, 2), "ann").await;
    world.pass(&room.broker, 2 * GRACE).await;
    assert_eq!(room.recorder.take(), ["room:1 +ann"]);
    assert_eq!(room.members().await, [("ann".to_owned(), 1)]);
}

pub(crate) async fn a_grace_that_passes_is_one_leave_and_a_later_return_is_a_join(world: &impl World) {
    let room = Room::new(world).await;
    room.enter(link(1, 1), "ann").await;
    room.linger(link(1, 1), "ann");
    world.pass(&room.broker, 2 * GRACE).await;
    assert_eq!(room.recorder.take(), ["room:1 +ann", "room:1 -ann"]);
    world.pass(&room.broker, 2 * GRACE).await;
    room.leave(link(1, 1), "ann").await;
    assert_eq!(room.recorder.take(), [""; 0], "exactly once");
    room.enter(link(1, 2), "ann").await;
    assert_eq!(room.recorder.take(), ["room:1 +ann"]);
}

pub(crate) async fn what_an_older_link_of_a_session_says_is_ignored(world: &impl World) {
    let room = Room::new(world).await;
    room.enter(link(1, 1), "ann").await;
    room.enter(link(1, 2), "ann").await;
    room.leave(link(1, 1), "ann").await;
    room.linger(link(1, 1), "ann");
    world.pass(&room.broker, 2 * GRACE).await;
    assert_eq!(room.recorder.take(), ["room:1 +ann"]);
    room.enter(link(1, 1), "ann").await;
    room.leave(link(1, 2), "ann").await;
    assert_eq!(room.recorder.take(), ["room:1 -ann"], "the newest link's word counts");
}
