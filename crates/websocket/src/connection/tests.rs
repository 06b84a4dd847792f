//! The machine by the RFC's sections, each rule a test named after what the connection does.

use std::borrow::Cow;

use bytes::Buf;

use super::*;
use crate::close::CloseCode;
use crate::config::MaskSource;
use crate::deflate::{Agreed, Params};
use crate::error::Violation;
use crate::event::{Kind, Piece};
use crate::message::Message;
use crate::prepared::Prepared;

mod closing;
mod data;
mod deflate;
mod direct;
mod every_byte;
mod every_header;
mod extremes;
mod flood;
mod forgiven;
mod inflate_limits;
mod observed;
mod pieces;
mod prepared;
mod violations;
mod whole;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn fixed_mask() -> [u8; 4] {
    MASK
}

/// A connection with virtual time, whose events and output are collected.
struct Bench {
    connection: Connection,
    now: Instant,
}

impl Bench {
    fn server() -> Self {
        Self::new(Role::Server, Limits::default())
    }

    fn client() -> Self {
        Self::new(Role::Client(fixed_mask), Limits::default())
    }

    fn new(role: Role, setup: impl Into<Setup>) -> Self {
        let now = Instant::now();
        Self { connection: Connection::new(role, setup, now), now }
    }

    /// Both ends of a connection with permessage-deflate.
    fn both(limits: &Limits, agreed: Agreed) -> (Self, Self) {
        let setup = Setup { deflate: Some(agreed), ..Setup::from(limits.clone()) };
        (Self::new(Role::Client(fixed_mask), setup.clone()), Self::new(Role::Server, setup))
    }

    /// Everything that happens when these bytes arrive at once.
    fn receive(&mut self, bytes: &[u8]) -> Vec<Event<'static>> {
        let mut input = bytes.to_vec();
        self.connection.receive(self.now, &mut input).map(Event::into_owned).collect()
    }

    /// Everything that happens when they arrive one by one.
    fn receive_one_by_one(&mut self, bytes: &[u8]) -> Vec<Event<'static>> {
        bytes.iter().flat_map(|byte| self.receive(&[*byte])).collect()
    }

    fn end(&mut self) -> Option<Event<'static>> {
        self.connection.receive_end(self.now);
        self.connection.poll_event()
    }

    fn wait(&mut self, time: Duration) -> Option<Event<'static>> {
        self.now += time;
        self.connection.handle_timeout(self.now);
        self.connection.poll_event()
    }

    fn written(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(output) = self.connection.poll_transmit() {
            let chunk = output.chunk();
            all.extend_from_slice(chunk);
            let count = chunk.len();
            output.advance(count);
        }
        all
    }
}

/// The end in these events; there must be exactly one, and nothing after it.
#[track_caller]
fn the_end(events: &[Event<'static>]) -> Closed {
    let [before @ .., Event::Closed(closed)] = events else { panic!("does not end with Closed: {events:?}") };
    assert!(!before.iter().any(|event| matches!(event, Event::Closed(_))), "closed twice: {events:?}");
    closed.clone()
}

#[track_caller]
fn violation(events: &[Event<'static>]) -> Violation {
    match the_end(events).cause {
        Cause::Violation(violation) => violation,
        other => panic!("not a violation: {other:?}"),
    }
}

/// The body of the Close frame that answers a violation: its code, and its rule in words.
fn why(violation: Violation) -> Vec<u8> {
    let words = violation.to_string();
    assert!(words.len() <= 123, "the words do not fit: {words}");
    [&violation.close_code().get().to_be_bytes(), words.as_bytes()].concat()
}

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len(), 0x80);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A frame as a server sends it.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    [header(first, payload.len(), 0), payload.to_vec()].concat()
}

fn header(first: u8, len: usize, mask: u8) -> Vec<u8> {
    match len {
        0..=125 => vec![first, mask | len as u8],
        126..=65535 => [&[first, mask | 126][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[first, mask | 127][..], &(len as u64).to_be_bytes()].concat(),
    }
}

fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

fn binary(data: &[u8]) -> Event<'static> {
    Event::Binary(data.to_vec().into())
}

/// Compresses everything, with a memory of earlier messages or without.
fn agreed(takeover: bool) -> Agreed {
    let params = Params {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    Agreed { params, level: 6, threshold: 0 }
}

/// What a peer of ours would put into a compressed frame.
fn squeezed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let variant = agreed(false).variant(true).expect("no takeover");
    variant.deflate(message, &NoShelf, &mut out);
    out
}

impl Connection {
    fn assembler_capacity(&self) -> usize {
        self.incoming.as_ref().map_or(0, |incoming| incoming.assembler.capacity())
    }

    fn output_capacity(&self) -> usize {
        self.output.capacity()
    }

    fn codec_memory(&self) -> usize {
        self.compression.as_ref().map_or(0, |compression| compression.memory())
    }
}
