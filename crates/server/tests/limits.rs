//! Limits of the server: what has exactly as much passes, one more does not. All of them as they are configured.

mod support;

use serde_json::json;
use support::peer::Peer;
use support::raw::{KEY, dial, post, read_answer};
use support::{Running, start_with};
use tokio::io::AsyncWriteExt;

/// A command of exactly so many bytes: JSON does not mind the spaces behind it.
fn ping(bytes: usize) -> String {
    format!("{:<bytes$}", r#"{"id":7,"ping":{}}"#)
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_is_answered_and_one_byte_more_ends_with_1009() {
    let server = start_with("[limits]\nmessage_bytes = 2000\npublication_bytes = 100").await;
    let mut ann = Peer::connect(&server, "ann").await;
    ann.say(&ping(2000)).await;
    assert_eq!(ann.push().await["id"], 7);
    ann.say(&ping(2001)).await;
    let (_, closed) = ann.end().await;
    assert_eq!(closed.code, 1009, "{closed}");
}

/// An upgrade whose head has so many bytes and fields; a connection's answer to it.
async fn upgrade_status(server: &Running, bytes: Option<usize>, fields: usize) -> u16 {
    let address = server.address;
    let mut head = format!(
        "GET /connect HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\n"
    );
    for field in 5..fields {
        head += &format!("X-{field}: 1\r\n");
    }
    if let Some(bytes) = bytes {
        let missing = bytes - head.len() - "X-Pad: \r\n\r\n".len();
        head += &format!("X-Pad: {}\r\n", "x".repeat(missing));
    }
    head += "\r\n";
    assert!(bytes.is_none_or(|bytes| head.len() == bytes));
    let mut stream = dial(address).await;
    let _ = stream.write_all(head.as_bytes()).await;
    read_answer(&mut stream).await.status
}

#[tokio::test]
async fn a_head_of_exactly_the_limits_in_bytes_and_fields_is_answered_and_one_more_gets_431() {
    let server = start_with("[limits]\nhead_bytes = 2048\nhead_headers = 20").await;
    assert_eq!(upgrade_status(&server, Some(2048), 5).await, 101);
    assert_eq!(upgrade_status(&server, Some(2049), 5).await, 431);
    assert_eq!(upgrade_status(&server, None, 20).await, 101);
    assert_eq!(upgrade_status(&server, None, 21).await, 431);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read_and_one_byte_more_gets_413() {
    let server = start_with("[limits]\nrequest_bytes = 1024\npublication_bytes = 100").await;
    let publish = |bytes: usize| {
        let body = json!({"channel": "room:1", "data": 1}).to_string();
        let body = format!("{body:<bytes$}");
        assert_eq!(body.len(), bytes);
        let (address, key) = (server.address, server.key.clone());
        async move { post(address, "/api/v1/publish", Some(&key), &body).await.status }
    };
    assert_eq!(publish(1024).await, 200);
    assert_eq!(publish(1025).await, 413);
}

#[tokio::test]
async fn data_of_exactly_the_limit_is_published_and_one_byte_more_is_too_large_by_every_way_in() {
    let server = start_with("limits.publication_bytes = 100").await;
    let mut ann = Peer::connect(&server, "ann").await;
    // The quotes are bytes of the JSON text too.
    let publish = |bytes: usize| json!({"channel": "room:1", "data": "x".repeat(bytes - 2)});
    ann.ok("publish", publish(100)).await;
    assert_eq!(ann.refused("publish", publish(101)).await, "too_large");
    assert_eq!(server.post("publish", &publish(100)).await.0, 200);
    assert_eq!(server.post("publish", &publish(101)).await.0, 413);
}

#[tokio::test]
async fn a_link_has_as_many_subscriptions_as_the_limit_and_one_more_is_too_many() {
    let server = start_with("limits.subscriptions = 3").await;
    let mut ann = Peer::connect(&server, "ann").await;
    for channel in 1..=3 {
        ann.ok("subscribe", json!({"channel": format!("room:{channel}")})).await;
    }
    assert_eq!(ann.refused("subscribe", json!({"channel": "room:4"})).await, "too_many");
}

#[tokio::test]
async fn an_answer_to_history_has_as_many_publications_as_the_limit_and_no_more() {
    let server = start_with("limits.history = 3").await;
    let mut ann = Peer::connect(&server, "ann").await;
    for (published, given) in [(3, 3), (1, 3)] {
        for number in 0..published {
            ann.ok("publish", json!({"channel": "room:1", "data": number})).await;
        }
        let reply = ann.ok("history", json!({"channel": "room:1", "limit": 1000})).await;
        assert_eq!(reply["publications"].as_array().map(Vec::len), Some(given));
    }
}

#[tokio::test]
async fn a_session_sends_as_many_commands_at_once_as_the_burst_and_one_more_is_refused() {
    // So slow that none comes back while this runs.
    let server = start_with("[limits]\ncommands_per_s = 1\ncommands_burst = 5").await;
    let mut ann = Peer::connect(&server, "ann").await;
    for id in 100..106 {
        ann.say(&json!({"id": id, "ping": {}}).to_string()).await;
    }
    for id in 100..105 {
        let reply = ann.push().await;
        assert!(reply["ok"].is_object() && reply["id"] == id, "{reply}");
    }
    assert_eq!(ann.push().await["error"]["code"], "rate_limited");
}

#[tokio::test]
async fn an_answer_to_a_broadcast_names_a_thousand_channels_and_not_one_more() {
    let server = start_with("").await;
    let broadcast = |channels: usize| {
        let channels: Vec<String> = (0..channels).map(|number| format!("room:{number}")).collect();
        json!({"channels": channels, "data": 1})
    };
    let (status, answer) = server.post("broadcast", &broadcast(1000)).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = server.post("broadcast", &broadcast(1001)).await;
    assert!((400..500).contains(&status), "{status} {answer}");
}

#[tokio::test]
async fn what_a_ticket_carries_may_have_exactly_its_limits_and_not_one_more() {
    let server = start_with("").await;
    let text = |bytes: usize| json!("x".repeat(bytes - 2));
    let rights = |patterns: usize| -> serde_json::Value {
        (0..patterns).map(|number| (format!("room:{number}"), json!(["subscribe"]))).collect()
    };
    for (field, most, more) in [
        ("info", text(4096), text(4097)),
        ("meta", text(16_384), text(16_385)),
        ("channels", rights(256), rights(257)),
    ] {
        let (status, answer) = server.post("tickets", &json!({"user": "ann", field: most})).await;
        assert_eq!(status, 200, "{field}: {answer}");
        let (status, answer) = server.post("tickets", &json!({"user": "ann", field: more})).await;
        assert!((400..500).contains(&status), "{field}: {status} {answer}");
    }
}

#[tokio::test]
async fn as_many_sessions_as_the_limit_are_kept_and_one_more_takes_the_place_of_one_that_nobody_came_back_to()
{
    let server = start_with("limits.sessions = 2").await;
    let mut tokens = Vec::new();
    for user in ["ann", "bob"] {
        tokens.push(Peer::connect(&server, user).await.session());
    }
    support::eventually("their links are gone", || async { node(&server, "links").await == 0 }).await;
    assert_eq!(node(&server, "sessions").await, 2, "both can be come back to");
    let _cat = Peer::connect(&server, "cat").await;
    assert_eq!(node(&server, "sessions").await, 2);
    let _bob = Peer::with_connect(&server, json!({"session": tokens[1]})).await;
    assert_eq!(node(&server, "sessions").await, 2, "it was the eldest that went");
}

async fn node(server: &Running, figure: &str) -> u64 {
    server.get("node").await.1[figure].as_u64().expect("a figure")
}
