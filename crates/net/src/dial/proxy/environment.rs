//! What the environment says about proxies.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use trunkline_websocket::url::WsUrl;

use super::url::{ProxyUrl, ProxyUrlError};

/// The variables, as they were when they were read.
pub(crate) struct Environment {
    for_ws: Option<Variable>,
    for_wss: Option<Variable>,
    exempt: String,
}

#[derive(Clone)]
struct Variable {
    name: &'static str,
    /// A secret: it may hold a password.
    value: OsString,
}

/// A variable that holds no proxy's URL.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadVariable {
    #[error("the environment variable {name} is not UTF-8")]
    Bytes { name: &'static str },
    #[error("the environment variable {name}: {error}")]
    Url { name: &'static str, error: ProxyUrlError },
}

impl Environment {
    pub(super) fn of_process() -> Self {
        Self::read(|name| env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = variable(name).filter(|value| !value.is_empty())?;
                Some(Variable { name, value })
            })
        };
        let http: &[_] = if variable("REQUEST_METHOD").is_some() {
            &["http_proxy"]
        } else {
            &["http_proxy", "HTTP_PROXY"]
        };
        let all = first(&["all_proxy", "ALL_PROXY"]);
        Self {
            for_ws: first(http).or_else(|| all.clone()),
            for_wss: first(&["https_proxy", "HTTPS_PROXY"]).or(all),
            // No host has a character that takes the place of bytes that are none: such an entry exempts nothing.
            exempt: first(&["no_proxy", "NO_PROXY"])
                .map(|found| found.value.to_string_lossy().into_owned())
                .unwrap_or_default(),
        }
    }

    /// The proxy to use for the host of `url`, or none.
    pub(super) fn proxy_for(&self, url: &WsUrl) -> Result<Option<ProxyUrl>, BadVariable> {
        let variable = if url.is_secure() { &self.for_wss } else { &self.for_ws };
        match variable {
            Some(Variable { name, value }) if !self.is_exempt(url) => {
                let value = value.to_str().ok_or(BadVariable::Bytes { name })?;
                value.parse().map(Some).map_err(|error| BadVariable::Url { name, error })
            }
            _ => Ok(None),
        }
    }

    fn is_exempt(&self, url: &WsUrl) -> bool {
        let here = |entry: &&str| port_of(entry).1.is_none_or(|port| port == url.port());
        let entries: Vec<_> = self
            .exempt
            .split([',', ' ', '\t'])
            .filter(here)
            .map(|entry| without_dot(port_of(entry).0))
            .filter(|entry| !entry.is_empty())
            .collect();
        // Which the matcher takes for names alone.
        entries.contains(&"*") || is_listed(&entries.join(","), url)
    }
}

/// Names with what is below them, addresses, networks: by the rules that others of the field go by.
fn is_listed(entries: &str, url: &WsUrl) -> bool {
    let host = match url.ip() {
        Some(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => without_dot(url.host()).to_owned(),
    };
    let Ok(asked) = Uri::try_from(format!("http://{host}/")) else { return false };
    Matcher::builder().all("http://unlisted").no(entries).build().intercept(&asked).is_none()
}

/// `example.com.` is `example.com`: the dot says only that nothing is to be added to the name (RFC 1034 section 3.1).
fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// An entry without the port at its end, and that. IPv6 has colons of its own: with a port it is in brackets.
fn port_of(entry: &str) -> (&str, Option<u16>) {
    let in_brackets = |host: &str| host.starts_with('[') && host.ends_with(']');
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, digits)) if !host.contains(':') || in_brackets(host) => match digits.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |variable: &Option<Variable>| variable.as_ref().map(|variable| variable.name);
        f.debug_struct("Environment")
            .field("for_ws", &name(&self.for_ws))
            .field("for_wss", &name(&self.for_wss))
            .field("exempt", &self.exempt)
            .finish()
    }
}

#[cfg(test)]
mod tests;
