//! What was seen of a request, as the near end is told it.

use axum::extract::Query;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, Request, Uri, Version};
use trunkline_net::http1::RequestHead;
use trunkline_probe::wire::{Field, Hello};

use crate::connection::Remote;

/// What stands for a value that may be a secret.
const HIDDEN: &str = "...";

/// The one parameter whose value is the probe's own.
const MODE: &str = "mode";

/// Of a head that came first, with the names as they were written.
pub(super) fn of_head(remote: &Remote, head: &RequestHead) -> Hello {
    let names = names_as_written(&head.raw);
    let mut hello = of_request(remote, &head.request);
    // A head that is read has a name for each field; were it otherwise, lower case is what is known.
    if names.len() == hello.headers.len() {
        let values = in_order(&names, &head.request);
        hello.headers = values;
        hello.case_kept = true;
    }
    hello
}

/// Of a request that a library has read: it knows lower case alone.
pub(super) fn of_request<B>(remote: &Remote, request: &Request<B>) -> Hello {
    let client = remote.address();
    let address = client.ip().map(|ip| ip.to_string());
    Hello {
        probe: 1,
        server: env!("CARGO_PKG_VERSION").to_owned(),
        version: version(request.version()).to_owned(),
        tls: remote.tls(),
        method: request.method().to_string(),
        target: target(request.uri()),
        headers: fields(request.headers()),
        remote: address.clone().filter(|_| client.is_of_socket()),
        address,
        address_by: client.told_by().to_owned(),
        ..Hello::default()
    }
}

/// Of an extended CONNECT.
pub(super) fn of_connect<B>(remote: &Remote, request: &Request<B>) -> Hello {
    of_request(remote, request)
}

/// All fields of a head; those that may hold a secret without it.
pub(super) fn fields(headers: &HeaderMap) -> Vec<Field> {
    headers.iter().map(|(name, value)| (name.to_string(), shown(name.as_str(), value.as_bytes()))).collect()
}

/// The value of a parameter in the query.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Whether a target, as in a hello, asks for a bare echo.
pub(super) fn is_echo(target: &str) -> bool {
    target.split_once('?').is_some_and(|(_, query)| query.split('&').any(|pair| pair == "mode=echo"))
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// Tickets travel in queries, and so does what we know nothing of.
fn target(uri: &Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let hidden = |pair: &str| match pair.split_once('=') {
        Some((MODE, _)) | None => pair.to_owned(),
        Some((name, _)) => format!("{name}={HIDDEN}"),
    };
    let pairs: Vec<String> = query.split('&').map(hidden).collect();
    format!("{}?{}", uri.path(), pairs.join("&"))
}

fn shown(name: &str, value: &[u8]) -> String {
    let secret = [AUTHORIZATION.as_str(), PROXY_AUTHORIZATION.as_str(), COOKIE.as_str(), "x-auth-token"];
    if secret.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
        return HIDDEN.to_owned();
    }
    String::from_utf8_lossy(value).into_owned()
}

/// The names of a head's fields as they were written, one a line behind the first.
fn names_as_written(raw: &[u8]) -> Vec<String> {
    let lines = raw.split(|byte| *byte == b'\n').skip(1);
    lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some(String::from_utf8_lossy(&line[..colon]).into_owned())
        })
        .collect()
}

/// Each name with its value; of several fields with one name, each with its own.
fn in_order(names: &[String], request: &Request<()>) -> Vec<Field> {
    let mut taken: Vec<(String, usize)> = Vec::new();
    let mut all = Vec::new();
    for name in names {
        let lower = name.to_ascii_lowercase();
        let nth = taken.iter().filter(|(known, _)| *known == lower).count();
        taken.push((lower.clone(), nth));
        let value = request.headers().get_all(&lower).iter().nth(nth);
        all.push((name.clone(), shown(name, value.map_or(b"", |value| value.as_bytes()))));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_case_and_each_value_its_name() {
        let raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one: 2\r\n\r\n";
        let mut request = Request::new(());
        for (name, value) in [("host", "a"), ("x-one", "1"), ("x-one", "2")] {
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        let fields = in_order(&names_as_written(raw), &request);
        let expected = [("Host", "a"), ("X-One", "1"), ("x-one", "2")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_may_be_a_secret_is_not_repeated() {
        for name in ["Authorization", "cookie", "Proxy-Authorization", "X-Auth-Token"] {
            assert_eq!(shown(name, b"secret"), HIDDEN, "{name}");
        }
        let uri = Uri::from_static("/probe?ticket=secret&mode=echo&x");
        assert_eq!(target(&uri), "/probe?ticket=...&mode=echo&x");
        assert!(is_echo(&target(&uri)));
        assert!(!is_echo("/probe?mode=echoes") && !is_echo("/probe"));
    }
}
