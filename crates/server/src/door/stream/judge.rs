//! Who comes in by the stream door: one function for HTTP/1.1, one for HTTP/2, and what both ask.

use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use trunkline_dialect::command::Credential;
use trunkline_dialect::{Code, Secret};
use trunkline_net::handshake::{self, AcceptPolicy, Accepted, HTTP2_PROTOCOL, Rejected};
use trunkline_net::http2::Connect;
use trunkline_net::stream::{SUBPROTOCOL, UPGRADE as STREAM};

use super::super::{Verdict, admit, connection_of, credential, names, origin_policy, refused, sign};
use super::{Target, has_upgrades};
use crate::App;
use crate::address::Known;
use crate::config::{Auth, Origins};
use crate::connection::{Remote, refusal};
use crate::metrics::{Carriage, Outcome};
use crate::service::{Ready, Service, Unavailable, Visit};

/// In what words a request for this door is told how to come in.
const WAYS_IN: &str = "streams are opened by GET with Upgrade: stream, or by WebSocket with the subprotocol stream.1; \
                       on HTTP/2 by extended CONNECT, :protocol stream or websocket";

/// What is wrong with bytes that nothing hides, on the open network.
const UNMASKED: &str = "Upgrade: stream is for TLS, loopback and listed proxies here, because anything on the way can read, and \
                        misread, bare bytes; come by https://, or by WebSocket with the subprotocol stream.1";

/// A request that comes in.
pub(super) struct Admitted {
    pub(super) accepted: Accepted,
    pub(super) visit: Visit,
    pub(super) then: Then,
}

/// What follows the 101.
pub(super) enum Then {
    /// Bytes.
    Serve(Ready),
    /// The client's line, which says what it wants.
    Ask,
    /// A close that says that the credential is no good.
    Refuse,
}

/// Whether an HTTP/1.1 request comes in; if not, the answer that says how it could. What an HTTP/2 request that is no CONNECT is
/// answered, too.
pub(super) async fn upgrade(
    app: &Arc<App>,
    remote: &Arc<Remote>,
    request: Arc<Request<()>>,
    target: Target,
) -> Verdict<Admitted> {
    let headers = request.headers();
    if !headers.contains_key(UPGRADE) || !has_upgrades(request.version()) {
        return refused(Outcome::NotServed, way_in(&request, WAYS_IN));
    }
    let carriage = if names(headers, STREAM) {
        Carriage::Upgrade
    } else if names(headers, HTTP2_PROTOCOL) {
        Carriage::WebSocket
    } else {
        let text = "Upgrade names nothing that is served here; served is: stream, websocket";
        return refused(Outcome::NotServed, refusal(StatusCode::BAD_REQUEST, text));
    };
    if carriage == Carriage::Upgrade && !may_be_bare(app, remote) {
        return refused(Outcome::NotServed, way_in(&request, UNMASKED));
    }
    let service = known(target)?;
    admit(app, remote)?;
    let policy = policy(app, remote, service.as_deref());
    let accepted = sign(match carriage {
        Carriage::WebSocket => handshake::accept(&*request, &policy),
        _ => handshake::accept_upgrade(&*request, STREAM, &policy),
    })?;
    let visit = Visit { app: app.clone(), remote: remote.clone(), request: Some(request), carriage };
    open(accepted, visit, service).await
}

/// Whether an extended CONNECT comes in (RFC 8441), and then it is a connection of its own; if not, the answer that says
/// how it could.
pub(super) async fn connect(
    app: &Arc<App>,
    remote: &Arc<Remote>,
    client: Known,
    connect: &Connect,
    target: Target,
) -> Verdict<Admitted> {
    let carriage = if connect.protocol() == Some(STREAM) { Carriage::Upgrade } else { Carriage::WebSocket };
    let service = known(target)?;
    let own = connection_of(app, remote, client)?;
    if carriage == Carriage::Upgrade && !may_be_bare(app, &own) {
        return refused(Outcome::NotServed, refusal(StatusCode::BAD_REQUEST, UNMASKED));
    }
    admit(app, if client.address == remote.address() { remote } else { &own })?;
    let policy = policy(app, &own, service.as_deref());
    let accepted = sign(match carriage {
        Carriage::WebSocket => connect.judge(&policy),
        _ => handshake::accept_upgrade_http2(connect.request(), connect.protocol(), STREAM, &policy),
    })?;
    let request = Some(Arc::new(connect.request().clone()));
    open(accepted, Visit { app: app.clone(), remote: own, request, carriage }, service).await
}

/// Whether a page of the request's origin may open this service, which the client has named only now.
pub(super) fn origin_fits(visit: &Visit, service: &Service) -> bool {
    let Some(request) = &visit.request else { return true };
    let policy = policy(&visit.app, &visit.remote, Some(service));
    let host = request.headers().contains_key(http::header::ORIGIN);
    // All else was judged before: what can be wrong now is the origin.
    !host || judged_again(request, visit.carriage, &policy).is_ok()
}

/// What lets a client in to a service, whatever the form: its ticket.
pub(super) async fn redeem(visit: &Visit, service: &Service, ticket: Option<&str>) -> Result<(), Code> {
    if service.auth != Auth::Ticket {
        return Ok(());
    }
    let node = &visit.app.node;
    let Some(ticket) = ticket else { return Err(Code::Unauthenticated) };
    let grant =
        node.redeem(node.clock.now(), ticket, &visit.remote.address()).await.map_err(|error| error.code)?;
    // Who was narrowed to some channels was not meant to reach other machines.
    let narrowed = grant.details.is_some_and(|details| details.rights.is_some());
    if narrowed { Err(Code::Forbidden) } else { Ok(()) }
}

fn judged_again(request: &Request<()>, carriage: Carriage, policy: &AcceptPolicy) -> Result<(), Rejected> {
    match (has_upgrades(request.version()), carriage) {
        (true, Carriage::WebSocket) => handshake::accept(request, policy).map(drop),
        (true, _) => handshake::accept_upgrade(request, STREAM, policy).map(drop),
        (false, Carriage::WebSocket) => {
            handshake::accept_http2(request, Some(HTTP2_PROTOCOL), policy).map(drop)
        }
        (false, _) => handshake::accept_upgrade_http2(request, Some(STREAM), STREAM, policy).map(drop),
    }
}

/// The request is a good one: now the ticket, and the service itself.
async fn open(accepted: Accepted, visit: Visit, service: Option<Arc<Service>>) -> Verdict<Admitted> {
    let Some(service) = service else { return Ok(Admitted { accepted, visit, then: Then::Ask }) };
    let ticket = visit.request.as_ref().and_then(|request| ticket(request));
    match redeem(&visit, &service, ticket.as_ref().map(Secret::expose)).await {
        Ok(()) => {}
        Err(_) if visit.carriage == Carriage::WebSocket => {
            return Ok(Admitted { accepted, visit, then: Then::Refuse });
        }
        Err(code) => return refused(Outcome::Unauthenticated, unauthenticated(code)),
    }
    match service.ready(&visit).await {
        Ok(ready) => Ok(Admitted { accepted, visit, then: Then::Serve(ready) }),
        Err(why) => refused(Outcome::NoUpstream, unavailable(why)),
    }
}

/// `None` is for who will say it later.
fn known(target: Target) -> Verdict<Option<Arc<Service>>> {
    match target {
        Target::Service(service) => Ok(Some(service)),
        Target::Quiet => Ok(None),
        Target::Unknown => {
            refused(Outcome::NotServed, refusal(StatusCode::NOT_FOUND, "there is no service of this name"))
        }
    }
}

/// Doors without masking are not for the open network: a proxy that misreads them can be made to serve others what a client
/// wrote (RFC 6455 §10.3).
fn may_be_bare(app: &App, remote: &Remote) -> bool {
    remote.may_go_unmasked(app)
}

fn policy(app: &App, remote: &Remote, service: Option<&Service>) -> AcceptPolicy {
    let origins: &Origins = service.map_or(&app.config.origins, |service| &service.origins);
    AcceptPolicy {
        subprotocols: vec![SUBPROTOCOL.to_owned()],
        require_subprotocol: true,
        origin: origin_policy(origins),
        // As for the websocket door: plaintext here says nothing of what the page's browser did.
        secure: remote.secure(),
        ..AcceptPolicy::default()
    }
}

/// The ticket of a request, found as at every door. A session token opens no service.
fn ticket(request: &Request<()>) -> Option<Secret> {
    match credential(request.uri(), request.headers()) {
        Some(Credential::Ticket(ticket)) => Some(ticket),
        _ => None,
    }
}

/// 426 where HTTP has upgrades, with what is to be named in one.
fn way_in<B>(request: &Request<B>, text: &str) -> Response<String> {
    if !has_upgrades(request.version()) {
        return refusal(StatusCode::BAD_REQUEST, text);
    }
    let mut response = refusal(StatusCode::UPGRADE_REQUIRED, text);
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("stream, websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
    response
}

fn unauthenticated(code: Code) -> Response<String> {
    match code {
        Code::Forbidden => refusal(StatusCode::FORBIDDEN, "this ticket is for channels, not for services"),
        Code::Unavailable => refusal(StatusCode::SERVICE_UNAVAILABLE, "tickets cannot be redeemed just now"),
        _ => {
            let mut response = refusal(
                StatusCode::UNAUTHORIZED,
                "this service asks for a ticket: ?ticket= or X-Auth-Token; this one is no good, or there is none",
            );
            let challenge = HeaderValue::from_static("Ticket");
            response.headers_mut().insert(http::header::WWW_AUTHENTICATE, challenge);
            response
        }
    }
}

fn unavailable(why: Unavailable) -> Response<String> {
    match why {
        Unavailable::Failed => refusal(StatusCode::BAD_GATEWAY, "the service cannot be reached"),
        Unavailable::TooSlow => {
            refusal(StatusCode::GATEWAY_TIMEOUT, "the service could not be reached in time")
        }
        Unavailable::Refused(status) => refusal(status, "the service does not let this client in"),
    }
}
