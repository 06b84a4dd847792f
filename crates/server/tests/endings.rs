//! Every ending that the server starts: cause, push and close code, as in the table of docs/protocol.md.

mod support;

use serde_json::{Value, json};
use support::peer::{self, Peer, knock};
use support::{raw, start, start_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trunkline_net::Closed;

/// The last push says the code and whether to come back, and the Close frame has the close code and the same words.
fn is_ending(said: &[Value], closed: &Closed, code: &str, close_code: u16, reconnect: bool) {
    let last = said.last().expect("a disconnect push");
    assert_eq!(last["disconnect"]["code"], code, "{last}");
    assert_eq!(last["disconnect"]["reconnect"], reconnect, "{last}");
    assert_eq!(closed.code, close_code, "{closed}");
    let message = last["disconnect"]["message"].as_str().expect("a message");
    assert!(!message.is_empty());
    assert!(message.starts_with(&closed.reason), "{message:?} and {:?}", closed.reason);
}

#[tokio::test]
async fn a_kick_by_the_application_is_4403_unless_it_says_otherwise() {
    let server = start().await;
    for (user, (said, code, close_code, reconnect)) in ["ann", "bob", "cat", "dan"].into_iter().zip([
        (json!({}), "forbidden", 4403, false),
        (json!({"message": "out", "reconnect": true}), "forbidden", 4403, true),
        (json!({"code": "expired"}), "expired", 4410, true),
        (json!({"code": "rate_limited", "reconnect": false}), "rate_limited", 4429, false),
    ]) {
        let mut kicked = Peer::connect(&server, user).await;
        let mut whom = said.clone();
        whom["user"] = json!(user);
        let (status, answer) = server.post("disconnect", &whom).await;
        assert_eq!((status, &answer["disconnected"]), (200, &json!(1)), "{answer}");
        let (words, closed) = kicked.end().await;
        is_ending(&words, &closed, code, close_code, reconnect);
        if let Some(message) = said.get("message") {
            assert_eq!(&words.last().expect("a push")["disconnect"]["message"], message);
        }
    }
}

#[tokio::test]
async fn a_kick_of_one_session_leaves_the_users_others_and_its_token_is_worth_nothing() {
    let server = start().await;
    let mut first = Peer::connect(&server, "ann").await;
    let (_, sessions) = server.get("sessions?user=ann").await;
    let session = sessions["sessions"][0]["session"].clone();
    let mut second = Peer::connect(&server, "ann").await;
    let (_, answer) = server.post("disconnect", &json!({"session": session})).await;
    assert_eq!(answer["disconnected"], 1);
    let (words, closed) = first.end().await;
    is_ending(&words, &closed, "forbidden", 4403, false);
    second.ok("ping", json!({})).await;
    let mut back = knock(&server, "").await;
    back.send(json!({"id": 1, "connect": {"session": first.session()}}).to_string()).await.expect("open");
    assert_eq!(peer::read(&mut back).await.expect("a reply")["error"]["code"], "unauthenticated");
    let (_, nobody) = server.post("disconnect", &json!({"user": "nobody"})).await;
    assert_eq!(nobody["disconnected"], 0);
}

#[tokio::test]
async fn a_session_that_another_connection_takes_over_is_4409() {
    let server = start().await;
    let mut first = Peer::connect(&server, "ann").await;
    let _second = Peer::with_connect(&server, json!({"session": first.session()})).await;
    let (words, closed) = first.end().await;
    is_ending(&words, &closed, "conflict", 4409, false);
}

#[tokio::test]
async fn a_credential_that_runs_out_is_told_in_time_and_then_4410() {
    let server = start().await;
    let ticket = server.mint(&json!({"user": "ann", "session_ttl_s": 1})).await;
    let mut ann = Peer::with_query(&server, &format!("?ticket={ticket}")).await;
    assert!(ann.connected["expires"].is_u64(), "{}", ann.connected);
    let (words, closed) = ann.end().await;
    assert!(words[0]["expiring"]["in_ms"].is_u64(), "{words:?}");
    is_ending(&words, &closed, "expired", 4410, true);
}

#[tokio::test]
async fn a_credential_that_is_refreshed_does_not_run_out() {
    let server = start().await;
    let ticket = server.mint(&json!({"user": "ann", "session_ttl_s": 1})).await;
    let mut ann = Peer::with_query(&server, &format!("?ticket={ticket}")).await;
    let fresh = server.mint(&json!({"user": "ann", "session_ttl_s": 600})).await;
    let refreshed = ann.ok("refresh", json!({"ticket": fresh})).await;
    assert!(refreshed["expires"].as_u64() > ann.connected["expires"].as_u64(), "{refreshed}");
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    ann.ok("ping", json!({})).await;
}

#[tokio::test]
async fn a_client_that_does_not_heed_the_rate_limit_is_4429() {
    let server = start_with("[limits]\ncommands_per_s = 1\ncommands_burst = 3").await;
    let mut ann = Peer::connect(&server, "ann").await;
    for id in 100..110 {
        // It may be over before all are written.
        let _ = ann.socket.send(json!({"id": id, "ping": {}}).to_string()).await;
    }
    let (words, closed) = ann.end().await;
    let refused = words.iter().filter(|word| word["error"]["code"] == "rate_limited").count();
    assert!(refused > 0, "first it is told: {words:?}");
    is_ending(&words, &closed, "rate_limited", 4429, true);
}

#[tokio::test]
async fn a_slow_reader_where_the_namespace_says_disconnect_is_4428() {
    let server =
        start_with("limits.outbox_bytes = \"64 KiB\"\n[namespaces.strict]\nslow_reader = \"disconnect\"\n")
            .await;
    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("subscribe", json!({"channel": "strict:1"})).await;
    let data = "x".repeat(60_000);
    // Nobody reads while this goes on; the kernel and the socket's buffer take the first megabytes.
    for _ in 0..400 {
        server.post("publish", &json!({"channel": "strict:1", "data": data})).await;
        if server.metric("trunkline_links").await < 1.0
            || server.get("sessions?user=ann").await.1["sessions"][0]["attached"] == false
        {
            break;
        }
    }
    let (words, closed) = ann.end().await;
    is_ending(&words, &closed, "too_many", 4428, true);
}

#[tokio::test]
async fn a_message_over_the_limit_is_1009_and_what_breaks_the_protocol_is_1002() {
    let server = start_with("[limits]\nmessage_bytes = \"64 KiB\"").await;
    let mut ann = Peer::connect(&server, "ann").await;
    let _ = ann.socket.send("x".repeat(64 * 1024 + 1)).await;
    let mut said = Vec::new();
    while let Some(Ok(message)) = ann.socket.recv().await {
        said.push(message);
    }
    let closed = ann.socket.closed().expect("an end");
    assert_eq!(closed.code, 1009, "{closed}");

    let mut stream = raw::dial(server.address).await;
    stream
        .write_all(raw::upgrade(server.address, "/connect", "").as_bytes())
        .await
        .expect("the server reads");
    assert_eq!(raw::read_answer(&mut stream).await.status, 101);
    stream.write_all(&[0x81, 0x02, b'h', b'i']).await.expect("the server reads");
    let (opcode, payload) = raw::read_frame(&mut stream).await;
    assert_eq!((opcode, &payload[..2]), (0x88, &1002_u16.to_be_bytes()[..]));
    let mut rest = Vec::new();
    support::within(stream.read_to_end(&mut rest)).await.expect("the end");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_kick_reaches_a_client_that_does_not_read() {
    let server = start_with("limits.outbox_bytes = \"128 KiB\"").await;
    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("subscribe", json!({"channel": "room:1"})).await;
    let data = "x".repeat(60_000);
    // Until even the outbox is full: the kernel holds a few megabytes, and the socket's own buffer some more.
    support::eventually("the outbox is full", || async {
        server.post("publish", &json!({"channel": "room:1", "data": data})).await;
        server.metric("trunkline_publications_deferred_total").await >= 1.0
    })
    .await;
    server.post("disconnect", &json!({"user": "ann"})).await;
    support::eventually("the session has lost its link", || async {
        server.metric("trunkline_links").await < 1.0
    })
    .await;
}
