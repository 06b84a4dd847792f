//! What we, as a proxy, tell an HTTP server behind us.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;

use super::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// What is known of a request for certain.
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a> {
    /// The client's address; `None` where it has none, or none that is certain.
    pub client: Option<IpAddr>,
    /// Whether the client came by TLS, if that is known.
    pub secure: Option<bool>,
    /// The host that it asked for.
    pub host: Option<&'a Authority>,
}

/// Fields by which servers and frameworks let themselves be told a client's address, besides those that begin as [`PREFIX`].
const TELLING: [&str; 7] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
];

const PREFIX: &str = "x-forwarded-";

/// Takes out of a request's fields whatever tells a client's address, and puts in what is verified: as `Forwarded` and as
/// `X-Forwarded-For`, `-Proto` and `-Host`, one entry each, since the server behind has no reason to trust anybody but us.
pub fn set_for_upstream(headers: &mut HeaderMap, verified: Verified<'_>) {
    let tells = |name: &&HeaderName| {
        let name = name.as_str();
        name.starts_with(PREFIX) || TELLING.contains(&name)
    };
    let telling: Vec<HeaderName> = headers.keys().filter(tells).cloned().collect();
    for name in telling {
        headers.remove(name);
    }
    let Verified { client, secure, host } = verified;
    let proto = secure.map(|secure| if secure { "https" } else { "http" });
    // "unknown" is for when "the identity of the preceding entity is not known" (RFC 7239 section 6.2).
    let mut forwarded = match client {
        Some(IpAddr::V4(ip)) => format!("for={ip}"),
        Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
        None => "for=unknown".to_owned(),
    };
    let mut add = |name: HeaderName, value: &str| {
        // Addresses, schemes and hosts are visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if let Some(client) = client {
        add(X_FORWARDED_FOR, &client.to_string());
    }
    if let Some(host) = host {
        // Quoted for its colon; no host has a quote or a backslash in it.
        let _ = write!(forwarded, ";host=\"{host}\"");
        add(X_FORWARDED_HOST, host.as_str());
    }
    if let Some(proto) = proto {
        let _ = write!(forwarded, ";proto={proto}");
        add(X_FORWARDED_PROTO, proto);
    }
    add(FORWARDED, &forwarded);
}
