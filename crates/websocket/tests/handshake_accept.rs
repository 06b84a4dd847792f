//! The server's side of the opening handshake (RFC 6455 §4.2, RFC 9110 §7.8, RFC 9112).

mod handshake_support;

use handshake_support::{ACCEPT, KEY, add, example, set, speaks, with};
use http::{HeaderValue, Request, Version};
use proptest::prelude::*;
use trunkline_websocket::handshake::http1::{HeadLimits, HeadReader, write_response};
use trunkline_websocket::handshake::negotiate::parse_extensions;
use trunkline_websocket::handshake::{
    AcceptPolicy, Accepted, Misuse, OriginPolicy, Rule, accept, accept_value, check_request,
};

fn accepted(request: &Request<()>) -> Accepted {
    accept(request, &AcceptPolicy::default()).expect("an acceptable request")
}

/// The rule that a request breaks, and the status that it gets.
fn refused(request: &Request<()>) -> (Rule, u16) {
    let rejected = accept(request, &AcceptPolicy::default()).expect_err("a request to refuse");
    (rejected.rule(), rejected.status().as_u16())
}

#[test]
fn the_example_of_the_rfc_gets_the_answer_of_the_rfc() {
    let request = with(&[
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Origin", "http://example.com"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Sec-WebSocket-Version", "13"),
    ]);
    let accepted = accept(&request, &speaks(&["chat"])).expect("an acceptable request");
    assert_eq!(
        String::from_utf8_lossy(&write_response(accepted.response(), b"")),
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        )
    );
}

#[test]
fn the_101_carries_upgrade_connection_and_accept_and_nothing_that_was_not_asked_for() {
    let accepted = accepted(&example());
    let headers = accepted.response().headers();
    assert_eq!(accepted.response().status(), 101);
    assert_eq!(headers.len(), 3);
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["connection"], "Upgrade");
    assert_eq!(headers["sec-websocket-accept"], ACCEPT);
    assert_eq!(accepted.subprotocol(), None);
    assert!(accepted.extensions().is_empty());
}

#[test]
fn each_header_that_is_omitted_is_missed() {
    for (name, expected) in [
        ("host", (Rule::Host, 400)),
        ("upgrade", (Rule::Upgrade, 400)),
        ("connection", (Rule::Connection, 400)),
        ("sec-websocket-key", (Rule::Key, 400)),
        ("sec-websocket-version", (Rule::Version, 426)),
    ] {
        assert_eq!(refused(&set(example(), name, &[])), expected, "without {name}");
    }
}

#[test]
fn each_header_that_must_come_once_is_refused_twice() {
    for (name, value, expected) in [
        ("host", "server.example.com", (Rule::Host, 400)),
        ("sec-websocket-key", KEY, (Rule::Key, 400)),
        ("sec-websocket-version", "13", (Rule::Version, 426)),
    ] {
        assert_eq!(refused(&add(example(), name, value)), expected, "{name} twice");
    }
}

#[test]
fn a_method_other_than_get_gets_405_and_the_method_to_use() {
    for method in ["POST", "HEAD", "OPTIONS", "PUT", "get", "CONNECT"] {
        let mut request = example();
        *request.method_mut() = method.parse().expect("a method");
        assert_eq!(refused(&request), (Rule::Method, 405), "{method}");
    }
    let mut request = example();
    *request.method_mut() = http::Method::POST;
    let response = accept(&request, &AcceptPolicy::default()).expect_err("not GET").to_response();
    assert_eq!(response.headers()["allow"], "GET");
}

#[test]
fn upgrade_in_any_version_but_http_1_1_is_ignored_and_the_answer_says_so() {
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
        let mut request = example();
        *request.version_mut() = version;
        assert_eq!(refused(&request), (Rule::HttpVersion, 426), "{version:?}");
    }
    let mut request = example();
    *request.version_mut() = Version::HTTP_10;
    let response = accept(&request, &AcceptPolicy::default()).expect_err("HTTP/1.0").to_response();
    assert!(
        response.body().contains("HTTP/1.0") && response.body().contains("ignored"),
        "{}",
        response.body()
    );
}

#[test]
fn host_must_be_a_host_and_a_port() {
    for host in
        ["example.com", "EXAMPLE.com:8080", "[::1]", "[2001:db8::1]:443", "127.0.0.1:1", "a_b.example", "h:"]
    {
        accepted(&set(example(), "host", &[host]));
    }
    for host in [
        "",
        ":80",
        "exa mple.com",
        "example.com/",
        "user@example.com",
        "a,b",
        "a:b",
        "a:0",
        "a:65536",
        "a:-1",
        "a:1:2",
        "::1",
        "[::1",
        "[::1]x",
        "[fe80::1%25eth0]",
        "http://example.com",
        "ex%61mple.com",
        "example.com, example.com",
    ] {
        assert_eq!(refused(&set(example(), "host", &[host])), (Rule::Host, 400), "{host}");
    }
}

#[test]
fn an_absolute_form_target_must_agree_with_host() {
    let ask = |target: &str, host: &str| {
        let mut request = set(example(), "host", &[host]);
        *request.uri_mut() = target.parse().expect("a target");
        accept(&request, &AcceptPolicy::default()).map(drop).map_err(|rejected| rejected.rule())
    };
    for (target, host) in [
        ("http://example.com/chat", "example.com"),
        ("http://EXAMPLE.com/chat", "example.COM"),
        ("http://example.com:80/", "example.com"),
        ("ws://example.com/", "example.com:80"),
        ("https://example.com/", "example.com:443"),
        ("wss://example.com:8443/", "example.com:8443"),
        ("http://[::1]/", "[0:0::1]"),
    ] {
        assert_eq!(ask(target, host), Ok(()), "{target} and {host}");
    }
    for (target, host) in [
        ("http://example.com/", "example.org"),
        ("http://example.com/", "example.com:443"),
        ("https://example.com/", "example.com:80"),
        ("http://example.com:8080/", "example.com"),
        ("http://evil-example.com/", "example.com"),
    ] {
        assert_eq!(ask(target, host), Err(Rule::Host), "{target} and {host}");
    }
    for target in ["ftp://example.com/", "http://user:secret@example.com/", "example.com:80", "*"] {
        assert_eq!(ask(target, "example.com"), Err(Rule::RequestTarget), "{target}");
    }
}

#[test]
fn a_refused_target_does_not_repeat_the_password_in_it() {
    let mut request = example();
    *request.uri_mut() = "http://user:secret@example.com/".parse().expect("a target");
    let rejected = accept(&request, &AcceptPolicy::default()).expect_err("userinfo");
    assert!(!rejected.to_string().contains("secret"), "{rejected}");
}

#[test]
fn upgrade_and_connection_are_lists_of_tokens_without_case() {
    for connection in [
        &["Upgrade"] as &[_],
        &["upgrade"],
        &["UPGRADE"],
        &["keep-alive, Upgrade"],
        &["close, upgrade"], // lighttpd
        &["keep-alive", "upgrade"],
        &[", ,Upgrade,"],
    ] {
        accepted(&set(example(), "connection", connection));
    }
    for upgrade in [&["websocket"] as &[_], &["WebSocket"], &["h2c, websocket"], &["foo/1.2", "WEBSOCKET"]] {
        accepted(&set(example(), "upgrade", upgrade));
    }
}

#[test]
fn a_substring_or_a_quoted_token_is_not_a_member_of_a_list() {
    for connection in [
        "",
        "keep-alive",
        "upgraded",
        "not-upgrade",
        "upgrade keep-alive",
        "\"upgrade\"",
        "x=\"a, upgrade ,b\"",
        "xupgrade",
    ] {
        assert_eq!(
            refused(&set(example(), "connection", &[connection])),
            (Rule::Connection, 400),
            "{connection}"
        );
    }
    for upgrade in
        ["", "h2c", "websockets", "web socket", "websocket/13", "TLS/1.0", "\"websocket\"", "websocket;a"]
    {
        assert_eq!(refused(&set(example(), "upgrade", &[upgrade])), (Rule::Upgrade, 400), "{upgrade}");
    }
}

#[test]
fn the_key_must_be_sixteen_bytes_in_canonical_base64() {
    for key in ["AAAAAAAAAAAAAAAAAAAAAA==", "/////////////////////w==", " dGhlIHNhbXBsZSBub25jZQ== "] {
        let accepted = accepted(&set(example(), "sec-websocket-key", &[key]));
        assert_eq!(accepted.response().headers()["sec-websocket-accept"], accept_value(key.trim()).as_str());
    }
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",     // no padding
        "dGhlIHNhbXBsZSBub25jZQ=",    // half of it
        "dGhlIHNhbXBsZSBub25jZR==",   // bits that are not zero (erratum 3150)
        "dGhlIHNhbXBsZSBub25jZf==",   // more of them
        "dGhlIHNhbXBsZSBub25j",       // 15 bytes
        "dGhlIHNhbXBsZSBub25jZWE=",   // 17 bytes
        "dGhlIHNhbXBsZSBub25jZWVl",   // 18 bytes
        "dGhlIHNhbXBsZSBub25jZQ==AA", // more after the padding
        "dGhlIHNhbXBs ZSBub25jZQ==",  // a space within
        "dGhl-HNhbXBsZSBub25jZQ==",   // the other alphabet
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        assert_eq!(refused(&set(example(), "sec-websocket-key", &[key])), (Rule::Key, 400), "{key}");
    }
}

#[test]
fn the_last_character_of_a_key_is_one_of_four() {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let legal: String = alphabet
        .chars()
        .filter(|last| {
            let key = format!("AAAAAAAAAAAAAAAAAAAAA{last}==");
            accept(&set(example(), "sec-websocket-key", &[&key]), &AcceptPolicy::default()).is_ok()
        })
        .collect();
    assert_eq!(legal, "AQgw");
}

#[test]
fn a_wrong_version_gets_426_with_the_version_and_the_upgrade_that_would_do() {
    for version in ["", "12", "8", "14", "013", "13, 8", "13;", "+13", "1 3"] {
        let request = set(example(), "sec-websocket-version", &[version]);
        assert_eq!(refused(&request), (Rule::Version, 426), "{version}");
        let response = accept(&request, &AcceptPolicy::default()).expect_err("wrong version").to_response();
        assert_eq!(response.headers()["sec-websocket-version"], "13");
        assert_eq!(response.headers()["upgrade"], "websocket");
        // "A sender of Upgrade MUST also send an "Upgrade" connection option" (RFC 9110 §7.8).
        assert_eq!(response.headers()["connection"], "upgrade, close");
        assert!(
            response.body().contains("13"),
            "proxies drop the header, so the text says it too: {}",
            response.body()
        );
    }
}

#[test]
fn a_request_that_announces_a_body_is_refused() {
    for (name, value) in [
        ("content-length", "1"),
        ("content-length", "00"),
        ("content-length", "-0"),
        ("content-length", "0, 0"),
        ("content-length", "18446744073709551616"),
        ("content-length", ""),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("transfer-encoding", ""),
    ] {
        assert_eq!(refused(&add(example(), name, value)), (Rule::Body, 400), "{name}: {value}");
    }
    let twice = add(add(example(), "content-length", "0"), "content-length", "0");
    assert_eq!(refused(&twice), (Rule::Body, 400));
    let both = add(add(example(), "content-length", "0"), "transfer-encoding", "chunked");
    assert_eq!(refused(&both), (Rule::Body, 400));
    accepted(&add(example(), "content-length", "0"));
}

#[test]
fn any_request_needs_one_host_and_a_body_with_one_end() {
    type Row = (&'static str, &'static [(&'static str, &'static str)], Option<Rule>);
    let table: &[Row] = &[
        ("good", &[("Host", "a:1")], None),
        ("a length", &[("Host", "a"), ("Content-Length", "5")], None),
        ("chunks", &[("Host", "a"), ("Transfer-Encoding", "Chunked")], None),
        ("no host", &[], Some(Rule::Host)),
        ("two hosts", &[("Host", "a"), ("Host", "a")], Some(Rule::Host)),
        (
            "two ends",
            &[("Host", "a"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
            Some(Rule::Framing),
        ),
        ("another coding", &[("Host", "a"), ("Transfer-Encoding", "gzip, chunked")], Some(Rule::Framing)),
        (
            "chunked twice",
            &[("Host", "a"), ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
            Some(Rule::Framing),
        ),
    ];
    for (name, headers, expected) in table {
        let got = check_request(&with(headers)).err();
        assert_eq!(got.as_ref().map(|rejected| rejected.rule()), *expected, "{name}");
        assert!(got.is_none_or(|rejected| rejected.status() == 400), "{name}");
    }
}

#[test]
fn every_refusal_closes_the_connection_and_says_the_rule_in_plain_text() {
    let mut http_1_0 = example();
    *http_1_0.version_mut() = Version::HTTP_10;
    for request in [
        set(example(), "host", &[]),
        set(example(), "upgrade", &[]),
        set(example(), "sec-websocket-key", &["<script>alert(1)</script>"]),
        set(example(), "sec-websocket-version", &["8"]),
        add(example(), "origin", "http://evil.example"),
        add(example(), "content-length", "5"),
        http_1_0,
    ] {
        let rejected = accept(&request, &AcceptPolicy::default()).expect_err("a request to refuse");
        let response = rejected.to_response();
        assert_eq!(response.status(), rejected.status());
        let connection = response.headers()["connection"].to_str().expect("ASCII");
        assert!(connection.split(", ").any(|token| token == "close"), "{connection}");
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert!(response.body().contains(rejected.rule().sentence()), "{}", response.body());
        assert!(response.body().contains(rejected.rule().section()), "{}", response.body());
        assert!(rejected.received().is_none());
    }
}

#[test]
fn what_a_refusal_quotes_is_escaped_and_short() {
    let long = "\t\u{1F600}".repeat(2000);
    let rejected =
        accept(&set(example(), "sec-websocket-key", &[&long]), &AcceptPolicy::default()).expect_err("no key");
    let text = rejected.to_string();
    assert!(text.is_ascii() || text.contains('§'), "{text}");
    assert!(text.len() < 600 && !text.contains('\t') && !text.contains('\u{1F600}'), "{text}");
}

#[test]
fn expect_100_continue_is_told_to_the_driver() {
    assert!(!accepted(&example()).expects_continue());
    assert!(accepted(&add(example(), "expect", "100-Continue")).expects_continue());
}

#[test]
fn the_servers_order_chooses_the_subprotocol_from_the_clients_offer() {
    let choose = |ours: &[&str], offered: &[&str]| {
        let request = set(example(), "sec-websocket-protocol", offered);
        let accepted = accept(&request, &speaks(ours)).expect("an acceptable request");
        let header = accepted.response().headers().get("sec-websocket-protocol").cloned();
        assert_eq!(header, accepted.subprotocol().map(|name| HeaderValue::from_str(name).expect("a token")));
        accepted.subprotocol().map(ToOwned::to_owned)
    };
    assert_eq!(choose(&["b", "a"], &["a, b"]).as_deref(), Some("b"));
    assert_eq!(choose(&["a", "b"], &["c", "b,a"]).as_deref(), Some("a"));
    assert_eq!(choose(&["a"], &["A"]), None, "subprotocols have case");
    assert_eq!(choose(&["a"], &["b"]), None, "none, and no header: not an empty one");
    assert_eq!(choose(&["a"], &[]), None, "never what was not offered");
    assert_eq!(choose(&[], &["a"]), None);
}

#[test]
fn a_required_subprotocol_that_is_not_offered_gets_400_with_a_list_of_ours() {
    let policy = AcceptPolicy { require_subprotocol: true, ..speaks(&["hub.json.1", "hub.json.2"]) };
    for offered in [&[] as &[_], &["hub.json.9"]] {
        let rejected =
            accept(&set(example(), "sec-websocket-protocol", offered), &policy).expect_err("none in common");
        assert_eq!((rejected.rule(), rejected.status().as_u16()), (Rule::NoSubprotocol, 400));
        assert!(rejected.to_response().body().contains("hub.json.1, hub.json.2"), "{rejected}");
    }
    let request = set(example(), "sec-websocket-protocol", &["x, hub.json.2"]);
    assert_eq!(accept(&request, &policy).expect("in common").subprotocol(), Some("hub.json.2"));
}

#[test]
fn malformed_lists_of_subprotocols_and_extensions_are_refused() {
    for offered in ["", " , ", "a b", "a;b", "a, \"b\"", "a, a", "a/b", "é"] {
        let request = set(example(), "sec-websocket-protocol", &[offered]);
        assert_eq!(refused(&request), (Rule::SubprotocolSyntax, 400), "{offered}");
    }
    let twice = set(example(), "sec-websocket-protocol", &["a", "b, a"]);
    assert_eq!(refused(&twice), (Rule::SubprotocolSyntax, 400));
    for offered in ["", ",", "a;", "a; b=", "a b", "a; b=\"", "a; b=\"x y\"", "=a"] {
        let request = set(example(), "sec-websocket-extensions", &[offered]);
        assert_eq!(refused(&request), (Rule::ExtensionSyntax, 400), "{offered}");
    }
}

#[test]
fn an_extension_that_nobody_here_knows_is_declined_in_silence() {
    let request =
        set(example(), "sec-websocket-extensions", &["permessage-deflate; client_max_window_bits, x-foo"]);
    assert!(!accepted(&request).response().headers().contains_key("sec-websocket-extensions"));
}

#[test]
fn the_application_adds_its_headers_to_the_101_and_cannot_touch_those_of_the_handshake() {
    let mut accepted = accepted(&example());
    let value = HeaderValue::from_static("a=1");
    accepted.add_header(http::header::SET_COOKIE, value.clone()).expect("allowed");
    accepted.add_header(http::header::SET_COOKIE, value.clone()).expect("allowed");
    assert_eq!(accepted.response().headers().get_all("set-cookie").iter().count(), 2);
    for name in [http::header::SEC_WEBSOCKET_ACCEPT, http::header::UPGRADE, http::header::CONTENT_LENGTH] {
        assert_eq!(accepted.add_header(name.clone(), value.clone()), Err(Misuse::ReservedHeader(name)));
    }
    assert_eq!(accepted.into_response().headers().len(), 5);
}

#[test]
fn every_mistake_in_a_policy_is_found_at_once() {
    let policy = AcceptPolicy {
        subprotocols: vec!["a".into(), "b c".into(), "a".into()],
        origin: OriginPolicy::List(vec!["https://example.com".into(), "example.com".into(), "null".into()]),
        ..AcceptPolicy::default()
    };
    assert_eq!(
        policy.check(),
        [
            Misuse::Origin("example.com".into()),
            Misuse::Origin("null".into()),
            Misuse::Subprotocol("b c".into()),
            Misuse::SubprotocolTwice("a".into()),
        ]
    );
    assert_eq!(
        AcceptPolicy { require_subprotocol: true, ..AcceptPolicy::default() }.check(),
        [Misuse::NoSubprotocol]
    );
    assert_eq!(AcceptPolicy::default().check(), []);
}

#[test]
fn a_request_in_lower_case_as_haproxy_and_envoy_write_it_is_accepted() {
    let head = format!(
        "GET /chat HTTP/1.1\r\nhost: example.com\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-key: {KEY}\r\nsec-websocket-version: 13\r\nx-forwarded-for: 192.0.2.1\r\n\r\n"
    );
    accepted(&read(head.as_bytes()));
}

#[test]
fn the_recorded_requests_of_browsers_are_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !(name.starts_with("request_") && name.ends_with(".http")) {
            continue;
        }
        count += 1;
        let request = read(&std::fs::read(&path).expect("a fixture"));
        let offers: Result<Vec<_>, _> = parse_extensions(request.headers()).collect();
        let offers = offers.expect("well-formed");
        assert!(
            offers.iter().any(|offer| offer.name == "permessage-deflate"),
            "{name}: every browser offers it"
        );
        assert!(request.headers().contains_key("origin"), "{name}: every browser sends one");

        let policy = AcceptPolicy { origin: OriginPolicy::Any, ..AcceptPolicy::default() };
        let accepted = accept(&request, &policy).unwrap_or_else(|rejected| panic!("{name}: {rejected}"));
        let key = request.headers()["sec-websocket-key"].to_str().expect("ASCII");
        assert_eq!(accepted.response().headers()["sec-websocket-accept"], accept_value(key).as_str());
    }
    assert!(count >= 2, "{count} recorded requests: at least Chromium's and Firefox's belong here");
}

/// Reads a head twice, whole and byte by byte, and finds the same.
fn read(head: &[u8]) -> Request<()> {
    let mut whole = HeadReader::new(HeadLimits::default());
    assert!(
        matches!(whole.receive(head), Ok(Some(len)) if len == head.len()),
        "one head, and nothing after it"
    );
    let mut bytes = HeadReader::new(HeadLimits::default());
    for byte in head {
        bytes.receive(&[*byte]).expect("well-formed");
    }
    let request = whole.request().expect("well-formed");
    assert_eq!(format!("{request:?}"), format!("{:?}", bytes.request().expect("well-formed")));
    request
}

proptest! {
    #[test]
    fn no_header_value_makes_accept_panic(
        name in prop::sample::select(vec![
            "host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol",
            "sec-websocket-extensions", "origin", "content-length", "transfer-encoding", "expect",
        ]),
        value in prop::collection::vec(any::<u8>(), 0..60),
        structured in "[a-c\"\\\\;=, \t:/\\[\\]@.]{0,40}",
    ) {
        let policy = AcceptPolicy { origin: OriginPolicy::SameOriginOr(vec!["https://a".into()]), ..speaks(&["a", "b"]) };
        let name: http::HeaderName = name.parse().expect("a name");
        for value in [&value[..], structured.as_bytes()] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                let mut request = example();
                request.headers_mut().append(name.clone(), value.clone());
                let _ = accept(&request, &policy);
                request.headers_mut().insert(name.clone(), value);
                let _ = accept(&request, &policy).map_err(|rejected| rejected.to_response());
            }
        }
    }
}
