//! Version 1: one line of text (section 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Endpoints, Header, MAX_V1, Malformed, Tlvs};

const PREFIX: &[u8] = b"PROXY ";
const END: &[u8] = b"\r\n";

/// `PROXY UNKNOWN` and the line end.
pub(super) const SHORTEST: usize = 15;

/// For each number of spaces seen: what surely still comes behind the field that is being read. Of `TCP6`, whose
/// addresses are the shortest, where there are addresses.
const BEHIND: [usize; 6] = [2, 2, 9, 6, 4, 2];

pub(super) fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let known = input.len().min(PREFIX.len());
    if input[..known] != PREFIX[..known] {
        return Err(Malformed::NoHeader);
    }
    let window = &input[..input.len().min(MAX_V1)];
    let Some(end) = window.windows(END.len()).position(|bytes| bytes == END) else {
        let too_long = input.len() >= MAX_V1;
        return if too_long { Err(Malformed::TooLong { limit: MAX_V1, got: input.len() }) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&input[PREFIX.len()..end]).map_err(|_| Malformed::Line("not ASCII"))?;
    let header = Header { endpoints: endpoints(line)?, tlvs: Tlvs::default() };
    Ok(Some((header, end + END.len())))
}

/// How many bytes more are certain to belong to this beginning of a header, whatever they are. At least 1.
pub(super) fn missing(input: &[u8]) -> usize {
    if input.len() < SHORTEST {
        return SHORTEST - input.len();
    }
    let spaces = input.iter().filter(|byte| **byte == b' ').count();
    let unknown = input.starts_with(b"PROXY U");
    match BEHIND.get(spaces) {
        _ if input.ends_with(b"\r") => 1,
        Some(behind) if !unknown => *behind,
        _ => END.len(),
    }
}

fn endpoints(line: &str) -> Result<Endpoints, Malformed> {
    let mut fields = line.split(' ');
    match fields.next() {
        // "the receiver must ignore anything presented before the CRLF is found"
        Some("UNKNOWN") => Ok(Endpoints::Unknown),
        Some("TCP4") => inet(fields, |text| text.parse().map(|ip: Ipv4Addr| ip.into()).ok()),
        Some("TCP6") => inet(fields, |text| text.parse().map(|ip: Ipv6Addr| ip.into()).ok()),
        _ => Err(Malformed::Line("the protocol is none of TCP4, TCP6 and UNKNOWN")),
    }
}

fn inet<'a>(
    mut fields: impl Iterator<Item = &'a str>,
    address: impl Fn(&str) -> Option<IpAddr>,
) -> Result<Endpoints, Malformed> {
    let mut ip = || {
        let text = fields.next().ok_or(Malformed::Line("an address is missing"))?;
        address(text).ok_or(Malformed::Line("an address is none of its protocol's"))
    };
    let (source, destination) = (ip()?, ip()?);
    let mut port = || {
        let text = fields.next().ok_or(Malformed::Line("a port is missing"))?;
        port(text).ok_or(Malformed::Line("a port is no number from 0 to 65535"))
    };
    let (source_port, destination_port) = (port()?, port()?);
    match fields.next() {
        None => Ok(Endpoints::Inet {
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
        }),
        Some(_) => Err(Malformed::Line("there is something behind the ports")),
    }
}

/// Decimal, without a sign and without zeros in front.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}
