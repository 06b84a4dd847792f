//! Whose address a client has, who says so, and what is said of it to servers behind us.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::HOST;
use http::uri::Authority;
use trunkline_net::forwarded::{Verified, set_for_upstream};

/// The address of a client, together with how far it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAddress {
    /// Seen by this server, or by one of one's own proxies.
    Verified(IpAddr, By),
    /// Said by the ticket (policy `adopt`): how the address survives a balancer that says nothing of the
    /// client.
    Stated(IpAddr),
    /// A unix socket: there is no address.
    Local,
}

/// Who has seen an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// This server: it is the other end of its socket.
    Socket,
    /// A trusted proxy, which says so by the PROXY protocol.
    Proxy,
    /// A trusted proxy, which says so in the request's fields.
    Forwarded,
}

/// What is known of who is at the other end of a connection, or behind the proxy that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// From where.
    pub address: ClientAddress,
    /// Whether it came by TLS to the proxy; `None` where no trusted one says so.
    pub secure: Option<bool>,
}

impl ClientAddress {
    /// The address of a socket's remote end.
    pub(crate) fn socket(ip: IpAddr) -> ClientAddress {
        ClientAddress::Verified(canonical(ip), By::Socket)
    }

    /// The address, if there is one; `::ffff:192.0.2.1` reads as `192.0.2.1`.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match *self {
            ClientAddress::Verified(ip, _) | ClientAddress::Stated(ip) => Some(canonical(ip)),
            ClientAddress::Local => None,
        }
    }

    /// The address, if somebody has seen it.
    pub(crate) fn verified(&self) -> Option<IpAddr> {
        match *self {
            ClientAddress::Verified(ip, _) => Some(ip),
            ClientAddress::Stated(_) | ClientAddress::Local => None,
        }
    }

    /// Whether its socket shows that the client itself is on this machine. What a proxy says shows it of the proxy's.
    pub(crate) fn is_this_machine(&self) -> bool {
        match *self {
            ClientAddress::Verified(ip, By::Socket) => ip.is_loopback(),
            ClientAddress::Verified(..) | ClientAddress::Stated(_) => false,
            ClientAddress::Local => true,
        }
    }

    /// Who says so, as backends see it.
    pub(crate) fn told_by(&self) -> &'static str {
        match self {
            ClientAddress::Verified(_, By::Socket) => "socket",
            ClientAddress::Verified(_, By::Proxy) => "proxy",
            ClientAddress::Verified(_, By::Forwarded) => "forwarded",
            ClientAddress::Stated(_) => "ticket",
            ClientAddress::Local => "unix",
        }
    }
}

impl Known {
    /// What a socket alone shows.
    pub(crate) fn by_socket(address: ClientAddress) -> Known {
        Known { address, secure: None }
    }
}

/// Makes a request's fields those for an HTTP server behind us: what anybody but us said of the client is taken out, and its verified
/// address is put in. `secure`: whether the client came by TLS, to us or to a trusted proxy.
#[cfg_attr(not(test), allow(dead_code, reason = "for services that are other HTTP servers"))]
pub(crate) fn upstream_headers(headers: &mut HeaderMap, address: ClientAddress, secure: Option<bool>) {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    set_for_upstream(headers, Verified { client: address.verified(), secure, host: host.as_ref() });
}

/// A dual-stack socket sees IPv4 clients as IPv6; two spellings of one address must compare equal.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_told_the_verified_address_and_never_what_a_ticket_or_a_client_states() {
        let ip = IpAddr::from([192, 0, 2, 1]);
        for (address, expected) in [
            (ClientAddress::Verified(ip, By::Forwarded), "for=192.0.2.1;host=\"a.example:81\";proto=https"),
            (ClientAddress::Stated(ip), "for=unknown;host=\"a.example:81\";proto=https"),
            (ClientAddress::Local, "for=unknown;host=\"a.example:81\";proto=https"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "a.example:81".parse().expect("a value"));
            headers.insert("x-forwarded-for", "6.6.6.6".parse().expect("a value"));
            upstream_headers(&mut headers, address, Some(true));
            assert_eq!(headers["forwarded"], expected);
            assert_eq!(headers.get("x-forwarded-for").is_some(), address.verified().is_some());
        }
    }
}
