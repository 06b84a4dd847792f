//! From a URL and a credential to a client.

use std::fmt::Display;
use std::future::Future;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use trunkline_dialect::Secret;
use trunkline_dialect::command::ClientInfo;
use trunkline_net::Connector;
use trunkline_net::url::{UrlError, WsUrl};

use crate::credential::{Credentials, TicketSource, ticket_source};
use crate::dial::Dial;
use crate::error::Misuse;
use crate::{Client, Error, Limits, task};

/// How to connect: made by [`Client::builder`], or by [`Builder::at`].
#[derive(Clone)]
#[must_use = "nothing happens before connect()"]
pub struct Builder {
    /// What is wrong with it is told when connecting, so that building stays a chain.
    url: Result<WsUrl, UrlError>,
    ticket: Option<Secret>,
    source: Option<TicketSource>,
    headers: Vec<(String, String)>,
    software: Option<ClientInfo>,
    connector: Connector,
    limits: Limits,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self::of(WsUrl::parse(url))
    }

    /// A client of the hub at a URL that was parsed already: as browsers do it, perhaps, who take more than RFC 6455 does.
    pub fn at(url: WsUrl) -> Self {
        Self::of(Ok(url))
    }

    fn of(url: Result<WsUrl, UrlError>) -> Self {
        Self {
            url,
            ticket: None,
            source: None,
            headers: Vec::new(),
            software: None,
            connector: Connector::default(),
            limits: Limits::default(),
        }
    }

    /// A one-time ticket for the first connect. Later ones come back with the session; when the hub no longer takes
    /// that (it is good for a minute after the connection), only a [`ticket_source`](Self::ticket_source) can help.
    pub fn ticket(mut self, ticket: impl Into<String>) -> Self {
        self.ticket = Some(Secret::new(ticket));
        self
    }

    /// Where new tickets come from: called whenever one is needed, once the connection stands, so that a ticket which
    /// lives for seconds is fresh. The web service that mints tickets is asked here. An error is one failed attempt:
    /// the client backs off and tries again.
    ///
    /// ```
    /// # fn example() -> trunkline_client::Builder {
    /// # async fn ask_my_web_service() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// trunkline_client::Client::builder("ws://127.0.0.1:8101/connect").ticket_source(|| async {
    ///     ask_my_web_service().await
    /// })
    /// # }
    /// ```
    pub fn ticket_source<F, T, E>(mut self, source: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<String>,
        E: Display,
    {
        self.source = Some(ticket_source(source));
        self
    }

    /// A header of every opening handshake. `X-Auth-Token`, and `Authorization` with `Bearer`, are credentials: they go
    /// with the first handshake, and again only when the session is no longer taken. `Cookie` and any other
    /// `Authorization` stay with the URL's scheme, host and port, should the hub name another for the next connection;
    /// whatever else is a secret belongs into [`Connector::secret_header`], which does the same.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Name and version of the software, for whoever operates the hub. At most 128 bytes each.
    pub fn software(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.software = Some(ClientInfo { name: name.into(), version: version.into() });
        self
    }

    /// How to get to the hub: TLS of the application's own (feature `tls`), proxies (feature `proxy`), timeouts,
    /// compression. Its limits, and whether connections wait for each other, are set here whatever it says; the
    /// dialect's subprotocol is added to its own.
    ///
    /// Without it, `wss:` trusts the system's roots and no proxy is used, whatever the environment says.
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = connector;
        self
    }

    /// Other limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Connects for the first time; from then on the client stays connected by itself. It runs as a task of the
    /// current tokio runtime until it is closed or its last clone is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] if the first attempt fails, for whatever reason: it is not repeated, because a wrong URL looks
    /// the same as a hub that is down. [`Error::Misuse`] for a URL or headers that cannot be.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the attempt ends. A ticket may be spent then.
    pub async fn connect(self) -> Result<Client, Error> {
        let Self { url, ticket, source, headers, software, connector, limits } = self;
        let dial = Dial::new(url.map_err(Misuse::Url)?, headers, connector, &limits)?;
        let credentials = Credentials::new(ticket, source, dial.in_handshake());
        let (requests, requests_of_users) = mpsc::channel(limits.requests.max(1));
        let (stop, stopped) = watch::channel(false);
        let (events, _) = broadcast::channel(limits.connection_events.max(1));
        let (state, ended) = watch::channel(None);
        let (first, connected) = oneshot::channel();
        let outlets = task::Outlets { first: Some(first), events: events.clone(), ended: state };
        let task =
            task::Task::new(dial, credentials, software, limits.clone(), requests_of_users, stopped, outlets);
        tokio::spawn(task.run());
        // Made first: should this future be dropped here, the client's end stops the task.
        let client = Client::new(requests, stop, events, ended, limits);
        match connected.await {
            Ok(result) => result.map(|()| client),
            Err(_) => Err(client.closed()),
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers and the URL may hold credentials.
        f.debug_struct("Builder").field("limits", &self.limits).finish_non_exhaustive()
    }
}
