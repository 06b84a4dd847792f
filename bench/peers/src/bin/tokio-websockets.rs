//! tokio-websockets: all messages that are there are read, then fed, then flushed, because reading flushes too.
//! Unconstrained and unlimited, as in its own example of an echo server.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio_websockets::{Config, Limits, ServerBuilder};
use trunkline_bench_peers::{Fallible, serve};

const AT_ONCE: usize = 32;

fn main() -> Fallible<()> {
    serve(|stream, _| {
        tokio::task::unconstrained(async move {
            let builder = ServerBuilder::new().config(Config::default().frame_size(usize::MAX));
            let (_, mut socket) = builder.limits(Limits::unlimited()).accept(stream).await?;
            let mut batch = Vec::new();
            while let Some(message) = socket.next().await {
                batch.push(message?);
                while batch.len() < AT_ONCE
                    && let Some(Some(message)) = socket.next().now_or_never()
                {
                    batch.push(message?);
                }
                for message in batch.drain(..) {
                    if message.is_text() || message.is_binary() {
                        socket.feed(message).await?;
                    }
                }
                socket.flush().await?;
            }
            Ok(())
        })
    })
}
