use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn user(number: u8) -> UserId {
    UserId::new(&format!("user{number}")).expect("a user id")
}

fn link(session: u8, serial: u64) -> LinkId {
    LinkId { session: SessionId([session; 16]), serial }
}

#[test]
fn the_grace_begins_with_the_lost_link_and_ends_with_the_return() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut presence = Presence::default();
    assert!(presence.enter(link(1, 1), &user(1), None));
    assert!(presence.linger(link(1, 1), &user(1), at(5)));
    assert_eq!(presence.expire(at(4)), []);
    assert!(!presence.enter(link(1, 2), &user(1), None), "a return is not a join");
    assert_eq!(presence.expire(at(60)), []);
    assert!(presence.linger(link(1, 2), &user(1), at(65)));
    assert_eq!(presence.expire(at(65)), [user(1)]);
    assert!(presence.is_empty());
    assert!(presence.enter(link(1, 3), &user(1), None), "after the grace it joins again");
}

#[test]
fn a_second_session_keeps_the_member_when_the_first_ends() {
    let start = Instant::now();
    let mut presence = Presence::default();
    presence.enter(link(1, 1), &user(1), None);
    assert!(!presence.enter(link(2, 1), &user(1), None));
    presence.linger(link(1, 1), &user(1), start);
    assert_eq!(presence.expire(start), []);
    assert_eq!(presence.members().first().map(|member| member.sessions), Some(1));
    assert!(presence.leave(link(2, 1), &user(1)));
}

#[test]
fn members_are_shown_with_the_newest_info() {
    let info = |text| Json::parse(text).expect("JSON");
    let mut presence = Presence::default();
    presence.enter(link(1, 2), &user(1), Some(&info("{\"v\":2}")));
    presence.enter(link(1, 1), &user(1), Some(&info("{\"v\":1}")));
    assert_eq!(presence.members().first().and_then(|member| member.info.clone()), Some(info("{\"v\":2}")));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(u8),
    Leave(u8),
    Linger(u8),
    Pass(u64),
}

proptest! {
    /// Whatever happens, joins and leaves of a user alternate, and who has joined and not left is exactly who
    /// is a member.
    #[test]
    fn joins_and_leaves_alternate_and_add_up_to_the_members(
        steps in proptest::collection::vec(
            prop_oneof![
                (0_u8..6).prop_map(Step::Enter),
                (0_u8..6).prop_map(Step::Leave),
                (0_u8..6).prop_map(Step::Linger),
                (0_u64..8).prop_map(Step::Pass),
            ],
            1..120,
        )
    ) {
        // Six sessions of three users; each step is of the session's newest link.
        let user_of = |session: u8| user(session % 3);
        let (mut now, mut presence) = (Instant::now(), Presence::default());
        let mut here: BTreeMap<UserId, bool> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Enter(session) => {
                    if presence.enter(link(session, 1), &user_of(session), None) {
                        prop_assert_ne!(here.insert(user_of(session), true), Some(true));
                    }
                }
                Step::Leave(session) => {
                    if presence.leave(link(session, 1), &user_of(session)) {
                        prop_assert_eq!(here.insert(user_of(session), false), Some(true));
                    }
                }
                Step::Linger(session) => {
                    presence.linger(link(session, 1), &user_of(session), now + Duration::from_secs(5));
                }
                Step::Pass(seconds) => now += Duration::from_secs(seconds),
            }
            for left in presence.expire(now) {
                prop_assert_eq!(here.insert(left, false), Some(true));
            }
            let mut members: Vec<UserId> = presence.members().into_iter().map(|member| member.user).collect();
            members.sort();
            let expected: Vec<UserId> = here.iter().filter(|(_, here)| **here).map(|(user, _)| user.clone()).collect();
            prop_assert_eq!(members, expected);
            prop_assert!(presence.members().iter().all(|member| member.sessions > 0));
        }
    }
}
