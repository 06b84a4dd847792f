//! Tables of headers good and bad, each cut at every byte; and what the writer writes.

use tokio::io::AsyncWriteExt;

use super::*;

fn inet(source: &str, destination: &str) -> Endpoints {
    let address = |text: &str| text.parse().expect("an address and a port");
    Endpoints::Inet { source: address(source), destination: address(destination) }
}

/// A header of version 2 from its last four fixed bytes on.
fn v2(fixed: &[u8], rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a short header").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", fixed, &length, rest].concat()
}

const IPV4: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 2, 0xDC, 0x04, 0x01, 0xBB];

fn ipv6() -> Vec<u8> {
    let ends = ["2001:db8::1", "2001:db8::2"].map(|ip| ip.parse::<std::net::Ipv6Addr>().expect("an address"));
    [&ends[0].octets()[..], &ends[1].octets(), &[0xDC, 0x04, 0x01, 0xBB]].concat()
}

fn unix() -> Vec<u8> {
    let mut bytes = vec![0; 216];
    bytes[..6].copy_from_slice(b"/run/a");
    bytes[108..114].copy_from_slice(b"\0named");
    bytes
}

fn good() -> Vec<(Vec<u8>, Endpoints)> {
    let v4 = inet("192.0.2.1:56324", "192.0.2.2:443");
    let v6 = inet("[2001:db8::1]:56324", "[2001:db8::2]:443");
    let path = Endpoints::Unix { source: (*b"/run/a").into(), destination: (*b"\0named").into() };
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    vec![
        (line("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443"), v4.clone()),
        (line("PROXY TCP4 0.0.0.0 1.1.1.1 0 0"), inet("0.0.0.0:0", "1.1.1.1:0")),
        (line("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443"), v6.clone()),
        (line("PROXY TCP6 :: ::1 0 1"), inet("[::]:0", "[::1]:1")),
        (
            line(&format!("PROXY TCP6 {full} {full} 65535 65535")),
            inet(&format!("[{full}]:65535"), &format!("[{full}]:65535")),
        ),
        (line("PROXY UNKNOWN"), Endpoints::Unknown),
        (line(&format!("PROXY UNKNOWN {full} {full} 65535 65535")), Endpoints::Unknown),
        (line("PROXY UNKNOWN whatever, and more"), Endpoints::Unknown),
        (v2(&[0x21, 0x11], IPV4), v4.clone()),
        (v2(&[0x21, 0x11], &[IPV4, &[4, 0, 1, 0]].concat()), v4),
        (v2(&[0x21, 0x21], &ipv6()), v6),
        (v2(&[0x21, 0x31], &unix()), path),
        (v2(&[0x20, 0x00], b""), Endpoints::Local),
        (v2(&[0x20, 0x11], IPV4), Endpoints::Local),
        (v2(&[0x20, 0x77], b"whatever"), Endpoints::Local),
        (v2(&[0x21, 0x00], b""), Endpoints::Unknown),
        (v2(&[0x21, 0x00], b"whatever"), Endpoints::Unknown),
        (v2(&[0x21, 0x12], IPV4), Endpoints::Unknown),
        (v2(&[0x21, 0x22], &ipv6()), Endpoints::Unknown),
        (v2(&[0x21, 0x32], &unix()), Endpoints::Unknown),
    ]
}

#[tokio::test]
async fn every_good_header_is_read_whole_at_any_cut_and_nothing_behind_it() {
    for (bytes, expected) in good() {
        let shown = bytes.escape_ascii();
        let all = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
        let (header, used) = parse(&all).expect("good").unwrap_or_else(|| panic!("{shown}: incomplete"));
        assert_eq!((&header.endpoints, used), (&expected, bytes.len()), "{shown}");
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(None), "{shown} cut at {end}");
        }
        for cut in 1..all.len() {
            let (mut ours, mut theirs) = tokio::io::duplex(4096);
            let write = async {
                theirs.write_all(&all[..cut]).await.expect("room");
                tokio::task::yield_now().await;
                theirs.write_all(&all[cut..]).await.expect("room");
                drop(theirs);
            };
            let (read, ()) = tokio::join!(read(&mut ours, TIME), write);
            assert_eq!(read.expect("good").endpoints, expected, "{shown} cut at {cut}");
            let mut rest = Vec::new();
            ours.read_to_end(&mut rest).await.expect("the rest");
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{shown} cut at {cut}");
        }
    }
}

#[test]
fn every_broken_header_is_refused_by_its_rule_and_never_taken_for_an_incomplete_one() {
    let line = |text: &str| (text.as_bytes().to_vec(), "version 1: ");
    let table = vec![
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "no PROXY protocol header"),
        (b"\x16\x03\x01".to_vec(), "no PROXY protocol header"),
        (b"PRI * HTTP/2.0\r\n".to_vec(), "no PROXY protocol header"),
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), "no PROXY protocol header"),
        (b"PROXY\tTCP4 ".to_vec(), "no PROXY protocol header"),
        (b"proxy TCP4 ".to_vec(), "no PROXY protocol header"),
        line("PROXY \r\n"),
        line("PROXY  TCP4 1.1.1.1 1.1.1.2 1 2\r\n"),
        line("PROXY TCP4\r\n"),
        line("PROXY TCP5 1.1.1.1 1.1.1.2 1 2\r\n"),
        line("PROXY tcp4 1.1.1.1 1.1.1.2 1 2\r\n"),
        line("PROXY TCP4 1.1.1.1 1.1.1.2 1\r\n"),
        line("PROXY TCP4 1.1.1.1 1.1.1.2 1 2 \r\n"),
        line("PROXY TCP4 1.1.1.1 1.1.1.2 1 2 3\r\n"),
        line("PROXY TCP4 1.1.1.1  1.1.1.2 1 2\r\n"),
        line("PROXY TCP4 ::1 ::1 1 2\r\n"),
        line("PROXY TCP6 1.1.1.1 1.1.1.2 1 2\r\n"),
        line("PROXY TCP6 [::1] ::1 1 2\r\n"),
        line("PROXY TCP4 01.1.1.1 1.1.1.2 1 2\r\n"),
        line("PROXY TCP4 1.1.1 1.1.1.2 1 2\r\n"),
        line("PROXY TCP4 1.1.1.256 1.1.1.2 1 2\r\n"),
        line("PROXY TCP4 1.1.1.1 1.1.1.2 01 2\r\n"),
        line("PROXY TCP4 1.1.1.1 1.1.1.2 +1 2\r\n"),
        line("PROXY TCP4 1.1.1.1 1.1.1.2 65536 2\r\n"),
        line("PROXY TCP4 1.1.1.1 1.1.1.2 1 -2\r\n"),
        (b"PROXY TCP4 \xff\r\n".to_vec(), "version 1: not ASCII"),
        (format!("PROXY UNKNOWN {}", "x".repeat(93)).into_bytes(), "a header of 107 bytes or more"),
        (b"PROXY TCP4 1.1.1.1 1.1.1.2 1 2\n".repeat(4), "a header of 124 bytes or more"),
        (v2(&[0x11, 0x11], IPV4), "version and command are 0x11"),
        (v2(&[0x22, 0x11], IPV4), "version and command are 0x22"),
        (v2(&[0x31, 0x11], IPV4), "version and command are 0x31"),
        (v2(&[0x21, 0x10], IPV4), "family and transport 0x10"),
        (v2(&[0x21, 0x41], IPV4), "family and transport 0x41"),
        (v2(&[0x21, 0x13], IPV4), "family and transport 0x13"),
        (v2(&[0x21, 0x11], &IPV4[..11]), "11 bytes, where the addresses alone are 12"),
        (v2(&[0x21, 0x21], IPV4), "12 bytes, where the addresses alone are 36"),
        (v2(&[0x21, 0x31], IPV4), "12 bytes, where the addresses alone are 216"),
        (v2(&[0x21, 0x11], &[IPV4, &[2]].concat()), "a TLV of type 0x02"),
        (v2(&[0x21, 0x11], &[IPV4, &[2, 0]].concat()), "a TLV of type 0x02"),
        (v2(&[0x21, 0x11], &[IPV4, &[5, 0, 2, 1]].concat()), "a TLV of type 0x05"),
        (v2(&[0x21, 0x11], &[IPV4, &[3, 0, 4, 1, 2, 3, 4]].concat()), "the checksum"),
        (v2(&[0x21, 0x11], &[IPV4, &[3, 0, 0]].concat()), "the checksum"),
    ];
    for (bytes, expected) in table {
        let shown = bytes.escape_ascii();
        let error = parse(&bytes).expect_err(&format!("{shown}")).to_string();
        assert!(error.starts_with(expected), "{shown}: {error}");
    }
}

#[test]
fn a_header_of_exactly_the_limit_is_read_and_one_byte_more_is_refused_before_it_has_come() {
    let fits = format!("PROXY UNKNOWN{}\r\n", " ".repeat(MAX_V1 - 15));
    assert_eq!(parse(fits.as_bytes()).map(|read| read.map(|(_, used)| used)), Ok(Some(MAX_V1)));
    let longer = format!("PROXY UNKNOWN{}\r\n", " ".repeat(MAX_V1 - 14));
    let refused = Err(Malformed::TooLong { limit: MAX_V1, got: MAX_V1 + 1 });
    assert_eq!(parse(longer.as_bytes()), refused);

    let header = |padding: usize| {
        let length = u16::try_from(padding).expect("short").to_be_bytes();
        v2(&[0x21, 0x11], &[IPV4, &[4, length[0], length[1]], &vec![0; padding]].concat())
    };
    let around = 16 + IPV4.len() + 3;
    let fits = header(MAX_V2 - around);
    assert_eq!(parse(&fits).map(|read| read.map(|(_, used)| used)), Ok(Some(MAX_V2)));
    let longer = header(MAX_V2 - around + 1);
    assert_eq!(parse(&longer[..16]), Err(Malformed::TooLong { limit: MAX_V2, got: MAX_V2 + 1 }));
}

#[test]
fn what_a_proxy_says_beside_the_addresses_is_kept() {
    let ssl = [&[5, 0, 0, 0, 0][..], &[0x21, 0, 7], b"TLSv1.3", &[0x22, 0, 3], b"ann"].concat();
    let tlvs = [(kind::AUTHORITY, &b"chat.example"[..]), (kind::UNIQUE_ID, b"\x01\xff"), (kind::SSL, &ssl)];
    let bytes = write(&inet("192.0.2.1:1", "192.0.2.2:2"), &tlvs, true);
    let (header, _) = parse(&bytes).expect("good").expect("whole");
    assert_eq!(header.tlvs.authority(), Some("chat.example"));
    assert_eq!(header.tlvs.unique_id(), Some(&b"\x01\xff"[..]));
    let read = header.tlvs.ssl().expect("it is there");
    assert_eq!((read.tls, read.certificate, read.verified), (true, true, true));
    assert_eq!((read.version, read.common_name), (Some("TLSv1.3"), Some("ann")));
    assert_eq!(header.tlvs.get(kind::NETNS), None);

    let plain = write(&inet("192.0.2.1:1", "192.0.2.2:2"), &[(kind::SSL, &[0, 0, 0, 0, 1])], false);
    let (header, _) = parse(&plain).expect("good").expect("whole");
    assert!(header.tlvs.ssl().is_some_and(|ssl| !ssl.tls && !ssl.certificate && !ssl.verified));
    let odd = write(
        &inet("192.0.2.1:1", "192.0.2.2:2"),
        &[(kind::SSL, &[1, 0]), (kind::AUTHORITY, b"\xff"), (kind::UNIQUE_ID, &[0; 129])],
        false,
    );
    let (header, _) = parse(&odd).expect("good").expect("whole");
    let Header { tlvs, .. } = header;
    assert_eq!((tlvs.ssl(), tlvs.authority(), tlvs.unique_id()), (None, None, None));
    assert_eq!(tlvs.iter().count(), 3);
}

#[test]
fn what_is_written_reads_back_and_a_checksum_notices_every_changed_byte() {
    let v4 = inet("192.0.2.1:56324", "192.0.2.2:443");
    assert_eq!(write(&v4, &[], false), v2(&[0x21, 0x11], IPV4));
    let path = Endpoints::Unix { source: [7; 200].into(), destination: Box::default() };
    let short = Endpoints::Unix { source: [7; 108].into(), destination: Box::default() };
    let mixed = inet("192.0.2.1:1", "[2001:db8::2]:2");
    let mapped = inet("[::ffff:192.0.2.1]:1", "[2001:db8::2]:2");
    for (endpoints, expected) in [
        (v4.clone(), v4.clone()),
        (inet("[2001:db8::1]:1", "[2001:db8::2]:2"), inet("[2001:db8::1]:1", "[2001:db8::2]:2")),
        (mixed, mapped),
        (path, short),
        (Endpoints::Local, Endpoints::Local),
        (Endpoints::Unknown, Endpoints::Unknown),
    ] {
        for checked in [false, true] {
            let bytes = write(&endpoints, &[(kind::AUTHORITY, b"a.example")], checked);
            let (header, used) = parse(&bytes).expect("good").expect("whole");
            assert_eq!((header.endpoints, used), (expected.clone(), bytes.len()));
        }
    }
    let checked = write(&v4, &[(kind::UNIQUE_ID, b"id")], true);
    for place in 16..checked.len() {
        let mut changed = checked.clone();
        changed[place] ^= 1;
        let read =
            parse(&changed).map(|read| read.map(|(header, _)| header.tlvs.get(kind::CRC32C).is_some()));
        // A type or length that is changed may hide the checksum; whoever asks for one sees that it is gone.
        assert!(matches!(read, Err(_) | Ok(Some(false))), "byte {place}: {read:?}");
    }
    let much = vec![0; MAX_V2];
    let bytes = write(&v4, &[(kind::ALPN, b"h2"), (kind::NOOP, &much), (kind::UNIQUE_ID, b"x")], true);
    let (header, _) = parse(&bytes).expect("good").expect("whole");
    assert_eq!(header.tlvs.iter().map(|(kind, _)| kind).collect::<Vec<_>>(), [kind::ALPN, kind::CRC32C]);
}

#[tokio::test(start_paused = true)]
async fn a_header_has_its_time_however_it_trickles_in_and_an_early_end_is_told_as_such() {
    let (mut ours, mut theirs) = tokio::io::duplex(64);
    let trickle = tokio::spawn(async move {
        for byte in b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n" {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if theirs.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    assert!(matches!(read(&mut ours, TIME).await, Err(HeaderError::TimedOut(TIME))));
    trickle.abort();

    for bytes in [&b""[..], b"PROXY TCP4 192", &v2(&[0x21, 0x11], IPV4)[..20]] {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(bytes).await.expect("room");
        drop(theirs);
        assert!(matches!(read(&mut ours, TIME).await, Err(HeaderError::Ended)), "{}", bytes.escape_ascii());
    }
}
