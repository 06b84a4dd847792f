//! HTTP/1.1: the first head of a connection is read here, strictly and with one deadline.
//!
//! If it is for a door, the door has the bare stream, and no HTTP library ever held a buffer of it. Otherwise the stream
//! goes to hyper with every byte that was read. An upgrade that comes later, on a connection that hyper keeps alive,
//! ends at the same door: its stream is taken back from hyper.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;
use trunkline_net::handshake::{Rejected, Rule, check_request};
use trunkline_net::http1::{RequestHead, Rewind, read_request, refuse};
use trunkline_net::{Error, Why};

use super::{Patient, Remote, Site, not_admitted, proxied, reason, refusal, tls_upgrade};
use crate::App;
use crate::door;
use crate::door::stream::Target;
use crate::http::{TRUNKLINE, VERSION};
use crate::metrics::Reason;
use crate::service;
use crate::stream::Stream;

/// Serves one connection to its end, or until a door has it. The first head has to be there by `deadline`.
pub(super) async fn serve(
    app: &Arc<App>,
    site: &Site,
    mut stream: Rewind<Stream>,
    deadline: Instant,
    remote: &Arc<Remote>,
) {
    let head = tokio::select! {
        head = timeout_at(deadline, read_request(&mut stream, &app.socket_limits)) => head,
        // Nobody is owed an answer who has not asked.
        () = app.stop.stopping() => return,
    };
    let (unread, stream) = stream.into_parts();
    match head.unwrap_or(Err(Error::TimedOut(Why::Handshake))) {
        Ok(mut head) => {
            // The head's reader takes more at once than was read before it: this is empty.
            head.rest = [head.rest, unread].concat().into();
            if let Some((stream, head)) = tls_upgrade::perhaps(app, site, stream, head, remote).await {
                by_head(app, site, stream, head, remote).await;
            }
        }
        Err(error) => refuse_head(app, stream, &error).await,
    }
}

async fn by_head(
    app: &Arc<App>,
    site: &Site,
    mut stream: Stream,
    mut head: RequestHead,
    remote: &Arc<Remote>,
) {
    if service::probe::wants_upgrade(site.serves, &head.request) {
        if let Err(refused) = recognise(app, remote, &mut head.request.headers().clone()) {
            let _ = refuse(&mut stream, &refused).await;
            return;
        }
        return service::probe::over_stream(app, remote, stream, head).await;
    }
    let streams = site.serves.doors.stream;
    let is_for_a_stream = stream_target(app, streams, &head.request).is_some();
    let events = site.serves.doors.sse && door::sse::is_stream(&head.request);
    if is_for_a_stream || events || site.serves.doors.any() && door::wants(&head.request) {
        if let Err(refused) = recognise(app, remote, head.request.headers_mut()) {
            let _ = refuse(&mut stream, &refused).await;
            return;
        }
        // A proxy may have said for which host it is.
        if let Some(target) = stream_target(app, streams, &head.request) {
            return door::stream::over_stream(app, remote, stream, head, target).await;
        }
        if door::wants(&head.request) {
            return door::over_stream(app, remote, stream, head).await;
        }
    }
    match check_request(&head.request) {
        Ok(()) if events => door::sse::over_stream(app, remote, stream, head.request).await,
        Ok(()) => over_hyper(app, site, stream, head, remote).await,
        Err(rejected) => refuse_head(app, stream, &rejected.into()).await,
    }
}

/// Which service a request is for, if it is for one and `streams` are opened here.
pub(super) fn stream_target<B>(app: &App, streams: bool, request: &http::Request<B>) -> Option<Target> {
    if streams { door::stream::target(app, request) } else { None }
}

/// The connection becomes that of the client whose request for a door this is: with it or its refusal the HTTP connection ends.
fn recognise(app: &App, remote: &Remote, headers: &mut HeaderMap) -> Result<(), Box<Response<String>>> {
    let client = proxied::known(app, remote, headers)?;
    remote.belongs_to(client).map_err(|why| {
        app.metrics.rejected(reason(why));
        Box::new(not_admitted(why))
    })
}

/// The remote of one request: that of the connection, or, if a proxy brings it for somebody, one of its own.
pub(super) fn remote_of<B>(
    app: &App,
    remote: &Arc<Remote>,
    request: &mut http::Request<B>,
) -> Result<Arc<Remote>, Box<Response<String>>> {
    let client = proxied::known(app, remote, request.headers_mut())?;
    if client == remote.known() {
        return Ok(remote.clone());
    }
    remote.another(app, client).map_err(|why| {
        app.metrics.rejected(reason(why));
        Box::new(not_admitted(why))
    })
}

/// Answers a head that could not be read.
pub(super) async fn refuse_head(app: &App, mut stream: Stream, error: &Error) {
    let (reason, mut response) = match error {
        Error::Handshake(error) => {
            let too_large = matches!(
                error.rejected.rule(),
                Rule::HeadTooLarge | Rule::StartLineTooLong | Rule::TooManyHeaders
            );
            let reason = if too_large { Reason::HeadTooLarge } else { Reason::HeadInvalid };
            (reason, error.rejected.to_response())
        }
        Error::TimedOut(_) => (
            Reason::HeadTooSlow,
            refusal(StatusCode::REQUEST_TIMEOUT, "the request head did not arrive in time"),
        ),
        // The stream ended, as those of port checks and of browsers that connect ahead of need do.
        _ => return,
    };
    app.metrics.rejected(reason);
    response.headers_mut().insert(TRUNKLINE, VERSION);
    let _ = refuse(&mut stream, &response).await;
}

/// Everything that is no door: hyper reads on, beginning with the head that was read already.
async fn over_hyper(app: &Arc<App>, site: &Site, stream: Stream, head: RequestHead, remote: &Arc<Remote>) {
    let service = service_fn(|request: http::Request<Incoming>| {
        let (app, router, remote) = (app.clone(), site.router.clone(), remote.clone());
        let checked = check_request(&request);
        let streams = site.serves.doors.stream;
        async move {
            if let Err(rejected) = checked {
                return Ok(broken_request(&rejected).map(Body::from));
            }
            if tls_upgrade::is_of_the_server(&request) {
                return Ok(tls_upgrade::of_the_server().map(Body::from));
            }
            let mut request = request.map(Body::new);
            let remote = match remote_of(&app, &remote, &mut request) {
                Ok(remote) => remote,
                Err(refused) => return Ok(refused.map(Body::from)),
            };
            if let Some(target) = stream_target(&app, streams, &request) {
                return Ok(door::stream::over_http(&app, &remote, request, target).await);
            }
            request.extensions_mut().insert(remote);
            let Ok(response) = router.oneshot(request).await;
            Ok::<_, Infallible>(response)
        }
    });
    let limits = &app.config.limits;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.head_headers)
        .max_buf_size(limits.head.max(HYPER_BUFFER_MIN))
        .serve_connection(TokioIo::new(Patient::new(Rewind::head(head, stream))), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = app.stop.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = ?remote.address(), %error, "an HTTP connection ended with an error");
    }
}

/// The answer to a request that two readers could understand in two ways, after which the connection ends.
fn broken_request(rejected: &Rejected) -> Response<String> {
    let mut response = rejected.to_response();
    response.headers_mut().insert(TRUNKLINE, VERSION);
    response
}

/// hyper panics below this.
const HYPER_BUFFER_MIN: usize = 8 << 10;
