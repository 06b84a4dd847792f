//! An event stream on a connection of its own: the first request of an HTTP/1.1 connection, whose answer does not end.
//!
//! No HTTP library holds a buffer for it. It is written in chunks (RFC 9112 §7.1), and what the client still says is forgotten: there
//! is no second answer behind one without an end.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::response::Parts;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;
use trunkline_net::Plain;

use super::super::guard::{guarded, what};
use super::stream::Events;
use crate::App;
use crate::connection::Patient;
use crate::http::{TRUNKLINE, VERSION};
use crate::stream::Stream;

/// The end of a body in chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Gives the stream a task of its own, so that nothing of the request stays in memory with it.
pub(super) fn start(app: &Arc<App>, stream: Stream, mut head: Parts, events: Events) {
    let headers = &mut head.headers;
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    headers.insert(TRUNKLINE, VERSION);
    app.metrics.http_answered(head.status);
    let mut plain = Plain::new(Patient::new(stream), b"", app.socket_limits.clone());
    plain.queue(&text_of(&head));
    let mut carrier = Carrier { plain, events };
    let panics = app.metrics.panics.clone();
    tokio::spawn(async move {
        match poll_fn(|cx| guarded(|| carrier.carry(cx))).await {
            Ok(Over::Said) => Box::pin(carrier.plain.close()).await,
            Ok(Over::Gone) => {}
            Err(panic) => {
                panics.inc();
                tracing::error!(fault = what(&*panic), "a connection ends because of a fault of ours");
            }
        }
    });
}

/// One stream of bytes and one of events.
struct Carrier<S> {
    plain: Plain<S>,
    events: Events,
}

/// Why nothing is carried any more.
enum Over {
    /// All is said that was to be said.
    Said,
    /// Nobody listens.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Carrier<S> {
    fn carry(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        loop {
            let room = self.plain.room();
            if room > 0 {
                match self.events.poll(cx) {
                    Poll::Ready(Some(events)) => {
                        self.queue(&events);
                        continue;
                    }
                    Poll::Ready(None) => {
                        self.plain.queue(LAST_CHUNK);
                        return Poll::Ready(Over::Said);
                    }
                    Poll::Pending => {}
                }
            } else if self.events.poll_ended(cx).is_ready() {
                // There is no room to say so.
                return Poll::Ready(Over::Gone);
            }
            if let Poll::Ready(Err(_)) = self.plain.poll_flush(cx) {
                return Poll::Ready(Over::Gone);
            }
            if room == 0 && self.plain.room() > 0 {
                continue;
            }
            // A client that sends without pause leaves its thread to others after so many reads.
            let turn = ready!(coop::poll_proceed(cx));
            match ready!(self.plain.poll_fill(cx)) {
                Ok(1..) => self.plain.consume(usize::MAX),
                Ok(0) | Err(_) => return Poll::Ready(Over::Gone),
            }
            turn.made_progress();
        }
    }

    fn queue(&mut self, events: &Bytes) {
        self.plain.queue(format!("{:x}\r\n", events.len()).as_bytes());
        self.plain.queue(events);
        self.plain.queue(b"\r\n");
    }
}

/// The head of an answer.
fn text_of(head: &Parts) -> Vec<u8> {
    let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in &head.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}
