//! Our server in the game that `compliance/interop/README.md` describes.
//!
//! Prints `listening on ws://127.0.0.1:PORT`, and a line for every connection that has ended.

use std::error::Error;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trunkline_net::{Acceptor, CloseCode, Limits, Message, WebSocket, http1};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(stream).await {
                println!("error {error}");
            }
        });
    }
}

async fn serve(mut stream: TcpStream) -> Outcome {
    let limits = Limits::default();
    let head = http1::read_request(&mut stream, &limits).await?;
    let path = head.request.uri().path().to_owned();
    if path == "/pinged" {
        return serve_pinged(stream, head).await;
    }
    let mut socket = acceptor(limits).accept_head(stream, head).await?;
    while let Some(message) = socket.recv().await {
        let message = message?;
        match path.as_str() {
            "/closed" => close_as_told(&mut socket, &message).await?,
            _ => socket.send(message).await?,
        }
    }
    ended(&path, &socket)
}

/// Pings are the keepalive's business: a short interval makes it ask, and a round-trip time shows the answer.
async fn serve_pinged(stream: TcpStream, head: http1::RequestHead) -> Outcome {
    let limits = Limits { ping_interval: Some(Duration::from_millis(20)), ..Limits::default() };
    let mut socket = acceptor(limits).accept_head(stream, head).await?;
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

async fn close_as_told(socket: &mut WebSocket<TcpStream>, message: &Message) -> Outcome {
    let (code, reason) =
        message.as_text().and_then(|text| text.split_once(' ')).ok_or("CODE REASON was due")?;
    socket.close(CloseCode::new(code.parse()?).ok_or("a code for the wire")?, reason).await?;
    Ok(())
}

fn acceptor(limits: Limits) -> Acceptor {
    Acceptor::default().limits(limits).subprotocol("interop")
}

fn ended(path: &str, socket: &WebSocket<TcpStream>) -> Outcome {
    let closed = socket.closed().ok_or("ended, and does not say how")?;
    println!("ended {path} {} {}", closed.code, closed.reason);
    Ok(())
}
