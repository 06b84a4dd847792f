//! `Upgrade: TLS/1.2` (RFC 2817): TLS on a connection that began in plaintext, and then the answer to the request that asked for
//! it. Off unless the configuration says so.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, HeaderValue, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use trunkline_net::handshake::http1::{write_request, write_response};
use trunkline_net::handshake::{TLS_UPGRADE, accept_tls_upgrade};
use trunkline_net::http1::{RequestHead, refuse};
use trunkline_net::tls::ServerTls;

use super::{Remote, Site, refusal, tls};
use crate::App;
use crate::http::{TRUNKLINE, VERSION};
use crate::stream::Stream;

/// What the first request of a connection goes on with: itself, or inside TLS if that is what it asked for. `None` if nothing
/// came of that.
pub(super) async fn perhaps(
    app: &App,
    site: &Site,
    stream: Stream,
    head: RequestHead,
    remote: &Remote,
) -> Option<(Stream, RequestHead)> {
    match (wanted(app, site, &head.request), stream) {
        (Some(tls), Stream::Tcp(stream)) => {
            let mut stream = stream;
            let answer = match judge(&head) {
                Ok(answer) => write_response(&answer, b""),
                Err(refused) => {
                    let _ = refuse(&mut stream, &*refused).await;
                    return None;
                }
            };
            let answering = stream.write_all(&answer);
            tokio::time::timeout(app.config.limits.head_timeout, answering).await.ok()?.ok()?;
            let stream = tls::shake_hands(app, site, tls, stream, remote).await?;
            remote.upgrade();
            Some((stream, inside(head)))
        }
        (_, stream) => Some((stream, head)),
    }
}

/// `OPTIONS *`: a question about the server and nothing in it (RFC 9110 §9.3.7).
pub(super) fn is_of_the_server<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.uri().path() == "*"
}

/// The answer to it.
pub(super) fn of_the_server() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
    response.headers_mut().insert(TRUNKLINE, VERSION);
    response
}

fn wanted<'a>(app: &'a App, site: &Site, request: &Request<()>) -> Option<&'a ServerTls> {
    let open = app.config.tls.upgrade && site.tls.is_none() && site.serves.doors.any();
    app.tls.as_ref().filter(|_| open && tokens(request.headers(), UPGRADE).any(is_tls))
}

/// Bytes behind the request would be read as if they had come inside TLS, and nobody knows whose they are.
fn judge(head: &RequestHead) -> Result<Response<()>, Box<Response<String>>> {
    if !head.rest.is_empty() {
        let text = "nothing may be sent behind Upgrade: TLS/1.2 before the 101";
        return Err(Box::new(refusal(StatusCode::BAD_REQUEST, text)));
    }
    let mut answer = accept_tls_upgrade(&head.request).map_err(|rejected| {
        let mut refused = rejected.to_response();
        refused.headers_mut().insert(TRUNKLINE, VERSION);
        Box::new(refused)
    })?;
    answer.headers_mut().insert(TRUNKLINE, VERSION);
    Ok(answer)
}

/// The request as it is answered inside TLS: without the upgrade that has happened.
fn inside(mut head: RequestHead) -> RequestHead {
    let headers = head.request.headers_mut();
    let left: Vec<String> =
        tokens(headers, UPGRADE).filter(|token| !is_tls(token)).map(str::to_owned).collect();
    headers.remove(UPGRADE);
    if left.is_empty() {
        let options: Vec<String> = tokens(headers, CONNECTION)
            .filter(|option| !option.eq_ignore_ascii_case("upgrade"))
            .map(str::to_owned)
            .collect();
        headers.remove(CONNECTION);
        put(headers, CONNECTION, &options);
    } else {
        put(headers, UPGRADE, &left);
    }
    head.raw = write_request(&head.request).into();
    head
}

fn put(headers: &mut HeaderMap, name: http::HeaderName, list: &[String]) {
    // It came in headers, so it can stand in one.
    if let Ok(value) = HeaderValue::try_from(list.join(", "))
        && !list.is_empty()
    {
        headers.insert(name, value);
    }
}

fn tokens(headers: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

fn is_tls(token: &str) -> bool {
    token.eq_ignore_ascii_case(TLS_UPGRADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_tls_a_request_asks_for_what_is_left_of_it() {
        for (upgrade, connection, left) in [
            ("TLS/1.2", "upgrade, keep-alive", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
            ("tls/1.2", "Upgrade", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                "TLS/1.2, stream",
                "Upgrade",
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: stream\r\n\r\n",
            ),
        ] {
            let request = Request::get("/").header("host", "a").header(CONNECTION, connection);
            let request = request.header(UPGRADE, upgrade).body(()).expect("a request");
            let head = RequestHead { request, raw: Bytes::new(), rest: Bytes::new() };
            assert_eq!(std::str::from_utf8(&inside(head).raw), Ok(left), "{upgrade}");
        }
    }
}
