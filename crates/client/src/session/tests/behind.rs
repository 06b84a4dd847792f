//! An application that takes its events more slowly than they come.

use super::*;

/// A subscription with room for four, to which 6 to 12 were pushed: it has 6 to 9.
fn behind() -> (Rig, Subscription, Key) {
    let mut rig = Rig::connected();
    let subscription = rig.subscribed(4);
    for offset in 6..=12 {
        rig.publication(offset);
    }
    assert!(rig.sent().is_none(), "without room there is nothing to fetch");
    let key = rig.waits_for_room();
    assert!(rig.session.poll_wait().is_none(), "it waits once");
    (rig, subscription, key)
}

fn history(offsets: impl IntoIterator<Item = u64>, top: u64) -> Value {
    json!({"publications": publications(offsets), "epoch": "e", "offset": top})
}

#[test]
fn what_was_passed_over_is_fetched_from_history_when_there_is_room() {
    let (mut rig, mut subscription, key) = behind();
    assert_eq!(taken(&mut subscription), ["6", "7", "8", "9"]);
    rig.session.woken(Woken::Room(key));
    let since = json!({"epoch": "e", "offset": 9});
    let id = rig.expect("history", json!({"channel": "c", "since": since, "limit": 4}));
    rig.publication(13);
    rig.answer(id, history(10..=12, 12));
    assert!(rig.sent().is_none(), "the queue is more than half full");
    let key = rig.waits_for_room();
    assert_eq!(taken(&mut subscription), ["10", "11", "12"]);
    rig.session.woken(Woken::Room(key));
    let since = json!({"epoch": "e", "offset": 12});
    let id = rig.expect("history", json!({"channel": "c", "since": since, "limit": 4}));
    rig.answer(id, history([13], 13));
    rig.publication(14);
    assert_eq!(taken(&mut subscription), ["13", "14"], "13 came while it was behind; now it is in step");
    assert!(rig.sent().is_none());
}

#[test]
fn what_history_no_longer_has_is_a_gap() {
    let (mut rig, mut subscription, key) = behind();
    taken(&mut subscription);
    rig.session.woken(Woken::Room(key));
    let (id, ..) = rig.sent().expect("history");
    rig.answer(id, history(11..=12, 12));
    rig.publication(13);
    assert_eq!(taken(&mut subscription), ["gap 10-10", "11", "12", "13"]);
}

#[test]
fn without_history_all_that_was_passed_over_is_a_gap() {
    for refused in [true, false] {
        let (mut rig, mut subscription, key) = behind();
        taken(&mut subscription);
        rig.session.woken(Woken::Room(key));
        let (id, ..) = rig.sent().expect("history");
        if refused {
            rig.refuse(id, Code::Forbidden);
        } else {
            rig.answer(id, history([], 12));
        }
        rig.publication(13);
        assert_eq!(taken(&mut subscription), ["gap 10-12", "13"], "refused: {refused}");
        assert!(rig.sent().is_none());
    }
}

#[test]
fn a_history_that_makes_no_progress_does_not_keep_us_asking() {
    let (mut rig, mut subscription, key) = behind();
    taken(&mut subscription);
    rig.session.woken(Woken::Room(key));
    let (id, ..) = rig.sent().expect("history");
    rig.answer(id, history(8..=9, 12));
    assert_eq!(taken(&mut subscription), ["gap 10-12"]);
    assert!(rig.sent().is_none());
}

#[test]
fn a_new_epoch_found_while_catching_up_is_a_loss() {
    let (mut rig, mut subscription, key) = behind();
    taken(&mut subscription);
    rig.session.woken(Woken::Room(key));
    let (id, ..) = rig.sent().expect("history");
    rig.answer(id, json!({"publications": publications([1, 2]), "epoch": "f", "offset": 2}));
    rig.publication(3);
    assert_eq!(taken(&mut subscription), ["lost e9-f0", "1", "2", "3"]);
}

#[test]
fn joins_and_leaves_that_were_passed_over_end_in_new_members() {
    let mut rig = Rig::connected();
    let (mut subscription, _answered) = rig.ask_to_subscribe(None, true, 2);
    let (id, ..) = rig.sent().expect("subscribe");
    rig.answer(id, json!({"epoch": "e", "offset": 5, "recovered": false, "members": []}));
    assert!(matches!(rig.session.poll_wait(), Some(Wait::Dropped(..))));
    for user in ["ann", "bob", "cid"] {
        rig.push(json!({"channel": "c", "join": {"user": user}}));
    }
    let key = rig.waits_for_room();
    assert_eq!(taken(&mut subscription), ["members 0", "join ann"]);
    rig.session.woken(Woken::Room(key));
    let (id, ..) = rig.sent().expect("history");
    rig.answer(id, history([], 5));
    let id = rig.expect("presence", json!({"channel": "c"}));
    let members = json!([{"user": "ann", "sessions": 1}, {"user": "bob", "sessions": 1}]);
    rig.answer(id, json!({"members": members, "count": 2}));
    assert_eq!(taken(&mut subscription), ["members 2"]);
}

#[test]
fn who_is_behind_at_a_cut_goes_on_from_what_was_queued() {
    let (mut rig, mut subscription, key) = behind();
    rig.session.cut();
    rig.connect();
    let since = json!({"epoch": "e", "offset": 9});
    let id = rig.expect("subscribe", json!({"channel": "c", "since": since}));
    rig.answer(
        id,
        json!({"epoch": "e", "offset": 14, "recovered": true, "publications": publications(10..=14)}),
    );
    assert!(rig.sent().is_none() && rig.session.poll_wait().is_none(), "it waits for room as before");
    assert_eq!(taken(&mut subscription), ["6", "7", "8", "9"]);
    rig.session.woken(Woken::Room(key));
    let (id, ..) = rig.sent().expect("history");
    rig.answer(id, history(10..=13, 14));
    assert_eq!(taken(&mut subscription), ["10", "11", "12", "13"]);
    assert_eq!(rig.sent(), None);
    let key = rig.waits_for_room();
    rig.session.woken(Woken::Room(key));
    let (id, ..) = rig.sent().expect("history");
    rig.answer(id, history([14], 14));
    assert_eq!(taken(&mut subscription), ["14"]);
}

#[test]
fn several_losses_while_behind_are_told_as_one() {
    let (mut rig, mut subscription, key) = behind();
    for (epoch, offset) in [("f", 3), ("g", 7)] {
        rig.session.cut();
        rig.connect();
        let (id, ..) = rig.sent().expect("subscribe");
        rig.answer(id, json!({"epoch": epoch, "offset": offset, "recovered": false, "publications": []}));
    }
    rig.publication(8);
    assert_eq!(taken(&mut subscription), ["6", "7", "8", "9"]);
    rig.session.woken(Woken::Room(key));
    let since = json!({"epoch": "g", "offset": 7});
    let id = rig.expect("history", json!({"channel": "c", "since": since, "limit": 3}));
    rig.answer(id, json!({"publications": publications([8]), "epoch": "g", "offset": 8}));
    assert_eq!(taken(&mut subscription), ["lost e9-g7", "8"]);
}

#[test]
fn the_end_of_a_subscription_that_is_behind_names_what_is_missing() {
    let (mut rig, mut subscription, key) = behind();
    rig.push(json!({"channel": "c", "unsubscribed": {"code": "forbidden", "message": "kicked"}}));
    assert_eq!(taken(&mut subscription), ["6", "7", "8", "9", "gap 10-12", "unsubscribed forbidden"]);
    rig.session.woken(Woken::Room(key));
    assert!(rig.sent().is_none());
}
