//! yawc, with its check of UTF-8 on. `plain`: a send for each message. `batch`: one flush for up to 32 messages that are
//! there, as its own benchmark does. `tuned`: the same with the buffers of that benchmark. `hyper`: `plain`, upgraded by hyper.
//!
//! The others are upgraded by hand, which is cheaper for it. Compression, where it is offered, as its profile for low latency.

use futures_util::{FutureExt, SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use trunkline_bench_peers::{Fallible, serve, upgrade};
use yawc::{OpCode, Options, Role, WebSocket};

const LARGEST: usize = 16 << 20;
const AT_ONCE: usize = 32;

fn main() -> Fallible<()> {
    serve(|stream, variant| async move {
        match variant {
            "hyper" => by_hyper(stream).await,
            "plain" => plain(by_hand(stream, options()).await?).await,
            "tuned" => {
                let tuned =
                    options().with_read_buffer_capacity(128 << 10).with_backpressure_boundary(64 << 10);
                batched(by_hand(stream, tuned).await?).await
            }
            _ => batched(by_hand(stream, options()).await?).await,
        }
    })
}

fn options() -> Options {
    Options::default().with_limits(LARGEST, LARGEST).with_utf8().with_no_delay()
}

async fn by_hand(mut stream: TcpStream, options: Options) -> Fallible<WebSocket<TcpStream>> {
    let agreed = upgrade(&mut stream).await?;
    let options = if agreed.is_some() { options.with_low_latency_compression() } else { options };
    Ok(WebSocket::from_stream_with_extensions(stream, Role::Server, agreed.as_deref(), options)?)
}

async fn by_hyper(stream: TcpStream) -> Fallible<()> {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    Ok(connection.with_upgrades().await?)
}

async fn answer(mut request: Request<Incoming>) -> Fallible<Response<Empty<Bytes>>> {
    let (response, upgraded) = WebSocket::upgrade_with_options(&mut request, options())?;
    tokio::spawn(async move { plain(upgraded.await?).await });
    Ok(response)
}

async fn plain<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) -> Fallible<()> {
    while let Some(frame) = socket.next().await {
        match frame.opcode() {
            OpCode::Text | OpCode::Binary => socket.send(frame).await?,
            _ => {}
        }
    }
    Ok(())
}

async fn batched(mut socket: WebSocket<TcpStream>) -> Fallible<()> {
    while let Some(mut frame) = socket.next().await {
        for left in (0..AT_ONCE).rev() {
            match frame.opcode() {
                OpCode::Text | OpCode::Binary => socket.feed(frame).await?,
                OpCode::Close => return Ok(socket.close().await?),
                _ => {}
            }
            match (left > 0).then(|| socket.next().now_or_never().flatten()).flatten() {
                Some(next) => frame = next,
                None => break,
            }
        }
        socket.flush().await?;
    }
    Ok(())
}
