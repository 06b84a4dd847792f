//! Tickets from the mint to the door: good once, in time, from the right address.

mod support;

use serde_json::{Value, json};
use support::peer::{self, Peer, knock, knock_with};
use support::{Running, start, start_with};
use trunkline_net::{Closed, Connector};

/// Comes in with a credential that has to be refused; gives the push that says so, and the end.
async fn refused(server: &Running, query: &str) -> (Value, Closed) {
    let mut socket = knock(server, query).await;
    last_words(&mut socket).await
}

async fn last_words(socket: &mut peer::Socket) -> (Value, Closed) {
    let mut said = Vec::new();
    let closed = peer::end(socket, &mut said).await;
    assert_eq!(said.len(), 1, "one push and then the end: {said:?}");
    (said.remove(0), closed)
}

fn is_unauthenticated(push: &Value, closed: &Closed) {
    assert_eq!(push["disconnect"]["code"], "unauthenticated", "{push}");
    assert_eq!(closed.code, 4401, "{closed}");
}

#[tokio::test]
async fn a_ticket_lets_its_user_in_by_query_by_header_and_by_the_connect_command() {
    let server = start().await;
    let by_query = Peer::with_query(&server, &format!("?ticket={}", server.ticket("ann").await)).await;
    assert_eq!(by_query.connected["user"], "ann");

    let connector = Connector::default().header("X-Auth-Token", &server.ticket("bob").await);
    let mut by_header = knock_with(&server, &connector, "").await;
    let connected = peer::read(&mut by_header).await.expect("connected");
    assert_eq!(connected["connected"]["user"], "bob");

    let by_command = Peer::with_connect(&server, json!({"ticket": server.ticket("cat").await})).await;
    assert_eq!(by_command.connected["user"], "cat");
    for name in ["session", "node", "heartbeat_ms", "limits"] {
        assert!(!by_command.connected[name].is_null(), "{name}: {}", by_command.connected);
    }
}

#[tokio::test]
async fn a_ticket_is_good_once() {
    let server = start().await;
    let ticket = server.ticket("ann").await;
    let _first = Peer::with_query(&server, &format!("?ticket={ticket}")).await;
    let (push, closed) = refused(&server, &format!("?ticket={ticket}")).await;
    is_unauthenticated(&push, &closed);
    assert_eq!(push["disconnect"]["reconnect"], true, "with a new ticket it may: {push}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_redemptions_at_the_same_instant_exactly_one_wins() {
    let server = std::sync::Arc::new(start().await);
    let ticket = server.ticket("ann").await;
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(100));
    let attempts: Vec<_> = (0..100)
        .map(|_| {
            let (server, ticket, start) = (server.clone(), ticket.clone(), start.clone());
            tokio::spawn(async move {
                let mut socket = knock(&server, "").await;
                start.wait().await;
                let connect = json!({"id": 1, "connect": {"ticket": ticket}}).to_string();
                socket.send(connect).await.expect("open");
                let reply = peer::read(&mut socket).await.expect("a reply");
                reply["ok"].is_object()
            })
        })
        .collect();
    let mut winners = 0;
    for attempt in attempts {
        winners += usize::from(attempt.await.expect("no panic"));
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn forged_and_empty_tickets_are_refused_and_do_not_say_why() {
    let server = start().await;
    let taken = server.ticket("ann").await;
    let almost = format!("{}{}", &taken[..taken.len() - 1], if taken.ends_with('A') { 'Q' } else { 'A' });
    let mut words = Vec::new();
    for forged in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", &almost, "%00", "%ff%fe", &"A".repeat(4_000)] {
        let (push, closed) = refused(&server, &format!("?ticket={forged}")).await;
        is_unauthenticated(&push, &closed);
        words.push(push["disconnect"]["message"].clone());
    }
    words.dedup();
    assert_eq!(words.len(), 1, "one sentence for all of it: {words:?}");
    let connector = Connector::default().header("X-Auth-Token", "");
    let (push, closed) = last_words(&mut knock_with(&server, &connector, "").await).await;
    is_unauthenticated(&push, &closed);
}

#[tokio::test]
async fn an_expired_ticket_is_refused() {
    let server = start().await;
    let ticket = server.mint(&json!({"user": "ann", "ttl_s": 1})).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let (push, closed) = refused(&server, &format!("?ticket={ticket}")).await;
    is_unauthenticated(&push, &closed);
}

#[tokio::test]
async fn a_ticket_for_another_address_is_refused_and_spent() {
    let server = start().await;
    for (ip, policy, good) in [
        ("127.0.0.1", None, true),
        ("::ffff:127.0.0.1", None, true),
        ("127.0.0.2", None, false),
        ("192.0.2.1", Some("exact"), false),
        ("127.0.0.200", Some("prefix"), true),
        ("127.0.1.1", Some("prefix"), false),
        ("192.0.2.1", Some("off"), true),
        ("192.0.2.1", Some("adopt"), true),
    ] {
        let mut wanted = json!({"user": "ann", "ip": ip});
        if let Some(policy) = policy {
            wanted["policy"] = json!(policy);
        }
        let query = format!("?ticket={}", server.mint(&wanted).await);
        if good {
            Peer::with_query(&server, &query).await;
        } else {
            for _ in 0..2 {
                let (push, closed) = refused(&server, &query).await;
                is_unauthenticated(&push, &closed);
            }
        }
    }
    let (_, sessions) = server.get("sessions?user=ann").await;
    let addresses: Vec<_> =
        sessions["sessions"].as_array().expect("sessions").iter().map(|one| one["address"].clone()).collect();
    assert!(addresses.contains(&json!("192.0.2.1")), "an adopted address is the client's: {addresses:?}");
}

#[tokio::test]
async fn a_ticket_that_names_channels_means_these_and_no_others() {
    let server = start().await;
    let rights = json!({"room:1": ["subscribe"], "room:mine-*": ["subscribe", "publish"]});
    let ticket = server.mint(&json!({"user": "ann", "channels": rights})).await;
    let mut ann = Peer::with_query(&server, &format!("?ticket={ticket}")).await;
    ann.ok("subscribe", json!({"channel": "room:1"})).await;
    assert_eq!(ann.refused("publish", json!({"channel": "room:1", "data": 1})).await, "forbidden");
    assert_eq!(ann.refused("subscribe", json!({"channel": "room:2"})).await, "forbidden");
    ann.ok("publish", json!({"channel": "room:mine-7", "data": 1})).await;
    assert_eq!(ann.refused("subscribe", json!({"channel": "nowhere:1"})).await, "unknown_channel");
}

#[tokio::test]
async fn a_bad_ticket_in_the_connect_command_is_refused_and_another_may_be_tried() {
    let server = start().await;
    let socket_query = "";
    let mut socket = knock(&server, socket_query).await;
    for (id, ticket) in [(1, "x".to_owned()), (2, server.ticket("ann").await)] {
        socket.send(json!({"id": id, "connect": {"ticket": ticket}}).to_string()).await.expect("open");
        let reply = peer::read(&mut socket).await.expect("a reply");
        assert_eq!(reply["id"], id);
        assert_eq!(reply["ok"].is_object(), id == 2, "{reply}");
    }
}

#[tokio::test]
async fn before_connect_other_verbs_are_unauthenticated_and_silence_is_ended_in_time() {
    let server = start_with("limits.connect_timeout_s = 0.2").await;
    let mut socket = knock(&server, "").await;
    socket.send(r#"{"id":1,"subscribe":{"channel":"room:1"}}"#).await.expect("open");
    let reply = peer::read(&mut socket).await.expect("a reply");
    assert_eq!(reply["error"]["code"], "unauthenticated");
    let (push, closed) = last_words(&mut socket).await;
    is_unauthenticated(&push, &closed);
}

#[tokio::test]
async fn a_session_token_brings_its_client_back_without_a_ticket() {
    let server = start().await;
    let first = Peer::connect(&server, "ann").await;
    let session = first.session();
    drop(first);
    let connector = Connector::default().header("Authorization", &format!("Bearer {session}"));
    let mut back = knock_with(&server, &connector, "").await;
    let connected = peer::read(&mut back).await.expect("connected");
    assert_eq!(connected["connected"]["user"], "ann", "{connected}");
    let renewed = connected["connected"]["session"].as_str().expect("a token").to_owned();
    drop(back);
    let again = Peer::with_connect(&server, json!({"session": renewed})).await;
    assert_eq!(again.connected["user"], "ann");
    let (_, sessions) = server.get("sessions?user=ann").await;
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(1), "one session all along: {sessions}");
}

#[tokio::test]
async fn a_session_token_that_we_did_not_seal_is_refused() {
    let server = start().await;
    let other = start().await;
    let foreign = Peer::connect(&other, "ann").await.session();
    for token in [foreign.as_str(), "x", ""] {
        let connector = Connector::default().header("Authorization", &format!("Bearer {token}"));
        let (push, closed) = last_words(&mut knock_with(&server, &connector, "").await).await;
        is_unauthenticated(&push, &closed);
    }
}
