//! The sse door: what the hub says as server-sent events, what the client says by POST. For those whose infrastructure lets nothing
//! else through.
//!
//! An event stream is a client of the hub like any other; its URL says in its place what it subscribes to. The ids of the events
//! are what it comes back with: see [`place`].

mod bare;
mod commands;
mod place;
mod stream;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response as HttpResponse};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body_util::{BodyExt, Collected};
use trunkline_dialect::command::Credential;
use trunkline_dialect::{ChannelName, Position};
use trunkline_net::http1::refuse;

use super::{broken_rule, cors, credential};
use crate::App;
use crate::connection::{Remote, not_admitted, refusal};
use crate::http::{Problem, TRUNKLINE, VERSION};
use crate::stream::Stream;
use place::Place;
use stream::Events;

/// The most channels of one event stream: each has its position in every id, and an id comes back in a request head.
const CHANNELS: usize = 32;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where events are.
const EVENTS: &str = "/events";

/// `GET /events?channels=a,b`: the stream of events.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Arc<Remote>>,
    request: Request,
) -> HttpResponse {
    match respond(&app, &remote, &request.map(drop)).await {
        Ok((head, events)) => HttpResponse::from_parts(head, Body::new(events)),
        Err(refused) => *refused,
    }
}

/// Whether it is a request for a stream that can have its connection for itself.
pub(crate) fn is_stream<B>(request: &http::Request<B>) -> bool {
    let plain = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, UPGRADE];
    request.method() == Method::GET
        && request.uri().path() == EVENTS
        && request.version() == Version::HTTP_11
        && !plain.iter().any(|name| request.headers().contains_key(name))
}

/// Such a request that came first on its connection.
pub(crate) async fn over_stream(
    app: &Arc<App>,
    remote: &Arc<Remote>,
    mut stream: Stream,
    request: http::Request<()>,
) {
    match respond(app, remote, &request).await {
        Ok((head, events)) => bare::start(app, stream, head, events),
        Err(refused) => {
            let (mut head, body) = refused.into_parts();
            head.headers.insert(TRUNKLINE, VERSION);
            head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            app.metrics.http_answered(head.status);
            // It is a sentence or two, and lies in memory.
            let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
            // The client may be gone: then nobody misses the answer. Nothing after this request is read as another.
            let _ = refuse(&mut stream, &http::Response::from_parts(head, body)).await;
        }
    }
}

/// The head of the answer and its events, or the answer that says why not.
async fn respond(
    app: &Arc<App>,
    remote: &Arc<Remote>,
    request: &http::Request<()>,
) -> Result<(Parts, Events), Refusal> {
    let origin = begin(app, remote, request)?;
    match open(app, remote.clone(), request).await {
        Ok(events) => Ok((head(origin), events)),
        Err(mut refused) => {
            cors::sign(refused.headers_mut(), origin);
            Err(refused)
        }
    }
}

/// `POST /commands`: one command, and its reply.
pub(crate) async fn commands(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Arc<Remote>>,
    request: Request,
) -> HttpResponse {
    let origin = match begin(&app, &remote, &request) {
        Ok(origin) => origin,
        Err(refused) => return *refused,
    };
    let mut response = commands::answer(&app, &remote, request).await;
    cors::sign(response.headers_mut(), origin);
    response
}

/// `OPTIONS` of both: a browser asks what a page may do.
pub(crate) async fn preflight(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Arc<Remote>>,
    request: Request,
) -> HttpResponse {
    cors::preflight(&app, &remote, &request, "GET, POST, OPTIONS").map(Body::from)
}

type Refusal = Box<HttpResponse>;

/// What is asked of every request of this door; answers the origin of the page that asks.
fn begin<B>(app: &App, remote: &Remote, request: &http::Request<B>) -> Result<Option<HeaderValue>, Refusal> {
    let origin = cors::judge(app, remote, request);
    let origin = origin.map_err(|rejected| broken_rule(&rejected).response.map(Body::from))?;
    if app.stop.is_stopping() {
        return Err(Box::new(refusal(StatusCode::SERVICE_UNAVAILABLE, "this node stops").map(Body::from)));
    }
    Ok(origin)
}

async fn open(app: &Arc<App>, remote: Arc<Remote>, request: &http::Request<()>) -> Result<Events, Refusal> {
    if request.method() == Method::HEAD {
        // It would spend the ticket of the GET that comes next.
        return Err(Box::new(Problem::method_not_allowed(request.method()).into_response()));
    }
    let asked = Asked::read(request).map_err(|problem| Box::new(problem.into_response()))?;
    if asked.last == Last::End {
        return Err(Box::new(StatusCode::NO_CONTENT.into_response()));
    }
    let refused = |why| Box::new(not_admitted(why).map(Body::from));
    remote.handshake().map_err(refused)?;
    // In HTTP/2 it is one of many in its connection, and counts as one of its own.
    let remote = match request.version() {
        Version::HTTP_2 => remote.another(app, remote.known()).map_err(refused)?,
        _ => remote,
    };
    let mut why = None;
    for credential in asked.credentials(request) {
        match Events::open(app, &remote, credential).await {
            Ok(opening) => return Ok(Events::begin(app, opening, asked.place(), asked.presence)),
            Err(error) => why = why.or(Some(error)),
        }
    }
    let problem = why.map_or_else(Problem::unauthenticated, Problem::of_client);
    Err(Box::new(problem.into_response()))
}

fn head(origin: Option<HeaderValue>) -> Parts {
    let (mut head, ()) = http::Response::new(()).into_parts();
    let headers = &mut head.headers;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // What is kept or compressed on the way comes late, if it comes at all.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    cors::sign(headers, origin);
    head
}

/// What the URL and the head ask for.
#[derive(Debug)]
struct Asked {
    channels: Vec<ChannelName>,
    presence: bool,
    last: Last,
}

/// What the client has got before.
#[derive(Debug, PartialEq, Eq)]
enum Last {
    Nothing,
    /// By the header, in which a browser says it of itself: with the session; by the query, in which the page has to: without.
    Event(Option<Credential>, Vec<Option<Position>>),
    /// Behind which there is nothing.
    End,
}

impl Asked {
    fn read<B>(request: &http::Request<B>) -> Result<Asked, Problem> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let Query(pairs) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
        let (mut channels, mut presence, mut said) = (Vec::new(), false, None);
        for (name, value) in &pairs {
            match name.as_str() {
                "channels" => channels.extend(value.split(',')),
                // For a name that has a comma in it.
                "channel" => channels.push(value.as_str()),
                "presence" => presence = value == "true",
                "last_event_id" => said = place::parse(value),
                _ => {}
            }
        }
        let mut named: Vec<ChannelName> = Vec::new();
        for name in channels {
            let name = ChannelName::new(name).map_err(|bad| Problem::bad_request(bad.to_string()))?;
            if !named.contains(&name) {
                named.push(name);
            }
        }
        match named.len() {
            0 => return Err(Problem::bad_request("channels names what to tell of: ?channels=room:1,room:2")),
            got if got > CHANNELS => {
                let rule = format!("an event stream tells of at most {CHANNELS} channels, got {got}");
                return Err(Problem::bad_request(rule));
            }
            _ => {}
        }
        let last = match last_event_id(request.headers()) {
            Some(place::END) => Last::End,
            Some(id) => place::parse(id)
                .map_or(Last::Nothing, |(token, known)| Last::Event(Some(Credential::Session(token)), known)),
            None => said.map_or(Last::Nothing, |(_, known)| Last::Event(None, known)),
        };
        Ok(Asked { channels: named, presence, last })
    }

    /// What to try, in this order: the session first, for the ticket in the URL is spent when a browser comes back by itself.
    fn credentials<B>(&self, request: &http::Request<B>) -> Vec<Credential> {
        let session = match &self.last {
            Last::Event(session, _) => session.clone(),
            Last::Nothing | Last::End => None,
        };
        let other = credential(request.uri(), request.headers());
        let all: Vec<Credential> = session.into_iter().chain(other).collect();
        if all.is_empty() { vec![Credential::Anonymous] } else { all }
    }

    fn place(&self) -> Place {
        let known = match &self.last {
            Last::Event(_, known) => known.clone(),
            Last::Nothing | Last::End => Vec::new(),
        };
        Place::new(self.channels.clone(), known)
    }
}

/// `Last-Event-ID`, if there is one and it has anything in it.
fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(LAST_EVENT_ID)?.to_str().ok().filter(|id| !id.is_empty())
}
