//! tokio-websockets, fed with all messages that are there and flushed once. Unconstrained and unlimited, as in its own
//! example of an echo server.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio_websockets::{Config, Limits, ServerBuilder};
use trunkline_bench_peers::{Fallible, serve};

fn main() -> Fallible<()> {
    serve(|stream, _| {
        tokio::task::unconstrained(async move {
            let builder = ServerBuilder::new().config(Config::default().frame_size(usize::MAX));
            let (_, mut socket) = builder.limits(Limits::unlimited()).accept(stream).await?;
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
        })
    })
}
