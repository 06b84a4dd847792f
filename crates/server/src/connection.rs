//! From an accepted stream to a door or to plain HTTP.
//!
//! The first head of every connection is read here, strictly and with one deadline. If it is for a door, the door has the
//! bare stream, and no HTTP library ever held a buffer of it. Otherwise the stream goes to hyper with every byte that was
//! read. An upgrade that comes later, on a connection that hyper keeps alive, ends at the same door: its stream is taken
//! back from hyper.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use trunkline_net::Error;
use trunkline_net::handshake::{Rejected, Rule, check_request};
use trunkline_net::http1::{RequestHead, Rewind, read_request, refuse};

use crate::App;
use crate::address::ClientAddress;
use crate::admission::{Admitted, NotAdmitted};
use crate::door;
use crate::http::{TRUNKLINE, VERSION};
use crate::listener::{Listener, Serves, Stream};
use crate::metrics::{Metrics, Reason};
use crate::shutdown::Live;

/// How long accepting pauses when the system has nothing to accept with: long enough for a connection to end,
/// short enough for a client not to give up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Refusals that may be under way at once. Each waits up to a second for its client to read it; a flood of those who are
/// refused is answered by closing.
const REFUSALS: usize = 256;

/// Who is at the other end, counted until the last holder of it is gone.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) address: ClientAddress,
    pub(crate) admitted: Admitted,
    metrics: Metrics,
    _live: Live,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

/// What one listener serves, and by what.
struct Site {
    serves: Serves,
    router: Router,
    refusals: Arc<Semaphore>,
}

/// Accepts connections until the stop begins. No error ends it: descriptors that are used up now come back.
pub(crate) async fn accept_loop(app: Arc<App>, listener: Listener) {
    let serves = listener.serves();
    let site = Arc::new(Site {
        serves,
        router: crate::http::router(&app, serves),
        refusals: Arc::new(Semaphore::new(REFUSALS)),
    });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.stop.stopping() => return,
        };
        match accepted {
            Ok((stream, address)) => admit(&app, &site, stream, address),
            Err(error) => {
                app.metrics.accept_errors.inc();
                if is_of_one_connection(&error) {
                    tracing::debug!(%listener, %error, "a connection ended before it was accepted");
                } else {
                    tracing::warn!(%listener, %error, "cannot accept connections now; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// An error that says something about the connection and nothing about the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | NotConnected | InvalidInput)
}

fn admit(app: &Arc<App>, site: &Arc<Site>, stream: Stream, address: ClientAddress) {
    match app.admission.admit(address, Instant::now()) {
        Ok(admitted) => {
            app.metrics.connections.inc();
            let remote =
                Arc::new(Remote { address, admitted, metrics: app.metrics.clone(), _live: app.stop.enter() });
            tokio::spawn(serve(app.clone(), site.clone(), stream, remote));
        }
        Err(why) => turn_away(app, site, stream, why),
    }
}

/// Answers a connection for which there is no room, without reading what it wants.
fn turn_away(app: &App, site: &Site, mut stream: Stream, why: NotAdmitted) {
    app.metrics.rejected(reason(why));
    // Past this many it is a flood, and closing is answer enough.
    let Ok(permit) = site.refusals.clone().try_acquire_owned() else { return };
    tokio::spawn(async move {
        let _permit = permit;
        // The client may be gone: then nobody misses the answer.
        let _ = refuse(&mut stream, &not_admitted(why)).await;
    });
}

/// The answer to a connection or handshake that was not admitted.
pub(crate) fn not_admitted(why: NotAdmitted) -> Response<String> {
    match why {
        NotAdmitted::Full => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, "there is no room for one more connection")
        }
        NotAdmitted::TooManyFromAddress => {
            refusal(StatusCode::TOO_MANY_REQUESTS, "too many connections from this address")
        }
        NotAdmitted::TooFastFromAddress => {
            refusal(StatusCode::TOO_MANY_REQUESTS, "too many handshakes a second from this address")
        }
    }
}

fn reason(why: NotAdmitted) -> Reason {
    match why {
        NotAdmitted::Full => Reason::Full,
        NotAdmitted::TooManyFromAddress => Reason::TooManyFromAddress,
        NotAdmitted::TooFastFromAddress => Reason::TooFastFromAddress,
    }
}

/// An answer in one sentence, after which the connection ends.
pub(crate) fn refusal(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(format!("{text}\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(TRUNKLINE, VERSION);
    response
}

/// One connection, from its first byte to its last, or until the stop cuts it.
async fn serve(app: Arc<App>, site: Arc<Site>, stream: Stream, remote: Arc<Remote>) {
    tokio::select! {
        () = by_first_head(&app, &site, stream, &remote) => {}
        () = app.stop.cut() => tracing::debug!(address = ?remote.address, "cut a connection that did not end in time"),
    }
}

async fn by_first_head(app: &Arc<App>, site: &Site, mut stream: Stream, remote: &Arc<Remote>) {
    let head = tokio::select! {
        head = read_request(&mut stream, &app.socket_limits) => head,
        // Nobody is owed an answer who has not asked.
        () = app.stop.stopping() => return,
    };
    match head {
        Ok(head) if site.serves.doors && door::wants(&head.request) => {
            door::over_stream(app, remote, stream, head).await;
        }
        Ok(head) => match check_request(&head.request) {
            Ok(()) => over_http(app, site, stream, head, remote).await,
            Err(rejected) => refuse_head(app, stream, &rejected.into()).await,
        },
        Err(error) => refuse_head(app, stream, &error).await,
    }
}

/// Answers a head that could not be read.
async fn refuse_head(app: &App, mut stream: Stream, error: &Error) {
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
async fn over_http(app: &Arc<App>, site: &Site, stream: Stream, head: RequestHead, remote: &Arc<Remote>) {
    let service = service_fn(|request: http::Request<Incoming>| {
        let (router, remote) = (site.router.clone(), remote.clone());
        let checked = check_request(&request);
        async move {
            if let Err(rejected) = checked {
                return Ok(broken_request(&rejected).map(Body::from));
            }
            let mut request = request.map(Body::new);
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
        .serve_connection(TokioIo::new(Rewind::head(head, stream)), service)
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
        tracing::debug!(address = ?remote.address, %error, "an HTTP connection ended with an error");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_admitted_is_told_whether_it_is_their_doing() {
        assert_eq!(not_admitted(NotAdmitted::Full).status(), StatusCode::SERVICE_UNAVAILABLE);
        for theirs in [NotAdmitted::TooManyFromAddress, NotAdmitted::TooFastFromAddress] {
            let response = not_admitted(theirs);
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(response.headers()[CONNECTION], "close");
            assert!(response.body().contains("address"));
        }
    }

    #[test]
    fn used_up_descriptors_are_the_listeners_trouble_and_an_aborted_connection_is_its_own() {
        const EMFILE: i32 = 24;
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(EMFILE)));
        assert!(is_of_one_connection(&io::Error::from(io::ErrorKind::ConnectionAborted)));
    }
}
