//! From a URL's host to a stream: addresses, a proxy if there is one, TLS if there has to be, each with its own time.

pub(crate) mod dialled;
mod eyeballs;
mod failure;
mod phase;
mod plaintext;
mod resolve;
mod turn;

#[cfg(feature = "proxy")]
pub(crate) mod proxy;
// TLS is asked for by a URL and not by a call, so there is a module of this name in any case; without the feature it
// says no.
#[cfg(not(feature = "tls"))]
#[path = "dial/no_tls.rs"]
pub(crate) mod secure;
#[cfg(feature = "tls")]
pub(crate) mod secure;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::TcpStream;
use trunkline_websocket::handshake::http1::HeadLimits;
use trunkline_websocket::url::WsUrl;

pub use self::dialled::Dialled;
pub use self::failure::{DialCause, DialError};
pub use self::phase::{Phase, Timeouts};
pub(crate) use self::phase::{Watch, Way};
pub use self::resolve::{Addresses, Resolve};
use self::secure::Tls;
pub(crate) use self::turn::Turn;
use crate::transport::tcp;

/// The application protocols that TLS offers (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// `http/1.1` alone, for a WebSocket that upgrades.
    Http1,
    /// `h2`, and `http/1.1` for a server that has no HTTP/2.
    Http2OrHttp1,
    /// `h2` alone.
    Http2,
}

/// How to get to a host.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    pub(crate) timeouts: Timeouts,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Tls,
    /// For an `https:` proxy: the same roots, and no word of who we are.
    pub(crate) tls_to_proxy: Tls,
    /// Which proxy to use where; `None` never uses one.
    pub(crate) via: Option<Arc<dyn Via>>,
    pub(crate) one_at_a_time: bool,
    /// Whether the remote may stop reading for as long as it likes.
    pub(crate) patient: bool,
}

/// The way around a direct connection.
pub(crate) trait Via: fmt::Debug + Send + Sync {
    /// A stream to the host of `url` through a proxy, or `None` if there is none for this host.
    fn open<'a>(&'a self, dialling: Dialling<'a>) -> Opening<'a>;
}

/// What [`Via::open`] comes to.
pub(crate) type Opening<'a> = Pin<Box<dyn Future<Output = Result<Option<Reached>, DialError>> + Send + 'a>>;

/// One attempt to get to one host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialling<'a> {
    pub(crate) dialler: &'a Dialler,
    pub(crate) url: &'a WsUrl,
    pub(crate) watch: &'a Watch,
    pub(crate) head: HeadLimits,
}

/// A stream, and the right to begin a WebSocket on it.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) stream: Dialled,
    /// Until when others have to wait, if anybody cares.
    pub(crate) turn: Option<Turn>,
    pub(crate) way: Way,
}

impl Default for Dialler {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            resolver: Arc::new(resolve::System),
            tls: Default::default(),
            tls_to_proxy: Default::default(),
            via: None,
            one_at_a_time: false,
            patient: false,
        }
    }
}

impl Dialling<'_> {
    /// Gets to the host, TLS included.
    pub(crate) async fn dial(self, protocols: Protocols) -> Result<Reached, DialError> {
        let proxied = match &self.dialler.via {
            Some(via) => via.open(self).await?,
            None => None,
        };
        let Reached { mut stream, turn, way } = match proxied {
            Some(reached) => reached,
            None => self.direct().await?,
        };
        let host_is_known = stream.proxy().is_none();
        plaintext::warn_once(self.url, host_is_known.then(|| stream.peer_addr().ip()));
        if self.url.is_secure() {
            let work = self.dialler.tls.connect(self.url.host(), protocols, stream);
            let result = self.watch.bound(Phase::Tls, &way, work).await?;
            stream = result.map_err(|cause| way.failed(Phase::Tls, cause))?;
        }
        Ok(Reached { stream, turn, way })
    }

    async fn direct(self) -> Result<Reached, DialError> {
        let way = Way { to: host_and_port(self.url), proxy: None };
        let (stream, turn) = self.tcp(self.url, &way, self.dialler.one_at_a_time).await?;
        Ok(Reached { stream, turn, way })
    }

    /// TCP to the host of `url`, which may be that of a proxy; with a turn for the address, if that is wanted.
    pub(crate) async fn tcp(
        self,
        url: &WsUrl,
        way: &Way,
        in_turn: bool,
    ) -> Result<(Dialled, Option<Turn>), DialError> {
        let addresses = self.addresses(url, way).await?;
        // Before the time for connecting begins: others may be before us, each with its own.
        let mut first = match addresses.first() {
            Some(address) if in_turn => Some(self.watch.bound(Phase::Turn, way, take(*address)).await?),
            _ => None,
        };
        let connect = |address| {
            let turn = first.take();
            async move {
                let turn = match turn {
                    None if in_turn => Some(take(address).await),
                    turn => turn,
                };
                Ok((tcp_stream(address, self.dialler.patient).await?, turn))
            }
        };
        let mut tried = Vec::new();
        let race = eyeballs::race(addresses, connect, &mut tried);
        match self.watch.bound(Phase::Connect, way, race).await {
            Ok(Some(reached)) => Ok(reached),
            Ok(None) => Err(DialError { tried, ..way.failed(Phase::Connect, DialCause::Unreachable) }),
            Err(timed_out) => Err(DialError { tried, ..timed_out }),
        }
    }

    /// The addresses of a URL's host in the order in which to try them; at least one.
    pub(crate) async fn addresses(self, url: &WsUrl, way: &Way) -> Result<Vec<SocketAddr>, DialError> {
        if let Some(ip) = url.ip() {
            return Ok(vec![SocketAddr::new(ip, url.port())]);
        }
        let work = self.dialler.resolver.resolve(url.host(), url.port());
        let found = self.watch.bound(Phase::Resolve, way, work).await?;
        let failed = |cause| way.failed(Phase::Resolve, cause);
        let addresses = eyeballs::in_turns(found.map_err(|error| failed(DialCause::Io(error)))?);
        if addresses.is_empty() { Err(failed(DialCause::NoAddress)) } else { Ok(addresses) }
    }
}

/// Host and port, the port in any case and an IPv6 address in brackets: what `CONNECT` asks for.
pub(crate) fn host_and_port(url: &WsUrl) -> String {
    match url.ip() {
        Some(ip) => SocketAddr::new(ip, url.port()).to_string(),
        None => format!("{}:{}", url.host(), url.port()),
    }
}

async fn tcp_stream(address: SocketAddr, patient: bool) -> io::Result<Dialled> {
    let stream = TcpStream::connect(address).await?;
    tcp::configure(&stream)?;
    if patient {
        tcp::wait_for_slow_readers(&stream)?;
    }
    Ok(Dialled::tcp(stream, address))
}

async fn take(address: SocketAddr) -> Turn {
    turn::take(turn::Key::Address(address)).await
}
