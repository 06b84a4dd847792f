//! Strict, small, cancel-safe WebSockets.
//!
//! This is the crate to depend on; it re-exports what a user of the WebSocket stack needs. The parts behind it are
//! [`trunkline_net`](https://docs.rs/trunkline-net), which drives connections over any byte stream, and
//! `trunkline-websocket`, RFC 6455 as a pure state machine.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `client` | [`hub`]: a client of the Trunkline server that reconnects and recovers |
//! | `server` | [`server`]: the Trunkline server, to embed it |
//! | `tls` | TLS in both roles, `wss:` URLs; the binary chooses the cryptography |
//! | `http2` | WebSockets in HTTP/2 connections (RFC 8441), both roles |
//! | `proxy` | HTTP CONNECT and SOCKS5 proxies, those of the environment too |
//! | `stream` | [`stream`]: bytes both ways through any HTTP infrastructure, unframed |
//! | `acme` | certificates by ACME |
//!
//! A server that echoes:
//!
//! ```no_run
//! # async fn example() -> Result<(), trunkline::Error> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
//! loop {
//!     let (stream, _) = listener.accept().await?;
//!     trunkline::tcp::configure(&stream)?;
//!     tokio::spawn(async move {
//!         let mut socket = trunkline::accept(stream).await?;
//!         while let Some(message) = socket.recv().await {
//!             socket.send(message?).await?;
//!         }
//!         Ok::<(), trunkline::Error>(())
//!     });
//! }
//! # }
//! ```
//!
//! A client:
//!
//! ```no_run
//! # async fn example() -> Result<(), trunkline::Error> {
//! let mut socket = trunkline::connect("ws://127.0.0.1:9001/").await?;
//! socket.send("hello").await?;
//! if let Some(reply) = socket.recv().await {
//!     println!("{:?}", reply?);
//! }
//! let closed = socket.close(trunkline::CloseCode::NORMAL, "").await?;
//! println!("{closed}");
//! # Ok(())
//! # }
//! ```

pub use trunkline_net::*;

/// The client of the Trunkline hub.
#[cfg(feature = "client")]
pub use trunkline_client as hub;

/// The Trunkline server.
#[cfg(feature = "server")]
pub use trunkline_server as server;

/// What the README shows has to compile.
#[cfg(all(doctest, feature = "http2", feature = "proxy", feature = "tls"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
