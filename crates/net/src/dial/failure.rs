//! Why there is no connection: in which phase, on the way to whom, what went wrong.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::Response;

use super::phase::Phase;

/// What ended the way to a connection.
///
/// Neither its words nor its `Debug` have a password: of URLs it knows scheme, host and port alone.
#[derive(Debug)]
#[non_exhaustive]
pub struct DialError {
    /// What was being done.
    pub phase: Phase,
    /// Where to: host and port.
    pub to: String,
    /// The proxy on the way, as URL without user name.
    pub proxy: Option<String>,
    /// What went wrong.
    pub cause: DialCause,
    /// The addresses that had failed, each with its own error, in the order in which they did.
    pub tried: Vec<(SocketAddr, io::Error)>,
}

/// What went wrong on the way to a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum DialCause {
    /// The time was over: that of the phase, or that of all phases together.
    TimedOut {
        /// How long it was.
        after: Duration,
        /// Whether it is [`Timeouts::whole`](crate::Timeouts::whole).
        whole: bool,
    },
    /// The name has no address.
    NoAddress,
    /// No address could be connected to; [`DialError::tried`] has them.
    Unreachable,
    /// The stream failed.
    Io(io::Error),
    /// The stream ended where an answer was due.
    Ended,
    /// The URL needs TLS, and this build has none: the `tls` feature of `trunkline-net` is off.
    NoTls,
    /// TLS failed: with the `tls` feature it is a `tls::TlsError`.
    Tls(Box<dyn Error + Send + Sync>),
    /// The proxy answered `CONNECT`, and not with a tunnel: its status, its headers, the first 4 KiB of the body.
    ProxyRefused(Box<Response<Vec<u8>>>),
    /// The proxy does not speak its protocol, or speaks it to say no.
    Proxy(Box<dyn Error + Send + Sync>),
    /// HTTP/2 did not come about: with the `http2` feature it is an `http2::Http2Error`.
    Http2(Box<dyn Error + Send + Sync>),
}

impl DialError {
    /// Whether a limit of time was passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self.cause, DialCause::TimedOut { .. })
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connecting to {}", self.to)?;
        if let Some(proxy) = &self.proxy {
            write!(f, " through the proxy {proxy}")?;
        }
        match &self.cause {
            DialCause::TimedOut { after, whole } => {
                let in_all = if *whole { " in all" } else { "" };
                write!(f, " took longer than {} s{in_all}", after.as_secs_f64())?;
            }
            DialCause::Unreachable => {}
            DialCause::NoAddress => f.write_str(": the name has no address")?,
            DialCause::Io(error) => write!(f, ": {error}")?,
            DialCause::Ended => f.write_str(": the remote ended the stream without an answer")?,
            DialCause::NoTls => f.write_str(": this build has no TLS (feature `tls` of trunkline-net)")?,
            DialCause::Tls(error) => write!(f, ": {error}")?,
            DialCause::ProxyRefused(response) => write!(f, ": it answered {}", response.status())?,
            DialCause::Proxy(error) | DialCause::Http2(error) => write!(f, ": {error}")?,
        }
        for (index, (address, error)) in self.tried.iter().enumerate() {
            let before = if index == 0 { ": " } else { "; " };
            write!(f, "{before}{address}: {error}")?;
        }
        write!(f, " (phase: {})", self.phase)
    }
}

impl Error for DialError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            DialCause::Io(error) => Some(error),
            DialCause::Tls(error) | DialCause::Proxy(error) | DialCause::Http2(error) => Some(&**error),
            DialCause::Unreachable => self.tried.last().map(|(_, error)| error as &(dyn Error + 'static)),
            _ => None,
        }
    }
}

impl From<io::Error> for DialCause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Ended,
            _ => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::phase::Way;
    use super::*;

    #[test]
    fn every_failure_names_the_phase_and_where_to() {
        let direct = Way { to: "example.com:443".into(), proxy: None };
        let behind = Way { proxy: Some("http://proxy:3128".into()), ..direct.clone() };
        let after = Duration::from_secs(5);
        let refused = Response::builder().status(407).body(Vec::new()).expect("a response");
        let table = [
            (
                direct.failed(Phase::Tls, DialCause::TimedOut { after, whole: false }),
                "connecting to example.com:443 took longer than 5 s (phase: tls)",
            ),
            (
                behind.failed(Phase::Connect, DialCause::TimedOut { after, whole: true }),
                "connecting to example.com:443 through the proxy http://proxy:3128 took longer than 5 s in all (phase: connect)",
            ),
            (
                direct.failed(Phase::Resolve, DialCause::NoAddress),
                "connecting to example.com:443: the name has no address (phase: resolve)",
            ),
            (
                behind.failed(Phase::Proxy, DialCause::ProxyRefused(Box::new(refused))),
                "connecting to example.com:443 through the proxy http://proxy:3128: it answered 407 Proxy Authentication Required (phase: proxy)",
            ),
            (
                direct.failed(Phase::Handshake, io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                "connecting to example.com:443: the remote ended the stream without an answer (phase: handshake)",
            ),
        ];
        for (error, words) in table {
            assert_eq!(error.to_string(), words);
        }
    }

    #[test]
    fn each_address_that_failed_is_listed_with_its_own_error() {
        let way = Way { to: "localhost:9".into(), proxy: None };
        let tried = vec![
            (SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 9)), io::Error::other("no way")),
            (SocketAddr::from(([127, 0, 0, 1], 9)), io::Error::other("not now")),
        ];
        let error = DialError { tried, ..way.failed(Phase::Connect, DialCause::Unreachable) };
        assert_eq!(
            error.to_string(),
            "connecting to localhost:9: [::1]:9: no way; 127.0.0.1:9: not now (phase: connect)"
        );
    }
}
