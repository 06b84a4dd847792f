use super::*;

fn parse(text: &str) -> Result<ProxyUrl, ProxyUrlError> {
    text.parse()
}

#[test]
fn schemes_hosts_and_ports_are_read_and_written_without_the_secret() {
    for (text, shown) in [
        ("http://proxy", "http://proxy:80"),
        ("proxy:3128", "http://proxy:3128"),
        ("proxy", "http://proxy:80"),
        ("zoe:hunter2@proxy:3128", "http://proxy:3128"),
        ("HTTPS://Proxy.Example/", "https://proxy.example:443"),
        ("http://[2001:db8::1]", "http://[2001:db8::1]:80"),
        ("http://[2001:db8::1]:", "http://[2001:db8::1]:80"),
        ("socks5://zoe:hunter2@127.0.0.1", "socks5://127.0.0.1:1080"),
        ("socks5h://zoe:hunt@er2@[::1]:9050", "socks5h://[::1]:9050"),
    ] {
        let proxy = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(proxy.to_string(), shown);
        assert_eq!(format!("{proxy:?}"), format!("ProxyUrl({shown})"));
    }
}

#[test]
fn user_names_and_passwords_are_decoded_and_carried_as_each_protocol_wants_them() {
    // The example of RFC 7617 section 2.
    let proxy = parse("http://Aladdin:open%20sesame@proxy").expect("a proxy");
    let basic = proxy.basic().expect("credentials");
    assert_eq!(basic, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert!(basic.is_sensitive());
    let proxy = parse("socks5://z%6Fe:100%25@proxy").expect("a proxy");
    assert_eq!(proxy.plain(), Some(("zoe", "100%")));
    let proxy = parse("http://zoe@proxy").expect("a proxy");
    assert_eq!(proxy.plain(), Some(("zoe", "")));
    assert_eq!(parse("http://proxy").expect("a proxy").basic(), None);
}

#[test]
fn what_is_no_url_of_a_proxy_is_refused_in_words_that_do_not_repeat_it() {
    for (text, wanted) in [
        ("", ProxyUrlError::Address(UrlError::Host)),
        ("ftp://hunter2@proxy", ProxyUrlError::Scheme),
        ("socks4://hunter2@proxy", ProxyUrlError::Scheme),
        ("http://hunter2@", ProxyUrlError::Address(UrlError::Host)),
        ("http://proxy:hunter2", ProxyUrlError::Address(UrlError::Port)),
        ("http://proxy:0", ProxyUrlError::Address(UrlError::Port)),
        ("http://proxy:65536", ProxyUrlError::Address(UrlError::Port)),
        ("http://proxy/hunter2", ProxyUrlError::Path),
        ("http://proxy?hunter2", ProxyUrlError::Path),
        ("http://zo%3Ae:hunter2@proxy", ProxyUrlError::Credentials),
        ("http://zoe:hunter2%0d%0aX:@proxy", ProxyUrlError::Credentials),
        ("http://zoe:hunter2%ff@proxy", ProxyUrlError::Credentials),
        ("socks5://zoe@proxy", ProxyUrlError::Credentials),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error, wanted, "{text}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn socks_takes_255_bytes_of_each_and_not_one_more() {
    let url = |user: usize, password: usize| {
        parse(&format!("socks5://{}:{}@proxy", "u".repeat(user), "p".repeat(password)))
    };
    assert!(url(255, 255).is_ok());
    assert_eq!(url(256, 255), Err(ProxyUrlError::Credentials));
    assert_eq!(url(255, 256), Err(ProxyUrlError::Credentials));
}
