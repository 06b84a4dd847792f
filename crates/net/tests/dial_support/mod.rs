//! What the tests of dialling share: servers, proxies and a resolver of their own, all on loopback.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use trunkline_net::{Addresses, DialError, Dialled, Error, Message, Resolve, WebSocket, accept};

/// More than anything here takes on a machine that is busy with other things; reached only when a test fails.
pub(crate) const HANG: Duration = Duration::from_secs(30);

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    (listener, address)
}

/// An address that nobody listens on.
pub(crate) async fn nobody() -> SocketAddr {
    listen().await.1
}

/// Does something with every connection that comes.
pub(crate) async fn serve<F>(work: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(work(stream));
        }
    });
    address
}

/// A WebSocket server that sends back what it gets.
pub(crate) async fn echo() -> SocketAddr {
    serve(|stream| async { echo_on(stream).await }).await
}

pub(crate) async fn echo_on<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let Ok(mut socket) = accept(stream).await else { return };
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Says something and hears it again.
pub(crate) async fn echoes(socket: &mut WebSocket<Dialled>) {
    let spoken = Message::from("there and back");
    let round_trip = async {
        socket.send(spoken.clone()).await.expect("open");
        socket.recv().await.expect("open").expect("clean")
    };
    assert_eq!(tokio::time::timeout(HANG, round_trip).await.expect("in time"), spoken);
}

/// Reads to the end of a head.
pub(crate) async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    String::from_utf8(head).expect("ASCII")
}

/// A stream that stays open and says nothing.
pub(crate) async fn stall(stream: TcpStream) {
    std::future::pending::<()>().await;
    drop(stream);
}

/// Answers the first head of each connection with this, and ends it. Every head is kept.
pub(crate) async fn answers(answer: impl Into<Vec<u8>>) -> (SocketAddr, Heads) {
    let (heads, answer) = (Heads::default(), answer.into());
    let kept = heads.clone();
    let address = serve(move |mut stream| {
        let (kept, answer) = (kept.clone(), answer.clone());
        async move {
            kept.push(read_head(&mut stream).await);
            // Whoever has seen enough, goes.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    (address, heads)
}

/// Heads, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads(Arc<Mutex<Vec<String>>>);

impl Heads {
    pub(crate) fn push(&self, head: String) {
        self.0.lock().expect("nobody panics with it").push(head);
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

/// A proxy that answers `CONNECT` with `answer` and then carries bytes to `origin`, whatever host was asked for.
pub(crate) async fn connect_proxy(answer: &'static str, origin: SocketAddr) -> (SocketAddr, Heads) {
    let heads = Heads::default();
    let kept = heads.clone();
    let address = serve(move |stream| {
        let kept = kept.clone();
        async move { tunnel(stream, answer, origin, &kept).await }
    })
    .await;
    (address, heads)
}

pub(crate) async fn tunnel<S>(mut stream: S, answer: &str, origin: SocketAddr, heads: &Heads)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    heads.push(read_head(&mut stream).await);
    stream.write_all(answer.as_bytes()).await.expect("the client reads");
    let mut behind = TcpStream::connect(origin).await.expect("the origin listens");
    // Ends when either does, cleanly or not.
    let _ = copy_bidirectional(&mut stream, &mut behind).await;
}

/// A resolver with a table of its own. A name that is not in it is an error.
#[derive(Debug, Default)]
pub(crate) struct Names(pub(crate) Vec<(&'static str, Vec<SocketAddr>)>);

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str, _: u16) -> Addresses<'a> {
        let found = self.0.iter().find(|(name, _)| *name == host);
        let addresses = found.map(|(_, addresses)| addresses.clone());
        Box::pin(async move { addresses.ok_or_else(|| io::Error::other(format!("no such name: {host}"))) })
    }
}

pub(crate) fn dial_error(error: &Error) -> &DialError {
    match error {
        Error::Dial(error) => error,
        other => panic!("not on the way: {other}"),
    }
}

#[cfg(feature = "tls")]
pub(crate) mod tls;
