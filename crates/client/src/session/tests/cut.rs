//! What becomes of commands and subscriptions when the connection is cut.

use super::*;

#[test]
fn a_publish_in_flight_at_a_cut_has_an_unknown_outcome_and_is_not_sent_again() {
    let mut rig = Rig::connected();
    let mut answered = rig.publish(1);
    rig.expect("publish", json!({"channel": "c", "data": 1}));
    rig.session.cut();
    assert!(matches!(answered.try_recv(), Ok(Err(Error::UnknownOutcome))));
    rig.connect();
    assert!(rig.sent().is_none());
}

#[test]
fn a_publish_that_was_not_sent_before_the_cut_is_sent_after_it() {
    let mut rig = Rig::connected();
    let mut answered = rig.publish(1);
    rig.session.cut();
    assert!(answered.try_recv().is_err(), "nothing is known yet");
    rig.connect();
    let id = rig.expect("publish", json!({"channel": "c", "data": 1}));
    rig.answer(id, json!({"epoch": "e", "offset": 1}));
    assert!(matches!(answered.try_recv(), Ok(Ok(_))));
}

#[test]
fn what_changes_nothing_is_asked_again_in_its_order() {
    let mut rig = Rig::connected();
    let mut ping = rig.ping();
    let (answer, _presence) = oneshot::channel();
    let command = command::Presence { channel: ChannelName::new("c").expect("a name") };
    rig.session.request(Request::Presence(command, answer));
    rig.expect("ping", json!({}));
    rig.expect("presence", json!({"channel": "c"}));
    let _unsent = rig.publish(1);
    rig.session.cut();
    rig.connect();
    let id = rig.expect("ping", json!({}));
    rig.expect("presence", json!({"channel": "c"}));
    rig.expect("publish", json!({"channel": "c", "data": 1}));
    rig.answer(id, json!({"time": 1}));
    assert!(matches!(ping.try_recv(), Ok(Ok(_))));
}

#[test]
fn an_unsubscribe_is_done_by_the_cut() {
    for sent in [true, false] {
        let mut rig = Rig::connected();
        let _subscription = rig.subscribed(8);
        let (answer, mut answered) = oneshot::channel();
        rig.session.request(Request::Unsubscribe(ChannelName::new("c").expect("a name"), answer));
        if sent {
            rig.expect("unsubscribe", json!({"channel": "c"}));
        }
        rig.session.cut();
        assert!(matches!(answered.try_recv(), Ok(Ok(()))), "sent: {sent}");
        rig.connect();
        assert!(rig.sent().is_none(), "the next link subscribes to what is wanted, and to nothing else");
    }
}

#[test]
fn a_subscription_goes_on_from_the_last_publication_and_gets_each_once() {
    let mut rig = Rig::connected();
    let mut subscription = rig.subscribed(8);
    rig.publication(6);
    rig.session.cut();
    rig.connect();
    let id = rig.expect("subscribe", json!({"channel": "c", "since": {"epoch": "e", "offset": 6}}));
    rig.publication(9);
    let missed = publications([6, 7, 8]);
    rig.answer(id, json!({"epoch": "e", "offset": 8, "recovered": true, "publications": missed}));
    rig.publication(8);
    rig.publication(9);
    assert_eq!(taken(&mut subscription), ["6", "recovered e6", "7", "8", "9"]);
}

#[test]
fn what_does_not_fit_into_the_reply_follows_as_pushes() {
    let mut rig = Rig::connected();
    let mut subscription = rig.subscribed(8);
    rig.session.cut();
    rig.connect();
    let (id, ..) = rig.sent().expect("subscribe");
    // The offset of the reply may be that of the channel: what counts is what came.
    rig.answer(id, json!({"epoch": "e", "offset": 9, "recovered": true, "publications": publications([6])}));
    for offset in 7..=9 {
        rig.publication(offset);
    }
    assert_eq!(taken(&mut subscription), ["recovered e5", "6", "7", "8", "9"]);
}

#[test]
fn a_loss_says_from_where_to_where() {
    for (reply, expected) in [
        // The broker lost its memory.
        (json!({"epoch": "f", "offset": 2, "recovered": false, "publications": []}), vec!["lost e5-f2", "3"]),
        // It counts anew, and says that it could recover: a position of another epoch means nothing to it.
        (json!({"epoch": "f", "offset": 2, "recovered": true, "publications": []}), vec!["lost e5-f2", "3"]),
        // History does not reach back, and gives what it has.
        (
            json!({"epoch": "e", "offset": 2, "recovered": false, "publications": publications([9, 10])}),
            vec!["lost e5-e8", "9", "10"],
        ),
    ] {
        let mut rig = Rig::connected();
        let mut subscription = rig.subscribed(8);
        rig.session.cut();
        rig.connect();
        let (id, ..) = rig.sent().expect("subscribe");
        rig.answer(id, reply);
        if expected.len() == 2 {
            rig.publication(3);
        }
        assert_eq!(taken(&mut subscription), expected);
    }
}

#[test]
fn a_first_subscribe_in_flight_at_a_cut_is_sent_again_and_then_answered() {
    let mut rig = Rig::connected();
    let (_subscription, mut answered) = rig.ask_to_subscribe(None, false, 8);
    rig.expect("subscribe", json!({"channel": "c"}));
    rig.session.cut();
    rig.connect();
    let id = rig.expect("subscribe", json!({"channel": "c"}));
    assert!(answered.try_recv().is_err(), "not yet");
    rig.answer(id, json!({"epoch": "e", "offset": 0, "recovered": false}));
    assert!(matches!(answered.try_recv(), Ok(Ok(()))));
}

#[test]
fn subscriptions_are_restored_in_their_order_and_before_all_else() {
    let mut rig = Rig::connected();
    let subscribe = |rig: &mut Rig, name: &str| {
        let channel = ChannelName::new(name).expect("a name");
        let (subscription, feed, alive) = Subscription::new(channel.clone(), 8);
        let (answer, answered) = oneshot::channel();
        rig.session.request(Request::Subscribe {
            channel,
            since: None,
            presence: false,
            feed,
            alive,
            answer,
        });
        (subscription, answered)
    };
    let _kept: Vec<_> = ["z", "a", "m"].map(|name| subscribe(&mut rig, name)).into();
    rig.session.cut();
    let _unsent = rig.publish(1);
    rig.connect();
    for name in ["z", "a", "m"] {
        rig.expect("subscribe", json!({"channel": name}));
    }
    rig.expect("publish", json!({"channel": "c", "data": 1}));
}

#[test]
fn a_subscription_that_cannot_be_restored_now_is_tried_again_and_one_that_never_can_ends() {
    let mut rig = Rig::connected();
    let mut subscription = rig.subscribed(8);
    rig.session.cut();
    rig.connect();
    let (id, ..) = rig.sent().expect("subscribe");
    rig.refuse(id, Code::Unavailable);
    assert!(rig.sent().is_none(), "not at once");
    let Some(Wait::Retry(key)) = rig.session.poll_wait() else { panic!("it is tried again") };
    rig.session.woken(Woken::Retry(key));
    let id = rig.expect("subscribe", json!({"channel": "c", "since": {"epoch": "e", "offset": 5}}));
    rig.refuse(id, Code::Forbidden);
    assert_eq!(taken(&mut subscription), ["unsubscribed forbidden"]);
    rig.session.cut();
    rig.connect();
    assert!(rig.sent().is_none());
}

#[test]
fn a_moment_that_ends_on_another_link_does_not_subscribe_twice() {
    let mut rig = Rig::connected();
    let _subscription = rig.subscribed(8);
    rig.session.cut();
    rig.connect();
    let (id, ..) = rig.sent().expect("subscribe");
    rig.refuse(id, Code::Unavailable);
    let Some(Wait::Retry(key)) = rig.session.poll_wait() else { panic!("it is tried again") };
    rig.session.cut();
    rig.session.woken(Woken::Retry(key.clone()));
    rig.connect();
    rig.session.woken(Woken::Retry(key));
    assert!(rig.sent().is_some());
    assert!(rig.sent().is_none());
}

#[test]
fn a_refused_connect_is_told_and_nothing_else_is_sent() {
    let mut rig = Rig { session: Session::new(8) };
    let _waits = rig.ping();
    rig.session.connect(Connect::new(Credential::Anonymous));
    let id = rig.expect("connect", json!({}));
    let error = ErrorBody::new(Code::Unauthenticated, "no");
    let signal = rig.receive(json!({"id": id, "error": error}));
    assert_eq!(signal, Some(Signal::ConnectRefused(error)));
    assert!(rig.sent().is_none());
}
