//! `Upgrade: TLS/1.2` (RFC 2817), the client's side: TLS on a stream that began in plaintext.

use std::io;

use tokio::io::AsyncReadExt;
use trunkline_websocket::handshake::http1::ResponseReader;
use trunkline_websocket::handshake::request_tls_upgrade;
use trunkline_websocket::url::WsUrl;

use crate::connect::{Connector, exchange};
use crate::dial::{Dialled, Protocols};
use crate::error::{Error, HandshakeError};
use crate::transport::http1::read_head;

/// The longest body of an answer to `OPTIONS *`, which nobody wants to see.
const BODY: usize = 16 << 10;

/// Asks for TLS, shakes hands, and reads the answer to what was asked: then the stream is as one on which nothing was said.
pub(super) async fn tls_upgrade(way: &Connector, mut stream: Dialled, url: &WsUrl) -> Result<Dialled, Error> {
    let attempt = request_tls_upgrade(url);
    let (response, rest) = exchange(&mut stream, attempt.request(), &way.limits).await?;
    if let Err(rejected) = attempt.verify(&response) {
        let response = Some(response.map(|()| Vec::new()));
        return Err(Error::Handshake(Box::new(HandshakeError { rejected, response })));
    }
    if !rest.is_empty() {
        // What comes in plaintext would be read as if it had come inside TLS.
        return Err(invalid("there are bytes between the answer to Upgrade: TLS/1.2 and TLS"));
    }
    let secured = way.dialler.tls.connect(url.host(), Protocols::Http1, stream).await;
    let mut stream = secured.map_err(|cause| {
        let way = crate::dial::Way { to: crate::dial::host_and_port(url), proxy: None };
        Error::from(way.failed(crate::dial::Phase::Tls, cause))
    })?;
    let mut reader = ResponseReader::new(&*way.limits);
    let rest = read_head(&mut stream, |input| reader.receive(input)).await?;
    let response = reader.response()?;
    let has_body = !matches!(response.status().as_u16(), 204 | 304);
    let length = match response.headers().get(http::header::CONTENT_LENGTH) {
        _ if !has_body => 0,
        Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    if length > BODY || rest.len() > length {
        return Err(invalid("the answer to OPTIONS * has a body whose end is not told, or is far away"));
    }
    let mut body = vec![0; length - rest.len()];
    stream.read_exact(&mut body).await?;
    Ok(stream)
}

fn invalid(words: &str) -> Error {
    io::Error::new(io::ErrorKind::InvalidData, words).into()
}
