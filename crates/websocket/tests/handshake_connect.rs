//! The client's side of the opening handshake (RFC 6455 §4.1).

mod handshake_support;

use handshake_support::ACCEPT;
use http::{HeaderName, HeaderValue, Response, StatusCode, Version};
use proptest::prelude::*;
use trunkline_websocket::handshake::http1::write_request;
use trunkline_websocket::handshake::{
    self, AcceptPolicy, Attempt, ConnectOptions, Established, Misuse, OriginPolicy, Rejected, Rule, accept,
    accept_value,
};
use trunkline_websocket::url::WsUrl;

fn attempt(url: &str, options: &ConnectOptions) -> Attempt {
    handshake::request(&WsUrl::parse(url).expect("a URL"), options, *b"the sample nonce").expect("a request")
}

fn offering(subprotocols: &[&str]) -> ConnectOptions {
    ConnectOptions {
        subprotocols: subprotocols.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

/// What is wrong with `options`.
fn misuse(options: &ConnectOptions) -> Misuse {
    let url = WsUrl::parse("ws://example.com/").expect("a URL");
    handshake::request(&url, options, [0; 16]).expect_err("options to refuse")
}

#[test]
fn the_request_is_written_as_in_the_rfc() {
    let options = ConnectOptions {
        origin: Some("http://example.com".into()),
        headers: [(http::header::USER_AGENT, HeaderValue::from_static("test"))].into_iter().collect(),
        ..offering(&["chat", "superchat"])
    };
    let attempt = attempt("ws://server.example.com/chat?room=1", &options);
    assert_eq!(
        String::from_utf8_lossy(&write_request(attempt.request())),
        "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://example.com\r\n\
         Sec-WebSocket-Protocol: chat, superchat\r\nUser-Agent: test\r\n\r\n"
    );
}

#[test]
fn host_has_the_port_only_if_it_is_not_the_default_one() {
    for (url, host) in [
        ("ws://example.com", "example.com"),
        ("ws://example.com:80", "example.com"),
        ("ws://example.com:443", "example.com:443"),
        ("wss://example.com:443", "example.com"),
        ("wss://example.com:80", "example.com:80"),
        ("ws://example.com:8080", "example.com:8080"),
        ("ws://[::1]", "[::1]"),
        ("wss://[::1]:8443", "[::1]:8443"),
        ("ws://user:secret@example.com", "example.com"),
    ] {
        assert_eq!(attempt(url, &ConnectOptions::default()).request().headers()["host"], host, "{url}");
    }
}

#[test]
fn the_key_is_canonical_base64_whatever_its_bytes() {
    let url = WsUrl::parse("ws://example.com/").expect("a URL");
    for byte in 0..=255 {
        let attempt = handshake::request(&url, &ConnectOptions::default(), [byte; 16]).expect("a request");
        let key = attempt.request().headers()["sec-websocket-key"].to_str().expect("ASCII");
        assert_eq!(key.len(), 24);
        assert!(
            key.ends_with("A==") || key.ends_with("Q==") || key.ends_with("g==") || key.ends_with("w=="),
            "{key}"
        );
        // The strict server has the last word.
        accept(attempt.request(), &AcceptPolicy::default()).expect("an acceptable request");
    }
}

#[test]
fn subprotocols_must_be_unique_tokens() {
    for name in ["", " ", "a b", "a,b", "a;b", "a/b", "\"a\"", "é", "a\r\nX: y", "a\0"] {
        assert_eq!(misuse(&offering(&["ok", name])), Misuse::Subprotocol(name.into()), "{name:?}");
    }
    assert_eq!(misuse(&offering(&["a", "b", "a"])), Misuse::SubprotocolTwice("a".into()));
    let two_cases = attempt("ws://example.com", &offering(&["a", "A"]));
    assert_eq!(two_cases.request().headers()["sec-websocket-protocol"], "a, A");
}

#[test]
fn no_offer_writes_no_header() {
    let attempt = attempt("ws://example.com", &ConnectOptions::default());
    for name in ["sec-websocket-protocol", "sec-websocket-extensions", "origin", "authorization"] {
        assert!(!attempt.request().headers().contains_key(name), "{name}");
    }
}

#[test]
fn a_header_of_the_application_cannot_override_one_of_the_handshake() {
    for name in [
        "Host",
        "Upgrade",
        "Connection",
        "Origin",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Content-Length",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Expect",
        "Keep-Alive",
    ] {
        let name: HeaderName = name.parse().expect("a name");
        let headers = [(name.clone(), HeaderValue::from_static("x"))].into_iter().collect();
        let misuse = misuse(&ConnectOptions { headers, ..Default::default() });
        assert!(misuse.to_string().contains(name.as_str()), "{misuse}");
        assert_eq!(misuse, Misuse::ReservedHeader(name));
    }
}

#[test]
fn headers_of_the_application_are_sent_and_may_repeat() {
    let mut headers = http::HeaderMap::new();
    headers.append("cookie", HeaderValue::from_static("a=1"));
    headers.append("x-list", HeaderValue::from_static("1"));
    headers.append("x-list", HeaderValue::from_static("2"));
    let attempt = attempt("ws://example.com", &ConnectOptions { headers, ..Default::default() });
    let written = String::from_utf8_lossy(&write_request(attempt.request())).into_owned();
    assert!(written.contains("\r\nCookie: a=1\r\n"), "{written}");
    assert!(written.contains("\r\nX-List: 1\r\nX-List: 2\r\n"), "{written}");
}

#[test]
fn no_value_of_the_application_can_hold_a_line_end() {
    for bad in ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b"] {
        assert!(HeaderValue::from_str(bad).is_err(), "the type of header values refuses it");
        assert!(WsUrl::parse(&format!("ws://example.com/{bad}")).is_err());
        assert!(WsUrl::parse(&format!("ws://{bad}/")).is_err());
        assert_eq!(
            misuse(&ConnectOptions { origin: Some(format!("http://{bad}")), ..Default::default() }),
            Misuse::Origin(format!("http://{bad}"))
        );
        // A browser's URL parser drops line ends (and encodes NUL); what it leaves has none.
        if let Ok(url) = WsUrl::parse_whatwg(&format!("ws://example.com/{bad}?{bad}"), None) {
            let attempt = handshake::request(&url, &ConnectOptions::default(), [0; 16]).expect("a request");
            let written = write_request(attempt.request());
            assert!(written.starts_with(b"GET /a") && !written.contains(&0), "{}", written.escape_ascii());
            assert_eq!(
                written.iter().filter(|byte| **byte == b'\n').count(),
                7,
                "{}",
                written.escape_ascii()
            );
        }
    }
}

#[test]
fn an_origin_must_be_one() {
    for origin in ["https://example.com", "http://localhost:8080", "null", "app://local"] {
        let options = ConnectOptions { origin: Some(origin.into()), ..Default::default() };
        assert_eq!(attempt("ws://example.com", &options).request().headers()["origin"], origin);
    }
    for origin in ["", "example.com", "https://example.com/", "https://a b", "https://u@example.com"] {
        let options = ConnectOptions { origin: Some(origin.into()), ..Default::default() };
        assert_eq!(misuse(&options), Misuse::Origin(origin.into()));
    }
}

#[test]
fn the_password_in_the_url_is_sent_only_if_asked_for_and_shown_never() {
    let url = "ws://aladdin:open%20sesame@example.com/";
    let silent = attempt(url, &ConnectOptions::default());
    assert!(!String::from_utf8_lossy(&write_request(silent.request())).to_lowercase().contains("sesame"));
    assert!(!silent.request().headers().contains_key("authorization"));

    let asked = ConnectOptions { authorization_from_url: true, ..Default::default() };
    let attempt = attempt(url, &asked);
    let value = &attempt.request().headers()["authorization"];
    assert_eq!(value, "Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert!(value.is_sensitive() && !format!("{attempt:?}").contains("YWxhZG"));
}

#[test]
fn basic_authorization_refuses_what_it_cannot_say() {
    let asked = ConnectOptions { authorization_from_url: true, ..Default::default() };
    for (userinfo, expected) in [
        ("user", Ok("Basic dXNlcjo=")),
        ("user:", Ok("Basic dXNlcjo=")),
        ("user:a:b", Ok("Basic dXNlcjphOmI=")),
        ("%75ser:%", Err(())),
        ("a%3Ab:c", Err(())),
        ("a:b%0d%0a", Err(())),
        ("a%00:b", Err(())),
    ] {
        let value = WsUrl::parse(&format!("ws://{userinfo}@example.com/"))
            .map_err(drop)
            .and_then(|url| handshake::request(&url, &asked, [0; 16]).map_err(drop))
            .map(|attempt| attempt.request().headers()["authorization"].clone());
        assert_eq!(value, expected.map(HeaderValue::from_static), "{userinfo}");
    }
}

#[test]
fn authorization_of_the_application_goes_before_that_of_the_url() {
    let headers = [(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer x"))].into_iter().collect();
    let options = ConnectOptions { authorization_from_url: true, headers, ..Default::default() };
    let attempt = attempt("ws://user:password@example.com", &options);
    let values: Vec<_> = attempt.request().headers().get_all("authorization").iter().collect();
    assert_eq!(values, ["Bearer x"]);
}

/// A 101 that answers the key of the RFC's example.
fn switching() -> Response<()> {
    Response::builder()
        .status(101)
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-accept", ACCEPT)
        .body(())
        .expect("a response")
}

fn set(mut response: Response<()>, name: &'static str, values: &[&str]) -> Response<()> {
    response.headers_mut().remove(name);
    for value in values {
        response.headers_mut().append(name, HeaderValue::from_str(value).expect("a value"));
    }
    response
}

fn verify(options: &ConnectOptions, response: &Response<()>) -> Result<Established, Rejected> {
    attempt("ws://example.com", options).verify(response)
}

fn refused(response: &Response<()>) -> Rule {
    let rejected = verify(&ConnectOptions::default(), response).expect_err("a response to refuse");
    let received = rejected.received().expect("it is there");
    assert_eq!((received.status(), received.headers()), (response.status(), response.headers()));
    rejected.rule()
}

#[test]
fn the_answer_of_the_rfc_is_verified() {
    let established = verify(&ConnectOptions::default(), &switching()).expect("verified");
    assert_eq!(established.subprotocol(), None);
    assert!(established.extensions().is_empty());
    assert_eq!(established.response().headers().len(), 3);
}

#[test]
fn each_header_that_the_server_omits_fails_the_handshake() {
    for (name, rule) in
        [("upgrade", Rule::Upgrade), ("connection", Rule::Connection), ("sec-websocket-accept", Rule::Accept)]
    {
        assert_eq!(refused(&set(switching(), name, &[])), rule, "without {name}");
        assert_eq!(refused(&set(switching(), name, &[""])), rule, "with an empty {name}");
    }
}

#[test]
fn upgrade_is_websocket_without_case_and_nothing_else() {
    for value in ["websocket", "WebSocket", "WEBSOCKET", " websocket\t"] {
        verify(&ConnectOptions::default(), &set(switching(), "upgrade", &[value])).expect(value);
    }
    for values in [
        &["h2c"] as &[_],
        &["websockets"],
        &["websocket/13"],
        &["websocket, h2c"],
        &["websocket", "websocket"],
        &["web"],
    ] {
        assert_eq!(refused(&set(switching(), "upgrade", values)), Rule::Upgrade, "{values:?}");
    }
}

#[test]
fn connection_contains_the_token_upgrade() {
    for values in
        [&["upgrade"] as &[_], &["keep-alive, Upgrade"], &["keep-alive", "UPGRADE"], &["close, upgrade"]]
    {
        verify(&ConnectOptions::default(), &set(switching(), "connection", values)).expect("verified");
    }
    for value in ["close", "upgraded", "keep-alive upgrade", "x=\"a, upgrade\""] {
        assert_eq!(refused(&set(switching(), "connection", &[value])), Rule::Connection, "{value}");
    }
}

#[test]
fn accept_is_the_answer_to_our_key_exactly_once_and_with_case() {
    let padded = format!(" \t{ACCEPT} ");
    verify(&ConnectOptions::default(), &set(switching(), "sec-websocket-accept", &[&padded]))
        .expect("trimmed");
    let (other, lower) = (accept_value("AAAAAAAAAAAAAAAAAAAAAA=="), ACCEPT.to_lowercase());
    for values in [
        &[other.as_str()] as &[_],
        &[lower.as_str()],
        &[&ACCEPT[..27]],
        &["dGhlIHNhbXBsZSBub25jZQ=="],
        &[ACCEPT, ACCEPT],
    ] {
        assert_eq!(refused(&set(switching(), "sec-websocket-accept", values)), Rule::Accept, "{values:?}");
    }
}

#[test]
fn the_chosen_subprotocol_is_one_of_those_offered() {
    let options = offering(&["a", "b"]);
    let chosen = |values: &[&str]| {
        let response = set(switching(), "sec-websocket-protocol", values);
        let established = verify(&options, &response).map_err(|rejected| rejected.rule())?;
        Ok(established.subprotocol().map(ToOwned::to_owned))
    };
    assert_eq!(chosen(&["b"]), Ok(Some("b".into())));
    assert_eq!(chosen(&[" b "]), Ok(Some("b".into())));
    assert_eq!(chosen(&[]), Ok(None), "RFC 6455 lets the server choose none");
    assert_eq!(chosen(&["c"]), Err(Rule::UnofferedSubprotocol));
    assert_eq!(chosen(&["B"]), Err(Rule::UnofferedSubprotocol));
    for values in [&["a, b"] as &[_], &["a", "a"], &[""], &["a;b"]] {
        assert_eq!(chosen(values), Err(Rule::SubprotocolSyntax), "{values:?}");
    }
    let unasked = set(switching(), "sec-websocket-protocol", &["a"]);
    assert_eq!(refused(&unasked), Rule::UnofferedSubprotocol);
}

#[test]
fn no_choice_among_those_offered_fails_where_one_is_required_as_in_browsers() {
    let required = ConnectOptions { require_subprotocol: true, ..offering(&["a"]) };
    assert_eq!(verify(&required, &switching()).expect_err("none chosen").rule(), Rule::NoSubprotocol);
    verify(&required, &set(switching(), "sec-websocket-protocol", &["a"])).expect("chosen");
    let none_offered = ConnectOptions { require_subprotocol: true, ..Default::default() };
    verify(&none_offered, &switching()).expect("nothing was offered");
}

#[test]
fn a_101_with_a_body_is_refused() {
    for (name, value) in
        [("content-length", "5"), ("transfer-encoding", "chunked"), ("content-length", "0, 0")]
    {
        assert_eq!(refused(&set(switching(), name, &[value])), Rule::Body, "{name}: {value}");
    }
    verify(&ConnectOptions::default(), &set(switching(), "content-length", &["0"])).expect("no body");
}

#[test]
fn a_101_of_another_http_version_is_refused() {
    let mut response = switching();
    *response.version_mut() = Version::HTTP_10;
    assert_eq!(refused(&response), Rule::HttpVersion);
}

#[test]
fn a_status_other_than_101_is_handed_on_with_its_headers() {
    for status in [200, 204, 301, 302, 400, 401, 403, 404, 407, 426, 429, 500, 503] {
        let mut response = set(switching(), "retry-after", &["120"]);
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        let rejected = verify(&ConnectOptions::default(), &response).expect_err("not 101");
        assert_eq!(rejected.rule(), Rule::NotSwitching);
        let received = rejected.received().expect("the response");
        assert_eq!(received.status(), status);
        assert_eq!(received.headers()["retry-after"], "120");
        assert!(rejected.to_string().contains(&status.to_string()), "{rejected}");
    }
}

#[test]
fn both_roles_of_this_crate_understand_each_other() {
    for url in ["ws://example.com", "wss://[::1]:8443/a?b", "ws://user:secret@127.0.0.1:8101/"] {
        let options = ConnectOptions { require_subprotocol: true, ..offering(&["x", "chat"]) };
        let attempt = attempt(url, &options);
        let policy = AcceptPolicy {
            subprotocols: vec!["chat".into()],
            origin: OriginPolicy::List(vec![]),
            ..AcceptPolicy::default()
        };
        let accepted = accept(attempt.request(), &policy).expect("acceptable");
        let established = attempt.verify(accepted.response()).expect("verified");
        assert_eq!(established.subprotocol(), Some("chat"));
    }
}

proptest! {
    #[test]
    fn every_key_is_answered_by_our_server_and_by_no_other_answer(key: [u8; 16], other: [u8; 16]) {
        let url = WsUrl::parse("ws://example.com/").expect("a URL");
        let ask = |key| handshake::request(&url, &ConnectOptions::default(), key).expect("a request");
        let accepted = accept(ask(key).request(), &AcceptPolicy::default()).expect("acceptable");
        prop_assert!(ask(key).verify(accepted.response()).is_ok());
        if key != other {
            let rejected = ask(other).verify(accepted.response()).expect_err("the answer to another key");
            prop_assert_eq!(rejected.rule(), Rule::Accept);
        }
    }

    #[test]
    fn no_header_of_a_response_makes_verify_panic(
        name in prop::sample::select(vec![
            "upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions",
            "content-length", "transfer-encoding",
        ]),
        value in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let mut response = switching();
            let name: HeaderName = name.parse().expect("a name");
            response.headers_mut().append(name.clone(), value.clone());
            let _ = verify(&offering(&["a"]), &response);
            response.headers_mut().insert(name, value);
            let _ = verify(&offering(&["a"]), &response).map_err(|rejected| rejected.to_string());
        }
    }
}
