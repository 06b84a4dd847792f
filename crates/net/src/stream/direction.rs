//! One direction of a relay: from a stream that is read to one that is written.
//!
//! ```text
//!            bytes                 end                    shut down
//!  ┌──────┐ ───────▶ ┌──────┐ ──────────────▶ ┌────────┐ ───────────▶ ┌──────┐
//!  │ Open │          │ Open │                 │ Ending │              │ Over │
//!  └──────┘          └──────┘                 └────────┘              └──────┘
//!      │ the reader takes no more                                        ▲
//!      └──────────────▶ Refused: what still comes is thrown away ────────┘ end
//! ```

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffer;

/// Reads in a row before other tasks have their turn: a mebibyte.
const ROUNDS: usize = 16;

/// Where bytes come from and where they go; they may be one stream.
pub(super) trait Ends {
    type From: AsyncRead + Unpin;
    type To: AsyncWrite + Unpin;
    fn from(&mut self) -> Pin<&mut Self::From>;
    fn to(&mut self) -> Pin<&mut Self::To>;
}

/// From one stream to another.
pub(super) struct Between<'a, A, B>(pub(super) &'a mut A, pub(super) &'a mut B);

impl<A: AsyncRead + Unpin, B: AsyncWrite + Unpin> Ends for Between<'_, A, B> {
    type From = A;
    type To = B;
    fn from(&mut self) -> Pin<&mut A> {
        Pin::new(self.0)
    }
    fn to(&mut self) -> Pin<&mut B> {
        Pin::new(self.1)
    }
}

/// From a stream to itself.
pub(super) struct Same<'a, S>(pub(super) &'a mut S);

impl<S: AsyncRead + AsyncWrite + Unpin> Ends for Same<'_, S> {
    type From = S;
    type To = S;
    fn from(&mut self) -> Pin<&mut S> {
        Pin::new(self.0)
    }
    fn to(&mut self) -> Pin<&mut S> {
        Pin::new(self.0)
    }
}

#[derive(Debug, Default)]
pub(super) struct Direction {
    state: State,
    /// The stream took bytes that it may not have passed on yet.
    unflushed: bool,
    /// What was read and not taken. Boxed: it is rare, and idle streams are many.
    held: Option<Box<Held>>,
    /// Bytes that the reader took.
    carried: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Ending,
    Refused,
    Over,
}

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
}

impl Direction {
    /// Bytes that arrived at the other end.
    pub(super) fn carried(&self) -> u64 {
        self.carried
    }

    /// Whether its end was passed on, or cannot be.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the reader takes no more, though there may be more for it.
    pub(super) fn is_refused(&self) -> bool {
        self.state == State::Refused
    }

    /// Carries what there is. Ready when the end has been passed on.
    ///
    /// # Errors
    ///
    /// Of the stream that is read: nothing more will come from it, in order or not.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, ends: &mut impl Ends) -> Poll<io::Result<()>> {
        for _ in 0..ROUNDS {
            match self.state {
                State::Open => ready!(self.carry(cx, ends))?,
                State::Ending => ready!(self.pass_on_the_end(cx, ends)),
                State::Refused => ready!(self.throw_away(cx, ends))?,
                State::Over => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn carry(&mut self, cx: &mut Context<'_>, ends: &mut impl Ends) -> Poll<io::Result<()>> {
        if self.held.is_some() {
            ready!(self.write_held(cx, ends));
            return Poll::Ready(Ok(()));
        }
        let read = buffer::with(|buffer| {
            let mut into = ReadBuf::new(buffer);
            ready!(ends.from().poll_read(cx, &mut into))?;
            let read = into.filled().len();
            self.write(cx, ends, &buffer[..read]);
            Poll::Ready(Ok(read))
        });
        match read {
            Poll::Ready(Ok(0)) => self.state = State::Ending,
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => {
                // What came before the failure is on its way all the same.
                self.flush(cx, ends);
                return Poll::Ready(Err(error));
            }
            Poll::Pending => {
                self.flush(cx, ends);
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes as much as is taken at once, and keeps the rest.
    fn write(&mut self, cx: &mut Context<'_>, ends: &mut impl Ends, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match ends.to().poll_write(cx, bytes) {
                Poll::Ready(Ok(taken)) if taken > 0 => {
                    self.took(taken);
                    bytes = &bytes[taken..];
                }
                Poll::Ready(_) => return self.refuse(),
                Poll::Pending => {
                    self.held = Some(Box::new(Held { bytes: bytes.to_vec(), taken: 0 }));
                    return;
                }
            }
        }
    }

    fn write_held(&mut self, cx: &mut Context<'_>, ends: &mut impl Ends) -> Poll<()> {
        while let Some(held) = &mut self.held {
            match ready!(ends.to().poll_write(cx, &held.bytes[held.taken..])) {
                Ok(taken) if taken > 0 => {
                    held.taken += taken;
                    if held.taken == held.bytes.len() {
                        self.held = None;
                    }
                    self.took(taken);
                }
                _ => self.refuse(),
            }
        }
        Poll::Ready(())
    }

    fn took(&mut self, taken: usize) {
        self.unflushed = true;
        self.carried += taken as u64;
    }

    /// What waits in the layers below shall not wait for more.
    fn flush(&mut self, cx: &mut Context<'_>, ends: &mut impl Ends) {
        if self.unflushed {
            match ends.to().poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => self.refuse(),
                Poll::Pending => {}
            }
        }
    }

    /// The half-close: what was read is written, and then that there is no more.
    fn pass_on_the_end(&mut self, cx: &mut Context<'_>, ends: &mut impl Ends) -> Poll<()> {
        // Whoever has gone meanwhile has no use for it.
        let _ = ready!(ends.to().poll_shutdown(cx));
        self.state = State::Over;
        Poll::Ready(())
    }

    fn refuse(&mut self) {
        self.held = None;
        self.unflushed = false;
        self.state = State::Refused;
    }

    fn throw_away(&mut self, cx: &mut Context<'_>, ends: &mut impl Ends) -> Poll<io::Result<()>> {
        let read = buffer::with(|buffer| {
            let mut into = ReadBuf::new(buffer);
            ready!(ends.from().poll_read(cx, &mut into))?;
            Poll::Ready(Ok::<_, io::Error>(into.filled().len()))
        });
        if ready!(read)? == 0 {
            self.state = State::Over;
        }
        Poll::Ready(Ok(()))
    }
}
