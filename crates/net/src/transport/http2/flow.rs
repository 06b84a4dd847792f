//! The sending half of one HTTP/2 stream, under flow control.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;

use super::error::{of_stream, reset};

/// Asks for no more than it has and keeps nothing: what it hands on, the remote has granted.
///
/// A reservation is taken out of the connection's window, and what is not used of it is lost to the other streams; so it
/// is given back when nothing waits.
#[derive(Debug)]
pub(super) struct Outgoing {
    stream: SendStream<Bytes>,
    /// Whether END_STREAM or RST_STREAM has been sent.
    over: bool,
}

impl Outgoing {
    pub(super) fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, over: false }
    }

    pub(super) fn id(&self) -> u32 {
        self.stream.stream_id().as_u32()
    }

    /// Waits until at least one byte may be sent, and says how many of `wanted` may.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        if self.over {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.stream.reserve_capacity(wanted);
        loop {
            let room = self.stream.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room.min(wanted)));
            }
            match ready!(self.stream.poll_capacity(cx)) {
                // The capacity that came may have gone again with a smaller window.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(of_stream(error))),
                None => return Poll::Ready(Err(self.why_closed(cx))),
            }
        }
    }

    /// As much of it as may be sent at once, and no more than `wanted`.
    pub(super) fn room_now(&mut self, wanted: usize) -> usize {
        self.stream.reserve_capacity(wanted);
        self.stream.capacity().min(wanted)
    }

    /// Sends no more than what [`poll_room`](Self::poll_room) has granted.
    pub(super) fn send(&mut self, data: Bytes) -> io::Result<()> {
        self.stream.send_data(data, false).map_err(of_stream)?;
        self.stream.reserve_capacity(0);
        Ok(())
    }

    /// Sends END_STREAM, once.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(());
        }
        self.stream.send_data(Bytes::new(), true).map_err(of_stream)
    }

    /// Sends trailers, and END_STREAM with them.
    pub(super) fn end_with(&mut self, trailers: HeaderMap) -> io::Result<()> {
        self.over = true;
        self.stream.send_trailers(trailers).map_err(of_stream)
    }

    /// Gives the stream up with RST_STREAM at once, unless it has been ended. What waits in it is thrown away. (Dropped, it
    /// is reset with CANCEL when that has been sent.)
    pub(super) fn reset(&mut self, reason: Reason) {
        if !std::mem::replace(&mut self.over, true) {
            self.stream.send_reset(reason);
        }
    }

    /// Waits until the remote resets the stream, or the connection fails.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.stream.poll_reset(cx).map(|reason| reason.map_or_else(of_stream, reset))
    }

    fn why_closed(&mut self, cx: &mut Context<'_>) -> io::Error {
        match self.poll_reset(cx) {
            Poll::Ready(error) => error,
            Poll::Pending => io::ErrorKind::BrokenPipe.into(),
        }
    }
}
