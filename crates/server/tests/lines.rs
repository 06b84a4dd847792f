//! The lines door: the exchange of its handshake, what is taken as an object, how it ends.

mod support;

use serde_json::json;
use support::lines::{Lines, request};
use support::peer::Peer;
use support::raw::{ask, dial, read_answer, rest};
use support::{eventually, start, start_all, start_with, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn the_four_lines_of_the_original_client_open_the_door_and_the_session_comes_first() {
    let server = start().await;
    let ticket = server.ticket("ann").await;
    let (answer, mut ann) = Lines::ask(server.address, &request(server.address, &ticket)).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("firepresence/1.0"));
    assert!(answer.header("trunkline").is_some());
    let first = ann.read().await.expect("connected");
    assert_eq!(first["connected"]["user"], "ann");
    assert_eq!(ann.ok("subscribe", json!({"channel": "room:1"})).await["offset"], 0);
    ann.ok("publish", json!({"channel": "room:1", "data": "two\nlines"})).await;
    let push = ann.push().await;
    assert_eq!(push["pub"]["data"], "two\nlines", "newlines inside are escaped");
    let (_, sessions) = server.get("sessions").await;
    assert_eq!(sessions["sessions"][0]["door"], "lines", "{sessions}");
    assert!((server.metric("trunkline_lines").await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn it_is_at_both_places_by_both_names_in_whatever_case_with_or_without_a_version() {
    let server = start_with("[lines]\nupgrade = \"presence-lines\"").await;
    for (place, token, answered) in [
        ("OPTIONS /", "presence-lines", "presence-lines/1.0"),
        ("GET /connect", "Presence-Lines/1.0", "presence-lines/1.0"),
        ("OPTIONS /", "hub-lines", "hub-lines"),
        ("GET /connect", "other, hub-lines", "hub-lines"),
    ] {
        let ticket = server.ticket("ann").await;
        let head = format!(
            "{place}?ticket={ticket} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: {token}\r\n\r\n",
            server.address
        );
        let (answer, mut lines) = Lines::ask(server.address, &head).await;
        assert_eq!((answer.status, answer.header("upgrade")), (101, Some(answered)), "{token}");
        assert!(lines.read().await.expect("connected")["connected"].is_object());
    }
    let (answer, _) = Lines::ask(server.address, &request(server.address, "x")).await;
    assert_eq!(answer.status, 400, "firepresence is not its name here: {answer:?}");
}

#[tokio::test]
async fn without_upgrade_the_answer_is_426_that_names_it_and_a_preflight_is_answered_as_one() {
    let server = start_with("origins = [\"https://app.example\"]").await;
    let address = server.address;
    let answer =
        ask(address, &format!("OPTIONS / HTTP/1.1\r\nHost: {address}\r\nX-Auth-Token: x\r\n\r\n")).await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), Some("firepresence, hub-lines, websocket"));
    assert!(answer.body.contains("hub-lines"), "in words too, as proxies drop the header");
    let preflight = |origin: &str| {
        format!(
            "OPTIONS / HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: GET\r\n\r\n"
        )
    };
    let answer = ask(address, &preflight("https://app.example")).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(ask(address, &preflight("https://evil.example")).await.status, 403);
}

#[tokio::test]
async fn what_breaks_the_handshake_is_refused_with_its_reason_and_nothing_behind_it_is_read() {
    let server = start().await;
    let address = server.address;
    for (head, status) in [
        ("OPTIONS /connect HTTP/1.1\r\nHost: h\r\nUpgrade: hub-lines\r\n\r\n", 400),
        ("POST /connect HTTP/1.1\r\nHost: h\r\nUpgrade: hub-lines\r\n\r\n", 400),
        ("OPTIONS / HTTP/1.1\r\nHost: h\r\nUpgrade: hub-lines\r\nContent-Length: 3\r\n\r\n{}\n", 400),
        (
            "OPTIONS / HTTP/1.1\r\nHost: h\r\nUpgrade: hub-lines\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("OPTIONS / HTTP/1.1\r\nHost: h\r\nUpgrade: hub-lines\r\nOrigin: https://evil.example\r\n\r\n", 403),
        ("OPTIONS / HTTP/1.1\r\nHost: h\r\nUpgrade: hub-lines\r\nOrigin: null\r\n\r\n", 403),
        ("OPTIONS / HTTP/1.1\r\nHost: h\r\nUpgrade: hub-lines/2.0\r\n\r\n", 400),
    ] {
        let answer = ask(address, &format!("{head}GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{head:?} {answer:?}");
    }
}

#[tokio::test]
async fn a_bad_ticket_is_told_behind_the_101_and_a_good_one_is_spent() {
    let server = start().await;
    let ticket = server.ticket("ann").await;
    let (_, mut first) = Lines::ask(server.address, &request(server.address, &ticket)).await;
    assert!(first.read().await.expect("connected")["connected"].is_object());
    for bad in [ticket.as_str(), "", "made-up"] {
        let (answer, mut lines) = Lines::ask(server.address, &request(server.address, bad)).await;
        assert_eq!(answer.status, 101);
        let said = lines.end().await;
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0]["disconnect"]["code"], "unauthenticated");
    }
}

#[tokio::test]
async fn without_a_ticket_connect_comes_first_and_has_its_time() {
    let server = start_with("limits.connect_timeout_s = 0.3").await;
    let head = format!("OPTIONS / HTTP/1.1\r\nHost: {}\r\nUpgrade: hub-lines\r\n\r\n", server.address);
    let (_, mut lines) = Lines::ask(server.address, &head).await;
    let ticket = server.ticket("ann").await;
    assert_eq!(lines.ok("connect", json!({ "ticket": ticket })).await["user"], "ann");
    let (_, mut silent) = Lines::ask(server.address, &head).await;
    assert_eq!(silent.end().await[0]["disconnect"]["code"], "unauthenticated");
}

#[tokio::test]
async fn objects_need_no_newline_and_may_come_a_byte_at_a_time_and_with_the_head() {
    let server = start().await;
    let ticket = server.ticket("ann").await;
    let head = request(server.address, &ticket);
    let commands = "{\"id\":1,\"ping\":{}}{\"id\":2,\"ping\":{}}\r\n\n {\"id\":3,\"publish\":{\"channel\":\"room:1\",\"data\":\"}{\\\"\"}}";
    for byte_by_byte in [false, true] {
        let ticket = server.ticket("ann").await;
        let all = if byte_by_byte { request(server.address, &ticket) } else { head.clone() } + commands;
        let mut stream = dial(server.address).await;
        stream.set_nodelay(true).expect("a TCP socket");
        for piece in all.as_bytes().chunks(if byte_by_byte { 1 } else { all.len() }) {
            stream.write_all(piece).await.expect("the server reads");
        }
        assert_eq!(read_answer(&mut stream).await.status, 101);
        let mut lines = Lines::over(stream);
        assert!(lines.read().await.expect("connected")["connected"].is_object());
        for id in 1..=3 {
            assert_eq!(lines.read().await.expect("a reply")["id"], id);
        }
    }
}

#[tokio::test]
async fn wherever_the_client_is_cut_off_it_is_gone_and_nobody_else_notices() {
    let server = start().await;
    let ann = &mut Lines::connect(&server, "ann").await;
    let whole = format!(
        "OPTIONS / HTTP/1.1\r\nHost: {}\r\nUpgrade: hub-lines\r\n\r\n{{\"id\":1,\"ping\":{{}}}}\n",
        server.address
    );
    for cut in 1..whole.len() {
        let mut stream = dial(server.address).await;
        stream.write_all(&whole.as_bytes()[..cut]).await.expect("the server reads");
        drop(stream);
    }
    ann.ok("ping", json!({})).await;
    eventually("only ann is left", || async { (server.metric("trunkline_lines").await - 1.0).abs() < 0.5 })
        .await;
    assert!(server.metric("trunkline_panics_total").await < 1.0);
}

#[tokio::test]
async fn what_is_no_json_object_gets_one_generic_line_and_the_end() {
    let server = start().await;
    for garbage in [
        "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "[1,2]",
        "\"text\"",
        "7",
        "}",
        "{]",
        "{\"id\":1,\"ping\":{}",
        "{nonsense}",
        "\u{feff}{}",
        "\0\0\0\0",
    ] {
        let mut ann = Lines::connect(&server, "ann").await;
        ann.say(garbage).await;
        if garbage.ends_with("{}") || garbage == "{\"id\":1,\"ping\":{}" {
            ann.say(" GET /x }").await;
        }
        let said = ann.end().await;
        assert_eq!(said.len(), 1, "{garbage:?}: {said:?}");
        let error = &said[0]["error"];
        assert_eq!(error["code"], "bad_request", "{garbage:?}: {said:?}");
        let message = error["message"].as_str().expect("a message");
        assert_eq!(message, "JSON objects are taken here, one after the other, and nothing else");
    }
}

#[tokio::test]
async fn an_object_that_is_no_command_is_answered_by_its_id_and_without_one_it_is_the_end() {
    let server = start().await;
    let mut ann = Lines::connect(&server, "ann").await;
    ann.say("{\"id\":7,\"dance\":{}}").await;
    let error = ann.read().await.expect("an answer");
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(7), &json!("bad_request")));
    ann.ok("ping", json!({})).await;
    ann.say("{\"dance\":{}}{\"id\":1,\"ping\":{}}").await;
    let said = ann.end().await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0]["error"]["message"].as_str().expect("a message").contains("dance"));
    // Whoever garbled it: the session is there to come back to.
    let session = ann.connected["session"].clone();
    Peer::with_connect(&server, json!({ "session": session })).await;
}

#[tokio::test]
async fn an_object_of_exactly_the_limit_is_taken_and_one_byte_more_is_the_end() {
    let server = start_with("[limits]\nmessage_bytes = 2000\npublication_bytes = 100").await;
    let ping = |bytes: usize| {
        let frame = "{\"id\":7,\"ping\":{\"a\":\"\"}}";
        frame.replace("\"a\":\"", &format!("\"a\":\"{}", "x".repeat(bytes - frame.len())))
    };
    let mut ann = Lines::connect(&server, "ann").await;
    ann.say(ping(2000)).await;
    assert_eq!(ann.read().await.expect("a reply")["id"], 7);
    ann.say(&ping(3000)[..2001]).await;
    let said = ann.end().await;
    assert_eq!((said.len(), &said[0]["error"]["code"]), (1, &json!("too_large")), "{said:?}");
}

#[tokio::test]
async fn who_hangs_up_its_direction_gets_its_answers_first() {
    let server = start().await;
    let mut ann = Lines::connect(&server, "ann").await;
    ann.say("{\"id\":1,\"publish\":{\"channel\":\"room:1\",\"data\":1}}\n{\"id\":2,\"ping\":{}}").await;
    ann.stream.shutdown().await.expect("an open socket");
    let said = ann.end().await;
    let ids: Vec<_> = said.iter().map(|message| message["id"].clone()).collect();
    assert!(ids.contains(&json!(1)) && ids.contains(&json!(2)), "{said:?}");
}

#[tokio::test]
async fn a_silent_client_is_asked_and_one_that_does_not_answer_is_gone_but_its_session_is_not() {
    let server = start_with("[heartbeat]\ninterval_s = 0.2\ntimeout_s = 0.4").await;
    let (mut ann, mut bob) = (Lines::connect(&server, "ann").await, Lines::connect(&server, "bob").await);
    for _ in 0..4 {
        let ping = ann.read().await.expect("a ping");
        let number = ping["ping"].as_u64().unwrap_or_else(|| panic!("{ping}"));
        ann.say(format!("{{\"pong\":{number}}}")).await;
    }
    let said = bob.end().await;
    assert_eq!((said.len(), &said[0]["ping"]), (1, &json!(1)), "{said:?}");
    let session = bob.connected["session"].clone();
    Peer::with_connect(&server, json!({ "session": session })).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_stalls_nobody_and_goes_on_where_it_was() {
    let server = start_with("limits.outbox_bytes = \"64 KiB\"").await;
    let mut ann = Lines::connect(&server, "ann").await;
    let mut bob = Peer::connect(&server, "bob").await;
    ann.ok("subscribe", json!({"channel": "room:1"})).await;
    let data = "x".repeat(24_000);
    for _ in 0..300 {
        bob.ok("publish", json!({"channel": "room:1", "data": data})).await;
    }
    let waiting = server.metric("trunkline_outbox_bytes").await;
    assert!(waiting <= 2.0 * 65_536.0, "{waiting} bytes in the outboxes");
    assert!(server.metric("trunkline_publications_deferred_total").await > 0.0, "it was never slow");
    for offset in 1..=300 {
        let push = ann.push().await;
        assert_eq!(push["pub"]["offset"], offset, "nothing lost, nothing twice: {:.200}", push.to_string());
    }
}

#[tokio::test]
async fn a_raw_listener_speaks_it_from_the_first_byte() {
    let toml =
        "[listen]\naddress = \"127.0.0.1:0\"\n[listener.raw]\naddress = \"127.0.0.1:0\"\nspeaks = \"lines\"";
    let (server, addresses) = start_all(toml).await;
    let raw = *addresses.iter().find(|address| **address != server.address).expect("a second listener");
    let mut lines = Lines::over(dial(raw).await);
    let ticket = server.ticket("ann").await;
    assert_eq!(lines.ok("connect", json!({ "ticket": ticket })).await["user"], "ann");
    lines.ok("publish", json!({"channel": "room:1", "data": 1})).await;
    let mut http = dial(raw).await;
    http.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the server reads");
    let said = rest(&mut http).await;
    assert!(said.starts_with("{\"error\":{\"code\":\"bad_request\"") && said.lines().count() == 1, "{said}");
}

#[tokio::test]
async fn a_stop_is_told_and_ends_it() {
    let mut server = start().await;
    let mut ann = Lines::connect(&server, "ann").await;
    server.begin_stop();
    let said = ann.end().await;
    assert!(said[0]["go_away"].is_object(), "{said:?}");
    assert_eq!(said[1]["disconnect"]["code"], "unavailable", "{said:?}");
    drop(ann);
    assert_eq!(server.stopped().await.cut, 0);
}

#[tokio::test]
async fn the_second_request_of_a_connection_opens_it_too() {
    let server = start().await;
    let address = server.address;
    let mut stream = dial(address).await;
    let first = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(first.as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 200);
    let ticket = server.ticket("ann").await;
    let second = request(address, &ticket) + "{\"id\":1,\"ping\":{}}";
    stream.write_all(second.as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 101);
    let mut lines = Lines::over(stream);
    assert!(lines.read().await.expect("connected")["connected"].is_object());
    assert_eq!(lines.read().await.expect("a reply")["id"], 1);
}

#[tokio::test]
async fn a_flood_of_commands_is_refused_and_then_ended_as_at_every_door() {
    let server = start_with("[limits]\ncommands_per_s = 1\ncommands_burst = 5").await;
    let mut ann = Lines::connect(&server, "ann").await;
    let flood: String = (1..=40).map(|id| format!("{{\"id\":{id},\"ping\":{{}}}}")).collect();
    ann.say(flood).await;
    let said = ann.end().await;
    let last = said.last().expect("the end is told");
    assert_eq!(last["disconnect"]["code"], "rate_limited", "{said:?}");
    let refused = said.iter().filter(|message| message["error"]["code"] == "rate_limited").count();
    assert!(refused > 0, "{said:?}");
}

#[tokio::test]
async fn it_is_closed_where_the_listener_says_so() {
    let server = start_with("[listen]\ndoors = [\"websocket\"]").await;
    let answer = ask(server.address, &request(server.address, "x")).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(!answer.body.contains("firepresence"), "{answer:?}");
    let mut stream = dial(server.address).await;
    let mut nothing = [0; 1];
    stream.shutdown().await.expect("an open socket");
    assert_eq!(within(stream.read(&mut nothing)).await.expect("the end"), 0);
}
