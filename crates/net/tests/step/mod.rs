//! A stream whose every call is a place to stop at: it answers "not yet" first, takes and gives little, and fails where it is told.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a call does in place of its work, and all calls after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails.
    Error,
    /// A read is the end, a write takes nothing; flushing and shutting down fail.
    Nothing,
    /// It never answers.
    Silence,
}

/// How a stream behaves.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    /// The most bytes of one read or write.
    pub piece: usize,
    /// Whether every call answers "not yet" once before it works.
    pub hesitate: bool,
    /// The call that fails, counted from 0 over reads, writes, flushes and shutdowns together.
    pub fault: Option<(u64, Fault)>,
}

impl Default for Steps {
    fn default() -> Self {
        Self { piece: usize::MAX, hesitate: true, fault: None }
    }
}

/// Whether a fault was met; known after the stream is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Met(Arc<AtomicBool>);

impl Met {
    pub(crate) fn yet(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
pub(crate) struct Stepping<S> {
    stream: S,
    steps: Steps,
    /// Which of reading, writing, flushing and shutting down has answered "not yet" and works the next time.
    hesitated: [bool; 4],
    calls: u64,
    met: Met,
}

impl<S> Stepping<S> {
    pub(crate) fn new(stream: S, steps: Steps) -> Self {
        Self { stream, steps, hesitated: [false; 4], calls: 0, met: Met::default() }
    }

    pub(crate) fn met(&self) -> Met {
        self.met.clone()
    }

    /// Whether the call works now. Only one that can be carried out counts, or the count would follow the schedule.
    fn begin(&mut self, call: usize, cx: &mut Context<'_>) -> Poll<Option<Fault>> {
        let fault = self.steps.fault.filter(|(at, _)| self.calls >= *at).map(|(_, fault)| fault);
        if fault.is_some() {
            self.met.0.store(true, Ordering::SeqCst);
        }
        if fault == Some(Fault::Silence) {
            return Poll::Pending;
        }
        self.hesitated[call] = self.steps.hesitate && !self.hesitated[call];
        if self.hesitated[call] {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(fault)
    }

    fn count<T>(&mut self, poll: Poll<T>) -> Poll<T> {
        self.calls += u64::from(poll.is_ready());
        poll
    }
}

fn error<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Stepping<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match std::task::ready!(self.begin(0, cx)) {
            Some(Fault::Nothing) => return Poll::Ready(Ok(())),
            Some(_) => return error(),
            None => {}
        }
        let mut bytes = vec![0; self.steps.piece.min(into.remaining())];
        let mut part = ReadBuf::new(&mut bytes);
        let poll = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        into.put_slice(part.filled());
        self.count(poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stepping<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match std::task::ready!(self.begin(1, cx)) {
            Some(Fault::Nothing) => return Poll::Ready(Ok(0)),
            Some(_) => return error(),
            None => {}
        }
        let most = self.steps.piece.min(data.len());
        let poll = Pin::new(&mut self.stream).poll_write(cx, &data[..most]);
        self.count(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::task::ready!(self.begin(2, cx)).is_some() {
            return error();
        }
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.count(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::task::ready!(self.begin(3, cx)).is_some() {
            return error();
        }
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.count(poll)
    }
}

/// Polls a future so many times and then drops it, wherever it stands. Others run in between.
pub(crate) async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        let poll = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = poll {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}
