use http::HeaderValue;
use trunkline_websocket::handshake::{Rejected, request};

use super::*;

fn hop(url: &str, limit: u8) -> Hop {
    let mut options = ConnectOptions {
        subprotocols: vec!["chat.1".into()],
        authorization_from_url: true,
        ..ConnectOptions::default()
    };
    for (name, value, secret) in [
        ("authorization", "Bearer hunter2", false),
        ("cookie", "id=hunter2", false),
        ("proxy-authorization", "Basic hunter2", false),
        ("x-api-key", "hunter2", true),
        ("x-plain", "shown", false),
    ] {
        let mut value = HeaderValue::from_static(value);
        value.set_sensitive(secret);
        options.headers.append(HeaderName::from_static(name), value);
    }
    Hop::first(WsUrl::parse(url).expect("a URL"), options).with_redirects(limit)
}

fn answer(status: u16, locations: &[&[u8]]) -> HandshakeError {
    let mut response = Response::builder().status(status);
    for location in locations {
        response = response.header(LOCATION, *location);
    }
    let response = response.body(b"moved".to_vec()).expect("a response");
    // As the handshake itself refuses whatever is no 101.
    let attempt = request(&WsUrl::parse("ws://h/").expect("a URL"), &ConnectOptions::default(), [0; 16]);
    let rejected: Rejected = attempt.expect("a request").verify(&response).expect_err("no 101");
    HandshakeError { rejected, response: Some(response) }
}

/// Where a 302 with this `Location` leads to.
fn follow(from: &str, location: &str) -> Result<String, RedirectProblem> {
    match hop(from, 5).follow(answer(302, &[location.as_bytes()])) {
        Ok(next) => Ok(next.url.to_string()),
        Err(Error::Redirect(error)) => Err(error.problem),
        Err(other) => panic!("neither followed nor refused: {other}"),
    }
}

#[test]
fn locations_are_relative_or_absolute_and_http_is_read_as_ws() {
    for (from, location, to) in [
        ("ws://h/a/b?q", "/c", "ws://h/c"),
        ("ws://h/a/b?q", "c", "ws://h/a/c"),
        ("ws://h/a/b?q", "../c?d", "ws://h/c?d"),
        ("ws://h/a/b?q", "?r", "ws://h/a/b?r"),
        ("ws://h:81/a", "//other/c", "ws://other/c"),
        ("wss://h/", "//other/c", "wss://other/c"),
        ("ws://h/", "ws://other:8080/", "ws://other:8080/"),
        ("ws://h/", "http://other/", "ws://other/"),
        ("ws://h/", "https://other/", "wss://other/"),
        ("ws://h/", "HTTPS://Other:443/c", "wss://other/c"),
        ("ws://h/", "https://other/c#fragment", "wss://other/c"),
        ("ws://h/a", "https://[2001:db8::1]/", "wss://[2001:db8::1]/"),
    ] {
        assert_eq!(follow(from, location).as_deref(), Ok(to), "{location} from {from}");
    }
}

#[test]
fn what_is_no_websocket_url_is_not_followed() {
    for location in ["ftp://h/", "mailto:a@h", "javascript:alert(1)", "http://", "http://h:0/", "data:,"] {
        assert_eq!(follow("ws://h/", location), Err(RedirectProblem::Location), "{location}");
    }
    let two = hop("ws://h/", 5).follow(answer(302, &[b"/a", b"/b"]));
    assert!(matches!(two, Err(Error::Redirect(error)) if error.problem == RedirectProblem::Location));
    let bytes = hop("ws://h/", 5).follow(answer(302, &[b"/\xff"]));
    assert!(matches!(bytes, Err(Error::Redirect(error)) if error.problem == RedirectProblem::Location));
}

#[test]
fn five_statuses_redirect_and_only_with_a_location() {
    for status in [301, 302, 303, 307, 308] {
        assert!(hop("ws://h/", 5).follow(answer(status, &[b"/c"])).is_ok(), "{status}");
        let bare = hop("ws://h/", 5).follow(answer(status, &[]));
        assert!(matches!(bare, Err(Error::Handshake(error)) if error.response.is_some()), "{status}");
    }
    for status in [200, 201, 300, 304, 305, 306, 401, 503] {
        let kept = hop("ws://h/", 5).follow(answer(status, &[b"/c"]));
        let Err(Error::Handshake(error)) = kept else { panic!("{status} is the answer") };
        assert_eq!(error.response.expect("as it came").body(), b"moved");
    }
}

#[test]
fn the_same_origin_keeps_everything() {
    let next = hop("ws://zoe:secret@h/a", 1).follow(answer(307, &[b"/b"])).expect("followed");
    assert_eq!((next.url.to_string().as_str(), next.url.userinfo()), ("ws://h/b", Some("zoe:secret")));
    assert_eq!(next.options.headers.len(), 5);
    assert!(next.options.authorization_from_url);
    // Spelled otherwise, but the same.
    let next = hop("ws://zoe:secret@h/a", 1).follow(answer(307, &[b"http://H:80/b"])).expect("followed");
    assert_eq!(next.options.headers.len(), 5);
}

#[test]
fn another_scheme_host_or_port_gets_no_secret_and_the_subprotocols() {
    for location in ["ws://other/a", "ws://h:81/a", "wss://h/a", "https://h:80/a", "ws://sub.h/a"] {
        let next = hop("ws://zoe:secret@h/a", 1).follow(answer(307, &[location.as_bytes()])).expect(location);
        let left: Vec<_> = next.options.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-plain"], "{location}");
        assert_eq!(next.url.userinfo(), None, "{location}");
        assert!(!next.options.authorization_from_url, "{location}");
        assert_eq!(next.options.subprotocols, ["chat.1"]);
    }
}

#[test]
fn secrets_stay_away_when_the_chain_leads_back() {
    let away = hop("ws://zoe:secret@h/a", 5).follow(answer(302, &[b"ws://other/"])).expect("followed");
    let back = away.follow(answer(302, &[b"ws://h/b"])).expect("followed");
    assert_eq!(back.url.to_string(), "ws://h/b");
    assert_eq!((back.url.userinfo(), back.options.headers.len()), (None, 1));
}

#[test]
fn userinfo_in_a_location_is_never_used() {
    for location in ["ws://eve:evil@h/b", "//eve:evil@other/|", "http://eve@h:80/b"] {
        let next = hop("ws://h/a", 5).follow(answer(302, &[location.as_bytes()])).expect(location);
        assert_eq!(next.url.userinfo(), None, "{location}");
    }
    let own = hop("ws://zoe@h/a", 5).follow(answer(302, &[b"ws://eve:evil@h/b"])).expect("followed");
    assert_eq!(own.url.userinfo(), Some("zoe"));
}

#[test]
fn from_wss_to_ws_is_never_followed() {
    assert_eq!(follow("wss://h/", "ws://h/"), Err(RedirectProblem::Downgrade));
    assert_eq!(follow("wss://h/", "http://h:443/"), Err(RedirectProblem::Downgrade));
    assert_eq!(follow("wss://h/", "https://h/b").as_deref(), Ok("wss://h/b"));
}

#[test]
fn as_many_as_allowed_are_followed_and_not_one_more() {
    let mut chain = hop("ws://h/0", 3);
    for number in 1..=3 {
        chain = chain.follow(answer(302, &[format!("/{number}").as_bytes()])).expect("within the limit");
    }
    let error = chain.follow(answer(302, &[b"/4"])).expect_err("one more");
    let Error::Redirect(error) = error else { panic!("{error}") };
    assert_eq!(error.problem, RedirectProblem::TooMany { limit: 3 });
    assert_eq!(error.response.status(), 302);
    assert_eq!(error.to_string(), "ws://h redirects to ws://h, after 3 redirects that were followed");
}

#[test]
fn a_loop_ends_where_it_closes() {
    assert_eq!(follow("ws://h/a", "/a"), Err(RedirectProblem::Loop));
    let chain = hop("ws://h/a", 9).follow(answer(302, &[b"/b"])).expect("followed");
    let chain = chain.follow(answer(302, &[b"/c"])).expect("followed");
    let error = chain.follow(answer(302, &[b"/a"])).expect_err("we were there");
    assert!(error.to_string().contains("go round"), "{error}");
}

#[test]
fn words_name_origins_and_no_path() {
    let error = hop("wss://h/a?ticket=hunter2", 1).follow(answer(302, &[b"ws://h/?ticket=hunter2"]));
    let words = error.expect_err("a downgrade").to_string();
    assert_eq!(words, "wss://h redirects to ws://h, which is not encrypted");
}

#[test]
fn what_will_be_followed_is_known_before_it_is() {
    for (limit, status, locations, follows) in [
        (1, 302, &[&b"/b"[..]][..], true),
        (0, 302, &[b"/b"], false),
        (1, 403, &[b"/b"], false),
        (1, 302, &[], false),
        (1, 302, &[b"/a"], false),
        (1, 302, &[b"ftp://h/"], false),
        (1, 302, &[b"ws://h/"], false),
    ] {
        let refused = answer(status, locations);
        let hop = hop("wss://h/a", limit);
        let foreseen = refused.response.as_ref().is_some_and(|response| hop.follows(response));
        assert_eq!((foreseen, hop.follow(refused).is_ok()), (follows, follows), "{status} {locations:?}");
    }
}
