//! web-socket over buffered reading and writing, flushed when all that was read is answered. It reads a frame in three
//! small reads, so it needs the one, and it writes at once, so it needs the other. Text is checked here: it leaves that to
//! its user. It has no upgrade.

use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use trunkline_bench_peers::{Fallible, serve, upgrade};
use web_socket::{CloseCode, DataType, Event, MessageType, WebSocket};

const BUFFER: usize = 16 << 10;

fn main() -> Fallible<()> {
    serve(|stream, _| echo(stream))
}

async fn echo(mut stream: TcpStream) -> Fallible<()> {
    upgrade(&mut stream).await?;
    let buffered = BufReader::with_capacity(BUFFER, BufWriter::with_capacity(BUFFER, stream));
    let mut socket = WebSocket::server(buffered);
    loop {
        match socket.recv().await? {
            Event::Data { ty: DataType::Complete(MessageType::Text), data } => {
                socket.send(std::str::from_utf8(&data)?).await?;
            }
            Event::Data { ty: DataType::Complete(MessageType::Binary), data } => socket.send(&*data).await?,
            // The load has no fragments.
            Event::Data { .. } => return Err("fragments are not put together here".into()),
            Event::Ping(data) => socket.send_pong(data).await?,
            Event::Pong(_) => {}
            Event::Error(_) => return Ok(socket.close(CloseCode::ProtocolError).await?),
            Event::Close { .. } => return Ok(socket.close(()).await?),
        }
        if socket.stream.buffer().is_empty() {
            socket.stream.flush().await?;
        }
    }
}
