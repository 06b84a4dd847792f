//! A stream that remembers whether an answer of HTTP came where none can be: a WebSocket only sees a broken frame in it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline_net::Dialled;

use crate::pipe::Measured;

/// How the answer of a proxy begins. As a frame it has a reserved bit set, so that no WebSocket says it.
const HTTP: &[u8] = b"HTTP/1.";

/// How much of it is kept.
const SHOWN: usize = 512;

/// The beginning of an answer, if one came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page(Arc<Mutex<Option<String>>>);

/// The stream.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: Dialled,
    page: Page,
}

impl Page {
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at what was read. A proxy writes its page at once, so it begins a read.
    pub(crate) fn look(&self, bytes: &[u8]) {
        if bytes.starts_with(HTTP) {
            let page = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(page);
        }
    }
}

impl Watched {
    pub(crate) fn new(stream: Dialled, page: Page) -> Self {
        Self { stream, page }
    }

    pub(crate) fn get_ref(&self) -> &Dialled {
        &self.stream
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        self.page.look(&into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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

impl Measured for Watched {
    fn reset_on_close(&self) -> bool {
        self.stream.reset_on_close()
    }

    fn without_keepalive(&self) {
        self.stream.without_keepalive();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_is_kept_and_frames_are_none() {
        let page = Page::default();
        page.look(b"\x81\x07HTTP/1.");
        assert_eq!(page.get(), None);
        page.look(b"HTTP/1.1 500 Internal Server Error\r\n");
        page.look(b"HTTP/1.1 502");
        assert!(page.get().is_some_and(|page| page.contains("500")));
    }
}
