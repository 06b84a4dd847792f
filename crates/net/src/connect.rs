//! The client's side: from a URL to a connection.

mod redirect;
pub(crate) mod refusal;

#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "proxy")]
mod proxy;
#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use rand::RngExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use trunkline_websocket::deflate::DeflateConfig;
use trunkline_websocket::handshake::http1::{self, HeadLimits, ResponseReader};
use trunkline_websocket::handshake::{self, Attempt, ConnectOptions, Established, Extension};
use trunkline_websocket::url::WsUrl;
use trunkline_websocket::{Leniency, Limits, Role, Setup};

#[cfg(feature = "http2")]
pub use self::http2::Http2;
use self::redirect::CREDENTIALS;
pub(crate) use self::redirect::Hop;
pub use self::redirect::{RedirectError, RedirectProblem};
use crate::dial::{
    DialCause, Dialled, Dialler, Dialling, Phase, Protocols, Reached, Resolve, Timeouts, Watch, Way,
    host_and_port,
};
use crate::error::{Error, HandshakeError};
use crate::transport::http1::read_head;
use crate::websocket::WebSocket;

/// Connects to a `ws:` or `wss:` URL with the default [`Limits`].
///
/// # Errors
///
/// As [`Connector::connect`].
pub async fn connect(url: &str) -> Result<WebSocket<Dialled>, Error> {
    Connector::default().connect(url).await
}

/// How to connect: subprotocols, headers, limits, and the way to the host.
///
/// ```no_run
/// # async fn example() -> Result<(), trunkline_net::Error> {
/// let mut socket = trunkline_net::Connector::default()
///     .subprotocol("chat.1")
///     .header("authorization", "Bearer abc")
///     .connect("ws://127.0.0.1:9001/chat")
///     .await?;
/// socket.send("hello").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Connector {
    pub(crate) limits: Arc<Limits>,
    pub(crate) options: ConnectOptions,
    dialler: Dialler,
    pub(crate) redirects: u8,
    /// `None` never uses HTTP/2.
    multiplexing: Option<Arc<dyn Multiplexing>>,
    deflate: Option<Arc<DeflateConfig>>,
    /// Why it cannot connect, whatever the URL.
    unfit: Option<String>,
}

/// WebSockets in HTTP/2 connections, where they are wanted.
trait Multiplexing: fmt::Debug + Send + Sync {
    /// What to offer to the host.
    fn protocols(&self, url: &WsUrl) -> Protocols;

    /// Whether HTTP/2 is spoken on this stream.
    fn is_spoken_on(&self, stream: &Dialled) -> bool;

    /// Asks for a WebSocket; `None` if the server has HTTP/2 and no WebSockets in it, and HTTP/1.1 may do.
    fn open<'a>(&'a self, stream: Dialled, hop: &'a Hop, way: &'a Way) -> Opening<'a>;
}

type Opening<'a> = Pin<Box<dyn Future<Output = Result<Option<(Dialled, Established)>, Error>> + Send + 'a>>;

impl Connector {
    /// With other limits.
    #[must_use]
    pub fn limits(self, limits: impl Into<Arc<Limits>>) -> Self {
        Self { limits: limits.into(), ..self }
    }

    /// With one more subprotocol, behind those that are preferred to it.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.options.subprotocols.push(name.into());
        self
    }

    /// Whether a server that chooses none of the subprotocols is refused, as browsers do. Off: RFC 6455 allows it.
    #[must_use]
    pub fn require_subprotocol(mut self, require: bool) -> Self {
        self.options.require_subprotocol = require;
        self
    }

    /// With one more header. Names that the handshake itself sets are refused when connecting.
    ///
    /// `Authorization`, `Cookie` and `Proxy-Authorization` are taken for secrets, see
    /// [`secret_header`](Self::secret_header). `Proxy-Authorization` goes to the host like any other: a proxy's user
    /// name and password belong into the proxy's URL.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with_header(name, value, false)
    }

    /// With one more header whose value is a secret: a redirect to another origin leaves it out, and `Debug` does not
    /// show it.
    #[must_use]
    pub fn secret_header(self, name: &str, value: &str) -> Self {
        self.with_header(name, value, true)
    }

    /// Without what must not go to just anybody: every [`secret_header`](Self::secret_header) and what is taken for one
    /// there, and the user name of a URL. For a URL that somebody else has named.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        redirect::strip(&mut self.options);
        self
    }

    /// With an `Origin`, as a page has one.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.options.origin = Some(origin.into());
        self
    }

    /// Whether the name and password in a URL are sent as Basic authorization (RFC 7617). Off: they are stripped.
    #[must_use]
    pub fn authorization_from_url(mut self, send: bool) -> Self {
        self.options.authorization_from_url = send;
        self
    }

    /// Offers to compress messages (permessage-deflate, RFC 7692). Off unless told; the server may decline.
    ///
    /// A configuration that [`DeflateConfig::check`] refuses is told when connecting.
    #[must_use]
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        if let Err(bad) = config.check() {
            self.unfit = Some(bad.to_string());
        }
        self.deflate = Some(Arc::new(config));
        self
    }

    /// Tolerates what a server gets wrong, by name. Nothing unless told.
    #[must_use]
    pub fn leniency(mut self, leniency: Leniency) -> Self {
        self.options.leniency = leniency;
        self
    }

    /// Whether connections to the same address wait for each other: "there MUST be no more than one connection in a
    /// CONNECTING state" per host (RFC 6455 section 4.1). Off here; `trunkline-client` turns it on.
    ///
    /// Each address of a host has its own turn, taken before its first packet and held to the end of the opening
    /// handshake. Behind a proxy it is one turn per name and port.
    #[must_use]
    pub fn one_at_a_time(mut self, one: bool) -> Self {
        self.dialler.one_at_a_time = one;
        self
    }

    /// How many redirects in a row are followed: 301, 302, 303, 307 and 308, with a relative or an absolute `Location`
    /// (`http:` as `ws:`). 0 unless told: the redirect is then the answer, an [`Error::Handshake`].
    ///
    /// What is a secret (see [`secret_header`](Self::secret_header)), and the URL's user name, go along to the same
    /// scheme, host and port, and nowhere else. A redirect from `wss:` to `ws:` is never followed, nor are a user name
    /// and password in `Location` used. TLS with a client certificate shows it to whoever asks for it, wherever that is.
    #[must_use]
    pub fn redirects(self, limit: u8) -> Self {
        Self { redirects: limit, ..self }
    }

    /// With other times for the phases of connecting.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.dialler.timeouts = timeouts;
        self
    }

    /// With another source of addresses than the system's resolver.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.dialler.resolver = Arc::new(resolver);
        self
    }

    /// Dials the host of `url` and asks for a WebSocket.
    ///
    /// A name's addresses are tried by Happy Eyeballs (RFC 8305). `ws:` to another machine is warned of once per host and
    /// process, through `tracing`. Each phase has its time, and all together have
    /// [`Timeouts::whole`]; the opening handshake has [`Limits::handshake_timeout`].
    ///
    /// # Errors
    ///
    /// [`Error::Url`], [`Error::Request`]; [`Error::Dial`] names the phase that failed or took too long;
    /// [`Error::Handshake`] for an answer that is no WebSocket's: it has the status, the headers and the first 4 KiB of
    /// the body; [`Error::Redirect`] for one that leads nowhere.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the attempt is abandoned and its socket closed.
    pub async fn connect(&self, url: &str) -> Result<WebSocket<Dialled>, Error> {
        self.connect_to(WsUrl::parse(url)?).await
    }

    /// As [`connect`](Self::connect), to a URL that was parsed already: by [`WsUrl::parse_whatwg`], perhaps, which takes
    /// more than RFC 6455 does.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_to(&self, url: WsUrl) -> Result<WebSocket<Dialled>, Error> {
        let hop = self.first_hop_to(url)?.with_redirects(self.redirects);
        // What cannot be asked is told before anything is dialled.
        self.attempt(&hop)?;
        self.connect_within(hop, &self.watch()).await
    }

    /// As [`connect_to`](Self::connect_to), in what is left of somebody else's time.
    pub(crate) async fn connect_within(
        &self,
        mut hop: Hop,
        watch: &Watch,
    ) -> Result<WebSocket<Dialled>, Error> {
        loop {
            match self.connect_once(&hop, watch).await {
                Err(Error::Handshake(refused)) if self.redirects > 0 => {
                    hop = hop.follow(*refused)?;
                    tracing::debug!(host = hop.url.host(), "redirected");
                }
                result => return result,
            }
        }
    }

    /// Dials the host of `url` and stops there: the stream has TLS if the URL says so, and went through a proxy if there
    /// is one for it, but nothing of a WebSocket was said. For whatever else is spoken with the same host.
    ///
    /// # Errors
    ///
    /// [`Error::Url`], [`Error::Dial`].
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn dial(&self, url: &str) -> Result<Dialled, Error> {
        let url = WsUrl::parse(url)?;
        Ok(self.reach(&url, &self.watch(), Protocols::Http1).await?.stream)
    }

    /// As [`dial`](Self::dial), to a URL that was parsed already, and says what each phase has taken, in their order; of a
    /// failed attempt too. Errors and cancel safety are the same.
    pub async fn dial_timed(&self, url: &WsUrl) -> (Result<Dialled, Error>, Vec<(Phase, Duration)>) {
        let watch = self.watch();
        let reached = self.reach(url, &watch, Protocols::Http1).await;
        (reached.map(|reached| reached.stream), watch.spent())
    }

    /// Asks for a WebSocket on a stream that is there already; `url` gives the host and resource to name.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn handshake<S>(&self, stream: S, url: &str) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hop = self.first_hop(url)?;
        let way = Way { to: host_and_port(&hop.url), proxy: None };
        self.ask(stream, &hop, &way, &self.watch()).await
    }

    /// Asks for a WebSocket on a unix socket; `url` gives the host and resource to name.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    #[cfg(unix)]
    pub async fn connect_unix(
        &self,
        path: impl AsRef<std::path::Path>,
        url: &str,
    ) -> Result<WebSocket<tokio::net::UnixStream>, Error> {
        let hop = self.first_hop(url)?;
        let way = Way { to: path.as_ref().display().to_string(), proxy: None };
        let watch = self.watch();
        let connecting = tokio::net::UnixStream::connect(path);
        let stream = watch.bound(Phase::Connect, &way, connecting).await?;
        let stream = stream.map_err(|error| way.failed(Phase::Connect, DialCause::Io(error)))?;
        self.ask(stream, &hop, &way, &watch).await
    }

    fn with_header(mut self, name: &str, value: &str, secret: bool) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(secret || CREDENTIALS.contains(&name));
                self.options.headers.append(name, value);
            }
            // Told when connecting, so that building stays a chain. The value may be a secret.
            _ => {
                let text = format!("the header {name:?} has a name or a value that HTTP does not allow");
                self.unfit = Some(text);
            }
        }
        self
    }

    /// The first request for a WebSocket at `url`.
    fn first_hop(&self, url: &str) -> Result<Hop, Error> {
        self.first_hop_to(WsUrl::parse(url)?)
    }

    pub(crate) fn first_hop_to(&self, url: WsUrl) -> Result<Hop, Error> {
        if let Some(why) = &self.unfit {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, why.clone()).into());
        }
        let mut options = self.options.clone();
        options.extensions.extend(self.deflate.clone().map(|config| config as Arc<dyn Extension>));
        Ok(Hop::first(url, options))
    }

    fn attempt(&self, hop: &Hop) -> Result<Attempt, Error> {
        Ok(handshake::request(&hop.url, &hop.options, rand::rng().random())?)
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch::start(&self.dialler.timeouts, self.limits.handshake_timeout)
    }

    pub(crate) async fn reach(
        &self,
        url: &WsUrl,
        watch: &Watch,
        protocols: Protocols,
    ) -> Result<Reached, Error> {
        let head = HeadLimits::from(&*self.limits);
        Ok(Dialling { dialler: &self.dialler, url, watch, head }.dial(protocols).await?)
    }

    async fn connect_once(&self, hop: &Hop, watch: &Watch) -> Result<WebSocket<Dialled>, Error> {
        let mut multiplexing = self.multiplexing.as_deref();
        loop {
            let protocols = multiplexing.map_or(Protocols::Http1, |http2| http2.protocols(&hop.url));
            // Others have their turn when this one has come to its end.
            let Reached { stream, turn: _turn, way } = self.reach(&hop.url, watch, protocols).await?;
            let Some(http2) = multiplexing.filter(|http2| http2.is_spoken_on(&stream)) else {
                return self.ask(stream, hop, &way, watch).await;
            };
            let opening = watch.bound(Phase::Handshake, &way, http2.open(stream, hop, &way)).await?;
            if let Some((stream, established)) = opening.map_err(|error| in_handshake(error, &way))? {
                return Ok(self.socket(stream, Bytes::new(), &established));
            }
            // As browsers do: another connection, which offers HTTP/1.1 alone.
            multiplexing = None;
        }
    }

    /// The opening handshake over HTTP/1.1. Sends nothing before the answer: some proxies lose what comes with the
    /// request.
    async fn ask<S>(&self, mut stream: S, hop: &Hop, way: &Way, watch: &Watch) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let attempt = self.attempt(hop)?;
        let exchange = exchange(&mut stream, attempt.request(), &self.limits);
        let answer = watch.bound(Phase::Handshake, way, exchange).await?;
        let (response, rest) = answer.map_err(|error| in_handshake(error, way))?;
        match attempt.verify(&response) {
            Ok(established) => Ok(self.socket(stream, rest, &established)),
            Err(rejected) => {
                let response = if hop.follows(&response) {
                    response.map(|()| Vec::new())
                } else {
                    refusal::with_body(stream, response, &rest, watch).await
                };
                Err(Error::Handshake(Box::new(HandshakeError { rejected, response: Some(response) })))
            }
        }
    }

    fn socket<S>(&self, stream: S, rest: Bytes, established: &Established) -> WebSocket<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let setup = Setup {
            limits: Arc::clone(&self.limits),
            leniency: self.options.leniency,
            deflate: self.deflate.as_ref().and_then(|config| config.agreed(established.extensions(), false)),
            ..Setup::default()
        };
        let socket = WebSocket::from_upgraded(stream, rest, Role::Client(random_mask), setup);
        socket.with_subprotocol(established.subprotocol())
    }
}

/// A fresh mask from a cryptographically secure generator (RFC 6455 section 10.3), seeded by the system.
pub fn random_mask() -> [u8; 4] {
    rand::rng().random()
}

/// Writes a request and reads the head of its final answer; what was read behind it comes too.
pub(crate) async fn exchange<S>(
    stream: &mut S,
    request: &http::Request<()>,
    limits: &Limits,
) -> Result<(http::Response<()>, Bytes), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&http1::write_request(request)).await?;
    stream.flush().await?;
    let mut reader = ResponseReader::new(limits);
    let rest = read_head(stream, |input| reader.receive(input)).await?;
    Ok((reader.response()?, rest))
}

/// A stream that fails now, fails on the way to a connection.
pub(crate) fn in_handshake(error: Error, way: &Way) -> Error {
    match error {
        Error::Io(error) => way.failed(Phase::Handshake, error.into()).into(),
        error => error,
    }
}
