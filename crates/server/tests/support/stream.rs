//! Raw streams by hand: a request as bytes, its 101, and then whatever a service says.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Running, raw, within};

/// The request for an upgrade to a stream, with more fields.
pub(crate) fn request(server: &Running, path: &str, fields: &str) -> String {
    let host = server.address;
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: stream\r\n{fields}\r\n")
}

/// A stream that was opened by this request and these bytes behind it.
pub(crate) async fn open(server: &Running, path: &str, fields: &str, early: &[u8]) -> TcpStream {
    let mut stream = raw::dial(server.address).await;
    stream.write_all(request(server, path, fields).as_bytes()).await.expect("the server reads");
    stream.write_all(early).await.expect("the server reads");
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

/// An answer's head, and not a byte more.
pub(crate) async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.expect("the server answers"));
    }
    String::from_utf8(head).expect("a head is text")
}

/// One line, and not a byte more.
pub(crate) async fn line(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(within(stream.read_u8()).await.expect("the server answers"));
    }
    String::from_utf8(line).expect("a line is text")
}

/// Reads as many bytes as `expected` has, and they are it.
pub(crate) async fn expect(stream: &mut (impl AsyncRead + Unpin), expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    within(stream.read_exact(&mut read)).await.expect("the bytes come");
    assert!(read == expected, "{} bytes, not those that were sent", read.len());
}

/// What comes until the end.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.expect("the stream ends in order");
    rest
}

/// Says so and hears it back.
pub(crate) async fn echoes(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), said: &[u8]) {
    stream.write_all(said).await.expect("it is taken");
    stream.flush().await.expect("it is taken");
    expect(stream, said).await;
}
