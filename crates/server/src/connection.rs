//! From an accepted stream to a door or to plain HTTP.
//!
//! ```text
//! accept ─▶ admit ─▶ TLS, where the listener has it ─▶ HTTP/1.1 ─▶ a door, or hyper and the routes
//!                        (ALPN, or the first bytes) └▶ HTTP/2 ─▶ for each stream: a door, or the routes
//! ```

mod http1;
mod http2;
mod patient;
mod raw;
mod tls;
mod tls_upgrade;

pub(crate) use http2::too_many_headers;
pub(crate) use patient::Patient;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use tokio::sync::Semaphore;
use trunkline_net::http1::{Rewind, refuse};
use trunkline_net::http2::{ALPN, Http, sniff};
use trunkline_net::tls::ServerTls;

use crate::App;
use crate::address::ClientAddress;
use crate::admission::{Admitted, NotAdmitted};
use crate::config::{Doors, Speaks, Tls};
use crate::http::{TRUNKLINE, VERSION};
use crate::listener::{Listener, Serves, Terms};
use crate::metrics::Reason;
use crate::shutdown::Live;
use crate::stream::Stream;

/// How long accepting pauses when the system has nothing to accept with: long enough for a connection to end,
/// short enough for a client not to give up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Refusals that may be under way at once. Each waits up to a second for its client to read it; a flood of those who are
/// refused is answered by closing.
const REFUSALS: usize = 256;

/// Who is at the other end of one connection, counted until the last holder of it is gone. A WebSocket in an HTTP/2
/// connection is a connection of its own, and has one of its own.
#[derive(Debug)]
pub(crate) struct Remote {
    address: ClientAddress,
    /// By what way it came.
    pub(crate) way: Way,
    /// Whether this server did TLS for it later, by an upgrade.
    upgraded: AtomicBool,
    admitted: Admitted,
    /// Whether the next handshake was counted already.
    prepaid: AtomicBool,
    _live: Live,
}

/// What the listener says of the connections that come to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// Who does TLS.
    pub(crate) tls: Tls,
    /// The doors that are open over HTTP.
    pub(crate) doors: Doors,
}

impl Remote {
    pub(crate) fn new(app: &App, address: ClientAddress, way: Way, admitted: Admitted) -> Arc<Remote> {
        let (upgraded, prepaid) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Remote { address, way, upgraded, admitted, prepaid, _live: app.stop.enter() })
    }

    /// Whose it is, as far as is known by now.
    pub(crate) fn address(&self) -> ClientAddress {
        self.address
    }

    /// Whether this server did TLS for it.
    pub(crate) fn tls(&self) -> bool {
        self.way.tls == Tls::On || self.upgraded.load(Ordering::Relaxed)
    }

    /// Whether nobody between the client and us can read what is said, nor take it for something else: TLS, of ours or of a listed
    /// proxy, a unix socket, loopback. What is not masked is said nowhere else.
    pub(crate) fn is_private(&self, app: &App) -> bool {
        let Some(ip) = self.address.ip() else { return true };
        let proxied = self.way.tls == Tls::Offloaded && app.config.listen.trusted.contains(ip);
        self.tls() || ip.is_loopback() || proxied
    }

    /// Counts a handshake of its address.
    pub(crate) fn handshake(&self) -> Result<(), NotAdmitted> {
        if self.prepaid.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        self.admitted.handshake(Instant::now())
    }

    /// Its TLS handshake was counted: the first upgrade in it is not counted again.
    fn prepay(&self) {
        self.prepaid.store(true, Ordering::Relaxed);
    }

    /// This server does TLS for it from here on.
    fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// One more connection of the same remote, inside the one that it has.
    pub(crate) fn another(&self, app: &App) -> Result<Arc<Remote>, NotAdmitted> {
        let admitted = app.admission.admit(self.address, Instant::now())?;
        Ok(Remote::new(app, self.address, self.way, admitted))
    }
}

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
    match app.admission.admit(address, Instant::now()) {
        Ok(admitted) => {
            let way = Way { tls: site.terms.tls, doors: site.serves.doors };
            let remote = Remote::new(app, address, way, admitted);
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
        () = by_first_bytes(&app, &site, stream, &remote) => {}
        () = app.stop.cut() => tracing::debug!(address = ?remote.address(), "cut a connection that did not end in time"),
    }
}

async fn by_first_bytes(app: &Arc<App>, site: &Site, stream: Stream, remote: &Arc<Remote>) {
    let opening = async {
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
    use crate::{Config, Server};

    /// A remote that is counted by its address.
    fn remote(server: &Server) -> Arc<Remote> {
        let address = ClientAddress::socket("192.0.2.1".parse().expect("an address"));
        let admitted = server.app.admission.admit(address, Instant::now()).expect("room");
        Remote::new(&server.app, address, Way { tls: Tls::On, doors: Doors::ALL }, admitted)
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
        let socket = remote.another(&server.app).expect("room for two");
        assert_eq!(remote.another(&server.app).err(), Some(NotAdmitted::TooManyFromAddress));
        drop(remote);
        let second = socket.another(&server.app).expect("the connection itself has gone");
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
        }
    }

    #[test]
    fn used_up_descriptors_are_the_listeners_trouble_and_an_aborted_connection_is_its_own() {
        const EMFILE: i32 = 24;
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(EMFILE)));
        assert!(is_of_one_connection(&io::Error::from(io::ErrorKind::ConnectionAborted)));
    }
}
