//! What all peers here have in common: the listener, and an upgrade by hand for libraries that have none.
//!
//! Each is a program `PEER ADDRESS [VARIANT]`, on one thread of tokio, because the runner gives every server one core.

use std::error::Error;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Hands every connection to `handle`, with the variant.
pub fn serve<F, H>(handle: F) -> Fallible<()>
where
    F: Fn(TcpStream, &'static str) -> H,
    H: Future<Output = Fallible<()>> + Send + 'static,
{
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: PEER ADDRESS [VARIANT]")?;
    let variant: &'static str = arguments.next().unwrap_or_default().leak();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on ws://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let served = handle(stream, variant);
            tokio::spawn(async move {
                // A client that goes without a word is a client that is gone.
                let _ = served.await;
            });
        }
    })
}

/// Answers an upgrade, and gives back what it offered in `Sec-WebSocket-Extensions`, which was agreed to as it stands.
pub async fn upgrade(stream: &mut TcpStream) -> Fallible<Option<String>> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err("no request".into());
        }
    }
    let head = String::from_utf8(head)?;
    let key = field(&head, "Sec-WebSocket-Key").ok_or("no key")?;
    let offer = field(&head, "Sec-WebSocket-Extensions");
    let accept = BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    let agreed = offer.map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n")).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{agreed}\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(offer.map(str::to_owned))
}

fn field<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}
