//! One HTTP/2 stream as a stream of bytes.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::SendStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::Place;
use super::flow::Outgoing;
use super::inbound::Inbound;

/// Bytes of one DATA frame at most: the payload that every remote takes (RFC 9113 section 4.2). Streams take turns at a
/// frame's end.
const FRAME: usize = 16 << 10;

/// One HTTP/2 stream, both directions, as a TCP stream would behave (RFC 8441 section 5).
///
/// - Shutting it down sends END_STREAM. Dropping it before sends RST_STREAM with CANCEL. What was written before goes out
///   before either.
/// - The remote's END_STREAM is the end of reading. Its RST_STREAM is [`ConnectionReset`](io::ErrorKind::ConnectionReset)
///   in both directions; the end of the whole HTTP/2 connection is an error too.
/// - Reading opens the remote's window again by what was read. Writing takes no more than the remote has granted and
///   [`Http2Limits::send_buffer`](super::Http2Limits::send_buffer) has room for; flushing therefore has nothing to do.
///
/// It moves only while its connection is driven: by [`Server::accept`](super::Server::accept), or by the task of the
/// [`Session`](super::Session).
pub struct Stream {
    send: Outgoing,
    inbound: Inbound,
    /// On a client, the place among the streams that the session may open.
    _place: Option<Place>,
}

impl Stream {
    pub(super) fn new(send: SendStream<Bytes>, inbound: Inbound, place: Option<Place>) -> Self {
        Self { send: Outgoing::new(send), inbound, _place: place }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().inbound.poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let send = &mut self.get_mut().send;
        let wanted = slices.iter().fold(0, |sum: usize, slice| sum.saturating_add(slice.len())).min(FRAME);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(send.poll_room(cx, wanted))?;
        Poll::Ready(send.send(gather(slices, room)).map(|()| room))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().send.end())
    }
}

/// The first `count` bytes of `slices`, as one frame's payload.
fn gather(slices: &[IoSlice<'_>], count: usize) -> Bytes {
    let mut frame = BytesMut::with_capacity(count);
    for slice in slices {
        let missing = count - frame.len();
        frame.extend_from_slice(&slice[..slice.len().min(missing)]);
    }
    frame.freeze()
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.send.id()).finish_non_exhaustive()
    }
}
