//! Raw streams: bytes both ways at once through anything that passes HTTP, with nothing of ours among them.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! let mut stream = trunkline_net::stream::connect("wss://hub.example/stream/echo").await?;
//! stream.write_all(b"hello").await?;
//! stream.shutdown().await?;
//! let mut answer = Vec::new();
//! stream.read_to_end(&mut answer).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A client asks by an HTTP/1.1 upgrade to [`UPGRADE`], and where the way lets only WebSockets through by one of those, with the
//! subprotocol [`SUBPROTOCOL`]: [`Connector`]. What carries the bytes does not change what they mean.
//!
//! [`Relay`] carries bytes between two streams, [`Echo`] from one to itself. [`Messages`] makes a stream of a WebSocket.

mod buffer;
mod client;
mod direction;
mod messages;
mod opened;
pub mod quiet;
mod relay;

pub use client::{Carrier, Connector, connect};
pub use messages::Messages;
pub use opened::Stream;
pub use quiet::Refused;
pub use relay::{Bounds, Carried, Echo, Relay, Why};

/// The token of `Upgrade`, and of `:protocol` over HTTP/2.
pub const UPGRADE: &str = "stream";

/// The WebSocket subprotocol in whose binary messages the bytes ride where only WebSockets pass.
pub const SUBPROTOCOL: &str = "stream.1";

/// Where a service is asked for without a word of ours before the server has said who it is.
pub const QUIET_PATH: &str = "/.well-known/trunkline";

/// Where services are asked for by name: this, and the name behind it.
pub const NAMED_PATH: &str = "/stream/";

/// The header by which a server says that it is one of these; its value is a version.
pub const IDENTITY: http::HeaderName = http::HeaderName::from_static("trunkline");
