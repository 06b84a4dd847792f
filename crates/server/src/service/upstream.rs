//! Services that somebody else provides: another server's socket, or its upgrade.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use trunkline_net::{Connector, Error, Timeouts, stream};

use super::Visit;
use crate::config::UpstreamAddress;

/// Where a service is, and how long it may take to be there.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) address: UpstreamAddress,
    pub(super) patience: Duration,
}

/// An upstream that waits for bytes.
pub(crate) enum Connected {
    Tcp(TcpStream),
    Unix(UnixStream),
    Http(Box<stream::Stream>),
}

/// Why an upstream is not to be had. Clients are told the status and nothing of where it is or what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// It is not there, or does not do what it should.
    Failed,
    /// It was not there in time.
    TooSlow,
    /// It does not let this client in.
    Refused(StatusCode),
}

impl Upstream {
    /// Reaches it. What goes wrong is logged with its reason.
    pub(super) async fn connect(
        &self,
        service: &str,
        visit: &Visit,
        hand_on: bool,
    ) -> Result<Connected, Unavailable> {
        let connecting = async {
            Ok(match &self.address {
                UpstreamAddress::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    trunkline_net::tcp::configure(&stream)?;
                    Connected::Tcp(stream)
                }
                UpstreamAddress::Unix(path) => Connected::Unix(UnixStream::connect(path).await?),
                UpstreamAddress::Http(url) => {
                    let way = self.way(visit, hand_on);
                    let connector = stream::Connector::new(way).by_name();
                    Connected::Http(Box::new(connector.connect_to(url.clone()).await?))
                }
            })
        };
        let result = tokio::time::timeout(self.patience, connecting).await;
        let why = match result {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => {
                tracing::warn!(service, upstream = %self.address, %error, "an upstream cannot be reached");
                refusal_of(&error)
            }
            Err(_) => {
                tracing::warn!(service, upstream = %self.address, "an upstream could not be reached in time");
                Unavailable::TooSlow
            }
        };
        Err(why)
    }

    /// The way to another server, with what it is to know of the client.
    fn way(&self, visit: &Visit, hand_on: bool) -> Connector {
        let timeouts = Timeouts { whole: Some(self.patience), ..Timeouts::default() };
        let way = Connector::default().timeouts(timeouts);
        let request = visit.request.as_ref().filter(|_| hand_on);
        request
            .into_iter()
            .flat_map(|request| credentials(request.headers()))
            .fold(way, |way, (name, value)| way.secret_header(name, &String::from_utf8_lossy(value)))
    }
}

/// What a request says of who it is: for an upstream that judges that itself.
fn credentials(headers: &HeaderMap) -> impl Iterator<Item = (&'static str, &[u8])> {
    let names = ["authorization", "x-auth-token"];
    names.into_iter().filter_map(|name| Some((name, headers.get(name)?.as_bytes())))
}

/// What the client is told: the upstream's word, if that is about the client.
fn refusal_of(error: &Error) -> Unavailable {
    let status = match error {
        Error::Handshake(refused) => refused.response.as_ref().map(http::Response::status),
        _ => None,
    };
    match status {
        Some(StatusCode::UNAUTHORIZED) => Unavailable::Refused(StatusCode::UNAUTHORIZED),
        Some(StatusCode::FORBIDDEN) => Unavailable::Refused(StatusCode::FORBIDDEN),
        _ if error.is_timeout() => Unavailable::TooSlow,
        _ => Unavailable::Failed,
    }
}

impl fmt::Display for UpstreamAddress {
    /// Without path and query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(url) => write!(f, "{}://{}", url.scheme(), url.authority()),
        }
    }
}

macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Connected::Tcp($stream) => $call,
            Connected::Unix($stream) => $call,
            Connected::Http($stream) => $call,
        }
    };
}

impl AsyncRead for Connected {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Connected {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
