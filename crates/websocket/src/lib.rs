//! RFC 6455 whole, for both roles, as pure state machines.
//!
//! This crate reads and writes bytes in memory and does nothing else. It opens no socket, starts no task, takes no
//! lock, looks at no clock and draws no random number: bytes, [`Instant`](std::time::Instant)s and masks come in as
//! arguments, events, bytes and deadlines come out. Input from the remote never makes it fail, panic, loop without
//! progress, or allocate on the word of a length field. It is strict: what the RFC forbids is refused.
//!
//! [`Connection`] is the protocol after the opening handshake; [`handshake`] is the opening handshake as pure
//! functions from a request to a response; [`deflate`] is permessage-deflate (RFC 7692); [`url`] is what `ws:` and `wss:` URLs mean. For sockets and timers around
//! it, use `trunkline-net`.
//!
//! # The run loop
//!
//! **One call that changes the connection, then drain everything, then the next.** Everything is: events, bytes to
//! write, the deadline.
//!
//! ```
//! use std::time::Instant;
//! use bytes::Buf;
//! use trunkline_websocket::{AfterWrite, Connection, Event, Limits, Message, Role};
//!
//! // A server that echoes, driven by hand: this is what a client might have sent.
//! let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let mut written = Vec::new();
//!
//! let now = Instant::now();
//! let mut connection = Connection::new(Role::Server, Limits::default(), now);
//!
//! // 1. Bytes came in: take every event that is in them.
//! let mut replies: Vec<Message> = Vec::new();
//! for event in connection.receive(now, &mut input) {
//!     match event {
//!         Event::Text(text) => replies.push(text.into_owned().into()),
//!         Event::Binary(data) => replies.push(data.into_owned().into()),
//!         Event::Ping(_) | Event::Pong(_) => {}
//!         // Only for who asked for messages piece by piece.
//!         Event::Begin(_) | Event::Piece(_) => {}
//!         Event::Closed(closed) => println!("{closed}"),
//!     }
//! }
//! for reply in replies {
//!     connection.send(reply)?;
//! }
//! // 2. Write what waits; a driver would give `chunks_vectored` to the kernel.
//! while let Some(output) = connection.poll_transmit() {
//!     written.extend_from_slice(output.chunk());
//!     let count = output.chunk().len();
//!     output.advance(count);
//! }
//! assert_eq!(written, b"\x81\x05Hello");
//! // 3. Everything is written: what becomes of the stream?
//! assert_eq!(connection.after_write(), AfterWrite::Read);
//! // 4. Sleep until more bytes come, or until this; then call `handle_timeout` and go through 1 to 4 again, with
//! //    `poll_event` in place of the events of `receive`.
//! let (deadline, why) = connection.poll_timeout().expect("keepalive is on");
//! println!("sleep until {deadline:?}: {why}");
//! # Ok::<(), trunkline_websocket::Misuse>(())
//! ```

// What a remote sends has a length of 64 bits: it is compared before it is made any shorter.
#![cfg_attr(not(test), deny(clippy::cast_possible_truncation))]

mod assembler;
pub mod backoff;
pub mod close;
mod config;
mod connection;
pub mod deflate;
mod error;
mod event;
pub mod frame;
pub mod handshake;
mod keepalive;
mod leniency;
pub mod mask;
mod message;
mod observe;
mod output;
mod pongs;
mod prepared;
mod setup;
mod text;
pub mod url;
pub mod utf8;

pub use close::{Cause, CloseCode, Closed, EndedBy, Why};
pub use config::{Limits, MaskSource, Role};
pub use connection::{AfterWrite, Connection, Events};
pub use error::{Misuse, Violation};
pub use event::{Event, Kind, Piece};
pub use leniency::Leniency;
pub use message::{Message, MessageRef, Utf8Bytes};
pub use observe::{Counters, FrameNote, Observer, Traffic, Way};
pub use output::{Output, OutputBuffer};
pub use prepared::Prepared;
pub use setup::Setup;
