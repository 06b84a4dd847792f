//! What ends an HTTP/2 connection, or keeps a WebSocket out of it.

use std::io;

use h2::Reason;

/// Why an HTTP/2 connection, or the way to a WebSocket in it, came to an end.
///
/// Where an [`io::Error`] is asked for, it is one with this inside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Http2Error {
    /// The server does not let WebSockets into its HTTP/2 connections: its settings lack ENABLE_CONNECT_PROTOCOL
    /// (RFC 8441 section 3). It may well over HTTP/1.1.
    #[error("the server has not offered WebSockets over HTTP/2 (RFC 8441 section 3)")]
    NotOffered,
    /// As many streams are open as both ends allow; another connection has room.
    #[error("all {streams} streams of this HTTP/2 connection are in use")]
    Full {
        /// How many that is.
        streams: usize,
    },
    /// The connection has ended, or takes no more streams because its end has begun.
    #[error("the HTTP/2 connection is closing")]
    Closing,
    /// A deadline passed: of the remote's preface and settings, or of its answer to a PING.
    #[error("{0} took too long")]
    TimedOut(&'static str),
    /// One end gave up, on one stream or on the connection.
    #[error("HTTP/2 failed with {name}, {by}", name = name(*.code), by = by(*.remote))]
    Failed {
        /// The code that crossed the wire (RFC 9113 section 7).
        code: u32,
        /// Whether the remote sent it.
        remote: bool,
    },
    /// The stream below failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Http2Error {
    /// Whether a limit of time was passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }
}

impl From<Http2Error> for crate::Error {
    fn from(error: Http2Error) -> Self {
        Self::Http2(Box::new(error))
    }
}

impl From<Http2Error> for io::Error {
    fn from(error: Http2Error) -> Self {
        let kind = match error {
            Http2Error::Io(error) => return error,
            Http2Error::NotOffered => io::ErrorKind::Unsupported,
            Http2Error::Full { .. } => io::ErrorKind::QuotaExceeded,
            Http2Error::TimedOut(_) => io::ErrorKind::TimedOut,
            Http2Error::Closing | Http2Error::Failed { .. } => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

/// What became of a connection.
pub(super) fn of_connection(error: h2::Error) -> Http2Error {
    let remote = error.is_remote();
    match error.reason() {
        Some(Reason::NO_ERROR) => Http2Error::Closing,
        Some(reason) => Http2Error::Failed { code: reason.into(), remote },
        None if error.is_io() => error.into_io().map_or(Http2Error::Closing, Http2Error::Io),
        None => Http2Error::Closing,
    }
}

/// What became of one stream, for whoever reads or writes it. The text that may come with a GOAWAY is not repeated.
pub(super) fn of_stream(error: h2::Error) -> io::Error {
    let kind = match () {
        () if error.is_io() => return of_connection(error).into(),
        () if error.is_reset() => io::ErrorKind::ConnectionReset,
        () if error.is_go_away() => io::ErrorKind::ConnectionAborted,
        () => io::ErrorKind::BrokenPipe,
    };
    io::Error::new(kind, of_connection(error))
}

/// A stream that the remote has reset, where only its code is known.
pub(super) fn reset(reason: Reason) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, Http2Error::Failed { code: reason.into(), remote: true })
}

/// The name that RFC 9113 gives the code.
fn name(code: u32) -> String {
    format!("{:?}", Reason::from(code))
}

const fn by(remote: bool) -> &'static str {
    if remote { "sent by the remote" } else { "found at this end" }
}
