//! The forgery matrix: what a client writes, what proxies write behind it, and who then is the client.

use http::header::HeaderValue;

use super::*;

const ALL: Reads = Reads { forwarded: true, x_forwarded: true, x_real_ip: true };

fn fields(said: &[(&'static str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in said.iter().map(field) {
        headers.append(name, value);
    }
    headers
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// 10.0.0.0/8, 192.168.0.200, 192.168.0.201 and fd00::/8 are ours.
fn ours(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[0] == 10 || matches!(v4.octets(), [192, 168, 0, 200 | 201]),
        IpAddr::V6(v6) => v6.octets()[0] == 0xFD,
    }
}

fn client(said: &[(&'static str, &str)]) -> Option<IpAddr> {
    read(&fields(said), ALL, ours).expect("readable").and_then(|told| told.client)
}

#[test]
fn the_first_address_from_the_right_that_is_not_trusted_is_the_client() {
    for (said, expected) in [
        // 192.168.0.100 -> .200 -> .201 -> us: .200 has seen .100, .201 has seen .200.
        ("192.168.0.100, 192.168.0.200", "192.168.0.100"),
        ("192.168.0.100", "192.168.0.100"),
        // The client writes what it likes in front.
        ("127.0.0.1, 192.168.0.100, 192.168.0.200", "192.168.0.100"),
        ("10.0.0.1, 192.168.0.100", "192.168.0.100"),
        ("10.0.0.1,192.168.0.100 ,\t192.168.0.200", "192.168.0.100"),
        ("' OR 1=1 --, 192.168.0.100", "192.168.0.100"),
        ("\u{ff}, 192.168.0.100", "192.168.0.100"),
        (", , 192.168.0.100,, 192.168.0.200,", "192.168.0.100"),
        // All are trusted: who began it is one of ours.
        ("10.0.0.7, 192.168.0.200", "10.0.0.7"),
        ("2001:db8::1, fd00::2", "2001:db8::1"),
        ("[2001:db8::1], 10.0.0.1", "2001:db8::1"),
        ("[2001:db8::1]:4711, 10.0.0.1:80", "2001:db8::1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("::ffff:192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1"),
        // A proxy that hides its client: the nearest that is known.
        ("6.6.6.6, unknown, 10.0.0.9", "10.0.0.9"),
        ("6.6.6.6, _hidden, 10.0.0.9", "10.0.0.9"),
    ] {
        assert_eq!(client(&[("x-forwarded-for", said)]), Some(ip(expected)), "{said}");
    }
    let two_fields = [("x-forwarded-for", "6.6.6.6, 192.168.0.100"), ("x-forwarded-for", "192.168.0.200")];
    assert_eq!(client(&two_fields), Some(ip("192.168.0.100")), "a field added is an entry added");
    assert_eq!(client(&[("x-forwarded-for", "unknown")]), None);
    assert_eq!(client(&[]), None);
}

#[test]
fn forwarded_is_read_with_its_quotes_ports_brackets_and_hidden_names() {
    for (said, expected) in [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=\"192.0.2.1:4711\"", "192.0.2.1"),
        ("for=192.0.2.1:4711", "192.0.2.1"),
        ("for=\"192.0.2.1:_port\"", "192.0.2.1"),
        ("for=\"[2001:db8::1]\"", "2001:db8::1"),
        ("for=\"[2001:db8::1]:4711\";by=10.0.0.1", "2001:db8::1"),
        ("for=\"19\\2.0.2.1\"", "192.0.2.1"),
        ("for=6.6.6.6, for=192.0.2.1;proto=http;by=203.0.113.43, for=10.0.0.1", "192.0.2.1"),
        ("proto=https; for=192.0.2.1 ; ext=\"a, b; c\"", "192.0.2.1"),
        (", ;; ,for=192.0.2.1;,", "192.0.2.1"),
        ("for=\"6.6.6.6, for=7.7.7.7\", for=192.0.2.1", "192.0.2.1"),
        ("for=6.6.6.6, for=unknown, for=10.0.0.9", "10.0.0.9"),
        ("for=6.6.6.6, for=_SEVKISEK, for=10.0.0.9", "10.0.0.9"),
        ("for=6.6.6.6, by=10.0.0.1, for=10.0.0.9", "10.0.0.9"),
    ] {
        assert_eq!(client(&[("forwarded", said)]), Some(ip(expected)), "{said}");
    }
}

#[test]
fn what_cannot_be_read_as_far_as_it_has_to_be_is_told_and_never_guessed() {
    for said in [
        "for=\"192.0.2.1",
        "for=\"192.0.2.1\\",
        "for=6.6.6.6\", for=192.0.2.1",
        "for",
        "for=",
        "for=;proto=http",
        "for=192.0.2.1 by=1.1.1.1",
        "for=192.0.2.1;for=1.1.1.1",
        "=192.0.2.1",
        "for=192.0.2.256",
        "for=2001:db8::1:zz",
        "for=\"[192.0.2.1]\"",
        "for=\"[2001:db8::1\"",
        "for=\"[2001:db8::1]4711\"",
        "for=\"192.0.2.1:\"",
        "for=\"192.0.2.1:123456\"",
        "for=\"_\"",
        "for=somebody",
        "for=192.0.2.1;host=\"a@b\"",
        "for=192.0.2.1;host=\"a b\"",
    ] {
        assert!(read(&fields(&[("forwarded", said)]), ALL, ours).is_err(), "{said}");
    }
    for said in ["6.6.6.6, garbage", "192.0.2.1 10.0.0.1", "6.6.6.6, 1.2.3", "\"192.0.2.1\"", "fe80::1%eth0"]
    {
        assert!(read(&fields(&[("x-forwarded-for", said)]), ALL, ours).is_err(), "{said}");
    }
    let long = format!("x{}", "y".repeat(5000));
    let error = read(&fields(&[("x-forwarded-for", &long)]), ALL, ours).expect_err("no address").to_string();
    assert!(error.len() < 200, "{error}");
    let twice = [("x-real-ip", "192.0.2.1"), ("x-real-ip", "192.0.2.2")];
    assert_eq!(read(&fields(&twice), ALL, ours), Err(Unreadable::Repeated("X-Real-IP")));
}

#[test]
fn a_field_that_is_passed_on_beside_the_one_that_the_proxy_writes_is_a_contradiction() {
    let real = ("x-forwarded-for", "192.0.2.1");
    for forged in [("forwarded", "for=6.6.6.6"), ("x-real-ip", "6.6.6.6"), ("forwarded", "for=unknown")] {
        let refused = read(&fields(&[real, forged]), ALL, ours);
        assert!(matches!(refused, Err(Unreadable::Contradiction(..))), "{forged:?}: {refused:?}");
    }
    assert_eq!(
        client(&[real, ("forwarded", "for=192.0.2.1"), ("x-real-ip", "192.0.2.1")]),
        Some(ip("192.0.2.1"))
    );
    let reads = Reads { forwarded: false, x_forwarded: true, x_real_ip: false };
    for forged in [("forwarded", "for=\"6.6.6.6"), ("x-real-ip", "6.6.6.6")] {
        let told = read(&fields(&[real, forged]), reads, ours).expect("it is not read");
        assert_eq!(told.and_then(|told| told.client), Some(ip("192.0.2.1")), "{forged:?}");
    }
    let nothing = read(&fields(&[("x-real-ip", "6.6.6.6")]), reads, ours).expect("it is not read");
    assert_eq!(nothing, None);
}

#[test]
fn scheme_and_host_are_those_that_the_same_proxy_says() {
    let told = |said: &[(&'static str, &str)]| {
        let told = read(&fields(said), ALL, ours).expect("readable").expect("something");
        (told.secure, told.host.map(|host| host.to_string()))
    };
    let host = |text: &str| Some(text.to_owned());
    let forwarded = "for=6.6.6.6;proto=https;host=evil, for=192.0.2.1;proto=http;host=\"a.example:81\", for=10.0.0.1;proto=https";
    assert_eq!(told(&[("forwarded", forwarded)]), (Some(false), host("a.example:81")));
    let one = [("x-forwarded-for", "6.6.6.6, 192.0.2.1, 10.0.0.1"), ("x-forwarded-proto", "WSS")];
    assert_eq!(told(&one), (Some(true), None));
    let each = [
        ("x-forwarded-for", "6.6.6.6, 192.0.2.1, 10.0.0.1"),
        ("x-forwarded-proto", "https, http, https"),
        ("x-forwarded-host", "b.example, a.example"),
    ];
    assert_eq!(told(&each), (Some(false), host("b.example")));
    let few = [("x-forwarded-for", "192.0.2.1, 10.0.0.1, 10.0.0.2"), ("x-forwarded-proto", "https, http")];
    assert_eq!(told(&few), (None, None), "nobody has said it");
    assert_eq!(told(&[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "gopher")]), (None, None));
}

#[test]
fn an_upstream_is_told_what_is_verified_and_nothing_else() {
    let said = [
        ("forwarded", "for=6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "6.6.6.6"),
        ("true-client-ip", "6.6.6.6"),
        ("cookie", "a=b"),
    ];
    let host: Authority = "a.example:8443".parse().expect("a host");
    let mut headers = fields(&said);
    let verified = Verified { client: Some(ip("2001:db8::1")), secure: Some(true), host: Some(&host) };
    set_for_upstream(&mut headers, verified);
    let expected = fields(&[
        ("cookie", "a=b"),
        ("x-forwarded-for", "2001:db8::1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "a.example:8443"),
        ("forwarded", "for=\"[2001:db8::1]\";host=\"a.example:8443\";proto=https"),
    ]);
    assert_eq!(headers, expected);
    let told = read(&headers, ALL, ours).expect("readable").expect("something");
    assert_eq!(told, Told { client: Some(ip("2001:db8::1")), secure: Some(true), host: Some(host) });

    let mut headers = fields(&said);
    set_for_upstream(&mut headers, Verified { client: None, secure: None, host: None });
    assert_eq!(headers, fields(&[("cookie", "a=b"), ("forwarded", "for=unknown")]));
}
