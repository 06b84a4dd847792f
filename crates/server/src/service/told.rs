//! What an upstream is told of the client's address: by a PROXY protocol header where it speaks bytes, by header fields where it
//! speaks HTTP. Only what is verified is told.

use std::net::{IpAddr, SocketAddr};

use crate::address::ClientAddress;

/// The signature of version 2 (section 2.2 of the specification).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, on behalf of a client.
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header of version 2 that comes before a client's first byte. `socket` has the ends of the client's socket, its own first,
/// where there is one of its own. A port that nobody knows, as behind a proxy, is 0; a client without a verified address is
/// `AF_UNSPEC`.
pub(super) fn proxy_header(address: ClientAddress, socket: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.push(PROXY);
    let Some(client) = verified(address) else {
        header.extend([UNSPECIFIED, 0, 0]);
        return header;
    };
    let port = socket.filter(|(own, _)| own.ip().to_canonical() == client).map_or(0, |(own, _)| own.port());
    let here = socket.map_or_else(|| SocketAddr::new(unspecified(client), 0), |(_, here)| here);
    match (client, here.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            header.extend([TCP_OVER_IPV4, 0, 12]);
            header.extend(source.octets());
            header.extend(destination.octets());
        }
        (source, destination) => {
            header.extend([TCP_OVER_IPV6, 0, 36]);
            header.extend(in_ipv6(source));
            header.extend(in_ipv6(destination));
        }
    }
    header.extend(port.to_be_bytes());
    header.extend(here.port().to_be_bytes());
    header
}

/// The fields for another HTTP server (RFC 7239, and the older one that more of them read). What the client said of itself in such
/// fields is never handed on.
pub(super) fn fields(address: ClientAddress, tls: bool) -> Vec<(&'static str, String)> {
    let proto = if tls { "https" } else { "http" };
    let (client, old) = match verified(address) {
        Some(IpAddr::V4(ip)) => (ip.to_string(), Some(ip.to_string())),
        Some(IpAddr::V6(ip)) => (format!("\"[{ip}]\""), Some(ip.to_string())),
        None => ("unknown".to_owned(), None),
    };
    let mut fields = vec![("forwarded", format!("for={client};proto={proto}"))];
    fields.extend(old.map(|ip| ("x-forwarded-for", ip)));
    fields.push(("x-forwarded-proto", proto.to_owned()));
    fields
}

/// What a ticket states is not known.
fn verified(address: ClientAddress) -> Option<IpAddr> {
    match address {
        ClientAddress::Verified(_) => address.ip(),
        ClientAddress::Stated(_) | ClientAddress::Local => None,
    }
}

fn unspecified(of: IpAddr) -> IpAddr {
    match of {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0_u16; 8]),
    }
}

fn in_ipv6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn client(text: &str) -> ClientAddress {
        ClientAddress::socket(text.parse().expect("an address"))
    }

    #[test]
    fn the_header_has_the_clients_address_and_ours_as_the_specification_lays_them_out() {
        let socket = Some((address("192.0.2.1:56324"), address("198.51.100.2:443")));
        let header = proxy_header(client("192.0.2.1"), socket);
        let expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb";
        assert_eq!(header, expected);
        let socket = Some((address("[2001:db8::1]:1"), address("[2001:db8::2]:2")));
        let header = proxy_header(client("2001:db8::1"), socket);
        assert_eq!((header[13], header[15], header.len()), (0x21, 36, 16 + 36));
        assert_eq!(header[48..], [0, 1, 0, 2]);
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        // Behind a proxy: the port is of the proxy's socket and not of the client's.
        let socket = Some((address("10.0.0.1:5000"), address("10.0.0.2:443")));
        let header = proxy_header(client("192.0.2.1"), socket);
        assert_eq!(header[16..], *b"\xc0\0\x02\x01\x0a\0\0\x02\0\0\x01\xbb");
        let header = proxy_header(client("192.0.2.1"), None);
        assert_eq!(header[16..], *b"\xc0\0\x02\x01\0\0\0\0\0\0\0\0");
        for unknown in [ClientAddress::Local, ClientAddress::Stated(IpAddr::from([192, 0, 2, 1]))] {
            assert_eq!(proxy_header(unknown, socket), b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", "{unknown:?}");
        }
        // Both families in one header.
        let socket = Some((address("192.0.2.1:1"), address("[2001:db8::2]:2")));
        assert_eq!(proxy_header(client("192.0.2.1"), socket)[26..32], *b"\xff\xff\xc0\0\x02\x01");
    }

    #[test]
    fn another_http_server_is_told_what_is_verified_and_that_the_rest_is_unknown() {
        let told = |address, tls| {
            fields(address, tls).iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(
            told(client("::ffff:192.0.2.1"), true),
            [
                "forwarded: for=192.0.2.1;proto=https",
                "x-forwarded-for: 192.0.2.1",
                "x-forwarded-proto: https"
            ]
        );
        assert_eq!(told(client("2001:db8::1"), false)[0], "forwarded: for=\"[2001:db8::1]\";proto=http");
        assert_eq!(
            told(ClientAddress::Local, false),
            ["forwarded: for=unknown;proto=http", "x-forwarded-proto: http"]
        );
    }
}
