//! The dialect over the door: every mistake is answered with an error that names the rule, and the connection lives.

mod support;

use serde_json::{Value, json};
use support::peer::Peer;
use support::{start, start_with, within};
use trunkline_net::Message;

/// Says something that cannot be read as a command; gives the error, and checks that the connection lives.
async fn error(peer: &mut Peer, said: impl Into<Message>) -> (Value, Value) {
    within(peer.socket.send(said)).await.expect("open");
    let answer = peer.push().await;
    let error = answer["error"].clone();
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
    assert_eq!(error["retry"], false, "{answer}");
    peer.ok("ping", json!({})).await;
    (answer["id"].clone(), error)
}

#[tokio::test]
async fn what_cannot_be_read_as_a_command_is_bad_request_and_the_connection_lives() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    let null = Value::Null;
    for (said, id, rule) in [
        ("", &null, "JSON"),
        ("hello", &null, "JSON"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &null, "JSON"),
        (r#"{"id":1,"ping":{}"#, &null, "JSON"),
        (r#"{"id":1,"ping":{}}{"id":2,"ping":{}}"#, &null, "JSON"),
        ("[]", &null, "object"),
        ("7", &null, "object"),
        ("{}", &null, "verb"),
        (r#"{"id":500}"#, &json!(500), "verb"),
        (r#"{"id":500,"ping":{},"presence":{"channel":"room:1"}}"#, &json!(500), "one verb"),
        (r#"{"id":500,"dance":{}}"#, &json!(500), "dance"),
        (r#"{"ping":{}}"#, &null, "id"),
        (r#"{"id":0,"ping":{}}"#, &null, "id"),
        (r#"{"id":-1,"ping":{}}"#, &null, "id"),
        (r#"{"id":1.5,"ping":{}}"#, &null, "id"),
        (r#"{"id":"1","ping":{}}"#, &null, "id"),
        (r#"{"id":9007199254740992,"ping":{}}"#, &null, "id"),
        (r#"{"id":500,"subscribe":{}}"#, &json!(500), "channel"),
        (r#"{"id":500,"subscribe":{"channel":""}}"#, &json!(500), "channel"),
        (r#"{"id":500,"subscribe":{"channel":"room:\u0000"}}"#, &json!(500), "control"),
        (r#"{"id":500,"subscribe":7}"#, &json!(500), "subscribe"),
    ] {
        let (answered, error) = error(&mut ann, said).await;
        assert_eq!(error["code"], "bad_request", "{said}: {error}");
        assert_eq!(&answered, id, "{said}: {error}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(rule), "{said}: {message}");
    }
}

#[tokio::test]
async fn json_deeper_than_64_levels_is_refused_and_so_is_a_megabyte_of_brackets() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    // The command and its body are two levels, and `data` is inside of both.
    let nested = |levels: usize| {
        let data = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"id":900,"publish":{{"channel":"room:1","data":{data}}}}}"#)
    };
    ann.say(&nested(62)).await;
    assert!(ann.push().await["ok"].is_object(), "64 levels are taken");
    let (_, at_65) = error(&mut ann, nested(63)).await;
    assert_eq!(at_65["code"], "bad_request");
    assert!(at_65["message"].as_str().is_some_and(|message| message.contains("64")), "{at_65}");
    for brackets in ["[".repeat(1 << 20), "{\"a\":".repeat((1 << 20) / 5), nested(500_000)] {
        let (_, refused) = error(&mut ann, brackets).await;
        assert_eq!(refused["code"], "bad_request", "{refused}");
    }
}

#[tokio::test]
async fn data_over_the_limit_is_too_large_and_the_connection_lives() {
    let server = start_with("limits.publication_bytes = 1000").await;
    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("publish", json!({"channel": "room:1", "data": "x".repeat(998)})).await;
    assert_eq!(
        ann.refused("publish", json!({"channel": "room:1", "data": "x".repeat(999)})).await,
        "too_large"
    );
    ann.ok("ping", json!({})).await;
}

#[tokio::test]
async fn the_same_command_is_taken_in_a_binary_message_and_answered_in_text() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    within(ann.socket.send(Message::from(b"{\"id\":41,\"ping\":{}}".to_vec()))).await.expect("open");
    let pong = ann.push().await;
    assert!(pong["id"] == 41 && pong["ok"]["time"].is_u64(), "{pong}");
    let (_, not_utf8) = error(&mut ann, b"{\"id\":1,\"ping\":\"\xff\"}".to_vec()).await;
    assert_eq!(not_utf8["code"], "bad_request");
}

#[tokio::test]
async fn refusals_say_which_and_the_connection_lives() {
    let server = start_with("limits.subscriptions = 1\n[namespaces.room]\n[namespaces.news]\npublish = \"nobody\"\npresence = false").await;
    let mut ann = Peer::connect(&server, "ann").await;
    let of = |channel: &str| json!({ "channel": channel });
    assert_eq!(ann.refused("subscribe", of("nowhere:1")).await, "unknown_channel");
    assert_eq!(ann.refused("publish", json!({"channel": "news:1", "data": 1})).await, "forbidden");
    assert_eq!(ann.refused("presence", of("news:1")).await, "forbidden");
    assert_eq!(ann.refused("unsubscribe", of("room:1")).await, "not_subscribed");
    ann.ok("subscribe", of("room:1")).await;
    assert_eq!(ann.refused("subscribe", of("room:1")).await, "conflict");
    assert_eq!(ann.refused("subscribe", of("room:2")).await, "too_many");
    assert_eq!(ann.refused("connect", json!({"ticket": "x"})).await, "conflict");
    ann.ok("unsubscribe", of("room:1")).await;
    ann.ok("subscribe", of("room:2")).await;
}

#[tokio::test]
async fn where_anyone_may_a_client_needs_no_credential() {
    let server = start_with("[namespaces.open]\nsubscribe = \"anyone\"\n[namespaces.room]").await;
    let mut nobody = Peer::with_connect(&server, json!({})).await;
    assert!(nobody.connected["user"].is_null(), "{}", nobody.connected);
    nobody.ok("subscribe", json!({"channel": "open:1"})).await;
    assert_eq!(nobody.refused("subscribe", json!({"channel": "room:1"})).await, "forbidden");
    assert_eq!(nobody.refused("publish", json!({"channel": "open:1", "data": 1})).await, "forbidden");
}
