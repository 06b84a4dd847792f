//! Where a redirecting server sends us, and what may go there with us.

use std::fmt;

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, LOCATION, PROXY_AUTHORIZATION};
use http::{Response, StatusCode};
use trunkline_websocket::handshake::ConnectOptions;
use trunkline_websocket::url::WsUrl;

use crate::error::{Error, HandshakeError};

/// Headers that say who we are: they are marked as secrets wherever they come from.
pub(super) const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// A redirect that was not followed, though redirects are.
///
/// Its words name origins alone: paths and queries may hold a ticket.
#[derive(Debug)]
#[non_exhaustive]
pub struct RedirectError {
    /// The origin that redirected, such as `wss://example.com`.
    pub from: String,
    /// The origin to which it did, if that could be read.
    pub to: Option<String>,
    /// Why it was not followed.
    pub problem: RedirectProblem,
    /// The whole answer.
    pub response: Response<Vec<u8>>,
}

/// Why a redirect was not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectProblem {
    /// It is one more than [`Connector::redirects`](crate::Connector::redirects) allows.
    TooMany {
        /// How many were followed.
        limit: u8,
    },
    /// We have been there.
    Loop,
    /// It leads from `wss:` to `ws:`: whoever is on the way could have a conversation that was to be secret.
    Downgrade,
    /// `Location` stands there several times, or is no URL of a WebSocket.
    Location,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} redirects", self.from)?;
        if let Some(to) = &self.to {
            write!(f, " to {to}")?;
        }
        match self.problem {
            RedirectProblem::TooMany { limit } => write!(f, ", after {limit} redirects that were followed"),
            RedirectProblem::Loop => f.write_str(", where we have been: the redirects go round"),
            RedirectProblem::Downgrade => f.write_str(", which is not encrypted"),
            RedirectProblem::Location => f.write_str(" without one Location that is a WebSocket's URL"),
        }
    }
}

impl std::error::Error for RedirectError {}

/// One request of a chain.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) url: WsUrl,
    pub(crate) options: ConnectOptions,
    /// How many redirects are followed.
    limit: u8,
    /// Where we have been.
    visited: Vec<WsUrl>,
}

impl Hop {
    /// The first of a chain of one.
    pub(crate) fn first(url: WsUrl, options: ConnectOptions) -> Self {
        Self { url, options, limit: 0, visited: Vec::new() }
    }

    /// The first of a chain with so many behind it.
    pub(crate) fn with_redirects(self, limit: u8) -> Self {
        Self { limit, ..self }
    }

    /// Whether [`follow`](Self::follow) will follow this answer. If so, nobody is going to see its body.
    pub(crate) fn follows<B>(&self, answer: &Response<B>) -> bool {
        is_redirect(answer)
            && target(&self.url, answer.headers()).is_some_and(|next| self.objection(&next).is_none())
    }

    /// The next request, if the answer is a redirect that may be followed.
    ///
    /// # Errors
    ///
    /// The answer as it came, if it is no redirect or none are followed; [`RedirectError`] if it is one.
    pub(crate) fn follow(mut self, refused: HandshakeError) -> Result<Self, Error> {
        let HandshakeError { rejected, response } = refused;
        let response = match response {
            Some(response) if self.limit > 0 && is_redirect(&response) => response,
            response => return Err(Error::Handshake(Box::new(HandshakeError { rejected, response }))),
        };
        let next = match target(&self.url, response.headers()) {
            Some(next) => next,
            None => return Err(self.refuse(None, RedirectProblem::Location, response)),
        };
        if let Some(problem) = self.objection(&next) {
            return Err(self.refuse(Some(&next), problem, response));
        }
        let here = self.here();
        if origin(&here) == origin(&next) {
            self.url = next.with_userinfo_of(Some(&self.url));
        } else {
            // For good: should the chain lead back, the one who led it there is still not the one they were for.
            strip(&mut self.options);
            self.url = next;
        }
        self.visited.push(here);
        Ok(self)
    }

    /// What stands against going there.
    fn objection(&self, next: &WsUrl) -> Option<RedirectProblem> {
        if self.visited.len() >= usize::from(self.limit) {
            Some(RedirectProblem::TooMany { limit: self.limit })
        } else if self.url.is_secure() && !next.is_secure() {
            Some(RedirectProblem::Downgrade)
        } else if *next == self.here() || self.visited.contains(next) {
            Some(RedirectProblem::Loop)
        } else {
            None
        }
    }

    /// This URL as a `Location` may name it.
    fn here(&self) -> WsUrl {
        self.url.clone().with_userinfo_of(None)
    }

    fn refuse(&self, to: Option<&WsUrl>, problem: RedirectProblem, response: Response<Vec<u8>>) -> Error {
        let from = origin(&self.url);
        Error::Redirect(Box::new(RedirectError { from, to: to.map(origin), problem, response }))
    }
}

/// Those after which a GET stays a GET or becomes one (RFC 9110 section 15.4), and that say where to.
fn is_redirect<B>(response: &Response<B>) -> bool {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    redirects && response.headers().contains_key(LOCATION)
}

/// Where `Location` leads from `url`, in the URLs of browsers: relative ones too, `http:` as `ws:`. A fragment means
/// nothing here, and userinfo in it is a trap: neither is used.
fn target(url: &WsUrl, headers: &HeaderMap) -> Option<WsUrl> {
    let mut locations = headers.get_all(LOCATION).iter();
    let (Some(location), None) = (locations.next(), locations.next()) else { return None };
    let location = str::from_utf8(location.as_bytes()).ok()?;
    let location = location.split('#').next().unwrap_or_default();
    let next = WsUrl::parse_whatwg(location, Some(&url.to_string())).ok()?;
    Some(next.with_userinfo_of(None))
}

/// Scheme, host and port (RFC 6454 section 4); the default port is left out.
fn origin(url: &WsUrl) -> String {
    format!("{}://{}", url.scheme(), url.authority())
}

/// Leaves out what says who we are: every header of which a value is a secret, and the URL's user name.
pub(super) fn strip(options: &mut ConnectOptions) {
    options.authorization_from_url = false;
    let headers = &mut options.headers;
    let secret = |name: &&HeaderName| headers.get_all(*name).iter().any(http::HeaderValue::is_sensitive);
    let secrets: Vec<HeaderName> = headers.keys().filter(secret).cloned().collect();
    for name in secrets.iter().chain(&CREDENTIALS) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
