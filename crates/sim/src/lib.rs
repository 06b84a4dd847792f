//! Seeded faults for the tests of Trunkline: a stream that splits, hesitates, breaks off and fails as its plan says.
//!
//! Everything follows from the seed, so a failing test that prints it can be run again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Chance from a seed (SplitMix64): for choosing faults, not for secrets.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`, which must not be zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }
}

/// What goes wrong with a stream.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The most bytes that one read gives or one write takes.
    pub piece: usize,
    /// Of 100 calls, how many first answer "not yet" and wake the task at once.
    pub hesitate: u64,
    /// The stream ends for the reader after this many bytes.
    pub end_after: Option<u64>,
    /// The read or write of this number, counted from 0, fails with a reset, and all after it.
    pub fail_at: Option<u64>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { piece: usize::MAX, hesitate: 0, end_after: None, fail_at: None }
    }
}

/// A stream with faults.
#[derive(Debug)]
pub struct Faulty<S> {
    stream: S,
    plan: Plan,
    chance: Chance,
    read: u64,
    calls: u64,
    vectored: u64,
}

impl<S> Faulty<S> {
    /// Puts the plan between the caller and the stream.
    pub fn new(stream: S, plan: Plan, seed: u64) -> Self {
        Self { stream, plan, chance: Chance::new(seed), read: 0, calls: 0, vectored: 0 }
    }

    /// Reads and writes that were carried out so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Writes that carried more than one slice.
    pub fn vectored_writes(&self) -> u64 {
        self.vectored
    }

    fn hesitates(&mut self, cx: &mut Context<'_>) -> bool {
        let hesitates = self.chance.below(100) < self.plan.hesitate;
        if hesitates {
            cx.waker().wake_by_ref();
        }
        hesitates
    }

    fn piece(&mut self) -> usize {
        let most = u64::try_from(self.plan.piece).unwrap_or(u64::MAX);
        usize::try_from(1 + self.chance.below(most)).unwrap_or(usize::MAX)
    }

    fn count_call(&mut self) -> io::Result<()> {
        let number = self.calls;
        self.calls += 1;
        match self.plan.fail_at {
            Some(at) if number >= at => Err(io::ErrorKind::ConnectionReset.into()),
            _ => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Faulty<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.hesitates(cx) {
            return Poll::Pending;
        }
        let left = this.plan.end_after.map_or(u64::MAX, |end| end - this.read);
        if left == 0 {
            return Poll::Ready(Ok(()));
        }
        // A read must have room for a byte, or it would look like the end.
        let most =
            this.piece().min(into.remaining()).min(usize::try_from(left).unwrap_or(usize::MAX)).min(64 << 10);
        let mut bytes = vec![0; most];
        let mut part = ReadBuf::new(&mut bytes);
        let poll = Pin::new(&mut this.stream).poll_read(cx, &mut part);
        if poll.is_ready() {
            this.count_call()?;
            into.put_slice(part.filled());
            this.read += part.filled().len() as u64;
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Faulty<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.hesitates(cx) {
            return Poll::Pending;
        }
        let most = this.piece().min(data.len());
        let poll = Pin::new(&mut this.stream).poll_write(cx, &data[..most]);
        if poll.is_ready() {
            this.count_call()?;
        }
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.len() > 1 {
            self.vectored += 1;
        }
        let all = slices.iter().flat_map(|slice| slice.iter().copied());
        let piece: Vec<u8> = all.take(self.plan.piece).collect();
        self.poll_write(cx, &piece)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
