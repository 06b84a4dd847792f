//! The ways in for clients, and the answers to those who do not find them.
//!
//! The answer table of docs/protocol.md is [`judge_upgrade`] for HTTP/1.1, asked by both readers of requests (our own for the
//! first of a connection, [`over_stream`]; hyper for later ones, [`over_hyper`]), and [`judge_connect`] for HTTP/2.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::response::Response as HttpResponse;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{HeaderMap, Method, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use trunkline_dialect::Secret;
use trunkline_dialect::command::Credential;
use trunkline_net::deflate;
use trunkline_net::handshake::http1::write_response;
use trunkline_net::handshake::{self, AcceptPolicy, Accepted, OriginPolicy, Rejected, Rule};
use trunkline_net::http1::{RequestHead, Rewind, refuse};
use trunkline_net::http2::Connect;

mod cors;
mod guard;
pub(crate) mod lines;
pub(crate) mod sse;
pub(crate) mod stream;
mod websocket;

use crate::App;
use crate::address::Known;
use crate::config::Origins;
use crate::connection::{Patient, Remote, not_admitted, refusal, too_many_headers};
use crate::http::{TRUNKLINE, VERSION, bearer};
use crate::listener::Serves;
use crate::metrics::{Outcome, Via};
use crate::stream::Stream;
use websocket::Upgraded;

/// Where the doors are.
const CONNECT: &str = "/connect";

/// The token of `Upgrade` for WebSockets.
const SERVED: &str = "websocket";

/// In what words a request for a door is told how to come in.
const WAYS_IN: &str = "clients come in by WebSocket: GET /connect with Upgrade: websocket, \
                       on HTTP/2 by extended CONNECT, :protocol websocket; subprotocol hub.json.1 or none; \
                       with JSON lines: OPTIONS / or GET /connect with Upgrade: hub-lines and X-Auth-Token; \
                       for server-sent events: GET /events with channels and ticket in the query";

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
    if lines::is_asked(app, remote, &head.request) {
        return lines::over_stream(app, remote, stream, head).await;
    }
    let accepted = match judge_upgrade(app, remote, &head.request) {
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
        Ok(Ok(())) => {
            let via = Via::Http1;
            let upgraded =
                Upgraded { stream, leftover: head.rest, via, deflate: deflate(app, &accepted), credential };
            websocket::start(app, remote, upgraded);
        }
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
    if lines::is_asked(&app, &remote, &request) {
        return lines::over_hyper(&app, &remote, request);
    }
    let accepted = match judge_upgrade(&app, &remote, &request) {
        Ok(accepted) => accepted,
        Err(refused) => return refused.response.map(Into::into),
    };
    let credential = credential(request.uri(), request.headers());
    let deflate = deflate(&app, &accepted);
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = tokio::select! {
            upgraded = upgrade => upgraded,
            () = app.stop.cut() => return,
        };
        if let Some((stream, leftover)) = taken_back(upgraded) {
            let via = Via::Http1;
            websocket::start(&app, &remote, Upgraded { stream, leftover, via, deflate, credential });
        }
    });
    accepted.into_response().map(|()| axum::body::Body::empty())
}

/// The stream that hyper was given, with what was read but not used: by hyper, and by us before hyper. The first head is long
/// gone.
fn taken_back(upgraded: hyper::Result<hyper::upgrade::Upgraded>) -> Option<(Stream, Bytes)> {
    match upgraded.map(|upgraded| upgraded.downcast::<TokioIo<Patient<Rewind<Stream>>>>()) {
        Ok(Ok(parts)) => {
            let (unread, stream) = parts.io.into_inner().into_inner().into_parts();
            return Some((stream, [parts.read_buf, unread].concat().into()));
        }
        Ok(Err(_)) => tracing::error!("hyper gave back another stream than it was given"),
        Err(error) => tracing::debug!(%error, "a client left during its handshake"),
    }
    None
}

/// A CONNECT in an HTTP/2 connection.
pub(crate) fn over_http2(
    app: &Arc<App>,
    serves: Serves,
    remote: &Arc<Remote>,
    client: Known,
    connect: Connect,
) {
    if let Some(target) = stream::target(app, connect.request()).filter(|_| serves.doors.stream) {
        return stream::over_http2(app, remote, client, connect, target);
    }
    let headers = connect.request().headers();
    let elsewhere = || connect_elsewhere(serves, &connect);
    if let Some(answer) = too_many_headers(headers, app.config.limits.head_headers).or_else(elsewhere) {
        app.metrics.http_answered(answer.status());
        return connect.refuse(&answer);
    }
    let (accepted, remote) = match judge_connect(app, remote, client, &connect) {
        Ok(accepted) => accepted,
        Err(refused) => return connect.refuse(&refused.response),
    };
    let credential = credential(connect.request().uri(), connect.request().headers());
    match connect.accept(&accepted) {
        Ok(stream) => {
            let (stream, leftover, via) = (Stream::Http2(Box::new(stream)), Bytes::new(), Via::Http2);
            let upgraded = Upgraded { stream, leftover, via, deflate: deflate(app, &accepted), credential };
            websocket::start(app, &remote, upgraded);
        }
        Err(error) => tracing::debug!(%error, "a client left during its handshake"),
    }
}

/// The answer to a CONNECT that is for no door, as a route would give it.
fn connect_elsewhere(serves: Serves, connect: &Connect) -> Option<Response<String>> {
    let path = connect.request().uri().path();
    let elsewhere = connect.protocol().is_some() && !(serves.doors.any() && path == CONNECT);
    elsewhere.then(|| refusal(StatusCode::NOT_FOUND, &format!("there is nothing at {path:?}")))
}

/// Why a request does not come in.
struct Refused {
    outcome: Outcome,
    response: Response<String>,
}

type Verdict<T> = Result<T, Box<Refused>>;

fn refused<T>(outcome: Outcome, response: Response<String>) -> Verdict<T> {
    Err(Box::new(Refused { outcome, response }))
}

/// Whether an HTTP/1.1 request comes in; if not, the answer that says how it could.
fn judge_upgrade<B>(app: &App, remote: &Remote, request: &http::Request<B>) -> Verdict<Accepted> {
    count(app, upgrade_verdict(app, remote, request))
}

/// Whether an extended CONNECT comes in (RFC 8441), and then it is a connection of its own; if not, the answer that says
/// how it could.
fn judge_connect(
    app: &App,
    remote: &Remote,
    client: Known,
    connect: &Connect,
) -> Verdict<(Accepted, Arc<Remote>)> {
    count(app, connect_verdict(app, remote, client, connect))
}

fn count<T>(app: &App, verdict: Verdict<T>) -> Verdict<T> {
    app.metrics.handshake(verdict.as_ref().map_or_else(|refused| refused.outcome, |_| Outcome::Accepted));
    verdict
}

fn upgrade_verdict<B>(app: &App, remote: &Remote, request: &http::Request<B>) -> Verdict<Accepted> {
    let headers = request.headers();
    if !headers.contains_key(UPGRADE) {
        if cors::is_preflight(request) {
            let mut answer = cors::preflight(app, remote, request, "GET, OPTIONS");
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return refused(Outcome::NotServed, answer);
        }
        let served = served(app, remote);
        return refused(Outcome::NotServed, way_in(request.version(), request.uri().path(), &served));
    }
    if !(remote.way.doors.websocket && names(headers, SERVED)) {
        let served = served(app, remote);
        let text = format!("Upgrade names nothing that is served here; served is: {served}");
        return refused(Outcome::NotServed, refusal(StatusCode::BAD_REQUEST, &text));
    }
    admit(app, remote)?;
    sign(handshake::accept(request, &policy(app, remote, headers)))
}

fn connect_verdict(
    app: &App,
    remote: &Remote,
    client: Known,
    connect: &Connect,
) -> Verdict<(Accepted, Arc<Remote>)> {
    // What is not served is not served to anybody, however many they are.
    if connect.protocol() != Some(handshake::HTTP2_PROTOCOL) {
        let policy = policy(app, remote, connect.request().headers());
        let accepted = sign(connect.judge(&policy))?;
        return Ok((accepted, connection_of(app, remote, client)?));
    }
    if !remote.way.doors.websocket {
        let text = "this door is not open on this listener";
        return refused(Outcome::NotServed, refusal(StatusCode::NOT_IMPLEMENTED, text));
    }
    if client.address == remote.address() {
        admit(app, remote)?;
    }
    let own = connection_of(app, remote, client)?;
    if client.address != remote.address() {
        admit(app, &own)?;
    }
    let accepted = sign(connect.judge(&policy(app, &own, connect.request().headers())))?;
    Ok((accepted, own))
}

fn connection_of(app: &App, remote: &Remote, client: Known) -> Verdict<Arc<Remote>> {
    remote.another(app, client).or_else(|why| refused(Outcome::NoRoom, not_admitted(why)))
}

/// Whether a handshake is judged at all now.
fn admit(app: &App, remote: &Remote) -> Verdict<()> {
    if app.stop.is_stopping() {
        return refused(Outcome::Stopping, refusal(StatusCode::SERVICE_UNAVAILABLE, "this node stops"));
    }
    match remote.handshake() {
        Ok(()) => Ok(()),
        Err(why) => refused(Outcome::TooFast, not_admitted(why)),
    }
}

fn policy(app: &App, remote: &Remote, headers: &HeaderMap) -> AcceptPolicy {
    AcceptPolicy {
        subprotocols: vec![SUBPROTOCOL.to_owned()],
        // Without an offer the dialect is spoken all the same; an offer that does not name it is for somebody else.
        require_subprotocol: headers.contains_key(handshake::SEC_WEBSOCKET_PROTOCOL),
        origin: origin_policy(&app.config.origins),
        // Plaintext here says nothing of what the page's browser did: a proxy in front may have taken the TLS off.
        secure: remote.secure(),
        extensions: app.extensions.clone(),
        ..AcceptPolicy::default()
    }
}

/// Says on the answer who gives it.
fn sign(judged: Result<Accepted, Rejected>) -> Verdict<Accepted> {
    let mut accepted = judged.map_err(|rejected| Box::new(broken_rule(&rejected)))?;
    accepted
        .add_header(TRUNKLINE, VERSION)
        .expect("the handshake does not set this header, and it is one more of five");
    Ok(accepted)
}

/// How messages are compressed, if that was agreed on.
fn deflate(app: &App, accepted: &Accepted) -> Option<deflate::Agreed> {
    app.deflate.as_ref()?.agreed(accepted.extensions(), true)
}

/// A request without `Upgrade`: the ways in. `426` on `OPTIONS /`, where a client of the lines protocol looks for them.
/// HTTP/2 has neither that status nor that header.
fn way_in(version: Version, path: &str, served: &str) -> Response<String> {
    if path == CONNECT || version == Version::HTTP_2 {
        return refusal(StatusCode::BAD_REQUEST, WAYS_IN);
    }
    let mut response = refusal(StatusCode::UPGRADE_REQUIRED, WAYS_IN);
    let headers = response.headers_mut();
    if let Ok(served) = HeaderValue::from_str(served) {
        headers.insert(UPGRADE, served);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
    response
}

/// The tokens of `Upgrade` that are served on a listener, as a client would write them.
fn served(app: &App, remote: &Remote) -> String {
    let doors = remote.way.doors;
    let lines = lines::tokens(app).into_iter().filter(|_| doors.lines);
    let all: Vec<&str> = lines.chain(doors.websocket.then_some(SERVED)).collect();
    all.join(", ")
}

/// Whether `Upgrade` names this token: a list, without case, each perhaps with a version behind a slash (RFC 9110 §7.8).
fn names(headers: &HeaderMap, wanted: &str) -> bool {
    let tokens =
        headers.get_all(UPGRADE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.map(<[u8]>::trim_ascii).any(|token| token.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The answer to a broken rule. `426` is kept for the one rule that another version could satisfy; a method or an HTTP version
/// that cannot be upgraded is a broken rule of the handshake like any other.
fn broken_rule(rejected: &Rejected) -> Refused {
    let outcome = match rejected.rule() {
        Rule::Version => Outcome::BadVersion,
        Rule::Origin => Outcome::BadOrigin,
        Rule::NoSubprotocol => Outcome::NoSubprotocol,
        Rule::Protocol | Rule::Tunnel | Rule::UpgradeProtocol | Rule::ConnectProtocol => Outcome::NotServed,
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
