//! Which pages may connect (RFC 6455 §4.2.2, §10.2; origins as in RFC 6454).

use std::str;

use http::header::{HeaderMap, ORIGIN};

use super::field::{Single, single};
use super::misuse::Misuse;
use super::rejected::{Rejected, Rule};
use crate::url::{Authority, Host};

/// Which `Origin` is let in.
///
/// A browser tells in `Origin` whose page wants to connect, and lets any page in the world try: without a check, every
/// page that your users visit can open a connection as them (cross-site WebSocket hijacking). A client that is no
/// browser sends no `Origin`, or whatever it likes; so a request without one passes every policy, and no policy
/// replaces authentication.
///
/// An opaque origin (`null`: sandboxed frames, files, some redirects) passes [`Any`](Self::Any) only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Every one. For public services that know their users by something a foreign page cannot send: never cookies.
    Any,
    /// The one whose host and port are those of `Host`. The default.
    ///
    /// Neither knows the scheme that the client used unless
    /// [`AcceptPolicy::secure`](super::AcceptPolicy::secure) tells it. A port that is not written is the default one
    /// of the origin's scheme. A proxy in front must hand on `Host` with its port.
    #[default]
    SameOrigin,
    /// Those listed, as serialized origins: `https://example.com`, `http://localhost:8080`, `app://localhost`. Case
    /// and a default port make no difference. An entry that is no origin matches nothing; [`check`](Self::check) finds it.
    List(Vec<String>),
    /// Those listed, and the same origin.
    SameOriginOr(Vec<String>),
}

impl OriginPolicy {
    /// Every listed entry that is no serialized origin, and so would never match.
    pub fn check(&self) -> Vec<Misuse> {
        let invalid = |entry: &&String| Origin::parse(entry).is_none();
        self.listed().iter().filter(invalid).cloned().map(Misuse::Origin).collect()
    }

    fn listed(&self) -> &[String] {
        match self {
            Self::List(listed) | Self::SameOriginOr(listed) => listed,
            Self::Any | Self::SameOrigin => &[],
        }
    }

    /// Judges the `Origin` of a request that is no WebSocket handshake, such as for another protocol of the same server. `host` is
    /// what the request's `Host` says; where it says nothing that can be read, no origin is the same. `secure` is as in
    /// [`AcceptPolicy`](super::AcceptPolicy::secure).
    ///
    /// # Errors
    /// The rule on `Origin`.
    pub fn admits(&self, headers: &HeaderMap, host: &[u8], secure: Option<bool>) -> Result<(), Rejected> {
        let host = str::from_utf8(host).ok().and_then(|host| Authority::parse(host).ok());
        match (self, host) {
            (_, Some(host)) => self.judge(headers, &host, secure),
            (Self::Any, None) => Ok(()),
            (_, None) if !headers.contains_key(ORIGIN) => Ok(()),
            (_, None) => Err(Rejected::new(Rule::Origin).got("an origin, and no host to compare it with")),
        }
    }

    /// Judges the `Origin` of a request to `host`, which came over TLS or not if `secure` knows it.
    pub(super) fn judge(
        &self,
        headers: &HeaderMap,
        host: &Authority,
        secure: Option<bool>,
    ) -> Result<(), Rejected> {
        let value = match (self, single(headers, &ORIGIN)) {
            (Self::Any, _) | (_, Single::None) => return Ok(()),
            (_, Single::One(value)) => value,
            (_, Single::Several(count)) => {
                return Err(Rejected::new(Rule::Origin).got(format!("{count} Origin fields")));
            }
        };
        let allowed = str::from_utf8(value).ok().and_then(Origin::parse).is_some_and(|origin| {
            let same = matches!(self, Self::SameOrigin | Self::SameOriginOr(_)) && origin.is_of(host, secure);
            same || self.listed().iter().any(|entry| Origin::parse(entry).as_ref() == Some(&origin))
        });
        if allowed { Ok(()) } else { Err(Rejected::new(Rule::Origin).got(value)) }
    }
}

/// An origin that is not opaque: "the scheme, host, and port" (RFC 6454 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: Host,
    /// `None` where neither the origin nor its scheme says one.
    port: Option<u16>,
}

impl Origin {
    /// Parses the serialization of §6.2, and nothing around it: no path, not even a slash, no userinfo, no second one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let mut letters = scheme.bytes();
        let well_formed = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        if !well_formed {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let Authority { host, port } = Authority::parse(rest).ok()?;
        let port = port.or(default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Whether a page of this origin and a WebSocket on `host` are of the same.
    fn is_of(&self, host: &Authority, secure: Option<bool>) -> bool {
        let scheme_fits = match self.scheme.as_str() {
            "http" => secure != Some(true),
            "https" => secure != Some(false),
            _ => false,
        };
        scheme_fits && self.host == host.host && self.port == host.port.or(default_port(&self.scheme))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(crate::url::default_port(false)),
        "https" | "wss" => Some(crate::url::default_port(true)),
        _ => None,
    }
}
