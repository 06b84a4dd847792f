//! Whether the remote of an HTTP/2 connection is still there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

use super::Http2Limits;

/// Signs of life of the remote, counted where bytes move and looked at where it is asked.
///
/// Any byte of the remote is one, and any byte that it makes room for after the stream had none: the answer to a PING may
/// be stuck behind others on a slow path, in either direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Life(Arc<AtomicU64>);

impl Life {
    pub(super) fn seen(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Asks with a PING now and then. One timer for the connection, however many streams it has.
#[derive(Debug)]
pub(super) struct Keepalive {
    pings: PingPong,
    interval: Duration,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    asked: bool,
    life: Life,
    /// Its count when the time for the answer began.
    last: u64,
}

impl Keepalive {
    /// `None` if nobody is to be asked, or somebody else asks already.
    pub(super) fn new(pings: Option<PingPong>, life: Life, limits: &Http2Limits) -> Option<Self> {
        let (pings, interval) = pings.zip(limits.ping_interval)?;
        let timer = Box::pin(sleep(interval));
        Some(Self { pings, interval, timeout: limits.ping_timeout, timer, asked: false, life, last: 0 })
    }

    /// Ready when the remote counts as dead.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.asked && self.poll_answer(cx) {
                self.asked = false;
                self.timer.as_mut().reset(Instant::now() + self.interval);
            } else if self.asked && self.last != self.life.count() {
                self.wait_for_answer();
            }
            ready!(self.timer.as_mut().poll(cx));
            // The timer has fired: no answer came in time, or it is time to ask. A connection that can no longer be asked is
            // about to end by itself, and is given the same time for it.
            if self.asked {
                return Poll::Ready(());
            }
            // An answer to somebody's question before ours is none to ours, and nothing is asked as long as it lies there.
            let _ = self.poll_answer(cx);
            let _ = self.pings.send_ping(Ping::opaque());
            self.asked = true;
            self.wait_for_answer();
        }
    }

    /// From now on.
    fn wait_for_answer(&mut self) {
        self.last = self.life.count();
        self.timer.as_mut().reset(Instant::now() + self.timeout);
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> bool {
        matches!(self.pings.poll_pong(cx), Poll::Ready(Ok(_)))
    }
}
