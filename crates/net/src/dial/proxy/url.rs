//! `http://name:password@proxy.example:3128`: where a proxy is, and what it wants to hear.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use trunkline_websocket::url::{UrlError, WsUrl};

/// The longest user name and password of SOCKS5, in bytes (RFC 1929 section 2).
const SOCKS_TEXT: usize = 255;

/// Where a proxy is, how to talk to it, and a user name and password for it.
///
/// `http://` and `https://` proxies are asked with `CONNECT` (RFC 9110 section 9.3.6), for `ws:` too; to the latter TLS
/// is spoken first, which needs the `tls` feature. With `socks5://` the host's name is looked up here, with
/// `socks5h://` by the proxy (RFC 1928). Without a scheme, `http://` is meant; the default ports are 80, 443 and 1080.
///
/// User name and password are percent-encoded where they hold what a URL cannot. Neither [`Display`](fmt::Display)
/// nor `Debug` shows them.
///
/// ```
/// let proxy: trunkline_net::ProxyUrl = "http://zoe:secret@proxy.example:3128".parse()?;
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128");
/// # Ok::<(), trunkline_net::ProxyUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    pub(super) scheme: Scheme,
    /// Host and port in the shape that dialling takes.
    pub(super) at: WsUrl,
    credentials: Option<Credentials>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    Socks5,
    Socks5h,
}

#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: String,
    password: String,
}

/// Why a text is no URL of a proxy. The text itself is not repeated: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// Another scheme.
    #[error("the URL of a proxy begins with http://, https://, socks5:// or socks5h://")]
    Scheme,
    /// A host or port that cannot be.
    #[error(transparent)]
    Address(#[from] UrlError),
    /// A path, a query or a fragment.
    #[error("the URL of a proxy has a host and a port and nothing behind them")]
    Path,
    /// Credentials that the protocol cannot carry.
    #[error(
        "the proxy's user name or password is no UTF-8, has a control character, or, for Basic, a colon in the user name (RFC 7617), or, for SOCKS5, not 1 to 255 bytes (RFC 1929)"
    )]
    Credentials,
}

impl ProxyUrl {
    /// The value of `Proxy-Authorization` (RFC 7617), marked as a secret.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let Credentials { user, password } = self.credentials.as_ref()?;
        let token = STANDARD.encode(format!("{user}:{password}"));
        let mut value = HeaderValue::try_from(format!("Basic {token}")).expect("base64 is ASCII");
        value.set_sensitive(true);
        Some(value)
    }

    /// User name and password as they are.
    pub(super) fn plain(&self) -> Option<(&str, &str)> {
        self.credentials.as_ref().map(|Credentials { user, password }| (user.as_str(), password.as_str()))
    }
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Socks5, Self::Socks5h];

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }
}

impl FromStr for ProxyUrl {
    type Err = ProxyUrlError;

    fn from_str(text: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((name, rest)) => {
                let known = Scheme::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name));
                (known.ok_or(ProxyUrlError::Scheme)?, rest)
            }
            None => (Scheme::Http, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The last one: a password with an @ in it, not encoded, is more likely than a host with one.
        let (userinfo, address) = match rest.rsplit_once('@') {
            Some((userinfo, address)) => (Some(userinfo), address),
            None => (None, rest),
        };
        if address.contains(['/', '?', '#']) {
            return Err(ProxyUrlError::Path);
        }
        let at = WsUrl::parse(&format!("ws://{address}{}/", default_port(scheme, address)))?;
        let credentials = userinfo.map(|userinfo| credentials(scheme, userinfo)).transpose()?;
        Ok(Self { scheme, at, credentials })
    }
}

/// The port to add to `address`, if it has none.
fn default_port(scheme: Scheme, address: &str) -> String {
    let behind_host = address.rfind(']').map_or(address, |end| &address[end..]);
    match behind_host.split_once(':') {
        Some((_, digits)) if !digits.is_empty() => String::new(),
        Some(_) => scheme.default_port().to_string(),
        None => format!(":{}", scheme.default_port()),
    }
}

fn credentials(scheme: Scheme, userinfo: &str) -> Result<Credentials, ProxyUrlError> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decoded = (percent_decode(user), percent_decode(password));
    let (Some(user), Some(password)) = decoded else { return Err(ProxyUrlError::Credentials) };
    let fits = |text: &str| (1..=SOCKS_TEXT).contains(&text.len());
    let possible = match scheme {
        Scheme::Http | Scheme::Https => {
            !user.contains(':') && !format!("{user}{password}").contains(|c: char| c.is_control())
        }
        Scheme::Socks5 | Scheme::Socks5h => fits(&user) && fits(&password),
    };
    if possible { Ok(Credentials { user, password }) } else { Err(ProxyUrlError::Credentials) }
}

/// What is no escape stays as it is: passwords are pasted.
fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        match tail.get(..2).filter(|_| byte == b'%').and_then(two_hex_digits) {
            Some(value) => {
                decoded.push(value);
                rest = &tail[2..];
            }
            None => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

fn two_hex_digits(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    match *digits {
        [high, low] => Some(value(high)? << 4 | value(low)?),
        _ => None,
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), crate::dial::host_and_port(&self.at))
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

#[cfg(test)]
mod tests;
