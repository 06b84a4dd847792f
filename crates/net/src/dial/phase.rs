//! The phases on the way to a connection, and the time that each of them has.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::failure::{DialCause, DialError};

/// What was being done on the way to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for another connection to the same address to be established, as RFC 6455 section 4.1 demands.
    Turn,
    /// Looking up the addresses of a name.
    Resolve,
    /// Connecting TCP, to the host or to its proxy.
    Connect,
    /// Asking the proxy for a way to the host; TLS to the proxy itself is part of it.
    Proxy,
    /// TLS with the host.
    Tls,
    /// The opening handshake: from our request to the head of the answer.
    Handshake,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Turn => "turn",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Handshake => "handshake",
        })
    }
}

/// How long each phase on the way to a connection may take; `None` waits for ever.
///
/// The opening handshake is the one phase that servers have too, so its time is with the other limits of a connection:
/// [`Limits::handshake_timeout`](crate::Limits::handshake_timeout).
///
/// ```
/// use std::time::Duration;
/// use trunkline_net::Timeouts;
///
/// let timeouts = Timeouts { connect: Some(Duration::from_secs(3)), ..Timeouts::default() };
/// assert_eq!(timeouts.tls, Some(Duration::from_secs(10)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Looking up a name (10 s). Resolvers ask their next server after 5 s: a dead first one must not be the end.
    pub resolve: Option<Duration>,
    /// Connecting TCP, all addresses of a host together (10 s). A lost SYN is sent again after 1, 3 and 7 s.
    pub connect: Option<Duration>,
    /// The proxy's part (15 s): it looks up and connects in its turn before it answers.
    pub proxy: Option<Duration>,
    /// The TLS handshake (10 s): two round trips and some arithmetic.
    pub tls: Option<Duration>,
    /// All phases together, redirects included (30 s). Phases rarely all take long; whoever waits should not wait for
    /// their sum.
    pub whole: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            resolve: Some(Duration::from_secs(10)),
            connect: Some(Duration::from_secs(10)),
            proxy: Some(Duration::from_secs(15)),
            tls: Some(Duration::from_secs(10)),
            whole: Some(Duration::from_secs(30)),
        }
    }
}

/// Where the way leads, for the words of an error.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// Host and port.
    pub(crate) to: String,
    /// The proxy's URL without its user name.
    pub(crate) proxy: Option<String>,
}

impl Way {
    pub(crate) fn failed(&self, phase: Phase, cause: DialCause) -> DialError {
        DialError { phase, to: self.to.clone(), proxy: self.proxy.clone(), cause, tried: Vec::new() }
    }
}

/// The clock of one call to connect.
#[derive(Debug)]
pub(crate) struct Watch {
    timeouts: Timeouts,
    handshake: Option<Duration>,
    /// When the whole time is over.
    end: Option<Instant>,
    /// What each phase has taken, in their order.
    spent: Mutex<Vec<(Phase, Duration)>>,
}

impl Watch {
    pub(crate) fn start(timeouts: &Timeouts, handshake: Option<Duration>) -> Self {
        // A time that no clock can hold is no limit.
        let end = timeouts.whole.and_then(|whole| Instant::now().checked_add(whole));
        Self { timeouts: timeouts.clone(), handshake, end, spent: Mutex::default() }
    }

    /// Does the work of one phase, in its time and in what is left of the whole.
    pub(crate) async fn bound<F: Future>(
        &self,
        phase: Phase,
        way: &Way,
        work: F,
    ) -> Result<F::Output, DialError> {
        let begun = Instant::now();
        let result = self.bound_unmeasured(phase, way, work).await;
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).push((phase, begun.elapsed()));
        result
    }

    /// What each phase has taken so far, the one that failed included.
    pub(crate) fn spent(&self) -> Vec<(Phase, Duration)> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn bound_unmeasured<F: Future>(
        &self,
        phase: Phase,
        way: &Way,
        work: F,
    ) -> Result<F::Output, DialError> {
        let own = self.limit(phase);
        let left = self.end.map(|end| end.saturating_duration_since(Instant::now()));
        let (limit, whole) = match (own, left) {
            (None, None) => return Ok(work.await),
            (Some(own), Some(left)) if left < own => (left, true),
            (Some(own), _) => (own, false),
            (None, Some(left)) => (left, true),
        };
        timeout(limit, work).await.map_err(|_| {
            let after = if whole { self.timeouts.whole } else { own };
            way.failed(phase, DialCause::TimedOut { after: after.unwrap_or(limit), whole })
        })
    }

    /// What is left of the whole time, and no more than `at_most`.
    pub(crate) fn left(&self, at_most: Duration) -> Duration {
        self.end.map_or(at_most, |end| at_most.min(end.saturating_duration_since(Instant::now())))
    }

    fn limit(&self, phase: Phase) -> Option<Duration> {
        match phase {
            // Each connection before ours has its own limits, and ours is the whole.
            Phase::Turn => None,
            Phase::Resolve => self.timeouts.resolve,
            Phase::Connect => self.timeouts.connect,
            Phase::Proxy => self.timeouts.proxy,
            Phase::Tls => self.timeouts.tls,
            Phase::Handshake => self.handshake,
        }
    }
}
