//! soketto over buffers of 8 and 16 KiB, as in its own example; flushed when no whole message is left to be read. Its
//! futures must not be dropped, so the one that waits is kept while the flush runs. Text is checked here, as it asks for.
//! Without its permessage-deflate, which takes every message for cut off with the current flate2.

use std::pin::pin;

use futures_util::FutureExt;
use futures_util::io::{BufReader, BufWriter};
use soketto::Data;
use soketto::handshake::Server;
use soketto::handshake::server::Response;
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncReadCompatExt;
use trunkline_bench_peers::{Fallible, serve};

fn main() -> Fallible<()> {
    serve(|stream, _| echo(stream))
}

async fn echo(stream: TcpStream) -> Fallible<()> {
    let buffered = BufReader::with_capacity(8 << 10, BufWriter::with_capacity(16 << 10, stream.compat()));
    let mut server = Server::new(buffered);
    let key = server.receive_request().await?.key();
    server.send_response(&Response::Accept { key, protocol: None }).await?;
    let (mut sender, mut receiver) = server.into_builder().finish();
    let mut message = Vec::new();
    loop {
        message.clear();
        let received = {
            let mut receiving = pin!(receiver.receive_data(&mut message));
            match receiving.as_mut().now_or_never() {
                Some(received) => received?,
                None => {
                    sender.flush().await?;
                    receiving.await?
                }
            }
        };
        match received {
            Data::Text(_) => sender.send_text(std::str::from_utf8(&message)?).await?,
            Data::Binary(_) => sender.send_binary_mut(&mut message).await?,
        }
    }
}
