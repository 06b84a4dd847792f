//! `trunkline echo`: every message goes back to where it came from.
//!
//! Measured for its speed and its memory: a thread for each core, a task for each connection whose future holds the
//! connection and a place to be told to stop, nothing else. The opening handshake has a task of its own, so that the larger
//! future it needs is gone when the connection is open.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use trunkline_net::handshake::{AcceptPolicy, OriginPolicy};
use trunkline_net::{Acceptor, CloseCode, DeflateConfig, Error, Limits, Received, Replies, WebSocket, tcp};

use crate::args::Echo;
use crate::cores::Cores;
use crate::descriptors;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::signals::Signals;
use crate::stop::{Stop, Stopping};

/// The Autobahn suite sends messages in this many fragments.
const FRAGMENTS: u32 = 65_536;

/// Connections that may wait to be accepted, for load tests that open thousands at once. Linux caps it at
/// `net.core.somaxconn`, 4,096 since 5.4.
const BACKLOG: u32 = 4096;

/// After a signal, for all connections to say goodbye. Beyond the connections' own close timeout, which is shorter.
const STOP_TIMEOUT: Duration = Duration::from_secs(12);

pub(crate) async fn run(args: Echo) -> Outcome {
    descriptors::raise_limit();
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    let listener = listen(args.listen)
        .map_err(|error| Failure::unclean(format_args!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().map_err(Failure::unclean)?;
    let acceptor = acceptor(&args);
    let cores = Cores::start(listener, &move |stream, stop| open(stream, acceptor.clone(), stop))
        .map_err(|error| Failure::unclean(format_args!("cannot start threads: {error}")))?;
    output::line(format!("listening on ws://{address}")).map_err(Failure::unclean)?;

    signals.next().await;
    // A second signal, or connections that do not end: the process ends, and they with it.
    tokio::select! {
        () = cores.stop() => Ok(Exit::Clean),
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

async fn open(stream: TcpStream, acceptor: Acceptor, stop: Arc<Stop>) {
    let mut stopping = Stopping::new(Arc::clone(&stop));
    let handshake = async {
        tcp::configure_accepted(&stream)?;
        acceptor.accept(stream).await
    };
    tokio::select! {
        socket = handshake => match socket {
            Ok(socket) => drop(tokio::spawn(Echoing::new(socket, stop))),
            Err(error) => tracing::debug!(%error, "no connection"),
        },
        () = std::future::poll_fn(|cx| if stopping.is_due(cx) { Poll::Ready(()) } else { Poll::Pending }) => {}
    }
}

/// The whole life of an open connection. Written by hand: an `async fn` holds what it was given twice, and `select!` asks
/// all branches each time.
struct Echoing {
    socket: WebSocket<TcpStream>,
    stopping: Stopping,
    closing: bool,
}

impl Echoing {
    fn new(socket: WebSocket<TcpStream>, stop: Arc<Stop>) -> Self {
        Self { socket, stopping: Stopping::new(stop), closing: false }
    }
}

impl Future for Echoing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.closing && this.stopping.is_due(cx) {
            this.closing = true;
            // Refused where the end has begun already, which is as well.
            let _ = this.socket.start_close(CloseCode::GOING_AWAY, "");
        }
        let ended: Option<Result<Infallible, Error>> = ready!(this.socket.poll_handle(cx, &mut send_back));
        if let Some(Err(error)) = ended {
            tracing::debug!(%error, "the connection did not end cleanly");
        }
        Poll::Ready(())
    }
}

fn send_back(received: Received<'_>, replies: &mut Replies<'_>) -> ControlFlow<Infallible> {
    // Closing, there is nobody to send it to.
    let _ = replies.send_back(received);
    ControlFlow::Continue(())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    tcp::configure_listener(&listener)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_of_an_idle_connection_holds_little_beside_the_connection() {
        let (connection, task) = (size_of::<WebSocket<TcpStream>>(), size_of::<Echoing>());
        assert!(connection <= 400, "{connection} bytes");
        assert!(task <= connection + 32, "{task} bytes, {connection} of them the connection's");
    }
}
