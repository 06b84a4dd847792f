//! What a connection does whenever it is polled, as a list of steps.

use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use trunkline_websocket::{AfterWrite, Closed, Event, Message, Piece, Why};

use super::wakers::Side;
use super::{Ending, Ready, WebSocket, frames, now};
use crate::error::Error;
use crate::scratch;

/// Turns of the loop before the task lets others run: a remote that never stops must not keep the thread.
const TURNS: usize = 64;

/// After a write has failed, how long the stream has to say what it still holds: the runtime may not have learnt yet that
/// there is something to read. A socket needs no more than its next turn.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Inflated bytes that cost one unit of a task's budget, which has 128: a mebibyte a turn, which takes about a millisecond.
const INFLATED_PER_UNIT: u64 = 8 << 10;

/// No more than the whole budget of a task is taken at once.
const UNITS: u64 = 128;

/// Slices given to one vectored write. The kernel takes 1,024; past a few dozen there is nothing to gain.
const SLICES: usize = 32;

/// What the caller waits for. The end satisfies all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// A message is ready.
    Message,
    /// A message begins that comes in pieces, or one is ready that came whole.
    Begin,
    /// A piece of the message that began.
    Piece,
    /// A message could be queued.
    Room,
    /// All that was queued is written.
    Written,
    /// The connection has ended; messages are thrown away.
    Ended,
}

/// What a step has done.
#[derive(PartialEq, Eq)]
enum Did {
    Something,
    Nothing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Drives the connection until what is waited for is there.
    ///
    /// Each turn writes, looks at what was read, ends if it is time, reads, and looks at the clock. It sleeps only when
    /// none of these had anything to do, and then every one of them has been asked with this task's waker.
    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, side: Side, until: Until) -> Poll<()> {
        // Feeding many messages must not cost a write for each.
        if until == Until::Room && self.is_there(until) {
            return Poll::Ready(());
        }
        if !coop::has_budget_remaining() {
            // What was inflated has used it up: others first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let _span = frames::enter(self.id);
        if until == Until::Message {
            self.want_whole();
        }
        let both = self.wakers.register(side, cx.waker());
        let cx = &mut Context::from_waker(both.as_ref().unwrap_or(cx.waker()));
        for _ in 0..TURNS {
            if until == Until::Ended {
                // Before anything is looked at: a message in the way of the input would stop it for good.
                self.ready = None;
                self.connection.discard();
            }
            let wrote = self.write_step(cx);
            let looked = self.look_step(cx);
            let closed = self.close_step(cx);
            if self.is_there(until) {
                // Who only sends shall still answer Pings and notice the end.
                if until == Until::Written && self.read_step(cx, until) == Did::Something {
                    self.write_step(cx);
                }
                self.wakers.clear(side);
                return Poll::Ready(());
            }
            let read = self.read_step(cx, until);
            let timed = self.time_step(cx);
            if [wrote, looked, closed, read, timed].iter().all(|did| *did == Did::Nothing) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_there(&self, until: Until) -> bool {
        // The end is told only when the stream is closed too, and after the messages before it.
        let over = self.ended.is_some() && self.stream.is_none();
        over || match until {
            Until::Message => matches!(self.ready, Some(Ready::Message(_))),
            Until::Begin | Until::Piece => self.ready.is_some(),
            Until::Room => self.connection.has_room() || !self.connection.is_open(),
            // What could not be written is as much as written: it never will be, and the caller is told so.
            Until::Written => self.failed.is_some() || self.connection.buffered() == 0 && !self.unflushed,
            Until::Ended => false,
        }
    }

    /// Writes what waits, as much as the stream takes.
    fn write_step(&mut self, cx: &mut Context<'_>) -> Did {
        let mut did = Did::Nothing;
        let Some(stream) = &mut self.stream else { return did };
        while let Some(output) = self.connection.poll_transmit() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = output.chunks_vectored(&mut slices);
            match Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(Ok(written)) if written > 0 => output.advance(written),
                Poll::Ready(result) => {
                    // What waits will never leave. The remote may have said goodbye before: reading tells.
                    let waiting = output.remaining();
                    output.advance(waiting);
                    self.failed = Some(result.err().unwrap_or_else(|| std::io::ErrorKind::WriteZero.into()));
                    // Reading ends now, and nothing else may tell the task that does it.
                    self.wakers.wake(Side::Receive);
                }
                Poll::Pending => {
                    self.stalled.get_or_insert_with(now);
                    return did;
                }
            }
            self.stalled = None;
            self.unflushed = true;
            did = Did::Something;
        }
        // A stream that buffers, TLS for one, must not sit on what it took.
        if self.unflushed {
            let Poll::Ready(result) = Pin::new(stream).poll_flush(cx) else {
                self.stalled.get_or_insert_with(now);
                return did;
            };
            if let Err(error) = result {
                self.failed.get_or_insert(error);
                self.wakers.wake(Side::Receive);
            }
            self.stalled = None;
            self.unflushed = false;
            did = Did::Something;
        }
        did
    }

    /// Looks at what was read before and not yet used.
    fn look_step(&mut self, cx: &mut Context<'_>) -> Did {
        let nothing = self.input_at == self.input.len() && !self.connection.has_more();
        if nothing || self.ready.is_some() {
            return Did::Nothing;
        }
        let mut input = std::mem::take(&mut self.input);
        let used = self.take_events(cx, &mut input[self.input_at..]);
        self.input_at += used;
        if self.input_at < input.len() {
            self.input = input;
        } else {
            self.input_at = 0;
        }
        Did::Something
    }

    /// Closes the stream when the connection says so.
    fn close_step(&mut self, cx: &mut Context<'_>) -> Did {
        if let Some(Event::Closed(closed)) = self.connection.poll_event() {
            self.end(closed);
        }
        let Some(stream) = &mut self.stream else { return Did::Nothing };
        let how = self.connection.after_write();
        match how {
            AfterWrite::Read | AfterWrite::AwaitEnd => return Did::Nothing,
            AfterWrite::DropAtOnce => {}
            _ if self.connection.buffered() > 0 || self.unflushed => return Did::Nothing,
            AfterWrite::ShutdownThenAwaitEnd if self.shut => return Did::Nothing,
            AfterWrite::ShutdownThenAwaitEnd | AfterWrite::Drop => {
                // An error here says no more than that the remote was faster.
                if !self.shut && Pin::new(stream).poll_shutdown(cx).is_pending() {
                    return Did::Nothing;
                }
                self.shut = true;
            }
        }
        if how != AfterWrite::ShutdownThenAwaitEnd {
            self.stream = None;
            self.timer = None;
            // Nothing is left that could.
            self.wakers.wake(Side::Receive);
            self.wakers.wake(Side::Send);
        }
        Did::Something
    }

    /// Reads once, unless a message waits to be taken.
    fn read_step(&mut self, cx: &mut Context<'_>, until: Until) -> Did {
        let blocked = self.ready.is_some() && until != Until::Ended;
        if blocked || self.input_at < self.input.len() {
            return Did::Nothing;
        }
        let owing = self.failed.is_none() && (self.connection.buffered() > 0 || self.unflushed);
        if self.read_over && owing {
            return Did::Nothing;
        }
        scratch::with(|scratch| {
            let Some(stream) = &mut self.stream else { return Did::Nothing };
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(stream).poll_read(cx, &mut buffer).map(an_end_is_no_error) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let filled = buffer.filled_mut();
                    let used = self.take_events(cx, filled);
                    self.input.extend_from_slice(&filled[used..]);
                    self.input_at = 0;
                    Did::Something
                }
                // It has said goodbye and only its own direction is over: what we owe it can still arrive.
                Poll::Ready(Ok(())) if owing && self.ended.is_some() => {
                    self.read_over = true;
                    Did::Something
                }
                Poll::Ready(result) => {
                    self.failed = self.failed.take().or(result.err());
                    self.connection.receive_end(now());
                    Did::Something
                }
                // The end is told already and nothing can be written: this stream is over.
                Poll::Pending if self.failed.is_some() && self.ended.is_some() => {
                    self.connection.receive_end(now());
                    Did::Something
                }
                Poll::Pending => Did::Nothing,
            }
        })
    }

    /// Keeps the timer at the connection's deadline.
    fn time_step(&mut self, cx: &mut Context<'_>) -> Did {
        if self.failed.is_some() && self.ended.is_none() && self.ready.is_none() && self.stream.is_some() {
            let until = *self.last_words.get_or_insert_with(|| now() + LAST_WORDS);
            return match self.poll_deadline(cx, until) {
                Poll::Pending => Did::Nothing,
                Poll::Ready(due) => {
                    if due {
                        self.connection.receive_end(now());
                    }
                    Did::Something
                }
            };
        }
        let Some((deadline, why)) = self.connection.poll_timeout() else { return Did::Nothing };
        if self.stream.is_none() {
            return Did::Nothing;
        }
        // Whoever does not read cannot tell whether the remote has answered, only whether it takes what we write.
        let unread = self.ready.is_some() && matches!(why, Why::Ping | Why::Pong);
        if unread {
            let Some(deadline) = self.stalled_until() else { return Did::Nothing };
            return match self.poll_deadline(cx, deadline) {
                Poll::Pending => Did::Nothing,
                Poll::Ready(due) => {
                    if due {
                        self.failed = Some(std::io::ErrorKind::TimedOut.into());
                        self.connection.receive_end(now());
                    }
                    Did::Something
                }
            };
        }
        match self.poll_deadline(cx, deadline) {
            Poll::Pending => Did::Nothing,
            Poll::Ready(due) => {
                if due {
                    self.connection.handle_timeout(now());
                }
                Did::Something
            }
        }
    }

    /// When a remote that takes nothing of what we write counts as dead: as long as one that sends nothing.
    fn stalled_until(&self) -> Option<std::time::Instant> {
        let limits = self.connection.limits();
        self.stalled?.checked_add(limits.ping_interval?)?.checked_add(limits.pong_timeout?)
    }

    /// Whether the deadline has come, once the timer has fired.
    ///
    /// The deadline moves with every byte that arrives, the timer does not: it is looked at again when it fires.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: std::time::Instant) -> Poll<bool> {
        let deadline = tokio::time::Instant::from_std(deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        let due = deadline <= tokio::time::Instant::now();
        if !due {
            timer.as_mut().reset(deadline);
        }
        Poll::Ready(due)
    }

    /// Gives the connection its input up to the first message, and says how much that was.
    fn take_events(&mut self, cx: &mut Context<'_>, input: &mut [u8]) -> usize {
        let before = self.connection.counters().received.inflated_bytes;
        let mut events = self.connection.receive(now(), input);
        let mut ended = None;
        for event in events.by_ref() {
            match event {
                Event::Text(text) => self.ready = Some(Ready::Message(Message::from(text.into_owned()))),
                Event::Binary(data) => self.ready = Some(Ready::Message(Message::from(data.into_owned()))),
                Event::Begin(kind) => self.ready = Some(Ready::Begin(kind)),
                // One at a time, so that a bomb that nobody reads does not keep the thread.
                Event::Piece(Piece { last, .. }) if self.skipping => self.skipping = !last,
                Event::Piece(Piece { data, last }) => {
                    self.ready = Some(Ready::Piece { data: data.into_owned().into(), last });
                }
                Event::Ping(_) | Event::Pong(_) => continue,
                Event::Closed(closed) => {
                    ended = Some(closed);
                    continue;
                }
            }
            break;
        }
        let used = events.consumed();
        if let Some(closed) = ended {
            self.end(closed);
        }
        charge(cx, self.connection.counters().received.inflated_bytes - before);
        used
    }

    fn end(&mut self, closed: Closed) {
        frames::ended(&closed);
        let error = Error::from_end(&closed, self.failed.take());
        self.ended = Some(Box::new(Ending { closed, error }));
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
