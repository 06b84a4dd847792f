//! tokio-tungstenite. `default`: its defaults, a send for each message. `tuned`: smaller buffers, since 128 KiB for each
//! connection leave the cache, and one flush for all messages that are there.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async, accept_async_with_config};
use trunkline_bench_peers::{Fallible, serve};

const BUFFER: usize = 8 << 10;

fn main() -> Fallible<()> {
    serve(|stream, variant| async move {
        match variant {
            "default" => plain(accept_async(stream).await?).await,
            _ => {
                let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
                batched(accept_async_with_config(stream, Some(config)).await?).await
            }
        }
    })
}

async fn plain(mut socket: WebSocketStream<TcpStream>) -> Fallible<()> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn batched(mut socket: WebSocketStream<TcpStream>) -> Fallible<()> {
    while let Some(message) = socket.next().await {
        let mut next = Some(message);
        while let Some(message) = next {
            let message = message?;
            if message.is_text() || message.is_binary() {
                socket.feed(message).await?;
            }
            next = socket.next().now_or_never().flatten();
        }
        socket.flush().await?;
    }
    Ok(())
}
