//! What proxies say of clients, and clients in their name.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use trunkline_net::forwarded::{
    self, Reads, Told, Verified, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO,
};
use trunkline_net::proxy_protocol::{Endpoints, Header, MAX_V1, MAX_V2, Malformed, kind, parse, write};

use crate::{memory, splits};

/// A header's TLVs, two paths, and the errors.
const HEADER_HEAP: usize = MAX_V2 + 1024;

/// The first bytes of a connection of a proxy.
pub fn proxy_protocol(data: &[u8]) {
    let whole = memory::within(HEADER_HEAP, || parse(data));
    for pieces in splits::every_way(data) {
        assert_eq!(arriving(&pieces), whole, "cut into {} pieces", pieces.len());
    }
    let Ok(Some((header, used))) = whole else { return };
    assert!(used <= data.len() && used <= MAX_V1.max(MAX_V2));
    assert_eq!(parse(&data[..used]), Ok(Some((header.clone(), used))), "what follows makes no difference");
    let _ = (header.tlvs.ssl(), header.tlvs.authority(), header.tlvs.unique_id());
    written_again(&header);
}

/// The first answer that is one, as the bytes come. An error may name how much had come.
fn arriving(pieces: &[&[u8]]) -> Result<Option<(Header, usize)>, Malformed> {
    let mut bytes = Vec::new();
    let all = pieces.concat();
    for piece in pieces {
        bytes.extend_from_slice(piece);
        match parse(&bytes) {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(Malformed::TooLong { limit, .. }) => {
                let got = match parse(&all) {
                    Err(Malformed::TooLong { got, .. }) => got,
                    other => panic!("too long, and then {other:?}"),
                };
                return Err(Malformed::TooLong { limit, got });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What was read is what we would say.
fn written_again(header: &Header) {
    let tlvs: Vec<(u8, &[u8])> = header.tlvs.iter().filter(|(kind, _)| *kind != kind::CRC32C).collect();
    for checked in [false, true] {
        let bytes = write(&header.endpoints, &tlvs, checked);
        assert!(bytes.len() <= MAX_V2);
        let (again, used) = parse(&bytes).expect("what we write is valid").expect("and whole");
        assert_eq!((&again.endpoints, used), (&header.endpoints, bytes.len()));
        if matches!(header.endpoints, Endpoints::Inet { .. } | Endpoints::Unix { .. }) {
            assert_eq!(again.tlvs.get(kind::CRC32C).is_some(), checked);
        }
    }
}

const NAMES: [HeaderName; 4] = [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST];

/// Lines of fields that a trusted proxy brings: which field by the first byte of each.
pub fn forwarded(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(20) {
        let Some((which, value)) = line.split_first() else { continue };
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(NAMES[usize::from(*which) % NAMES.len()].clone(), value);
    }
    let reads = Reads { forwarded: true, x_forwarded: true, x_real_ip: true };
    let ours = |ip: IpAddr| matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 10);
    // Each entry is kept as text for a while.
    let read = memory::within(64 * data.len() + 4096, || forwarded::read(&headers, reads, ours));
    match read {
        Ok(Some(told)) => {
            as_forged(&headers, reads, &told);
            as_told_upstream(&headers, reads, told);
        }
        Ok(None) => {}
        Err(error) => assert!(error.to_string().len() < 700, "an error that repeats its input: {error}"),
    }
}

/// Whatever stands in front of what one's own proxy adds changes nothing.
fn as_forged(headers: &HeaderMap, reads: Reads, told: &Told) {
    let client: IpAddr = [192, 0, 2, 1].into();
    let mut behind = HeaderMap::new();
    let x = Reads { forwarded: false, x_real_ip: false, ..reads };
    for value in headers.get_all(X_FORWARDED_FOR) {
        behind.append(X_FORWARDED_FOR, value.clone());
    }
    behind.append(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
    let read = forwarded::read(&behind, x, |_| false).expect("what is left of it is not looked at");
    assert_eq!(read.and_then(|told| told.client), Some(client), "{told:?}");
}

/// What we tell a server behind us says the same, and once.
fn as_told_upstream(headers: &HeaderMap, reads: Reads, told: Told) {
    let mut headers = headers.clone();
    let verified = Verified { client: told.client, secure: told.secure, host: told.host.as_ref() };
    forwarded::set_for_upstream(&mut headers, verified);
    let again = forwarded::read(&headers, reads, |_| false).expect("what we write is valid");
    assert_eq!(again.expect("and says something"), told);
}

/// Headers of both versions, and the mistakes of others.
pub(crate) fn proxy_protocol_seeds() -> Vec<Vec<u8>> {
    let inet = |source: &str, destination: &str| Endpoints::Inet {
        source: source.parse().expect("an address and a port"),
        destination: destination.parse().expect("an address and a port"),
    };
    let ssl = [&[5, 0, 0, 0, 0][..], &[0x21, 0, 7], b"TLSv1.3"].concat();
    let tlvs: &[(u8, &[u8])] =
        &[(kind::AUTHORITY, b"chat.example"), (kind::UNIQUE_ID, b"\x01\xff"), (kind::SSL, &ssl)];
    let unix = Endpoints::Unix { source: (*b"/run/a").into(), destination: (*b"\0named").into() };
    vec![
        b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 56324 443\r\n".to_vec(),
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".to_vec(),
        b"PROXY TCP4 01.1.1.1 1.1.1.2 00 99999\r\n".to_vec(),
        format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).into_bytes(),
        write(&inet("192.0.2.1:1", "192.0.2.2:2"), tlvs, true),
        write(&inet("[2001:db8::1]:1", "[2001:db8::2]:2"), tlvs, false),
        write(&unix, &[(kind::NOOP, &[0; 9])], true),
        write(&Endpoints::Local, &[], false),
        write(&Endpoints::Unknown, &[], false),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c192021222324".to_vec(),
    ]
}

pub(crate) fn forwarded_seeds() -> Vec<Vec<u8>> {
    let lines: &[&[u8]] = &[
        b"\x00for=192.0.2.60;proto=http;by=203.0.113.43",
        b"\x00For=\"[2001:db8:cafe::17]:4711\", for=\"_gazonk\";host=\"a.example:81\"",
        b"\x00for=unknown, for=10.0.0.1\n\x00for=\"10.0.0.2:_p\"",
        b"\x00for=\"unterminated\\",
        b"\x016.6.6.6, 192.0.2.1, 10.0.0.1\n\x02https, http\n\x03a.example",
        b"\x01[2001:db8::1]:80, ::ffff:10.0.0.1\n\x01unknown",
        b"\x01192.0.2.1\n\x00for=192.0.2.1;proto=https",
        b"\x01, ,,\n\x02,",
    ];
    lines.iter().map(|line| line.to_vec()).collect()
}
