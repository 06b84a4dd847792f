//! An HTTP/2 connection: every stream is a WebSocket for a door or a request for the routes, side by side.

use std::sync::Arc;

use axum::body::Body;
use http::header::{HOST, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use tower::ServiceExt;
use trunkline_net::http1::Rewind;
use trunkline_net::http2::{Exchange, Incoming, Server};

use super::http1::remote_of;
use super::{Remote, Site, http1, proxied, refusal};
use crate::App;
use crate::door;
use crate::stream::Stream;

/// Serves one connection to its end. A stop tells it to open no more streams, and lets those that are open end.
pub(super) async fn serve(app: &Arc<App>, site: &Site, stream: Rewind<Stream>, remote: &Arc<Remote>) {
    let started = tokio::select! {
        started = Server::start(stream, &app.http2_limits) => started,
        () = app.stop.stopping() => return,
    };
    let mut server = match started {
        Ok(server) => server,
        Err(error) => {
            tracing::debug!(address = ?remote.address(), %error, "an HTTP/2 connection did not begin");
            return;
        }
    };
    let mut stopping = false;
    loop {
        let incoming = tokio::select! {
            incoming = server.accept() => incoming,
            () = app.stop.stopping(), if !stopping => {
                stopping = true;
                server.shut_down();
                continue;
            }
        };
        match incoming {
            Some(Ok(Incoming::Connect(connect))) => {
                // Whose it is, is judged on a copy: the fields themselves are for the door.
                match proxied::known(app, remote, &mut connect.request().headers().clone()) {
                    Ok(client) => door::over_http2(app, site.serves, remote, client, connect),
                    Err(refused) => connect.refuse(&refused),
                }
            }
            Some(Ok(Incoming::Request(exchange))) => answer(app, site, remote, exchange),
            Some(Err(error)) => {
                tracing::debug!(address = ?remote.address(), %error, "an HTTP/2 connection ended with an error");
            }
            None => return,
        }
    }
}

/// Answers one request in a task of its own, so that none waits for another.
fn answer(app: &Arc<App>, site: &Site, remote: &Arc<Remote>, exchange: Exchange) {
    let (app, router, remote) = (app.clone(), site.router.clone(), remote.clone());
    let target = http1::stream_target(&app, site, exchange.request());
    tokio::spawn(async move {
        let most_headers = app.config.limits.head_headers;
        let asked = app.clone();
        let answered = exchange.answer(|request| async move {
            let app = asked;
            let mut request = request.map(Body::new);
            if let Some(refused) = refused(&mut request, most_headers) {
                return refused.map(Body::from);
            }
            let remote = match remote_of(&app, &remote, &mut request) {
                Ok(remote) => remote,
                Err(refused) => return refused.map(Body::from),
            };
            if let Some(target) = target {
                return door::stream::over_http(&app, &remote, request, target).await;
            }
            request.extensions_mut().insert(remote);
            let Ok(response) = router.oneshot(request).await;
            response
        });
        tokio::select! {
            answered = answered => if let Err(error) = answered {
                tracing::debug!(%error, "a request over HTTP/2 was not answered");
            },
            () = app.stop.cut() => {}
        }
    });
}

/// The answer to a request that no route may see: what the HTTP/1.1 reader checks, and HTTP/2 itself does not. Of one
/// that a route may see, `Host` afterwards says what `:authority` said, so that no route has to look in two places.
fn refused<B>(request: &mut Request<B>, most_headers: usize) -> Option<Response<String>> {
    if let Some(refused) = too_many_headers(request.headers(), most_headers) {
        return Some(refused);
    }
    let authority = request.uri().authority().map(|authority| HeaderValue::try_from(authority.as_str()));
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (authority, hosts.next(), hosts.next()) {
        (Some(Ok(authority)), None, None) => authority,
        // "A server SHOULD treat a request as malformed if it contains a Host header field that identifies an entity that
        // differs from the entity in the :authority pseudo-header field" (RFC 9113 §8.3.1).
        (Some(Ok(authority)), Some(host), None)
            if host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) =>
        {
            authority
        }
        (None, Some(_), None) => return None,
        (None, None, _) => return Some(refusal(StatusCode::BAD_REQUEST, "neither :authority nor Host")),
        _ => return Some(refusal(StatusCode::BAD_REQUEST, "Host is not what :authority says")),
    };
    request.headers_mut().insert(HOST, host);
    None
}

/// The answer to more header fields than are read; what HTTP/2 itself bounds is their sum.
pub(crate) fn too_many_headers(headers: &HeaderMap, most: usize) -> Option<Response<String>> {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    (headers.len() > most).then(|| refusal(status, &format!("more than {most} header fields")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, hosts: &[&str]) -> Request<()> {
        let request = Request::builder().uri(uri);
        hosts.iter().fold(request, |request, host| request.header(HOST, *host)).body(()).expect("a request")
    }

    #[test]
    fn afterwards_host_says_what_the_authority_said() {
        for hosts in [&[][..], &["A.example:8443"]] {
            let mut request = request("https://a.example:8443/x", hosts);
            assert!(refused(&mut request, 10).is_none(), "{hosts:?}");
            assert_eq!(request.headers()[HOST], "a.example:8443", "{hosts:?}");
        }
        let mut bare = request("/x", &["a.example"]);
        assert!(refused(&mut bare, 10).is_none());
        assert_eq!(bare.headers()[HOST], "a.example");
    }

    #[test]
    fn no_host_two_hosts_and_another_host_are_refused() {
        for (uri, hosts) in [
            ("/x", &[][..]),
            ("/x", &["a.example", "a.example"]),
            ("https://a.example/x", &["b.example"]),
            ("https://a.example/x", &["a.example", "b.example"]),
        ] {
            let refused = refused(&mut request(uri, hosts), 10).expect("an answer");
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn the_limit_of_header_fields_is_the_last_number_that_passes() {
        let mut two = request("https://a.example/", &["a.example"]);
        two.headers_mut().insert("x", HeaderValue::from_static("1"));
        assert!(refused(&mut two, 2).is_none());
        let refused = refused(&mut two, 1).expect("an answer");
        assert_eq!(refused.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
}
