//! Upgrades to other protocols than WebSocket (RFC 9110 §7.8), and their twin over HTTP/2 (RFC 8441 §4): what comes before the
//! first byte of a protocol that has no handshake of its own.
//!
//! The rules are those of the WebSocket's handshake as far as they are HTTP's: one valid `Host`, no body, a list of options in
//! `Connection`. There is no key, so nothing proves that a server understood the request but the name in its `Upgrade`.

use http::header::{CONNECTION, HOST, HeaderMap, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode, Uri, Version};

use super::accept::{AcceptPolicy, Accepted, Agreement, Head, expects_continue, http1_request};
use super::connect::{ConnectOptions, write_options};
use super::field::{declared_body, list_contains};
use super::http2::{check_headers, extended_connect, opened};
use super::misuse::Misuse;
use super::rejected::{Rejected, Rule};
use crate::url::WsUrl;

/// Judges a request for an upgrade to `protocol`, such as `stream`, and makes the 101.
///
/// Of `policy` only [`origin`](AcceptPolicy::origin) and [`secure`](AcceptPolicy::secure) have a meaning here. What the client
/// sends after its head belongs to the protocol; names of protocols have no case.
///
/// # Errors
///
/// The first rule that the request breaks.
pub fn accept_upgrade<B>(
    request: &Request<B>,
    protocol: &'static str,
    policy: &AcceptPolicy,
) -> Result<Accepted, Rejected> {
    let head = Head::of(request);
    let host = http1_request(&head)?;
    names(head.headers, protocol)?;
    policy.origin.judge(head.headers, &host, policy.secure)?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let expects_continue = expects_continue(head.headers);
    Ok(Accepted { response, agreed: Agreement::default(), expects_continue })
}

/// Judges an extended CONNECT whose `:protocol` is to be `wanted`, and makes the 200.
///
/// As [`accept_upgrade`] otherwise; `protocol` is what the request's is.
///
/// # Errors
///
/// The first rule that the request breaks.
pub fn accept_upgrade_http2<B>(
    request: &Request<B>,
    protocol: Option<&str>,
    wanted: &'static str,
    policy: &AcceptPolicy,
) -> Result<Accepted, Rejected> {
    judge_http2(&Head::of(request), protocol, wanted, policy).map_err(Rejected::over_http2)
}

fn judge_http2(
    head: &Head<'_>,
    protocol: Option<&str>,
    wanted: &str,
    policy: &AcceptPolicy,
) -> Result<Accepted, Rejected> {
    let host = extended_connect(head, protocol, wanted, Rule::ConnectProtocol)?;
    check_headers(head.headers)?;
    if let Some(body) = declared_body(head.headers) {
        return Err(Rejected::new(Rule::Body).got(body));
    }
    let secure = if head.uri.scheme_str() == Some("https") { Some(true) } else { policy.secure };
    policy.origin.judge(head.headers, &host, secure)?;
    let agreed = Agreement::default();
    Ok(Accepted { response: opened(&agreed), agreed, expects_continue: false })
}

/// An upgrade under way: the request to send, and what its answer must be.
#[derive(Clone, Debug)]
pub struct UpgradeAttempt {
    request: Request<()>,
    protocol: &'static str,
}

/// Makes the request for an upgrade of `url` to `protocol`: GET, `Host`, `Connection`, `Upgrade`, and nothing more but what
/// `options` say of headers, origin, and authorization.
///
/// Send nothing after it until [`UpgradeAttempt::verify`] has passed: there are proxies that lose early bytes.
///
/// # Errors
///
/// What in `options` cannot be sent.
pub fn request_upgrade(
    url: &WsUrl,
    protocol: &'static str,
    options: &ConnectOptions,
) -> Result<UpgradeAttempt, Misuse> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from(url.resource().clone());
    let own = request.headers_mut();
    let host = HeaderValue::try_from(url.authority()).expect("a parsed host is ASCII without controls");
    own.insert(HOST, host);
    own.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    own.insert(UPGRADE, HeaderValue::from_static(protocol));
    write_options(own, url, options)?;
    Ok(UpgradeAttempt { request, protocol })
}

impl UpgradeAttempt {
    /// The request to send.
    pub const fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Judges the server's final answer. What follows a 101 that passed belongs to the protocol; what follows any other
    /// response is its body, which the driver may attach to the error.
    ///
    /// # Errors
    ///
    /// [`Rule::NotSwitching`] for a status other than 101, which is HTTP's business. Else the first rule that the server
    /// broke.
    pub fn verify<B>(&self, response: &Response<B>) -> Result<(), Rejected> {
        self.judge(response.status(), response.version(), response.headers())
            .map_err(|rejected| rejected.of_response(response))
    }

    fn judge(&self, status: StatusCode, version: Version, headers: &HeaderMap) -> Result<(), Rejected> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Rejected::new(Rule::NotSwitching).got(status.to_string()));
        }
        if version != Version::HTTP_11 {
            return Err(Rejected::new(Rule::HttpVersion).got(format!("{version:?}")));
        }
        names(headers, self.protocol)?;
        // "A server MUST NOT send" either in a 1xx (RFC 9110 §8.6, RFC 9112 §6.1): somebody in between may wait for it.
        match declared_body(headers) {
            Some(body) => Err(Rejected::new(Rule::Body).got(body)),
            None => Ok(()),
        }
    }
}

/// `Upgrade` names the protocol and `Connection` says so: "A sender of Upgrade MUST also send an "Upgrade" connection option"
/// (RFC 9110 §7.8).
fn names(headers: &HeaderMap, protocol: &str) -> Result<(), Rejected> {
    for (name, wanted, rule) in
        [(UPGRADE, protocol, Rule::UpgradeProtocol), (CONNECTION, "upgrade", Rule::UpgradeOption)]
    {
        match list_contains(headers, &name, wanted) {
            Ok(true) => {}
            Ok(false) => {
                let values = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
                let got = if values.is_empty() { b"none".to_vec() } else { values.join(&b", "[..]) };
                return Err(Rejected::new(rule).got(got));
            }
            Err(bad) => return Err(Rejected::new(rule).got(bad.0)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn request(head: Fields<'_>) -> Request<()> {
        let request = Request::get("/stream/echo");
        head.iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(())
            .expect("one")
    }

    fn rule(head: Fields<'_>) -> Option<Rule> {
        let judged = accept_upgrade(&request(head), "stream", &AcceptPolicy::default());
        judged.err().map(|rejected| rejected.rule())
    }

    #[test]
    fn an_upgrade_names_its_protocol_and_says_so_in_connection() {
        const HOST: (&str, &str) = ("host", "a.example");
        const OPTION: (&str, &str) = ("connection", "keep-alive, Upgrade");
        let table: &[(Fields<'_>, Option<Rule>)] = &[
            (&[HOST, OPTION, ("upgrade", "stream")], None),
            (&[HOST, OPTION, ("upgrade", "websocket, STREAM")], None),
            (&[HOST, OPTION], Some(Rule::UpgradeProtocol)),
            (&[HOST, OPTION, ("upgrade", "streams")], Some(Rule::UpgradeProtocol)),
            (&[HOST, ("upgrade", "stream")], Some(Rule::UpgradeOption)),
            (&[HOST, ("connection", "close"), ("upgrade", "stream")], Some(Rule::UpgradeOption)),
            (&[OPTION, ("upgrade", "stream")], Some(Rule::Host)),
            (&[HOST, HOST, OPTION, ("upgrade", "stream")], Some(Rule::Host)),
            (&[HOST, OPTION, ("upgrade", "stream"), ("content-length", "3")], Some(Rule::Body)),
            (&[HOST, OPTION, ("upgrade", "stream"), ("transfer-encoding", "chunked")], Some(Rule::Body)),
            (&[HOST, OPTION, ("upgrade", "stream"), ("origin", "http://b.example")], Some(Rule::Origin)),
            (&[HOST, OPTION, ("upgrade", "stream"), ("origin", "http://a.example")], None),
        ];
        for (head, expected) in table {
            assert_eq!(rule(head), *expected, "{head:?}");
        }
    }

    #[test]
    fn nothing_but_a_get_over_http11_is_upgraded() {
        let fields = &[("host", "a"), ("connection", "upgrade"), ("upgrade", "stream")];
        let mut old = request(fields);
        *old.version_mut() = Version::HTTP_10;
        let mut put = request(fields);
        *put.method_mut() = http::Method::PUT;
        for (request, expected) in [(old, Rule::HttpVersion), (put, Rule::Method)] {
            let rejected = accept_upgrade(&request, "stream", &AcceptPolicy::default()).expect_err("a rule");
            assert_eq!(rejected.rule(), expected);
        }
    }

    #[test]
    fn the_request_is_what_it_says_and_its_answer_is_taken() {
        let url = WsUrl::parse("ws://a.example:81/x?y").expect("a URL");
        let attempt = request_upgrade(&url, "stream", &ConnectOptions::default()).expect("nothing is wrong");
        let written = super::super::http1::write_request(attempt.request());
        let expected =
            "GET /x?y HTTP/1.1\r\nHost: a.example:81\r\nConnection: Upgrade\r\nUpgrade: stream\r\n\r\n";
        assert_eq!(String::from_utf8(written).as_deref(), Ok(expected));
        let accepted =
            accept_upgrade(attempt.request(), "stream", &AcceptPolicy::default()).expect("it comes in");
        assert!(attempt.verify(accepted.response()).is_ok());
    }

    #[test]
    fn an_answer_that_is_not_this_protocols_is_refused_with_its_rule() {
        let url = WsUrl::parse("ws://a.example/").expect("a URL");
        let attempt = request_upgrade(&url, "stream", &ConnectOptions::default()).expect("nothing is wrong");
        let answer = |status: u16, fields: &[(&str, &str)]| {
            let response = Response::builder().status(status);
            let response =
                fields.iter().fold(response, |response, (name, value)| response.header(*name, *value));
            attempt.verify(&response.body(()).expect("one")).expect_err("a rule").rule()
        };
        let both = [("upgrade", "stream"), ("connection", "upgrade")];
        assert_eq!(answer(200, &both), Rule::NotSwitching);
        assert_eq!(answer(101, &both[..1]), Rule::UpgradeOption);
        assert_eq!(answer(101, &both[1..]), Rule::UpgradeProtocol);
        assert_eq!(answer(101, &[("upgrade", "websocket"), both[1]]), Rule::UpgradeProtocol);
        assert_eq!(answer(101, &[both[0], both[1], ("content-length", "5")]), Rule::Body);
    }

    #[test]
    fn a_header_of_the_upgrades_own_cannot_be_set_and_origin_and_authorization_have_their_places() {
        let url = WsUrl::parse("ws://ann:pw@a.example/").expect("a URL");
        let with = |name: &'static str| {
            let headers =
                HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static("x"))]);
            let origin = Some("http://a.example".to_owned());
            let options =
                ConnectOptions { headers, origin, authorization_from_url: true, ..ConnectOptions::default() };
            request_upgrade(&url, "stream", &options).map(|attempt| attempt.request().headers().clone())
        };
        assert_eq!(with("upgrade"), Err(Misuse::ReservedHeader(UPGRADE)));
        let headers = with("x-auth-token").expect("nothing is wrong");
        let names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["host", "connection", "upgrade", "origin", "authorization", "x-auth-token"]);
        assert_eq!(headers["authorization"], "Basic YW5uOnB3");
    }

    #[test]
    fn over_http2_the_protocol_is_beside_the_request() {
        let mut request = Request::new(());
        *request.method_mut() = http::Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_static("https://a.example/stream/echo");
        let judge = |protocol| accept_upgrade_http2(&request, protocol, "stream", &AcceptPolicy::default());
        assert_eq!(judge(Some("stream")).expect("it comes in").response().status(), StatusCode::OK);
        assert_eq!(judge(Some("other")).expect_err("a rule").status(), StatusCode::NOT_IMPLEMENTED);
        assert_eq!(judge(None).expect_err("a rule").rule(), Rule::Tunnel);
    }
}
