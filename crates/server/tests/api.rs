//! The HTTP API: every route with and without the key, and every way of asking wrongly.

mod support;

use serde_json::{Value, json};
use support::peer::Peer;
use support::raw::{ask, post};
use support::{start, start_with};

const ROUTES: &[(&str, &str)] = &[
    ("POST", "publish"),
    ("POST", "broadcast"),
    ("GET", "presence?channel=room:1"),
    ("GET", "history?channel=room:1"),
    ("GET", "channels"),
    ("POST", "tickets"),
    ("GET", "sessions"),
    ("POST", "disconnect"),
    ("GET", "node"),
];

#[tokio::test]
async fn every_route_asks_for_the_key_and_says_how() {
    let server = start().await;
    let wrong =
        ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic Og==\r\n", "Authorization: Bearer\r\n"];
    let twice = format!("Authorization: Bearer {}\r\nAuthorization: Bearer {}\r\n", server.key, server.key);
    for (method, route) in ROUTES {
        for header in wrong.iter().copied().chain([twice.as_str()]) {
            let request = format!(
                "{method} /api/v1/{route} HTTP/1.1\r\nHost: a\r\n{header}Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
            );
            let answer = ask(server.address, &request).await;
            assert_eq!(answer.status, 401, "{method} {route} {header}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"trunkline\""));
            is_problem(&answer.json(), 401, "unauthenticated");
        }
    }
}

fn is_problem(document: &Value, status: u16, code: &str) {
    assert_eq!(document["status"], status, "{document}");
    assert_eq!(document["code"], code, "{document}");
    assert_eq!(document["type"], "about:blank", "{document}");
    assert!(document["title"].is_string() && document["detail"].is_string(), "{document}");
}

#[tokio::test]
async fn what_is_published_gets_a_position_reaches_subscribers_and_stays_in_the_history() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("subscribe", json!({"channel": "room:1"})).await;
    let (status, first) =
        server.post("publish", &json!({"channel": "room:1", "data": {"text": "one"}})).await;
    assert_eq!((status, &first["offset"]), (200, &json!(1)), "{first}");
    let (_, second) = server.post("publish", &json!({"channel": "room:1", "data": "two"})).await;
    assert_eq!((&second["epoch"], &second["offset"]), (&first["epoch"], &json!(2)));

    let push = ann.push().await;
    assert_eq!(push["channel"], "room:1");
    assert_eq!(
        (&push["pub"]["offset"], &push["pub"]["data"]),
        (&json!(1), &json!({"text": "one"})),
        "{push}"
    );
    assert_eq!(ann.push().await["pub"]["data"], "two");

    let (status, history) = server.get("history?channel=room:1").await;
    assert_eq!(
        (status, &history["offset"], &history["epoch"]),
        (200, &json!(2), &first["epoch"]),
        "{history}"
    );
    assert_eq!(offsets(&history), [1, 2]);
    let epoch = first["epoch"].as_str().expect("an epoch");
    let (_, since) = server.get(&format!("history?channel=room:1&since_epoch={epoch}&since_offset=1")).await;
    assert_eq!(offsets(&since), [2], "since is exclusive");
    let (_, newest) = server.get("history?channel=room:1&limit=1&reverse=true").await;
    assert_eq!(offsets(&newest), [2]);
}

fn offsets(history: &Value) -> Vec<u64> {
    let publications = history["publications"].as_array().expect("publications");
    publications.iter().map(|publication| publication["offset"].as_u64().expect("an offset")).collect()
}

#[tokio::test]
async fn the_excluded_session_does_not_see_the_publication_and_others_do() {
    let server = start().await;
    let mut ann = Peer::connect(&server, "ann").await;
    let mut bob = Peer::connect(&server, "bob").await;
    for peer in [&mut ann, &mut bob] {
        peer.ok("subscribe", json!({"channel": "room:1"})).await;
    }
    let (_, sessions) = server.get("sessions?user=ann").await;
    let session = &sessions["sessions"][0]["session"];
    server.post("publish", &json!({"channel": "room:1", "data": 1, "exclude_session": session})).await;
    server.post("publish", &json!({"channel": "room:1", "data": 2})).await;
    assert_eq!(ann.push().await["pub"]["data"], 2);
    assert_eq!(bob.push().await["pub"]["data"], 1);
}

#[tokio::test]
async fn a_broadcast_answers_for_each_channel_and_one_refusal_does_not_stop_the_others() {
    let server = start().await;
    let (status, answer) =
        server.post("broadcast", &json!({"channels": ["room:1", "nowhere:1", "room:2"], "data": 1})).await;
    assert_eq!(status, 200);
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results.len(), 3, "{answer}");
    assert_eq!((&results[0]["channel"], &results[0]["offset"]), (&json!("room:1"), &json!(1)));
    assert_eq!(results[1]["error"]["code"], "unknown_channel");
    assert_eq!(results[2]["offset"], 1);
    let many: Vec<String> = (0..1_001).map(|index| format!("room:{index}")).collect();
    let (status, problem) = server.post("broadcast", &json!({"channels": many, "data": 1})).await;
    assert_eq!(status, 400, "{problem}");
}

#[tokio::test]
async fn presence_channels_and_sessions_show_who_is_where() {
    let server = start().await;
    let ticket = server.mint(&json!({"user": "ann", "info": {"nick": "Ann"}})).await;
    let mut ann = Peer::with_query(&server, &format!("?ticket={ticket}")).await;
    ann.ok("subscribe", json!({"channel": "room:1"})).await;
    let mut bob = Peer::connect(&server, "bob").await;
    bob.ok("subscribe", json!({"channel": "room:1"})).await;
    bob.ok("subscribe", json!({"channel": "room:2"})).await;

    let (status, presence) = server.get("presence?channel=room:1").await;
    assert_eq!((status, &presence["count"]), (200, &json!(2)), "{presence}");
    assert_eq!(presence["members"][0], json!({"user": "ann", "info": {"nick": "Ann"}, "sessions": 1}));

    let (_, channels) = server.get("channels").await;
    assert_eq!(
        channels["channels"][0],
        json!({"channel": "room:1", "subscribers": 2, "users": 2}),
        "{channels}"
    );
    let (_, narrowed) = server.get("channels?prefix=room:2").await;
    assert_eq!(narrowed["channels"].as_array().map(Vec::len), Some(1), "{narrowed}");

    let (_, all) = server.get("sessions").await;
    assert_eq!(all["sessions"].as_array().map(Vec::len), Some(2), "{all}");
    let (_, bobs) = server.get("sessions?user=bob").await;
    let session = &bobs["sessions"][0];
    assert_eq!(
        (&session["user"], &session["door"], &session["address"]),
        (&json!("bob"), &json!("websocket"), &json!("127.0.0.1"))
    );
    assert_eq!(session["channels"], json!(["room:1", "room:2"]));
    assert!(
        session["since"].as_u64().is_some_and(|since| since > 1_600_000_000_000),
        "milliseconds: {session}"
    );
}

#[tokio::test]
async fn the_node_says_what_it_is_and_that_it_runs() {
    let server = start_with("node.name = \"left\"").await;
    let (status, node) = server.get("node").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&node["node"], &node["state"], &node["version"]),
        (&json!("left"), &json!("running"), &json!(env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_with_a_problem_that_names_the_rule() {
    let server = start().await;
    let key = server.key.as_str();
    let address = server.address;
    let deep = format!(r#"{{"channel":"room:1","data":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    let brackets = "[".repeat(900_000);
    for (body, detail) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (r#"{"channel":"room:1"}"#, "data"),
        (r#"{"channel":"","data":1}"#, "at least 1 byte"),
        (r#"{"channel":"room:1","data":1,"extra":1}"#, "extra"),
        (r#"{"channel":"room:1","data":1,"exclude_session":"?"}"#, "not a session"),
        (deep.as_str(), "deeper"),
        (brackets.as_str(), "deeper"),
    ] {
        let answer = post(address, "/api/v1/publish", Some(key), body).await;
        let shown = &body[..body.len().min(80)];
        is_problem(&answer.json(), 400, "bad_request");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, Some("application/problem+json")),
            "{shown}"
        );
        assert!(answer.body.contains(detail), "{shown}: {}", answer.body);
    }
    let not_utf8 = ask_bytes(&server, b"{\"channel\":\"room:1\",\"data\":\"\xff\"}").await;
    is_problem(&not_utf8, 400, "bad_request");
}

/// `POST /api/v1/publish` of bytes that are no text.
async fn ask_bytes(server: &support::Running, body: &[u8]) -> Value {
    use tokio::io::AsyncWriteExt;
    let mut stream = support::raw::dial(server.address).await;
    let head = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        server.key,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    stream.write_all(body).await.expect("the server reads");
    support::raw::read_answer(&mut stream).await.json()
}

#[tokio::test]
async fn other_mistakes_have_their_own_status() {
    let server = start_with("limits.request_bytes = \"64 KiB\"").await;
    let key = format!("Authorization: Bearer {}\r\n", server.key);
    let request = |method: &str, path: &str, more: &str, body: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\n{key}{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let json = "Content-Type: application/json\r\n";
    let large = format!(r#"{{"channel":"room:1","data":"{}"}}"#, "x".repeat(70_000));
    let nested =
        |levels| format!(r#"{{"channel":"room:1","data":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    // As deep as over the dialect, and no deeper.
    let deep = ask(server.address, &request("POST", "/api/v1/publish", json, &nested(62))).await;
    assert_eq!(deep.status, 200, "{}", deep.body);
    for (request, status, code) in [
        (request("GET", "/api/v1/nothing", "", ""), 404, "bad_request"),
        (request("GET", "/nothing", "", ""), 404, "bad_request"),
        (request("GET", "/api/v1/publish", "", ""), 405, "bad_request"),
        (request("DELETE", "/api/v1/sessions", "", ""), 405, "bad_request"),
        (request("POST", "/api/v1/publish", "Content-Type: text/plain\r\n", "{}"), 415, "bad_request"),
        (request("POST", "/api/v1/publish", "", "{}"), 415, "bad_request"),
        (request("POST", "/api/v1/publish", json, &large), 413, "too_large"),
        (
            request("POST", "/api/v1/publish", json, r#"{"channel":"nowhere:1","data":1}"#),
            404,
            "unknown_channel",
        ),
        (request("GET", "/api/v1/presence", "", ""), 400, "bad_request"),
        (request("GET", "/api/v1/history?channel=room:1&since_offset=1", "", ""), 400, "bad_request"),
        (request("GET", "/api/v1/channels?prefx=room", "", ""), 400, "bad_request"),
        (request("POST", "/api/v1/disconnect", json, "{}"), 400, "bad_request"),
        (request("POST", "/api/v1/disconnect", json, r#"{"user":"a","code":"nope"}"#), 400, "bad_request"),
        (request("POST", "/api/v1/tickets", json, r#"{"user":"a","ttl_s":61}"#), 400, "bad_request"),
        (request("POST", "/api/v1/tickets", json, r#"{"user":"a","chanels":{}}"#), 400, "bad_request"),
        (
            request("POST", "/api/v1/tickets", json, r#"["a",null,null,null,null,null,null,null]"#),
            400,
            "bad_request",
        ),
        (request("POST", "/api/v1/publish", json, r#"["room:1",1,null]"#), 400, "bad_request"),
        (request("POST", "/api/v1/publish", json, &nested(63)), 400, "bad_request"),
    ] {
        let answer = ask(server.address, &request).await;
        let first = request.lines().next().unwrap_or_default();
        assert_eq!(answer.status, status, "{first}: {}", answer.body);
        is_problem(&answer.json(), status, code);
        if status == 405 {
            assert!(answer.header("allow").is_some(), "{first}: 405 says what is allowed");
        }
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_408_and_not_waited_for() {
    use tokio::io::AsyncWriteExt;
    let server = start_with("limits.head_timeout_s = 0.3").await;
    let mut stream = support::raw::dial(server.address).await;
    let head = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        server.key
    );
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let answer = support::raw::read_answer(&mut stream).await;
    assert_eq!(answer.status, 408);
    is_problem(&answer.json(), 408, "bad_request");
}

#[tokio::test]
async fn data_over_the_limit_of_a_publication_is_too_large_for_the_api_too() {
    let server = start().await;
    let (status, problem) =
        server.post("publish", &json!({"channel": "room:1", "data": "x".repeat(65_536)})).await;
    assert_eq!(status, 413, "{problem}");
    is_problem(&problem, 413, "too_large");
}

#[tokio::test]
async fn health_and_metrics_need_no_key_on_loopback_and_the_metrics_count() {
    let server = start().await;
    for path in ["/healthz", "/readyz"] {
        let answer =
            ask(server.address, &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
                .await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("trunkline"), Some(env!("CARGO_PKG_VERSION")));
    }
    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("subscribe", json!({"channel": "room:1"})).await;
    ann.ok("publish", json!({"channel": "room:1", "data": 1})).await;
    for (metric, at_least) in [
        ("trunkline_links", 1.0),
        ("trunkline_connections", 1.0),
        ("trunkline_handshakes_total", 1.0),
        ("trunkline_messages_in_total", 2.0),
        ("trunkline_messages_out_total", 3.0),
        ("trunkline_bytes_in_total", 20.0),
        ("trunkline_publications_total", 1.0),
        ("trunkline_tickets_minted_total", 1.0),
        ("trunkline_tickets_redeemed_total", 1.0),
        ("trunkline_http_answers_total", 3.0),
    ] {
        let value = server.metric(metric).await;
        assert!(value >= at_least, "{metric} is {value}");
    }
}

#[tokio::test]
async fn an_api_of_its_own_is_not_with_the_doors_and_the_doors_are_not_with_it() {
    let toml =
        "[listen]\naddress = \"127.0.0.1:0\"\n[listen.api]\naddress = \"127.0.0.1:0\"\n[api]\nkey = \"k\"";
    let config = trunkline_server::Config::parse("test.toml", toml).expect("no problems");
    let server = trunkline_server::Server::new(config).expect("no problems");
    let listeners = server.bind().await.expect("free ports");
    let [doors, api] = [0, 1].map(|index| listeners[index].local_addr().expect("TCP"));
    let running = tokio::spawn(server.run(listeners, std::future::pending()));
    for (address, path, status) in [
        (doors, "/healthz", 404),
        (doors, "/api/v1/node", 404),
        (doors, "/connect", 400),
        (api, "/healthz", 200),
        (api, "/connect", 404),
        (api, "/", 404),
        (doors, "/", 200),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(ask(address, &request).await.status, status, "{address} {path}");
    }
    running.abort();
}
