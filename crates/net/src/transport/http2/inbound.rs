//! What arrives on a stream, taken out of the HTTP/2 implementation at once.
//!
//! There, every DATA frame that nobody has read yet costs far more than its payload: an entry of its own, and the whole
//! buffer that it was read into, as long as one byte of that is unread. A remote could have us hold gigabytes by sending a
//! byte at a time to a stream whose application does not read, without ever breaking a window. So the connection's driver
//! empties every stream whenever it runs, and what is unread lies together, in as many bytes as the window says.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, Stream as _};
use h2::{FlowControl, RecvStream};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::of_stream;
use super::keepalive::Life;

/// Bytes that are read of a connection before its streams are emptied. As many small frames fit as cost a few MiB for that
/// long; and tasks take turns.
const TURN: usize = 32 << 10;

/// What frames in one turn may cost as the HTTP/2 implementation counts it, 256 bytes for each: more than fit. A frame has
/// nine bytes before its payload.
pub(super) const FRAMES_IN_A_TURN: usize = 256 * (2 * TURN / 10);

/// Both ends of what arrives on one stream: for the application, and for the connection's driver.
pub(super) fn inbound(mut receive: RecvStream) -> (Inbound, Drain) {
    let shared = Arc::new(Shared::default());
    let flow = receive.flow_control().clone();
    (Inbound { shared: Arc::clone(&shared), flow }, Drain { receive, shared })
}

#[derive(Debug, Default)]
struct Shared(Mutex<Inbox>);

#[derive(Debug, Default)]
struct Inbox {
    unread: BytesMut,
    end: Option<End>,
    /// Whether the application's end was dropped.
    abandoned: bool,
    reader: Option<Waker>,
    driver: Option<Waker>,
}

#[derive(Debug)]
enum End {
    /// END_STREAM, with the trailers that came before it until they are taken.
    Stream(Option<HeaderMap>),
    /// A failure; the whole story is told once.
    Failed(io::ErrorKind, Option<io::Error>),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // Nothing panics while it is held, and everything in it is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is there and wakes whoever waits for that.
    fn give(&self, change: impl FnOnce(&mut Inbox)) {
        let reader = {
            let mut inbox = self.lock();
            change(&mut inbox);
            inbox.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// The application's end.
#[derive(Debug)]
pub(super) struct Inbound {
    shared: Arc<Shared>,
    flow: FlowControl,
}

impl Inbound {
    /// Nothing more in `into` is END_STREAM.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wanted = into.remaining();
        let taken = ready!(self.poll_take(cx, |unread| {
            let count = unread.len().min(wanted);
            into.put_slice(&unread[..count]);
            unread.advance(count);
            count
        }));
        Poll::Ready(taken.map(drop))
    }

    /// All that is there; `None` is END_STREAM.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut chunk = Bytes::new();
        let taken = ready!(self.poll_take(cx, |unread| {
            chunk = std::mem::take(unread).freeze();
            chunk.len()
        }));
        Poll::Ready(taken.map(|more| more.then_some(chunk)).transpose())
    }

    /// The trailers, after END_STREAM, once.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.shared.lock().end {
            Some(End::Stream(trailers)) => trailers.take(),
            _ => None,
        }
    }

    /// Whether nothing will come any more, not even trailers.
    pub(super) fn is_end(&self) -> bool {
        let inbox = self.shared.lock();
        inbox.unread.is_empty() && matches!(inbox.end, Some(End::Stream(None)))
    }

    /// Takes some of what is there and opens the remote's window by that; false at END_STREAM.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut BytesMut) -> usize,
    ) -> Poll<io::Result<bool>> {
        let count = {
            let mut inbox = self.shared.lock();
            if inbox.unread.is_empty() {
                return match &mut inbox.end {
                    Some(End::Stream(_)) => Poll::Ready(Ok(false)),
                    Some(End::Failed(kind, story)) => {
                        let kind = *kind;
                        Poll::Ready(Err(story.take().unwrap_or_else(|| kind.into())))
                    }
                    None => {
                        inbox.reader = Some(cx.waker().clone());
                        Poll::Pending
                    }
                };
            }
            let count = take(&mut inbox.unread);
            if inbox.unread.is_empty() {
                inbox.unread = BytesMut::new(); // An idle stream holds no buffer.
            }
            count
        };
        // It fails only for more than was received.
        let _ = self.flow.release_capacity(count);
        Poll::Ready(Ok(true))
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let driver = {
            let mut inbox = self.shared.lock();
            inbox.abandoned = true;
            inbox.unread = BytesMut::new();
            inbox.driver.take()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// The driver's end: done when the stream is, or when the application does not want it any more.
#[derive(Debug)]
pub(super) struct Drain {
    receive: RecvStream,
    shared: Arc<Shared>,
}

impl Future for Drain {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { receive, shared } = self.get_mut();
        loop {
            {
                let mut inbox = shared.lock();
                if inbox.abandoned {
                    return Poll::Ready(());
                }
                inbox.driver = Some(cx.waker().clone());
            }
            let end = match ready!(receive.poll_data(cx)) {
                Some(Ok(data)) => {
                    // A DATA frame may be empty and end nothing.
                    shared.give(|inbox| inbox.unread.extend_from_slice(&data));
                    continue;
                }
                Some(Err(error)) => failed(of_stream(error)),
                None => match ready!(receive.poll_trailers(cx)) {
                    Ok(trailers) => End::Stream(trailers),
                    Err(error) => failed(of_stream(error)),
                },
            };
            shared.give(|inbox| inbox.end = Some(end));
            return Poll::Ready(());
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.shared.give(|inbox| {
            inbox.end.get_or_insert_with(|| failed(io::ErrorKind::ConnectionAborted.into()));
        });
    }
}

fn failed(error: io::Error) -> End {
    End::Failed(error.kind(), Some(error))
}

/// All streams of a connection, for its driver.
#[derive(Debug, Default)]
pub(super) struct Drains(FuturesUnordered<Drain>);

impl Drains {
    pub(super) fn push(&mut self, drain: Drain) {
        self.0.push(drain);
    }

    /// Empties those on which something has arrived, and leaves the others to be woken for.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = Pin::new(&mut self.0).poll_next(cx) {}
    }
}

/// The stream below a connection, which takes a break when a turn's bytes have been read, and notes that bytes move.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    left: usize,
    life: Life,
    /// The stream had no room for more when it was last written to.
    is_full: bool,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, left: TURN, life: Life::default(), is_full: false }
    }

    /// Where it counts the remote's signs of life.
    pub(super) fn life(&self) -> Life {
        self.life.clone()
    }

    /// Notes what became of a write. Room that was there all the time says nothing of the remote.
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.is_full && matches!(written, Poll::Ready(Ok(1..))) {
            self.life.seen();
        }
        self.is_full = written.is_pending();
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.left = TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        let count = into.filled().len() - before;
        self.left = if read.is_pending() { TURN } else { self.left.saturating_sub(count) };
        if count > 0 {
            self.life.seen();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
