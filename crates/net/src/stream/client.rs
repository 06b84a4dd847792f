//! The client's side: from a URL to a raw stream.

use std::fmt;
use std::io;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use trunkline_websocket::handshake::{ConnectOptions, request_upgrade};
use trunkline_websocket::url::WsUrl;

use super::messages::Messages;
use super::opened::Stream;
use super::quiet::{self, Answer, Asked};
use super::{IDENTITY, NAMED_PATH, QUIET_PATH, SUBPROTOCOL, UPGRADE};
use crate::connect::refusal::with_body;
use crate::connect::{self, Hop, exchange, in_handshake};
use crate::dial::{DialCause, Dialled, Phase, Protocols, Reached, Watch, Way, host_and_port};
use crate::error::{Error, HandshakeError};
use crate::transport::http1::Rewind;

/// Where a ticket goes in a request: servers and proxies log URLs.
const TICKET: http::HeaderName = http::HeaderName::from_static("x-auth-token");

/// One read of the answer to what was asked quietly; it fits.
const CHUNK: usize = 256;

/// Opens a raw stream to `url`, as [`Connector::connect`] does with nothing set.
///
/// # Errors
///
/// As [`Connector::connect`].
pub async fn connect(url: &str) -> Result<Stream, Error> {
    Connector::default().connect(url).await
}

/// What carries a raw stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// Nothing but the stream below: `Upgrade: stream`.
    Upgrade,
    /// The binary messages of a WebSocket, subprotocol `stream.1`.
    WebSocket,
}

/// How to open raw streams: by which carrier, with which ticket, and on which way to the host.
///
/// ```no_run
/// # async fn example() -> Result<(), trunkline_net::Error> {
/// use trunkline_net::stream;
///
/// let way = trunkline_net::Connector::default().redirects(3);
/// let stream = stream::Connector::new(way).ticket("...").connect("wss://hub.example/stream/ssh").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Connector {
    way: connect::Connector,
    carrier: Option<Carrier>,
    ticket: Option<String>,
    loud: bool,
}

impl Connector {
    /// On the way, and with the headers and limits, of a WebSocket's connector. Its subprotocols mean nothing here, and its
    /// compression and HTTP/2 only where a WebSocket carries the stream.
    #[must_use]
    pub fn new(way: connect::Connector) -> Self {
        Self { way, ..Self::default() }
    }

    /// By this carrier alone. Unless told: by an upgrade, and where something on the path answers that with no, by a WebSocket.
    #[must_use]
    pub fn carrier(self, carrier: Carrier) -> Self {
        Self { carrier: Some(carrier), ..self }
    }

    /// With a ticket, for a service that wants one. One in the URL (`?ticket=`) does as well, for a named service.
    #[must_use]
    pub fn ticket(self, ticket: impl Into<String>) -> Self {
        Self { ticket: Some(ticket.into()), ..self }
    }

    /// Asks for a named service by its path and with the connector's headers. Unless told it is asked for quietly.
    #[must_use]
    pub fn by_name(self) -> Self {
        Self { loud: true, ..self }
    }

    /// Dials the host of `url` (`ws:`, `wss:`, `http:` or `https:`) and opens a stream.
    ///
    /// A path of `/stream/<name>` is a named service, and is asked for quietly: a request for [`QUIET_PATH`] with no header but
    /// `Host`, `Connection` and `Upgrade`, and once the server has said who it is the name and the ticket. Any other path is
    /// asked for as it is, with the connector's headers and the ticket; whatever is behind it gets the bytes.
    ///
    /// Nothing is sent before the answer: some proxies lose what comes with the request. Bytes that come with the answer are the
    /// first to be read. Redirects are followed as the connector allows, but none in the quiet form, in which a ticket would
    /// be told to wherever they lead.
    ///
    /// # Errors
    ///
    /// As [`trunkline_net::Connector::connect`](connect::Connector::connect), and [`Error::Service`] if the server says why the
    /// service is not to be had. If both carriers were tried it is the second's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the attempt is abandoned and its socket closed.
    pub async fn connect(&self, url: &str) -> Result<Stream, Error> {
        self.connect_to(WsUrl::parse_whatwg(url, None)?).await
    }

    /// As [`connect`](Self::connect), to a URL that was parsed already.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_to(&self, url: WsUrl) -> Result<Stream, Error> {
        let plan = Plan::of(self, url)?;
        let watch = plan.way.watch();
        if self.carrier != Some(Carrier::WebSocket) {
            match plan.by_upgrade(&watch).await {
                Ok(upgraded) => return plan.ask_upgraded(upgraded, &watch).await,
                Err(error) if self.carrier.is_none() && may_pass_as_websocket(&error) => {
                    tracing::debug!(%error, "an upgrade to a stream does not pass; trying a WebSocket");
                }
                Err(error) => return Err(error),
            }
        }
        plan.by_websocket(&watch).await
    }
}

/// What a call to connect is going to do.
struct Plan {
    way: connect::Connector,
    url: WsUrl,
    /// What to say once the server has said who it is; `None` where the path says all.
    asked: Option<Asked>,
}

/// A stream on which the server has switched protocols.
struct Upgraded {
    stream: Rewind<Dialled>,
    way: Way,
    /// Whether it said that it is one of ours.
    is_ours: bool,
}

impl Plan {
    fn of(connector: &Connector, url: WsUrl) -> Result<Self, Error> {
        let mut way = connector.way.clone();
        way.options.subprotocols = vec![SUBPROTOCOL.to_owned()];
        way.options.require_subprotocol = true;
        let named = named(&url).filter(|_| !connector.loud);
        let Some((service, in_url)) = named else {
            if let Some(ticket) = &connector.ticket {
                way = way.secret_header(TICKET.as_str(), ticket);
            }
            return Ok(Self { way, url, asked: None });
        };
        let ticket = connector.ticket.clone().or(in_url);
        let (subprotocols, require_subprotocol) = (way.options.subprotocols, true);
        way.options = ConnectOptions { subprotocols, require_subprotocol, ..ConnectOptions::default() };
        way.redirects = 0;
        let quiet = format!("{}://{}{QUIET_PATH}", url.scheme(), url.authority());
        Ok(Self { way, url: WsUrl::parse(&quiet)?, asked: Some(Asked { service, ticket }) })
    }

    fn first_hop(&self) -> Result<Hop, Error> {
        Ok(self.way.first_hop_to(self.url.clone())?.with_redirects(self.way.redirects))
    }

    async fn by_upgrade(&self, watch: &Watch) -> Result<Upgraded, Error> {
        let mut hop = self.first_hop()?;
        loop {
            match self.upgrade(&hop, watch).await {
                Err(Error::Handshake(refused)) if self.way.redirects > 0 => hop = hop.follow(*refused)?,
                result => return result,
            }
        }
    }

    async fn upgrade(&self, hop: &Hop, watch: &Watch) -> Result<Upgraded, Error> {
        let attempt = request_upgrade(&hop.url, UPGRADE, &hop.options)?;
        let Reached { mut stream, turn: _turn, way } =
            self.way.reach(&hop.url, watch, Protocols::Http1).await?;
        let exchange = exchange(&mut stream, attempt.request(), &self.way.limits);
        let answer = watch.bound(Phase::Handshake, &way, exchange).await?;
        let (response, rest) = answer.map_err(|error| in_handshake(error, &way))?;
        if let Err(rejected) = attempt.verify(&response) {
            let response = Some(with_body(stream, response, &rest, watch).await);
            return Err(Error::Handshake(Box::new(HandshakeError { rejected, response })));
        }
        let is_ours = response.headers().contains_key(IDENTITY);
        Ok(Upgraded { stream: Rewind::new(rest, stream), way, is_ours })
    }

    /// From here on the server is the one that was meant, or none: what goes wrong is tried no second time.
    async fn ask_upgraded(&self, upgraded: Upgraded, watch: &Watch) -> Result<Stream, Error> {
        let Upgraded { stream, way, is_ours } = upgraded;
        let Some(asked) = &self.asked else { return Ok(Stream::bare(stream)) };
        if !is_ours {
            let words = "the server upgrades to a stream and does not say that it is a Trunkline";
            return Err(io::Error::new(io::ErrorKind::InvalidData, words).into());
        }
        let (stream, rest) = ask(stream, asked, &way, watch).await?;
        let (unread, stream) = stream.into_parts();
        Ok(Stream::bare(Rewind::new(joined(rest, unread), stream)))
    }

    async fn by_websocket(&self, watch: &Watch) -> Result<Stream, Error> {
        let socket = self.way.connect_within(self.first_hop()?, watch).await?;
        let way = Way { to: host_and_port(&self.url), proxy: None };
        let messages = Messages::new(socket);
        let Some(asked) = &self.asked else {
            return Ok(Stream::messages(Rewind::new(Bytes::new(), messages)));
        };
        // That it speaks the subprotocol says who it is.
        let (messages, rest) = ask(messages, asked, &way, watch).await?;
        Ok(Stream::messages(Rewind::new(rest, messages)))
    }
}

/// The service's name and the ticket in a URL that names one. No other path, and no other query, is a name's.
fn named(url: &WsUrl) -> Option<(String, Option<String>)> {
    let (path, query) = match url.resource_name().split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url.resource_name(), None),
    };
    let name = path.strip_prefix(NAMED_PATH)?;
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/%".contains(&byte));
    let ticket = match query {
        None => None,
        // A ticket is base64url: what would have to be decoded is none.
        Some(query) => {
            Some(query.strip_prefix("ticket=").filter(|ticket| !ticket.contains(['&', '%', '+']))?)
        }
    };
    is_name.then(|| (name.to_owned(), ticket.map(str::to_owned)))
}

/// Asks for a service, and reads the answer; what was read behind it comes too.
async fn ask<S>(mut stream: S, asked: &Asked, way: &Way, watch: &Watch) -> Result<(S, Bytes), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let asking = async {
        stream.write_all(&quiet::write(asked)).await?;
        stream.flush().await?;
        let mut read = Vec::with_capacity(CHUNK);
        let mut looked = 0;
        loop {
            if let Some(end) = quiet::end_of_line(&read, looked).map_err(invalid)? {
                let rest = read.split_off(end);
                return Ok::<_, io::Error>((
                    serde_json::from_slice(&read).map_err(invalid)?,
                    Bytes::from(rest),
                ));
            }
            looked = read.len();
            if stream.read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    let answer = watch.bound(Phase::Handshake, way, asking).await?;
    match answer.map_err(|error| Error::from(way.failed(Phase::Handshake, error.into())))? {
        (Answer::Ok(_), rest) => Ok((stream, rest)),
        (Answer::Error(refused), _) => Err(Box::new(refused).into()),
    }
}

fn invalid(error: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer to what was asked is none: {error}"))
}

fn joined(first: Bytes, second: Bytes) -> Bytes {
    if second.is_empty() { first } else { [first, second].concat().into() }
}

/// Whether it was the upgrade that did not pass, so that another one may. What one of our servers says of the service itself is
/// an answer.
fn may_pass_as_websocket(error: &Error) -> bool {
    match error {
        Error::Handshake(refused) => refused.response.as_ref().is_none_or(|response| {
            let of_the_service = matches!(
                response.status(),
                StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
                    | StatusCode::NOT_FOUND
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            let ours = response.headers().contains_key(IDENTITY);
            !(of_the_service && ours) && response.status() != StatusCode::SWITCHING_PROTOCOLS
        }),
        // What does not know an upgrade may also just close.
        Error::Dial(failed) => {
            failed.phase == Phase::Handshake && matches!(failed.cause, DialCause::Ended | DialCause::Io(_))
        }
        _ => false,
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("way", &self.way)
            .field("carrier", &self.carrier)
            .field("by_name", &self.loud)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_names_a_service_and_nothing_else_is_asked_for_quietly() {
        for (url, expected) in [
            ("ws://h/stream/echo", Some(("echo", None))),
            ("ws://h/stream/echo?ticket=a-b_c", Some(("echo", Some("a-b_c")))),
            ("ws://h/stream/echo?ticket=a%2Db", None),
            ("ws://h/stream/echo?x=1", None),
            ("ws://h/stream/echo?ticket=a&x=1", None),
            ("ws://h/stream/", None),
            ("ws://h/stream/a/b", None),
            ("ws://h/stream/a%20b", None),
            ("ws://h/echo", None),
        ] {
            let url = WsUrl::parse(url).expect("a URL");
            let named = named(&url);
            let named = named.as_ref().map(|(name, ticket)| (name.as_str(), ticket.as_deref()));
            assert_eq!(named, expected, "{url}");
        }
    }

    #[test]
    fn in_the_quiet_form_no_header_of_the_application_is_sent() {
        let way =
            connect::Connector::default().header("authorization", "Bearer x").origin("http://h").redirects(3);
        let connector = Connector::new(way).ticket("secret");
        let url = WsUrl::parse("wss://ann:pw@h:444/stream/echo").expect("a URL");
        let plan = Plan::of(&connector, url.clone()).expect("it can be asked");
        assert_eq!(plan.url.to_string(), "wss://h:444/.well-known/trunkline");
        assert!(plan.url.userinfo().is_none() && plan.way.options.headers.is_empty());
        assert!(plan.way.options.origin.is_none() && plan.way.redirects == 0);
        assert_eq!(plan.asked.and_then(|asked| asked.ticket).as_deref(), Some("secret"));
        let loud = Plan::of(&connector.by_name(), url).expect("it can be asked");
        assert_eq!(loud.way.options.headers["x-auth-token"], "secret");
        assert!(loud.asked.is_none());
    }
}
