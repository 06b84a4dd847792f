use super::*;

/// The proxy that these variables name for a URL; `None` to go directly.
fn proxy(variables: &[(&str, &str)], url: &str) -> Option<String> {
    let url = WsUrl::parse(url).expect("a URL");
    let found = environment(variables).proxy_for(&url).expect("proxies");
    found.map(|proxy| proxy.to_string())
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
    Environment::read(|name| find(name).map(|(_, value)| OsString::from(value)))
}

#[test]
fn each_scheme_has_its_variable_and_all_proxy_is_for_both() {
    let both = [("http_proxy", "http://plain:1"), ("https_proxy", "http://safe:2")];
    assert_eq!(proxy(&both, "ws://example.com/").as_deref(), Some("http://plain:1"));
    assert_eq!(proxy(&both, "wss://example.com/").as_deref(), Some("http://safe:2"));
    let all = [("ALL_PROXY", "socks5h://all:3"), ("HTTPS_PROXY", "http://safe:2"), ("http_proxy", "")];
    assert_eq!(proxy(&all, "ws://example.com/").as_deref(), Some("socks5h://all:3"));
    assert_eq!(proxy(&all, "wss://example.com/").as_deref(), Some("http://safe:2"));
    assert_eq!(proxy(&[], "wss://example.com/"), None);
}

#[test]
fn lower_case_goes_before_upper_case() {
    let cases = [("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "http://lower:1")];
    assert_eq!(proxy(&cases, "wss://example.com/").as_deref(), Some("http://lower:1"));
}

#[test]
fn a_client_of_a_cgi_process_cannot_name_its_proxy() {
    let told = [("HTTP_PROXY", "http://evil:1"), ("REQUEST_METHOD", "GET")];
    assert_eq!(proxy(&told, "ws://example.com/"), None);
    let ours = [("http_proxy", "http://ours:1"), ("REQUEST_METHOD", "GET")];
    assert_eq!(proxy(&ours, "ws://example.com/").as_deref(), Some("http://ours:1"));
}

#[test]
fn hosts_suffixes_networks_ports_and_the_star_are_exempt() {
    for (list, url, exempt) in [
        ("example.com", "ws://example.com/", true),
        ("example.com", "ws://EXAMPLE.com/", true),
        ("example.com", "ws://chat.example.com/", true),
        (".example.com", "ws://chat.example.com/", true),
        (".example.com", "ws://example.com/", true),
        ("example.com", "ws://notexample.com/", false),
        ("example.com", "ws://example.com.evil/", false),
        ("one, example.com ,two", "ws://example.com/", true),
        ("one example.com", "ws://example.com/", true),
        ("192.0.2.1", "ws://192.0.2.1/", true),
        ("192.0.2.0/24", "ws://192.0.2.200/", true),
        ("192.0.2.0/24", "ws://192.0.3.1/", false),
        ("2001:db8::/32", "ws://[2001:db8:1::1]/", true),
        ("2001:db8::1", "ws://[2001:db8::1]/", true),
        ("[2001:db8::1]:8443", "ws://[2001:db8::1]:8443/", true),
        ("[2001:db8::1]:8443", "ws://[2001:db8::1]/", false),
        ("example.com:8080", "ws://example.com:8080/", true),
        ("example.com:8080", "ws://chat.example.com:8080/", true),
        ("example.com:8080", "ws://example.com/", false),
        ("example.com:80", "ws://example.com/", true),
        ("127.0.0.1:9001", "ws://127.0.0.1:9001/", true),
        ("127.0.0.1:9001", "ws://127.0.0.1:9002/", false),
        ("example.com", "ws://example.com./", true),
        ("example.com", "ws://chat.example.com./", true),
        ("example.com.", "ws://example.com/", true),
        ("example.com.", "ws://example.com./", true),
        (".example.com.", "ws://chat.example.com/", true),
        ("example.com.:8080", "ws://example.com:8080/", true),
        ("example.com.:8080", "ws://example.com./", false),
        ("example.com..", "ws://example.com/", false),
        (".", "ws://example.com/", false),
        ("*", "ws://example.com/", true),
        ("*", "ws://192.0.2.1/", true),
        ("*", "ws://[2001:db8::1]/", true),
        ("", "ws://example.com/", false),
        (",,", "ws://example.com/", false),
        (":", "ws://example.com/", false),
        ("example.com", "ws://127.0.0.1/", false),
    ] {
        let variables = [("all_proxy", "http://proxy:1"), ("NO_PROXY", list)];
        assert_eq!(proxy(&variables, url).is_none(), exempt, "{list:?} and {url}");
    }
}

#[test]
fn a_variable_that_is_no_proxy_is_an_error_that_names_it_and_not_its_value() {
    let environment = environment(&[("HTTPS_PROXY", "ftp://zoe:hunter2@proxy")]);
    let url = WsUrl::parse("wss://example.com/").expect("a URL");
    let error = environment.proxy_for(&url).expect_err("not a proxy").to_string();
    assert!(error.contains("HTTPS_PROXY") && !error.contains("hunter2"), "{error}");
    assert!(!format!("{environment:?}").contains("hunter2"));
    // What is exempt needs no proxy.
    let url = WsUrl::parse("ws://example.com/").expect("a URL");
    assert_eq!(environment.proxy_for(&url), Ok(None));
}

#[test]
#[cfg(unix)]
fn a_variable_that_is_not_utf8_is_an_error_and_not_the_direct_way() {
    use std::os::unix::ffi::OsStringExt;

    let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
    let environment = Environment::read(|name| match name {
        "HTTPS_PROXY" => Some(bytes(b"http://zoe:hunter\xff@proxy:1")),
        "HTTP_PROXY" => Some(bytes(b"http://proxy:2")),
        "REQUEST_METHOD" => Some(bytes(b"G\xffT")),
        "NO_PROXY" => Some(bytes(b"\xff.example,exempt.example")),
        _ => None,
    });
    let asked = |url: &str| environment.proxy_for(&WsUrl::parse(url).expect("a URL"));
    let error = asked("wss://example.com/").expect_err("nobody can read it").to_string();
    assert_eq!(error, "the environment variable HTTPS_PROXY is not UTF-8");
    assert_eq!(asked("wss://exempt.example/"), Ok(None), "the rest of the list holds");
    assert!(asked("wss://other.example/").is_err(), "what cannot be read in the list exempts nothing");
    assert_eq!(asked("ws://example.com/"), Ok(None), "a CGI process, whatever its method");
}
