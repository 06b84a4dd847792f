//! What an upstream is told of the client's address: by a PROXY protocol header where it speaks bytes, by header fields where it
//! speaks HTTP. Only what is verified is told.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderMap};
use trunkline_net::proxy_protocol::{Endpoints, write};

use super::Visit;
use crate::address::{ClientAddress, upstream_headers};

/// The header of version 2 that comes before a client's first byte. `socket` has the ends of the client's socket, its own first,
/// where there is one of its own. A port that nobody knows, as behind a proxy, is 0; a client without a verified address is
/// unknown.
pub(super) fn proxy_header(address: ClientAddress, socket: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let endpoints = address.verified().map_or(Endpoints::Unknown, |client| {
        let port =
            socket.filter(|(own, _)| own.ip().to_canonical() == client).map_or(0, |(own, _)| own.port());
        let here = socket.map_or_else(|| SocketAddr::new(unspecified(client), 0), |(_, here)| here);
        Endpoints::Inet {
            source: SocketAddr::new(client, port),
            destination: SocketAddr::new(here.ip().to_canonical(), here.port()),
        }
    });
    write(&endpoints, &[], false)
}

/// The fields for another HTTP server. What the client said of itself in such fields is never handed on.
pub(super) fn fields(visit: &Visit) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(host) = visit.request.as_ref().and_then(|request| request.headers().get(HOST)) {
        headers.insert(HOST, host.clone());
    }
    upstream_headers(&mut headers, visit.remote.address(), visit.remote.secure());
    // The upstream has a host of its own.
    headers.remove(HOST);
    headers
}

fn unspecified(of: IpAddr) -> IpAddr {
    match of {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0_u16; 8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::By;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn client(text: &str) -> ClientAddress {
        ClientAddress::socket(text.parse().expect("an address"))
    }

    #[test]
    fn the_header_has_the_clients_address_and_ours() {
        let socket = Some((address("192.0.2.1:56324"), address("198.51.100.2:443")));
        let header = proxy_header(client("192.0.2.1"), socket);
        let expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb";
        assert_eq!(header, expected);
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        // Behind a proxy: the port is of the proxy's socket and not of the client's.
        let socket = Some((address("10.0.0.1:5000"), address("10.0.0.2:443")));
        let told = ClientAddress::Verified(IpAddr::from([192, 0, 2, 1]), By::Forwarded);
        assert_eq!(proxy_header(told, socket)[16..], *b"\xc0\0\x02\x01\x0a\0\0\x02\0\0\x01\xbb");
        assert_eq!(proxy_header(told, None)[16..], *b"\xc0\0\x02\x01\0\0\0\0\0\0\0\0");
        for unknown in [ClientAddress::Local, ClientAddress::Stated(IpAddr::from([192, 0, 2, 1]))] {
            assert_eq!(proxy_header(unknown, socket), b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", "{unknown:?}");
        }
    }
}
