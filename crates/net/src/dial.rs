//! From a URL's host to a stream.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::OwnedMutexGuard;
use trunkline_websocket::url::WsUrl;

use crate::transport::tcp;

/// The stream of a dialled connection.
pub type Dialled = TcpStream;

/// The addresses of the URL's host, in the resolver's order.
pub(crate) async fn look_up(url: &WsUrl) -> io::Result<Vec<SocketAddr>> {
    if url.is_secure() {
        let text = "wss: URLs need TLS, which this version does not speak yet";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    match url.ip() {
        Some(ip) => Ok(vec![SocketAddr::new(ip, url.port())]),
        None => Ok(tokio::net::lookup_host((url.host(), url.port())).await?.collect()),
    }
}

pub(crate) fn no_address(url: &WsUrl) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", url.host()))
}

pub(crate) async fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    tcp::configure(&stream)?;
    Ok(stream)
}

type Turn = Arc<tokio::sync::Mutex<()>>;

static TURNS: LazyLock<Mutex<HashMap<SocketAddr, Turn>>> = LazyLock::new(Mutex::default);

/// Waits until no other connection of this process to the address is between its first packet and the end of its
/// opening handshake. The turn ends when the guard is dropped.
pub(crate) async fn turn(address: SocketAddr) -> OwnedMutexGuard<()> {
    let turn = {
        // Poisoned only if inserting panicked, which leaves the map whole.
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody holds or awaits a turn that only the map knows.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(address).or_default())
    };
    turn.lock_owned().await
}
