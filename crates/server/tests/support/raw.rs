//! Bytes on a socket, and HTTP answers read without anybody's HTTP library.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// The example key of RFC 6455 §1.3, and its answer.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value; `None` if it is not there, the last one if it is there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).last()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

pub(crate) async fn dial(address: SocketAddr) -> TcpStream {
    within(TcpStream::connect(address)).await.expect("the server listens")
}

/// Writes a request and reads the answer to its very end: the server has to close.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = dial(address).await;
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let answer = read_answer(&mut stream).await;
    assert_eq!(rest(&mut stream).await, "", "nothing comes after the answer");
    answer
}

/// Everything until the stream ends.
pub(crate) async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).expect("text")
}

/// Reads one answer, its body by its length, and nothing after it.
pub(crate) async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = within(stream.read_u8()).await;
        head.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head))));
    }
    let head = String::from_utf8(head).expect("a head in ASCII");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut answer = Answer { status, head, body: String::new() };
    if let Some(length) = answer.header("content-length").map(|length| length.parse().expect("a length")) {
        let mut body = vec![0; length];
        within(stream.read_exact(&mut body)).await.expect("as much body as announced");
        answer.body = String::from_utf8(body).expect("a body in UTF-8");
    }
    answer
}

/// `POST` of a JSON body, with or without the API key.
pub(crate) async fn post(address: SocketAddr, path: &str, key: Option<&str>, body: &str) -> Answer {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{key}Content-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    ask(address, &request).await
}

/// A correct upgrade of `path`, with `more` header lines (each with its CR LF).
pub(crate) fn upgrade(address: SocketAddr, path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// A text frame as a client sends it. The mask is all zeros: legal, and readable in a dump.
pub(crate) fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).expect("a short text");
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// One short frame of the server's: its first byte and its payload.
pub(crate) async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> (u8, Vec<u8>) {
    let first = within(stream.read_u8()).await.expect("a frame");
    let length = match within(stream.read_u8()).await.expect("a length") {
        126 => usize::from(within(stream.read_u16()).await.expect("a length")),
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    within(stream.read_exact(&mut payload)).await.expect("a payload");
    (first, payload)
}
