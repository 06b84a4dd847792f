//! WebSocket connections over any byte stream: accept, connect, keepalive, limits.
//!
//! A server that echoes:
//!
//! ```no_run
//! # async fn example() -> Result<(), trunkline_net::Error> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
//! let (stream, _) = listener.accept().await?;
//! trunkline_net::tcp::configure(&stream)?;
//! let mut socket = trunkline_net::accept(stream).await?;
//! while let Some(message) = socket.recv().await {
//!     socket.send(message?).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A client:
//!
//! ```no_run
//! # async fn example() -> Result<(), trunkline_net::Error> {
//! let mut socket = trunkline_net::connect("ws://127.0.0.1:9001/").await?;
//! socket.send("hello").await?;
//! let reply = socket.recv().await;
//! # Ok(())
//! # }
//! ```
//!
//! A message of any length, without holding it:
//!
//! ```no_run
//! # async fn example(mut socket: trunkline_net::WebSocket<tokio::net::TcpStream>) -> Result<(), trunkline_net::Error> {
//! # use trunkline_net::Kind;
//! if let Some(reader) = socket.recv_stream().await {
//!     let mut reader = reader?;
//!     while let Some(piece) = reader.next().await {
//!         println!("{} bytes more", piece?.len());
//!     }
//! }
//! let mut writer = socket.send_stream(Kind::Binary)?;
//! writer.write(b"a piece").await?;
//! writer.finish().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The protocol itself is `trunkline-websocket`, which knows no sockets; here bytes move. Nothing is spawned but a task
//! that a client's HTTP/2 connection needs, and one for each runtime that keeps the deadlines of all its connections: a [`WebSocket`] works while one of its methods is awaited. Every bound is in
//! [`Limits`].
//!
//! # Features
//!
//! None is on by default, and none changes what the rest does.
//!
//! | feature | adds |
//! | --- | --- |
//! | `tls` | `wss:` URLs, and TLS by rustls for both roles: the module `tls`, `Connector::tls` |
//! | `http2` | WebSockets in HTTP/2 connections (RFC 8441), both roles: the module `http2`, `Connector::http2` |
//! | `proxy` | clients behind HTTP and SOCKS5 proxies: `Connector::proxy` |
//! | `stream` | raw streams, the client's side, and what relays them: the module `stream` |
//! | `acme` | certificates by ACME (RFC 8555, TLS-ALPN-01): the module `acme` |

// What a remote sends has a length of 64 bits: it is compared before it is made any shorter.
#![cfg_attr(not(test), deny(clippy::cast_possible_truncation))]

mod accept;
mod connect;
#[cfg_attr(
    not(all(feature = "http2", feature = "proxy", feature = "tls")),
    allow(dead_code, reason = "what only one of the ways to a host needs")
)]
mod dial;
mod error;
mod plain;
mod scratch;
mod shelf;
#[cfg(feature = "stream")]
pub mod stream;
mod timers;
mod transport;
mod websocket;

pub use accept::{Acceptor, accept};
#[cfg(feature = "http2")]
pub use connect::Http2;
pub use connect::{Connector, RedirectError, RedirectProblem, connect, random_mask};
#[cfg(feature = "proxy")]
pub use dial::proxy::{ProxyPolicy, ProxyUrl, ProxyUrlError};
pub use dial::{Addresses, DialCause, DialError, Dialled, Phase, Resolve, Timeouts};
pub use error::{Error, HandshakeError};
pub use plain::{Plain, Silence};
pub use shelf::shelf;
#[cfg(feature = "acme")]
pub use transport::acme;
#[cfg(feature = "http2")]
pub use transport::http2;
#[cfg(feature = "tls")]
pub use transport::tls;
pub use transport::{forwarded, http1, proxy_protocol, tcp};
pub use trunkline_websocket::deflate::{self, DeflateConfig};
pub use trunkline_websocket::handshake;
pub use trunkline_websocket::url;
pub use trunkline_websocket::{
    Cause, CloseCode, Closed, Counters, EndedBy, Kind, Leniency, Limits, Message, MessageRef, Misuse,
    Prepared, Role, Setup, Traffic, Utf8Bytes, Violation, Why, backoff,
};
pub use websocket::{Ended, MessageReader, MessageWriter, Received, Receiver, Replies, Sender, WebSocket};
