//! sockudo-ws as its documentation would have an echo: fed, and flushed by its own reading when a batch is through.
//! Built with the feature `sockudo-mimalloc` it has the allocator that it recommends.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::deflate::{DeflateConfig, negotiate_server_deflate};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{CompressedWebSocketStream, Config, Message, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trunkline_bench_peers::{Fallible, serve};

fn main() -> Fallible<()> {
    sockudo_ws::init_clock();
    serve(|mut stream, _| async move {
        match open(&mut stream).await? {
            Some(deflate) => {
                compressed(CompressedWebSocketStream::server(stream, Config::default(), deflate)).await
            }
            None => plain(WebSocketStream::server(stream, Config::default())).await,
        }
    })
}

async fn open(stream: &mut TcpStream) -> Fallible<Option<DeflateConfig>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err("no request".into());
        }
        if let Some((request, _)) = parse_request(&head)? {
            let policy = DeflateConfig::default();
            let agreed = request.extensions.and_then(|offer| negotiate_server_deflate(offer, &policy));
            let header = agreed.as_ref().map(|agreed| agreed.to_response_header());
            let response = build_response(&generate_accept_key(request.key), None, header.as_deref());
            stream.write_all(&response).await?;
            return Ok(agreed.map(|agreed| agreed.config));
        }
    }
}

async fn plain(mut socket: WebSocketStream<TcpStream>) -> Fallible<()> {
    while let Some(message) = socket.next().await {
        if let message @ (Message::Text(_) | Message::Binary(_)) = message? {
            socket.feed(message).await?;
        }
    }
    Ok(())
}

async fn compressed(mut socket: CompressedWebSocketStream<TcpStream>) -> Fallible<()> {
    while let Some(message) = socket.next().await {
        if let message @ (Message::Text(_) | Message::Binary(_)) = message? {
            socket.feed(message).await?;
        }
    }
    Ok(())
}
