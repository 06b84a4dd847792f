//! A word about `ws:` beyond this machine: whoever is on the way reads and changes what is said.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex, PoisonError};

use trunkline_websocket::url::WsUrl;

/// How many hosts are remembered. Past that nothing more is said: so many warnings have said it.
pub(crate) const HOSTS: usize = 256;

static WARNED: LazyLock<Mutex<Warned>> = LazyLock::new(Mutex::default);

/// Warns if `url` is not encrypted and leads off this machine; once per host and process. `peer` is the address that
/// was connected to, if that is known to be the host's.
pub(crate) fn warn_once(url: &WsUrl, peer: Option<IpAddr>) {
    if url.is_secure() || is_loopback(url, peer) {
        return;
    }
    // Poisoned only if inserting panicked, which leaves the set whole.
    if WARNED.lock().unwrap_or_else(PoisonError::into_inner).first(url.host()) {
        tracing::warn!(
            host = url.host(),
            "this connection is not encrypted: others can read and change what is said; use wss: or https:"
        );
    }
}

fn is_loopback(url: &WsUrl, peer: Option<IpAddr>) -> bool {
    match peer.or(url.ip()) {
        Some(ip) => ip.to_canonical().is_loopback(),
        // "localhost." and what is below it never leave the machine (RFC 6761 section 6.3).
        None => url.host() == "localhost" || url.host().ends_with(".localhost"),
    }
}

#[derive(Debug, Default)]
struct Warned {
    hosts: HashSet<String>,
}

impl Warned {
    /// Whether this host is here for the first time, and there was room to remember it.
    fn first(&mut self, host: &str) -> bool {
        if self.hosts.len() >= HOSTS || self.hosts.contains(host) {
            return false;
        }
        self.hosts.insert(host.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_warned_of_once_and_only_so_many_hosts_are() {
        let mut warned = Warned::default();
        assert!(warned.first("h0"));
        assert!(!warned.first("h0"));
        for number in 1..HOSTS {
            assert!(warned.first(&format!("h{number}")), "the {number}th is within the limit");
        }
        assert!(!warned.first("one-more"));
    }

    #[test]
    fn what_stays_on_this_machine_is_not_warned_of() {
        let loopback = |url: &str, peer: Option<&str>| {
            let peer = peer.map(|ip| ip.parse().expect("an address"));
            is_loopback(&WsUrl::parse(url).expect("a URL"), peer)
        };
        assert!(loopback("ws://127.0.0.2/", None));
        assert!(loopback("ws://[::1]/", None));
        assert!(loopback("ws://[::ffff:127.0.0.1]/", None));
        assert!(loopback("ws://localhost/", None) && loopback("ws://app.localhost/", None));
        assert!(loopback("ws://here.example/", Some("127.0.0.1")));
        assert!(!loopback("ws://here.example/", None) && !loopback("ws://notlocalhost/", None));
        assert!(!loopback("ws://here.example/", Some("192.0.2.1")) && !loopback("ws://192.0.2.1/", None));
    }
}
