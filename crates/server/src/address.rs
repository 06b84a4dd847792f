//! Whose address a client has, and who says so.

use std::net::IpAddr;

/// The address of a client, together with how far it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAddress {
    /// Seen by the socket.
    Verified(IpAddr),
    /// Said by the ticket (policy `adopt`): how the address survives a balancer that says nothing of the
    /// client.
    Stated(IpAddr),
    /// A unix socket: there is no address.
    Local,
}

impl ClientAddress {
    /// The address of a socket's remote end.
    pub(crate) fn socket(ip: IpAddr) -> ClientAddress {
        ClientAddress::Verified(canonical(ip))
    }

    /// The address, if there is one; `::ffff:192.0.2.1` reads as `192.0.2.1`.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match *self {
            ClientAddress::Verified(ip) | ClientAddress::Stated(ip) => Some(canonical(ip)),
            ClientAddress::Local => None,
        }
    }
}

/// A dual-stack socket sees IPv4 clients as IPv6; two spellings of one address must compare equal.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}
