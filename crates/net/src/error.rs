//! Why a call ended.

use std::io;

use trunkline_websocket::handshake::Rejected;
use trunkline_websocket::{Cause, Closed, Misuse, Violation, Why};

use crate::connect::RedirectError;
#[cfg(feature = "http2")]
use crate::dial::DialCause;
use crate::dial::DialError;
#[cfg(feature = "http2")]
use crate::http2::Http2Error;

/// Why a call on a connection, or on the way to one, ended without its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream failed: reset, unreachable.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is no way to the host, or it took too long: the phase says where it broke off.
    #[error(transparent)]
    Dial(#[from] Box<DialError>),
    /// An HTTP/2 connection came to nothing, or to its end.
    #[cfg(feature = "http2")]
    #[error(transparent)]
    Http2(#[from] Box<Http2Error>),
    /// The server redirects, and not to where we may go.
    #[error(transparent)]
    Redirect(#[from] Box<RedirectError>),
    /// The service that a raw stream was to lead to is not to be had: the server says why.
    #[cfg(feature = "stream")]
    #[error(transparent)]
    Service(#[from] Box<crate::stream::Refused>),
    /// The connection has ended. Also what is told where the stream ended without a Close frame.
    #[error("{0}")]
    Closed(Closed),
    /// The remote broke a rule of the protocol; it was told so with [`Violation::close_code`].
    #[error("the remote broke a rule: {0}")]
    Violation(Violation),
    /// The opening handshake was refused, by us or by the remote.
    #[error("{0}")]
    Handshake(#[from] Box<HandshakeError>),
    /// A deadline of a connection passed, or that of an opening handshake on the server's side.
    #[error("{0} took too long")]
    TimedOut(Why),
    /// The URL is not one of a WebSocket.
    #[error(transparent)]
    Url(#[from] trunkline_websocket::url::UrlError),
    /// This end asked for what the protocol does not allow; nothing was sent.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// This end asked for an opening handshake that cannot be; nothing was sent.
    #[error(transparent)]
    Request(#[from] trunkline_websocket::handshake::Misuse),
}

/// An opening handshake that came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{rejected}")]
pub struct HandshakeError {
    /// Which rule was broken.
    pub rejected: Rejected,
    /// What the server answered instead of switching protocols: status, headers, and the first bytes of its body.
    /// `None` on the server's side, and where no readable answer came.
    pub response: Option<http::Response<Vec<u8>>>,
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        Self::Handshake(Box::new(HandshakeError { rejected, response: None }))
    }
}

impl From<DialError> for Error {
    fn from(error: DialError) -> Self {
        Self::Dial(Box::new(error))
    }
}

impl Error {
    /// Whether a limit of time was passed, here or on the way to the host.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            #[cfg(feature = "http2")]
            Self::Http2(error) => error.is_timeout(),
            #[cfg(feature = "http2")]
            Self::Dial(error) if is_timeout_of_http2(&error.cause) => true,
            Self::Dial(error) => error.is_timeout(),
            _ => false,
        }
    }

    /// The error of an ending that was not clean; `None` for a clean one.
    pub(crate) fn from_end(closed: &Closed, failed: Option<io::Error>) -> Option<Self> {
        match closed.cause {
            Cause::ClosedByRemote | Cause::ClosedByUs => None,
            Cause::StreamEnded => Some(failed.map_or_else(|| Self::Closed(closed.clone()), Self::Io)),
            Cause::Violation(violation) => Some(Self::Violation(violation)),
            Cause::TimedOut(why, _) => Some(Self::TimedOut(why)),
        }
    }
}

#[cfg(feature = "http2")]
fn is_timeout_of_http2(cause: &DialCause) -> bool {
    match cause {
        DialCause::Http2(cause) => cause.downcast_ref().is_some_and(Http2Error::is_timeout),
        _ => false,
    }
}

#[cfg(all(test, feature = "http2"))]
mod tests {
    use super::*;
    use crate::dial::{Phase, Way};

    #[test]
    fn a_limit_of_time_that_http2_has_passed_is_one_wherever_the_error_is_told() {
        let way = Way { to: "example.com:443".into(), proxy: None };
        let on_the_way = |error| Error::from(way.failed(Phase::Handshake, DialCause::Http2(Box::new(error))));
        for (of, expected) in [
            (Http2Error::TimedOut as fn(_) -> _, true),
            (|what| Http2Error::Io(io::Error::other(what)), false),
            (|_| Http2Error::Closing, false),
        ] {
            assert_eq!(Error::from(of("the answer")).is_timeout(), expected);
            assert_eq!(on_the_way(of("the answer")).is_timeout(), expected);
        }
    }
}
