//! Cross-site WebSocket hijacking (RFC 6455 §10.2): which page may open a connection to which host.

mod handshake_support;

use handshake_support::{add, example, set};
use trunkline_websocket::handshake::{AcceptPolicy, OriginPolicy, Rule, accept};

/// Whether a page of `origin` may connect to `host`.
fn lets_in(policy: &OriginPolicy, secure: Option<bool>, host: &str, origin: Option<&str>) -> bool {
    let policy = AcceptPolicy { origin: policy.clone(), secure, ..AcceptPolicy::default() };
    let request = set(example(), "host", &[host]);
    let request = set(request, "origin", origin.as_slice());
    match accept(&request, &policy) {
        Ok(_) => true,
        Err(rejected) => {
            assert_eq!((rejected.rule(), rejected.status().as_u16()), (Rule::Origin, 403), "{rejected}");
            false
        }
    }
}

#[test]
fn the_default_policy_is_the_same_origin() {
    assert_eq!(AcceptPolicy::default().origin, OriginPolicy::SameOrigin);
    assert!(
        accept(&add(example(), "origin", "https://server.example.com"), &AcceptPolicy::default()).is_ok()
    );
    assert!(accept(&add(example(), "origin", "https://example.com"), &AcceptPolicy::default()).is_err());
}

#[test]
fn the_same_origin_is_the_same_host_and_port() {
    for (host, origin) in [
        ("example.com", "https://example.com"),
        ("example.com", "http://example.com"),
        ("example.com", "https://example.com:443"),
        ("example.com", "http://example.com:80"),
        ("example.com:443", "https://example.com"),
        ("example.com:80", "http://example.com"),
        ("example.com:8080", "http://example.com:8080"),
        ("EXAMPLE.com", "https://example.COM"),
        ("example.com", "HTTPS://example.com"),
        ("localhost:8101", "http://localhost:8101"),
        ("127.0.0.1:8101", "http://127.0.0.1:8101"),
        ("[::1]:8101", "http://[::1]:8101"),
        ("[0:0:0:0:0:0:0:1]", "http://[::1]"),
    ] {
        assert!(lets_in(&OriginPolicy::SameOrigin, None, host, Some(origin)), "{origin} to {host}");
    }
}

#[test]
fn a_page_of_another_origin_cannot_hijack() {
    for (host, origin) in [
        ("example.com", "https://evil.com"),
        ("example.com", "https://evil-example.com"), // a suffix
        ("example.com", "https://evilexample.com"),
        ("example.com", "https://example.com.evil.com"), // a prefix
        ("example.com", "https://example.co"),
        ("example.com", "https://www.example.com"), // a subdomain may be somebody else's
        ("www.example.com", "https://example.com"),
        ("example.com", "https://example.com."), // another host, for a browser
        ("example.com", "https://example.com:8443"),
        ("example.com:8443", "https://example.com"),
        ("example.com:443", "http://example.com"),
        ("example.com:80", "https://example.com"),
        ("example.com", "https://example.com:80"),
        ("example.com", "http://example.com:443"),
        ("localhost:8101", "http://127.0.0.1:8101"),
        ("127.0.0.1", "http://127.0.0.1.evil.com"),
        ("example.com", "null"), // sandboxed frames, files, data URLs
        ("null", "null"),
        ("example.com", ""),
        ("example.com", "example.com"),
        ("example.com", "//example.com"),
        ("example.com", "https:example.com"),
        ("example.com", "https://example.com/"), // no origin at all: a browser sends no slash
        ("example.com", "https://example.com/path"),
        ("example.com", "https://example.com@evil.com"),
        ("example.com", "https://evil.com@example.com"),
        ("example.com", "https://evil.com#https://example.com"),
        ("example.com", "https://evil.com https://example.com"),
        ("example.com", "https://example.com https://evil.com"),
        ("example.com", "https://example.com, https://evil.com"),
        ("example.com", "https://example.com:443:443"),
        ("example.com", "https://example.com:0443x"),
        ("example.com", "https://"),
        ("example.com", "ftp://example.com"),
        ("example.com", "file://example.com"),
        ("abcdef", "chrome-extension://abcdef"),
        ("example.com", "javascript://example.com"),
    ] {
        assert!(!lets_in(&OriginPolicy::SameOrigin, None, host, Some(origin)), "{origin} to {host}");
        // Neither does a list that has it, if it is not one origin in the serialization of RFC 6454.
        let other = OriginPolicy::List(vec!["https://other.example".into()]);
        assert!(!lets_in(&other, None, host, Some(origin)), "{origin} to {host} with a list of others");
    }
}

#[test]
fn a_page_without_tls_is_another_origin_where_tls_is_known() {
    let same = OriginPolicy::SameOrigin;
    for (secure, origin, expected) in [
        (None, "http://example.com", true),
        (None, "https://example.com", true),
        (Some(true), "https://example.com", true),
        (Some(true), "http://example.com", false), // whoever sits on the path can write into such a page
        (Some(false), "http://example.com", true),
        (Some(false), "https://example.com", false),
    ] {
        assert_eq!(lets_in(&same, secure, "example.com", Some(origin)), expected, "{origin}, TLS {secure:?}");
    }
}

#[test]
fn a_list_lets_in_what_it_names_and_nothing_else() {
    let list = ["https://example.com", "http://localhost:3000", "app://local", "https://EXAMPLE.org:443"];
    let list = OriginPolicy::List(list.iter().map(ToString::to_string).collect());
    for origin in [
        "https://example.com",
        "https://EXAMPLE.com:443",
        "http://localhost:3000",
        "app://local",
        "https://example.org",
    ] {
        assert!(lets_in(&list, None, "server.example", Some(origin)), "{origin}");
    }
    for origin in [
        "http://example.com",
        "https://example.com:8443",
        "https://evil-example.com",
        "https://example.com.evil.com",
        "http://localhost",
        "https://localhost:3000",
        "app://local:1",
        "https://server.example", // the same origin, which this policy does not name
        "null",
    ] {
        assert!(!lets_in(&list, None, "server.example", Some(origin)), "{origin}");
    }
}

#[test]
fn a_list_with_the_same_origin_lets_in_both() {
    let policy = OriginPolicy::SameOriginOr(vec!["https://example.com".into()]);
    for (origin, expected) in [
        ("https://example.com", true),
        ("https://server.example", true),
        ("https://evil.com", false),
        ("null", false),
    ] {
        assert_eq!(lets_in(&policy, None, "server.example", Some(origin)), expected, "{origin}");
    }
}

#[test]
fn null_is_refused_even_by_a_list_that_names_it() {
    let list = OriginPolicy::List(vec!["null".into()]);
    assert!(!lets_in(&list, None, "server.example", Some("null")));
    assert_eq!(list.check().len(), 1, "and the check of the configuration says so");
}

#[test]
fn a_client_without_an_origin_is_no_browser_and_passes_every_policy() {
    for policy in [
        OriginPolicy::Any,
        OriginPolicy::SameOrigin,
        OriginPolicy::List(vec![]),
        OriginPolicy::SameOriginOr(vec![]),
    ] {
        assert!(lets_in(&policy, Some(true), "server.example", None), "{policy:?}");
    }
}

#[test]
fn any_lets_in_every_origin() {
    for origin in ["https://evil.com", "null", "nonsense"] {
        assert!(lets_in(&OriginPolicy::Any, Some(true), "server.example", Some(origin)), "{origin}");
    }
}

#[test]
fn two_origins_are_refused() {
    let request =
        add(add(example(), "origin", "https://server.example.com"), "origin", "https://server.example.com");
    let rejected = accept(&request, &AcceptPolicy::default()).expect_err("two origins");
    assert_eq!(rejected.rule(), Rule::Origin);
}
