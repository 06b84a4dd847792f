//! Whether the remote of an HTTP/2 connection is still there.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

use super::Http2Limits;

/// Asks with a PING now and then. One timer for the connection, however many streams it has.
#[derive(Debug)]
pub(super) struct Keepalive {
    pings: PingPong,
    interval: Duration,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl Keepalive {
    /// `None` if nobody is to be asked, or somebody else asks already.
    pub(super) fn new(pings: Option<PingPong>, limits: &Http2Limits) -> Option<Self> {
        let (pings, interval) = pings.zip(limits.ping_interval)?;
        let timer = Box::pin(sleep(interval));
        Some(Self { pings, interval, timeout: limits.ping_timeout, timer, asked: false })
    }

    /// Ready when the remote counts as dead.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.asked && self.poll_answer(cx) {
                self.asked = false;
                self.timer.as_mut().reset(Instant::now() + self.interval);
            }
            ready!(self.timer.as_mut().poll(cx));
            // The timer has fired: no answer came in time, or it is time to ask. A connection that can no longer be asked is
            // about to end by itself, and is given the same time for it.
            if self.asked {
                return Poll::Ready(());
            }
            let _ = self.pings.send_ping(Ping::opaque());
            self.asked = true;
            self.timer.as_mut().reset(Instant::now() + self.timeout);
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> bool {
        matches!(self.pings.poll_pong(cx), Poll::Ready(Ok(_)))
    }
}
