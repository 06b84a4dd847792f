//! The stream door: bytes both ways at once to a service, carried by nothing at all (`Upgrade: stream`) or by the messages of a
//! WebSocket (subprotocol `stream.1`).
//!
//! ```text
//! request ─▶ which service? ─▶ judge: rules, rate, ticket, upstream ─▶ 101 ─▶ bytes        mapped, named
//!                            └▶ judge: rules, rate ─▶ 101 ─▶ a line, a line ─▶ bytes       quiet
//! ```

mod judge;
mod quiet;

use std::sync::Arc;

use axum::response::Response as HttpResponse;
use bytes::Bytes;
use http::{Request, Version};
use trunkline_net::http1::{RequestHead, Rewind, refuse};
use trunkline_net::http2::Connect;
use trunkline_net::stream::{Messages, NAMED_PATH, QUIET_PATH};
use trunkline_net::{CloseCode, Role, Setup, WebSocket};

use super::{answer, count, taken_back};
use crate::App;
use crate::address::Known;
use crate::config::Auth;
use crate::connection::{Remote, too_many_headers};
use crate::metrics::Carriage;
use crate::service::{Carrier, Io, LAST_WORDS, Ready, Service, Visit};
use crate::stream::Stream;
use judge::{Admitted, Then};

/// What a request is for.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A service, by its name or by a place that is its own.
    Service(Arc<Service>),
    /// A service that the client names once it knows who we are.
    Quiet,
    /// A name that no service has.
    Unknown,
}

/// What a request is for, if it is one of this door's: by its path, and, where services have hosts, by `Host`.
pub(crate) fn target<B>(app: &App, request: &Request<B>) -> Option<Target> {
    let path = request.uri().path();
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let host = authority.or_else(|| request.headers().get(http::header::HOST)?.to_str().ok());
    if let Some(service) = app.services.at(without_port(host.unwrap_or_default()), path) {
        return Some(Target::Service(service.clone()));
    }
    if path == QUIET_PATH {
        return Some(Target::Quiet);
    }
    let name = path.strip_prefix(NAMED_PATH)?;
    Some(app.services.named(name).cloned().map_or(Target::Unknown, Target::Service))
}

/// A host as `Host` has it, without what is behind the colon; the brackets of an IPv6 address stay.
fn without_port(host: &str) -> &str {
    let end = host.rfind(']').map_or(0, |at| at + 1);
    host[end..].find(':').map_or(host, |at| &host[..end + at])
}

/// A request that came first on its connection.
pub(crate) async fn over_stream(
    app: &Arc<App>,
    remote: &Arc<Remote>,
    mut stream: Stream,
    head: RequestHead,
    target: Target,
) {
    let judged = judge::upgrade(app, remote, Arc::new(head.request), target).await;
    let admitted = match count(app, judged) {
        Ok(admitted) => admitted,
        Err(refused) => {
            // The client may be gone: then nobody misses the answer. Nothing after this request is read as another.
            let _ = refuse(&mut stream, &refused.response).await;
            return;
        }
    };
    let answering = answer(&mut stream, &admitted.accepted);
    match tokio::time::timeout(app.config.limits.head_timeout, answering).await {
        Ok(Ok(())) => begin(admitted, stream, head.rest),
        Ok(Err(error)) => tracing::debug!(%error, "a client left during its handshake"),
        Err(_) => tracing::debug!("a client did not take the answer to its handshake"),
    }
}

/// A request that an HTTP library has read: hyper, whose upgrade gives the stream back, or the one for HTTP/2, where this is no
/// upgrade.
pub(crate) async fn over_http<B>(
    app: &Arc<App>,
    remote: &Arc<Remote>,
    mut request: Request<B>,
    target: Target,
) -> HttpResponse {
    let upgrade = hyper::upgrade::on(&mut request);
    let request = Arc::new(request.map(drop));
    let judged = judge::upgrade(app, remote, request, target).await;
    let admitted = match count(app, judged) {
        Ok(admitted) => admitted,
        Err(refused) => {
            app.metrics.http_answered(refused.response.status());
            return refused.response.map(Into::into);
        }
    };
    let response = admitted.accepted.response().clone();
    let app = app.clone();
    tokio::spawn(async move {
        let upgraded = tokio::select! {
            upgraded = upgrade => upgraded,
            () = app.stop.cut() => return,
        };
        if let Some((stream, leftover)) = taken_back(upgraded) {
            begin(admitted, stream, leftover);
        }
    });
    response.map(|()| axum::body::Body::empty())
}

/// A CONNECT in an HTTP/2 connection; it is judged in a task of its own, so that the others do not wait.
pub(crate) fn over_http2(
    app: &Arc<App>,
    remote: &Arc<Remote>,
    client: Known,
    connect: Connect,
    target: Target,
) {
    if let Some(answer) = too_many_headers(connect.request().headers(), app.config.limits.head_headers) {
        app.metrics.http_answered(answer.status());
        return connect.refuse(&answer);
    }
    let (app, remote) = (app.clone(), remote.clone());
    tokio::spawn(async move {
        let judged = judge::connect(&app, &remote, client, &connect, target).await;
        match count(&app, judged) {
            Err(refused) => connect.refuse(&refused.response),
            Ok(admitted) => match connect.accept(&admitted.accepted) {
                Ok(stream) => begin(admitted, Stream::Http2(Box::new(stream)), Bytes::new()),
                Err(error) => tracing::debug!(%error, "a client left during its handshake"),
            },
        }
    });
}

/// A connection that belongs to a service from its first byte, of which `leftover` was read already. Returns when the service
/// has it, or it was closed.
///
/// A service that asks for a ticket has no place for one here; the configuration is refused before this can happen.
#[allow(dead_code, reason = "the listeners that are a service's alone call it")]
pub(crate) async fn mapped(
    app: &Arc<App>,
    remote: &Arc<Remote>,
    stream: Stream,
    leftover: Bytes,
    service: &str,
) {
    let Some(service) = app.services.named(service).filter(|service| service.auth != Auth::Ticket) else {
        tracing::error!(service, "a listener is for a service that is not there, or that asks for a ticket");
        return;
    };
    let visit = Visit { app: app.clone(), remote: remote.clone(), request: None, carriage: Carriage::Raw };
    // What cannot be had was logged; there is nobody here who could be told.
    if let Ok(ready) = service.ready(&visit).await {
        ready.serve(&visit, Rewind::new(leftover, Carrier::Bare(stream)));
    }
}

/// The client has its 101, or 200.
fn begin(admitted: Admitted, stream: Stream, leftover: Bytes) {
    let Admitted { visit, then, .. } = admitted;
    let io = carry(&visit, stream, leftover);
    match then {
        Then::Serve(ready) => Ready::serve(ready, &visit, io),
        Then::Ask => drop(tokio::spawn(quiet::listen(visit, io))),
        Then::Refuse => drop(tokio::spawn(close_unauthenticated(visit, io))),
    }
}

fn carry(visit: &Visit, stream: Stream, leftover: Bytes) -> Io {
    match visit.carriage {
        Carriage::WebSocket => {
            let setup = Setup::from(visit.app.socket_limits.clone());
            let socket = WebSocket::from_upgraded(stream, leftover, Role::Server, setup);
            Rewind::new(Bytes::new(), Carrier::Messages(Box::new(Messages::new(socket))))
        }
        Carriage::Upgrade | Carriage::Raw => Rewind::new(leftover, Carrier::Bare(stream)),
    }
}

/// A page cannot read the status of a refused upgrade, but it can read this.
async fn close_unauthenticated(visit: Visit, io: Io) {
    let (_, carrier) = io.into_parts();
    let Carrier::Messages(mut messages) = carrier else { return };
    let code = trunkline_dialect::Code::Unauthenticated;
    let number = CloseCode::new(code.close_code()).unwrap_or(CloseCode::POLICY);
    messages.refuse(number, code.name());
    let mut nothing = [0; 64];
    let closing = async {
        // Until the closing handshake is done.
        while tokio::io::AsyncReadExt::read(&mut messages, &mut nothing).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        _ = tokio::time::timeout(LAST_WORDS, closing) => {}
        () = visit.app.stop.cut() => {}
    }
}

/// Whether HTTP has upgrades there.
fn has_upgrades(version: Version) -> bool {
    version < Version::HTTP_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_its_port() {
        for (host, expected) in [
            ("a.example", "a.example"),
            ("a.example:8101", "a.example"),
            ("[::1]", "[::1]"),
            ("[::1]:8101", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), expected);
        }
    }
}
