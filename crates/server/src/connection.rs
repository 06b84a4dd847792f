//! From an accepted stream to a door or to plain HTTP.
//!
//! ```text
//! accept ─▶ admit ─▶ PROXY protocol ─▶ TLS, where the listener has them ─▶ HTTP/1.1 ─▶ a door, or hyper and the routes
//!                                          (ALPN, or the first bytes) ├▶ HTTP/2 ─▶ for each stream: a door, or the routes
//!                                                                     └▶ a door that is spoken from the first byte
//! ```

mod http1;
mod http2;
mod patient;
mod proxied;
mod raw;
mod remote;
mod tls;

pub(crate) use http2::too_many_headers;
pub(crate) use patient::Patient;
pub(crate) use remote::{Remote, Way};

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use tokio::sync::Semaphore;
use trunkline_net::http1::{Rewind, refuse};
use trunkline_net::http2::{ALPN, Http, sniff};
use trunkline_net::tls::ServerTls;

use crate::App;
use crate::address::{ClientAddress, Known};
use crate::admission::NotAdmitted;
use crate::config::Speaks;
use crate::http::{TRUNKLINE, VERSION};
use crate::listener::{Listener, Serves, Terms};
use crate::metrics::Reason;
use crate::stream::Stream;

/// How long accepting pauses when the system has nothing to accept with: long enough for a connection to end,
/// short enough for a client not to give up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Refusals that may be under way at once. Each waits up to a second for its client to read it; a flood of those who are
/// refused is answered by closing.
const REFUSALS: usize = 256;

/// What one listener serves, and by what.
struct Site {
    serves: Serves,
    terms: Terms,
    /// Where this server does TLS.
    tls: Option<ServerTls>,
    router: Router,
    refusals: Arc<Semaphore>,
}

/// Accepts connections until the stop begins. No error ends it: descriptors that are used up now come back.
pub(crate) async fn accept_loop(app: Arc<App>, listener: Listener) {
    let serves = listener.serves();
    if listener.is_tls() && app.tls.is_none() {
        // It was opened for another configuration. Plaintext is not what it promises.
        tracing::error!(%listener, "a listener with TLS, and no certificate: nobody is accepted");
        return;
    }
    let site = Arc::new(Site {
        serves,
        terms: listener.terms().clone(),
        tls: app.tls.clone().filter(|_| listener.is_tls()),
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
    if site.terms.proxy_protocol && !app.admission.trusts(address) {
        app.metrics.rejected(Reason::ProxyNotListed);
        tracing::debug!(?address, "closed a connection that is of no listed proxy");
        return;
    }
    match app.admission.admit(Known::by_socket(address), Instant::now()) {
        Ok(admitted) => {
            let way = Way { tls: site.terms.tls, doors: site.serves.doors };
            let remote = Remote::new(app, way, admitted);
            tokio::spawn(serve(app.clone(), site.clone(), stream, remote));
        }
        Err(why) => turn_away(app, site, stream, why),
    }
}

/// Answers a connection for which there is no room, without reading what it wants.
fn turn_away(app: &App, site: &Site, mut stream: Stream, why: NotAdmitted) {
    app.metrics.rejected(reason(why));
    if site.tls.is_some() || site.terms.speaks != Speaks::Http {
        // A handshake would cost more than what it refuses; what is no HTTP has no answer for it.
        return;
    }
    // Past this many it is a flood, and closing is answer enough.
    let Ok(permit) = site.refusals.clone().try_acquire_owned() else { return };
    tokio::spawn(async move {
        let _permit = permit;
        // The client may be gone: then nobody misses the answer.
        let _ = refuse(&mut stream, &not_admitted(why)).await;
    });
}

/// How soon a client may try again that was not admitted, in seconds: one that is too fast has a token again within one, and
/// places come free when somebody leaves, which nobody can foretell.
const RETRY_FAST: HeaderValue = HeaderValue::from_static("1");
const RETRY_FULL: HeaderValue = HeaderValue::from_static("10");

/// The answer to a connection or handshake that was not admitted.
pub(crate) fn not_admitted(why: NotAdmitted) -> Response<String> {
    let (status, text, retry) = match why {
        NotAdmitted::Full => {
            (StatusCode::SERVICE_UNAVAILABLE, "there is no room for one more connection", RETRY_FULL)
        }
        NotAdmitted::TooManyFromAddress => {
            (StatusCode::TOO_MANY_REQUESTS, "too many connections from this address", RETRY_FULL)
        }
        NotAdmitted::TooFastFromAddress => {
            (StatusCode::TOO_MANY_REQUESTS, "too many handshakes a second from this address", RETRY_FAST)
        }
    };
    let mut response = refusal(status, text);
    response.headers_mut().insert(RETRY_AFTER, retry);
    response
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
        () = by_first_bytes(&app, &site, stream, &remote) => {}
        () = app.stop.cut() => tracing::debug!(address = ?remote.address(), "cut a connection that did not end in time"),
    }
}

async fn by_first_bytes(app: &Arc<App>, site: &Site, stream: Stream, remote: &Arc<Remote>) {
    let opening = async {
        let mut stream = stream;
        if site.terms.proxy_protocol {
            let known = proxied::read(app, &mut stream, remote).await?;
            if let Err(why) = remote.belongs_to(known) {
                turn_away(app, site, stream, why);
                return None;
            }
        }
        let stream = match (&site.tls, stream) {
            (Some(tls), Stream::Tcp(stream)) => tls::shake_hands(app, site, tls, stream, remote).await?,
            (_, stream) => stream,
        };
        match site.terms.speaks {
            Speaks::Http => by_version(app, stream).await.map(Opened::Http),
            _ => Some(Opened::Raw(stream)),
        }
    };
    let opened = tokio::select! {
        opened = opening => opened,
        // Nobody is owed an answer who has not asked.
        () = app.stop.stopping() => return,
    };
    match opened {
        Some(Opened::Http(Spoken { http: Http::One, stream, deadline })) => {
            http1::serve(app, site, stream, deadline, remote).await;
        }
        Some(Opened::Http(Spoken { http: Http::Two, stream, .. })) => {
            http2::serve(app, site, stream, remote).await;
        }
        Some(Opened::Raw(stream)) => raw::serve(app, &site.terms.speaks, stream, remote).await,
        None => {}
    }
}

/// A connection whose opening is done.
enum Opened {
    Http(Spoken),
    /// A door is spoken from here on.
    Raw(Stream),
}

/// A connection of which it is known what HTTP it speaks.
struct Spoken {
    http: Http,
    stream: Rewind<Stream>,
    /// When the first head of HTTP/1.1 has to be there.
    deadline: tokio::time::Instant,
}

async fn by_version(app: &App, stream: Stream) -> Option<Spoken> {
    match stream {
        // The two ends agree in the handshake on what is spoken (ALPN). Without an agreement it is HTTP/1.1.
        Stream::Tls(stream) => {
            let http = if stream.alpn() == Some(ALPN) { Http::Two } else { Http::One };
            let stream = Rewind::new(Bytes::new(), Stream::Tls(stream));
            Some(Spoken {
                http,
                stream,
                deadline: tokio::time::Instant::now() + app.config.limits.head_timeout,
            })
        }
        stream => by_preface(app, stream).await,
    }
}

/// Plaintext, in which a client that wants HTTP/2 begins as no HTTP/1.1 request does (RFC 9113 §3.3).
async fn by_preface(app: &App, mut stream: Stream) -> Option<Spoken> {
    let deadline = tokio::time::Instant::now() + app.config.limits.head_timeout;
    match sniff(&mut stream, &app.socket_limits).await {
        Ok((http, rewind)) => {
            let (first, _) = rewind.into_parts();
            Some(Spoken { http, stream: Rewind::new(first, stream), deadline })
        }
        Err(error) => {
            http1::refuse_head(app, stream, &error).await;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Doors, Tls};
    use crate::{Config, Server};

    /// A remote that is counted by its address.
    fn remote(server: &Server) -> Arc<Remote> {
        let known = Known::by_socket(ClientAddress::socket("192.0.2.1".parse().expect("an address")));
        let admitted = server.app.admission.admit(known, Instant::now()).expect("room");
        Remote::new(&server.app, Way { tls: Tls::On, doors: Doors::ALL }, admitted)
    }

    fn server(limits: &str) -> Server {
        Server::new(Config::parse("t", &format!("[limits]\n{limits}")).expect("no problems"))
            .expect("no problems")
    }

    #[test]
    fn a_tls_handshake_and_the_first_upgrade_in_it_count_as_one() {
        let server = server("handshakes_per_address_per_s = 2");
        let remote = remote(&server);
        assert_eq!(remote.handshake(), Ok(()), "TLS");
        remote.prepay();
        assert_eq!(remote.handshake(), Ok(()), "the upgrade in it");
        assert_eq!(remote.handshake(), Ok(()), "one more, of the same HTTP/2 connection");
        assert_eq!(remote.handshake(), Err(NotAdmitted::TooFastFromAddress));
    }

    #[test]
    fn a_websocket_in_an_http2_connection_counts_against_its_address_until_it_ends() {
        let server = server("connections_per_address = 2");
        let remote = remote(&server);
        let socket = remote.another(&server.app, remote.known()).expect("room for two");
        assert_eq!(remote.another(&server.app, remote.known()).err(), Some(NotAdmitted::TooManyFromAddress));
        drop(remote);
        let second = socket.another(&server.app, socket.known()).expect("the connection itself has gone");
        assert_eq!(server.app.metrics.connections.get(), 2);
        drop((socket, second));
        assert_eq!(server.app.metrics.connections.get(), 0);
    }

    #[test]
    fn who_is_not_admitted_is_told_whether_it_is_their_doing() {
        assert_eq!(not_admitted(NotAdmitted::Full).status(), StatusCode::SERVICE_UNAVAILABLE);
        for theirs in [NotAdmitted::TooManyFromAddress, NotAdmitted::TooFastFromAddress] {
            let response = not_admitted(theirs);
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(response.headers()[CONNECTION], "close");
            assert!(response.body().contains("address"));
            assert!(response.headers().contains_key(RETRY_AFTER));
        }
    }

    #[test]
    fn used_up_descriptors_are_the_listeners_trouble_and_an_aborted_connection_is_its_own() {
        const EMFILE: i32 = 24;
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(EMFILE)));
        assert!(is_of_one_connection(&io::Error::from(io::ErrorKind::ConnectionAborted)));
    }
}
