//! The HTTP API for backends: what a web service asks of the hub.
//!
//! Everything here is authorised by the API key alone: it may publish where no client may, and see what clients do not.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use trunkline_dialect::{
    ChannelName, Code, Disconnect, Epoch, ErrorBody, History, Json as Data, Position, Presence, UserId,
};

use super::Problem;
use super::body::{Body, Params};
use crate::App;
use crate::outbox::Ending;
use crate::policy::Rights;
use crate::session::SessionId;
use crate::ticket::{AddressPolicy, TicketRequest};

/// Channels that one `broadcast` may name: each costs as much as a `publish`.
const BROADCAST_CHANNELS: usize = 1_000;

/// Entries in one answer of `channels` and `sessions`. Who has more narrows the question by prefix or user.
const LIST_LIMIT: usize = 10_000;

/// Publications in an answer of `history` that does not say how many.
const HISTORY_DEFAULT: usize = 100;

type Answer = Result<Response, Problem>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    channel: ChannelName,
    data: Data,
    exclude_session: Option<String>,
}

/// `POST /api/v1/publish`
pub(super) async fn publish(State(app): State<Arc<App>>, Body(wanted): Body<Publish>) -> Answer {
    let exclude = wanted.exclude_session.as_deref().map(session_id).transpose()?;
    let position = app.node.publish(&wanted.channel, wanted.data, exclude).await?;
    ok(&position)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Broadcast {
    channels: Vec<ChannelName>,
    data: Data,
}

/// What came of one channel of a broadcast.
#[derive(Serialize)]
struct Broadcasted<'a> {
    channel: &'a ChannelName,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Published(Position),
    Refused { error: ErrorBody },
}

#[derive(Serialize)]
struct Broadcasts<'a> {
    results: Vec<Broadcasted<'a>>,
}

/// `POST /api/v1/broadcast`: one channel's refusal does not keep the others from being published to.
pub(super) async fn broadcast(State(app): State<Arc<App>>, Body(wanted): Body<Broadcast>) -> Answer {
    if wanted.channels.len() > BROADCAST_CHANNELS {
        let detail = format!(
            "channels: {} of them, and at most {BROADCAST_CHANNELS} are taken",
            wanted.channels.len()
        );
        return Err(Problem::bad_request(detail));
    }
    let mut results = Vec::with_capacity(wanted.channels.len());
    for channel in &wanted.channels {
        let outcome = match app.node.publish(channel, wanted.data.clone(), None).await {
            Ok(position) => Outcome::Published(position),
            Err(error) => Outcome::Refused { error },
        };
        results.push(Broadcasted { channel, outcome });
    }
    ok(&Broadcasts { results })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfChannel {
    channel: ChannelName,
}

/// `GET /api/v1/presence`
pub(super) async fn presence(State(app): State<Arc<App>>, Params(of): Params<OfChannel>) -> Answer {
    let members = app.node.presence(&of.channel).await?;
    let count = u64::try_from(members.len()).unwrap_or(u64::MAX);
    ok(&Presence { members, count })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryOf {
    channel: ChannelName,
    limit: Option<usize>,
    since_epoch: Option<Epoch>,
    since_offset: Option<u64>,
    #[serde(default)]
    reverse: bool,
}

/// `GET /api/v1/history`
pub(super) async fn history(State(app): State<Arc<App>>, Params(of): Params<HistoryOf>) -> Answer {
    let since = match (of.since_epoch, of.since_offset) {
        (Some(epoch), Some(offset)) => Some(Position::new(epoch, offset)),
        (None, None) => None,
        _ => {
            return Err(Problem::bad_request(
                "since_epoch and since_offset belong together: a position is both",
            ));
        }
    };
    let page = app.node.history(&of.channel, since, of.limit.unwrap_or(HISTORY_DEFAULT), of.reverse).await?;
    let publications = page.publications.iter().map(|publication| publication.body.clone()).collect();
    ok(&History { publications, epoch: page.top.epoch, offset: page.top.offset })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WithPrefix {
    #[serde(default)]
    prefix: String,
}

#[derive(Serialize)]
struct Channels<T> {
    channels: Vec<T>,
}

/// `GET /api/v1/channels`
pub(super) async fn channels(State(app): State<Arc<App>>, Params(with): Params<WithPrefix>) -> Answer {
    ok(&Channels { channels: app.node.channels(&with.prefix, LIST_LIMIT).await? })
}

/// A ticket as a web service asks for it. Strict: a misspelt `channels`, were it ignored, would mint a ticket that may do
/// everything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mint {
    user: UserId,
    info: Option<Data>,
    ip: Option<IpAddr>,
    policy: Option<AddressPolicy>,
    ttl_s: Option<u32>,
    session_ttl_s: Option<u32>,
    channels: Option<Rights>,
    meta: Option<Data>,
}

/// `POST /api/v1/tickets`
pub(super) async fn tickets(State(app): State<Arc<App>>, Body(wanted): Body<Mint>) -> Answer {
    let Mint { user, info, ip, policy, ttl_s, session_ttl_s, channels, meta } = wanted;
    mint(&app, TicketRequest { user, info, ip, policy, ttl_s, session_ttl_s, channels, meta }).await
}

/// Mints a ticket and answers with it.
pub(super) async fn mint(app: &App, wanted: TicketRequest) -> Answer {
    ok(&app.node.mint(wanted).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfUser {
    user: Option<UserId>,
}

#[derive(Serialize)]
struct Sessions<T> {
    sessions: Vec<T>,
}

/// `GET /api/v1/sessions`
pub(super) async fn sessions(State(app): State<Arc<App>>, Params(of): Params<OfUser>) -> Answer {
    ok(&Sessions { sessions: app.node.sessions(of.user.as_ref().map(UserId::as_str), LIST_LIMIT) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisconnectWhom {
    session: Option<String>,
    user: Option<UserId>,
    code: Option<String>,
    message: Option<String>,
    reconnect: Option<bool>,
}

#[derive(Serialize)]
struct Disconnected {
    disconnected: usize,
}

/// `POST /api/v1/disconnect`: the sessions meant lose their link and may not come back by their token.
pub(super) async fn disconnect(State(app): State<Arc<App>>, Body(whom): Body<DisconnectWhom>) -> Answer {
    if whom.session.is_none() && whom.user.is_none() {
        return Err(Problem::bad_request("who is to be disconnected: say session, user or both"));
    }
    let session = whom.session.as_deref().map(session_id).transpose()?;
    let code = match whom.code.as_deref() {
        None => Code::Forbidden,
        Some(name) => Code::from_name(name).ok_or_else(|| {
            let names: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
            Problem::bad_request(format!("code: {name:?} is none of {}", names.join(", ")))
        })?,
    };
    let message = whom.message.unwrap_or_else(|| "disconnected by the application".to_owned());
    let advice = Disconnect::new(code, message);
    let disconnect = Disconnect { reconnect: whom.reconnect.unwrap_or(advice.reconnect), ..advice };
    let ending = Ending { disconnect, close_code: code.close_code(), unreadable: false };
    ok(&Disconnected {
        disconnected: app.node.disconnect(session, whom.user.as_ref().map(UserId::as_str), &ending),
    })
}

#[derive(Serialize)]
struct NodeView<'a> {
    node: &'a str,
    version: &'static str,
    state: &'static str,
    links: usize,
    sessions: usize,
    channels: usize,
}

/// `GET /api/v1/node`
pub(super) async fn node(State(app): State<Arc<App>>) -> Answer {
    let figures = app.node.figures();
    ok(&NodeView {
        node: &app.node.rules.node,
        version: env!("CARGO_PKG_VERSION"),
        state: if app.stop.is_stopping() { "stopping" } else { "running" },
        links: figures.links,
        sessions: figures.sessions,
        channels: figures.channels,
    })
}

fn session_id(text: &str) -> Result<SessionId, Problem> {
    text.parse()
        .map_err(|_| Problem::bad_request(format!("{text:?} is not a session: see GET /api/v1/sessions")))
}

/// What a backend was told is true now and not later.
fn ok(body: &impl Serialize) -> Answer {
    Ok(([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response())
}
