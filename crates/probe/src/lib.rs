//! What does the path between here and there do to two-way traffic?
//!
//! Two ends measure it together. The *far* end is a service of the server: it says what it saw of a request, echoes, sends and
//! checks bulk, and ends connections on command. The *near* end is `trunkline probe`: it asks, compares what both ends saw, and
//! says what that means. What they say to each other is in [`wire`] and, normatively, in docs/protocol.md.
//!
//! # The way of a verdict
//!
//! a measurement (`near`) → [`facts`], which are data and can be kept as JSON → `findings`, a pure function of the facts →
//! a report, a pure function of both.
//!
//! # What this crate never does
//!
//! It never takes a successful send for a delivery, never repeats a credential, and never lets the other end grow a buffer past
//! a named limit. Findings never look at the clock or the network: what they say follows from the facts alone.

pub mod far;
#[cfg(feature = "near")]
pub mod findings;
#[cfg(feature = "near")]
pub mod near;
#[cfg(feature = "near")]
pub mod report;

pub mod pattern;
pub mod pipe;
mod units;
pub mod wire;

#[cfg(feature = "near")]
pub mod facts;
