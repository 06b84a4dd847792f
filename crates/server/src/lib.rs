//! The Trunkline connection server: clients come in by a door, meet in the hub, and the application talks to them over
//! HTTP.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use trunkline_server::{Config, Server};
//!
//! let server = Server::new(Config::default())?;
//! let listeners = server.bind().await?;
//! println!("listening on {}", listeners[0]);
//! let summary = server.run(listeners, std::future::pending()).await;
//! println!("{summary}");
//! # Ok(())
//! # }
//! ```
//!
//! # The way in
//!
//! `listener` accepts · `connection` does TLS, tells HTTP/1.1 from HTTP/2, and decides by each head: a `door`, or plain `http` · a
//! door hands whole messages to a `driver::Client`, which is all it knows of the hub. Everything behind that hangs off one
//! `node::Node`.
//!
//! # What this crate never does
//!
//! It reads no cookie, resolves no name, starts no other process, and needs none. Nothing that a remote sends makes it panic or
//! grow past a limit of the configuration.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use trunkline_net::deflate::DeflateConfig;
use trunkline_net::handshake::Extension;
use trunkline_net::http2::Http2Limits;
use trunkline_net::tls::ServerTls;
use trunkline_probe::far::Records;

mod address;
mod admission;
mod broker;
mod cells;
mod channel;
mod clock;
pub mod config;
mod connection;
mod counter;
mod door;
mod driver;
mod encoded;
mod few;
mod http;
mod hub;
mod limits;
mod listener;
mod metrics;
mod node;
mod outbox;
mod peer;
mod policy;
mod presence;
mod rate;
mod service;
mod session;
mod shutdown;
mod stream;
mod ticket;
mod ticket_store;
mod tls;

pub use config::{Config, Problems};
pub use listener::{Listener, Serves};
pub use shutdown::Summary;
pub use tls::Reloader;

use admission::Admission;
use clock::Clock;
use config::Secret;
use metrics::Metrics;
use node::Node;
use service::Services;
use shutdown::Stop;
use tls::Renewal;

/// A server that is ready to run.
pub struct Server {
    app: Arc<App>,
    api_key_is_generated: bool,
    renewal: Option<Renewal>,
}

/// What everything in the shell has in hand.
pub(crate) struct App {
    config: Config,
    /// The limits of a WebSocket, and of the first head of every connection.
    socket_limits: Arc<trunkline_net::Limits>,
    http2_limits: Http2Limits,
    /// What listeners with TLS show.
    tls: Option<ServerTls>,
    /// How messages are compressed, and the same as the handshake asks for it.
    deflate: Option<DeflateConfig>,
    extensions: Vec<Arc<dyn Extension>>,
    api_key: Secret,
    node: Arc<Node>,
    services: Services,
    metrics: Metrics,
    admission: Arc<Admission>,
    stop: Arc<Stop>,
    /// What became of the connections of the probe service.
    probes: Records,
}

impl Server {
    /// A server as configured. Without an API key, which only a server on loopback may be, it makes a random one. For TLS
    /// the program has to have installed a rustls `CryptoProvider`.
    ///
    /// # Errors
    /// What [`Config::check`] finds.
    pub fn new(config: Config) -> Result<Server, Problems> {
        let problems = config.check();
        if !problems.is_empty() {
            return Err(problems);
        }
        let api_key_is_generated = config.api_key.is_none();
        let api_key = config.api_key.clone().unwrap_or_else(random_key);
        let node = Node::new(config.node_settings(), Clock::system());
        let (tls, renewal) = match tls::prepare(&config.tls) {
            Ok(prepared) => prepared.map(|prepared| (prepared.tls, prepared.renewal)).unzip(),
            Err(error) => return Err(Problems::one(format!("tls: {error}"))),
        };
        let deflate = config.websocket.deflate.then(DeflateConfig::lean);
        let metrics = Metrics::new(node.clone(), tls.clone());
        let app = App {
            socket_limits: Arc::new(config.socket_limits()),
            http2_limits: config.http2_limits(),
            extensions: deflate
                .iter()
                .map(|deflate| Arc::new(deflate.clone()) as Arc<dyn Extension>)
                .collect(),
            deflate,
            api_key,
            stop: Stop::new(metrics.connections.clone()),
            metrics,
            tls,
            node,
            services: Services::new(&config),
            admission: Admission::new(&config.limits, &config.listen.trusted),
            probes: Records::default(),
            config,
        };
        Ok(Server { app: Arc::new(app), api_key_is_generated, renewal: renewal.flatten() })
    }

    /// The key that the HTTP API asks for.
    #[must_use]
    pub fn api_key(&self) -> &Secret {
        &self.app.api_key
    }

    /// Whether that key was made up just now, so that somebody has to be told.
    #[must_use]
    pub fn api_key_is_generated(&self) -> bool {
        self.api_key_is_generated
    }

    /// What reads the certificates again, for a SIGHUP; `None` where there are none.
    #[must_use]
    pub fn reloader(&self) -> Option<Reloader> {
        self.app.tls.clone().map(|tls| Reloader::new(tls, self.app.metrics.clone()))
    }

    /// The configuration it runs with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.app.config
    }

    /// Opens the configured listeners, the doors' first.
    ///
    /// # Errors
    /// The first that cannot be opened, named.
    pub async fn bind(&self) -> std::io::Result<Vec<Listener>> {
        Listener::bind(&self.app.config).await
    }

    /// Serves `listeners` until `shutdown` is done, then stops gracefully: see [`Summary`].
    ///
    /// # Cancel safety
    /// Dropped, it stops accepting; connections that are open are cut.
    pub async fn run(self, listeners: Vec<Listener>, shutdown: impl Future<Output = ()>) -> Summary {
        let reloader = self.reloader();
        let app = self.app;
        // Aborts what is still in it when it is dropped.
        let mut background = tokio::task::JoinSet::new();
        background.spawn(app.node.clone().maintain());
        if let Some(reloader) = reloader {
            let every = app.config.tls.reload;
            background.spawn(async move { match reloader.watch(every).await {} });
        }
        if let Some(renewal) = self.renewal {
            background.spawn(async { match renewal.await {} });
        }
        let _cut = shutdown::CutOnDrop(app.clone());
        let mut accepting = tokio::task::JoinSet::new();
        for listener in listeners {
            accepting.spawn(connection::accept_loop(app.clone(), listener));
        }
        shutdown.await;
        shutdown::begin(&app);
        while accepting.join_next().await.is_some() {}
        shutdown::finish(&app).await
    }
}

/// 256 random bits, as text.
fn random_key() -> Secret {
    let bytes: [u8; 32] = rand::random();
    Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("config", &self.app.config).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App(..)")
    }
}
