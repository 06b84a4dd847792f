//! The probe service: the far end of `trunkline probe`. What it says on a connection is `trunkline-probe`'s; here is how requests
//! get to it, and what they are told of themselves.
//!
//! Whatever is asked for is given, as far as HTTP allows it: any method, any path below `/probe`, any token of `Upgrade`. That is
//! what shows which of them a path lets through.

mod behind;
mod events;
mod hello;

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response as HttpResponse};
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trunkline_net::handshake::http1::write_response;
use trunkline_net::handshake::{self, AcceptPolicy, Accepted, OriginPolicy, Rejected};
use trunkline_net::http1::{RequestHead, refuse};
use trunkline_net::http2::Connect;
use trunkline_net::{Role, Setup, WebSocket};
use trunkline_probe::far::{self, Record};
use trunkline_probe::pipe::{self, End, Measured, Pipe};
use trunkline_probe::wire::{self, Hello, PATH, Reply, SUBPROTOCOL};

use self::behind::Behind;
use crate::App;
use crate::address::Known;
use crate::config::Probe;
use crate::connection::{Remote, not_admitted, refusal, too_many_headers};
use crate::door::taken_back;
use crate::http::{TRUNKLINE, VERSION};
use crate::listener::Serves;
use crate::metrics::Outcome;
use crate::stream::Stream;

/// One read of a bare echo.
const ECHO_CHUNK: usize = 16 << 10;

/// Whether an upgrade is for the probe: below its path, or anywhere where there is nothing else.
pub(crate) fn wants_upgrade<B>(serves: Serves, request: &http::Request<B>) -> bool {
    request.headers().contains_key(UPGRADE) && wants_path(serves, request.uri().path())
}

/// Whether a path is the probe's.
pub(crate) fn wants_path(serves: Serves, path: &str) -> bool {
    let below =
        |path: &str| path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match serves.probe {
        Probe::Off => false,
        Probe::On => below(path),
        Probe::Alone => true,
    }
}

/// An upgrade that came first on its connection.
pub(crate) async fn over_stream(app: &Arc<App>, remote: &Arc<Remote>, mut stream: Stream, head: RequestHead) {
    let asked = hello::of_head(remote, &head);
    let upgrade = match judge(app, remote, &head.request) {
        Ok(upgrade) => upgrade,
        Err(refused) => {
            // The client may be gone: then nobody misses the answer.
            let _ = refuse(&mut stream, &refused).await;
            return;
        }
    };
    let answer = Bytes::from(write_response(upgrade.response(), b""));
    serve(app, Behind::new(answer, stream), head.rest, upgrade, asked).await;
}

/// A request that hyper has read: a plain one, or an upgrade on a kept-alive connection.
pub(crate) async fn over_hyper(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Arc<Remote>>,
    mut request: Request,
) -> HttpResponse {
    if !request.headers().contains_key(UPGRADE) {
        return plain(&app, &remote, &request);
    }
    let asked = hello::of_request(&remote, &request);
    let upgrade = match judge(&app, &remote, &request) {
        Ok(upgrade) => upgrade,
        Err(refused) => return (*refused).map(Into::into),
    };
    let response = upgrade.response().clone().map(|()| axum::body::Body::empty());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = tokio::select! {
            upgraded = upgraded => upgraded,
            () = app.stop.cut() => return,
        };
        if let Some((stream, rest)) = taken_back(upgraded) {
            serve(&app, Behind::new(Bytes::new(), stream), rest, upgrade, asked).await;
        }
    });
    response
}

/// A CONNECT in an HTTP/2 connection.
pub(crate) fn over_http2(app: &Arc<App>, remote: &Arc<Remote>, client: Known, connect: Connect) {
    let request = connect.request();
    // It counts as a connection of its own, as long as it lasts.
    let another = match remote.another(app, client) {
        Ok(another) => another,
        Err(why) => return connect.refuse(&not_admitted(why)),
    };
    let asked = hello::of_connect(&another, request);
    let refused = too_many_headers(request.headers(), app.config.limits.head_headers)
        .or_else(|| admit(app, &another).err().map(|refused| *refused));
    if let Some(refused) = refused {
        return connect.refuse(&refused);
    }
    let accepted = match connect.judge(&policy(app)) {
        Ok(accepted) => accepted,
        Err(rejected) => return connect.refuse(&signed(&rejected)),
    };
    match connect.accept(&accepted) {
        Ok(stream) => {
            let app = app.clone();
            tokio::spawn(async move {
                let _counted = another;
                let stream = Behind::new(Bytes::new(), Stream::Http2(Box::new(stream)));
                serve(&app, stream, Bytes::new(), Upgrade::WebSocket(Box::new(accepted)), asked).await;
            });
        }
        Err(error) => tracing::debug!(%error, "a client left during its handshake"),
    }
}

/// What a request without `Upgrade` gets: what was seen of it, events, or what became of a connection.
fn plain(app: &App, remote: &Remote, request: &Request) -> HttpResponse {
    let path = request.uri().path();
    if path.ends_with("/events") {
        return events::answer(request.uri());
    }
    if path.ends_with("/ending") {
        let id = hello::parameter(request.uri(), "id").unwrap_or_default();
        return json(&wire::encode(&app.probes.find(&id)));
    }
    json(&wire::encode(&hello::of_request(remote, request)))
}

fn json(text: &str) -> HttpResponse {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::OK, headers, text.to_owned()).into_response()
}

/// The answer to an upgrade that was not accepted.
type Refusal = Box<Response<String>>;

/// An upgrade that was accepted.
enum Upgrade {
    WebSocket(Box<Accepted>),
    /// To whatever the client called it.
    Bare(Response<()>),
}

impl Upgrade {
    fn response(&self) -> &Response<()> {
        match self {
            Upgrade::WebSocket(accepted) => accepted.response(),
            Upgrade::Bare(response) => response,
        }
    }
}

fn judge<B>(app: &App, remote: &Remote, request: &http::Request<B>) -> Result<Upgrade, Refusal> {
    admit(app, remote)?;
    let upgrade = if names(request.headers(), "websocket") {
        let accepted = handshake::accept(request, &policy(app));
        let mut accepted = accepted.map_err(|rejected| {
            app.metrics.handshake(Outcome::BadRequest);
            Box::new(signed(&rejected))
        })?;
        accepted
            .add_header(TRUNKLINE, VERSION)
            .expect("the handshake does not set this header, and it is one more of five");
        Upgrade::WebSocket(Box::new(accepted))
    } else {
        Upgrade::Bare(bare(request)?)
    };
    app.metrics.handshake(Outcome::Accepted);
    Ok(upgrade)
}

/// Whether a handshake is judged at all now.
fn admit(app: &App, remote: &Remote) -> Result<(), Refusal> {
    if app.stop.is_stopping() {
        app.metrics.handshake(Outcome::Stopping);
        return Err(Box::new(refusal(StatusCode::SERVICE_UNAVAILABLE, "this node stops")));
    }
    remote.handshake().map_err(|why| {
        app.metrics.handshake(Outcome::TooFast);
        Box::new(not_admitted(why))
    })
}

fn policy(app: &App) -> AcceptPolicy {
    AcceptPolicy {
        subprotocols: vec![SUBPROTOCOL.to_owned()],
        // There is nothing here that a page could misuse: whoever can connect may measure.
        origin: OriginPolicy::Any,
        extensions: app.extensions.clone(),
        ..AcceptPolicy::default()
    }
}

fn signed(rejected: &Rejected) -> Response<String> {
    let mut response = rejected.to_response();
    response.headers_mut().insert(TRUNKLINE, VERSION);
    response
}

/// The answer to an upgrade to anything. `Connection: Upgrade` is not insisted on: the lines protocol's original client does not
/// send it, and whether a path drops it is for the near end to see.
fn bare<B>(request: &http::Request<B>) -> Result<Response<()>, Refusal> {
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if length || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Box::new(refusal(StatusCode::BAD_REQUEST, "an upgrade has no body")));
    }
    handshake::check_request(request).map_err(|rejected| Box::new(signed(&rejected)))?;
    let token = headers.get(UPGRADE).cloned().unwrap_or_else(|| HeaderValue::from_static("stream"));
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(UPGRADE, token);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(TRUNKLINE, VERSION);
    Ok(response)
}

fn names(headers: &HeaderMap, token: &str) -> bool {
    let values = headers.get_all(UPGRADE).iter();
    let mut tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.any(|name| name.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Serves an upgraded stream to its end, or to the server's. `rest` came with the request.
async fn serve(app: &Arc<App>, mut stream: Behind, rest: Bytes, upgrade: Upgrade, mut asked: Hello) {
    let id = format!("{:032x}", rand::random::<u128>());
    let record = app.probes.open(id.clone());
    asked.id = Some(id);
    asked.answered = hello::fields(upgrade.response().headers());
    asked.early = u64::try_from(rest.len()).unwrap_or(u64::MAX);
    let echoes = hello::is_echo(&asked.target);
    let served = async {
        match upgrade {
            Upgrade::WebSocket(accepted) => {
                let deflate =
                    app.deflate.as_ref().and_then(|config| config.agreed(accepted.extensions(), true));
                let setup = Setup { deflate, ..Setup::from(pipe::limits()) };
                let socket = WebSocket::from_upgraded(stream, rest, Role::Server, setup);
                far::serve(Pipe::websocket(socket), Some(asked), record, &app.probes).await;
            }
            Upgrade::Bare(_) if echoes => echo(stream, &rest, &record).await,
            Upgrade::Bare(_) => {
                stream.append(&wire::encode(&Reply::Hello(Box::new(asked))));
                far::serve(Pipe::raw(stream, &rest), None, record, &app.probes).await;
            }
        }
    };
    tokio::select! {
        () = served => {}
        () = app.stop.stopping() => {}
    }
}

/// Sends every byte back, from the first on. The client's end is carried through behind its last byte.
async fn echo(mut stream: Behind, rest: &[u8], record: &Record) {
    stream.without_keepalive();
    let echoed = async {
        stream.write_all(rest).await?;
        stream.flush().await?;
        let mut chunk = vec![0; ECHO_CHUNK];
        loop {
            match stream.read(&mut chunk).await? {
                0 => return stream.shutdown().await,
                count => {
                    record.received(count);
                    stream.write_all(&chunk[..count]).await?;
                    stream.flush().await?;
                }
            }
        }
    };
    match tokio::time::timeout(far::LIFETIME, echoed).await {
        Ok(Ok(())) => record.ended(&End::Ended),
        Ok(Err(error)) => record.ended(&End::Failed(error.to_string())),
        Err(_) => record.ended(&End::Failed("its time was over".to_owned())),
    }
}
