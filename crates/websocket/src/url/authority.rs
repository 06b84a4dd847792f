//! `host [":" port]` (RFC 3986 §3.2), as it stands in URLs, in `Host` and in origins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host, without brackets, in lower case and, if it is an address, in the shortest spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    text: String,
    ip: Option<IpAddr>,
}

impl Host {
    /// `text` with the brackets that an IPv6 address has there.
    ///
    /// Zones (`%25eth0`), future address formats, and names with percent-encoding or sub-delimiters are refused although
    /// RFC 3986 has them: nobody can connect to such a host, and the comma of `Host: a,b` is what a proxy leaves that
    /// has joined two fields.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(inside) = text.strip_prefix('[') {
            let ip: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
            return Some(Self { text: ip.to_string(), ip: Some(ip.into()) });
        }
        let well_formed = !text.is_empty() && text.bytes().all(is_unreserved);
        well_formed.then(|| Self {
            text: text.to_ascii_lowercase(),
            ip: text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        })
    }

    /// The host that the WHATWG parser found, in its spelling.
    pub(crate) fn from_whatwg(host: &::url::Host<&str>) -> Self {
        let (text, ip) = match host {
            ::url::Host::Domain(name) => ((*name).to_owned(), None),
            ::url::Host::Ipv4(ip) => (ip.to_string(), Some(IpAddr::from(*ip))),
            ::url::Host::Ipv6(ip) => (host.to_string().replace(['[', ']'], ""), Some(IpAddr::from(*ip))),
        };
        Self { text, ip }
    }

    /// Without brackets: for a resolver, or for the name that TLS verifies.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// With the brackets of an IPv6 address: for `Host`.
    pub(crate) fn bracketed(&self) -> String {
        match self.ip {
            Some(IpAddr::V6(_)) => format!("[{}]", self.text),
            _ => self.text.clone(),
        }
    }
}

/// A host and the port that stands behind it, if one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

/// Which half of an authority is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadAuthority {
    Host,
    Port,
}

impl Authority {
    /// `text` without userinfo. An empty port is no port (RFC 3986 §3.2.3); port 0 is none that anybody listens on.
    pub(crate) fn parse(text: &str) -> Result<Self, BadAuthority> {
        let (host, port) = match text.rfind(']') {
            Some(end) => text.split_at(end + 1),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let host = Host::parse(host).ok_or(BadAuthority::Host)?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some("") => None,
            Some(digits) => Some(parse_port(digits).ok_or(BadAuthority::Port)?),
            None => return Err(BadAuthority::Host),
        };
        Ok(Self { host, port })
    }
}

/// `*DIGIT`, and the number 1 to 65535: leading zeros are legal, a sign is not.
fn parse_port(digits: &str) -> Option<u16> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|port| *port != 0)
}

pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
