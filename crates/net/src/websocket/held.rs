//! What a connection holds of input while its application has not taken it. Between messages it is nothing.

use bytes::Bytes;
use trunkline_websocket::{Kind, Message};

/// What has arrived and waits to be taken.
pub(super) enum Ready {
    Message(Message),
    /// A message begins that comes in pieces.
    Begin(Kind),
    Piece {
        data: Bytes,
        last: bool,
    },
}

/// Input that was read and not used, and what waits to be taken.
#[derive(Default)]
pub(super) struct Held(Option<Box<Inner>>);

#[derive(Default)]
struct Inner {
    /// Bytes that were read but not looked at, because a message lay before them.
    input: Vec<u8>,
    at: usize,
    /// What arrived while nobody received.
    ready: Option<Ready>,
}

impl Held {
    pub(super) fn of_input(leftover: Bytes) -> Self {
        let mut held = Self::default();
        if !leftover.is_empty() {
            held.inner().input = leftover.into();
        }
        held
    }

    pub(super) fn ready(&self) -> Option<&Ready> {
        self.0.as_ref()?.ready.as_ref()
    }

    pub(super) fn set_ready(&mut self, ready: Ready) {
        self.inner().ready = Some(ready);
    }

    pub(super) fn take_ready(&mut self) -> Option<Ready> {
        self.0.as_mut()?.ready.take()
    }

    /// Whether bytes wait that were not looked at.
    pub(super) fn has_input(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.at < inner.input.len())
    }

    /// Takes the input out, to be looked at from where it says; [`Held::put_input`] takes it back.
    pub(super) fn take_input(&mut self) -> (Vec<u8>, usize) {
        self.0.as_mut().map_or((Vec::new(), 0), |inner| (std::mem::take(&mut inner.input), inner.at))
    }

    /// What is left of the input.
    pub(super) fn put_input(&mut self, input: Vec<u8>, at: usize) {
        if at < input.len() {
            let inner = self.inner();
            (inner.input, inner.at) = (input, at);
        }
    }

    /// Keeps a copy of input that lies in the thread's buffer.
    pub(super) fn keep_input(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.put_input(rest.to_vec(), 0);
        }
    }

    /// Gives back memory in which nothing is.
    pub(super) fn rest(&mut self) {
        self.0.take_if(|inner| inner.ready.is_none() && inner.at >= inner.input.len());
    }

    fn inner(&mut self) -> &mut Inner {
        self.0.get_or_insert_default()
    }
}
