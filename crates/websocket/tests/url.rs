//! `ws:` and `wss:` URLs: one table for the strict parser (RFC 6455 §3), one for the browser's (WHATWG).

use proptest::prelude::*;
use trunkline_websocket::url::{UrlError, WsUrl};

/// A URL as `scheme host port Host target`, and its userinfo.
fn describe(url: &WsUrl) -> String {
    let userinfo = url.userinfo().map(|userinfo| format!(" {userinfo}@")).unwrap_or_default();
    format!(
        "{} {} {} {} {}{userinfo}",
        url.scheme(),
        url.host(),
        url.port(),
        url.authority(),
        url.resource_name()
    )
}

type Expected = Result<&'static str, UrlError>;

const fn target(character: char, position: usize) -> Expected {
    Err(UrlError::Target { character, position })
}

/// Name, input, what comes out of it.
#[rustfmt::skip]
const STRICT: &[(&str, &str, Expected)] = &[
    ("the shortest", "ws://h", Ok("ws h 80 h /")),
    ("the shortest with TLS", "wss://h", Ok("wss h 443 h /")),
    ("a path", "ws://example.com/chat", Ok("ws example.com 80 example.com /chat")),
    ("a path and a query", "ws://example.com/a/b?c=d&e", Ok("ws example.com 80 example.com /a/b?c=d&e")),
    ("a query without a path", "ws://h?x", Ok("ws h 80 h /?x")),
    ("a port and a query without a path", "ws://h:8080?x", Ok("ws h 8080 h:8080 /?x")),
    ("an empty query is none", "ws://h/?", Ok("ws h 80 h /")),
    ("an empty query without a path", "ws://h?", Ok("ws h 80 h /")),
    ("a query that is a question mark", "ws://h/??", Ok("ws h 80 h /??")),
    ("a query that ends in a question mark", "ws://h/a?b?", Ok("ws h 80 h /a?b?")),
    ("a query with slashes", "ws://h?a/b", Ok("ws h 80 h /?a/b")),
    ("two slashes", "ws://h//a", Ok("ws h 80 h //a")),
    ("dots are kept", "ws://h/a/../b", Ok("ws h 80 h /a/../b")),
    ("every legal character", "ws://h/-._~!$&'()*+,;=:@%20?/", Ok("ws h 80 h /-._~!$&'()*+,;=:@%20?/")),
    ("an at sign in the path", "ws://h/@", Ok("ws h 80 h /@")),
    ("a colon in the query", "ws://h?:1", Ok("ws h 80 h /?:1")),
    ("an encoded hash", "ws://h/a%23b", Ok("ws h 80 h /a%23b")),
    ("a scheme in upper case", "WS://h/", Ok("ws h 80 h /")),
    ("a scheme in mixed case", "wSs://h/", Ok("wss h 443 h /")),
    ("a host in upper case", "ws://EXAMPLE.Com/A", Ok("ws example.com 80 example.com /A")),
    ("the default port", "ws://h:80/", Ok("ws h 80 h /")),
    ("the default port with TLS", "wss://h:443/", Ok("wss h 443 h /")),
    ("the other's default port", "ws://h:443/", Ok("ws h 443 h:443 /")),
    ("the other's default port with TLS", "wss://h:80/", Ok("wss h 80 h:80 /")),
    ("another port", "ws://h:8080/", Ok("ws h 8080 h:8080 /")),
    ("the largest port", "ws://h:65535", Ok("ws h 65535 h:65535 /")),
    ("an empty port", "ws://h:/", Ok("ws h 80 h /")),
    ("a port with zeros", "ws://h:00080/", Ok("ws h 80 h /")),
    ("port 0", "ws://h:0/", Err(UrlError::Port)),
    ("a port too large by one", "ws://h:65536/", Err(UrlError::Port)),
    ("a port that overflows", "ws://h:18446744073709551617/", Err(UrlError::Port)),
    ("a port with a sign", "ws://h:+80/", Err(UrlError::Port)),
    ("a negative port", "ws://h:-1/", Err(UrlError::Port)),
    ("a port in letters", "ws://h:http/", Err(UrlError::Port)),
    ("two ports", "ws://h:1:2/", Err(UrlError::Port)),
    ("IPv4", "ws://127.0.0.1:8101/", Ok("ws 127.0.0.1 8101 127.0.0.1:8101 /")),
    ("IPv4 as a number is a name here", "ws://0x7f.1/", Ok("ws 0x7f.1 80 0x7f.1 /")),
    ("IPv6", "ws://[::1]/", Ok("ws ::1 80 [::1] /")),
    ("IPv6 with a port", "ws://[::1]:8080/", Ok("ws ::1 8080 [::1]:8080 /")),
    ("IPv6 with the default port", "wss://[2001:db8::1]:443", Ok("wss 2001:db8::1 443 [2001:db8::1] /")),
    ("IPv6 in its long form", "ws://[0:0:0:0:0:0:0:1]", Ok("ws ::1 80 [::1] /")),
    ("IPv6 in upper case", "ws://[2001:DB8::A]", Ok("ws 2001:db8::a 80 [2001:db8::a] /")),
    ("IPv6 with a query and no path", "ws://[::1]?x", Ok("ws ::1 80 [::1] /?x")),
    ("IPv6 with a zone", "ws://[fe80::1%25eth0]/", Err(UrlError::Host)),
    ("IPv6 without brackets", "ws://::1/", Err(UrlError::Host)),
    ("IPv6 without its last bracket", "ws://[::1/", Err(UrlError::Host)),
    ("IPv6 and more", "ws://[::1]x/", Err(UrlError::Host)),
    ("brackets around a name", "ws://[example.com]/", Err(UrlError::Host)),
    ("an address of the future", "ws://[v1.fe]/", Err(UrlError::Host)),
    ("no host", "ws://", Err(UrlError::Host)),
    ("no host and a path", "ws:///path", Err(UrlError::Host)),
    ("no host and a port", "ws://:80/", Err(UrlError::Host)),
    ("no host and a query", "ws://?x", Err(UrlError::Host)),
    ("a host with a space", "ws://a b/", Err(UrlError::Host)),
    ("a host that is not ASCII", "ws://m\u{fc}nchen.de/", Err(UrlError::Host)),
    ("a host in percent-encoding", "ws://ex%61mple.com/", Err(UrlError::Host)),
    ("two hosts", "ws://a,b/", Err(UrlError::Host)),
    ("a host with an underscore", "ws://a_b/", Ok("ws a_b 80 a_b /")),
    ("a host with its last dot", "ws://example.com./", Ok("ws example.com. 80 example.com. /")),
    ("a fragment", "ws://h/#a", Err(UrlError::Fragment)),
    ("an empty fragment", "ws://h/#", Err(UrlError::Fragment)),
    ("a fragment after the host", "ws://h#a", Err(UrlError::Fragment)),
    ("a fragment after the query", "ws://h?a#b", Err(UrlError::Fragment)),
    ("user and password", "ws://user:secret@h/", Ok("ws h 80 h / user:secret@")),
    ("a user alone", "ws://user@h:81/", Ok("ws h 81 h:81 / user@")),
    ("an empty user", "ws://@h/", Ok("ws h 80 h /")),
    ("an encoded at sign in a password", "ws://u:p%40@h/", Ok("ws h 80 h / u:p%40@")),
    ("a raw at sign in a password", "ws://u:p@ss@h/", Err(UrlError::Userinfo)),
    ("a space in a password", "ws://u:p w@h/", Err(UrlError::Userinfo)),
    ("userinfo without a host", "ws://user:secret@/", Err(UrlError::Host)),
    ("http", "http://h/", Err(UrlError::Scheme)),
    ("https", "https://h/", Err(UrlError::Scheme)),
    ("a longer scheme", "wsss://h/", Err(UrlError::Scheme)),
    ("no scheme", "//h/", Err(UrlError::Scheme)),
    ("only a host", "example.com", Err(UrlError::Scheme)),
    ("only a path", "/chat", Err(UrlError::Scheme)),
    ("no slashes", "ws:h", Err(UrlError::Scheme)),
    ("one slash", "ws:/h", Err(UrlError::Scheme)),
    ("nothing", "", Err(UrlError::Scheme)),
    ("space in front", " ws://h/", Err(UrlError::Scheme)),
    ("space behind", "ws://h/ ", target(' ', 1)),
    ("a space in the path", "ws://h/a b", target(' ', 2)),
    ("a backslash", "ws://h/a\\b", target('\\', 2)),
    ("a backslash for a slash", "ws:\\\\h\\", Err(UrlError::Scheme)),
    ("a line end in the path", "ws://h/a\r\nX: y", target('\r', 2)),
    ("NUL in the path", "ws://h/\0", target('\0', 1)),
    ("a letter that is not ASCII", "ws://h/\u{e9}", target('\u{e9}', 1)),
    ("a raw pipe in the query", "ws://h?a|b", target('|', 2)),
    ("a raw quote in the query", "ws://h/?\"", target('"', 2)),
    ("half a percent-encoding", "ws://h/%2", target('%', 1)),
    ("a percent-encoding of no digits", "ws://h/%zz", target('%', 1)),
    ("brackets in the path", "ws://h/[a]", target('[', 1)),
];

/// Name, input, base, what comes out of it.
#[rustfmt::skip]
const WHATWG: &[(&str, &str, Option<&str>, Expected)] = &[
    ("the shortest", "ws://h", None, Ok("ws h 80 h /")),
    ("http becomes ws", "http://h/a", None, Ok("ws h 80 h /a")),
    ("https becomes wss", "https://h/a", None, Ok("wss h 443 h /a")),
    ("http keeps its other port", "http://h:443/", None, Ok("ws h 443 h:443 /")),
    ("https drops its default port", "https://h:443/", None, Ok("wss h 443 h /")),
    ("upper case", "WSS://EXAMPLE.COM/A", None, Ok("wss example.com 443 example.com /A")),
    ("the default port", "ws://h:80", None, Ok("ws h 80 h /")),
    ("the default port with TLS", "wss://h:443", None, Ok("wss h 443 h /")),
    ("another port", "wss://h:80", None, Ok("wss h 80 h:80 /")),
    ("an empty port", "ws://h:/", None, Ok("ws h 80 h /")),
    ("port 0", "ws://h:0", None, Err(UrlError::Port)),
    ("a port too large", "ws://h:65536", None, Err(UrlError::Port)),
    ("a negative port", "ws://h:-1", None, Err(UrlError::Port)),
    ("no slashes", "ws:example.com", None, Ok("ws example.com 80 example.com /")),
    ("one slash", "ws:/example.com/a", None, Ok("ws example.com 80 example.com /a")),
    ("many slashes", "ws:////example.com/a", None, Ok("ws example.com 80 example.com /a")),
    ("backslashes", "ws:\\\\h\\a\\b", None, Ok("ws h 80 h /a/b")),
    ("spaces around", "  ws://h/a  ", None, Ok("ws h 80 h /a")),
    ("line ends within", "ws://h/a\r\n\tb", None, Ok("ws h 80 h /ab")),
    ("IPv4 in hexadecimal", "ws://0x7f.1", None, Ok("ws 127.0.0.1 80 127.0.0.1 /")),
    ("IPv4 as one number", "ws://2130706433:8101/", None, Ok("ws 127.0.0.1 8101 127.0.0.1:8101 /")),
    ("IPv4 out of range", "ws://256.256.256.256", None, Err(UrlError::Host)),
    ("IPv4 of five numbers", "ws://1.2.3.4.5", None, Err(UrlError::Host)),
    ("IPv6", "ws://[::1]", None, Ok("ws ::1 80 [::1] /")),
    ("IPv6 with a port", "wss://[2001:DB8::1]:8443/a?b", None, Ok("wss 2001:db8::1 8443 [2001:db8::1]:8443 /a?b")),
    ("IPv4 inside IPv6", "ws://[::ffff:1.2.3.4]/", None, Ok("ws ::ffff:102:304 80 [::ffff:102:304] /")),
    ("IPv6 with a zone", "ws://[fe80::1%25eth0]/", None, Err(UrlError::Host)),
    ("IDNA", "ws://m\u{fc}nchen.de/", None, Ok("ws xn--mnchen-3ya.de 80 xn--mnchen-3ya.de /")),
    ("full-width letters", "ws://\u{ff27}\u{ff4f}.com", None, Ok("ws go.com 80 go.com /")),
    ("a soft hyphen", "ws://exa\u{ad}mple.com", None, Ok("ws example.com 80 example.com /")),
    ("a host in percent-encoding", "ws://ex%61mple.com", None, Ok("ws example.com 80 example.com /")),
    ("broken punycode", "ws://xn--a/", None, Err(UrlError::Host)),
    ("a host with a space", "ws://a b/", None, Err(UrlError::Host)),
    ("a host with a pipe", "ws://a|b/", None, Err(UrlError::Host)),
    ("no host", "ws://", None, Err(UrlError::Host)),
    ("no host and a port", "ws://:80/", None, Err(UrlError::Host)),
    ("a query without a path", "ws://h?x", None, Ok("ws h 80 h /?x")),
    ("an empty query is kept", "ws://h/?", None, Ok("ws h 80 h /?")),
    ("dots are resolved", "ws://h/a/../b/./c", None, Ok("ws h 80 h /b/c")),
    ("a space in the path", "ws://h/a b", None, Ok("ws h 80 h /a%20b")),
    ("a letter that is not ASCII", "ws://h/\u{e9}?\u{e9}", None, Ok("ws h 80 h /%C3%A9?%C3%A9")),
    ("a quote in the query", "ws://h?'\"<>", None, Ok("ws h 80 h /?%27%22%3C%3E")),
    ("half a percent-encoding", "ws://h/%2", None, Ok("ws h 80 h /%2")),
    ("a pipe", "ws://h/a|b?c|d", None, Ok("ws h 80 h /a|b?c|d")),
    ("NUL in the path", "ws://h/\0a", None, Ok("ws h 80 h /%00a")),
    ("NUL at the end", "ws://h/\0", None, Ok("ws h 80 h /")),
    ("a fragment", "ws://h/#a", None, Err(UrlError::Fragment)),
    ("an empty fragment", "ws://h/#", None, Err(UrlError::Fragment)),
    ("a fragment of http", "http://h/#a", None, Err(UrlError::Fragment)),
    ("an encoded hash", "ws://h/%23", None, Ok("ws h 80 h /%23")),
    ("user and password", "ws://user:secret@h/", None, Ok("ws h 80 h / user:secret@")),
    ("a raw at sign in a password", "ws://u:p@ss@h/", None, Ok("ws h 80 h / u:p%40ss@")),
    ("an empty user", "ws://@h/", None, Ok("ws h 80 h /")),
    ("a password without a user", "ws://:secret@h/", None, Ok("ws h 80 h / :secret@")),
    ("another scheme", "ftp://h/", None, Err(UrlError::Scheme)),
    ("a file", "file:///etc/passwd", None, Err(UrlError::Scheme)),
    ("a script", "javascript:alert(1)", None, Err(UrlError::Scheme)),
    ("mail", "mailto:a@b", None, Err(UrlError::Scheme)),
    ("relative without a base", "/chat", None, Err(UrlError::Relative)),
    ("nothing without a base", "", None, Err(UrlError::Relative)),
    ("a path", "/chat", Some("https://h/app/page"), Ok("wss h 443 h /chat")),
    ("a sibling", "chat", Some("https://h:8443/app/page"), Ok("wss h 8443 h:8443 /app/chat")),
    ("a query", "?x", Some("http://h/app?y"), Ok("ws h 80 h /app?x")),
    ("nothing", "", Some("http://h/app?y#z"), Ok("ws h 80 h /app?y")),
    ("another host", "//other:81/a", Some("https://h/"), Ok("wss other 81 other:81 /a")),
    ("an absolute URL leaves the base", "ws://other/", Some("https://h/"), Ok("ws other 80 other /")),
    ("the fragment of the base is not inherited", "chat", Some("http://h/#a"), Ok("ws h 80 h /chat")),
    ("a fragment alone", "#", Some("http://h/"), Err(UrlError::Fragment)),
    ("the userinfo of the base is inherited", "/a", Some("http://u:p@h/"), Ok("ws h 80 h /a u:p@")),
    ("a base of another scheme", "/chat", Some("ftp://h/"), Err(UrlError::Scheme)),
    ("a base that holds no paths", "chat", Some("mailto:a@b"), Err(UrlError::Relative)),
    ("a base that is no URL", "/chat", Some("nowhere"), Err(UrlError::Relative)),
];

#[test]
fn the_strict_parser_reads_rfc_6455_urls_and_nothing_else() {
    for (name, input, expected) in STRICT {
        let got = WsUrl::parse(input);
        assert_eq!(
            got.map(|url| describe(&url)),
            expected.clone().map(ToOwned::to_owned),
            "{name}: {input:?}"
        );
    }
}

#[test]
fn the_browsers_parser_reads_what_the_constructor_reads() {
    for (name, input, base, expected) in WHATWG {
        let got = WsUrl::parse_whatwg(input, *base);
        assert_eq!(
            got.map(|url| describe(&url)),
            expected.clone().map(ToOwned::to_owned),
            "{name}: {input:?}"
        );
    }
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let mut strict: Vec<_> = STRICT.iter().map(|row| row.0).collect();
    let mut whatwg: Vec<_> = WHATWG.iter().map(|row| row.0).collect();
    let rows = strict.len() + whatwg.len();
    for names in [&mut strict, &mut whatwg] {
        names.sort_unstable();
        names.dedup();
    }
    assert_eq!(strict.len() + whatwg.len(), rows);
    assert!(rows >= 80, "{rows} rows");
}

#[test]
fn the_host_for_a_resolver_has_no_brackets_and_knows_whether_it_is_an_address() {
    let url = WsUrl::parse("wss://[::1]:8443").expect("a URL");
    assert_eq!(url.host(), "::1");
    assert_eq!(url.ip(), Some("::1".parse().expect("an address")));
    assert_eq!(
        WsUrl::parse("ws://127.0.0.1").expect("a URL").ip(),
        Some("127.0.0.1".parse().expect("an address"))
    );
    assert_eq!(WsUrl::parse("ws://example.com").expect("a URL").ip(), None);
    assert_eq!(WsUrl::parse("ws://256.1.1.1").expect("a URL").ip(), None);
    let number = WsUrl::parse_whatwg("ws://0x7f.1", None).expect("a URL");
    assert_eq!(number.ip(), Some("127.0.0.1".parse().expect("an address")));
}

#[test]
fn neither_display_nor_debug_nor_an_error_shows_the_password() {
    for url in [
        WsUrl::parse("ws://user:secret@h:81/a?b").expect("a URL"),
        WsUrl::parse_whatwg("http://user:secret@h:81/a?b", None).expect("a URL"),
    ] {
        assert_eq!(url.to_string(), "ws://h:81/a?b");
        assert_eq!(format!("{url:?}"), "WsUrl(ws://h:81/a?b)");
        assert_eq!(url.userinfo(), Some("user:secret"));
    }
    for input in [
        "http://user:secret@h/",
        "ws://user:secret@/",
        "ws://user:secret@h:0/",
        "ws://user:secret@h/#",
        "ws://user:sec@secret@h/",
        "secret:secret",
    ] {
        for error in [WsUrl::parse(input).err(), WsUrl::parse_whatwg(input, None).err()].into_iter().flatten()
        {
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }
}

#[test]
fn a_path_longer_than_an_http_uri_holds_is_refused_by_its_length() {
    let longest = format!("ws://h/{}", "a".repeat(65_533));
    assert_eq!(WsUrl::parse(&longest).expect("a URL").resource_name().len(), 65_534);
    let longer = format!("{longest}a");
    let error = UrlError::TooLong { limit: 65_534, got: 65_535 };
    assert_eq!(WsUrl::parse(&longer), Err(error.clone()));
    assert_eq!(WsUrl::parse_whatwg(&longer, None), Err(error));
}

#[test]
fn a_url_is_parsed_from_a_string_strictly() {
    let url: WsUrl = "ws://h/a".parse().expect("a URL");
    assert_eq!(url, WsUrl::parse("ws://h/a").expect("a URL"));
    assert_eq!("http://h/a".parse::<WsUrl>(), Err(UrlError::Scheme));
}

proptest! {
    #[test]
    fn what_the_strict_parser_reads_it_reads_again_from_display(input in "[Ww]ss?://[a-zA-Z0-9.:@\\[\\]%/?_-]{0,30}") {
        if let Ok(url) = WsUrl::parse(&input) {
            let again = WsUrl::parse(&url.to_string()).expect("its own text");
            prop_assert_eq!(url.to_string(), again.to_string());
            prop_assert_eq!((url.host(), url.port(), url.resource_name()), (again.host(), again.port(), again.resource_name()));
        }
    }

    #[test]
    fn what_the_strict_parser_reads_the_browsers_reads_as_the_same_place(input in "wss?://[a-z][a-z0-9-]{0,8}(:[1-9][0-9]{0,3})?(/[a-z0-9]{0,5}){0,3}(\\?[a-z=]{1,5})?") {
        if let (Ok(strict), Ok(whatwg)) = (WsUrl::parse(&input), WsUrl::parse_whatwg(&input, None)) {
            prop_assert_eq!(strict, whatwg);
        }
    }

    #[test]
    fn nothing_makes_either_parser_panic(input in "\\PC{0,40}", tail in prop::collection::vec(any::<char>(), 0..20)) {
        let tail: String = tail.into_iter().collect();
        for input in [input.clone(), format!("ws://{tail}"), format!("wss://h/{tail}"), format!("{input}{tail}")] {
            let _ = WsUrl::parse(&input);
            let _ = WsUrl::parse_whatwg(&input, None);
            let _ = WsUrl::parse_whatwg(&input, Some("https://example.com/a?b#c"));
        }
    }
}
