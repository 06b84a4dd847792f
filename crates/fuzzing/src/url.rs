//! URLs, which a user, a redirect or a page may have written.

use trunkline_websocket::handshake::http1::{HeadLimits, HeadReader, write_request};
use trunkline_websocket::handshake::{self, ConnectOptions};
use trunkline_websocket::url::{UrlError, WsUrl};

type Parser = fn(&str) -> Result<WsUrl, UrlError>;

const BASE: &str = "https://user@example.com:8443/a/b?c";

/// One URL, by the rules of RFC 6455 and by those of browsers.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let whatwg: Parser = |text| WsUrl::parse_whatwg(text, None);
    let on_a_page: Parser = |text| WsUrl::parse_whatwg(text, Some(BASE));
    for parse in [WsUrl::parse, whatwg, on_a_page] {
        match parse(text) {
            Ok(url) => check(&url, parse),
            Err(error) => assert!(error.to_string().len() < 300, "an error that repeats its input: {error}"),
        }
    }
}

fn check(url: &WsUrl, parse: Parser) {
    assert!(!url.host().is_empty());
    assert_ne!(url.port(), 0);
    let target = url.resource_name();
    assert!(target.starts_with('/'), "{target:?}");
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{target:?}");
    let authority = url.authority();
    assert!(
        authority.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte)),
        "{authority:?}"
    );

    // What is shown leads back to the same place, and tells nobody's password.
    let shown = url.to_string();
    let again = parse(&shown).expect("what is shown is a URL");
    assert_eq!(
        (again.is_secure(), again.host(), again.port(), again.resource_name(), again.userinfo()),
        (url.is_secure(), url.host(), url.port(), target, None),
        "{shown}"
    );

    // Whatever the URL, the request made of it is one request.
    let attempt =
        handshake::request(url, &ConnectOptions::default(), [0; 16]).expect("any URL makes a request");
    let head = write_request(attempt.request());
    let mut reader = HeadReader::new(HeadLimits { bytes: 1 << 20, headers: 20 });
    assert_eq!(reader.receive(&head).expect("what we write is valid"), Some(head.len()));
    let request = reader.request().expect("what we write is a request");
    assert_eq!(request.uri().path_and_query().map(ToString::to_string).as_deref(), Some(target));
    assert_eq!(request.headers()["host"], authority.as_str());
    assert_eq!(request.headers().len(), 5, "{:?}", request.headers());
}
