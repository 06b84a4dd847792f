//! Where to listen, who may come in there, and whose word about a client's address counts.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use trunkline_net::forwarded::Reads;

use super::{Config, Tls, is_loopback};
use crate::address::canonical;

/// Where to listen, and what is served there.
#[derive(Debug, Clone)]
pub struct Listen {
    /// TCP addresses of the doors.
    pub address: Vec<SocketAddr>,
    /// A unix socket for the doors. Its peers are judged by its file permissions.
    pub unix: Option<PathBuf>,
    /// Who does TLS on the doors' TCP addresses; `None`: as [`Config::tls_of`] says.
    pub tls: Option<Tls>,
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocol,
    /// The doors that are open here; `None`: all there are.
    pub doors: Option<Doors>,
    /// Where one's own proxies are, for every listener.
    pub trusted: Trusted,
    /// By which fields they tell of clients.
    pub forwarded: Reads,
    /// What becomes of such fields that come from elsewhere.
    pub forged: Forged,
    /// Whether listeners for clients with [`Tls::Offloaded`] refuse what is not said to have come by TLS.
    pub https_only: bool,
    /// Where the HTTP API, health and metrics are served.
    pub api: Api,
}

/// `[listener.<name>]`: one more listener for clients. What is trusted is said once, in [`Listen`].
#[derive(Debug, Clone, Default)]
pub struct NamedListener {
    /// TCP addresses.
    pub address: Vec<SocketAddr>,
    /// A unix socket.
    pub unix: Option<PathBuf>,
    /// Who does TLS on the TCP addresses; `None`: as [`Config::tls_of`] says.
    pub tls: Option<Tls>,
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocol,
    /// The doors that are open here; `None`: all there are.
    pub doors: Option<Doors>,
    /// What is spoken from the first byte on.
    pub speaks: Speaks,
}

/// Whether a listener's connections begin with a PROXY protocol header, versions 1 and 2. It is never guessed: a listener that
/// took connections with and without would let every client write its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// They do not; one that does is answered as the broken request that it is.
    #[default]
    Off,
    /// All do, and come from trusted networks; others are closed.
    Required,
}

/// What is spoken on a listener from the first byte of a connection, or of what is inside TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP: doors are opened by an upgrade.
    #[default]
    Http,
    /// The dialect, one JSON object after the other.
    Lines,
    /// The bytes of the service of this name.
    Stream(String),
}

/// Which doors are open on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Doors {
    /// Messages of a WebSocket.
    pub websocket: bool,
    /// JSON lines after an upgrade.
    pub lines: bool,
    /// Unframed bytes after an upgrade.
    pub stream: bool,
    /// Server-sent events, and commands by POST.
    pub sse: bool,
}

impl Doors {
    /// Every door.
    pub const ALL: Doors = Doors { websocket: true, lines: true, stream: true, sse: true };
    /// No door.
    pub const NONE: Doors = Doors { websocket: false, lines: false, stream: false, sse: false };

    /// Whether any is open.
    #[must_use]
    pub fn any(self) -> bool {
        self != Doors::NONE
    }
}

/// Where one's own proxies are: the only ones whose word about a client counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Networks of theirs.
    pub networks: Vec<IpNet>,
    /// Whether whoever can open one of our unix sockets is one.
    pub unix: bool,
}

impl Trusted {
    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether one of one's own proxies has this address. `::ffff:10.0.0.1` is 10.0.0.1.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = canonical(ip);
        self.networks.iter().any(|network| network.contains(&ip))
    }
}

/// What becomes of a request with fields that only a proxy has a reason to write, from who is not one of one's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Forged {
    /// They change nothing.
    #[default]
    Ignore,
    /// It is answered 400.
    Reject,
}

/// Where the HTTP API, health and metrics are served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Api {
    /// With the doors on listeners that are loopback or unix sockets, and nowhere else.
    #[default]
    Local,
    /// With the doors on every listener that speaks HTTP.
    Everywhere,
    /// Nowhere.
    Nowhere,
    /// On listeners of its own, and not with the doors.
    Apart(ApiListen),
}

/// Listeners of the API's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiListen {
    /// TCP addresses.
    pub address: Vec<SocketAddr>,
    /// A unix socket.
    pub unix: Option<PathBuf>,
    /// Who does TLS on the TCP addresses; `None`: as [`Config::tls_of`] says.
    pub tls: Option<Tls>,
}

/// Listeners for clients that one table of the configuration describes.
#[derive(Debug, Clone)]
pub(crate) struct Entrance<'a> {
    /// `listen` or `listener.<name>`.
    pub section: String,
    pub address: &'a [SocketAddr],
    pub unix: Option<&'a Path>,
    pub tls: Tls,
    pub proxy_protocol: ProxyProtocol,
    pub doors: Option<Doors>,
    pub speaks: &'a Speaks,
}

impl Config {
    /// Every table that describes listeners for clients, `[listen]` first.
    pub(crate) fn entrances(&self) -> Vec<Entrance<'_>> {
        let listen = &self.listen;
        let first = Entrance {
            section: "listen".to_owned(),
            address: &listen.address,
            unix: listen.unix.as_deref(),
            tls: self.tls_of(listen.tls),
            proxy_protocol: listen.proxy_protocol,
            doors: listen.doors,
            speaks: &Speaks::Http,
        };
        let named = self.listeners.iter().map(|(name, listener)| Entrance {
            section: format!("listener.{name}"),
            address: &listener.address,
            unix: listener.unix.as_deref(),
            tls: self.tls_of(listener.tls),
            proxy_protocol: listener.proxy_protocol,
            doors: listener.doors,
            speaks: &listener.speaks,
        });
        std::iter::once(first).chain(named).collect()
    }

    /// Whether only this machine can be at the other end of any connection: every listener is loopback or a unix socket, and
    /// none of them says that a proxy brings it clients from elsewhere.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let apart = match &self.listen.api {
            Api::Apart(api) => api.address.as_slice(),
            _ => &[],
        };
        let entrances = self.entrances();
        entrances.iter().all(Entrance::is_local) && apart.iter().all(|address| is_loopback(*address))
    }
}

impl Entrance<'_> {
    /// Whether only this machine can be at the other end.
    pub(crate) fn is_local(&self) -> bool {
        self.proxy_protocol == ProxyProtocol::Off && self.address.iter().all(|address| is_loopback(*address))
    }
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 8101));
        Listen {
            address: vec![loopback],
            unix: None,
            tls: None,
            proxy_protocol: ProxyProtocol::Off,
            doors: None,
            trusted: Trusted::default(),
            forwarded: Reads { forwarded: true, x_forwarded: true, x_real_ip: false },
            forged: Forged::Ignore,
            https_only: false,
            api: Api::Local,
        }
    }
}
