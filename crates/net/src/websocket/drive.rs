//! What a connection does whenever it is polled, as a list of steps.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;
use trunkline_websocket::{AfterWrite, Closed, Connection, Event, Message, Piece, Why};

use super::handle::Replies;
use super::held::{Held, Ready};
use super::wakers::Side;
use super::{Ending, WebSocket, frames, now};
use crate::error::Error;
use crate::scratch;

/// Bytes that one connection may read before the task lets others run: a remote that never stops must not keep the thread.
/// A fast path delivers them in a tenth of a millisecond; what the application does with them is its own affair.
const TURN: usize = 512 << 10;

/// What a turn of the loop costs of that at the least, whatever it reads.
const TURN_AT_LEAST: usize = TURN / 64;

/// Messages given in a row while answers to earlier ones wait: an application that takes its time over each must not hold
/// all of them back.
const UNWRITTEN: u8 = 32;

/// After a write has failed, how long the stream has to say what it still holds: the runtime may not have learnt yet that
/// there is something to read. A socket needs no more than its next turn.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
    /// The handler has broken off.
    Broken,
    /// A message could be queued.
    Room,
    /// All that was queued is written.
    Written,
    /// The connection has ended; messages are thrown away.
    Ended,
}

/// Who gets messages and pieces.
pub(super) trait Taker {
    /// Takes one, of those that it [wanted](Taker::wants_more).
    fn take(&mut self, event: Event<'_>, connection: &mut Connection, held: &mut Held);

    /// Whether it takes another now.
    fn wants_more(&self, connection: &Connection, held: &Held) -> bool;

    /// Whether it has had what it waited for.
    fn is_done(&self) -> bool;
}

/// Keeps one for the application to take.
struct Keep;

/// What a step has done.
#[derive(PartialEq, Eq)]
pub(super) enum Did {
    Something,
    Nothing,
}

impl Taker for Keep {
    fn take(&mut self, event: Event<'_>, _: &mut Connection, held: &mut Held) {
        held.set_ready(match event {
            Event::Text(text) => Ready::Message(Message::from(text.into_owned())),
            Event::Binary(data) => Ready::Message(Message::from(data.into_owned())),
            Event::Begin(kind) => Ready::Begin(kind),
            Event::Piece(Piece { data, last }) => Ready::Piece { data: data.into_owned().into(), last },
            Event::Ping(_) | Event::Pong(_) | Event::Closed(_) => return,
        });
    }

    fn wants_more(&self, _: &Connection, held: &Held) -> bool {
        held.ready().is_none()
    }

    fn is_done(&self) -> bool {
        false
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Drives the connection until what is waited for is there.
    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, side: Side, until: Until) -> Poll<()> {
        // Feeding many messages must not cost a write for each.
        if until == Until::Room && self.is_there(until, &Keep) {
            return Poll::Ready(());
        }
        self.poll_with(cx, side, until, &mut Keep)
    }

    /// Drives the connection until what is waited for is there, and gives what arrives to `taker`.
    pub(super) fn poll_with<T: Taker>(
        &mut self,
        cx: &mut Context<'_>,
        side: Side,
        until: Until,
        taker: &mut T,
    ) -> Poll<()> {
        if !coop::has_budget_remaining() {
            // What was inflated has used it up: others first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let _span = frames::enter(self.id, &mut self.connection, self.own_observer);
        if until == Until::Message {
            self.want_whole();
        }
        let (both, changed) = self.wakers.register(side, cx.waker());
        let mut turn = Turn {
            cx: &mut Context::from_waker(both.as_ref().unwrap_or(cx.waker())),
            until,
            taker,
            now: None,
            // A waker for two may have changed its other half.
            changed: changed || both.is_some(),
        };
        self.lend();
        let poll = self.poll_steps(&mut turn);
        self.reclaim();
        if poll.is_ready() {
            self.wakers.clear(side);
        } else {
            self.held.rest();
        }
        poll
    }

    /// Queues what `fill` sends, and writes as much as the stream takes now; the rest leaves with the next call of any kind.
    /// Nothing is read, and nothing waited for.
    ///
    /// For a task that is polled by hand and receives on the same connection: what it sends here lies in the thread's output
    /// buffer, and nothing is allocated for it.
    pub fn write_now<R>(&mut self, cx: &mut Context<'_>, fill: impl FnOnce(&mut Replies<'_>) -> R) -> R {
        let _span = frames::enter(self.id, &mut self.connection, self.own_observer);
        // As the receiver, which it is: another task may be waiting to send.
        let (both, _) = self.wakers.register(Side::Receive, cx.waker());
        self.lend();
        let filled = fill(&mut Replies::to(&mut self.connection));
        self.write_step(&mut Context::from_waker(both.as_ref().unwrap_or(cx.waker())));
        self.reclaim();
        filled
    }

    fn lend(&mut self) {
        if let Some(unused) = self.connection.lend(scratch::output()) {
            scratch::give_back(unused);
        }
    }

    fn reclaim(&mut self) {
        if let Some(buffer) = self.connection.reclaim() {
            scratch::give_back(buffer);
        }
    }

    /// Each turn looks at what was read before, writes, ends if it is time, reads, and looks at the clock. It sleeps only
    /// when none of these had anything to do, and then every one of them has been asked with this task's waker.
    fn poll_steps<T: Taker>(&mut self, turn: &mut Turn<'_, '_, T>) -> Poll<()> {
        let until = turn.until;
        let mut spent = 0;
        while spent < TURN && coop::has_budget_remaining() {
            if until == Until::Ended {
                // Before anything is looked at: a message in the way of the input would stop it for good.
                drop(self.held.take_ready());
                self.connection.discard();
            }
            let looked = self.look_step(turn);
            if until == Until::Message && self.is_there(until, turn.taker) && self.can_write_later() {
                return Poll::Ready(());
            }
            self.write_step(turn.cx);
            let closed = self.close_step(turn.cx);
            if self.is_there(until, turn.taker) {
                // Who only sends shall still answer Pings and notice the end.
                if until == Until::Written && self.read_step(turn).is_some() {
                    self.write_step(turn.cx);
                }
                return Poll::Ready(());
            }
            let read = self.read_step(turn);
            let timed = self.time_step(turn);
            spent += read.unwrap_or(0).max(TURN_AT_LEAST);
            // The write stops only where nothing waits or the stream is full; but it may have made the room that input was
            // waiting for, and nobody else would come back to that.
            let idle = read.is_none() && [looked, closed, timed].iter().all(|did| *did == Did::Nothing);
            if idle && !self.looks_on(turn.taker) {
                return Poll::Pending;
            }
        }
        turn.cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_there<T: Taker>(&self, until: Until, taker: &T) -> bool {
        // The end is told only when the stream is closed too, and after the messages before it.
        let over = self.ended.is_some() && self.stream.is_none();
        over || match until {
            Until::Message => matches!(self.held.ready(), Some(Ready::Message(_))),
            Until::Begin | Until::Piece => self.held.ready().is_some(),
            Until::Broken => taker.is_done(),
            Until::Room => self.connection.has_room() || !self.connection.is_open(),
            // What could not be written is as much as written: it never will be, and the caller is told so.
            Until::Written => self.failed.is_some() || self.connection.buffered() == 0 && !self.unflushed,
            Until::Ended => false,
        }
    }

    /// Whether a message that is here may be given before what waits is written: answers to a batch leave in one write. A
    /// Pong leaves at once.
    fn can_write_later(&mut self) -> bool {
        if self.connection.buffered() == 0 {
            return true;
        }
        self.unwritten = self.unwritten.saturating_add(1);
        self.unwritten < UNWRITTEN && !self.connection.owes_pong()
    }

    /// Writes what waits, as much as the stream takes.
    fn write_step(&mut self, cx: &mut Context<'_>) {
        self.unwritten = 0;
        let Some(stream) = &mut self.stream else { return };
        while let Some(output) = self.connection.poll_transmit() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = output.chunks_vectored(&mut slices);
            let stream = Pin::new(&mut *stream);
            let written = match &slices[..count] {
                // A vectored write of one slice costs the kernel several per cent more than a plain one.
                [only] => stream.poll_write(cx, only),
                several => stream.poll_write_vectored(cx, several),
            };
            match written {
                Poll::Ready(Ok(written)) if written > 0 => output.advance(written),
                Poll::Ready(result) => {
                    // What waits will never leave. The remote may have said goodbye before: reading tells.
                    let waiting = output.remaining();
                    output.advance(waiting);
                    self.failed = Some(result.err().unwrap_or_else(|| std::io::ErrorKind::WriteZero.into()));
                    // Reading ends now, and nothing else may tell the task that does it.
                    self.wakers.wake(Side::Receive);
                }
                Poll::Pending => return self.waits.stall(),
            }
            self.waits.unstall();
            self.unflushed = true;
        }
        // A stream that buffers, TLS for one, must not sit on what it took.
        if self.unflushed {
            let Poll::Ready(result) = Pin::new(stream).poll_flush(cx) else { return self.waits.stall() };
            if let Err(error) = result {
                self.failed.get_or_insert(error);
                self.wakers.wake(Side::Receive);
            }
            self.waits.unstall();
            self.unflushed = false;
        }
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
            self.alarm.clear();
            // Nothing is left that could.
            self.wakers.wake(Side::Receive);
            self.wakers.wake(Side::Send);
        }
        Did::Something
    }

    /// Keeps the timer at the connection's deadline.
    fn time_step<T: Taker>(&mut self, turn: &mut Turn<'_, '_, T>) -> Did {
        if self.stream.is_none() {
            return Did::Nothing;
        }
        if self.failed.is_some() && self.ended.is_none() && self.held.ready().is_none() {
            let until = self.waits.last_words(|| now() + LAST_WORDS);
            return self.when_due(turn, until, |socket, now| socket.connection.receive_end(now));
        }
        let Some((deadline, why)) = self.connection.poll_timeout() else { return Did::Nothing };
        // Whoever does not read cannot tell whether the remote has answered, only whether it takes what we write.
        let unread = !turn.taker.wants_more(&self.connection, &self.held);
        if unread && matches!(why, Why::Ping | Why::Pong) {
            let Some(deadline) = self.stalled_until() else { return Did::Nothing };
            return self.when_due(turn, deadline, |socket, now| {
                socket.failed = Some(std::io::ErrorKind::TimedOut.into());
                socket.connection.receive_end(now);
            });
        }
        self.when_due(turn, deadline, |socket, now| socket.connection.handle_timeout(now))
    }

    /// When a remote that takes nothing of what we write counts as dead: as long as one that sends nothing.
    fn stalled_until(&self) -> Option<Instant> {
        let limits = self.connection.limits();
        self.waits.stalled()?.checked_add(limits.ping_interval?)?.checked_add(limits.pong_timeout?)
    }

    /// Does something if its time has come, or sees to it that the task is woken then.
    fn when_due<T: Taker>(
        &mut self,
        turn: &mut Turn<'_, '_, T>,
        deadline: Instant,
        act: impl FnOnce(&mut Self, Instant),
    ) -> Did {
        let now = turn.now();
        if deadline <= now {
            act(self, now);
            return Did::Something;
        }
        self.alarm.wake_at(turn.cx, deadline, now, turn.changed);
        turn.changed = false;
        Did::Nothing
    }

    pub(super) fn end(&mut self, closed: Closed) {
        frames::ended(&closed);
        let error = Error::from_end(&closed, self.failed.take());
        self.ended = Some(Box::new(Ending { closed, error }));
    }
}

/// What all steps of one poll share.
pub(super) struct Turn<'a, 'w, T> {
    pub(super) cx: &'a mut Context<'w>,
    pub(super) until: Until,
    pub(super) taker: &'a mut T,
    /// The clock is looked at once, and only if something needs it.
    now: Option<Instant>,
    /// The timer may know another task than this one.
    changed: bool,
}

impl<T> Turn<'_, '_, T> {
    pub(super) fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(now)
    }
}
