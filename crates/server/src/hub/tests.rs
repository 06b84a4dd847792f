//! The hub against a model: whatever happens in whatever order, each subscriber sees each publication once,
//! in order, or is told of the gap; and knows in the end who is present.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use trunkline_dialect::{Epoch, Json, Position, Reply, ServerMessage, Subscribed, json};

use super::*;
use crate::channel::{Channel, Content, HistoryPolicy};
use crate::clock::Now;
use crate::outbox::{Bounds, Item, Outboxes};

const CLIENTS: u8 = 4;
/// As many members fit into a reply; there may be twice as many.
const NAMED: usize = 3;
const HISTORY: HistoryPolicy = HistoryPolicy { size: 12, ttl: Duration::from_secs(30), bytes: 8_000 };

#[derive(Debug, Clone)]
enum Step {
    /// Somebody publishes; the delivery may get lost between nodes, and a session may be excluded.
    Publish { length: usize, lost: bool, exclude: Option<u8> },
    /// A client reads this many messages.
    Read { client: u8, messages: usize },
    /// The answer of history that a client waits for arrives.
    Answer { client: u8 },
    /// A client begins to subscribe, from where it was.
    Subscribe { client: u8 },
    /// Its reply goes out.
    Reply { client: u8 },
    /// A client's link is lost.
    Drop { client: u8 },
    /// A user joins or leaves.
    Presence { user: u8, present: bool },
    /// Time passes, and history with it.
    Pass { seconds: u64 },
    /// The broker loses its memory.
    NewEpoch,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let excluded = proptest::option::weighted(0.1, 0..CLIENTS);
    prop_oneof![
        12 => (0_usize..600, proptest::bool::weighted(0.05), excluded)
            .prop_map(|(length, lost, exclude)| Step::Publish { length, lost, exclude }),
        8 => (client.clone(), 0_usize..8).prop_map(|(client, messages)| Step::Read { client, messages }),
        6 => client.clone().prop_map(|client| Step::Answer { client }),
        3 => client.clone().prop_map(|client| Step::Subscribe { client }),
        4 => client.clone().prop_map(|client| Step::Reply { client }),
        1 => client.prop_map(|client| Step::Drop { client }),
        4 => (0_u8..6, any::<bool>()).prop_map(|(user, present)| Step::Presence { user, present }),
        1 => (0_u64..20).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::NewEpoch),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn each_subscriber_sees_each_publication_once_and_in_order_or_is_told_of_the_gap(
        policies in proptest::array::uniform4(0_u8..3),
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let mut world = World::new(policies);
        for step in steps {
            world.step(step);
        }
        world.settle();
    }
}

#[test]
fn a_delivery_that_comes_late_or_twice_is_passed_over() {
    let mut world = World::new([0; CLIENTS as usize]);
    world.subscribe(0);
    world.reply(0);
    let data = Json::parse("1").expect("JSON");
    let content = Content { data, user: None, exclude: None };
    let publication = world.channel.append(world.now, content, &HISTORY);
    let epoch = world.channel.position().epoch;
    for _ in 0..2 {
        world.hub.deliver(&world.name, Delivery::Publication(&epoch, &publication));
    }
    let items: Vec<Item> = std::iter::from_fn(|| world.clients[0].outbox.take()).collect();
    assert!(
        matches!(items[..], [Item::Messages { .. }, Item::Messages { .. }]),
        "the reply, and one push: {items:?}"
    );
}

#[test]
fn ones_own_join_is_not_told_however_late_it_is_delivered() {
    let mut world = World::new([0; CLIENTS as usize]);
    for client in [0, 1] {
        world.subscribe(client);
        world.reply(client);
        assert!(world.read(client), "the reply");
    }
    let user = UserId::new("ann").expect("a user id");
    world.hub.deliver(&world.name, Delivery::Join(&user, None, world.clients[0].session));
    assert!(world.clients[0].outbox.take().is_none());
    assert!(matches!(world.clients[1].outbox.take(), Some(Item::Messages { .. })), "the others are told");
}

#[test]
fn catching_up_ends_even_where_history_does_not_know_what_was_delivered() {
    let mut world = World::new([0; CLIENTS as usize]);
    world.subscribe(0);
    world.reply(0);
    let before = world.channel.position();
    world.publish(1, true, None);
    world.publish(1, false, None);
    let items: Vec<Item> = std::iter::from_fn(|| world.clients[0].outbox.take()).collect();
    assert!(matches!(items[..], [Item::CatchUp(_), Item::Messages { .. }]), "behind: {items:?}");
    let link = world.clients[0].link();
    assert!(world.hub.plan(link, &world.name).is_some());
    let lagging = HistoryPage { top: before, publications: Vec::new() };
    assert_eq!(world.hub.catch_up(link, &world.name, lagging), Progress::Done);
    let Some(Item::Messages { batch: gap, .. }) = world.clients[0].outbox.take() else { panic!("a gap") };
    assert_eq!(gap[0].json(), r#"{"channel":"room:1","gap":{"from":1,"to":2}}"#);
    world.publish(1, false, None);
    assert!(matches!(world.clients[0].outbox.take(), Some(Item::Messages { .. })), "live again");
}

/// One channel, its clients, and what each of them must believe.
struct World {
    hub: Hub,
    name: ChannelName,
    now: Now,
    channel: Channel,
    epochs: u32,
    /// Something has happened that no delivery told of.
    unnoticed: bool,
    /// Whom each publication of the current epoch was not meant for.
    excluded: BTreeMap<u64, SessionId>,
    present: BTreeSet<UserId>,
    clients: Vec<Client>,
}

struct Client {
    session: SessionId,
    serial: u64,
    outbox: Arc<Outbox>,
    slow_reader: SlowReader,
    phase: ClientPhase,
    /// Up to where it knows everything, by its own reading.
    position: Option<Position>,
    knows: BTreeSet<UserId>,
    /// Answers of history on their way.
    pages: VecDeque<HistoryPage>,
}

#[derive(Debug, PartialEq)]
enum ClientPhase {
    Away,
    /// The hub has the subscription; the reply is on its way.
    Asked(Box<Recovery>, Roll),
    /// The reply is in the outbox, or read.
    Subscribed {
        read: bool,
    },
}

impl World {
    fn new(policies: [u8; CLIENTS as usize]) -> World {
        let client = |(number, policy): (usize, u8)| Client {
            session: SessionId([u8::try_from(number).expect("few"); 16]),
            serial: 0,
            outbox: outbox(),
            slow_reader: [SlowReader::CatchUp, SlowReader::NewestOnly, SlowReader::DropOldest]
                [usize::from(policy)],
            phase: ClientPhase::Away,
            position: None,
            knows: BTreeSet::new(),
            pages: VecDeque::new(),
        };
        World {
            hub: Hub::new(10, 10),
            name: ChannelName::new("room:1").expect("a channel name"),
            now: Now { instant: Instant::now(), unix_ms: 0 },
            channel: Channel::new(Epoch::new("epoch-0").expect("an epoch")),
            epochs: 0,
            unnoticed: false,
            excluded: BTreeMap::new(),
            present: BTreeSet::new(),
            clients: policies.into_iter().enumerate().map(client).collect(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { length, lost, exclude } => self.publish(length, lost, exclude),
            Step::Read { client, messages } => {
                let _all_there_was = (0..messages).all(|_| self.read(client));
            }
            Step::Answer { client } => self.answer(client),
            Step::Subscribe { client } => self.subscribe(client),
            Step::Reply { client } => self.reply(client),
            Step::Drop { client } => self.drop_client(client),
            Step::Presence { user, present } => self.presence(user, present),
            Step::Pass { seconds } => self.now = self.now.later(Duration::from_secs(seconds)),
            Step::NewEpoch => {
                self.epochs += 1;
                self.channel = Channel::new(Epoch::new(&format!("epoch-{}", self.epochs)).expect("an epoch"));
                self.excluded.clear();
                self.unnoticed = true;
            }
        }
    }

    /// Everything arrives, everybody reads all: then everybody who subscribes is where the channel is.
    fn settle(&mut self) {
        (0..CLIENTS).for_each(|client| self.reply(client));
        if self.unnoticed {
            // A lost delivery is noticed by the next that is not lost.
            self.publish(1, false, None);
        }
        for client in 0..CLIENTS {
            for _ in 0..10_000 {
                if !self.read(client) && self.clients[usize::from(client)].pages.is_empty() {
                    break;
                }
                self.answer(client);
            }
            let top = self.channel.position();
            let one = &self.clients[usize::from(client)];
            assert!(one.outbox.take().is_none(), "catching up comes to an end");
            if one.phase != ClientPhase::Away {
                let at = one.position.clone().expect("a position since the reply");
                let not_meant = |offset| self.excluded.get(&offset) == Some(&one.session);
                assert_eq!(at.epoch, top.epoch, "client {client} is in the channel's epoch");
                assert!(
                    (at.offset + 1..=top.offset).all(not_meant),
                    "client {client} is at {at:?} of {top:?}"
                );
                assert_eq!(one.knows, self.present, "client {client} knows who is present");
            }
        }
    }

    fn publish(&mut self, length: usize, lost: bool, exclude: Option<u8>) {
        let exclude = exclude.map(|client| self.clients[usize::from(client)].session);
        let data = Json::parse(&format!("\"{}\"", "x".repeat(length))).expect("JSON");
        let publication = self.channel.append(self.now, Content { data, user: None, exclude }, &HISTORY);
        if let Some(session) = exclude {
            self.excluded.insert(publication.body.offset, session);
        }
        self.unnoticed = lost;
        if !lost {
            let epoch = self.channel.position().epoch;
            self.hub.deliver(&self.name, Delivery::Publication(&epoch, &publication));
        }
    }

    fn presence(&mut self, user: u8, present: bool) {
        let user = UserId::new(&format!("user{user}")).expect("a user id");
        let changed = if present { self.present.insert(user.clone()) } else { self.present.remove(&user) };
        if changed && present {
            self.hub.deliver(&self.name, Delivery::Join(&user, None, SessionId([99; 16])));
        } else if changed {
            self.hub.deliver(&self.name, Delivery::Leave(&user));
        }
    }

    fn subscribe(&mut self, client: u8) {
        let one = &mut self.clients[usize::from(client)];
        if one.phase != ClientPhase::Away {
            return;
        }
        one.serial += 1;
        one.outbox = outbox();
        let link = one.link();
        self.hub.add_link(link);
        let (outbox, slow_reader) = (one.outbox.clone(), one.slow_reader);
        let subscriber = Subscriber { link, outbox, present: None, watches: true, slow_reader };
        self.hub.subscribe(&self.name, subscriber, || ()).expect("subscribed");
        let mut page = |since: Option<Position>| {
            let query = HistoryQuery { since, limit: 5, bytes: 2_000, reverse: false };
            self.channel.page(self.now.instant, &query)
        };
        let recovery = match &one.position {
            None => Recovery::from_top(page(None).top),
            Some(since) => {
                Recovery::since(since, page(Some(since.clone())), one.session).unwrap_or_else(|fresh| {
                    let again = Recovery::since(&fresh, page(Some(fresh.clone())), one.session);
                    Recovery { recovered: false, ..again.expect("the epoch just told") }
                })
            }
        };
        let member = |user: &UserId| Member { user: user.clone(), info: None, sessions: 1 };
        let mut named: Vec<Member> = self.present.iter().map(member).collect();
        let others = named.split_off(named.len().min(NAMED));
        one.phase = ClientPhase::Asked(Box::new(recovery), Roll { named, others });
    }

    fn reply(&mut self, client: u8) {
        let one = &mut self.clients[usize::from(client)];
        let before = std::mem::replace(&mut one.phase, ClientPhase::Subscribed { read: false });
        let ClientPhase::Asked(recovery, roll) = before else {
            one.phase = before;
            return;
        };
        assert!(one.outbox.take().is_none(), "no push precedes the reply");
        let Position { epoch, offset } = recovery.position.clone();
        let (recovered, publications) = (recovery.recovered, recovery.publications.clone());
        let body = Subscribed { epoch, offset, recovered, publications, members: Some(roll.named.clone()) };
        one.outbox.push(Encoded::from(&Reply::ok(1, body)));
        self.hub.start(one.link(), &self.name, &recovery, roll);
    }

    fn drop_client(&mut self, client: u8) {
        let one = &mut self.clients[usize::from(client)];
        self.hub.drop_link(one.link(), |_| ());
        // What it had not read is lost with the link.
        one.phase = ClientPhase::Away;
        one.outbox = outbox();
        one.pages.clear();
    }

    fn answer(&mut self, client: u8) {
        let one = &mut self.clients[usize::from(client)];
        let Some(page) = one.pages.pop_front() else { return };
        if self.hub.catch_up(one.link(), &self.name, page) == Progress::Lost {
            self.hub.unsubscribe(one.link(), &self.name, || ());
            self.drop_client(client);
        }
    }

    /// A client reads one message; `false` if there was none.
    fn read(&mut self, client: u8) -> bool {
        let one = &mut self.clients[usize::from(client)];
        match one.outbox.take() {
            None => return false,
            Some(Item::End(ending)) => panic!("ended: {ending:?}"),
            Some(Item::CatchUp(name)) => {
                if let Some(query) = self.hub.plan(one.link(), &name) {
                    one.pages.push_back(self.channel.page(self.now.instant, &query));
                }
            }
            Some(Item::Cut) => panic!("cut"),
            Some(Item::Messages { batch, .. }) => {
                let [message] = &batch[..] else { panic!("one at a time: {batch:?}") };
                match json::decode_message(message.json().as_bytes()).expect("a message of the hub") {
                    ServerMessage::Ok { body, .. } => {
                        let body: Subscribed = body.read().expect("a subscribe's reply");
                        one.begin(body);
                    }
                    ServerMessage::Push(Push::Channel(_, push)) => {
                        one.see(push, &self.excluded, &self.channel.position())
                    }
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
        true
    }
}

impl Client {
    fn link(&self) -> LinkId {
        LinkId { session: self.session, serial: self.serial }
    }

    fn begin(&mut self, body: Subscribed) {
        assert_eq!(self.phase, ClientPhase::Subscribed { read: false });
        self.phase = ClientPhase::Subscribed { read: true };
        let same_epoch = self.position.as_ref().is_some_and(|position| position.epoch == body.epoch);
        if body.recovered {
            assert!(same_epoch, "recovered only within one epoch");
        }
        let offsets: Vec<u64> = body.publications.iter().map(|publication| publication.offset).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b));
        if let (Some(first), Some(before), true) = (offsets.first(), &self.position, same_epoch) {
            assert!(*first > before.offset, "nothing twice");
        }
        self.position = Some(body.position());
        self.knows = body.members.expect("asked for").into_iter().map(|member| member.user).collect();
    }

    fn see(&mut self, push: ChannelPush, excluded: &BTreeMap<u64, SessionId>, top: &Position) {
        assert_eq!(self.phase, ClientPhase::Subscribed { read: true }, "{push:?} before the reply");
        let position = self.position.as_mut().expect("a position since the reply");
        // Of an epoch that is over nobody remembers any more what was excluded from whom.
        let current = position.epoch == top.epoch;
        let skipped_rightly = |from: u64, to: u64, session: SessionId| {
            !current || (from..=to).all(|offset| excluded.get(&offset) == Some(&session))
        };
        match push {
            ChannelPush::Publication(publication) => {
                assert!(publication.offset > position.offset, "in order, and none twice");
                assert!(
                    skipped_rightly(position.offset + 1, publication.offset - 1, self.session),
                    "none left out"
                );
                assert!(
                    !current || excluded.get(&publication.offset) != Some(&self.session),
                    "not meant for it"
                );
                position.offset = publication.offset;
            }
            // The gap that belongs to the reply lies before the position that the reply told.
            ChannelPush::Gap(gap) if gap.to <= position.offset => assert!(gap.from <= gap.to),
            ChannelPush::Gap(gap) => {
                assert!(gap.from > position.offset && gap.from <= gap.to);
                assert!(skipped_rightly(position.offset + 1, gap.from - 1, self.session), "none left out");
                position.offset = gap.to;
            }
            ChannelPush::Join(join) => {
                self.knows.insert(join.user);
            }
            ChannelPush::Leave(leave) => {
                assert!(self.knows.remove(&leave.user), "a leave of a member it knows")
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn outbox() -> Arc<Outbox> {
    Arc::new(Outbox::new(Outboxes::new(Bounds { high: 4_000, low: 1_000 }, usize::MAX)))
}
