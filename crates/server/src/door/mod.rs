//! The ways in for clients, and the answers to those who do not find them.
//!
//! [`judge`] is the answer table of docs/protocol.md. It is asked by both readers of requests: our own for the first request of
//! a connection ([`over_stream`]), hyper for later ones ([`over_hyper`]).

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::response::Response as HttpResponse;
use bytes::Bytes;
use http::header::{HeaderValue, UPGRADE};
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use trunkline_dialect::Secret;
use trunkline_dialect::command::Credential;
use trunkline_net::handshake::http1::write_response;
use trunkline_net::handshake::{self, AcceptPolicy, Accepted, OriginPolicy, Rejected, Rule};
use trunkline_net::http1::{RequestHead, Rewind, refuse};

mod websocket;

use crate::App;
use crate::config::Origins;
use crate::connection::{Remote, not_admitted, refusal};
use crate::http::{TRUNKLINE, VERSION, bearer};
use crate::listener::Stream;
use crate::metrics::Outcome;

/// Where the doors are.
const CONNECT: &str = "/connect";

/// The tokens of `Upgrade` that are served, as a client would write them.
const SERVED: &str = "websocket";

/// In what words a request for a door is told how to come in.
const WAYS_IN: &str = "clients come in by WebSocket: GET /connect with Upgrade: websocket, \
                       subprotocol hub.json.1 or none";

/// The dialect that is spoken, offered or not.
const SUBPROTOCOL: &str = trunkline_dialect::NAME;

/// Whether a request is for a door and not for plain HTTP: an upgrade of `/connect`, or `OPTIONS /`.
pub(crate) fn wants<B>(request: &http::Request<B>) -> bool {
    let path = request.uri().path();
    (path == CONNECT && request.headers().contains_key(UPGRADE))
        || (path == "/" && request.method() == Method::OPTIONS)
}

/// A door's request that came first on its connection.
pub(crate) async fn over_stream(app: &Arc<App>, remote: &Arc<Remote>, mut stream: Stream, head: RequestHead) {
    let accepted = match judge(app, remote, &head.request) {
        Ok(accepted) => accepted,
        Err(refused) => {
            // The client may be gone: then nobody misses the answer. Nothing after this request is read as another.
            let _ = refuse(&mut stream, &refused.response).await;
            return;
        }
    };
    let credential = credential(head.request.uri(), head.request.headers());
    let answer = tokio::time::timeout(app.config.limits.head_timeout, answer(&mut stream, &accepted));
    match answer.await {
        Ok(Ok(())) => websocket::start(app, remote, stream, head.rest, credential),
        Ok(Err(error)) => tracing::debug!(%error, "a client left during its handshake"),
        Err(_) => tracing::debug!("a client did not take the answer to its handshake"),
    }
}

async fn answer(stream: &mut Stream, accepted: &Accepted) -> std::io::Result<()> {
    if accepted.expects_continue() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    stream.write_all(&write_response(accepted.response(), b"")).await?;
    stream.flush().await
}

/// A door's request that hyper has read.
pub(crate) async fn over_hyper(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Arc<Remote>>,
    mut request: Request,
) -> HttpResponse {
    let accepted = match judge(&app, &remote, &request) {
        Ok(accepted) => accepted,
        Err(refused) => return refused.response.map(Into::into),
    };
    let credential = credential(request.uri(), request.headers());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = tokio::select! {
            upgraded = upgrade => upgraded,
            () = app.stop.cut() => return,
        };
        match upgraded.map(|upgraded| upgraded.downcast::<TokioIo<Rewind<Stream>>>()) {
            Ok(Ok(parts)) => {
                // What was read but not used: by hyper, and by us before hyper. The first head is long gone.
                let (unread, stream) = parts.io.into_inner().into_parts();
                let leftover: Bytes = [parts.read_buf, unread].concat().into();
                websocket::start(&app, &remote, stream, leftover, credential);
            }
            Ok(Err(_)) => tracing::error!("hyper gave back another stream than it was given"),
            Err(error) => tracing::debug!(%error, "a client left during its handshake"),
        }
    });
    accepted.into_response().map(|()| axum::body::Body::empty())
}

/// Why a request does not come in.
struct Refused {
    outcome: Outcome,
    response: Response<String>,
}

/// Whether a request comes in; if not, the answer that says how it could.
fn judge<B>(app: &App, remote: &Remote, request: &http::Request<B>) -> Result<Accepted, Box<Refused>> {
    let verdict = verdict(app, remote, request);
    app.metrics.handshake(verdict.as_ref().map_or_else(|refused| refused.outcome, |_| Outcome::Accepted));
    verdict
}

fn verdict<B>(app: &App, remote: &Remote, request: &http::Request<B>) -> Result<Accepted, Box<Refused>> {
    let refuse = |outcome, response| Err(Box::new(Refused { outcome, response }));
    let headers = request.headers();
    if !headers.contains_key(UPGRADE) {
        return refuse(Outcome::NotServed, way_in(request.uri().path()));
    }
    if !names_served(headers) {
        let text = format!("Upgrade names nothing that is served here; served is: {SERVED}");
        return refuse(Outcome::NotServed, refusal(StatusCode::BAD_REQUEST, &text));
    }
    if app.stop.is_stopping() {
        return refuse(Outcome::Stopping, refusal(StatusCode::SERVICE_UNAVAILABLE, "this node stops"));
    }
    if let Err(why) = remote.admitted.handshake(Instant::now()) {
        return refuse(Outcome::TooFast, not_admitted(why));
    }
    let policy = AcceptPolicy {
        subprotocols: vec![SUBPROTOCOL.to_owned()],
        // Without an offer the dialect is spoken all the same; an offer that does not name it is for somebody else.
        require_subprotocol: headers.contains_key(handshake::SEC_WEBSOCKET_PROTOCOL),
        origin: origin_policy(&app.config.origins),
        ..AcceptPolicy::default()
    };
    let mut accepted =
        handshake::accept(request, &policy).map_err(|rejected| Box::new(broken_rule(&rejected)))?;
    accepted
        .add_header(TRUNKLINE, VERSION)
        .expect("the handshake does not set this header, and it is one more of five");
    Ok(accepted)
}

/// A request without `Upgrade`: the ways in. `426` on `OPTIONS /`, where a client of the lines protocol looks for them.
fn way_in(path: &str) -> Response<String> {
    if path == CONNECT {
        return refusal(StatusCode::BAD_REQUEST, WAYS_IN);
    }
    let mut response = refusal(StatusCode::UPGRADE_REQUIRED, WAYS_IN);
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static(SERVED));
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade, close"));
    response
}

/// Whether `Upgrade` names a token that is served: a list, without case, each perhaps with a version behind a slash
/// (RFC 9110 §7.8).
fn names_served(headers: &HeaderMap) -> bool {
    let tokens =
        headers.get_all(UPGRADE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.map(<[u8]>::trim_ascii).any(|token| token.eq_ignore_ascii_case(SERVED.as_bytes()))
}

/// The answer to a broken rule. `426` is kept for the one rule that another version could satisfy; a method or an HTTP version
/// that cannot be upgraded is a broken rule of the handshake like any other.
fn broken_rule(rejected: &Rejected) -> Refused {
    let outcome = match rejected.rule() {
        Rule::Version => Outcome::BadVersion,
        Rule::Origin => Outcome::BadOrigin,
        Rule::NoSubprotocol => Outcome::NoSubprotocol,
        _ => Outcome::BadRequest,
    };
    let mut response = match rejected.rule() {
        Rule::Method | Rule::HttpVersion => refusal(StatusCode::BAD_REQUEST, &rejected.to_string()),
        _ => rejected.to_response(),
    };
    response.headers_mut().insert(TRUNKLINE, VERSION);
    Refused { outcome, response }
}

fn origin_policy(origins: &Origins) -> OriginPolicy {
    match origins {
        Origins::Same => OriginPolicy::SameOrigin,
        Origins::Listed(listed) => OriginPolicy::SameOriginOr(listed.clone()),
        Origins::Any => OriginPolicy::Any,
    }
}

/// The credential that came with the handshake. Cookies are never read: a browser sends them with what any page asks for.
///
/// A credential that is there but empty is one, and a bad one: whoever meant to send a ticket is told that it is not
/// good rather than let in as nobody.
fn credential(uri: &Uri, headers: &HeaderMap) -> Option<Credential> {
    let query =
        Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
    if let Some((_, ticket)) = query.into_iter().find(|(name, _)| name == "ticket") {
        return Some(Credential::Ticket(Secret::new(ticket)));
    }
    if let Some(ticket) = headers.get("x-auth-token") {
        return Some(Credential::Ticket(secret(ticket.as_bytes())));
    }
    bearer(headers).map(|session| Credential::Session(secret(session)))
}

/// Bytes that are not UTF-8 are in no credential of ours, and are replaced by what is in none either.
fn secret(bytes: &[u8]) -> Secret {
    Secret::new(String::from_utf8_lossy(bytes))
}
