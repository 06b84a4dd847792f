//! fastwebsockets with its defaults, unconstrained as in its own example. It has no call to collect messages in.
//!
//! Upgraded by hand, which is cheaper for it than hyper; `hyper` is the way that its documentation shows.

use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use trunkline_bench_peers::{Fallible, serve, upgrade};

fn main() -> Fallible<()> {
    serve(|stream, variant| {
        tokio::task::unconstrained(async move {
            match variant {
                "hyper" => by_hyper(stream).await,
                _ => by_hand(stream).await,
            }
        })
    })
}

async fn by_hand(mut stream: TcpStream) -> Fallible<()> {
    upgrade(&mut stream).await?;
    echo(WebSocket::after_handshake(stream, Role::Server)).await
}

async fn by_hyper(stream: TcpStream) -> Fallible<()> {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    Ok(connection.with_upgrades().await?)
}

async fn answer(mut request: Request<Incoming>) -> Fallible<Response<Empty<Bytes>>> {
    let (response, upgraded) = fastwebsockets::upgrade::upgrade(&mut request)?;
    tokio::spawn(tokio::task::unconstrained(async move { echo(upgraded.await?).await }));
    Ok(response)
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(socket: WebSocket<S>) -> Fallible<()> {
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
