//! The opening handshake over HTTP/2, both roles (RFC 8441 §4, §5; RFC 9220 §3; RFC 9113 §8).

mod handshake_support;

use handshake_support::{add, set, speaks};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use trunkline_websocket::Leniency;
use trunkline_websocket::handshake::{
    AcceptPolicy, Accepted, ConnectOptions, HTTP2_PROTOCOL, Misuse, OriginPolicy, Rejected, Rule,
    accept_http2, request_http2,
};
use trunkline_websocket::url::WsUrl;

const WEBSOCKET: Option<&str> = Some(HTTP2_PROTOCOL);

/// The request of RFC 8441 §5.1, without what is optional.
fn example() -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_static("https://server.example.com/chat");
    add(request, "sec-websocket-version", "13")
}

fn at(uri: &str) -> Request<()> {
    let mut request = example();
    *request.uri_mut() = uri.parse().expect("a URI");
    request
}

fn accepted(request: &Request<()>) -> Accepted {
    accept_http2(request, WEBSOCKET, &AcceptPolicy::default()).expect("an acceptable request")
}

fn rejected(request: &Request<()>, protocol: Option<&str>) -> Rejected {
    accept_http2(request, protocol, &AcceptPolicy::default()).expect_err("a request to refuse")
}

/// The rule that a request breaks, and the status that it gets.
fn refused(request: &Request<()>, protocol: Option<&str>) -> (Rule, u16) {
    let rejected = rejected(request, protocol);
    (rejected.rule(), rejected.status().as_u16())
}

#[test]
fn the_example_of_the_rfc_gets_the_answer_of_the_rfc() {
    let mut request = example();
    for (name, value) in [
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("origin", "http://www.example.com"),
    ] {
        request = add(request, name, value);
    }
    let accepted = accept_http2(&request, WEBSOCKET, &speaks(&["chat"])).expect("an acceptable request");
    let response = accepted.response();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
    let headers = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    assert_eq!(headers.collect::<Vec<_>>(), [("sec-websocket-protocol", &b"chat"[..])]);
    assert_eq!(accepted.subprotocol(), Some("chat"));
}

#[test]
fn the_200_has_no_upgrade_no_connection_no_accept_and_no_length() {
    let accepted = accepted(&example());
    assert_eq!(accepted.response().status(), 200);
    assert!(accepted.response().headers().is_empty(), "{:?}", accepted.response());
    assert!(!accepted.expects_continue());
}

#[test]
fn a_key_and_an_accept_are_not_processed() {
    for value in ["dGhlIHNhbXBsZSBub25jZQ==", "not base64", ""] {
        for name in ["sec-websocket-key", "sec-websocket-accept"] {
            let accepted = accepted(&add(example(), name, value));
            assert!(accepted.response().headers().is_empty(), "{name}: {value}");
        }
    }
}

#[test]
fn a_protocol_other_than_websocket_gets_501_and_a_connect_without_one_is_no_tunnel() {
    for other in ["", "WebSocket", "WEBSOCKET", "websocket ", "webtransport", "connect-udp", "h2c"] {
        assert_eq!(refused(&example(), Some(other)), (Rule::Protocol, 501), "{other:?}");
    }
    assert_eq!(refused(&example(), None), (Rule::Tunnel, 501));
    // As HTTP/2 libraries give a plain CONNECT: an authority and nothing else.
    assert_eq!(refused(&at("server.example.com:443"), None), (Rule::Tunnel, 501));
}

#[test]
fn each_pseudo_header_that_is_omitted_is_missed() {
    for (uri, missing) in [
        // A URI without an authority cannot keep a scheme.
        ("/chat", ":authority"),
        ("server.example.com:443", ":scheme"),
    ] {
        let rejected = rejected(&at(uri), WEBSOCKET);
        assert_eq!((rejected.rule(), rejected.status().as_u16()), (Rule::PseudoHeaders, 400), "{uri}");
        assert!(rejected.to_string().contains(missing), "{rejected}");
    }
    for uri in ["ws://server.example.com/", "ftp://server.example.com/"] {
        assert_eq!(refused(&at(uri), WEBSOCKET), (Rule::PseudoHeaders, 400), "{uri}");
    }
    let asterisk = Uri::builder().scheme("https").authority("a").path_and_query("*").build();
    let mut request = example();
    *request.uri_mut() = asterisk.expect("a URI");
    assert_eq!(
        refused(&request, WEBSOCKET),
        (Rule::PseudoHeaders, 400),
        "OPTIONS has this path, CONNECT has not"
    );
}

#[test]
fn the_method_must_be_connect_and_the_answer_says_so() {
    for method in ["GET", "POST", "HEAD", "OPTIONS", "connect"] {
        let mut request = example();
        *request.method_mut() = method.parse().expect("a method");
        assert_eq!(refused(&request, WEBSOCKET), (Rule::ConnectMethod, 405), "{method}");
    }
    let mut request = example();
    *request.method_mut() = Method::GET;
    assert_eq!(rejected(&request, WEBSOCKET).to_response().headers()["allow"], "CONNECT");
}

#[test]
fn only_versions_that_have_an_extended_connect_are_judged_here() {
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11] {
        let mut request = example();
        *request.version_mut() = version;
        assert_eq!(refused(&request, WEBSOCKET), (Rule::HttpVersion, 400), "{version:?}");
    }
    let mut request = example();
    *request.version_mut() = Version::HTTP_3;
    accepted(&request);
}

#[test]
fn headers_about_one_http1_connection_are_malformed() {
    for (name, value) in [
        ("connection", "upgrade"),
        ("connection", ""),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        let request = add(example(), name, value);
        assert_eq!(refused(&request, WEBSOCKET), (Rule::ConnectionSpecific, 400), "{name}: {value}");
    }
    accepted(&add(example(), "te", "trailers"));
}

#[test]
fn a_body_that_is_announced_is_refused() {
    for length in ["1", "18446744073709551616", "-1", "0, 0", ""] {
        let request = add(example(), "content-length", length);
        assert_eq!(refused(&request, WEBSOCKET), (Rule::Body, 400), "{length:?}");
    }
    accepted(&add(example(), "content-length", "0"));
}

#[test]
fn host_must_agree_with_the_authority_if_it_is_there() {
    for host in ["server.example.com", "SERVER.example.com", "server.example.com:443"] {
        accepted(&add(example(), "host", host));
    }
    for host in ["", "other.example.com", "server.example.com:80", "server.example.com:444", "a b"] {
        assert_eq!(refused(&add(example(), "host", host), WEBSOCKET), (Rule::Host, 400), "{host:?}");
    }
    let twice = set(example(), "host", &["server.example.com", "server.example.com"]);
    assert_eq!(refused(&twice, WEBSOCKET), (Rule::Host, 400));
}

#[test]
fn an_authority_has_no_userinfo_and_a_port_that_exists() {
    assert_eq!(refused(&at("https://user@server.example.com/"), WEBSOCKET), (Rule::RequestTarget, 400));
    assert_eq!(refused(&at("https://server.example.com:0/"), WEBSOCKET), (Rule::Host, 400));
    accepted(&at("https://[2001:db8::1]:8443/"));
}

#[test]
fn another_version_gets_400_and_the_version_to_use_since_http2_has_no_426() {
    for versions in [&[][..], &["12"], &["14"], &[""], &["13, 13"], &["13", "13"]] {
        let rejected = rejected(&set(example(), "sec-websocket-version", versions), WEBSOCKET);
        assert_eq!((rejected.rule(), rejected.status().as_u16()), (Rule::Version, 400), "{versions:?}");
        let response = rejected.to_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["sec-websocket-version"], "13");
    }
}

#[test]
fn a_missing_version_is_forgiven_where_that_is_asked_for_and_a_wrong_one_never() {
    let policy = AcceptPolicy {
        leniency: Leniency { http2_without_version: true, ..Leniency::default() },
        ..AcceptPolicy::default()
    };
    let without = set(example(), "sec-websocket-version", &[]);
    accept_http2(&without, WEBSOCKET, &policy).expect("forgiven");
    for versions in [&["8"][..], &[""], &["13", "13"]] {
        let request = set(example(), "sec-websocket-version", versions);
        let rejected = accept_http2(&request, WEBSOCKET, &policy).expect_err("not forgiven");
        assert_eq!(rejected.rule(), Rule::Version, "{versions:?}");
    }
}

#[test]
fn a_refusal_has_nothing_that_is_about_one_http1_connection() {
    let requests = [
        (set(example(), "sec-websocket-version", &["8"]), WEBSOCKET),
        (example(), None),
        (example(), Some("other")),
        (add(example(), "connection", "close"), WEBSOCKET),
        (add(example(), "origin", "https://evil.example"), WEBSOCKET),
    ];
    for (request, protocol) in requests {
        let response = rejected(&request, protocol).to_response();
        for name in ["connection", "upgrade", "keep-alive", "transfer-encoding"] {
            assert!(!response.headers().contains_key(name), "{name} in {response:?}");
        }
        assert!(response.headers().contains_key("content-type"));
        assert!(!response.status().is_success());
    }
}

#[test]
fn the_origin_must_be_that_of_the_authority_and_of_the_scheme() {
    let from = |uri: &str, origin: &str, secure| {
        let policy = AcceptPolicy { secure, ..AcceptPolicy::default() };
        let verdict = accept_http2(&add(at(uri), "origin", origin), WEBSOCKET, &policy);
        verdict.map(drop).map_err(|rejected| (rejected.rule(), rejected.status().as_u16()))
    };
    let foreign = Err((Rule::Origin, 403));
    let (tls, plain) = ("https://server.example.com/", "http://server.example.com/");
    assert_eq!(from(tls, "https://server.example.com", None), Ok(()));
    assert_eq!(from(tls, "https://evil.example", None), foreign);
    assert_eq!(from(tls, "null", None), foreign);
    // `https` is certain: the client itself has said that it came over TLS.
    assert_eq!(from(tls, "http://server.example.com", None), foreign);
    assert_eq!(from(tls, "http://server.example.com", Some(false)), foreign);
    // `http` may be a proxy's, which took the TLS off.
    assert_eq!(from(plain, "https://server.example.com", None), Ok(()));
    assert_eq!(from(plain, "http://server.example.com", None), Ok(()));
    assert_eq!(from(plain, "https://server.example.com", Some(false)), foreign);
    assert_eq!(from(plain, "http://server.example.com", Some(true)), foreign);
}

#[test]
fn subprotocols_are_chosen_as_over_http1() {
    let policy = AcceptPolicy { require_subprotocol: true, ..speaks(&["b", "a"]) };
    let offer = |values: &[&str]| set(example(), "sec-websocket-protocol", values);
    let chosen = accept_http2(&offer(&["a", "b"]), WEBSOCKET, &policy).expect("both are spoken");
    assert_eq!(chosen.response().headers()["sec-websocket-protocol"], "b");
    for (values, rule) in [
        (&[][..], Rule::NoSubprotocol),
        (&["c"], Rule::NoSubprotocol),
        (&["a, a"], Rule::SubprotocolSyntax),
        (&["a b"], Rule::SubprotocolSyntax),
    ] {
        let rejected = accept_http2(&offer(values), WEBSOCKET, &policy).expect_err("no choice");
        assert_eq!(rejected.rule(), rule, "{values:?}");
    }
}

#[test]
fn the_request_is_an_extended_connect_with_the_url_in_its_pseudo_headers() {
    for (url, uri) in [
        ("ws://server.example.com/chat?room=1", "http://server.example.com/chat?room=1"),
        ("wss://server.example.com:443", "https://server.example.com/"),
        ("wss://user:secret@[2001:db8::1]:8443/?q", "https://[2001:db8::1]:8443/?q"),
    ] {
        let attempt =
            request_http2(&WsUrl::parse(url).expect("a URL"), &ConnectOptions::default()).expect("a request");
        let request = attempt.request();
        assert_eq!((request.method(), request.version()), (&Method::CONNECT, Version::HTTP_2));
        assert_eq!(request.uri().to_string(), uri);
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        assert_eq!(headers.collect::<Vec<_>>(), [("sec-websocket-version", &b"13"[..])], "{url}");
    }
}

fn options() -> ConnectOptions {
    ConnectOptions {
        subprotocols: vec!["chat".into(), "superchat".into()],
        origin: Some("https://example.com".into()),
        authorization_from_url: true,
        headers: [(http::header::COOKIE, HeaderValue::from_static("a=1"))].into_iter().collect(),
        ..ConnectOptions::default()
    }
}

#[test]
fn our_request_is_accepted_by_our_server_and_our_answer_by_our_client() {
    let url = WsUrl::parse("wss://me:secret@server.example.com/chat").expect("a URL");
    let attempt = request_http2(&url, &options()).expect("a request");
    assert_eq!(attempt.request().headers()["authorization"], "Basic bWU6c2VjcmV0");
    assert_eq!(attempt.request().headers()["cookie"], "a=1");
    let policy = AcceptPolicy {
        origin: OriginPolicy::List(vec!["https://example.com".into()]),
        ..speaks(&["superchat"])
    };
    let mut accepted = accept_http2(attempt.request(), WEBSOCKET, &policy).expect("an acceptable request");
    accepted.add_header(http::header::SET_COOKIE, HeaderValue::from_static("b=2")).expect("not ours");
    let established = attempt.verify(accepted.response()).expect("an acceptable answer");
    assert_eq!(established.subprotocol(), Some("superchat"));
    assert_eq!(established.response().headers()["set-cookie"], "b=2");
    assert_eq!(established.response().status(), 200);
}

#[test]
fn headers_of_the_handshake_or_of_one_http1_connection_cannot_be_set() {
    for name in [
        "host",
        "upgrade",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "te",
        "content-length",
        "sec-websocket-key",
        "sec-websocket-version",
    ] {
        let options = ConnectOptions {
            headers: [(name.parse().expect("a name"), HeaderValue::from_static("x"))].into_iter().collect(),
            ..ConnectOptions::default()
        };
        let misuse = request_http2(&WsUrl::parse("wss://a/").expect("a URL"), &options).expect_err(name);
        assert!(matches!(&misuse, Misuse::ReservedHeader(reserved) if reserved == name), "{misuse}");
    }
}

fn verified(status: u16, headers: &[(&str, &str)]) -> Result<Option<String>, Rule> {
    let attempt = request_http2(&WsUrl::parse("wss://a/").expect("a URL"), &options()).expect("a request");
    let mut response = Response::builder().status(status).version(Version::HTTP_2);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let response = response.body(()).expect("a response");
    match attempt.verify(&response) {
        Ok(established) => Ok(established.subprotocol().map(ToOwned::to_owned)),
        Err(rejected) => {
            assert_eq!(rejected.received().map(Response::status), Some(response.status()));
            Err(rejected.rule())
        }
    }
}

#[test]
fn every_2xx_opens_and_no_other_status_does() {
    for status in 200..=299 {
        assert_eq!(verified(status, &[]), Ok(None), "{status}");
    }
    for status in [100, 101, 199, 300, 301, 401, 404, 426, 500, 501, 599] {
        assert_eq!(
            verified(status, &[("sec-websocket-protocol", "chat")]),
            Err(Rule::NotSwitching),
            "{status}"
        );
    }
}

#[test]
fn the_clients_judgement_of_a_2xx_is_the_one_over_http1_without_upgrade_and_accept() {
    for (headers, expected) in [
        (&[("sec-websocket-protocol", "chat")][..], Ok(Some("chat".to_owned()))),
        (&[("sec-websocket-accept", "anything")], Ok(None)),
        (&[("content-length", "7")], Ok(None)),
        (&[("sec-websocket-protocol", "other")], Err(Rule::UnofferedSubprotocol)),
        (&[("sec-websocket-protocol", "chat, superchat")], Err(Rule::SubprotocolSyntax)),
        (
            &[("sec-websocket-protocol", "chat"), ("sec-websocket-protocol", "superchat")],
            Err(Rule::SubprotocolSyntax),
        ),
        (&[("sec-websocket-extensions", "permessage-deflate")], Err(Rule::UnofferedExtension)),
        (&[("sec-websocket-extensions", "=")], Err(Rule::ExtensionSyntax)),
        (&[("connection", "upgrade")], Err(Rule::ConnectionSpecific)),
        (&[("upgrade", "websocket")], Err(Rule::ConnectionSpecific)),
    ] {
        assert_eq!(verified(200, headers), expected, "{headers:?}");
    }
}
