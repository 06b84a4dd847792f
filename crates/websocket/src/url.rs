//! `ws:` and `wss:` URLs: strictly as in RFC 6455 §3, or as a browser's `WebSocket` constructor reads them.

mod authority;
mod strict;
mod whatwg;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::uri::PathAndQuery;

pub(crate) use authority::{Authority, Host};

/// Where to connect, and what to ask for there.
///
/// A user name and password may stand in the URL. They are kept apart: neither [`Display`](fmt::Display), `Debug`,
/// [`authority`](Self::authority) nor [`resource_name`](Self::resource_name) shows them, and they are sent only if
/// [`ConnectOptions::authorization_from_url`](crate::handshake::ConnectOptions) says so.
///
/// ```
/// use trunkline_websocket::url::WsUrl;
///
/// let url = WsUrl::parse("wss://[2001:db8::1]:443/chat?room=1")?;
/// assert_eq!(url.host(), "2001:db8::1"); // for a resolver, or the TLS server name
/// assert_eq!(url.authority(), "[2001:db8::1]"); // for Host: no default port
/// assert_eq!(url.port(), 443);
/// assert_eq!(url.resource_name(), "/chat?room=1");
/// # Ok::<(), trunkline_websocket::url::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WsUrl {
    secure: bool,
    host: Host,
    port: u16,
    resource: PathAndQuery,
    userinfo: Option<String>,
}

/// Why a text is no URL to connect to. The text itself is not repeated: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another scheme than `ws` or `wss`, or none.
    #[error("a WebSocket URL begins with ws:// or wss:// (RFC 6455 §3)")]
    Scheme,
    /// A relative URL without a base, or with a base that has no hierarchy.
    #[error("a relative URL needs a base; an absolute one begins with ws://, wss://, http:// or https://")]
    Relative,
    /// A fragment, be it empty.
    #[error("a WebSocket URL has no fragment; a literal # is written %23 (RFC 6455 §3)")]
    Fragment,
    /// Userinfo with a character that must be percent-encoded there.
    #[error("the user name or password holds a character that must be percent-encoded (RFC 3986 §3.2.1)")]
    Userinfo,
    /// No host, or one that is neither name nor address.
    #[error(
        "the host is empty or invalid: a name in ASCII, an IPv4 address, or an IPv6 address in brackets without a zone (RFC 3986 §3.2.2)"
    )]
    Host,
    /// A port that is no number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// A path or query with a character that must be percent-encoded there.
    #[error(
        "{character:?} at byte {position} of path and query must be percent-encoded, or is a % without two hex digits after it (RFC 3986 §3.3)"
    )]
    Target {
        /// The character.
        character: char,
        /// Its position in path and query, in bytes.
        position: usize,
    },
    /// A path and query longer than an `http::Uri` holds.
    #[error("path and query have {got} bytes, the limit is {limit}")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
        /// What was given.
        got: usize,
    },
}

/// The largest path and query, in bytes: what `http::Uri` holds.
const MAX_RESOURCE: usize = u16::MAX as usize - 1;

impl WsUrl {
    /// Parses a `ws-URI` or `wss-URI` of RFC 6455 §3, in the character sets of RFC 3986.
    ///
    /// Nothing is repaired: what a browser would percent-encode or convert is refused here. The scheme has no case. The
    /// grammar has no userinfo; it is accepted, and kept apart (see [`WsUrl`]).
    ///
    /// # Errors
    ///
    /// The part that breaks the grammar.
    pub fn parse(input: &str) -> Result<Self, UrlError> {
        strict::parse(input)
    }

    /// Parses `input` as the constructor `new WebSocket(input)` of the WHATWG WebSockets standard does on a page whose
    /// address is `base`.
    ///
    /// `http:` and `https:` become `ws:` and `wss:`, also those of the base of a relative `input`; hosts go through IDNA
    /// and the IPv4 number parser; what must be percent-encoded is.
    ///
    /// Unlike the constructor, which would fail later, it refuses port 0.
    ///
    /// # Errors
    ///
    /// Where the constructor throws a `SyntaxError`: another scheme, a fragment (be it empty), no URL at all.
    pub fn parse_whatwg(input: &str, base: Option<&str>) -> Result<Self, UrlError> {
        whatwg::parse(input, base)
    }

    /// Whether the connection runs over TLS (`wss`).
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// `ws` or `wss`.
    pub const fn scheme(&self) -> &'static str {
        if self.secure { "wss" } else { "ws" }
    }

    /// The host without brackets, in lower case: for a resolver, or the name that TLS asks for and verifies.
    pub fn host(&self) -> &str {
        self.host.text()
    }

    /// The host's address, if it is one and no name.
    pub const fn ip(&self) -> Option<IpAddr> {
        self.host.ip()
    }

    /// The port to connect to, the default one of the scheme included.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host, with brackets around IPv6, and port if it is not the default one: the value of `Host` (§4.1).
    pub fn authority(&self) -> String {
        let host = self.host.bracketed();
        if self.port == default_port(self.secure) { host } else { format!("{host}:{}", self.port) }
    }

    /// Path and query (§3): never empty, begins with a slash. It is the request-target.
    pub fn resource_name(&self) -> &str {
        self.resource.as_str()
    }

    pub(crate) const fn resource(&self) -> &PathAndQuery {
        &self.resource
    }

    /// What stands before the `@`, still percent-encoded: `user` or `user:password`. A secret: not to be logged.
    pub fn userinfo(&self) -> Option<&str> {
        self.userinfo.as_deref()
    }

    /// The same URL with the user name and password of another, or with none: for a redirect, which may keep them only
    /// where it stays with the same host.
    ///
    /// ```
    /// # use trunkline_websocket::url::WsUrl;
    /// let (ours, next) = (WsUrl::parse("ws://zoe:secret@h/a")?, WsUrl::parse("ws://eve@h/b")?);
    /// assert_eq!(next.clone().with_userinfo_of(Some(&ours)).userinfo(), Some("zoe:secret"));
    /// assert_eq!(next.with_userinfo_of(None).userinfo(), None);
    /// # Ok::<(), trunkline_websocket::url::UrlError>(())
    /// ```
    #[must_use]
    pub fn with_userinfo_of(self, other: Option<&Self>) -> Self {
        Self { userinfo: other.and_then(|other| other.userinfo.clone()), ..self }
    }

    fn new(
        secure: bool,
        host: Host,
        port: Option<u16>,
        resource: &str,
        userinfo: &str,
    ) -> Result<Self, UrlError> {
        let too_long = || UrlError::TooLong { limit: MAX_RESOURCE, got: resource.len() };
        if resource.len() > MAX_RESOURCE {
            return Err(too_long());
        }
        let resource = PathAndQuery::try_from(resource)
            .map_err(|_| strict::first_bad(resource).unwrap_or_else(too_long))?;
        let port = port.unwrap_or(default_port(secure));
        let userinfo = (!userinfo.is_empty()).then(|| userinfo.to_owned());
        Ok(Self { secure, host, port, resource, userinfo })
    }
}

pub(crate) const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

impl fmt::Display for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.resource)
    }
}

impl fmt::Debug for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WsUrl({self})")
    }
}

impl FromStr for WsUrl {
    type Err = UrlError;

    /// [`WsUrl::parse`].
    fn from_str(input: &str) -> Result<Self, UrlError> {
        Self::parse(input)
    }
}
