//! What can be configured: plain structs, every one with its defaults.
//!
//! A configuration is put together from up to four layers, each of which wins over the one before: the defaults
//! here, a `trunkline.toml`, the environment (`TRUNKLINE_LISTEN_ADDRESS` for `listen.address`), and overrides,
//! which is how command line flags arrive. All layers pass through one table, [`SETTINGS`], which is
//! also what docs/operating.md is compared with by a test.
//!
//! Nothing here stops at the first mistake: [`Config::load`] and [`Config::check`] collect every [`Problem`], each with
//! its file and line, variable or flag.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use trunkline_net::http2::Http2Limits;

use crate::node::NodeSettings;
use crate::outbox::Bounds;
use crate::policy::{Namespace, Policy};
use crate::rate::Rate;

mod check;
mod file;
mod given;
mod layers;
mod listen;
mod listener;
mod namespace;
mod problem;
mod readers;
mod secret;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use listen::Entrance;
pub use listen::{Api, ApiListen, Doors, Forged, Listen, NamedListener, ProxyProtocol, Speaks, Trusted};
pub use problem::{Problem, Problems, Source};
pub use secret::{Secret, SessionKey};
pub(crate) use service::{Auth, BUILT_IN, ServiceConfig, UpstreamAddress};
pub use settings::{SETTINGS, Setting};
pub use tls::{Acme, Certificates, ClientCertificates, Tls};

/// Everything `trunkline serve` can be told.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where to listen, and what is served there.
    pub listen: Listen,
    /// More listeners for clients, by name. Said in the file alone.
    pub listeners: BTreeMap<String, NamedListener>,
    /// Certificates, for the listeners on which this server does TLS itself.
    pub tls: Certificates,
    /// Dev mode: demo page and dev tickets. `None` means: on exactly when every listener is loopback.
    pub dev: Option<bool>,
    /// Which pages may open a connection.
    pub origins: Origins,
    /// The key that the HTTP API asks for. Where every listener is loopback a random one is made at the start
    /// if there is none; otherwise it is required.
    pub api_key: Option<Secret>,
    /// Sessions and the tokens they come back with.
    pub session: Session,
    /// The websocket door.
    pub websocket: WebSocket,
    /// The lines door.
    pub lines: Lines,
    /// Every limit.
    pub limits: Limits,
    /// How a dead connection is noticed.
    pub heartbeat: Heartbeat,
    /// Presence.
    pub presence: Presence,
    /// Tickets.
    pub tickets: Tickets,
    /// The namespaces that channels may be in: the part of the name before the first colon. Said in the file alone.
    pub(crate) namespaces: Namespaces,
    /// What streams can be opened to, besides what is built in. Said in the file alone.
    pub(crate) services: BTreeMap<String, ServiceConfig>,
    /// How the server stops.
    pub stop: Stop,
    /// This node's name, told to clients in `connected`. `None`: a random one.
    pub node_name: Option<String>,
    /// Where each setting came from, for the messages of `check`.
    sources: BTreeMap<String, Source>,
}

/// Which pages may open a connection. A request without `Origin` does not come from a page and is judged by its
/// ticket alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// Those whose origin has the host and port of the request's `Host`.
    #[default]
    Same,
    /// Those listed, as `scheme://host[:port]`, besides those of [`Origins::Same`].
    Listed(Vec<String>),
    /// All of them: any page on the web may then use what its visitor's browser can reach.
    Any,
}

/// Sessions and the tokens they come back with.
#[derive(Debug, Clone)]
pub struct Session {
    /// Key that seals session tokens. `None`: a random one, so that sessions end with the process.
    pub key: Option<SessionKey>,
    /// How long a session outlives its last link.
    pub linger: Duration,
}

/// The websocket door.
#[derive(Debug, Clone)]
pub struct WebSocket {
    /// Whether a client's offer of permessage-deflate (RFC 7692) is taken.
    pub deflate: bool,
}

/// The lines door.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The token of `Upgrade` that opens it, besides `hub-lines`.
    pub upgrade: String,
}

/// Every limit. What each is for stands beside its line in [`SETTINGS`].
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "one line each in SETTINGS, where name, default and meaning stand together")]
pub struct Limits {
    pub message: usize,
    pub head: usize,
    pub head_headers: usize,
    pub head_timeout: Duration,
    pub request: usize,
    pub connections: usize,
    pub connections_per_address: u32,
    pub handshakes_per_address: u32,
    pub streams: u32,
    pub command_rate: u32,
    pub command_burst: u32,
    pub commands_in_flight: usize,
    pub subscriptions: usize,
    pub publication: usize,
    pub history: usize,
    pub outbox: usize,
    pub connect_timeout: Duration,
    pub sessions: usize,
    pub channels: usize,
}

/// How a dead connection is noticed.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// How often an idle connection is pinged.
    pub interval: Duration,
    /// How long a ping may stay unanswered.
    pub timeout: Duration,
}

/// Presence.
#[derive(Debug, Clone)]
pub struct Presence {
    /// How long a member whose link was lost is still shown.
    pub grace: Duration,
}

/// Tickets.
#[derive(Debug, Clone)]
pub struct Tickets {
    /// How long a ticket is good for that does not say so itself.
    pub ttl: Duration,
    /// How many may wait to be redeemed.
    pub limit: usize,
}

/// How the server stops.
#[derive(Debug, Clone)]
pub struct Stop {
    /// How long peers and requests are given before what is left is cut.
    pub timeout: Duration,
}

/// The configured namespaces by name. Its default is the one called `room`.
#[derive(Debug, Clone)]
pub(crate) struct Namespaces(pub(crate) BTreeMap<String, Namespace>);

/// A setting from the layer above environment and file, usually a command line flag.
#[derive(Debug, Clone)]
pub struct Override {
    /// Path of the setting, as in the file: `listen.address`.
    pub setting: String,
    /// Its value as text; a list is separated by commas.
    pub value: String,
    /// What to call the place it came from in a message: `--listen`.
    pub from: String,
}

impl Config {
    /// Puts a configuration together: defaults, then `file`, then `env`, then `overrides`.
    ///
    /// In `env` only names that begin with `TRUNKLINE_` are looked at. One that is no setting is refused if it is a
    /// letter or two away from one, and otherwise ignored: orchestrators set names of their own with any prefix
    /// (`TRUNKLINE_PORT` for a service that is called trunkline).
    ///
    /// # Errors
    /// Every problem of every layer at once, those of [`Config::check`] included.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: impl IntoIterator<Item = Override>,
    ) -> Result<Config, Problems> {
        let mut config = Config::default();
        let mut problems = Problems::default();
        if let Some(path) = file {
            match std::fs::read_to_string(path) {
                Ok(text) => file::apply(&mut config, path, &text, &mut problems),
                Err(error) => problems.push(None, format!("{}: cannot be read: {error}", path.display())),
            }
        }
        for (name, value) in env {
            layers::apply_variable(&mut config, &name, &value, &mut problems);
        }
        for given in overrides {
            layers::apply_override(&mut config, &given, &mut problems);
        }
        problems.extend(config.check());
        problems.into_result(config)
    }

    /// Reads a configuration from the text of a file alone; `name` stands for the file in messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str) -> Result<Config, Problems> {
        let mut config = Config::default();
        let mut problems = Problems::default();
        file::apply(&mut config, Path::new(name), text, &mut problems);
        problems.extend(config.check());
        problems.into_result(config)
    }

    /// What contradicts itself, or must not be started: every rule that is broken, each once.
    #[must_use]
    pub fn check(&self) -> Problems {
        check::check(self)
    }

    /// Whether dev mode is on: said, or else exactly when every listener is loopback.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.dev.unwrap_or_else(|| self.is_local())
    }

    /// The limits of a WebSocket, and of the first head of every connection.
    pub(crate) fn socket_limits(&self) -> trunkline_net::Limits {
        trunkline_net::Limits {
            message: self.limits.message,
            head_bytes: self.limits.head,
            head_headers: self.limits.head_headers,
            handshake_timeout: Some(self.limits.head_timeout),
            ping_interval: Some(self.heartbeat.interval),
            pong_timeout: Some(self.heartbeat.timeout),
            ..trunkline_net::Limits::default()
        }
    }

    /// The limits of an HTTP/2 connection.
    pub(crate) fn http2_limits(&self) -> Http2Limits {
        Http2Limits {
            streams: self.limits.streams,
            header_list: u32::try_from(self.limits.head).unwrap_or(u32::MAX),
            handshake_timeout: Some(self.limits.head_timeout),
            ping_interval: Some(self.heartbeat.interval),
            ping_timeout: self.heartbeat.timeout,
            ..Http2Limits::default()
        }
    }

    /// What the hub is told.
    pub(crate) fn node_settings(&self) -> NodeSettings {
        let said = &self.limits;
        let limits = crate::limits::Limits {
            commands: Rate { per_second: said.command_rate, burst: said.command_burst },
            commands_in_flight: said.commands_in_flight,
            subscriptions: said.subscriptions,
            message: said.message,
            publication: said.publication,
            history: said.history,
            outbox: Bounds { high: said.outbox, low: said.outbox / 4 },
            connect_timeout: said.connect_timeout,
            session_linger: self.session.linger,
            presence_grace: self.presence.grace,
            heartbeat: self.heartbeat.interval,
            sessions: said.sessions,
            channels: said.channels,
            tickets: self.tickets.limit,
            ticket_ttl: self.tickets.ttl,
            // A reply is a part of what may wait to be sent.
            reply: (said.outbox / 4).min(crate::limits::Limits::default().reply),
            ..crate::limits::Limits::default()
        };
        let defaults = NodeSettings::default();
        NodeSettings {
            name: self.node_name.clone().unwrap_or(defaults.name),
            limits,
            policy: Policy::new(self.namespaces.0.clone()),
            session_key: self.session.key.as_ref().map(|key| key.0),
        }
    }

    /// Remembers where a setting came from.
    fn note(&mut self, setting: &str, source: &Source) {
        self.sources.insert(setting.to_owned(), source.clone());
    }

    fn source(&self, setting: &str) -> Option<Source> {
        self.sources.get(setting).cloned()
    }
}

/// Whether only this machine can connect to `address`.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

impl Default for Session {
    fn default() -> Self {
        Session { key: None, linger: Duration::from_secs(60) }
    }
}

impl Default for WebSocket {
    fn default() -> Self {
        WebSocket { deflate: true }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Lines { upgrade: "firepresence".to_owned() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message: 1 << 20,
            head: 16 << 10,
            head_headers: 100,
            head_timeout: Duration::from_secs(10),
            request: 1 << 20,
            connections: 100_000,
            connections_per_address: 200,
            handshakes_per_address: 50,
            streams: 100,
            command_rate: 100,
            command_burst: 500,
            commands_in_flight: 64,
            subscriptions: 1_000,
            publication: 64 << 10,
            history: 1_000,
            outbox: 1 << 20,
            connect_timeout: Duration::from_secs(10),
            sessions: 1_000_000,
            channels: 1_000_000,
        }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Heartbeat { interval: Duration::from_secs(30), timeout: Duration::from_secs(10) }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Presence { grace: Duration::from_secs(5) }
    }
}

impl Default for Tickets {
    fn default() -> Self {
        Tickets { ttl: Duration::from_secs(10), limit: 1_000_000 }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Stop { timeout: Duration::from_secs(10) }
    }
}

impl Default for Namespaces {
    fn default() -> Self {
        Namespaces(BTreeMap::from([("room".to_owned(), Namespace::default())]))
    }
}
