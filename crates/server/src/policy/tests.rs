use trunkline_dialect::UserId;

use super::*;
use crate::ticket::Details;

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).expect("a channel name")
}

fn rights(json: &str) -> Result<Rights, serde_json::Error> {
    serde_json::from_str(json)
}

fn ticket() -> Grant {
    Grant { user: Some(UserId::new("ann").expect("a user id")), ..Grant::anonymous() }
}

fn with_rights(json: &str) -> Grant {
    let rights = Some(rights(json).expect("rights"));
    Grant { details: Some(Box::new(Details { rights, ..Details::default() })), ..ticket() }
}

fn policy() -> Policy {
    let base = Namespace::default();
    Policy::new([
        ("room".to_owned(), base.clone()),
        ("open".to_owned(), Namespace { subscribe: Who::Anyone, publish: Who::Anyone, ..base.clone() }),
        ("news".to_owned(), Namespace { subscribe: Who::Anyone, publish: Who::Nobody, ..base.clone() }),
        ("bank".to_owned(), Namespace { bound_ticket: true, ..base }),
    ])
}

#[test]
fn who_may_do_what_where() {
    use Code::{Forbidden, UnknownChannel};
    let bound = || Grant { bound: true, ..ticket() };
    let reader = || with_rights(r#"{"room:*": ["subscribe"], "news:*": ["subscribe", "publish"]}"#);
    // credential, channel => subscribe, publish
    let table = [
        (ticket(), "room:1", Ok(()), Ok(())),
        (Grant::anonymous(), "room:1", Err(Forbidden), Err(Forbidden)),
        (Grant::anonymous(), "open:1", Ok(()), Ok(())),
        (ticket(), "open:1", Ok(()), Ok(())),
        (Grant::anonymous(), "news:1", Ok(()), Err(Forbidden)),
        (ticket(), "news:1", Ok(()), Err(Forbidden)),
        (ticket(), "bank:1", Err(Forbidden), Err(Forbidden)),
        (bound(), "bank:1", Ok(()), Ok(())),
        (reader(), "room:1", Ok(()), Err(Forbidden)),
        (reader(), "room", Err(Forbidden), Err(Forbidden)),
        (reader(), "open:1", Err(Forbidden), Err(Forbidden)),
        (reader(), "news:1", Ok(()), Err(Forbidden)),
        (with_rights("{}"), "room:1", Err(Forbidden), Err(Forbidden)),
        (with_rights(r#"{"*": ["publish"]}"#), "room:1", Err(Forbidden), Ok(())),
        (ticket(), "nowhere:1", Err(UnknownChannel), Err(UnknownChannel)),
        (ticket(), "rooms:1", Err(UnknownChannel), Err(UnknownChannel)),
        (ticket(), ":1", Err(UnknownChannel), Err(UnknownChannel)),
    ];
    for (grant, channel, subscribe, publish) in table {
        for (act, expected) in [(Act::Subscribe, subscribe), (Act::Publish, publish)] {
            let answer = policy().check(&grant, &name(channel), act).map(|_| ()).map_err(|error| error.code);
            assert_eq!(answer, expected, "{act} in {channel} by {grant:?}");
        }
    }
}

#[test]
fn a_star_matches_any_end_and_nothing_else_is_a_pattern() {
    let rights = rights(r#"{"room:a*": ["subscribe"], "room:b": ["subscribe"]}"#).expect("rights");
    let allowed = ["room:a", "room:abc", "room:b"];
    for channel in ["room:a", "room:abc", "room:b", "room:bc", "room:", "xroom:a", "room:*"] {
        assert_eq!(rights.allow(&name(channel), Act::Subscribe), allowed.contains(&channel), "{channel}");
    }
}

#[test]
fn rights_are_refused_with_a_star_inside_an_empty_or_endless_name_or_an_act_that_is_none() {
    let long = format!(r#"{{"{}": []}}"#, "x".repeat(256));
    let many: Vec<String> =
        (0..=Rights::MAX_PATTERNS).map(|number| format!("\"room:{number}\": []")).collect();
    let many = format!("{{{}}}", many.join(","));
    let bad = [
        r#"{"ro*m:1": []}"#,
        r#"{"room:**": []}"#,
        r#"{"": []}"#,
        r#"{"room:1": ["delete"]}"#,
        "[]",
        &long,
        &many,
    ];
    for json in bad {
        assert!(rights(json).is_err(), "{json}");
    }
}

#[test]
fn rights_survive_the_way_to_a_store_and_back() {
    let json = r#"{"news:*":["subscribe"],"room:1":["subscribe","publish"]}"#;
    let rights = rights(json).expect("rights");
    assert_eq!(serde_json::to_string(&rights).expect("JSON"), json);
}

#[test]
fn without_a_history_a_slow_reader_is_sent_the_newest_only() {
    let with = Namespace::default();
    let without = Namespace { history: HistoryPolicy::OFF, ..with.clone() };
    assert_eq!((with.slow_reader(), without.slow_reader()), (SlowReader::CatchUp, SlowReader::NewestOnly));
    let chosen = Namespace { slow_reader: Some(SlowReader::Disconnect), ..without };
    assert_eq!(chosen.slow_reader(), SlowReader::Disconnect);
}

#[test]
fn the_default_policy_is_one_namespace_for_ticket_holders() {
    let policy = Policy::default();
    assert!(!policy.admits_anonymous());
    let room = policy.check(&ticket(), &name("room:1"), Act::Publish).expect("allowed");
    assert_eq!((room.history.size, room.presence, room.join_leave), (1_000, true, true));
    assert!(super::tests::policy().admits_anonymous());
}
