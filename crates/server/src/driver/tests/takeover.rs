//! A session taken over while its old link still waits for the broker.

use tokio::sync::watch;
use trunkline_dialect::command::Refresh;
use trunkline_dialect::{Code, Member, Position, UserId};

use super::*;
use crate::broker::memory::MemoryBroker;
use crate::broker::{Answer, Broker};
use crate::channel::{Content, HistoryPage, HistoryPolicy, HistoryQuery};
use crate::peer::Task;
use crate::rate::Allowance;
use crate::ticket_store::MemoryTicketStore;

/// The memory broker, with answers that can be held up.
struct Gated {
    memory: MemoryBroker,
    history: watch::Receiver<bool>,
    enter: watch::Receiver<bool>,
}

/// What lets answers through; `true` is open.
struct Gates {
    history: watch::Sender<bool>,
    enter: watch::Sender<bool>,
}

fn held<'a, T: Send + 'a>(gate: &watch::Receiver<bool>, answer: Answer<'a, T>) -> Answer<'a, T> {
    let mut gate = gate.clone();
    Box::pin(async move {
        let answer = answer.await;
        gate.wait_for(|open| *open).await.expect("the test holds the gate");
        answer
    })
}

impl Broker for Gated {
    fn publish<'a>(
        &'a self,
        channel: &'a ChannelName,
        content: Content,
        policy: &'a HistoryPolicy,
    ) -> Answer<'a, Position> {
        self.memory.publish(channel, content, policy)
    }

    fn history<'a>(&'a self, channel: &'a ChannelName, query: HistoryQuery) -> Answer<'a, HistoryPage> {
        held(&self.history, self.memory.history(channel, query))
    }

    fn enter<'a>(
        &'a self,
        channel: &'a ChannelName,
        link: LinkId,
        user: &'a UserId,
        info: Option<&'a Json>,
    ) -> Answer<'a, ()> {
        held(&self.enter, self.memory.enter(channel, link, user, info))
    }

    fn leave<'a>(&'a self, channel: &'a ChannelName, link: LinkId, user: &'a UserId) -> Answer<'a, ()> {
        self.memory.leave(channel, link, user)
    }

    fn members<'a>(&'a self, channel: &'a ChannelName) -> Answer<'a, Vec<Member>> {
        self.memory.members(channel)
    }

    fn count_members<'a>(&'a self, channels: &'a [ChannelName]) -> Answer<'a, Vec<usize>> {
        self.memory.count_members(channels)
    }

    fn ready(&self) -> Answer<'_, ()> {
        self.memory.ready()
    }

    fn interest(&self, channel: &ChannelName, wanted: bool) -> Answer<'static, ()> {
        self.memory.interest(channel, wanted)
    }

    fn linger(&self, channel: &ChannelName, link: LinkId, user: &UserId, grace: Duration) {
        self.memory.linger(channel, link, user, grace);
    }

    fn maintain(&self) {
        self.memory.maintain();
    }
}

fn gated() -> (World, Gates) {
    let ((history, history_gate), (enter, enter_gate)) = (watch::channel(true), watch::channel(true));
    let clock = Clock::starting_at(1_000_000);
    let broker_clock = clock.clone();
    let settings = settings(Limits::default(), [("room", Namespace::default())]);
    let tickets = Arc::new(MemoryTicketStore::new(10));
    let node = Node::with(
        settings,
        clock,
        |sink| {
            let memory = MemoryBroker::new(broker_clock, sink, 10);
            Arc::new(Gated { memory, history: history_gate, enter: enter_gate })
        },
        tickets,
    );
    (World::of(node), Gates { history, enter })
}

/// A link that waits for the history of its subscribe, and the one that has taken its session over meanwhile.
async fn overtaken(world: &World, gates: &Gates) -> (User, User) {
    let (mut old, session) = world.connect("ann").await;
    gates.history.send_replace(false);
    old.say("subscribe", json!({"channel": "room:1"}));
    old.hear_nothing().await;
    let mut new = world.arrive("192.0.2.1", None);
    new.ask("connect", json!({"session": session})).await;
    (old, new)
}

async fn present(world: &World) -> usize {
    let channel = ChannelName::new("room:1").expect("a channel name");
    world.node.presence(&channel).await.expect("members").len()
}

#[tokio::test(start_paused = true)]
async fn a_link_that_enters_a_channel_after_it_was_displaced_has_the_grace_and_no_longer() {
    let (world, gates) = gated();
    let (mut old, new) = overtaken(&world, &gates).await;
    gates.history.send_replace(true);
    assert_eq!(old.hear_end().await.1, 4409);
    drop(old);
    assert_eq!(present(&world).await, 1, "the session goes on, and may subscribe within the grace");
    world.pass(Duration::from_secs(6)).await;
    assert_eq!(present(&world).await, 0, "no ghost");
    assert_eq!(world.node.figures().subscriptions, 0);
    drop(new);
}

#[tokio::test(start_paused = true)]
async fn nor_does_one_stay_whose_end_comes_before_the_answer_to_its_entering() {
    let (world, gates) = gated();
    let (mut old, new) = overtaken(&world, &gates).await;
    gates.enter.send_replace(false);
    gates.history.send_replace(true);
    assert_eq!(old.hear_end().await.1, 4409, "it has asked to enter, and is not there for the answer");
    drop(old);
    world.pass(Duration::from_secs(6)).await;
    assert_eq!(present(&world).await, 0, "no ghost");
    drop(new);
}

#[tokio::test(start_paused = true)]
async fn a_new_link_that_has_subscribed_stays_however_late_the_old_one_enters() {
    let (world, gates) = gated();
    let (mut watcher, _) = world.connect("watcher").await;
    watcher.ask("subscribe", json!({"channel": "room:1", "presence": true})).await;
    let (mut old, mut new) = overtaken(&world, &gates).await;
    gates.history.send_replace(true);
    new.ask("subscribe", json!({"channel": "room:1"})).await;
    assert_eq!(watcher.hear().await["join"]["user"], "ann");
    assert_eq!(old.hear_end().await.1, 4409);
    drop(old);
    world.pass(Duration::from_secs(20)).await;
    watcher.hear_nothing().await;
    assert_eq!(present(&world).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_of_a_session_that_was_taken_over_is_a_conflict() {
    let world = World::new();
    let (old, session) = world.connect("ann").await;
    let ticket = world.ticket(json!({"user": "ann"})).await;
    let place = Place {
        node: world.node.clone(),
        outbox: old.client.outbox.clone(),
        origin: old.client.origin(),
        link: old.client.peer.link(),
        grant: old.client.peer.grant().cloned(),
        allowance: Arc::new(Allowance::new(world.node.clock.now().instant)),
    };
    let mut new = world.arrive("192.0.2.1", None);
    new.ask("connect", json!({"session": session})).await;
    let finished = task::perform(place, Some(1), Task::Refresh(Refresh::Ticket(ticket))).await;
    assert_eq!(finished.outcome.map(drop).map_err(|error| error.code), Err(Code::Conflict));
}
