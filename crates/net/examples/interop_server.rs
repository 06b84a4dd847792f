//! Our server in the game that `compliance/interop/README.md` describes.
//!
//! Prints `listening on ws://127.0.0.1:PORT`, and a line for every connection that has ended.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trunkline_net::handshake::AcceptPolicy;
use trunkline_net::http2::{self, Connect, Http, Http2Limits, Incoming, Server};
use trunkline_net::{Acceptor, CloseCode, DeflateConfig, Limits, Message, Role, Setup, WebSocket, http1};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(told(serve(stream)));
    }
}

async fn told(served: impl Future<Output = Outcome>) {
    if let Err(error) = served.await {
        println!("error {error}");
    }
}

/// One port for both: who begins with HTTP/2's preface is answered in it.
async fn serve(stream: TcpStream) -> Outcome {
    let limits = Limits::default();
    let (http, mut stream) = http2::sniff(stream, &limits).await?;
    if matches!(http, Http::Two) {
        let mut connection = Server::start(stream, &Http2Limits::default()).await?;
        while let Some(incoming) = connection.accept().await {
            if let Incoming::Connect(connect) = incoming? {
                tokio::spawn(told(async move { serve_stream(connect).await }));
            }
        }
        return Ok(());
    }
    let head = http1::read_request(&mut stream, &limits).await?;
    let path = head.request.uri().path().to_owned();
    play(&path, acceptor(limits_of(&path)).accept_head(stream, head).await?).await
}

async fn serve_stream(connect: Connect) -> Outcome {
    let deflate = deflate();
    let policy = AcceptPolicy {
        subprotocols: vec!["interop".into()],
        extensions: vec![Arc::new(deflate.clone())],
        ..AcceptPolicy::default()
    };
    let path = connect.request().uri().path().to_owned();
    match connect.judge(&policy) {
        Ok(accepted) => {
            let stream = connect.accept(&accepted)?;
            let setup = Setup {
                limits: Arc::new(limits_of(&path)),
                deflate: deflate.agreed(accepted.extensions(), true),
                ..Setup::default()
            };
            let socket = WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, setup);
            play(&path, socket).await
        }
        Err(rejected) => {
            connect.refuse(&rejected.to_response());
            Err(rejected.into())
        }
    }
}

async fn play<S: AsyncRead + AsyncWrite + Unpin>(path: &str, mut socket: WebSocket<S>) -> Outcome {
    if path == "/pinged" {
        return play_pinged(socket).await;
    }
    while let Some(message) = socket.recv().await {
        let message = message?;
        match path {
            "/closed" => close_as_told(&mut socket, &message).await?,
            _ => socket.send(message).await?,
        }
    }
    ended(path, &socket)
}

/// Pings are the keepalive's business: a short interval makes it ask, and a round-trip time shows the answer.
fn limits_of(path: &str) -> Limits {
    let ping_interval = if path == "/pinged" { Duration::from_millis(20) } else { Duration::from_secs(30) };
    Limits { ping_interval: Some(ping_interval), ..Limits::default() }
}

async fn play_pinged<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) -> Outcome {
    let first = socket.recv().await.ok_or("closed before its message")??;
    while socket.rtt().is_none() {
        if let Ok(early) = timeout(Duration::from_millis(20), socket.recv()).await {
            return Err(format!("{early:?} where a pong was due").into());
        }
    }
    socket.send(format!("pong: {}", first.as_text().unwrap_or_default())).await?;
    while let Some(message) = socket.recv().await {
        message?;
    }
    ended("/pinged", &socket)
}

async fn close_as_told<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocket<S>,
    message: &Message,
) -> Outcome {
    let (code, reason) =
        message.as_text().and_then(|text| text.split_once(' ')).ok_or("CODE REASON was due")?;
    socket.close(CloseCode::new(code.parse()?).ok_or("a code for the wire")?, reason).await?;
    Ok(())
}

fn acceptor(limits: Limits) -> Acceptor {
    Acceptor::default().limits(limits).subprotocol("interop").deflate(deflate())
}

fn deflate() -> DeflateConfig {
    DeflateConfig { threshold: 0, ..DeflateConfig::default() }
}

fn ended<S>(path: &str, socket: &WebSocket<S>) -> Outcome {
    let closed = socket.closed().ok_or("ended, and does not say how")?;
    println!("ended {path} {} {}", closed.code, closed.reason);
    Ok(())
}
