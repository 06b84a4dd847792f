//! The session without a socket: what it sends, and what the application gets.

mod behind;
mod cut;
mod model;

use serde_json::{Value, json};
use trunkline_dialect::command::Credential;
use trunkline_dialect::{Code, Epoch, Json};

use super::*;
use crate::Subscription;

/// A session whose messages are read as the hub would read them.
struct Rig {
    session: Session,
}

impl Rig {
    /// A session that the hub has taken.
    fn connected() -> Self {
        let mut rig = Self { session: Session::new(8) };
        rig.connect();
        rig
    }

    fn connect(&mut self) {
        self.session.connect(Connect::new(Credential::Anonymous));
        let connect = self.session.poll_transmit().expect("connect goes first");
        assert!(connect.secret, "{connect:?}");
        let connect: Value = serde_json::from_str(&connect.text).expect("JSON");
        assert!(connect["connect"].is_object(), "{connect}");
        let ok = json!({"session": "s", "node": "n", "heartbeat_ms": 30000});
        let signal = self.receive(json!({"id": connect["id"], "ok": ok}));
        assert!(matches!(signal, Some(Signal::Connected(_))), "{signal:?}");
    }

    fn receive(&mut self, message: Value) -> Option<Signal> {
        self.session.receive(message.to_string().as_bytes()).expect("a message of the dialect")
    }

    fn push(&mut self, message: Value) {
        assert_eq!(self.receive(message), None);
    }

    fn publication(&mut self, offset: u64) {
        self.push(json!({"channel": "c", "pub": publication(offset)}));
    }

    fn answer(&mut self, id: u64, ok: Value) {
        assert_eq!(self.receive(json!({"id": id, "ok": ok})), None);
    }

    fn refuse(&mut self, id: u64, code: Code) {
        let error = ErrorBody::new(code, "no");
        assert_eq!(self.receive(json!({"id": id, "error": error})), None);
    }

    /// The next command: its id, verb and body.
    fn sent(&mut self) -> Option<(u64, String, Value)> {
        let Transmit { text, secret } = self.session.poll_transmit()?;
        let Value::Object(mut command) = serde_json::from_str(&text).expect("JSON") else { panic!("{text}") };
        let id = command.remove("id").and_then(|id| id.as_u64()).expect("an id");
        let (verb, body) = command.into_iter().next().expect("a verb");
        assert_eq!(secret, ["connect", "refresh"].contains(&verb.as_str()), "{verb}");
        Some((id, verb, body))
    }

    #[track_caller]
    fn expect(&mut self, verb: &str, body: Value) -> u64 {
        let (id, sent, sent_body) = self.sent().expect("a command");
        assert_eq!((sent.as_str(), sent_body), (verb, body));
        id
    }

    fn ask_to_subscribe(
        &mut self,
        since: Option<Position>,
        presence: bool,
        capacity: usize,
    ) -> (Subscription, oneshot::Receiver<Result<(), Error>>) {
        let channel = ChannelName::new("c").expect("a name");
        let (subscription, feed, alive) = Subscription::new(channel.clone(), capacity);
        let (answer, answered) = oneshot::channel();
        self.session.request(Request::Subscribe { channel, since, presence, feed, alive, answer });
        (subscription, answered)
    }

    /// A subscription of `c` that stands at offset 5 of epoch `e`.
    fn subscribed(&mut self, capacity: usize) -> Subscription {
        let (subscription, mut answered) = self.ask_to_subscribe(None, false, capacity);
        let id = self.expect("subscribe", json!({"channel": "c"}));
        self.answer(id, json!({"epoch": "e", "offset": 5, "recovered": false, "publications": []}));
        assert!(matches!(answered.try_recv(), Ok(Ok(()))));
        assert!(matches!(self.session.poll_wait(), Some(Wait::Dropped(..))));
        subscription
    }

    fn publish(&mut self, data: u64) -> oneshot::Receiver<Result<Position, Error>> {
        let (answer, answered) = oneshot::channel();
        let publish = command::Publish {
            channel: ChannelName::new("c").expect("a name"),
            data: Json::of(&data).expect("a number is JSON"),
            exclude_self: false,
        };
        self.session.request(Request::Publish(publish, answer));
        answered
    }

    fn ping(&mut self) -> oneshot::Receiver<Result<trunkline_dialect::Pong, Error>> {
        let (answer, answered) = oneshot::channel();
        self.session.request(Request::Ping(answer));
        answered
    }

    /// The key of a subscription that waits for room in its queue.
    fn waits_for_room(&mut self) -> Key {
        match self.session.poll_wait() {
            Some(Wait::Room(key, _)) => key,
            other => panic!("{other:?}"),
        }
    }
}

fn publication(offset: u64) -> Value {
    json!({"offset": offset, "data": offset, "at": 0})
}

fn publications(offsets: impl IntoIterator<Item = u64>) -> Value {
    offsets.into_iter().map(publication).collect()
}

fn position(epoch: &str, offset: u64) -> Position {
    Position::new(Epoch::new(epoch).expect("an epoch"), offset)
}

/// What is queued now, publications as their offsets.
fn taken(subscription: &mut Subscription) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = subscription.try_next() {
        seen.push(match event {
            Event::Publication(publication) => publication.offset.to_string(),
            Event::Gap(gap) => format!("gap {}-{}", gap.from, gap.to),
            Event::Recovered { since } => format!("recovered {}{}", since.epoch, since.offset),
            Event::Lost(lost) => format!(
                "lost {}{}-{}{}",
                lost.before.epoch, lost.before.offset, lost.now.epoch, lost.now.offset
            ),
            Event::Join(join) => format!("join {}", join.user),
            Event::Leave(leave) => format!("leave {}", leave.user),
            Event::Members(members) => format!("members {}", members.len()),
            Event::Unsubscribed(removed) => format!("unsubscribed {}", removed.code),
        });
    }
    seen
}

#[test]
fn nothing_but_connect_is_sent_before_the_hub_has_taken_us() {
    let mut session = Session::new(8);
    assert!(!session.wants_requests());
    let (answer, _answered) = oneshot::channel();
    session.request(Request::Ping(answer));
    assert_eq!(session.poll_transmit(), None);
    let mut rig = Rig { session };
    rig.connect();
    assert_eq!(rig.sent().map(|(_, verb, _)| verb).as_deref(), Some("ping"));
}

#[test]
fn the_push_connected_opens_a_link_whose_handshake_carried_the_credential() {
    let mut rig = Rig { session: Session::new(8) };
    let connected = json!({"session": "s", "node": "n", "heartbeat_ms": 30000});
    assert!(matches!(rig.receive(json!({"connected": connected})), Some(Signal::Connected(_))));
    assert!(rig.session.wants_requests());
}

#[test]
fn answers_reach_their_askers_in_any_order() {
    let mut rig = Rig::connected();
    let (mut first, mut second) = (rig.publish(1), rig.publish(2));
    let one = rig.expect("publish", json!({"channel": "c", "data": 1}));
    let two = rig.expect("publish", json!({"channel": "c", "data": 2}));
    rig.answer(two, json!({"epoch": "e", "offset": 8}));
    rig.answer(one, json!({"epoch": "e", "offset": 9}));
    assert_eq!(first.try_recv().expect("answered").expect("published"), position("e", 9));
    assert_eq!(second.try_recv().expect("answered").expect("published"), position("e", 8));
}

#[test]
fn a_refusal_reaches_its_asker() {
    let mut rig = Rig::connected();
    let mut answered = rig.publish(1);
    let (id, ..) = rig.sent().expect("a command");
    rig.refuse(id, Code::Forbidden);
    let Ok(Err(Error::Refused(error))) = answered.try_recv() else { panic!("refused") };
    assert_eq!(error.code, Code::Forbidden);
}

#[test]
fn an_answer_of_another_shape_is_an_error_of_that_call_alone() {
    let mut rig = Rig::connected();
    let mut answered = rig.publish(1);
    let (id, ..) = rig.sent().expect("a command");
    rig.answer(id, json!({"unexpected": true}));
    assert!(matches!(answered.try_recv(), Ok(Err(Error::Unreadable(_)))));
    assert!(rig.session.wants_requests());
}

#[test]
fn no_more_commands_than_the_window_are_in_flight() {
    let mut rig = Rig::connected();
    let _answers: Vec<_> = (0..20).map(|n| rig.publish(n)).collect();
    let mut sent = Vec::new();
    while let Some((id, ..)) = rig.sent() {
        sent.push(id);
    }
    assert_eq!(sent.len(), 8);
    assert!(!rig.session.wants_requests(), "requests wait where their makers feel it");
    rig.answer(sent[3], json!({"epoch": "e", "offset": 1}));
    assert!(rig.sent().is_some());
    assert!(rig.sent().is_none());
}

#[test]
fn a_command_whose_caller_has_gone_is_not_sent() {
    let mut rig = Rig::connected();
    drop(rig.publish(1));
    let _waits = rig.publish(2);
    rig.expect("publish", json!({"channel": "c", "data": 2}));
}

#[test]
fn events_come_in_order_and_each_publication_once() {
    let mut rig = Rig::connected();
    let mut subscription = rig.subscribed(8);
    for offset in [6, 7, 7, 5, 8] {
        rig.publication(offset);
    }
    rig.push(json!({"channel": "c", "gap": {"from": 9, "to": 12}}));
    for offset in [10, 13] {
        rig.publication(offset);
    }
    assert_eq!(taken(&mut subscription), ["6", "7", "8", "gap 9-12", "13"]);
}

#[test]
fn presence_comes_as_members_first_and_then_as_joins_and_leaves() {
    let mut rig = Rig::connected();
    let (mut subscription, _answered) = rig.ask_to_subscribe(None, true, 8);
    let id = rig.expect("subscribe", json!({"channel": "c", "presence": true}));
    let members = json!([{"user": "ann", "sessions": 1}]);
    rig.answer(
        id,
        json!({"epoch": "e", "offset": 0, "recovered": false, "publications": [], "members": members}),
    );
    rig.push(json!({"channel": "c", "join": {"user": "bob"}}));
    rig.push(json!({"channel": "c", "leave": {"user": "ann"}}));
    assert_eq!(taken(&mut subscription), ["members 1", "join bob", "leave ann"]);
}

#[test]
fn a_subscription_from_an_earlier_life_begins_where_that_ended() {
    for (recovered, epoch, expected) in
        [(true, "e", vec!["recovered e5", "6", "7"]), (false, "f", vec!["lost e5-f5", "6", "7"])]
    {
        let mut rig = Rig::connected();
        let (mut subscription, _answered) = rig.ask_to_subscribe(Some(position("e", 5)), false, 8);
        let id = rig.expect("subscribe", json!({"channel": "c", "since": {"epoch": "e", "offset": 5}}));
        let missed = publications([6, 7]);
        rig.answer(id, json!({"epoch": epoch, "offset": 7, "recovered": recovered, "publications": missed}));
        assert_eq!(taken(&mut subscription), expected);
    }
}

#[test]
fn a_channel_has_one_subscription_at_a_time() {
    let mut rig = Rig::connected();
    let _subscription = rig.subscribed(8);
    let (_second, mut answered) = rig.ask_to_subscribe(None, false, 8);
    assert!(matches!(answered.try_recv(), Ok(Err(Error::AlreadySubscribed(_)))));
    assert!(rig.sent().is_none());
}

#[test]
fn a_refused_subscription_can_be_tried_again() {
    let mut rig = Rig::connected();
    let (_subscription, mut answered) = rig.ask_to_subscribe(None, false, 8);
    let (id, ..) = rig.sent().expect("a command");
    rig.refuse(id, Code::RateLimited);
    assert!(matches!(answered.try_recv(), Ok(Err(Error::Refused(_)))));
    let _second = rig.ask_to_subscribe(None, false, 8);
    rig.expect("subscribe", json!({"channel": "c"}));
}

#[test]
fn a_dropped_subscription_is_unsubscribed_and_a_later_one_is_another() {
    let mut rig = Rig::connected();
    let (subscription, _answered) = rig.ask_to_subscribe(None, false, 8);
    let Some(Wait::Dropped(key, mut alive)) = rig.session.poll_wait() else { panic!("it is watched") };
    assert_eq!(alive.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    drop(subscription);
    assert_eq!(alive.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    rig.expect("subscribe", json!({"channel": "c"}));
    rig.session.woken(Woken::Dropped(key.clone()));
    rig.expect("unsubscribe", json!({"channel": "c"}));
    let mut later = rig.subscribed(8);
    rig.session.woken(Woken::Dropped(key));
    assert!(rig.sent().is_none(), "the later one is not meant");
    rig.publication(6);
    assert_eq!(taken(&mut later), ["6"]);
}

#[test]
fn unsubscribing_gives_what_is_queued_and_then_the_end() {
    let mut rig = Rig::connected();
    let mut subscription = rig.subscribed(8);
    rig.publication(6);
    let (answer, mut answered) = oneshot::channel();
    rig.session.request(Request::Unsubscribe(ChannelName::new("c").expect("a name"), answer));
    let id = rig.expect("unsubscribe", json!({"channel": "c"}));
    rig.publication(7);
    rig.answer(id, json!({}));
    assert!(matches!(answered.try_recv(), Ok(Ok(()))));
    assert_eq!(taken(&mut subscription), ["6"]);
}

#[test]
fn the_end_of_a_subscription_by_the_hub_is_its_last_event() {
    let mut rig = Rig::connected();
    let mut subscription = rig.subscribed(2);
    rig.publication(6);
    rig.publication(7);
    rig.push(json!({"channel": "c", "unsubscribed": {"code": "forbidden", "message": "kicked"}}));
    rig.publication(8);
    assert_eq!(taken(&mut subscription), ["6", "7", "unsubscribed forbidden"]);
}

#[test]
fn the_hubs_ping_is_answered_and_what_a_newer_hub_says_is_left_alone() {
    let mut rig = Rig::connected();
    rig.push(json!({"ping": 3}));
    let pong = Transmit { text: r#"{"pong":3}"#.into(), secret: false };
    assert_eq!(rig.session.poll_transmit(), Some(pong));
    rig.push(json!({"weather": {"sun": true}}));
    rig.push(json!({"id": 999, "ok": {}}));
    rig.push(json!({"error": {"code": "bad_request", "message": "?"}}));
    assert_eq!(rig.session.poll_transmit(), None);
}

#[test]
fn what_is_not_the_dialect_is_an_error_of_the_link() {
    let mut rig = Rig::connected();
    assert!(rig.session.receive(b"hello").is_err());
    assert!(rig.session.receive(b"\xff").is_err());
    let (_subscription, _answered) = rig.ask_to_subscribe(None, false, 8);
    let (id, ..) = rig.sent().expect("a command");
    assert!(rig.session.receive(format!(r#"{{"id":{id},"ok":{{}}}}"#).as_bytes()).is_err());
}
