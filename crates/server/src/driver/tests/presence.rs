//! Who is present, and what others are told of it.

use std::collections::BTreeSet;

use trunkline_dialect::{Code, UserId};

use super::*;
use crate::session::SessionId;

async fn watch(world: &World) -> User {
    let (mut watcher, _) = world.connect("watcher").await;
    let ok = watcher.ask("subscribe", json!({"channel": "room:1", "presence": true})).await;
    assert_eq!(ok["members"], json!([{"user": "watcher", "sessions": 1}]), "oneself included");
    watcher
}

async fn members(user: &mut User) -> Vec<String> {
    let ok = user.ask("presence", json!({"channel": "room:1"})).await;
    let members = ok["members"].as_array().expect("members").iter();
    let mut names: Vec<String> = members.filter_map(|one| one["user"].as_str().map(str::to_owned)).collect();
    assert_eq!(ok["count"], names.len());
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_join_is_told_with_its_info_and_not_to_the_one_who_joins() {
    let world = World::new();
    let mut watcher = watch(&world).await;
    let request = json!({"user": "ann", "info": {"colour": "red"}, "meta": {"secret": 1}});
    let mut ann = world.arrive("192.0.2.1", Some(Credential::Ticket(world.ticket(request).await)));
    assert!(!ann.hear().await.to_string().contains("secret"), "meta never reaches a client");
    let ok = ann.ask("subscribe", json!({"channel": "room:1", "presence": true})).await;
    assert_eq!(ok["members"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        watcher.hear().await,
        json!({"channel": "room:1", "join": {"user": "ann", "info": {"colour": "red"}}})
    );
    ann.hear_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_leaves_at_once() {
    let world = World::new();
    let mut watcher = watch(&world).await;
    let (mut ann, _) = world.connect("ann").await;
    ann.ask("subscribe", json!({"channel": "room:1"})).await;
    watcher.hear().await;
    ann.ask("unsubscribe", json!({"channel": "room:1"})).await;
    assert_eq!(watcher.hear().await, json!({"channel": "room:1", "leave": {"user": "ann"}}));
    assert_eq!(members(&mut watcher).await, ["watcher"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_that_comes_back_within_the_grace_is_neither_leave_nor_join() {
    let world = World::new();
    let mut watcher = watch(&world).await;
    let (mut ann, session) = world.connect("ann").await;
    ann.ask("subscribe", json!({"channel": "room:1"})).await;
    watcher.hear().await;
    drop(ann);
    world.pass(Duration::from_secs(3)).await;
    assert_eq!(members(&mut watcher).await, ["ann", "watcher"], "still a member within the grace");
    let mut ann = world.arrive("192.0.2.1", None);
    ann.ask("connect", json!({"session": session})).await;
    ann.ask("subscribe", json!({"channel": "room:1"})).await;
    world.pass(Duration::from_secs(20)).await;
    watcher.hear_nothing().await;
    assert_eq!(members(&mut watcher).await, ["ann", "watcher"]);
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_it_has_left_and_coming_back_is_a_join() {
    let world = World::new();
    let mut watcher = watch(&world).await;
    let (mut ann, session) = world.connect("ann").await;
    ann.ask("subscribe", json!({"channel": "room:1"})).await;
    watcher.hear().await;
    drop(ann);
    world.pass(Duration::from_secs(6)).await;
    assert_eq!(watcher.hear().await["leave"]["user"], "ann");
    let mut ann = world.arrive("192.0.2.1", None);
    ann.ask("connect", json!({"session": session})).await;
    watcher.hear_nothing().await;
    ann.ask("subscribe", json!({"channel": "room:1"})).await;
    assert_eq!(watcher.hear().await["join"]["user"], "ann");
}

#[tokio::test(start_paused = true)]
async fn a_user_is_a_member_once_however_many_sessions_there_are() {
    let world = World::new();
    let mut watcher = watch(&world).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let (mut ann, _) = world.connect("ann").await;
        ann.ask("subscribe", json!({"channel": "room:1"})).await;
        sessions.push(ann);
    }
    assert_eq!(watcher.hear().await["join"]["user"], "ann");
    watcher.hear_nothing().await;
    let ok = watcher.ask("presence", json!({"channel": "room:1"})).await;
    assert!(ok["members"].as_array().is_some_and(|all| all.contains(&json!({"user": "ann", "sessions": 3}))));
    let last = sessions.pop();
    drop(sessions);
    world.pass(Duration::from_secs(10)).await;
    watcher.hear_nothing().await;
    drop(last);
    world.pass(Duration::from_secs(6)).await;
    assert_eq!(watcher.hear().await["leave"]["user"], "ann");
}

#[tokio::test(start_paused = true)]
async fn a_kicked_user_leaves_without_grace() {
    let world = World::new();
    let mut watcher = watch(&world).await;
    let (mut ann, _) = world.connect("ann").await;
    ann.ask("subscribe", json!({"channel": "room:1"})).await;
    watcher.hear().await;
    world.node.disconnect(None, Some("ann"), &Ending::new(Code::Forbidden, "kicked"));
    ann.hear_end().await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(watcher.hear().await["leave"]["user"], "ann");
}

#[tokio::test(start_paused = true)]
async fn namespaces_switch_presence_and_join_and_leave_off() {
    let base = Namespace::default();
    let quiet = Namespace { join_leave: false, ..base.clone() };
    let none = Namespace { presence: false, ..base };
    let world = World::with(Limits::default(), [("quiet", quiet), ("none", none)]);
    let (mut watcher, _) = world.connect("watcher").await;
    let (mut ann, _) = world.connect("ann").await;
    let ok = watcher.ask("subscribe", json!({"channel": "quiet:1", "presence": true})).await;
    assert_eq!(ok["members"].as_array().map(Vec::len), Some(1));
    let ok = watcher.ask("subscribe", json!({"channel": "none:1", "presence": true})).await;
    assert!(ok["members"].is_null());
    for channel in ["quiet:1", "none:1"] {
        ann.ask("subscribe", json!({"channel": channel})).await;
    }
    watcher.hear_nothing().await;
    assert_eq!(watcher.ask("presence", json!({"channel": "quiet:1"})).await["count"], 2);
    assert_eq!(watcher.refused("presence", json!({"channel": "none:1"})).await, "forbidden");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_told_the_difference_and_not_every_coming_and_going() {
    let world = World::with(small_outbox(), [("room", Namespace::default())]);
    let mut watcher = watch(&world).await;
    let (mut ann, _) = world.connect("ann").await;
    ann.ask("subscribe", json!({"channel": "room:1"})).await;
    watcher.hear().await;
    for _ in 0..100 {
        world.publish("room:1", json!("x".repeat(100))).await;
        ann.hear().await;
    }
    let (mut bob, _) = world.connect("bob").await;
    for _ in 0..50 {
        bob.ask("subscribe", json!({"channel": "room:1"})).await;
        bob.ask("unsubscribe", json!({"channel": "room:1"})).await;
    }
    ann.ask("unsubscribe", json!({"channel": "room:1"})).await;
    let mut told = Vec::new();
    while let Ok(Next::Message(message)) =
        tokio::time::timeout(Duration::from_secs(1), watcher.client.next()).await
    {
        let push: Value = serde_json::from_str(message.json()).expect("JSON");
        if push["pub"].is_null() {
            told.push(push);
        }
    }
    assert_eq!(told, [json!({"channel": "room:1", "leave": {"user": "ann"}})], "bob came and went unseen");
}

/// A room of a hundred users, each with an info of a hundred bytes.
async fn crowd(world: &World) -> ChannelName {
    let channel = ChannelName::new("room:1").expect("a channel name");
    let info = Json::of(&json!("x".repeat(100))).expect("JSON");
    for number in 0..100 {
        let (link, user) = one_of_the_crowd(number);
        world.node.broker.enter(&channel, link, &user, Some(&info)).await.expect("entered");
    }
    channel
}

fn one_of_the_crowd(number: u8) -> (LinkId, UserId) {
    let link = LinkId { session: SessionId([number; 16]), serial: 1 };
    (link, UserId::new(&format!("user{number}")).expect("a user id"))
}

fn users(members: &Value) -> Vec<String> {
    let members = members.as_array().expect("members").iter();
    members.map(|member| member["user"].as_str().expect("a user").to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn members_that_do_not_fit_into_the_reply_follow_as_joins_and_no_stranger_ever_leaves() {
    // Neither does the crowd fit into the outbox at once: it goes out as the client reads.
    let world = World::with(Limits { reply: 2_000, ..small_outbox() }, [("room", Namespace::default())]);
    let channel = crowd(&world).await;
    let (mut ann, _) = world.connect("ann").await;
    let ok = ann.ask("subscribe", json!({"channel": "room:1", "presence": true})).await;
    let named = users(&ok["members"]);
    assert!(named[0] == "ann" && (5..20).contains(&named.len()), "oneself first: {named:?}");
    let mut known: BTreeSet<String> = named.into_iter().collect();
    for number in [0, 98, 99] {
        let (link, user) = one_of_the_crowd(number);
        world.node.broker.leave(&channel, link, &user).await.expect("left");
    }
    world.publish("room:1", json!("meanwhile")).await;
    let mut published = 0;
    while let Ok(out) = tokio::time::timeout(Duration::from_secs(1), ann.client.next()).await {
        assert!(world.node.figures().outbox_bytes < 2 * 8_000);
        let Next::Message(message) = out else { panic!("{out:?}") };
        let push: Value = serde_json::from_str(message.json()).expect("JSON");
        let name = |what: &str| push[what]["user"].as_str().map(str::to_owned);
        match (name("join"), name("leave")) {
            (Some(joined), None) => {
                assert_eq!(push["join"]["info"], json!("x".repeat(100)));
                assert!(known.insert(joined), "told twice: {push}");
            }
            (None, Some(left)) => assert!(known.remove(&left), "never told of: {push}"),
            _ => published += u32::from(push["pub"].is_object()),
        }
    }
    assert_eq!((known.len(), published), (98, 1));
    assert!(["user0", "user98", "user99"].iter().all(|gone| !known.contains(*gone)));
}

#[tokio::test(start_paused = true)]
async fn presence_counts_all_and_names_oneself_and_those_that_fit() {
    let world = World::with(Limits { reply: 2_000, ..Limits::default() }, [("room", Namespace::default())]);
    crowd(&world).await;
    let (mut ann, _) = world.connect("ann").await;
    ann.ask("subscribe", json!({"channel": "room:1"})).await;
    let ok = ann.ask("presence", json!({"channel": "room:1"})).await;
    let named = users(&ok["members"]);
    assert!(named[0] == "ann" && (5..20).contains(&named.len()), "{named:?}");
    assert_eq!(ok["count"], 101);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_with_another_info_shows_it_in_every_channel() {
    let world = World::new();
    let (mut watcher, _) = world.connect("watcher").await;
    let ticket = |colour: &str| world.ticket(json!({"user": "ann", "info": {"colour": colour}}));
    let mut ann = world.arrive("192.0.2.1", Some(Credential::Ticket(ticket("red").await)));
    ann.hear().await;
    for channel in ["room:1", "room:2"] {
        watcher.ask("subscribe", json!({"channel": channel})).await;
        ann.ask("subscribe", json!({"channel": channel})).await;
    }
    ann.ask("refresh", json!({"ticket": ticket("blue").await})).await;
    for channel in ["room:1", "room:2"] {
        let ok = watcher.ask("presence", json!({"channel": channel})).await;
        let blue = json!({"user": "ann", "info": {"colour": "blue"}, "sessions": 1});
        assert!(ok["members"].as_array().is_some_and(|all| all.contains(&blue)), "{ok}");
    }
    drop(ann);
    world.pass(Duration::from_secs(6)).await;
    assert_eq!(watcher.ask("presence", json!({"channel": "room:1"})).await["count"], 1, "it leaves as ever");
}
