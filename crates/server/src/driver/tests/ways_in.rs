//! Tickets, sessions, and every ending.

use trunkline_dialect::Code;

use super::*;
use crate::rate::Rate;

#[tokio::test(start_paused = true)]
async fn a_ticket_of_the_handshake_is_answered_by_connected() {
    let world = World::new();
    let ticket = world.ticket(json!({"user": "ann", "session_ttl_s": 600})).await;
    let mut ann = world.arrive("192.0.2.1", Some(Credential::Ticket(ticket)));
    let connected = ann.hear().await["connected"].take();
    assert_eq!((&connected["user"], &connected["node"]), (&json!("ann"), &json!("n1")));
    assert_eq!(connected["expires"], 1_000_000 + 600_000);
    assert_eq!(connected["heartbeat_ms"], 30_000);
    assert_eq!(connected["limits"]["data"], 65_536);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_is_used_expired_forged_empty_or_from_elsewhere_closes_with_4401() {
    let world = World::new();
    let used = world.ticket(json!({"user": "ann"})).await;
    world.arrive("192.0.2.1", Some(Credential::Ticket(used.clone()))).hear().await;
    let expired = world.ticket(json!({"user": "ann", "ttl_s": 1})).await;
    let elsewhere = world.ticket(json!({"user": "ann", "ip": "192.0.2.9"})).await;
    world.pass(Duration::from_secs(2)).await;
    let forged = Secret::new("A".repeat(22));
    for (what, bad) in [
        ("used", used),
        ("expired", expired),
        ("elsewhere", elsewhere.clone()),
        ("elsewhere, and so spent", elsewhere),
        ("forged", forged),
        ("empty", Secret::new("")),
    ] {
        let mut somebody = world.arrive("192.0.2.1", Some(Credential::Ticket(bad.clone())));
        let (disconnect, close) = somebody.hear_end().await;
        assert_eq!((&disconnect["code"], close), (&json!("unauthenticated"), 4401), "{what}");
        let code = world.arrive("192.0.2.9", None).refused("connect", json!({"ticket": bad})).await;
        assert_eq!(code, "unauthenticated", "{what}, in a command");
    }
    assert_eq!(world.node.links(), 0);
    assert_eq!(world.node.figures().tickets_redeemed_total, 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_token_brings_back_the_session_and_each_connect_renews_it() {
    let world = World::new();
    let (ann, first) = world.connect("ann").await;
    drop(ann);
    let mut ann = world.arrive("192.0.2.1", None);
    let second = token(&ann.ask("connect", json!({"session": first})).await);
    ann.ask("ping", json!({})).await;
    drop(ann);
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(
        world.arrive("192.0.2.1", None).refused("connect", json!({"session": first})).await,
        "unauthenticated"
    );
    let mut ann = world.arrive("192.0.2.1", Some(Credential::Session(second)));
    let third = token(&ann.hear().await["connected"]);
    drop(ann);
    world.pass(Duration::from_secs(61)).await;
    assert_eq!(world.node.figures().sessions, 0, "good for 60 s after the last link");
    assert_eq!(
        world.arrive("192.0.2.1", None).refused("connect", json!({"session": third})).await,
        "unauthenticated"
    );
}

#[tokio::test(start_paused = true)]
async fn coming_back_does_not_refill_what_a_session_may_do() {
    let rate = |burst| Rate { per_second: 1, burst };
    let limits = Limits { commands: rate(5), ..Limits::default() };
    let slow = Namespace { publish_rate: Some(rate(2)), ..Namespace::default() };
    let world = World::with(limits, [("slow", slow)]);
    let publish = json!({"channel": "slow:1", "data": 1});
    let (mut ann, session) = world.connect("ann").await;
    ann.ask("publish", publish.clone()).await;
    ann.ask("publish", publish.clone()).await;
    // While the link before is still there, and after it is gone.
    let mut second = world.arrive("192.0.2.1", Some(Credential::Session(session)));
    let session = token(&second.hear().await["connected"]);
    assert_eq!(second.refused("publish", publish.clone()).await, "rate_limited", "of publishes");
    second.ask("ping", json!({})).await;
    drop((ann, second));
    let mut third = world.arrive("192.0.2.1", Some(Credential::Session(session)));
    third.hear().await;
    assert_eq!(third.refused("ping", json!({})).await, "rate_limited", "of commands");
    world.pass(Duration::from_secs(1)).await;
    third.ask("publish", publish).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_link_displaces_the_first_with_4409_and_nobody_has_left_by_it() {
    let world = World::new();
    let (mut watcher, _) = world.connect("watcher").await;
    watcher.ask("subscribe", json!({"channel": "room:1", "presence": true})).await;
    let (mut old, session) = world.connect("ann").await;
    old.ask("subscribe", json!({"channel": "room:1"})).await;
    assert_eq!(watcher.hear().await["join"]["user"], "ann");
    let mut new = world.arrive("192.0.2.1", None);
    new.ask("connect", json!({"session": session})).await;
    assert_eq!(world.node.figures().subscriptions, 1, "the watcher's; the old link's have ended");
    let (disconnect, close) = old.hear_end().await;
    assert_eq!(
        (&disconnect["code"], &disconnect["reconnect"], close),
        (&json!("conflict"), &json!(false), 4409)
    );
    new.ask("subscribe", json!({"channel": "room:1"})).await;
    drop(old);
    world.pass(Duration::from_secs(20)).await;
    watcher.hear_nothing().await;
    world.publish("room:1", json!(1)).await;
    assert_eq!(new.hear().await["pub"]["offset"], 1, "the new link has the subscription");
}

#[tokio::test(start_paused = true)]
async fn a_displaced_link_that_ends_before_the_new_one_subscribes_is_no_leave() {
    let world = World::new();
    let (mut watcher, _) = world.connect("watcher").await;
    watcher.ask("subscribe", json!({"channel": "room:1", "presence": true})).await;
    let (mut old, session) = world.connect("ann").await;
    old.ask("subscribe", json!({"channel": "room:1"})).await;
    assert_eq!(watcher.hear().await["join"]["user"], "ann");
    // The session has its new link, and nothing else has happened yet when the old link's task runs.
    let outbox = world.node.add_connection();
    let (now, token) = (world.node.clock.now(), session.expose());
    let resumed = world.node.sessions.resume(now, token, old.client.origin(), outbox).expect("back");
    assert_eq!(old.hear_end().await.1, 4409);
    world.pass(Duration::from_secs(2)).await;
    let channel = ChannelName::new("room:1").expect("a channel name");
    let ann = resumed.grant.user.as_ref().expect("ann");
    world.node.broker.enter(&channel, resumed.link, ann, None).await.expect("entered");
    world.pass(Duration::from_secs(20)).await;
    watcher.hear_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_kick_closes_with_its_code_and_the_session_is_over() {
    let world = World::new();
    let (mut ann, session) = world.connect("ann").await;
    assert_eq!(world.node.disconnect(None, Some("ann"), &Ending::new(Code::Forbidden, "kicked")), 1);
    let (disconnect, close) = ann.hear_end().await;
    assert_eq!(disconnect, json!({"code": "forbidden", "message": "kicked", "reconnect": false}));
    assert_eq!(close, 4403);
    assert!(!ann.client.wants_input());
    assert_eq!(
        world.arrive("192.0.2.1", None).refused("connect", json!({"session": session})).await,
        "unauthenticated"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_tells_everybody_to_go_away_and_then_closes_with_1001() {
    let world = World::new();
    let (mut ann, _) = world.connect("ann").await;
    let mut nobody = world.arrive("192.0.2.1", None);
    let go_away =
        trunkline_dialect::GoAway { leave_ms: 1_000, return_ms: 0, to: None, code: Code::Unavailable };
    world.node.go_away(go_away);
    assert_eq!(ann.hear().await["go_away"]["leave_ms"], 1_000);
    assert_eq!(nobody.hear().await["go_away"]["leave_ms"], 1_000);
    world.node.end_all(&Ending::stopping());
    for user in [&mut ann, &mut nobody] {
        let (disconnect, close) = user.hear_end().await;
        assert_eq!(
            (&disconnect["code"], &disconnect["reconnect"], close),
            (&json!("unavailable"), &json!(true), 1001)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_runs_out_closes_with_4410_unless_it_is_refreshed() {
    let world = World::new();
    let mut users = Vec::new();
    for _ in 0..2 {
        let ticket = world.ticket(json!({"user": "ann", "session_ttl_s": 60})).await;
        let mut user = world.arrive("192.0.2.1", Some(Credential::Ticket(ticket)));
        user.hear().await;
        users.push(user);
    }
    world.pass(Duration::from_secs(31)).await;
    let [refreshed, other] = &mut users[..] else { panic!("two") };
    for user in [&mut *refreshed, &mut *other] {
        assert!(user.hear().await["expiring"]["in_ms"].as_u64().is_some_and(|left| left <= 30_000));
    }
    let ticket = world.ticket(json!({"user": "ann", "session_ttl_s": 600})).await;
    assert!(refreshed.ask("refresh", json!({"ticket": ticket})).await["expires"].is_u64());
    world.pass(Duration::from_secs(30)).await;
    let (disconnect, close) = other.hear_end().await;
    assert_eq!((&disconnect["code"], close), (&json!("expired"), 4410));
    refreshed.ask("ping", json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_for_the_same_user_and_ends_what_it_no_longer_allows() {
    let world = World::new();
    let (mut ann, _) = world.connect("ann").await;
    for channel in ["room:1", "room:2"] {
        ann.ask("subscribe", json!({"channel": channel})).await;
    }
    let ticket = world.ticket(json!({"user": "bob"})).await;
    assert_eq!(ann.refused("refresh", json!({"ticket": ticket})).await, "forbidden");
    let ticket = world.ticket(json!({"user": "ann", "channels": {"room:1": ["subscribe"]}})).await;
    ann.say("refresh", json!({"ticket": ticket}));
    let push = ann.hear().await;
    assert_eq!((&push["channel"], &push["unsubscribed"]["code"]), (&json!("room:2"), &json!("forbidden")));
    assert!(ann.hear().await["ok"].is_object());
    assert_eq!(ann.refused("publish", json!({"channel": "room:1", "data": 1})).await, "forbidden");
    world.publish("room:2", json!(1)).await;
    world.publish("room:1", json!(2)).await;
    assert_eq!(ann.hear().await["channel"], "room:1");
}

#[tokio::test(start_paused = true)]
async fn a_command_is_allowed_by_the_permissions_of_the_moment_in_which_it_is_done() {
    let world = World::new();
    let (mut ann, _) = world.connect("ann").await;
    let ticket = world.ticket(json!({"user": "ann", "channels": {"room:1": ["subscribe", "publish"]}})).await;
    let refresh = ann.say("refresh", json!({"ticket": ticket}));
    // All in one go: when these are read, the permissions are still the wider ones.
    let narrowed = ["room:2", "room:1"].map(|channel| {
        [
            ann.say("subscribe", json!({"channel": channel})),
            ann.say("presence", json!({"channel": channel})),
            ann.say("history", json!({"channel": channel, "limit": 1})),
            ann.say("publish", json!({"channel": channel, "data": 1})),
        ]
    });
    assert_eq!(ann.hear().await["id"], refresh);
    for id in narrowed[0] {
        let answer = ann.hear().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(id), &json!("forbidden")));
    }
    for id in narrowed[1] {
        let mut answer = ann.hear().await;
        if answer["pub"].is_object() {
            answer = ann.hear().await;
        }
        assert!(answer["id"] == id && answer["ok"].is_object(), "{answer}");
    }
    assert_eq!(world.publish("room:2", json!(1)).await, 1, "nothing was published there");
    assert_eq!(world.node.figures().subscriptions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_ended_after_ten_seconds() {
    let world = World::new();
    let mut nobody = world.arrive("192.0.2.1", None);
    let last = tokio::time::timeout(Duration::from_secs(11), nobody.client.next()).await;
    assert!(matches!(last, Ok(Next::Message(_))));
    assert!(matches!(nobody.client.next().await, Next::Close(ending) if ending.close_code == 4401));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_without_reading_is_read_no_further() {
    let world = World::with(small_outbox(), [("room", Namespace::default())]);
    let (mut ann, _) = world.connect("ann").await;
    let mut sent = 0;
    while ann.client.wants_input() {
        ann.say("history", json!({"channel": "room:1", "limit": 0}));
        sent += 1;
        // It never takes a message out; the driver alone is polled.
        let mut context = Context::from_waker(std::task::Waker::noop());
        ann.client.poll_tasks(&mut context);
    }
    assert!((10..400).contains(&sent), "{sent}");
    assert!(world.node.figures().outbox_bytes < 2 * 8_000);
    for _ in 0..sent {
        ann.hear().await;
    }
    assert!(ann.client.wants_input(), "once it has read, it is heard again");
}

#[tokio::test(start_paused = true)]
async fn a_link_can_have_so_many_subscriptions_and_each_once() {
    let world =
        World::with(Limits { subscriptions: 2, ..Limits::default() }, [("room", Namespace::default())]);
    let (mut ann, _) = world.connect("ann").await;
    for channel in ["room:1", "room:2"] {
        ann.ask("subscribe", json!({"channel": channel})).await;
    }
    assert_eq!(ann.refused("subscribe", json!({"channel": "room:2"})).await, "conflict");
    assert_eq!(ann.refused("subscribe", json!({"channel": "room:3"})).await, "too_many");
    assert_eq!(ann.refused("unsubscribe", json!({"channel": "room:3"})).await, "not_subscribed");
    ann.ask("unsubscribe", json!({"channel": "room:1"})).await;
    ann.ask("subscribe", json!({"channel": "room:3"})).await;
    assert_eq!(world.node.figures().subscriptions, 2);
    drop(ann);
    let figures = world.node.figures();
    assert_eq!((figures.subscriptions, figures.channels, figures.links, figures.outbox_bytes), (0, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn backends_see_sessions_and_channels() {
    let world = World::new();
    let (mut ann, _) = world.connect("ann").await;
    ann.ask("subscribe", json!({"channel": "room:1"})).await;
    let (mut bob, _) = world.connect("bob").await;
    bob.ask("subscribe", json!({"channel": "room:1"})).await;
    let channels = world.node.channels("room:", 10).await.expect("channels");
    let expected = json!([{"channel": "room:1", "subscribers": 2, "users": 2}]);
    assert_eq!(serde_json::to_value(&channels).expect("JSON"), expected);
    assert!(world.node.channels("other:", 10).await.expect("channels").is_empty());
    let sessions = world.node.sessions(Some("ann"), 10);
    let [session] = sessions.as_slice() else { panic!("{sessions:?}") };
    assert_eq!((session.door, session.since, session.attached), ("websocket", 1_000_000, true));
    assert_eq!(session.address, Some(IpAddr::from([192, 0, 2, 1])));
    assert_eq!(session.channels.iter().map(ChannelName::as_str).collect::<Vec<_>>(), ["room:1"]);
}

#[tokio::test(start_paused = true)]
async fn an_ending_is_noticed_while_the_connection_has_no_room() {
    let world = World::new();
    let mut users = Vec::new();
    for session_ttl_s in [20, 600, 600] {
        let ticket = world.ticket(json!({"user": "ann", "session_ttl_s": session_ttl_s})).await;
        let mut user = world.arrive("192.0.2.1", Some(Credential::Ticket(ticket)));
        user.hear().await;
        users.push(user);
    }
    let [expiring, kicked, left_alone] = &mut users[..] else { panic!("three") };
    let within = |client| tokio::time::timeout(Duration::from_secs(30), Client::<Origin>::ended(client));
    assert!(within(&mut expiring.client).await.is_ok(), "its timer runs all the same");
    let session = kicked.client.peer.last_link().map(|link| link.session);
    assert_eq!(world.node.disconnect(session, None, &Ending::stopping()), 1);
    assert!(within(&mut kicked.client).await.is_ok());
    assert!(within(&mut left_alone.client).await.is_err());
    assert_eq!(expiring.hear().await["expiring"]["in_ms"], 20_000);
    assert_eq!(expiring.hear_end().await.1, 4410);
}
