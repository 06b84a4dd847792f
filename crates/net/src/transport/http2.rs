//! WebSockets in HTTP/2 connections (RFC 8441): many of them in one, beside ordinary requests.
//!
//! A server that echoes, on one stream on which a client speaks HTTP/2 ([`sniff`] tells, or ALPN):
//!
//! ```no_run
//! # async fn example(stream: tokio::net::TcpStream) -> Result<(), trunkline_net::Error> {
//! use trunkline_net::Acceptor;
//! use trunkline_net::http2::{Http2Limits, Sockets};
//!
//! let mut sockets = Sockets::start(stream, Acceptor::default(), &Http2Limits::default()).await?;
//! while let Some(socket) = sockets.accept().await {
//!     let Ok(mut socket) = socket else { continue };
//!     tokio::spawn(async move {
//!         while let Some(Ok(message)) = socket.recv().await {
//!             if socket.send(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     });
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Server`] is the floor below, for servers that answer ordinary requests too. [`Session`] is the client's side.
//!
//! # How a stream ends
//!
//! "The TCP FIN is represented by END_STREAM [...], a TCP RST by RST_STREAM with CANCEL" (RFC 8441 section 5), so a
//! [`Stream`] that is shut down sends END_STREAM, and one that is dropped before sends RST_STREAM. An empty DATA frame is
//! neither.
//!
//! # Two flow controls
//!
//! A WebSocket whose application stops reading stops its own stream when [`Http2Limits::stream_window`] bytes wait, and
//! no other: the connection's window is as large as the windows of all streams together. What waits to be written is
//! bounded for each stream by [`Http2Limits::send_buffer`], and never more than the remote has granted, so that nothing
//! is stuck in a stream that was given up, unless the remote takes back what it granted.

mod client;
mod error;
mod exchange;
mod field;
mod flow;
mod inbound;
mod keepalive;
mod limits;
mod server;
mod sniff;
mod sockets;
mod stream;

pub use client::Session;
pub use error::Http2Error;
pub use exchange::{Body, Connect, Exchange};
pub use limits::Http2Limits;
pub use server::{Incoming, Server};
pub use sniff::{ALPN, Http, sniff};
pub use sockets::Sockets;
pub use stream::Stream;
