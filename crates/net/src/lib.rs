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
//! The protocol itself is `trunkline-websocket`, which knows no sockets; here bytes move. Nothing is spawned: a
//! [`WebSocket`] works while one of its methods is awaited. Every bound is in [`Limits`].

mod accept;
mod connect;
mod dial;
mod error;
mod scratch;
mod transport;
mod websocket;

pub use accept::{Acceptor, accept};
pub use connect::{Connector, connect, random_mask};
pub use dial::Dialled;
pub use error::{Error, HandshakeError};
pub use transport::{http1, tcp};
pub use trunkline_websocket::handshake;
pub use trunkline_websocket::url;
pub use trunkline_websocket::{
    Cause, CloseCode, Closed, Limits, Message, Misuse, Prepared, Role, Utf8Bytes, Violation, Why, backoff,
};
pub use websocket::{Ended, Receiver, Sender, WebSocket};
