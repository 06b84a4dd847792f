//! `POST /commands`: one command, by whoever shows a session token or a ticket, on any node.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response as HttpResponse};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use trunkline_dialect::command::Credential;
use trunkline_dialect::{Code, ErrorBody};

use super::super::credential;
use crate::App;
use crate::connection::{Remote, not_admitted};
use crate::driver;
use crate::encoded::Mark;
use crate::http::{Problem, read_json};
use crate::session::{Door, Origin, Visit};

/// Reads the command, finds out who says it, and does it.
pub(super) async fn answer(app: &Arc<App>, remote: &Remote, request: Request) -> HttpResponse {
    let credential = credential(request.uri(), request.headers());
    // The body first: a ticket is not spent on what cannot be read.
    let limits = &app.config.limits;
    let command = match read_json(request, limits.message, limits.head_timeout).await {
        Ok(command) => command,
        Err(problem) => return problem.into_response(),
    };
    let counts_as_handshake = !matches!(credential, Some(Credential::Session(_)));
    if counts_as_handshake && let Err(why) = remote.handshake() {
        return not_admitted(why).map(Body::from);
    }
    let origin = Origin { door: Door::Sse, address: remote.address() };
    match visit(app, origin, credential).await {
        Ok(visit) => perform(app, origin, visit, &command).await,
        Err(error) => Problem::of_client(error).into_response(),
    }
}

async fn visit(app: &App, origin: Origin, credential: Option<Credential>) -> Result<Visit, ErrorBody> {
    let node = &app.node;
    let now = node.clock.now();
    match credential.unwrap_or(Credential::Anonymous) {
        Credential::Session(token) => Ok(node.sessions.visit(now, token.expose(), &origin.address)?),
        Credential::Ticket(ticket) => {
            let grant = node.redeem(now, ticket.expose(), &origin.address).await?;
            Ok(Visit::once(now, grant))
        }
        Credential::Anonymous if node.rules.policy.admits_anonymous() => Ok(Visit::anonymous(now)),
        Credential::Anonymous | Credential::Token(_) => {
            let how = "a command is said by a session token or a ticket: Authorization: Bearer, X-Auth-Token";
            Err(ErrorBody::new(Code::Unauthenticated, how))
        }
    }
}

async fn perform(app: &App, origin: Origin, visit: Visit, command: &Bytes) -> HttpResponse {
    let Some(reply) = driver::visit(&app.node, visit, origin, command).await else {
        // A pong, which nobody here has asked for.
        return StatusCode::NO_CONTENT.into_response();
    };
    let code = match reply.mark() {
        Mark::Refused(code) => Some(*code),
        _ => None,
    };
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(reply.payload())));
    *response.status_mut() = code.map_or(StatusCode::OK, crate::http::status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some((name, value)) = code.and_then(crate::http::header_of) {
        headers.insert(name, value);
    }
    response
}
