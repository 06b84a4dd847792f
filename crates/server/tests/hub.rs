//! What the hub is for, end to end over the door: publications in order, presence, coming back, slow readers.

mod support;

use serde_json::{Value, json};
use support::peer::Peer;
use support::{eventually, start, start_with};

fn room() -> Value {
    json!({"channel": "room:1"})
}

async fn publish(peer: &mut Peer, data: impl Into<Value>) -> Value {
    peer.ok("publish", json!({"channel": "room:1", "data": data.into()})).await
}

#[tokio::test]
async fn each_subscriber_sees_each_publication_once_and_in_order() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    let mut bob = Peer::connect(&server, "bob").await;
    for peer in [&mut ann, &mut bob] {
        let subscribed = peer.ok("subscribe", room()).await;
        assert_eq!(
            (&subscribed["offset"], &subscribed["recovered"]),
            (&json!(0), &json!(false)),
            "{subscribed}"
        );
    }
    for number in 1..=50 {
        assert_eq!(publish(&mut ann, number).await["offset"], number);
    }
    for peer in [&mut ann, &mut bob] {
        for number in 1..=50 {
            let push = peer.push().await;
            assert_eq!(push["channel"], "room:1");
            assert_eq!(
                (&push["pub"]["offset"], &push["pub"]["data"]),
                (&json!(number), &json!(number)),
                "{push}"
            );
            assert_eq!(push["pub"]["user"], "ann");
            assert!(push["pub"]["at"].is_u64());
        }
    }
}

#[tokio::test]
async fn exclude_self_leaves_out_this_connection_alone() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    let mut also_ann = Peer::connect(&server, "ann").await;
    for peer in [&mut ann, &mut also_ann] {
        peer.ok("subscribe", room()).await;
    }
    ann.ok("publish", json!({"channel": "room:1", "data": 1, "exclude_self": true})).await;
    publish(&mut ann, 2).await;
    assert_eq!(also_ann.push().await["pub"]["data"], 1);
    assert_eq!(ann.push().await["pub"]["data"], 2);
}

#[tokio::test]
async fn who_comes_back_with_its_position_gets_what_it_missed_in_the_reply() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    let mut bob = Peer::connect(&server, "bob").await;
    ann.ok("subscribe", room()).await;
    let seen = publish(&mut bob, 1).await;
    let session = ann.session();
    drop(ann);
    for number in 2..=4 {
        publish(&mut bob, number).await;
    }
    let mut ann = Peer::with_connect(&server, json!({ "session": session })).await;
    let since = json!({"epoch": seen["epoch"], "offset": seen["offset"]});
    let back = ann.ok("subscribe", json!({"channel": "room:1", "since": since})).await;
    assert_eq!(back["recovered"], true, "{back}");
    let missed: Vec<_> = back["publications"]
        .as_array()
        .expect("publications")
        .iter()
        .map(|one| one["data"].clone())
        .collect();
    assert_eq!(missed, [2, 3, 4]);
    publish(&mut bob, 5).await;
    assert_eq!(ann.push().await["pub"]["offset"], 5, "and then it goes on");
}

#[tokio::test]
async fn another_epoch_or_a_position_out_of_history_is_not_recovered() {
    let server = start_with("[namespaces.room]\nhistory_size = 3").await;
    let mut ann = Peer::connect(&server, "ann").await;
    let first = publish(&mut ann, 1).await;
    for number in 2..=10 {
        publish(&mut ann, number).await;
    }
    for since in
        [json!({"epoch": "of-another-life", "offset": 9}), json!({"epoch": first["epoch"], "offset": 1})]
    {
        let mut bob = Peer::connect(&server, "bob").await;
        let reply = bob.ok("subscribe", json!({"channel": "room:1", "since": since})).await;
        assert_eq!(reply["recovered"], false, "{reply}");
        assert_eq!(reply["epoch"], first["epoch"]);
    }
}

#[tokio::test]
async fn history_is_given_in_either_direction_from_a_position() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    let first = publish(&mut ann, 1).await;
    for number in 2..=5 {
        publish(&mut ann, number).await;
    }
    let offsets = |reply: &Value| -> Vec<u64> {
        reply["publications"]
            .as_array()
            .expect("publications")
            .iter()
            .filter_map(|one| one["offset"].as_u64())
            .collect()
    };
    let since = json!({"epoch": first["epoch"], "offset": 2});
    let forwards = ann.ok("history", json!({"channel": "room:1", "since": since, "limit": 2})).await;
    assert_eq!((offsets(&forwards), &forwards["offset"]), (vec![3, 4], &json!(5)));
    let backwards = ann.ok("history", json!({"channel": "room:1", "limit": 2, "reverse": true})).await;
    assert_eq!(offsets(&backwards), [5, 4]);
}

#[tokio::test]
async fn presence_shows_members_once_and_tells_of_joins_and_leaves() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    let watching = ann.ok("subscribe", json!({"channel": "room:1", "presence": true})).await;
    let members = watching["members"].as_array().expect("members");
    assert!(members.iter().all(|member| member["user"] == "ann"), "{watching}");

    let ticket = server.mint(&json!({"user": "bob", "info": {"nick": "B"}})).await;
    let mut bob = Peer::with_query(&server, &format!("?ticket={ticket}")).await;
    bob.ok("subscribe", room()).await;
    assert_eq!(
        ann.push().await,
        json!({"channel": "room:1", "join": {"user": "bob", "info": {"nick": "B"}}})
    );
    let mut also_bob = Peer::connect(&server, "bob").await;
    also_bob.ok("subscribe", room()).await;
    let presence = ann.ok("presence", room()).await;
    assert_eq!(presence["count"], 2, "{presence}");
    let of_bob = presence["members"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["user"] == "bob"))
        .expect("bob");
    assert_eq!(of_bob["sessions"], 2, "{presence}");

    bob.ok("unsubscribe", room()).await;
    assert_eq!(ann.ok("presence", room()).await["count"], 2, "one session of his is still there");
    also_bob.ok("unsubscribe", room()).await;
    assert_eq!(
        ann.push().await,
        json!({"channel": "room:1", "leave": {"user": "bob"}}),
        "one join, one leave"
    );
}

#[tokio::test]
async fn a_return_within_the_grace_is_neither_leave_nor_join_and_after_it_is_both() {
    let server = start_with("presence.grace_s = 1").await;
    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("subscribe", json!({"channel": "room:1", "presence": true})).await;
    let mut bob = Peer::connect(&server, "bob").await;
    bob.ok("subscribe", room()).await;
    assert_eq!(ann.push().await["join"]["user"], "bob");

    let session = bob.session();
    drop(bob);
    let mut bob = Peer::with_connect(&server, json!({ "session": session })).await;
    bob.ok("subscribe", room()).await;
    publish(&mut bob, "still here").await;
    assert_eq!(ann.push().await["pub"]["data"], "still here", "nothing came before it");

    drop(bob);
    assert_eq!(ann.push().await["leave"]["user"], "bob");
}

#[tokio::test]
async fn a_slow_reader_is_not_cut_but_catches_up_from_history_with_nothing_lost() {
    let server = start_with("limits.outbox_bytes = \"128 KiB\"").await;
    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("subscribe", room()).await;
    let data = "x".repeat(30_000);
    let published = std::cell::Cell::new(0_u64);
    // Nobody reads meanwhile: first the kernel's buffers fill, then the socket's, then the outbox.
    eventually("the outbox is full", || async {
        for _ in 0..10 {
            server.post("publish", &json!({"channel": "room:1", "data": data})).await;
            published.set(published.get() + 1);
        }
        server.metric("trunkline_publications_deferred_total").await >= 1.0
    })
    .await;
    assert!(published.get() < 270, "8 MiB of history are kept, and {} were published", published.get());
    for offset in 1..=published.get() {
        let push = ann.push().await;
        assert_eq!(push["pub"]["offset"], offset, "{:.200}", push.to_string());
    }
    publish(&mut ann, "live again").await;
    assert_eq!(ann.push().await["pub"]["data"], "live again");
}

#[tokio::test]
async fn what_history_no_longer_has_is_announced_as_a_gap() {
    let server = start_with("limits.outbox_bytes = \"128 KiB\"\n[namespaces.room]\nhistory_size = 5").await;
    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("subscribe", room()).await;
    let data = "x".repeat(60_000);
    eventually("the outbox is full", || async {
        server.post("publish", &json!({"channel": "room:1", "data": data})).await;
        server.metric("trunkline_publications_deferred_total").await >= 1.0
    })
    .await;
    for _ in 0..20 {
        server.post("publish", &json!({"channel": "room:1", "data": "later"})).await;
    }
    let (_, history) = server.get("history?channel=room:1").await;
    let last = history["offset"].as_u64().expect("an offset");
    let mut next = 1;
    let mut gaps = 0;
    while next <= last {
        let push = ann.push().await;
        if let Some(offset) = push["pub"]["offset"].as_u64() {
            assert_eq!(offset, next);
            next += 1;
        } else {
            let (from, to) = (push["gap"]["from"].as_u64(), push["gap"]["to"].as_u64());
            assert_eq!(from, Some(next), "{push}");
            next = to.expect("an end of the gap") + 1;
            gaps += 1;
        }
    }
    assert!(gaps > 0);
}

#[tokio::test]
async fn who_comes_back_to_more_than_one_reply_holds_gets_all_of_it_whatever_happens_to_slow_readers() {
    for policy in ["catch-up", "newest-only", "drop-oldest", "disconnect"] {
        let server = start_with(&format!("[namespaces.room]\nslow_reader = \"{policy}\"\n")).await;
        let mut epoch = Value::Null;
        for number in 1..=60 {
            let data = format!("{number} {}", "x".repeat(10_000));
            let (status, position) =
                server.post("publish", &json!({"channel": "room:1", "data": data})).await;
            assert_eq!(status, 200, "{position}");
            epoch = position["epoch"].clone();
        }
        let mut ann = Peer::connect(&server, "ann").await;
        let since = json!({"epoch": epoch, "offset": 1});
        let back = ann.ok("subscribe", json!({"channel": "room:1", "since": since})).await;
        assert_eq!(back["recovered"], true, "{policy}");
        let mut seen: Vec<Value> = Vec::new();
        let in_reply = back["publications"].as_array().expect("publications");
        assert!(in_reply.len() < 59, "{policy}: the reply alone must not hold all, or this tests nothing");
        seen.extend(in_reply.iter().map(|one| one["offset"].clone()));
        while seen.len() < 59 {
            let push = ann.push().await;
            assert!(push["gap"].is_null(), "{policy}: {push}");
            seen.push(push["pub"]["offset"].clone());
        }
        assert_eq!(seen, (2..=60).map(Value::from).collect::<Vec<_>>(), "{policy}");
    }
}
