//! `trunkline echo`: every message goes back to where it came from.
//!
//! Measured for its memory: a task per connection whose future holds the connection and two waits, nothing else. The
//! opening handshake has a task of its own, so that the larger future it needs is gone when the connection is open.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use trunkline_net::handshake::{AcceptPolicy, OriginPolicy};
use trunkline_net::{Acceptor, CloseCode, DeflateConfig, Error, Limits, WebSocket, tcp};

use crate::args::Echo;
use crate::descriptors;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::signals::Signals;

/// The Autobahn suite sends messages in this many fragments.
const FRAGMENTS: u32 = 65_536;

/// Connections that may wait to be accepted, for load tests that open thousands at once. Linux caps it at
/// `net.core.somaxconn`, 4,096 since 5.4.
const BACKLOG: u32 = 4096;

/// After a failed accept. Out of descriptors, the next one would fail as well; others find room by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// After a signal, for all connections to say goodbye. Beyond the connections' own close timeout, which is shorter.
const STOP_TIMEOUT: Duration = Duration::from_secs(12);

/// Each connection holds a receiver: it learns of the stop, and the sender learns when all are gone.
type Stop = watch::Receiver<bool>;

pub(crate) async fn run(args: Echo) -> Outcome {
    descriptors::raise_limit();
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    let listener = listen(args.listen)
        .map_err(|error| Failure::unclean(format_args!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().map_err(Failure::unclean)?;
    output::line(format!("listening on ws://{address}")).map_err(Failure::unclean)?;

    let (stop, stopped) = watch::channel(false);
    tokio::select! {
        () = accept_all(&listener, acceptor(&args), stopped) => {}
        () = signals.next() => {}
    }
    drop(listener);
    stop.send_replace(true);
    // A second signal, or connections that do not end: the process ends, and they with it.
    tokio::select! {
        () = stop.closed() => Ok(Exit::Clean),
        () = signals.next() => Ok(Exit::Unclean),
        () = tokio::time::sleep(STOP_TIMEOUT) => Ok(Exit::Unclean),
    }
}

fn acceptor(args: &Echo) -> Acceptor {
    let limits = Limits { message: args.max_message.get(), fragments: FRAGMENTS, ..Limits::default() };
    let policy = AcceptPolicy { origin: OriginPolicy::Any, ..AcceptPolicy::default() };
    let acceptor = Acceptor::new(limits, policy);
    // As the client offers it, context takeover and all: this is what other implementations are tried against.
    if args.no_deflate { acceptor } else { acceptor.deflate(DeflateConfig::default()) }
}

/// Accepts for ever: a failure of one connection, or of the moment, is not the end.
async fn accept_all(listener: &TcpListener, acceptor: Acceptor, stop: Stop) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                failing = false;
                tokio::spawn(open(stream, acceptor.clone(), stop.clone()));
            }
            Err(error) => {
                // Once is enough: it may fail for minutes.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept a connection, trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn open(stream: TcpStream, acceptor: Acceptor, mut stop: Stop) {
    let handshake = async {
        tcp::configure(&stream)?;
        acceptor.accept(stream).await
    };
    tokio::select! {
        socket = handshake => match socket {
            Ok(socket) => drop(tokio::spawn(serve(socket, stop))),
            Err(error) => tracing::debug!(%error, "no connection"),
        },
        _ = stop.changed() => {}
    }
}

/// The whole life of an open connection.
#[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice, as given and as used")]
fn serve(mut socket: WebSocket<TcpStream>, mut stop: Stop) -> impl Future<Output = ()> + Send {
    async move {
        let result = tokio::select! {
            result = echo(&mut socket) => result,
            _ = stop.changed() => socket.close(CloseCode::GOING_AWAY, "").await.map(drop),
        };
        if let Err(error) = result {
            tracing::debug!(%error, "the connection did not end cleanly");
        }
    }
}

/// Feeds the replies; receiving is what writes them.
async fn echo(socket: &mut WebSocket<TcpStream>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await {
        // An end that is noticed here is carried out, and told, by the next `recv`.
        let _ = socket.feed(message?).await;
    }
    Ok(())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what an `async fn` of two arguments returns, without calling it.
    fn size_of_future<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_an_idle_connection_holds_little_beside_the_connection() {
        let connection = size_of::<WebSocket<TcpStream>>();
        let task = size_of_future(serve);
        assert!(task <= connection + 600, "{task} bytes, {connection} of them the connection's");
    }
}
