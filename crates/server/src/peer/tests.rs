use std::time::Duration;

use trunkline_dialect::{Epoch, OkBody, Published, Secret, ServerMessage, UserId, json};

use super::*;
use crate::channel::HistoryPolicy;
use crate::policy::Who;
use crate::rate::Rate;
use crate::session::SessionId;

const LINK: LinkId = LinkId { session: SessionId([5; 16]), serial: 1 };

/// A peer, its clock, and what it has said.
struct World {
    peer: Peer,
    now: Now,
}

impl World {
    fn fresh() -> World {
        World::with(Limits::default())
    }

    fn with(limits: Limits) -> World {
        let base = Namespace::default();
        let slow = Namespace { publish_rate: Some(Rate { per_second: 1, burst: 2 }), ..base.clone() };
        let news = Namespace { publish: Who::Nobody, history: HistoryPolicy::OFF, ..base.clone() };
        let named =
            [("room", base), ("slow", slow), ("news", news)].map(|(name, one)| (name.to_owned(), one));
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000 };
        let rules = Rules { node: "n1".to_owned(), limits, policy: Policy::new(named) };
        World { peer: Peer::new(Arc::new(rules), now), now }
    }

    fn connected() -> World {
        World::fresh().connect(None)
    }

    /// Connects with a ticket that grants until `expires`.
    fn connect(mut self, expires: Option<u64>) -> World {
        self.say(r#"{"id": 1, "connect": {"ticket": "t"}}"#);
        assert!(matches!(self.peer.poll_event(), Some(Event::Do(Some(1), Task::Connect(_)))));
        let opened = Opened { allowance: self.peer.allowance().clone(), ..opened(expires) };
        self.peer.complete(self.now, Some(1), Ok(Done::Connected(opened)));
        let reply = self.heard();
        assert!(
            reply[0].starts_with(r#"{"id":1,"ok":{"session":"s","user":"ann","node":"n1","#),
            "{reply:?}"
        );
        self
    }

    fn say(&mut self, text: &str) {
        self.peer.receive(self.now, text.as_bytes(), Manner::Messages);
    }

    fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.peer.poll_transmit()).map(|message| message.json().to_owned()).collect()
    }

    /// The code of the one error that was answered, with its id.
    fn error(&mut self) -> (Option<u64>, Code) {
        let heard = self.heard();
        let [message] = heard.as_slice() else { panic!("one answer, not {heard:?}") };
        match json::decode_message(message.as_bytes()).expect("a message of the hub") {
            ServerMessage::Error { id, error } => (Some(id), error.code),
            ServerMessage::Push(Push::Error(error)) => (None, error.code),
            other => panic!("not an error: {other:?}"),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.later(time);
        self.peer.handle_timeout(self.now);
    }

    fn ending(&mut self) -> Option<Ending> {
        std::iter::from_fn(|| self.peer.poll_event()).find_map(|event| match event {
            Event::End(ending) => Some(ending),
            _ => None,
        })
    }
}

fn opened(expires: Option<u64>) -> Opened {
    let user = Some(UserId::new("ann").expect("a user id"));
    let grant = Arc::new(Grant { user, expires, ..Grant::anonymous() });
    let allowance = Arc::new(Allowance::new(Instant::now()));
    Opened { link: LINK, grant, token: Secret::new("s"), allowance, displaced: None }
}

fn published(offset: u64) -> Result<Done, ErrorBody> {
    let position = Position::new(Epoch::new("e").expect("an epoch"), offset);
    Ok(Done::Body(OkBody::from(Published { position })))
}

#[test]
fn what_cannot_be_read_is_answered_and_the_connection_lives() {
    let mut world = World::connected();
    let deep = format!(
        r#"{{"id": 9, "publish": {{"channel": "room:1", "data": {}1{}}}}}"#,
        "[".repeat(70),
        "]".repeat(70)
    );
    let long =
        format!(r#"{{"id": 9, "publish": {{"channel": "room:1", "data": "{}"}}}}"#, "x".repeat(70_000));
    let table = [
        ("not json", None, Code::BadRequest),
        ("[]", None, Code::BadRequest),
        (r#"{"id": 0, "ping": {}}"#, None, Code::BadRequest),
        (r#"{"id": 9, "ping": {}, "publish": {}}"#, Some(9), Code::BadRequest),
        (r#"{"id": 9, "dance": {}}"#, Some(9), Code::BadRequest),
        (r#"{"id": 9, "subscribe": {}}"#, Some(9), Code::BadRequest),
        (r#"{"id": 9, "subscribe": {"channel": "nowhere:1"}}"#, Some(9), Code::UnknownChannel),
        (r#"{"id": 9, "publish": {"channel": "news:1", "data": 1}}"#, Some(9), Code::Forbidden),
        (r#"{"id": 9, "connect": {}}"#, Some(9), Code::Conflict),
        (&deep, Some(9), Code::BadRequest),
        (&long, Some(9), Code::TooLarge),
    ];
    for (text, id, code) in table {
        world.say(text);
        assert_eq!(world.error(), (id, code), "{}", &text[..text.len().min(80)]);
    }
    world.say(r#"{"id": 9, "ping": {}}"#);
    assert_eq!(world.heard(), [r#"{"id":9,"ok":{"time":1000000}}"#]);
}

#[test]
fn before_connect_every_other_verb_is_unauthenticated() {
    let verbs = [
        r#""subscribe": {"channel": "room:1"}"#,
        r#""unsubscribe": {"channel": "room:1"}"#,
        r#""publish": {"channel": "room:1", "data": 1}"#,
        r#""presence": {"channel": "room:1"}"#,
        r#""history": {"channel": "room:1", "limit": 1}"#,
        r#""refresh": {"ticket": "t"}"#,
        r#""ping": {}"#,
    ];
    let mut world = World::fresh();
    for verb in verbs {
        world.say(&format!(r#"{{"id": 3, {verb}}}"#));
        assert_eq!(world.error(), (Some(3), Code::Unauthenticated), "{verb}");
    }
    assert!(world.peer.poll_event().is_none());
}

#[test]
fn no_credential_within_ten_seconds_is_the_end_with_4401() {
    let mut world = World::fresh();
    world.pass(Duration::from_millis(9_999));
    assert_eq!(world.ending(), None);
    world.pass(Duration::from_millis(1));
    let ending = world.ending().expect("ended");
    assert_eq!((ending.disconnect.code, ending.close_code), (Code::Unauthenticated, 4401));
    assert_eq!(world.peer.poll_timeout(), None);
    world.say(r#"{"id": 1, "connect": {"ticket": "t"}}"#);
    assert!(world.heard().is_empty() && world.peer.poll_event().is_none(), "over is over");
}

#[test]
fn a_refused_connect_is_answered_and_another_may_be_tried_in_the_time_that_is_left() {
    let mut world = World::fresh();
    let deadline = world.peer.poll_timeout();
    world.say(r#"{"id": 1, "connect": {"session": "old"}}"#);
    assert!(!world.peer.wants_input(), "nothing is read while the credential is looked at");
    world.say(r#"{"id": 2, "connect": {"ticket": "t"}}"#);
    assert_eq!(world.error(), (Some(2), Code::Conflict));
    let refused = ErrorBody::new(Code::Unauthenticated, "no");
    assert!(matches!(world.peer.poll_event(), Some(Event::Do(Some(1), _))));
    world.peer.complete(world.now, Some(1), Err(refused));
    assert_eq!(world.error(), (Some(1), Code::Unauthenticated));
    assert_eq!(world.peer.poll_timeout(), deadline);
    world.connect(None);
}

#[test]
fn a_refused_credential_of_the_handshake_is_the_end() {
    let mut world = World::fresh();
    world.peer.authenticate(Credential::Ticket(Secret::new("t")));
    assert!(matches!(world.peer.poll_event(), Some(Event::Do(None, Task::Connect(_)))));
    world.peer.complete(world.now, None, Err(ErrorBody::new(Code::Unauthenticated, "no")));
    assert_eq!(world.ending().map(|ending| ending.close_code), Some(4401));
}

#[test]
fn an_accepted_credential_of_the_handshake_is_told_by_connected() {
    let mut world = World::fresh();
    world.peer.authenticate(Credential::Ticket(Secret::new("t")));
    world.peer.complete(world.now, None, Ok(Done::Connected(opened(None))));
    assert!(world.heard()[0].starts_with(r#"{"connected":{"session":"s""#));
    assert_eq!(world.peer.poll_timeout(), None, "a connected peer without expiry needs no timer");
}

#[test]
fn without_an_open_namespace_nobody_connects_without_a_credential() {
    let mut world = World::fresh();
    world.say(r#"{"id": 1, "connect": {}}"#);
    assert_eq!(world.error(), (Some(1), Code::Unauthenticated));
    assert!(world.peer.poll_event().is_none());
}

#[test]
fn commands_become_tasks_in_their_order_and_an_id_in_flight_is_a_conflict() {
    let mut world = World::connected();
    world.say(r#"{"id": 7, "publish": {"channel": "room:1", "data": {"a": 1}, "exclude_self": true}}"#);
    world.say(r#"{"id": 8, "publish": {"channel": "room:1", "data": 2}}"#);
    world.say(r#"{"id": 7, "unsubscribe": {"channel": "room:1"}}"#);
    assert_eq!(world.error(), (Some(7), Code::Conflict));
    assert!(matches!(world.peer.poll_event(), Some(Event::Used(LINK))));
    let Some(Event::Do(Some(7), Task::Publish(channel, content))) = world.peer.poll_event() else {
        panic!("the first publish")
    };
    assert_eq!((channel.as_str(), content.data.get()), ("room:1", r#"{"a": 1}"#));
    assert_eq!(
        (content.user.map(|user| user.to_string()), content.exclude),
        (Some("ann".into()), Some(LINK.session))
    );
    let Some(Event::Do(Some(8), Task::Publish(_, content))) = world.peer.poll_event() else {
        panic!("the second publish")
    };
    assert_eq!(content.exclude, None);
    world.peer.complete(world.now, Some(7), published(1));
    assert_eq!(world.heard(), [r#"{"id":7,"ok":{"epoch":"e","offset":1}}"#]);
    world.say(r#"{"id": 7, "unsubscribe": {"channel": "room:1"}}"#);
    assert!(matches!(world.peer.poll_event(), Some(Event::Do(Some(7), Task::Unsubscribe(_)))), "free again");
}

#[test]
fn as_many_commands_as_allowed_wait_for_their_answer_and_then_nothing_is_read() {
    let mut world = World::with(Limits { commands_in_flight: 2, ..Limits::default() }).connect(None);
    let command = |id| format!(r#"{{"id": {id}, "unsubscribe": {{"channel": "room:1"}}}}"#);
    for id in [1, 2] {
        assert!(world.peer.wants_input());
        world.say(&command(id));
    }
    assert!(!world.peer.wants_input());
    world.say(&command(3));
    assert_eq!(world.error(), (Some(3), Code::TooMany), "whoever reads on all the same");
    world.peer.complete(world.now, Some(1), published(1));
    assert!(world.peer.wants_input());
}

#[test]
fn beyond_its_rate_a_peer_is_refused_and_beyond_all_patience_ended_with_4429() {
    let mut world = World::with(Limits { commands: Rate { per_second: 10, burst: 20 }, ..Limits::default() });
    world = world.connect(None);
    for id in 2..=20 {
        world.say(&format!(r#"{{"id": {id}, "ping": {{}}}}"#));
        assert!(world.heard()[0].contains("ok"), "{id} is within the burst");
    }
    for id in 21..=40 {
        world.say(&format!(r#"{{"id": {id}, "ping": {{}}}}"#));
        assert_eq!(world.error(), (Some(id), Code::RateLimited));
    }
    world.say("not even json");
    let ending = world.ending().expect("ended");
    assert_eq!((ending.disconnect.code, ending.close_code), (Code::RateLimited, 4429));
    assert!(ending.disconnect.reconnect);
}

#[test]
fn a_peer_that_slows_down_is_heard_again() {
    let mut world = World::with(Limits { commands: Rate { per_second: 10, burst: 1 }, ..Limits::default() });
    world = world.connect(None);
    world.say("{");
    assert_eq!(world.error(), (None, Code::RateLimited));
    for id in 1..100 {
        world.pass(Duration::from_millis(100));
        world.say(&format!(r#"{{"id": {id}, "ping": {{}}}}"#));
        assert!(world.heard()[0].contains("ok"));
    }
}

#[test]
fn a_namespace_may_limit_publishing_further() {
    let mut world = World::connected();
    for id in [2, 3] {
        world.say(&format!(r#"{{"id": {id}, "publish": {{"channel": "slow:{id}", "data": 1}}}}"#));
        assert!(world.heard().is_empty(), "taken");
    }
    world.say(r#"{"id": 4, "publish": {"channel": "slow:4", "data": 1}}"#);
    assert_eq!(world.error(), (Some(4), Code::RateLimited));
    world.say(r#"{"id": 5, "publish": {"channel": "room:4", "data": 1}}"#);
    assert!(world.heard().is_empty(), "another namespace");
    world.pass(Duration::from_secs(1));
    world.say(r#"{"id": 6, "publish": {"channel": "slow:4", "data": 1}}"#);
    assert!(world.heard().is_empty(), "a second later");
}

#[test]
fn a_peer_of_a_session_that_is_come_back_to_goes_on_with_what_is_left_of_its_rates() {
    let limits = Limits { commands: Rate { per_second: 1, burst: 4 }, ..Limits::default() };
    let mut before = World::with(limits.clone()).connect(None);
    for id in [2, 3] {
        before.say(&format!(r#"{{"id": {id}, "publish": {{"channel": "slow:1", "data": 1}}}}"#));
        assert!(before.heard().is_empty(), "taken");
    }
    let mut after = World::with(limits);
    after.peer.authenticate(Credential::Session(Secret::new("s")));
    let opened = Opened { allowance: before.peer.allowance().clone(), ..opened(None) };
    after.peer.complete(after.now, None, Ok(Done::Connected(opened)));
    after.heard();
    after.say(r#"{"id": 4, "publish": {"channel": "slow:1", "data": 1}}"#);
    assert_eq!(after.error(), (Some(4), Code::RateLimited), "both publishes of the burst are spent");
    before.say(r#"{"id": 4, "ping": {}}"#);
    assert_eq!(before.error(), (Some(4), Code::RateLimited), "all four commands are, and by both together");
    for id in 5..8 {
        after.say(&format!(r#"{{"id": {id}, "ping": {{}}}}"#));
        assert_eq!(after.error(), (Some(id), Code::RateLimited));
    }
    after.say(r#"{"id": 8, "ping": {}}"#);
    assert_eq!(after.ending().map(|ending| ending.close_code), Some(4429), "patience is one as well");
}

#[test]
fn a_client_is_told_before_its_credential_runs_out_and_ended_when_it_has() {
    let mut world = World::fresh().connect(Some(1_000_000 + 100_000));
    assert_eq!(world.peer.poll_timeout().map(|(_, why)| why), Some(Why::ExpiringNotice));
    world.pass(Duration::from_secs(70));
    assert_eq!(world.heard(), [r#"{"expiring":{"in_ms":30000}}"#]);
    assert_eq!(world.peer.poll_timeout().map(|(_, why)| why), Some(Why::Expiry));
    world.pass(Duration::from_secs(30));
    let ending = world.ending().expect("ended");
    assert_eq!((ending.disconnect.code, ending.close_code), (Code::Expired, 4410));
}

#[test]
fn a_refresh_moves_the_end() {
    let mut world = World::fresh().connect(Some(1_000_000 + 10_000));
    world.pass(Duration::ZERO);
    assert_eq!(world.heard(), [r#"{"expiring":{"in_ms":10000}}"#], "at once where little time is left");
    world.say(r#"{"id": 2, "refresh": {"ticket": "t2"}}"#);
    let grant = opened(Some(1_000_000 + 500_000)).grant;
    world.peer.complete(world.now, Some(2), Ok(Done::Refreshed(grant)));
    assert_eq!(world.heard(), [r#"{"id":2,"ok":{"expires":1500000}}"#]);
    world.pass(Duration::from_secs(300));
    assert_eq!(world.ending(), None);
    world.say(r#"{"id": 3, "refresh": {"ticket": "t3"}}"#);
    world.peer.complete(world.now, Some(3), Ok(Done::Refreshed(opened(None).grant)));
    assert_eq!(world.heard(), [r#"{"id":3,"ok":{}}"#]);
    assert_eq!(world.peer.poll_timeout(), None);
}

#[test]
fn history_is_clamped_to_what_one_reply_may_hold() {
    let mut world = World::connected();
    world.say(r#"{"id": 2, "history": {"channel": "room:1", "limit": 4000000000, "reverse": true}}"#);
    let tasks: Vec<Event> = std::iter::from_fn(|| world.peer.poll_event()).collect();
    let Some(Event::Do(Some(2), Task::History { limit, reverse, .. })) = tasks.last() else {
        panic!("{tasks:?}")
    };
    assert_eq!((*limit, *reverse), (1_000, true));
}
