use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::limits::Limits;
use crate::outbox::{Item, Outboxes};
use crate::ticket::{AddressPolicy, Binding};

const LINGER: Duration = Duration::from_secs(60);

struct World {
    now: Now,
    sessions: Sessions,
}

impl World {
    fn new() -> World {
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000 };
        World { now, sessions: Sessions::new([7; 32], LINGER, 3) }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.later(Duration::from_secs(seconds));
    }

    fn open(&self, grant: Grant) -> Opened {
        self.sessions.open(self.now, grant, origin("192.0.2.1"), outbox(), allowance()).expect("a session")
    }

    fn resume(&self, opened: &Opened) -> Result<Opened, SessionRefused> {
        self.sessions.resume(self.now, opened.token.expose(), origin("192.0.2.1"), outbox())
    }

    fn detach(&self, opened: &Opened) {
        self.sessions.detach(self.now, opened.link);
    }
}

fn outbox() -> Arc<Outbox> {
    Arc::new(Outbox::new(Outboxes::new(Limits::default().outbox, usize::MAX)))
}

fn allowance() -> Arc<Allowance> {
    Arc::new(Allowance::new(Instant::now()))
}

fn origin(ip: &str) -> Origin {
    Origin { door: Door::WebSocket, address: ClientAddress::socket(ip.parse().expect("an address")) }
}

fn ann() -> Grant {
    Grant { user: Some(UserId::new("ann").expect("a user id")), ..Grant::anonymous() }
}

#[test]
fn a_client_comes_back_to_its_session_within_the_linger_and_not_after() {
    let mut world = World::new();
    let first = world.open(ann());
    world.detach(&first);
    world.pass(59);
    let second = world.resume(&first).expect("back");
    assert_eq!(second.link, LinkId { session: first.link.session, serial: 2 });
    assert_eq!((second.displaced, &second.grant), (None, &first.grant));
    world.pass(3_600);
    world.sessions.sweep(world.now);
    assert_eq!(world.sessions.len(), 1, "attached again, it does not end");
    world.detach(&second);
    world.pass(60);
    assert_eq!(world.resume(&second).map(drop), Err(SessionRefused::Gone));
    assert_eq!(world.sessions.len(), 0);
}

#[test]
fn only_the_newest_token_works_once_its_link_has_been_used() {
    let world = World::new();
    let first = world.open(ann());
    world.sessions.confirm(first.link);
    let second = world.resume(&first).expect("back");
    world.sessions.confirm(second.link);
    assert_eq!(world.resume(&first).map(drop), Err(SessionRefused::Superseded));
    assert!(world.resume(&second).is_ok());
}

#[test]
fn a_token_whose_successor_was_lost_with_its_link_still_works() {
    let world = World::new();
    let first = world.open(ann());
    world.sessions.confirm(first.link);
    let lost = world.resume(&first).expect("back, but the reply never arrives");
    world.detach(&lost);
    let third = world.resume(&first).expect("back by the token that it has");
    assert_eq!(third.link.serial, 3);
    world.sessions.confirm(third.link);
    for old in [&first, &lost] {
        assert_eq!(world.resume(old).map(drop), Err(SessionRefused::Superseded));
    }
}

#[test]
fn the_only_token_that_a_client_has_works_however_often_the_reply_to_it_is_lost() {
    let world = World::new();
    let first = world.open(ann());
    let lost: Vec<Opened> = (0..5).map(|_| world.resume(&first).expect("back by all that it has")).collect();
    world.detach(&lost[4]);
    let last = world.resume(&first).expect("back");
    assert_eq!(last.link.serial, 7);
    world.sessions.confirm(last.link);
    for old in lost.iter().chain([&first]) {
        assert_eq!(world.resume(old).map(drop), Err(SessionRefused::Superseded));
    }
    assert!(world.resume(&last).is_ok());
}

#[test]
fn whoever_comes_back_by_a_token_has_it_and_the_ones_before_it_are_worth_nothing() {
    let world = World::new();
    let first = world.open(ann());
    let second = world.resume(&first).expect("back");
    let third = world.resume(&second).expect("back by the second");
    assert_eq!(world.resume(&first).map(drop), Err(SessionRefused::Superseded));
    assert!(world.resume(&second).is_ok(), "the reply with the third may have been lost");
    assert!(world.resume(&third).is_ok(), "or just its link");
    assert_eq!(world.resume(&second).map(drop), Err(SessionRefused::Superseded));
}

#[test]
fn what_a_client_may_still_do_goes_with_its_session_from_link_to_link() {
    let world = World::new();
    let opened = world.open(ann());
    let attached = world.resume(&opened).expect("back");
    world.detach(&attached);
    let again = world.resume(&attached).expect("back");
    for link in [&attached, &again] {
        assert!(Arc::ptr_eq(&link.allowance, &opened.allowance));
    }
    assert!(!Arc::ptr_eq(&world.open(ann()).allowance, &opened.allowance), "another session has its own");
}

#[test]
fn coming_back_while_the_old_link_is_attached_displaces_it() {
    let world = World::new();
    let old_outbox = outbox();
    let first = world
        .sessions
        .open(world.now, ann(), origin("192.0.2.1"), old_outbox.clone(), allowance())
        .expect("a session");
    let second = world.resume(&first).expect("back");
    assert_eq!(second.displaced, Some(first.link));
    let Some(Item::End(ending)) = old_outbox.take() else { panic!("the old link is told") };
    assert_eq!((ending.disconnect.code, ending.disconnect.reconnect), (Code::Conflict, false));
    assert_eq!(ending.close_code, 4409);
}

#[test]
fn what_a_displaced_link_says_late_changes_nothing() {
    let mut world = World::new();
    let first = world.open(ann());
    let second = world.resume(&first).expect("back");
    world.detach(&first);
    assert!(!world.sessions.close(first.link), "the session goes on");
    assert!(!world.sessions.renew(first.link, Arc::new(Grant::anonymous())));
    world.pass(600);
    world.sessions.sweep(world.now);
    assert_eq!(world.sessions.list(Some("ann"), 10).len(), 1);
    assert!(world.sessions.renew(second.link, Arc::new(ann())));
}

#[test]
fn the_tickets_address_policy_holds_for_coming_back_too() {
    let world = World::new();
    let ip = Some(IpAddr::from([192, 0, 2, 1]));
    let bound = Grant { binding: Binding { policy: AddressPolicy::Prefix, ip }, bound: true, ..ann() };
    let opened = world.open(bound);
    let from = |ip| world.sessions.resume(world.now, opened.token.expose(), origin(ip), outbox()).map(drop);
    assert_eq!(from("198.51.100.1"), Err(SessionRefused::WrongAddress));
    assert_eq!(from("192.0.2.77"), Ok(()));
}

#[test]
fn nobody_comes_back_on_a_credential_that_has_run_out() {
    let mut world = World::new();
    let opened = world.open(Grant { expires: Some(world.now.unix_ms + 5_000), ..ann() });
    world.detach(&opened);
    world.pass(5);
    assert_eq!(world.resume(&opened).map(drop), Err(SessionRefused::Expired));
    assert_eq!(ErrorBody::from(SessionRefused::Expired).code, Code::Expired);
}

#[test]
fn a_token_of_another_key_or_of_nobody_is_forged() {
    let (world, mut other) = (World::new(), World::new());
    other.sessions = Sessions::new([8; 32], LINGER, 3);
    let theirs = other.open(ann());
    assert_eq!(world.resume(&theirs).map(drop), Err(SessionRefused::Forged));
    for token in ["", "AAAA", "not base64!", &"A".repeat(10_000)] {
        let answer = world.sessions.resume(world.now, token, origin("192.0.2.1"), outbox());
        assert_eq!(answer.map(drop), Err(SessionRefused::Forged));
    }
}

#[test]
fn a_full_registry_gives_up_the_session_that_nobody_came_back_to_first_and_no_attached_one() {
    let mut world = World::new();
    let opened: Vec<Opened> = (0..3).map(|_| world.open(ann())).collect();
    let refused = world.sessions.open(world.now, ann(), origin("192.0.2.1"), outbox(), allowance());
    assert_eq!(refused.map(drop).map_err(|error| error.code), Err(Code::TooMany));
    world.detach(&opened[1]);
    world.pass(1);
    world.detach(&opened[0]);
    world.open(ann());
    assert_eq!(world.resume(&opened[1]).map(drop), Err(SessionRefused::Gone));
    assert!(world.resume(&opened[0]).is_ok());
}

#[test]
fn backends_find_and_end_sessions_by_name_and_by_user() {
    let world = World::new();
    let bob = Grant { user: Some(UserId::new("bob").expect("a user id")), ..ann() };
    let (first, second, other) = (world.open(ann()), world.open(ann()), world.open(bob));
    let kick = Ending::new(Code::Forbidden, "kicked");
    assert_eq!(world.sessions.list(None, 10).len(), 3);
    assert_eq!(world.sessions.list(None, 2).len(), 2);
    assert_eq!(world.sessions.end(Some(other.link.session), Some("ann"), &kick), 0, "it is bob's");
    assert_eq!(world.sessions.end(None, None, &kick), 0, "nobody is named");
    assert_eq!(world.sessions.end(Some(first.link.session), None, &kick), 1);
    assert_eq!(world.resume(&first).map(drop), Err(SessionRefused::Gone), "kicked for good");
    assert_eq!(world.sessions.end(None, Some("ann"), &Ending::stopping()), 1);
    assert!(world.resume(&second).is_ok(), "told to come back");
    assert_eq!(world.sessions.list(Some("bob"), 10).len(), 1);
}

#[test]
fn a_session_id_is_22_characters_and_reads_back() {
    let id = SessionId::random();
    assert_eq!(id.to_string().len(), 22);
    assert_eq!(id.to_string().parse(), Ok(id));
    for bad in ["", "short", "AAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAA", "ÄAAAAAAAAAAAAAAAAAAAA"]
    {
        assert_eq!(bad.parse::<SessionId>(), Err(NotASession), "{bad}");
    }
}
