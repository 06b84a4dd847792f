//! Version 2: binary (section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc32c::crc32c;
use super::tlv::{Tlvs, kind};
use super::{Endpoints, Header, MAX_V2, Malformed};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
pub(super) const FIXED: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const UDP4: u8 = 0x12;
const TCP6: u8 = 0x21;
const UDP6: u8 = 0x22;
const UNIX_STREAM: u8 = 0x31;
const UNIX_DATAGRAM: u8 = 0x32;

const INET: usize = 12;
const INET6: usize = 36;
const PATH: usize = 108;

pub(super) fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let known = input.len().min(SIGNATURE.len());
    if input[..known] != SIGNATURE[..known] {
        return Err(Malformed::NoHeader);
    }
    if let Some(command) = input.get(12).filter(|command| !matches!(**command, LOCAL | PROXY)) {
        return Err(Malformed::Command(*command));
    }
    let Some((fixed, rest)) = input.split_first_chunk::<FIXED>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > MAX_V2 {
        return Err(Malformed::TooLong { limit: MAX_V2, got: FIXED + length });
    }
    let Some(said) = rest.get(..length) else { return Ok(None) };
    let header = if command == LOCAL {
        // "the receiver must accept this connection as valid and must use the real connection endpoints and discard the
        // protocol block"
        Header { endpoints: Endpoints::Local, tlvs: Tlvs::default() }
    } else {
        proxied(fixed, family, said)?
    };
    Ok(Some((header, FIXED + length)))
}

/// How many bytes more are certain to belong to this beginning of a header. At least 1.
pub(super) fn missing(input: &[u8]) -> usize {
    match input.first_chunk::<FIXED>() {
        None => FIXED - input.len(),
        Some([.., high, low]) => {
            let whole = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
            whole.saturating_sub(input.len()).max(1)
        }
    }
}

fn proxied(fixed: &[u8; FIXED], family: u8, said: &[u8]) -> Result<Header, Malformed> {
    let needed = match family {
        UNSPECIFIED => 0,
        TCP4 | UDP4 => INET,
        TCP6 | UDP6 => INET6,
        UNIX_STREAM | UNIX_DATAGRAM => 2 * PATH,
        other => return Err(Malformed::Family(other)),
    };
    let Some((addresses, rest)) = said.split_at_checked(needed) else {
        return Err(Malformed::Addresses { needed, got: said.len() });
    };
    if family == UNSPECIFIED {
        // What follows has a meaning for those who agreed on one.
        return Ok(Header { endpoints: Endpoints::Unknown, tlvs: Tlvs::default() });
    }
    let tlvs = Tlvs::parse(rest)?;
    check(fixed, addresses, &tlvs)?;
    let endpoints = match family {
        TCP4 => inet(addresses, |bytes: [u8; 4]| Ipv4Addr::from(bytes).into()),
        TCP6 => inet(addresses, |bytes: [u8; 16]| Ipv6Addr::from(bytes).into()),
        UNIX_STREAM => {
            let (source, destination) = addresses.split_at(PATH);
            Some(Endpoints::Unix { source: path(source), destination: path(destination) })
        }
        // No datagram comes over a stream: what is not supported "falls back to the UNSPEC mode".
        _ => None,
    };
    Ok(Header { endpoints: endpoints.unwrap_or(Endpoints::Unknown), tlvs })
}

/// The checksum, if there is one: of the whole header, with zeros in its own place (section 2.2.3).
fn check(fixed: &[u8], addresses: &[u8], tlvs: &Tlvs) -> Result<(), Malformed> {
    let Some((before, said, after)) = tlvs.around(kind::CRC32C) else { return Ok(()) };
    let zeros = [0; 4];
    let own = crc32c(&[fixed, addresses, before, &zeros, after]);
    if said == own.to_be_bytes() { Ok(()) } else { Err(Malformed::Checksum) }
}

fn inet<const N: usize>(bytes: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> Option<Endpoints> {
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, ports) = rest.split_first_chunk::<N>()?;
    let [a, b, c, d] = *ports.first_chunk::<4>()?;
    Some(Endpoints::Inet {
        source: SocketAddr::new(ip(*source), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(ip(*destination), u16::from_be_bytes([c, d])),
    })
}

/// A path without the zeros behind it. One that begins with a zero is a name of Linux's abstract namespace.
fn path(bytes: &[u8]) -> Box<[u8]> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes[..end].into()
}

/// A header of version 2 for a stream: what a proxy sends before all else. `tlvs` are pairs of type and value, see [`kind`]; with
/// `checked` a checksum goes with them.
///
/// Addresses of two families become IPv6 both. What does not fit into [`MAX_V2`], and of a path what is past its 108 bytes, is left
/// out: TLVs from the first one that does not fit.
#[must_use]
pub fn write(endpoints: &Endpoints, tlvs: &[(u8, &[u8])], checked: bool) -> Vec<u8> {
    let (command, family, addresses) = match endpoints {
        Endpoints::Local => (LOCAL, UNSPECIFIED, Vec::new()),
        Endpoints::Unknown => (PROXY, UNSPECIFIED, Vec::new()),
        Endpoints::Inet { source, destination } => {
            let (family, bytes) = inet_bytes(*source, *destination);
            (PROXY, family, bytes)
        }
        Endpoints::Unix { source, destination } => {
            let padded = |path: &[u8]| {
                let mut bytes = path[..path.len().min(PATH)].to_vec();
                bytes.resize(PATH, 0);
                bytes
            };
            (PROXY, UNIX_STREAM, [padded(source), padded(destination)].concat())
        }
    };
    let mut header = [&SIGNATURE[..], &[command, family, 0, 0], &addresses].concat();
    if family != UNSPECIFIED {
        let room = MAX_V2 - if checked { 7 } else { 0 };
        for (kind, value) in tlvs {
            match u16::try_from(value.len()) {
                Ok(length) if header.len() + 3 + value.len() <= room => {
                    header.push(*kind);
                    header.extend(length.to_be_bytes());
                    header.extend(*value);
                }
                _ => break,
            }
        }
        if checked {
            header.extend([kind::CRC32C, 0, 4, 0, 0, 0, 0]);
        }
    }
    let length = u16::try_from(header.len() - FIXED).unwrap_or(u16::MAX);
    header[FIXED - 2..FIXED].copy_from_slice(&length.to_be_bytes());
    if checked && family != UNSPECIFIED {
        let checksum = crc32c(&[&header]).to_be_bytes();
        let place = header.len() - checksum.len();
        header[place..].copy_from_slice(&checksum);
    }
    header
}

fn inet_bytes(source: SocketAddr, destination: SocketAddr) -> (u8, Vec<u8>) {
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            (TCP4, [&source.octets()[..], &destination.octets(), &ports].concat())
        }
        (source, destination) => {
            let v6 = |ip: IpAddr| match ip {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            (TCP6, [&v6(source)[..], &v6(destination), &ports].concat())
        }
    }
}
