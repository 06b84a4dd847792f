//! What a client has when a raw stream is open.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::Carrier;
use super::messages::Messages;
use crate::dial::Dialled;
use crate::transport::http1::Rewind;

/// A raw stream to a service. Reading and writing are the same whatever carries it.
///
/// Shutting down ends our direction and leaves the other; not every path carries that on (docs/operating.md), so a protocol had better
/// not depend on it. A stream that was cut, rather than ended, reads as an error where that can be told: over TLS and in a
/// WebSocket.
pub struct Stream {
    below: Below,
}

enum Below {
    Bare(Rewind<Dialled>),
    Messages(Box<Rewind<Messages<Dialled>>>),
}

impl Stream {
    pub(super) fn bare(stream: Rewind<Dialled>) -> Self {
        Self { below: Below::Bare(stream) }
    }

    pub(super) fn messages(messages: Rewind<Messages<Dialled>>) -> Self {
        Self { below: Below::Messages(Box::new(messages)) }
    }

    /// What carries it.
    pub fn carrier(&self) -> Carrier {
        match &self.below {
            Below::Bare(_) => Carrier::Upgrade,
            Below::Messages(_) => Carrier::WebSocket,
        }
    }

    /// The stream below, for what is to be known of it: address, proxy, TLS. `None` once a WebSocket has closed it.
    pub fn dialled(&self) -> Option<&Dialled> {
        match &self.below {
            Below::Bare(stream) => Some(stream.get_ref()),
            Below::Messages(messages) => messages.get_ref().socket().stream(),
        }
    }
}

macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().below {
            Below::Bare($stream) => $call,
            Below::Messages($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.below {
            Below::Bare(stream) => stream.is_write_vectored(),
            Below::Messages(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("carrier", &self.carrier()).field("dialled", &self.dialled()).finish()
    }
}
