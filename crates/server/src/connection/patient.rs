//! A client that asks and does not read the answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may take none of an answer over HTTP/1.1. As long as one of HTTP/2 may: longer than any network that still
/// works stands still, and shorter than anybody waits for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream whose remote has to take something of what is written within a time. hyper itself waits for ever, and meanwhile asks
/// for no more of the body, whose end nobody would then notice.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    /// Only while the remote takes nothing.
    late: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// With all the time of [`WRITE_TIMEOUT`] for each write.
    pub(crate) fn new(stream: S) -> Patient<S> {
        Patient { stream, late: None }
    }

    /// The stream.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    /// What came of an attempt to write.
    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.late = None;
            return written;
        }
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        ready!(late.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.judge(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.judge(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.judge(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_the_time_is_given_up_and_who_takes_a_little_is_not() {
        let (ours, mut theirs) = duplex(4);
        let mut patient = Patient::new(ours);
        let slow = async {
            let mut taken = [0; 1];
            for _ in 0..4 {
                tokio::time::sleep(WRITE_TIMEOUT.mul_f64(0.9)).await;
                theirs.read_exact(&mut taken).await.expect("a byte");
            }
            theirs
        };
        let (written, theirs) = tokio::join!(patient.write_all(b"01234567"), slow);
        written.expect("a slow reader is no stalled one");
        let began = tokio::time::Instant::now();
        let error = patient.write_all(b"8").await.expect_err("nobody reads");
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, WRITE_TIMEOUT));
        drop(theirs);
    }
}
