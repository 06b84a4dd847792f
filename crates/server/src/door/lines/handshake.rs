//! The upgrade of the lines door: `OPTIONS /` or `GET /connect` with `Upgrade: firepresence`, or whatever it is configured to be
//! called.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};

use super::super::{CONNECT, SERVED, Verdict, admit, broken_rule, cors, names, refused};
use crate::App;
use crate::connection::{Remote, refusal};
use crate::http::{TRUNKLINE, VERSION};
use crate::metrics::Outcome;

/// The token of `Upgrade` that always opens this door.
const ALWAYS: &str = "hub-lines";

/// What is spoken behind it, as the answer has it behind the other token. Behind this one it is not: Apache and Caddy let an
/// upgrade pass only if the answer has just the token that was asked for.
const SPOKEN: &str = "1.0";

/// The tokens of `Upgrade` that open this door, as a client would write them.
pub(in super::super) fn tokens(app: &App) -> [&str; 2] {
    [app.config.lines.upgrade.as_str(), ALWAYS]
}

/// Whether a request is for this door. One that names WebSocket too gets that.
pub(in super::super) fn is_asked<B>(app: &App, remote: &Remote, request: &Request<B>) -> bool {
    let (doors, headers) = (remote.way.doors, request.headers());
    doors.lines && token(app, headers).is_some() && !(doors.websocket && names(headers, SERVED))
}

/// The answer that opens the door, or the one that says why not.
///
/// Of the rules of upgrades `Connection: Upgrade` is not insisted on: the clients that this protocol was made by do not send it.
pub(super) fn verdict<B>(app: &App, remote: &Remote, request: &Request<B>) -> Verdict<Response<()>> {
    let headers = request.headers();
    let bad = |text: &str| refused(Outcome::BadRequest, refusal(StatusCode::BAD_REQUEST, text));
    let Some(token) = token(app, headers) else { return bad("Upgrade does not name this door") };
    let place = (request.method(), request.uri().path());
    if !(place == (&Method::OPTIONS, "/") || place == (&Method::GET, CONNECT)) {
        return bad("the lines door is at OPTIONS / and GET /connect");
    }
    if request.version() != Version::HTTP_11 {
        return bad("an upgrade is a matter of HTTP/1.1");
    }
    // Where it ends two readers could disagree on, and what is behind it would be taken for lines.
    let length = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if length || headers.contains_key(TRANSFER_ENCODING) {
        return bad("an upgrade has no body");
    }
    if !remote.may_go_unmasked(app) {
        let text = "lines are not masked, and what is between us may read them as something else: \
                    this door is open over TLS, behind a listed proxy that does TLS, and on this machine";
        return refused(Outcome::NotServed, refusal(StatusCode::FORBIDDEN, text));
    }
    admit(app, remote)?;
    cors::judge(app, remote, request).map_err(|rejected| Box::new(broken_rule(&rejected)))?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let upgrade = if token == ALWAYS { token.to_owned() } else { format!("{token}/{SPOKEN}") };
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::try_from(upgrade).expect("a token is a header's value"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(TRUNKLINE, VERSION);
    Ok(response)
}

/// The token that the client asked by, in our spelling.
fn token<'a>(app: &'a App, headers: &HeaderMap) -> Option<&'a str> {
    tokens(app)
        .into_iter()
        .find(|token| names(headers, token) || names(headers, &format!("{token}/{SPOKEN}")))
}
