//! The sse door: events and their ids, coming back by them, commands by POST, pages of other origins.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::events::{Events, command};
use support::http2::Client;
use support::lines::Lines;
use support::peer::Peer;
use support::raw::{ask, dial, read_answer, rest};
use support::{eventually, start, start_with, within};
use tokio::io::AsyncWriteExt;

async fn publish(peer: &mut Peer, data: impl Into<Value>) {
    peer.ok("publish", json!({"channel": "room:1", "data": data.into()})).await;
}

#[tokio::test]
async fn the_url_says_the_commands_and_their_replies_and_all_pushes_are_events() {
    let server = start().await;
    let mut bob = Peer::connect(&server, "bob").await;
    let (mut ann, connected) = Events::connect(&server, "ann", "room:1,room:2,room:1,nowhere:1").await;
    assert_eq!((&connected["user"], ann.comments), (&json!("ann"), 1), "a comment comes before all else");
    assert!((1_000..3_000).contains(&ann.retry.expect("retry")));
    let mut replies = vec![];
    for _ in 0..3 {
        replies.push(ann.next().await.expect("a reply"));
    }
    // In any order, and one for the channel that was named twice.
    replies.sort_by_key(|reply| reply["id"].as_u64());
    for (id, reply) in (1..).zip(&replies[..2]) {
        assert_eq!((&reply["id"], &reply["ok"]["offset"]), (&json!(id), &json!(0)), "{reply}");
    }
    let refused = &replies[2];
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(3), &json!("unknown_channel")));
    for number in 1..=3 {
        publish(&mut bob, number).await;
        let push = ann.next().await.expect("a push");
        assert_eq!((&push["channel"], &push["pub"]["offset"]), (&json!("room:1"), &json!(number)));
    }
    let session = connected["session"].as_str().expect("a token");
    assert!(ann.last_id.starts_with(&format!("{session}.3-")), "{}", ann.last_id);
    let (_, sessions) = server.get("sessions?user=ann").await;
    assert_eq!(sessions["sessions"][0]["door"], "sse", "{sessions}");
}

#[tokio::test]
async fn the_last_id_brings_back_session_and_place_again_and_again_though_the_ticket_is_spent() {
    let server = start().await;
    let mut bob = Peer::connect(&server, "bob").await;
    let ticket = server.ticket("ann").await;
    let query = format!("channels=room:1,room:2&ticket={ticket}");
    let mut ann = Events::open(server.address, &query, "").await.expect("a stream");
    for _ in 0..3 {
        ann.next().await.expect("connected, and two replies");
    }
    let mut next = 0;
    for cut in 0..4 {
        next += 1;
        publish(&mut bob, next).await;
        assert_eq!(ann.next().await.expect("a push")["pub"]["data"], next);
        let last = format!("Last-Event-ID: {}\r\n", ann.last_id);
        drop(ann);
        for _ in 0..2 {
            next += 1;
            publish(&mut bob, next).await;
        }
        ann = Events::open(server.address, &query, &last)
            .await
            .unwrap_or_else(|no| panic!("cut {cut}: {no:?}"));
        assert_eq!(ann.next().await.expect("connected")["connected"]["user"], "ann");
        let back = ann.next().await.expect("a reply");
        assert_eq!(back["ok"]["recovered"], true, "cut {cut}: {back}");
        let missed: Vec<_> = back["ok"]["publications"].as_array().expect("an array").iter().collect();
        let data: Vec<_> = missed.iter().map(|publication| publication["data"].clone()).collect();
        assert_eq!(data, [json!(next - 1), json!(next)], "cut {cut}");
        assert_eq!(ann.next().await.expect("a reply")["ok"]["recovered"], true);
    }
    // One session all along, and without its last id the ticket is worth nothing.
    assert_eq!(server.get("sessions?user=ann").await.1["sessions"].as_array().map(Vec::len), Some(1));
    let refused = Events::open(server.address, &query, "").await.err().expect("a refusal");
    assert_eq!((refused.status, refused.header("www-authenticate").is_some()), (401, true));
}

#[tokio::test]
async fn a_cut_before_the_replies_loses_no_position() {
    let server = start().await;
    let mut bob = Peer::connect(&server, "bob").await;
    let (mut ann, _) = Events::connect(&server, "ann", "room:1").await;
    ann.next().await.expect("a reply");
    publish(&mut bob, 1).await;
    ann.next().await.expect("a push");
    let mut last = ann.last_id.clone();
    drop(ann);
    publish(&mut bob, 2).await;
    for _ in 0..3 {
        let header = format!("Last-Event-ID: {last}\r\n");
        let mut back = Events::open(server.address, "channels=room:1", &header).await.expect("a stream");
        assert!(back.next().await.expect("connected")["connected"].is_object());
        last = back.last_id;
    }
    let header = format!("Last-Event-ID: {last}\r\n");
    let mut back = Events::open(server.address, "channels=room:1", &header).await.expect("a stream");
    back.next().await.expect("connected");
    let reply = back.next().await.expect("a reply");
    assert_eq!(reply["ok"]["publications"][0]["data"], 2, "{reply}");
}

#[tokio::test]
async fn a_token_that_never_arrived_does_not_make_the_one_before_it_worthless() {
    let server = start().await;
    let (mut ann, _) = Events::connect(&server, "ann", "room:1").await;
    ann.next().await.expect("a reply");
    let header = format!("Last-Event-ID: {}\r\n", ann.last_id);
    drop(ann);
    for _ in 0..3 {
        // Nothing of the answer is read: its token is lost.
        drop(Events::open(server.address, "channels=room:1", &header).await.expect("a stream"));
    }
    let mut back = Events::open(server.address, "channels=room:1", &header).await.expect("a stream");
    assert!(back.next().await.expect("connected")["connected"].is_object());
}

#[tokio::test]
async fn the_positions_alone_go_on_with_a_new_ticket() {
    let server = start().await;
    let mut bob = Peer::connect(&server, "bob").await;
    let (mut ann, _) = Events::connect(&server, "ann", "room:1").await;
    ann.next().await.expect("a reply");
    let last = ann.last_id.clone();
    drop(ann);
    publish(&mut bob, 1).await;
    let ticket = server.ticket("ann").await;
    let query = format!("channels=room:1&ticket={ticket}&last_event_id={last}");
    let mut back = Events::open(server.address, &query, "").await.expect("a stream");
    back.next().await.expect("connected");
    assert_eq!(back.next().await.expect("a reply")["ok"]["publications"][0]["data"], 1);
}

#[tokio::test]
async fn who_is_ended_for_good_is_told_not_to_come_back() {
    let server = start().await;
    let (mut ann, _) = Events::connect(&server, "ann", "room:1").await;
    ann.next().await.expect("a reply");
    server.post("disconnect", &json!({"user": "ann"})).await;
    assert_eq!(ann.next().await.expect("the end is told")["disconnect"]["code"], "forbidden");
    assert_eq!(ann.next().await, None);
    assert_eq!(ann.last_id, "end");
    let header = "Last-Event-ID: end\r\n";
    let refused = Events::open(server.address, "channels=room:1", header).await.err().expect("a refusal");
    assert_eq!(refused.status, 204, "a browser then gives up");
}

#[tokio::test]
async fn a_quiet_stream_beats_and_says_where_it_is_when_publications_went_by_that_were_not_for_it() {
    let server = start_with("heartbeat.interval_s = 0.2").await;
    let (mut ann, connected) = Events::connect(&server, "ann", "room:1").await;
    ann.next().await.expect("a reply");
    let session = connected["session"].as_str().expect("a token").to_owned();
    let own = json!({"id": 1, "publish": {"channel": "room:1", "data": 1, "exclude_self": true}});
    assert_eq!(command(server.address, &session, &own).await.0, 200);
    let bob = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.post("publish", &json!({"channel": "room:2", "data": 1})).await;
        server.post("disconnect", &json!({"user": "ann", "reconnect": true})).await;
    };
    let ((), last) = tokio::join!(bob, ann.next());
    assert!(last.expect("the end is told")["disconnect"].is_object());
    assert!(ann.comments >= 3, "{} beats in a second", ann.comments);
    assert!(ann.last_id.contains(".1-"), "{}", ann.last_id);
}

#[tokio::test]
async fn one_command_is_said_by_post_with_the_session_or_with_a_ticket() {
    let server = start().await;
    let (mut ann, connected) = Events::connect(&server, "ann", "room:1").await;
    ann.next().await.expect("a reply");
    let session = connected["session"].as_str().expect("a token");
    let address = server.address;
    let publish = json!({"id": 7, "publish": {"channel": "room:1", "data": "by post"}});
    let (status, reply) = command(address, session, &publish).await;
    assert_eq!((status, &reply["id"], &reply["ok"]["offset"]), (200, &json!(7), &json!(1)), "{reply}");
    let push = ann.next().await.expect("a push");
    assert_eq!((&push["pub"]["data"], &push["pub"]["user"]), (&json!("by post"), &json!("ann")));
    let (status, reply) =
        command(address, session, &json!({"id": 8, "presence": {"channel": "room:1"}})).await;
    assert_eq!((status, &reply["ok"]["members"][0]["sessions"]), (200, &json!(1)), "{reply}");
    let ticket = server.ticket("bob").await;
    let body = publish.to_string();
    for expected in [200, 401] {
        let request = format!(
            "POST /commands?ticket={ticket} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(ask(address, &request).await.status, expected);
    }
    assert_eq!(ann.next().await.expect("a push")["pub"]["user"], "bob");
}

#[tokio::test]
async fn a_command_that_is_refused_has_the_status_of_its_code_and_the_body_of_the_dialect() {
    let server = start_with("[limits]\ncommands_per_s = 1\ncommands_burst = 7").await;
    let (mut ann, connected) = Events::connect(&server, "ann", "room:1").await;
    ann.next().await.expect("a reply");
    let session = connected["session"].as_str().expect("a token").to_owned();
    let say = |body: Value| {
        let (address, session) = (server.address, session.clone());
        async move { command(address, &session, &body).await }
    };
    for (body, status, code) in [
        (json!({"id": 1, "publish": {"channel": "nowhere:1", "data": 1}}), 404, "unknown_channel"),
        (json!({"id": 1, "subscribe": {"channel": "room:2"}}), 400, "bad_request"),
        (json!({"id": 1, "connect": {}}), 409, "conflict"),
        (json!({"id": 1, "dance": {}}), 400, "bad_request"),
        (json!([1]), 400, "bad_request"),
    ] {
        let (got, reply) = say(body.clone()).await;
        assert_eq!((got, &reply["error"]["code"]), (status, &json!(code)), "{body} {reply}");
    }
    let mut last = (0, Value::Null);
    for _ in 0..4 {
        last = say(json!({"id": 1, "ping": {}})).await;
    }
    assert_eq!(
        (last.0, &last.1["error"]["code"]),
        (429, &json!("rate_limited")),
        "counted with the stream's own"
    );
    let (status, _) = command(server.address, "made-up", &json!({"id": 1, "ping": {}})).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_words_before_a_ticket_is_spent() {
    let server = start().await;
    let ticket = server.ticket("ann").await;
    let many = (0..33).map(|number| format!("room:{number}")).collect::<Vec<_>>().join(",");
    for query in ["", "channels=", "channels=%00", &format!("channels={many}")] {
        let query = format!("{query}&ticket={ticket}");
        let refused = Events::open(server.address, &query, "").await.err().expect("a refusal");
        assert_eq!(refused.status, 400, "{query}");
        assert!(!refused.json()["detail"].as_str().expect("words").is_empty());
    }
    let address = server.address;
    let head = format!("HEAD /events?channels=room:1&ticket={ticket} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut stream = dial(address).await;
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let mut first = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 405");
    let mut ann =
        Events::open(address, &format!("channels=room:1&ticket={ticket}"), "").await.expect("a stream");
    ann.next().await.expect("connected");
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_read_it_and_one_of_another_may_not() {
    let server = start_with("origins = [\"https://app.example\"]").await;
    let address = server.address;
    for path in ["/events", "/commands"] {
        let preflight = |origin: &str| {
            format!(
                "OPTIONS {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: close\r\n\
                 Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n\r\n"
            )
        };
        let answer = ask(address, &preflight("https://app.example")).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
        assert!(
            answer.header("access-control-allow-headers").is_some_and(|all| all.contains("Authorization"))
        );
        assert_eq!(ask(address, &preflight("https://evil.example")).await.status, 403);
    }
    let ticket = server.ticket("ann").await;
    let query = format!("channels=room:1&ticket={ticket}");
    let evil =
        Events::open(address, &query, "Origin: https://evil.example\r\n").await.err().expect("a refusal");
    assert_eq!(evil.status, 403);
    let request =
        format!("GET /events?{query} HTTP/1.1\r\nHost: {address}\r\nOrigin: https://app.example\r\n\r\n");
    let mut stream = dial(address).await;
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let answer = read_answer(&mut stream).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
}

#[tokio::test]
async fn a_client_that_does_not_read_stalls_nobody_and_misses_nothing_that_history_has() {
    let server = start_with("limits.outbox_bytes = \"64 KiB\"").await;
    let (mut ann, _) = Events::connect(&server, "ann", "room:1").await;
    let mut bob = Peer::connect(&server, "bob").await;
    ann.next().await.expect("a reply");
    let data = "x".repeat(24_000);
    for _ in 0..300 {
        publish(&mut bob, data.clone()).await;
    }
    assert!(server.metric("trunkline_outbox_bytes").await <= 2.0 * 65_536.0);
    assert!(server.metric("trunkline_publications_deferred_total").await > 0.0, "it was never slow");
    for offset in 1..=300 {
        assert_eq!(ann.next().await.expect("a push")["pub"]["offset"], offset);
    }
}

#[tokio::test]
async fn the_second_request_of_a_connection_opens_a_stream_too() {
    let server = start().await;
    let address = server.address;
    let mut stream = dial(address).await;
    let first = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(first.as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 200);
    let ticket = server.ticket("ann").await;
    let mut ann = Events::over(stream, address, &format!("channels=room:1&ticket={ticket}"), "")
        .await
        .expect("a stream");
    assert!(ann.next().await.expect("connected")["connected"].is_object());
    assert!(ann.next().await.expect("a reply")["ok"].is_object());
    server.post("publish", &json!({"channel": "room:1", "data": 1})).await;
    assert_eq!(ann.next().await.expect("a push")["pub"]["data"], 1);
}

#[tokio::test]
async fn what_a_client_says_behind_its_request_is_no_second_one() {
    let server = start().await;
    let address = server.address;
    let ticket = server.ticket("ann").await;
    let mut stream = dial(address).await;
    let request = format!("GET /events?channels=room:1&ticket={ticket} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let behind = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all((request + &behind).as_bytes()).await.expect("the server reads");
    let head = read_answer(&mut stream).await;
    assert_eq!((head.status, head.header("connection")), (200, Some("close")));
    stream.write_all(behind.repeat(10).as_bytes()).await.expect("the server reads");
    server.post("disconnect", &json!({"user": "ann"})).await;
    let said = rest(&mut stream).await;
    assert!(said.contains("\"disconnect\"") && said.ends_with("0\r\n\r\n"), "{said}");
    assert!(!said.contains("HTTP/1.1"), "{said}");
}

#[tokio::test]
async fn a_client_that_leaves_is_gone_at_once() {
    let server = start().await;
    let (ann, _) = Events::connect(&server, "ann", "room:1").await;
    drop(ann);
    eventually("nobody is there", || async { server.metric("trunkline_event_streams").await < 0.5 }).await;
}

#[tokio::test]
async fn many_streams_share_one_http2_connection_and_each_counts() {
    const STREAMS: usize = 40;
    let server = start().await;
    let client = Client::start(dial(server.address).await).await;
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        let ticket = server.ticket(&format!("user-{number}")).await;
        let url = format!("http://{}/events?channels=room:1&ticket={ticket}", server.address);
        let (head, body) = client.open(&url).await;
        assert_eq!(head.status(), 200);
        streams.push((body, String::new()));
    }
    assert_eq!(server.metric("trunkline_event_streams").await, STREAMS as f64);
    // Each is a connection of its own, beside the one that carries them and the one that asks.
    assert_eq!(server.metric("trunkline_connections").await, (STREAMS + 2) as f64);
    server.post("publish", &json!({"channel": "room:1", "data": "to all"})).await;
    for (body, said) in &mut streams {
        while !said.contains("to all") {
            let data = within(body.data()).await.expect("more").expect("an open stream");
            body.flow_control().release_capacity(data.len()).expect("an open stream");
            *said += std::str::from_utf8(&data).expect("text");
        }
    }
    drop(streams.split_off(1));
    eventually("those that were reset are gone", || async {
        server.metric("trunkline_event_streams").await < 1.5
    })
    .await;
}

#[tokio::test]
async fn a_stop_is_told_and_the_connection_ends() {
    let mut server = start().await;
    let (mut ann, _) = Events::connect(&server, "ann", "room:1").await;
    ann.next().await.expect("a reply");
    server.begin_stop();
    assert!(ann.next().await.expect("told")["go_away"].is_object());
    assert_eq!(ann.next().await.expect("told")["disconnect"]["code"], "unavailable");
    assert_eq!(ann.next().await, None);
    assert!(ann.last_id.contains('.'), "it is to come back: {}", ann.last_id);
    drop(ann);
    assert_eq!(server.stopped().await.cut, 0);
}

#[tokio::test]
async fn one_user_by_every_door_sees_the_same_in_the_same_order_and_is_present_once() {
    let server = start().await;
    let room = json!({"channel": "room:1"});
    let mut by_websocket = Peer::connect(&server, "ann").await;
    let mut by_lines = Lines::connect(&server, "ann").await;
    by_websocket.ok("subscribe", room.clone()).await;
    by_lines.ok("subscribe", room.clone()).await;
    let (mut by_events, connected) = Events::connect(&server, "ann", "room:1").await;
    by_events.next().await.expect("a reply");
    let session = connected["session"].as_str().expect("a token");
    for round in 0..20 {
        let body = |door: &str| json!({"channel": "room:1", "data": format!("{door} {round}")});
        by_websocket.ok("publish", body("websocket")).await;
        by_lines.ok("publish", body("lines")).await;
        let (status, _) = command(server.address, session, &json!({"id": 1, "publish": body("sse")})).await;
        assert_eq!(status, 200);
    }
    for offset in 1..=60 {
        let push = by_websocket.push().await;
        assert_eq!(push["pub"]["offset"], offset);
        assert_eq!(by_lines.push().await, push);
        assert_eq!(by_events.next().await, Some(push));
    }
    let (_, presence) = server.get("presence?channel=room:1").await;
    assert_eq!(
        (&presence["count"], &presence["members"][0]["sessions"]),
        (&json!(1), &json!(3)),
        "{presence}"
    );
    drop((by_websocket, by_lines, by_events));
    eventually("nobody is connected", || async { server.metric("trunkline_links").await < 0.5 }).await;
    assert!(server.metric("trunkline_event_streams").await < 0.5);
}
