//! A stream that is read and written as it is: what lies between the bytes and whoever knows where a message ends.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline_websocket::Limits;

use crate::scratch;
use crate::timers::Alarm;

/// The most that is read at once, and so the most that waits unused beside one incomplete message: what a path delivers in a few
/// milliseconds.
const READ: usize = 64 << 10;

/// A stream without frames, such as one of JSON lines. It spawns nothing and works while one of its `poll` methods is called.
///
/// Very many of these wait at once: one that is idle holds no buffer. What arrives goes through the thread's; here stays what is
/// not [consumed](Self::consume) and what is not [written](Self::poll_flush). Of the [`Limits`], `outgoing`, `ping_interval`,
/// `pong_timeout` and `close_timeout` count.
///
/// # Cancel safety
///
/// All progress is kept in it; any call may be given up and made again.
#[derive(Debug)]
pub struct Plain<S> {
    stream: S,
    limits: Arc<Limits>,
    /// Nothing most of the time.
    held: Option<Box<Held>>,
    alarm: Alarm,
    heard: Instant,
    /// Since when an answer is awaited, or since something was last written while it is.
    asked: Option<Instant>,
}

#[derive(Debug, Default)]
struct Held {
    input: Vec<u8>,
    /// So much of it is consumed.
    consumed: usize,
    output: Vec<u8>,
    /// So much of it is written.
    written: usize,
    /// The stream has taken it and may still hold it.
    unflushed: bool,
}

/// What to do about a remote that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Ask it for an answer, whichever.
    Ask,
    /// It was asked, and neither said nor took anything: give it up.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Plain<S> {
    /// A stream of which `leftover` has been read already.
    pub fn new(stream: S, leftover: &[u8], limits: Arc<Limits>) -> Self {
        let mut plain =
            Self { stream, limits, held: None, alarm: Alarm::default(), heard: now(), asked: None };
        if !leftover.is_empty() {
            plain.held().input = leftover.to_vec();
        }
        plain
    }

    /// What has arrived and is not consumed.
    pub fn input(&self) -> &[u8] {
        self.held.as_ref().map_or(&[], |held| &held.input[held.consumed..])
    }

    /// The first `count` bytes of [`input`](Self::input) are used.
    pub fn consume(&mut self, count: usize) {
        let Some(held) = &mut self.held else { return };
        held.consumed = held.consumed.saturating_add(count).min(held.input.len());
        if held.consumed == held.input.len() {
            (held.input, held.consumed) = (Vec::new(), 0);
            self.tidy();
        }
    }

    /// Reads once, behind what is there already. How many bytes that brought: 0 at the end of the stream.
    ///
    /// # Errors
    /// The stream's own.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        scratch::with(|scratch| {
            let window = scratch.len().min(READ);
            let mut buffer = ReadBuf::new(&mut scratch[..window]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            if !read.is_empty() {
                (self.heard, self.asked) = (now(), None);
                let held = self.held();
                // At most what was read at once lies in front, and it goes once for each read.
                held.input.drain(..held.consumed);
                held.consumed = 0;
                held.input.extend_from_slice(read);
            }
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Puts bytes behind what waits to be written. Nothing is refused: whoever sends looks at [`room`](Self::room) first.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.held().output.extend_from_slice(bytes);
    }

    /// How many bytes wait to be written.
    pub fn queued(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.output.len() - held.written)
    }

    /// How many bytes more may wait, by `Limits::outgoing`.
    pub fn room(&self) -> usize {
        self.limits.outgoing.saturating_sub(self.queued())
    }

    /// Writes what waits. Ready when there is nothing left.
    ///
    /// # Errors
    /// The stream's own; one that takes nothing any more has ended.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(held) = &mut self.held else { return Poll::Ready(Ok(())) };
        while held.written < held.output.len() {
            let rest = &held.output[held.written..];
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            held.written += count;
            held.unflushed = true;
            if let Some(asked) = &mut self.asked {
                *asked = now();
            }
        }
        (held.output, held.written) = (Vec::new(), 0);
        if held.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            held.unflushed = false;
        }
        self.tidy();
        Poll::Ready(Ok(()))
    }

    /// Ready when the remote has been silent for too long. Any byte that [`poll_fill`](Self::poll_fill) brings is a sign of life,
    /// and while an answer is awaited, any that it takes. With `reads` false nobody reads it just now: then it is given up only if
    /// it takes nothing either.
    pub fn poll_silence(&mut self, cx: &mut Context<'_>, reads: bool) -> Poll<Silence> {
        let (Some(interval), Some(timeout)) = (self.limits.ping_interval, self.limits.pong_timeout) else {
            return Poll::Pending;
        };
        let now = now();
        if self.asked.is_some() && !reads && self.queued() == 0 {
            self.asked = Some(now);
        }
        let deadline = self.asked.map_or(self.heard + interval, |asked| asked + timeout);
        if now < deadline {
            self.alarm.wake_at(cx, deadline, now, false);
            return Poll::Pending;
        }
        match self.asked {
            None => {
                self.asked = Some(now);
                Poll::Ready(Silence::Ask)
            }
            Some(_) => Poll::Ready(Silence::Gone),
        }
    }

    /// Writes what waits, ends our direction, and reads and forgets what still comes until the remote has ended its own: a socket
    /// that is closed with unread bytes sends a reset, which can overtake the last words. All within `Limits::close_timeout`.
    pub async fn close(&mut self) {
        let limit = self.limits.close_timeout;
        let closing = poll_fn(|cx| self.poll_close(cx));
        // Whatever fails, it is over; nobody is left to be told.
        match limit {
            Some(limit) => drop(tokio::time::timeout(limit, closing).await),
            None => drop(closing.await),
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        while ready!(self.poll_fill(cx))? > 0 {
            self.consume(usize::MAX);
            // One remote that sends without pause leaves its thread to others.
            ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
        }
        Poll::Ready(Ok(()))
    }

    fn held(&mut self) -> &mut Held {
        self.held.get_or_insert_default()
    }

    fn tidy(&mut self) {
        let empty = |held: &Held| held.input.is_empty() && held.output.is_empty() && !held.unflushed;
        if self.held.as_deref().is_some_and(empty) {
            self.held = None;
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
