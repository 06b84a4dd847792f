//! Messages piece by piece: of any length, through a few kilobytes of memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use trunkline_websocket::Kind;

use super::drive::Until;
use super::held::Ready;
use super::wakers::Side;
use super::{WebSocket, now};
use crate::error::Error;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The next message, to be read piece by piece: whatever its length, no more than a piece of it is held at once.
    ///
    /// `None` and errors as for [`recv`](Self::recv). [`Limits::streamed`] holds in place of [`Limits::message`], and of
    /// its frames only the empty ones count.
    ///
    /// Calls to this and to [`recv`](Self::recv) may be mixed: each message comes as the call asks for it. Only a message
    /// that began to arrive in an earlier call, when messages were not expected in pieces, is bounded by
    /// [`Limits::message`] and comes as a single one: see [`expect_stream`](Self::expect_stream).
    ///
    /// # Cancel safety
    ///
    /// No message is lost when this future is dropped: the next call gives it.
    ///
    /// [`Limits::streamed`]: trunkline_websocket::Limits::streamed
    /// [`Limits::message`]: trunkline_websocket::Limits::message
    pub async fn recv_stream(&mut self) -> Option<Result<MessageReader<'_, S>, Error>> {
        self.want_pieces();
        poll_fn(|cx| self.poll_until(cx, Side::Receive, Until::Begin)).await;
        let (kind, whole) = match self.held.take_ready() {
            Some(Ready::Begin(kind)) => (kind, None),
            Some(Ready::Message(message)) => (message.kind(), Some(message.into_bytes())),
            Some(Ready::Piece { .. }) | None => return self.ended.as_mut()?.error.take().map(Err),
        };
        Some(Ok(MessageReader { socket: self, kind, whole, over: false }))
    }

    /// The next message may be too large to be put together: it shall wait at its beginning until
    /// [`recv_stream`](Self::recv_stream) asks for its pieces, or [`recv`](Self::recv) for the whole.
    ///
    /// [`recv_stream`](Self::recv_stream) says so itself, and it holds until [`recv`](Self::recv) is called. Needed
    /// before that only by who sends first: sending reads what arrives meanwhile.
    pub fn expect_stream(&mut self) {
        self.want_pieces();
    }

    /// Begins a message of unknown length, to be written piece by piece. Nothing is sent yet.
    ///
    /// Compressed, if permessage-deflate was agreed on; a piece may then wait in the compressor until there is more.
    ///
    /// # Errors
    ///
    /// How the connection ended; [`Error::Misuse`] after our own Close frame.
    pub fn send_stream(&mut self, kind: Kind) -> Result<MessageWriter<'_, S>, Error> {
        self.end_as_error()?;
        self.connection.begin_message(kind)?;
        Ok(MessageWriter { socket: self, finished: false })
    }
}

impl<S> WebSocket<S> {
    /// Messages that begin from now on come in pieces.
    fn want_pieces(&mut self) {
        self.connection.receive_pieces(true);
        // A reader that was forgotten, and never dropped, has left its message behind.
        if !matches!(self.held.ready(), Some(Ready::Begin(_))) {
            self.skip();
        }
    }

    /// Messages are to be whole again; one that has begun in pieces and is not begun to be read is put together.
    pub(super) fn want_whole(&mut self) {
        if !self.connection.gives_pieces() {
            return;
        }
        self.connection.receive_pieces(false);
        if matches!(self.held.ready(), Some(Ready::Begin(_))) {
            drop(self.held.take_ready());
            self.act(|connection| connection.put_together(now()));
        } else {
            self.skip();
        }
    }

    /// Nobody wants the rest of the message that comes in pieces, if one does.
    fn skip(&mut self) {
        if matches!(self.held.ready(), Some(Ready::Piece { .. })) {
            drop(self.held.take_ready());
        }
        self.skipping = self.connection.in_pieces();
    }
}

/// A message that arrives piece by piece; see [`WebSocket::recv_stream`].
///
/// **Dropped before its end**, the rest of the message is skipped: it is still read, and judged, while the next message is
/// waited for. To not wait for that, close the connection.
///
/// It is also a [`Stream`] of its pieces.
#[derive(Debug)]
#[must_use = "a message that is not read is skipped"]
pub struct MessageReader<'a, S> {
    socket: &'a mut WebSocket<S>,
    kind: Kind,
    /// The message, if it had arrived before anybody wanted its pieces.
    whole: Option<Bytes>,
    over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageReader<'_, S> {
    /// The next piece, as much as arrived at once: of any length up to 64 KiB, and never empty. `None` once the message is
    /// complete, and only then.
    ///
    /// Where pieces are cut means nothing. Of text, everything so far is UTF-8 but for a code point that the last cut
    /// went through; text that is not UTF-8 ends the connection at its first wrong byte.
    ///
    /// # Errors
    ///
    /// How the connection ended before the message did, by an orderly close too; nothing follows it.
    ///
    /// # Cancel safety
    ///
    /// No piece is lost when this future is dropped: the next call gives it.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Some(whole) = self.whole.take() {
            self.over = true;
            return Poll::Ready((!whole.is_empty()).then_some(Ok(whole)));
        }
        ready!(self.socket.poll_until(cx, Side::Receive, Until::Piece));
        let Some(Ready::Piece { data, last }) = self.socket.held.take_ready() else {
            self.over = true;
            return Poll::Ready(Some(Err(self.socket.end_of_a_message())));
        };
        self.over = last;
        Poll::Ready((!data.is_empty()).then_some(Ok(data)))
    }
}

impl<S> MessageReader<'_, S> {
    /// Text or binary.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for MessageReader<'_, S> {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_piece(cx)
    }
}

impl<S> Drop for MessageReader<'_, S> {
    fn drop(&mut self) {
        if !self.over {
            self.socket.skip();
        }
    }
}

/// A message that is sent piece by piece; see [`WebSocket::send_stream`].
///
/// **Dropped before [`finish`](Self::finish) is done**, the message stays unfinished, and a message that is unfinished must
/// never look whole: the connection is closed with 1011, unless nothing of the message was written yet.
#[derive(Debug)]
#[must_use = "a message that is not finished closes its connection"]
pub struct MessageWriter<'a, S> {
    socket: &'a mut WebSocket<S>,
    finished: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageWriter<'_, S> {
    /// Queues a piece, waiting only for room, as [`WebSocket::feed`] does. It leaves as a frame of its own: pieces of a few
    /// kilobytes or more cost the least. Control frames go between.
    ///
    /// # Errors
    ///
    /// How the connection ended; [`Error::Misuse`] for text that is not UTF-8, of which nothing was taken. Pieces of text
    /// may be cut anywhere.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the piece was not taken.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.socket.room().await?;
        Ok(self.socket.act(|connection| connection.send_piece(piece, false))?)
    }

    /// Waits until all that is queued has been taken by the stream.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; the next call goes on.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.socket.flush().await
    }

    /// Ends the message and waits until the stream has taken it. Calling it again changes nothing.
    ///
    /// # Errors
    ///
    /// How the connection ended; [`Error::Misuse`] for text that ends inside a code point.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it can be called again.
    pub async fn finish(&mut self) -> Result<(), Error> {
        if !self.finished {
            self.socket.room().await?;
            self.socket.act(|connection| connection.send_piece(&[], true))?;
            self.finished = true;
        }
        self.socket.flush().await
    }
}

impl<S> Drop for MessageWriter<'_, S> {
    fn drop(&mut self) {
        if !self.finished {
            self.socket.act(|connection| connection.abandon_message(now()));
            self.socket.wakers.wake(Side::Receive);
        }
    }
}
