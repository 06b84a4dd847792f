//! Units both ways over whatever carries them: a WebSocket, or a bare stream. One owner drives both directions.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream as _;
use futures_sink::Sink as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline_net::{Cause, CloseCode, Error, Limits, Message, WebSocket};

use crate::units::{BINARY_LIMIT, LINE_LIMIT, Units, encode};

/// Bytes that may wait to be written. Little: what waits here is measured as if it were the path's delay.
const OUTGOING: usize = 64 << 10;

/// One read of a bare stream.
const CHUNK: usize = 16 << 10;

/// What is sent and received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A command or a reply.
    Text(String),
    /// Bytes to echo, or of a bulk.
    Binary(Bytes),
}

/// Why nothing can be read any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An answer of HTTP inside the stream: the error page of something on the path.
    #[error("an HTTP answer came inside the stream")]
    Http(String),
    /// A line or a length past its limit.
    #[error("a unit of more than {limit} bytes")]
    TooLong {
        /// In bytes.
        limit: usize,
    },
    /// Neither JSON nor a length.
    #[error("what came is neither a JSON object on a line nor a length")]
    NotAUnit,
}

/// How a direction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides said goodbye, or the remote did: the code of its Close frame.
    Closed(u16),
    /// The stream ended without a Close frame; of a bare stream that is all there is.
    Ended,
    /// The stream was reset.
    Reset,
    /// What came broke a rule: of RFC 6455, or of units.
    Violation(String),
    /// An HTTP answer came inside the stream.
    Http(String),
    /// Something else, in words.
    Failed(String),
}

/// What a pipe has to tell.
#[derive(Debug)]
pub enum Event {
    /// A unit came.
    Received(Unit),
    /// There is room to send.
    Room,
    /// Nothing more comes. Of a bare stream the other direction may still be open.
    End(End),
}

/// A stream of which a measurement has to know the socket.
pub trait Measured {
    /// From now on closing it resets it. `false` where that cannot be.
    fn reset_on_close(&self) -> bool;

    /// No probes of the kernel on an idle socket: they would keep alive what is to be measured.
    fn without_keepalive(&self);
}

/// What is waited for, beside the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// The next unit.
    pub input: bool,
    /// Room to send.
    pub room: bool,
}

/// Units over a WebSocket or a bare stream. See [`Event`] for what comes of driving it.
#[derive(Debug)]
pub struct Pipe<S>(Carrier<S>);

#[derive(Debug)]
enum Carrier<S> {
    WebSocket(Box<WebSocket<S>>),
    Raw(Box<Raw<S>>),
}

#[derive(Debug)]
struct Raw<S> {
    stream: S,
    units: Units,
    out: BytesMut,
    ended: bool,
    failed: Option<io::Error>,
    /// Our own direction ends once all is written.
    ending: bool,
    shut: bool,
}

/// Limits of a WebSocket that is a pipe: no keepalive, since who measures an idle path must not touch it.
pub fn limits() -> Limits {
    Limits {
        message: BINARY_LIMIT.max(LINE_LIMIT),
        outgoing: OUTGOING,
        ping_interval: None,
        ..Limits::default()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    /// Over a WebSocket, best with [`limits`].
    pub fn websocket(socket: WebSocket<S>) -> Self {
        Self(Carrier::WebSocket(Box::new(socket)))
    }

    /// Over a bare stream; `rest` has come already.
    pub fn raw(stream: S, rest: &[u8]) -> Self {
        let units = Units::starting_with(rest);
        let out = BytesMut::new();
        Self(Carrier::Raw(Box::new(Raw {
            stream,
            units,
            out,
            ended: false,
            failed: None,
            ending: false,
            shut: false,
        })))
    }

    /// Whether a unit can be queued at once.
    pub fn has_room(&self) -> bool {
        match &self.0 {
            Carrier::WebSocket(socket) => socket.has_room(),
            Carrier::Raw(raw) => raw.out.len() < OUTGOING && !raw.ending,
        }
    }

    /// Queues a unit. One may overshoot the room there is.
    ///
    /// # Errors
    ///
    /// If nothing can be sent any more, in words.
    pub fn feed(&mut self, unit: Unit) -> Result<(), String> {
        match &mut self.0 {
            Carrier::WebSocket(socket) => {
                let message = match unit {
                    Unit::Text(text) => Message::Text(text.into()),
                    Unit::Binary(bytes) => Message::Binary(bytes),
                };
                Pin::new(&mut **socket).start_send(message).map_err(|error| error.to_string())
            }
            Carrier::Raw(raw) if raw.ending || raw.failed.is_some() => {
                Err("the direction has ended".to_owned())
            }
            Carrier::Raw(raw) => {
                raw.out.extend_from_slice(&encode(&unit));
                Ok(())
            }
        }
    }

    /// Begins to end it: a Close frame, or the end of our direction of a bare stream. Receiving goes on.
    pub fn start_close(&mut self, code: u16, reason: &str) {
        match &mut self.0 {
            Carrier::WebSocket(socket) => {
                let code = CloseCode::new(code).unwrap_or(CloseCode::NORMAL);
                // Refused where the end has begun already, which is as well.
                let _ = socket.start_close(code, reason);
            }
            Carrier::Raw(raw) => raw.ending = true,
        }
    }

    /// What comes next of what is wanted, or the end. What waits to be written is written meanwhile, whatever is wanted. Cancel
    /// safe: nothing is lost.
    pub async fn event(&mut self, wants: Wants) -> Event {
        poll_fn(|cx| match &mut self.0 {
            Carrier::WebSocket(socket) => poll_websocket(socket, cx, wants),
            Carrier::Raw(raw) => raw.poll(cx, wants),
        })
        .await
    }

    /// The next unit. Cancel safe.
    ///
    /// # Errors
    ///
    /// How it ended.
    pub async fn receive(&mut self) -> Result<Unit, End> {
        match self.event(Wants { input: true, room: false }).await {
            Event::Received(unit) => Ok(unit),
            Event::End(end) => Err(end),
            Event::Room => Err(End::Failed("room that nobody asked for".to_owned())),
        }
    }

    /// Waits until all is written, and our direction ended if that was asked for. Cancel safe.
    ///
    /// # Errors
    ///
    /// How it ended.
    pub async fn flush(&mut self) -> Result<(), End> {
        match &mut self.0 {
            Carrier::WebSocket(socket) => socket.flush().await.map_err(|error| of_error(&error)),
            Carrier::Raw(raw) => poll_fn(|cx| raw.poll_write(cx)).await.map_err(|error| of_io(&error)),
        }
    }

    /// Sends a unit, waiting for room. Cancel safe: it is queued or not.
    ///
    /// # Errors
    ///
    /// How it ended. Units that arrive meanwhile wait.
    pub async fn send(&mut self, unit: Unit) -> Result<(), End> {
        while !self.has_room() {
            if let Event::End(end) = self.event(Wants { input: false, room: true }).await {
                return Err(end);
            }
        }
        self.feed(unit).map_err(End::Failed)?;
        self.flush().await
    }

    /// What has come over it, as frames; nothing for a bare stream, which has none.
    pub fn counters(&self) -> Option<trunkline_net::Counters> {
        match &self.0 {
            Carrier::WebSocket(socket) => Some(socket.counters()),
            Carrier::Raw(_) => None,
        }
    }

    /// The last round trip of a keepalive Ping, if there was one.
    pub fn rtt(&self) -> Option<std::time::Duration> {
        match &self.0 {
            Carrier::WebSocket(socket) => socket.rtt(),
            Carrier::Raw(_) => None,
        }
    }

    /// Whether it is a bare stream, in which each direction ends by itself.
    pub fn is_raw(&self) -> bool {
        matches!(self.0, Carrier::Raw(_))
    }

    /// The stream below, as long as it is open.
    pub fn stream(&self) -> Option<&S> {
        match &self.0 {
            Carrier::WebSocket(socket) => socket.stream(),
            Carrier::Raw(raw) => Some(&raw.stream),
        }
    }
}

fn poll_websocket<S>(socket: &mut WebSocket<S>, cx: &mut Context<'_>, wants: Wants) -> Poll<Event>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if wants.input
        && let Poll::Ready(received) = Pin::new(&mut *socket).poll_next(cx)
    {
        return Poll::Ready(match received {
            Some(Ok(Message::Text(text))) => Event::Received(Unit::Text(text.to_string())),
            Some(Ok(Message::Binary(bytes))) => Event::Received(Unit::Binary(bytes)),
            Some(Err(error)) => Event::End(of_error(&error)),
            None => Event::End(of_closed(socket)),
        });
    }
    let mut socket = Pin::new(socket);
    let driven = if wants.room { socket.as_mut().poll_ready(cx) } else { socket.as_mut().poll_flush(cx) };
    match driven {
        Poll::Ready(Ok(())) if wants.room => Poll::Ready(Event::Room),
        // The end is told to who receives, with all that came before it.
        Poll::Ready(Err(error)) if !wants.input => Poll::Ready(Event::End(of_error(&error))),
        _ => Poll::Pending,
    }
}

fn of_closed<S>(socket: &WebSocket<S>) -> End {
    match socket.closed() {
        Some(closed) if closed.is_clean() => End::Closed(closed.code),
        Some(closed) => of_cause(&closed.cause),
        None => End::Ended,
    }
}

fn of_error(error: &Error) -> End {
    match error {
        Error::Io(error) => of_io(error),
        Error::Closed(closed) => of_cause(&closed.cause),
        Error::Violation(violation) => End::Violation(violation.to_string()),
        error => End::Failed(error.to_string()),
    }
}

fn of_cause(cause: &Cause) -> End {
    match cause {
        Cause::StreamEnded | Cause::ClosedByRemote | Cause::ClosedByUs => End::Ended,
        Cause::Violation(violation) => End::Violation(violation.to_string()),
        Cause::TimedOut(why, _) => End::Failed(format!("{why} took too long")),
    }
}

fn of_io(error: &io::Error) -> End {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        ConnectionReset | ConnectionAborted | BrokenPipe => End::Reset,
        UnexpectedEof => End::Ended,
        _ => End::Failed(error.to_string()),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    fn poll(&mut self, cx: &mut Context<'_>, wants: Wants) -> Poll<Event> {
        // Both directions are asked each time: either may wake us.
        let written = self.poll_write(cx);
        if wants.input
            && let Poll::Ready(event) = self.poll_read(cx)
        {
            return Poll::Ready(event);
        }
        if let Poll::Ready(Err(error)) = written {
            let end = of_io(&error);
            self.failed = Some(error);
            self.ended = true;
            return Poll::Ready(Event::End(end));
        }
        if wants.room && self.out.len() < OUTGOING { Poll::Ready(Event::Room) } else { Poll::Pending }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut chunk = [0; CHUNK];
        loop {
            match self.units.next() {
                Ok(Some(unit)) => return Poll::Ready(Event::Received(unit)),
                Ok(None) => {}
                Err(Broken::Http(page)) => return Poll::Ready(Event::End(End::Http(page))),
                Err(broken) => return Poll::Ready(Event::End(End::Violation(broken.to_string()))),
            }
            if self.ended {
                return Poll::Ready(Event::End(End::Ended));
            }
            let mut buffer = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => self.ended = true,
                Ok(()) => self.units.receive(buffer.filled()),
                Err(error) => return Poll::Ready(Event::End(of_io(&error))),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(count);
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if self.ending && !self.shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.shut = true;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn units_cross_a_bare_stream_both_ways_and_each_direction_ends_by_itself() {
        let (near, far) = tokio::io::duplex(64);
        let (mut near, mut far) = (Pipe::raw(near, b""), Pipe::raw(far, b""));
        let long = Unit::Binary(vec![7; 10_000].into());
        near.feed(long.clone()).expect("open");
        near.start_close(1000, "");
        let work = async {
            assert_eq!(far.receive().await, Ok(long.clone()));
            assert_eq!(far.receive().await, Err(End::Ended));
            far.feed(long.clone()).expect("this direction is open");
            far.start_close(1000, "");
            far.flush().await.expect("it is read");
        };
        let (received, ()) = tokio::join!(near.receive(), work);
        assert_eq!(received, Ok(long.clone()));
        assert_eq!(near.receive().await, Err(End::Ended));
    }

    #[tokio::test]
    async fn an_error_page_inside_a_stream_is_the_end_and_is_shown() {
        let (near, far) = tokio::io::duplex(64);
        let mut near = Pipe::raw(near, b"HTTP/1.1 502 Bad Gateway\r\n");
        assert!(matches!(near.receive().await, Err(End::Http(page)) if page.contains("502")));
        drop(far);
    }
}
