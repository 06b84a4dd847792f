//! Two streams that become one way: what either says, the other hears, until both have ended.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::direction::{Between, Direction, Same};
use crate::timers::Alarm;

/// After one side takes no more and has said all, how long the other may still go on. As for a refusal over HTTP: closing a
/// socket with unread bytes resets it, and a reset overtakes what was sent before.
const LINGER: Duration = Duration::from_secs(1);

/// How long a relay may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long nothing may be carried either way (1 hour); `None` waits for ever. What is under way to a reader that has stopped
    /// counts as nothing. Shells and databases are silent for long; that a remote has vanished is noticed below, by TCP.
    pub idle: Option<Duration>,
    /// How long it may take in all; `None` (the default) is as long as both ends like.
    pub lifetime: Option<Duration>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { idle: Some(Duration::from_secs(3600)), lifetime: None }
    }
}

/// What came of a relay.
#[derive(Debug)]
pub struct Carried {
    /// Bytes from the first stream that the second took.
    pub there: u64,
    /// Bytes from the second stream that the first took.
    pub back: u64,
    /// Why it is over.
    pub why: Why,
}

/// Why a relay, or an echo, is over.
#[derive(Debug)]
#[non_exhaustive]
pub enum Why {
    /// Both ends have said all, and each was told so.
    Ended,
    /// One end takes no more, though the other had more to say.
    Refused,
    /// The first stream failed.
    First(io::Error),
    /// The second stream failed.
    Second(io::Error),
    /// [`Bounds::idle`].
    Idle,
    /// [`Bounds::lifetime`].
    Lifetime,
}

/// Carries bytes between two streams, both ways at once, half-closes included: a future that does it while it is polled, and
/// spawns nothing.
///
/// A reader that has stopped stops its own direction and no other: what was read for it, 64 KiB at the most, is kept, and
/// nothing more is read. While nothing is under way a relay holds no buffer.
///
/// # Cancel safety
///
/// A relay that is dropped drops both streams.
#[derive(Debug)]
pub struct Relay<A, B> {
    first: A,
    second: B,
    there: Direction,
    back: Direction,
    clock: Clock,
}

impl<A, B> Relay<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Between `first` and `second`.
    pub fn new(first: A, second: B, bounds: Bounds) -> Self {
        let (there, back) = Default::default();
        Self { first, second, there, back, clock: Clock::new(bounds) }
    }

    /// How many bytes have been carried so far: from the first to the second, and back.
    pub fn carried(&self) -> (u64, u64) {
        (self.there.carried(), self.back.carried())
    }

    fn poll_why(&mut self, cx: &mut Context<'_>) -> Poll<Why> {
        let Self { first, second, there, back, clock } = self;
        let before = there.carried() + back.carried();
        if let Poll::Ready(Err(error)) = there.poll(cx, &mut Between(&mut *first, &mut *second)) {
            return Poll::Ready(Why::First(error));
        }
        if let Poll::Ready(Err(error)) = back.poll(cx, &mut Between(second, first)) {
            return Poll::Ready(Why::Second(error));
        }
        if there.is_over() && back.is_over() {
            return Poll::Ready(Why::Ended);
        }
        if there.carried() + back.carried() > before {
            clock.touch();
        }
        let half = there.is_over() || back.is_over();
        if there.is_refused() && back.is_refused() {
            return Poll::Ready(Why::Refused);
        }
        clock.linger(half && (there.is_refused() || back.is_refused()));
        clock.poll(cx)
    }
}

impl<A, B> Future for Relay<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Carried;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Carried> {
        self.poll_why(cx).map(|why| {
            let (there, back) = self.carried();
            Carried { there, back, why }
        })
    }
}

/// Sends back what comes, until the end of it: a future as [`Relay`] is one. What is read and not taken back, 64 KiB at the most,
/// is kept; then nothing more is read.
#[derive(Debug)]
pub struct Echo<S> {
    stream: S,
    back: Direction,
    clock: Clock,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Echo<S> {
    /// An echo on `stream`.
    pub fn new(stream: S, bounds: Bounds) -> Self {
        Self { stream, back: Direction::default(), clock: Clock::new(bounds) }
    }

    /// How many bytes have been sent back so far.
    pub fn carried(&self) -> u64 {
        self.back.carried()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Echo<S> {
    type Output = Carried;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Carried> {
        let Self { stream, back, clock } = &mut *self;
        let before = back.carried();
        let why = match back.poll(cx, &mut Same(stream)) {
            Poll::Ready(Ok(())) => Poll::Ready(Why::Ended),
            Poll::Ready(Err(error)) => Poll::Ready(Why::First(error)),
            Poll::Pending => {
                if back.carried() > before {
                    clock.touch();
                }
                clock.linger(back.is_refused());
                clock.poll(cx)
            }
        };
        why.map(|why| Carried { there: back.carried(), back: back.carried(), why })
    }
}

/// When it is too late.
#[derive(Debug)]
struct Clock {
    bounds: Bounds,
    began: Instant,
    /// When a byte was last carried.
    last: Instant,
    /// Since when one side takes no more and has nothing more to say.
    lingers: Option<Instant>,
    alarm: Alarm,
    waker: Option<Waker>,
}

impl Clock {
    fn new(bounds: Bounds) -> Self {
        let now = now();
        Self { bounds, began: now, last: now, lingers: None, alarm: Alarm::default(), waker: None }
    }

    fn touch(&mut self) {
        self.last = now();
    }

    fn linger(&mut self, lingers: bool) {
        if lingers {
            self.lingers.get_or_insert_with(now);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Why> {
        let Some((deadline, why)) = self.first() else { return Poll::Pending };
        let now = now();
        if deadline <= now {
            return Poll::Ready(why);
        }
        let again = !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if again {
            self.waker = Some(cx.waker().clone());
        }
        self.alarm.wake_at(cx, deadline, now, again);
        Poll::Pending
    }

    /// The first of the times that there are, and what it means. One that no clock can hold is none.
    fn first(&self) -> Option<(Instant, Why)> {
        let Bounds { idle, lifetime } = self.bounds;
        let idle = idle.and_then(|idle| self.last.checked_add(idle));
        let lifetime = lifetime.and_then(|lifetime| self.began.checked_add(lifetime));
        let lingers = self.lingers.map(|since| since + LINGER);
        let all = [(lingers, Why::Refused), (lifetime, Why::Lifetime), (idle, Why::Idle)];
        all.into_iter().filter_map(|(at, why)| Some((at?, why))).min_by_key(|(at, _)| *at)
    }
}

/// The runtime's clock, which tests can hold still.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
