//! The client's side: from a URL to a connection.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use rand::RngExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use trunkline_websocket::handshake::http1::{self, ResponseReader};
use trunkline_websocket::handshake::{self, Attempt, ConnectOptions, Rejected};
use trunkline_websocket::url::WsUrl;
use trunkline_websocket::{Limits, Role};

use crate::dial::{self, Dialled};
use crate::error::{Error, HandshakeError};
use crate::transport::http1::{read_head, within};
use crate::websocket::WebSocket;

/// The most bytes of a refusal's body that are kept for the error.
const REFUSAL_BODY: u64 = 4096;

/// How long such a body is waited for. A server may keep the connection, and then only its framing would tell the end.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Connects to a `ws:` URL with the default [`Limits`].
///
/// # Errors
///
/// As [`Connector::connect`].
pub async fn connect(url: &str) -> Result<WebSocket<Dialled>, Error> {
    Connector::default().connect(url).await
}

/// How to connect: subprotocols, headers, limits.
///
/// ```no_run
/// # async fn example() -> Result<(), trunkline_net::Error> {
/// let mut socket = trunkline_net::Connector::default()
///     .subprotocol("chat.1")
///     .header("authorization", "Bearer abc")
///     .connect("ws://127.0.0.1:9001/chat")
///     .await?;
/// socket.send("hello").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Connector {
    limits: Arc<Limits>,
    options: ConnectOptions,
    one_at_a_time: bool,
    bad_header: Option<String>,
}

impl Connector {
    /// With other limits.
    #[must_use]
    pub fn limits(self, limits: impl Into<Arc<Limits>>) -> Self {
        Self { limits: limits.into(), ..self }
    }

    /// With one more subprotocol, behind those that are preferred to it.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.options.subprotocols.push(name.into());
        self
    }

    /// Whether a server that chooses none of the subprotocols is refused, as browsers do. Off: RFC 6455 allows it.
    #[must_use]
    pub fn require_subprotocol(mut self, require: bool) -> Self {
        self.options.require_subprotocol = require;
        self
    }

    /// With one more header. Names that the handshake itself sets are refused when connecting.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.options.headers.append(name, value);
            }
            // Told when connecting, so that building stays a chain. The value may be a secret.
            _ => self.bad_header = Some(name.escape_debug().to_string()),
        }
        self
    }

    /// With an `Origin`, as a page has one.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.options.origin = Some(origin.into());
        self
    }

    /// Whether the name and password in a URL are sent as Basic authorization (RFC 7617). Off: they are stripped.
    #[must_use]
    pub fn authorization_from_url(mut self, send: bool) -> Self {
        self.options.authorization_from_url = send;
        self
    }

    /// Whether connections to the same address wait for each other: "there MUST be no more than one connection in a
    /// CONNECTING state" per host (RFC 6455 section 4.1). Off here; `trunkline-client` turns it on.
    #[must_use]
    pub fn one_at_a_time(mut self, one: bool) -> Self {
        self.one_at_a_time = one;
        self
    }

    /// Dials the host of `url` and asks for a WebSocket.
    ///
    /// Name look-up, connecting and the opening handshake together take [`Limits::handshake_timeout`] at most.
    ///
    /// # Errors
    ///
    /// [`Error::Url`], [`Error::Request`], [`Error::Io`], [`Error::TimedOut`]; [`Error::Handshake`] for an answer that
    /// is no WebSocket's: it has the status, the headers and the first 4 KiB of the body.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the attempt is abandoned and its socket closed.
    pub async fn connect(&self, url: &str) -> Result<WebSocket<Dialled>, Error> {
        let url = WsUrl::parse(url)?;
        let attempt = self.attempt(&url)?;
        within(self.limits.handshake_timeout, async {
            let mut last = None;
            for address in dial::look_up(&url).await? {
                let _turn = if self.one_at_a_time { Some(dial::turn(address).await) } else { None };
                match dial::tcp(address).await {
                    Ok(stream) => return self.ask(stream, &attempt).await,
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| dial::no_address(&url)).into())
        })
        .await
    }

    /// Asks for a WebSocket on a stream that is there already; `url` gives the host and resource to name.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn handshake<S>(&self, stream: S, url: &str) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let attempt = self.attempt(&WsUrl::parse(url)?)?;
        within(self.limits.handshake_timeout, self.ask(stream, &attempt)).await
    }

    /// Asks for a WebSocket on a unix socket; `url` gives the host and resource to name.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    #[cfg(unix)]
    pub async fn connect_unix(
        &self,
        path: impl AsRef<std::path::Path>,
        url: &str,
    ) -> Result<WebSocket<tokio::net::UnixStream>, Error> {
        let attempt = self.attempt(&WsUrl::parse(url)?)?;
        within(self.limits.handshake_timeout, async {
            let stream = tokio::net::UnixStream::connect(path).await?;
            self.ask(stream, &attempt).await
        })
        .await
    }

    fn attempt(&self, url: &WsUrl) -> Result<Attempt, Error> {
        if let Some(name) = &self.bad_header {
            let text = format!("the header {name:?} has a name or a value that HTTP does not allow");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text).into());
        }
        Ok(handshake::request(url, &self.options, rand::rng().random())?)
    }

    /// Sends nothing before the answer: some proxies lose what comes with the request.
    async fn ask<S>(&self, mut stream: S, attempt: &Attempt) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        stream.write_all(&http1::write_request(attempt.request())).await?;
        stream.flush().await?;
        let mut reader = ResponseReader::new(&*self.limits);
        let rest = read_head(&mut stream, |input| reader.receive(input)).await?;
        let response = reader.response()?;
        match attempt.verify(&response) {
            Ok(established) => {
                let role = Role::Client(random_mask);
                let socket = WebSocket::from_upgraded(stream, rest, role, Arc::clone(&self.limits));
                Ok(socket.with_subprotocol(established.subprotocol()))
            }
            Err(rejected) => Err(refused(stream, rejected, response, &rest).await),
        }
    }
}

/// A fresh mask from a cryptographically secure generator (RFC 6455 section 10.3), seeded by the system.
pub fn random_mask() -> [u8; 4] {
    rand::rng().random()
}

async fn refused<S: AsyncRead + Unpin>(
    stream: S,
    rejected: Rejected,
    response: http::Response<()>,
    rest: &[u8],
) -> Error {
    let length = response.headers().get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(REFUSAL_BODY);
    let mut body = rest[..rest.len().min(REFUSAL_BODY as usize)].to_vec();
    let missing = length.min(REFUSAL_BODY).saturating_sub(body.len() as u64);
    // These have none (RFC 9112 section 6.3).
    let bodiless = response.status().is_informational() || matches!(response.status().as_u16(), 204 | 304);
    if !bodiless {
        // What there is of the body is worth showing; that it breaks off is not the error to report.
        let _ = timeout(REFUSAL_TIME, stream.take(missing).read_to_end(&mut body)).await;
    }
    let response = Some(response.map(|()| body));
    Error::Handshake(Box::new(HandshakeError { rejected, response }))
}
