//! Where connections come from: TCP and unix sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::address::ClientAddress;
use crate::config::{Api, Config, Tls, is_loopback};
use crate::stream::Stream;

/// What is served on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Serves {
    /// The doors for clients.
    pub doors: bool,
    /// The HTTP API, health and metrics.
    pub api: bool,
    /// The demo page and dev tickets.
    pub dev: bool,
    /// Whether only this machine can connect.
    pub(crate) local: bool,
}

/// A socket that listens, and what is served on it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    serves: Serves,
    /// Whether its connections begin with a TLS handshake.
    tls: bool,
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
        let listen = &config.listen;
        let mut listeners = Vec::new();
        let tls = config.tls_of(listen.tls) == Tls::On;
        for address in &listen.address {
            listeners.push(bind_tcp(*address, Serves::doors(config, is_loopback(*address)), tls).await?);
        }
        if let Some(path) = &listen.unix {
            listeners.push(bind_unix(path, Serves::doors(config, true)).await?);
        }
        if let Api::Apart(api) = &listen.api {
            let tls = config.tls_of(api.tls) == Tls::On;
            for address in &api.address {
                listeners.push(bind_tcp(*address, Serves::api(is_loopback(*address)), tls).await?);
            }
            if let Some(path) = &api.unix {
                listeners.push(bind_unix(path, Serves::api(true)).await?);
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
        let tls = config.tls_of(config.listen.tls);
        // The configuration was checked for the addresses it names, of which this need not be one.
        if !is_loopback(address) && (tls == Tls::Off || config.is_local()) {
            let rule = format!(
                "{address} is not loopback, and this configuration is for loopback: let listen.address name what is \
                 served elsewhere, with a certificate or listen.tls = \"offloaded\""
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, rule));
        }
        trunkline_net::tcp::configure_listener(&socket)?;
        Ok(Listener {
            socket: Socket::Tcp(socket, address),
            serves: Serves::doors(config, is_loopback(address)),
            tls: tls == Tls::On,
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
        self.tls
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
        match &self.socket {
            Socket::Tcp(_, address) if self.tls => write!(f, "https://{address}"),
            Socket::Tcp(_, address) => write!(f, "http://{address}"),
            Socket::Unix(_, path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Serves {
    fn doors(config: &Config, local: bool) -> Serves {
        let api = match &config.listen.api {
            Api::Local => local,
            Api::Everywhere => true,
            Api::Nowhere | Api::Apart(_) => false,
        };
        Serves { doors: true, api, dev: config.is_dev() && local, local }
    }

    fn api(local: bool) -> Serves {
        Serves { doors: false, api: true, dev: false, local }
    }
}

async fn bind_tcp(address: SocketAddr, serves: Serves, tls: bool) -> io::Result<Listener> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let socket = TcpListener::bind(address).await.map_err(named)?;
    trunkline_net::tcp::configure_listener(&socket).map_err(named)?;
    let address = socket.local_addr().map_err(named)?;
    Ok(Listener { socket: Socket::Tcp(socket, address), serves, tls })
}

async fn bind_unix(path: &Path, serves: Serves) -> io::Result<Listener> {
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
    Ok(Listener { socket: Socket::Unix(socket, path.to_owned()), serves, tls: false })
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
            assert_eq!(Serves::doors(&config, true).api, on_loopback, "{toml}");
            assert_eq!(Serves::doors(&config, false).api, elsewhere, "{toml}");
        }
    }

    #[tokio::test]
    async fn a_unix_socket_left_behind_is_replaced_one_in_use_is_not_and_ours_is_removed() {
        let path = std::env::temp_dir().join(format!("trunkline-listener-{}.sock", std::process::id()));
        let serves = Serves::api(true);
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a path in the temporary folder"));
        assert!(path.exists(), "left behind");
        let ours = bind_unix(&path, serves).await.expect("what was left behind is replaced");
        let second = bind_unix(&path, serves).await.expect_err("somebody listens there");
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(ours);
        assert!(!path.exists(), "removed");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_removed() {
        let path = std::env::temp_dir().join(format!("trunkline-listener-{}.txt", std::process::id()));
        std::fs::write(&path, "precious").expect("a file in the temporary folder");
        let refused = bind_unix(&path, Serves::api(true)).await;
        assert!(refused.is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "precious");
        std::fs::remove_file(&path).expect("still there");
    }
}
