//! A client of the Trunkline hub that stays connected: it reconnects by itself, takes its subscriptions up where they
//! were, and says what was lost if anything was.
//!
//! ```no_run
//! use trunkline_client::{Client, Event, SubscribeOptions};
//!
//! # async fn example(ticket: String) -> Result<(), trunkline_client::Error> {
//! let client = Client::builder("ws://127.0.0.1:8101/connect").ticket(ticket).connect().await?;
//! let mut room = client.subscribe("room:1", SubscribeOptions::default()).await?;
//! client.publish("room:1", "hello").await?;
//! while let Some(event) = room.next().await {
//!     match event {
//!         Event::Publication(publication) => println!("{}", publication.data),
//!         Event::Lost(lost) => println!("lost what was between {:?} and {:?}", lost.before, lost.now),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! * Of a subscription, each publication comes once and in order; what cannot come is named, by [`Event::Lost`] or
//!   [`Event::Gap`]. Nothing is lost in silence.
//! * A publish is sent once. If its answer is lost with the connection, the caller is told so:
//!   [`Error::UnknownOutcome`].
//! * It comes back at a random moment that moves out to 20 s, with the session first and a new ticket only when the
//!   session is no longer taken; and not at all when the hub says so.
//! * Every queue is bounded ([`Limits`]). An application that does not take its events slows down nobody but itself.
//!
//! # What it does not
//!
//! No ordering between channels. No storage: what the process forgets, `since` must bring back.

mod builder;
mod client;
mod credential;
mod dial;
mod error;
mod event;
mod limits;
mod link;
mod pace;
mod session;
mod subscription;
mod task;

pub use builder::Builder;
pub use client::{Client, ConnectionEvents};
pub use error::{Error, Misuse};
pub use event::{ConnectionEvent, Ending, Event, Lost};
pub use limits::Limits;
pub use subscription::{SubscribeOptions, Subscription};
/// The types that commands, replies and events are made of.
pub use trunkline_dialect as dialect;
/// How to get to the hub: [`Builder::connector`].
pub use trunkline_net::Connector;
