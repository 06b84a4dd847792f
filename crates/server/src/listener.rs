//! Where connections come from: TCP and unix sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::address::ClientAddress;
use crate::config::{Api, Config, Doors, Entrance, Probe, ProxyProtocol, Speaks, Tls, is_loopback};
use crate::stream::Stream;

/// What is served on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Serves {
    /// The doors for clients that are open over HTTP.
    pub doors: Doors,
    /// The HTTP API, health and metrics.
    pub api: bool,
    /// The demo page and dev tickets.
    pub dev: bool,
    /// The probe service.
    pub probe: Probe,
    /// Whether only this machine can connect.
    pub(crate) local: bool,
}

/// A socket that listens, and what is served on it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    serves: Serves,
    terms: Terms,
}

/// How connections of a listener begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Whether with a PROXY protocol header, before anything else.
    pub proxy_protocol: bool,
    /// Who does TLS.
    pub tls: Tls,
    /// What is spoken then.
    pub speaks: Speaks,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Opens every listener of a configuration, in its order.
    ///
    /// # Errors
    /// The first that cannot be opened, named.
    pub(crate) async fn bind(config: &Config) -> io::Result<Vec<Listener>> {
        let mut listeners = Vec::new();
        for entrance in config.entrances() {
            let terms = Terms::of(&entrance);
            for address in entrance.address {
                let serves = Serves::doors(config, &entrance, is_loopback(*address));
                listeners.push(bind_tcp(*address, serves, terms.clone()).await?);
            }
            if let Some(path) = entrance.unix {
                let terms = Terms { tls: Tls::Off, ..terms };
                listeners.push(bind_unix(path, Serves::doors(config, &entrance, true), terms).await?);
            }
        }
        if let Api::Apart(api) = &config.listen.api {
            let terms = Terms { tls: config.tls_of(api.tls), ..Terms::plain() };
            for address in &api.address {
                listeners.push(bind_tcp(*address, Serves::api(is_loopback(*address)), terms.clone()).await?);
            }
            if let Some(path) = &api.unix {
                listeners.push(bind_unix(path, Serves::api(true), Terms::plain()).await?);
            }
        }
        Ok(listeners)
    }

    /// A TCP socket that listens already, to serve the doors as `config` says.
    ///
    /// # Errors
    /// If the socket has no local address; or if that is not loopback, and the configuration is for loopback alone or would
    /// have plaintext there.
    pub fn tcp(socket: TcpListener, config: &Config) -> io::Result<Listener> {
        let address = socket.local_addr()?;
        let entrances = config.entrances();
        let entrance = &entrances[0];
        // The configuration was checked for the addresses it names, of which this need not be one.
        if !is_loopback(address) && (entrance.tls == Tls::Off || config.is_local()) {
            let rule = format!(
                "{address} is not loopback, and this configuration is for loopback: let listen.address name what is \
                 served elsewhere, with a certificate or listen.tls = \"offloaded\""
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, rule));
        }
        trunkline_net::tcp::configure_listener(&socket)?;
        Ok(Listener {
            socket: Socket::Tcp(socket, address),
            serves: Serves::doors(config, entrance, is_loopback(address)),
            terms: Terms::of(entrance),
        })
    }

    /// The address, of a TCP socket: with the port that the system chose if none was named.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(_, address) => Some(*address),
            Socket::Unix(..) => None,
        }
    }

    /// What is served here.
    #[must_use]
    pub fn serves(&self) -> Serves {
        self.serves
    }

    /// Whether this server does TLS here.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.terms.tls == Tls::On
    }

    /// Whether clients come in here: by HTTP, or by what is spoken from the first byte.
    #[must_use]
    pub fn is_for_clients(&self) -> bool {
        self.serves.doors.any() || self.terms.speaks != Speaks::Http
    }

    /// How its connections begin.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The next connection, before its first byte. Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, ClientAddress)> {
        match &self.socket {
            Socket::Tcp(socket, _) => {
                let (stream, remote) = socket.accept().await?;
                trunkline_net::tcp::configure_accepted(&stream)?;
                Ok((Stream::Tcp(stream), ClientAddress::socket(remote.ip())))
            }
            Socket::Unix(socket, _) => {
                let (stream, _) = socket.accept().await?;
                Ok((Stream::Unix(stream), ClientAddress::Local))
            }
        }
    }
}

impl Drop for Listener {
    /// A unix socket's file outlives its socket; nobody can connect to it any more.
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = &self.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (&self.terms.speaks, &self.socket) {
            (Speaks::Http, Socket::Tcp(..)) if self.is_tls() => "https://",
            (Speaks::Http, Socket::Tcp(..)) => "http://",
            (_, Socket::Tcp(..)) if self.is_tls() => "tls://",
            (_, Socket::Tcp(..)) => "tcp://",
            (_, Socket::Unix(..)) => "unix:",
        };
        match &self.socket {
            Socket::Tcp(_, address) => write!(f, "{scheme}{address}")?,
            Socket::Unix(_, path) => write!(f, "{scheme}{}", path.display())?,
        }
        match &self.terms.speaks {
            Speaks::Http => Ok(()),
            Speaks::Lines => f.write_str(" (lines)"),
            Speaks::Stream(service) => write!(f, " (stream of {service})"),
        }
    }
}

impl Terms {
    fn of(entrance: &Entrance<'_>) -> Terms {
        Terms {
            proxy_protocol: entrance.proxy_protocol == ProxyProtocol::Required,
            tls: entrance.tls,
            speaks: entrance.speaks.clone(),
        }
    }

    /// With plaintext HTTP, without ado.
    fn plain() -> Terms {
        Terms { proxy_protocol: false, tls: Tls::Off, speaks: Speaks::Http }
    }
}

impl Serves {
    /// `loopback`: whether only this machine can connect; who is behind a proxy on it is another matter.
    fn doors(config: &Config, entrance: &Entrance<'_>, loopback: bool) -> Serves {
        if *entrance.speaks != Speaks::Http {
            return Serves { doors: Doors::NONE, api: false, dev: false, probe: Probe::Off, local: false };
        }
        let local = loopback && entrance.proxy_protocol == ProxyProtocol::Off;
        let api = match &config.listen.api {
            Api::Local => local,
            Api::Everywhere => true,
            Api::Nowhere | Api::Apart(_) => false,
        };
        if config.probe == Probe::Alone {
            return Serves { doors: Doors::NONE, api: false, dev: false, probe: Probe::Alone, local };
        }
        let doors = entrance.doors.unwrap_or(Doors::ALL);
        Serves { doors, api, dev: config.is_dev() && local, probe: config.probe, local }
    }

    fn api(local: bool) -> Serves {
        Serves { doors: Doors::NONE, api: true, dev: false, probe: Probe::Off, local }
    }
}

async fn bind_tcp(address: SocketAddr, serves: Serves, terms: Terms) -> io::Result<Listener> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let socket = TcpListener::bind(address).await.map_err(named)?;
    trunkline_net::tcp::configure_listener(&socket).map_err(named)?;
    let address = socket.local_addr().map_err(named)?;
    Ok(Listener { socket: Socket::Tcp(socket, address), serves, terms })
}

async fn bind_unix(path: &Path, serves: Serves, terms: Terms) -> io::Result<Listener> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display()))
    };
    // A server that was killed leaves its socket's file behind. One that still answers is somebody else's.
    if is_socket(path)
        && let Err(error) = UnixStream::connect(path).await
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        std::fs::remove_file(path).map_err(named)?;
    }
    let socket = UnixListener::bind(path).map_err(named)?;
    Ok(Listener { socket: Socket::Unix(socket, path.to_owned()), serves, terms })
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(toml: &str) -> Config {
        Config::parse("test.toml", toml).expect("no problems")
    }

    #[test]
    fn off_loopback_the_api_is_with_the_doors_only_if_it_is_said() {
        for (toml, on_loopback, elsewhere) in [
            ("", true, false),
            ("listen.api = true", true, true),
            ("listen.api = false", false, false),
            ("[listen.api]\naddress = \"127.0.0.1:1\"", false, false),
        ] {
            let config = config(toml);
            let entrance = &config.entrances()[0];
            assert_eq!(Serves::doors(&config, entrance, true).api, on_loopback, "{toml}");
            assert_eq!(Serves::doors(&config, entrance, false).api, elsewhere, "{toml}");
        }
    }

    #[tokio::test]
    async fn a_unix_socket_left_behind_is_replaced_one_in_use_is_not_and_ours_is_removed() {
        let path = std::env::temp_dir().join(format!("trunkline-listener-{}.sock", std::process::id()));
        let serves = Serves::api(true);
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a path in the temporary folder"));
        assert!(path.exists(), "left behind");
        let ours = bind_unix(&path, serves, Terms::plain()).await.expect("what was left behind is replaced");
        let second = bind_unix(&path, serves, Terms::plain()).await.expect_err("somebody listens there");
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(ours);
        assert!(!path.exists(), "removed");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_removed() {
        let path = std::env::temp_dir().join(format!("trunkline-listener-{}.txt", std::process::id()));
        std::fs::write(&path, "precious").expect("a file in the temporary folder");
        let refused = bind_unix(&path, Serves::api(true), Terms::plain()).await;
        assert!(refused.is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "precious");
        std::fs::remove_file(&path).expect("still there");
    }
}
