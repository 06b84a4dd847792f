//! From the stream into the connection: read once, or look at what was read before, and hand on what came of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio_util::io::poll_read_buf;
use trunkline_websocket::{Event, Piece};

use super::WebSocket;
use super::drive::{Did, Taker, Turn, Until};
use crate::scratch;

/// The most that is read at once of what comes in pieces, so that no piece is larger.
const PIECE: usize = 64 << 10;

/// Inflated bytes that cost one unit of a task's budget, which has 128: a mebibyte a turn, which takes about a millisecond.
const INFLATED_PER_UNIT: u64 = 8 << 10;

/// No more than the whole budget of a task is taken at once.
const UNITS: u64 = 128;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Looks at what was read before and not yet used.
    pub(super) fn look_step<T: Taker>(&mut self, turn: &mut Turn<'_, '_, T>) -> Did {
        if !self.looks_on(turn.taker) {
            return Did::Nothing;
        }
        let (mut input, at) = self.held.take_input();
        let used = self.take_events(turn, &mut input[at..]);
        self.held.put_input(input, at + used);
        Did::Something
    }

    /// Whether something was read that is not used, and is wanted now.
    pub(super) fn looks_on<T: Taker>(&self, taker: &T) -> bool {
        (self.held.has_input() || self.connection.has_more())
            && taker.wants_more(&self.connection, &self.held)
    }

    /// Reads once, unless a message waits to be taken. How many bytes that brought; `None` where nothing happened.
    pub(super) fn read_step<T: Taker>(&mut self, turn: &mut Turn<'_, '_, T>) -> Option<usize> {
        let blocked = !turn.taker.wants_more(&self.connection, &self.held) && turn.until != Until::Ended;
        if blocked || self.held.has_input() {
            return None;
        }
        let owing = self.failed.is_none() && (self.connection.buffered() > 0 || self.unflushed);
        if self.read_over && owing {
            return None;
        }
        if let Some(read) = self.read_direct(turn) {
            return read;
        }
        scratch::with(|scratch| {
            let stream = self.stream.as_mut()?;
            let most = if self.connection.gives_pieces() { PIECE } else { self.connection.read_hint() };
            let window = scratch.len().min(most);
            let mut buffer = ReadBuf::new(&mut scratch[..window]);
            match Pin::new(stream).poll_read(turn.cx, &mut buffer).map(an_end_is_no_error) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let filled = buffer.filled_mut();
                    let used = self.take_events(turn, filled);
                    self.held.keep_input(&filled[used..]);
                    Some(filled.len())
                }
                // It has said goodbye and only its own direction is over: what we owe it can still arrive.
                Poll::Ready(Ok(())) if owing && self.ended.is_some() => {
                    self.read_over = true;
                    Some(0)
                }
                Poll::Ready(result) => {
                    self.failed = self.failed.take().or(result.err());
                    self.connection.receive_end(turn.now());
                    Some(0)
                }
                // The end is told already and nothing can be written: this stream is over.
                Poll::Pending if self.failed.is_some() && self.ended.is_some() => {
                    self.connection.receive_end(turn.now());
                    Some(0)
                }
                Poll::Pending => None,
            }
        })
    }

    /// Reads a large message to where it stays, if one is arriving.
    fn read_direct<T: Taker>(&mut self, turn: &mut Turn<'_, '_, T>) -> Option<Option<usize>> {
        let stream = self.stream.as_mut()?;
        let (into, room) = self.connection.direct()?;
        let read = poll_read_buf(Pin::new(stream), turn.cx, &mut into.limit(room));
        let count = match read {
            Poll::Ready(Ok(count)) if count > 0 => count,
            // An end is met again, an error is told once.
            Poll::Ready(Ok(_)) => return None,
            Poll::Ready(Err(error)) => {
                self.failed = self.failed.take().or(an_end_is_no_error(Err(error)).err());
                self.connection.receive_end(turn.now());
                return Some(Some(0));
            }
            Poll::Pending if self.failed.is_some() => return None,
            Poll::Pending => return Some(None),
        };
        match self.connection.receive_direct(turn.now(), count) {
            Some(Event::Closed(closed)) => self.end(closed),
            Some(event) => turn.taker.take(event, &mut self.connection, &mut self.held),
            None => {}
        }
        Some(Some(count))
    }

    /// Gives the connection its input, up to the first message that nobody wants yet, and says how much that was.
    fn take_events<T: Taker>(&mut self, turn: &mut Turn<'_, '_, T>, input: &mut [u8]) -> usize {
        let before = self.connection.inflated_bytes();
        let mut events = self.connection.receive(turn.now(), input);
        let mut ended = None;
        while let Some(event) = events.next() {
            match event {
                Event::Ping(_) | Event::Pong(_) => continue,
                Event::Closed(closed) => {
                    ended = Some(closed);
                    continue;
                }
                // One at a time, so that a bomb that nobody reads does not keep the thread.
                Event::Piece(Piece { last, .. }) if self.skipping => {
                    self.skipping = !last;
                    break;
                }
                event => turn.taker.take(event, events.connection(), &mut self.held),
            }
            let inflated = events.connection().inflated_bytes() - before;
            if inflated >= INFLATED_PER_UNIT * UNITS
                || !turn.taker.wants_more(events.connection(), &self.held)
            {
                break;
            }
        }
        let used = events.consumed();
        if let Some(closed) = ended {
            self.end(closed);
        }
        charge(turn.cx, self.connection.inflated_bytes() - before);
        used
    }
}

/// Takes what was inflated out of the task's budget. A read of the stream costs a unit, whatever it brings; compressed, it
/// can bring a thousand times as much, and the thread's other tasks would wait for all of it.
fn charge(cx: &mut Context<'_>, inflated: u64) {
    for _ in 0..(inflated / INFLATED_PER_UNIT).min(UNITS) {
        if let Poll::Ready(unit) = coop::poll_proceed(cx) {
            unit.made_progress();
        }
    }
}

/// A stream inside TLS that is cut ends with an error of this kind. A connection may end at any byte, and whether it ended
/// well is told by its Close frame: for it this is an end like any other.
fn an_end_is_no_error(read: std::io::Result<()>) -> std::io::Result<()> {
    read.or_else(|error| if error.kind() == std::io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) })
}
