//! Reading and writing HTTP/1.1 heads (RFC 9112).

use proptest::prelude::*;
use trunkline_websocket::Limits;
use trunkline_websocket::handshake::http1::{
    EMPTY_LINES, HeadLimits, HeadReader, INTERIM_RESPONSES, ResponseReader, write_request, write_response,
};
use trunkline_websocket::handshake::{Rejected, Rule};

const LIMITS: HeadLimits = HeadLimits { bytes: 16 * 1024, headers: 100 };

/// Reads one request that comes in pieces of `step` bytes.
fn read(limits: HeadLimits, input: &[u8], step: usize) -> Result<http::Request<()>, Rejected> {
    let mut reader = HeadReader::new(limits);
    for piece in input.chunks(step) {
        if reader.receive(piece)?.is_some() {
            break;
        }
    }
    reader.request()
}

/// The rule that a request breaks, all at once and byte by byte alike.
fn rule(input: &[u8]) -> Option<Rule> {
    let whole = read(LIMITS, input, usize::MAX).err().map(|rejected| rejected.to_string());
    let bytes = read(LIMITS, input, 1).err();
    assert_eq!(whole, bytes.as_ref().map(ToString::to_string), "{}", input.escape_ascii());
    bytes.map(|rejected| rejected.rule())
}

#[test]
fn a_well_formed_request_becomes_a_request() {
    let input = b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nX-Empty:\r\nCookie: a=1\r\ncookie:\t b=2 \t\r\nX: \xe9\ta\r\n\r\nrest";
    for step in [1, 2, 7, usize::MAX] {
        let request = read(LIMITS, input, step).expect("a request");
        assert_eq!(request.method(), "GET");
        assert_eq!(request.uri(), "/chat?room=1");
        assert_eq!(request.version(), http::Version::HTTP_11);
        assert_eq!(request.headers().len(), 5);
        assert_eq!(request.headers()["host"], "example.com");
        assert_eq!(request.headers()["x-empty"], "");
        let cookies: Vec<_> = request.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert_eq!(request.headers()["x"].as_bytes(), b"\xe9\ta");
    }
}

#[test]
fn every_malformed_head_is_refused_by_the_rule_it_breaks() {
    let rows: &[(&str, &[u8], Rule)] = &[
        ("LF alone after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", Rule::BareLf),
        ("LF alone after a field", b"GET / HTTP/1.1\r\nHost: a\n\r\n", Rule::BareLf),
        ("LF alone at the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", Rule::BareLf),
        ("LF alone before the request line", b"\nGET / HTTP/1.1\r\n\r\n", Rule::BareLf),
        ("LF inside a name", b"GET / HTTP/1.1\r\nHo\nst: a\r\n\r\n", Rule::BareLf),
        ("CR alone in the request line", b"GET /\rHTTP/1.1\r\n\r\n", Rule::BareCr),
        ("CR alone in a value", b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", Rule::BareCr),
        ("CR CR LF", b"GET / HTTP/1.1\r\r\n\r\n", Rule::BareCr),
        ("CR alone at the end", b"GET / HTTP/1.1\r\n\rx", Rule::BareCr),
        ("CR alone before the request line", b"\rGET / HTTP/1.1\r\n\r\n", Rule::BareCr),
        ("a folded value", b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Rule::ObsFold),
        ("a value folded with a tab", b"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", Rule::ObsFold),
        ("a space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Rule::ObsFold),
        ("a space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Rule::SpaceBeforeColon),
        ("a tab before the colon", b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", Rule::SpaceBeforeColon),
        ("a space inside a name", b"GET / HTTP/1.1\r\nTransfer Encoding: a\r\n\r\n", Rule::SpaceBeforeColon),
        ("no name", b"GET / HTTP/1.1\r\n: a\r\n\r\n", Rule::HeaderName),
        ("no colon", b"GET / HTTP/1.1\r\nHost\r\n\r\n", Rule::HeaderName),
        ("a name with a slash", b"GET / HTTP/1.1\r\nHo/st: a\r\n\r\n", Rule::HeaderName),
        ("a name with a byte over 127", b"GET / HTTP/1.1\r\nH\xf6st: a\r\n\r\n", Rule::HeaderName),
        ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", Rule::ControlCharacter),
        ("NUL in a name", b"GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n", Rule::ControlCharacter),
        ("NUL in the target", b"GET /\0 HTTP/1.1\r\n\r\n", Rule::ControlCharacter),
        ("a bell in a value", b"GET / HTTP/1.1\r\nHost: \x07\r\n\r\n", Rule::ControlCharacter),
        ("DEL in a value", b"GET / HTTP/1.1\r\nHost: \x7f\r\n\r\n", Rule::ControlCharacter),
        ("DEL in the target", b"GET /\x7f HTTP/1.1\r\n\r\n", Rule::ControlCharacter),
        ("a tab in the request line", b"GET\t/ HTTP/1.1\r\n\r\n", Rule::StartLine),
        ("two spaces", b"GET  / HTTP/1.1\r\n\r\n", Rule::StartLine),
        ("a space after the version", b"GET / HTTP/1.1 \r\n\r\n", Rule::StartLine),
        ("a space before the method", b" GET / HTTP/1.1\r\n\r\n", Rule::StartLine),
        ("a method that is no token", b"G@T / HTTP/1.1\r\n\r\n", Rule::StartLine),
        ("no target", b"GET HTTP/1.1\r\n\r\n", Rule::StartLine),
        ("HTTP/0.9", b"GET /\r\n\r\n", Rule::StartLine),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Rule::StartLine),
        ("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Rule::HttpVersionUnknown),
        ("HTTP/3", b"GET / HTTP/3.0\r\n\r\n", Rule::HttpVersionUnknown),
        ("a fragment", b"GET /a#b HTTP/1.1\r\n\r\n", Rule::RequestTarget),
        ("a target with a byte over 127", b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", Rule::RequestTarget),
        ("a target with a raw <", b"GET /<a> HTTP/1.1\r\n\r\n", Rule::RequestTarget),
        ("a scheme without anything", b"GET http:// HTTP/1.1\r\n\r\n", Rule::RequestTarget),
        ("nothing", b"", Rule::HeadIncomplete),
        ("half a head", b"GET / HTTP/1.1\r\nHost: a\r\n", Rule::HeadIncomplete),
    ];
    for (name, input, expected) in rows {
        assert_eq!(rule(input), Some(*expected), "{name}");
    }
}

#[test]
fn each_form_of_request_target_is_kept_as_it_came() {
    for (method, target) in [
        ("GET", "/"),
        ("GET", "//two/slashes"),
        ("GET", "/a?b?c"),
        ("GET", "http://example.com/a?b"),
        ("GET", "ws://example.com:8080/"),
        ("OPTIONS", "*"),
        ("CONNECT", "example.com:443"),
    ] {
        let input = format!("{method} {target} HTTP/1.1\r\n\r\n");
        let request = read(LIMITS, input.as_bytes(), usize::MAX).expect(target);
        assert_eq!(request.uri().to_string(), target);
        assert_eq!(request.method(), method);
    }
    let request = read(LIMITS, b"GET //two/slashes HTTP/1.1\r\n\r\n", usize::MAX).expect("a request");
    assert_eq!(request.uri().authority(), None, "a path that begins with two slashes is no authority");
}

#[test]
fn a_tls_hello_on_a_plain_port_is_called_by_its_name_at_its_first_byte() {
    let mut reader = HeadReader::new(LIMITS);
    let rejected = reader.receive(b"\x16").expect_err("not HTTP");
    assert!(rejected.to_string().contains("TLS"), "{rejected}");
}

#[test]
fn a_few_empty_lines_before_a_request_are_ignored_and_more_are_not() {
    let request = |lines: usize| [b"\r\n".repeat(lines), b"GET / HTTP/1.1\r\n\r\n".to_vec()].concat();
    for lines in 0..=EMPTY_LINES {
        assert_eq!(rule(&request(lines)), None, "{lines} empty lines");
    }
    assert_eq!(rule(&request(EMPTY_LINES + 1)), Some(Rule::EmptyLines));
    assert_eq!(rule(&b"\r\n".repeat(1000)), Some(Rule::EmptyLines));
}

#[test]
fn a_head_of_exactly_the_limit_passes_and_one_byte_more_gets_431() {
    let head = |bytes: usize| {
        let frame = b"GET / HTTP/1.1\r\nA: \r\n\r\n";
        let filler = b"x".repeat(bytes - frame.len());
        [b"GET / HTTP/1.1\r\nA: ", &filler[..], b"\r\n\r\n"].concat()
    };
    assert_eq!(head(LIMITS.bytes).len(), LIMITS.bytes);
    assert_eq!(rule(&head(LIMITS.bytes)), None);
    assert_eq!(rule(&head(LIMITS.bytes + 1)), Some(Rule::HeadTooLarge));

    let rejected = read(LIMITS, &head(1 << 20), 1000).expect_err("too large");
    assert_eq!(rejected.status(), 431);
    assert!(rejected.to_string().contains("16384"), "{rejected}");
}

#[test]
fn a_request_line_of_the_whole_head_gets_414() {
    let line = [b"GET /", &b"a".repeat(LIMITS.bytes)[..]].concat();
    let rejected = read(LIMITS, &line, 100).expect_err("too long");
    assert_eq!((rejected.rule(), rejected.status().as_u16()), (Rule::StartLineTooLong, 414));
}

#[test]
fn as_many_headers_as_the_limit_pass_and_one_more_gets_431() {
    let head = |count: usize| [b"GET / HTTP/1.1\r\n", &b"A:1\r\n".repeat(count)[..], b"\r\n"].concat();
    assert_eq!(read(LIMITS, &head(100), 3).expect("a request").headers().len(), 100);
    let rejected = read(LIMITS, &head(101), 3).expect_err("too many");
    assert_eq!((rejected.rule(), rejected.status().as_u16()), (Rule::TooManyHeaders, 431));
    assert!(rejected.to_string().contains("limit: 100"), "{rejected}");
}

#[test]
fn a_flood_of_a_hundred_thousand_headers_is_refused_at_the_first_one_too_many() {
    let limits = HeadLimits { bytes: usize::MAX, ..LIMITS };
    let mut reader = HeadReader::new(limits);
    reader.receive(b"GET / HTTP/1.1\r\n").expect("the request line");
    let refused_at = (1..=100_000).find(|n| reader.receive(format!("X-{n}: y\r\n").as_bytes()).is_err());
    assert_eq!(refused_at, Some(101));
    assert!(reader.bytes().len() < 2000, "what comes after the refusal is not kept");
}

#[test]
fn a_flood_of_headers_without_any_limit_is_refused_and_never_a_panic() {
    let limits = HeadLimits { bytes: usize::MAX, headers: usize::MAX };
    for flood in ["distinct", "equal"] {
        let line = |n: usize| if flood == "equal" { "a:\r\n".to_owned() } else { format!("a{n}:\r\n") };
        let input = format!("GET / HTTP/1.1\r\n{}\r\n", (0..100_000).map(line).collect::<String>());
        match read(limits, input.as_bytes(), usize::MAX) {
            Ok(request) => assert_eq!(request.headers().len(), 100_000),
            Err(rejected) => assert_eq!(rejected.rule(), Rule::TooManyHeaders),
        }
    }
}

#[test]
fn the_limits_of_the_connection_are_those_of_the_head() {
    let limits = Limits { head_bytes: 20, head_headers: 3, ..Limits::default() };
    assert_eq!(HeadLimits::from(&limits), HeadLimits { bytes: 20, headers: 3 });
    let mut reader = HeadReader::new(&limits);
    assert!(matches!(reader.receive(b"GET / HTTP/1.1\r\n\r\nmore"), Ok(Some(18))));
    let mut reader = HeadReader::new(&limits);
    assert!(reader.receive(b"GET /long HTTP/1.1\r\nA: b\r\n").is_err());
}

#[test]
fn a_head_of_megabytes_that_comes_byte_by_byte_is_read_in_linear_time() {
    // Work that grows with the square of this, as from parsing again at each byte, would not end within hours.
    let bytes = 2 << 20;
    let limits = HeadLimits { bytes: usize::MAX, headers: usize::MAX };
    let head = [b"GET / HTTP/1.1\r\n", &b"Cookie: abcdefg\r\n".repeat(bytes / 17)[..], b"\r\n"].concat();
    let mut reader = HeadReader::new(limits);
    let (last, before) = head.split_last().expect("not empty");
    for byte in before {
        assert!(matches!(reader.receive(&[*byte]), Ok(None)));
    }
    assert!(matches!(reader.receive(&[*last]), Ok(Some(1))));
}

#[test]
fn the_reader_stops_at_the_byte_after_the_empty_line() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let input = [&head[..], b"\x81\x05hello"].concat();
    for split in 0..input.len() {
        let mut reader = HeadReader::new(LIMITS);
        let first = reader.receive(&input[..split]).expect("well-formed");
        let second = reader.receive(&input[split..]).expect("well-formed");
        if split < head.len() {
            assert_eq!((first, second), (None, Some(head.len() - split)), "split at {split}");
        } else {
            assert_eq!((first, second), (Some(head.len()), Some(0)), "split at {split}");
        }
        assert_eq!(reader.bytes(), head);
        assert_eq!(reader.into_bytes(), head);
    }
}

#[test]
fn a_refused_head_stays_refused() {
    let mut reader = HeadReader::new(LIMITS);
    assert!(reader.receive(b"GET / HTTP/1.1\n").is_err());
    let again = reader.receive(b"GET / HTTP/1.1\r\n\r\n").expect_err("still refused");
    assert_eq!(again.rule(), Rule::BareLf);
    assert_eq!(reader.request().expect_err("still refused").rule(), Rule::BareLf);
}

#[test]
fn a_secret_in_a_refused_line_is_not_repeated() {
    let rejected =
        read(LIMITS, b"GET / HTTP/1.1\r\nAuthorization : Bearer hunter2\r\n\r\n", 5).expect_err("refused");
    let text = rejected.to_string();
    assert!(text.contains("Authorization") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_response_is_read_and_its_status_line_is_strict() {
    let read = |input: &[u8]| {
        let mut reader = HeadReader::new(LIMITS);
        reader.receive(input)?;
        reader.response()
    };
    for (input, status) in [
        (&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..], 101),
        (b"HTTP/1.1 200 \r\n\r\n", 200),
        (b"HTTP/1.1 404\r\n\r\n", 404),
        (b"HTTP/1.0 503 No way\r\nRetry-After: 1\r\n\r\n", 503),
        (b"HTTP/1.1 999 Nine\r\n\r\n", 999),
    ] {
        assert_eq!(read(input).expect("a response").status(), status);
    }
    for (input, rule) in [
        (&b"HTTP/1.1 20 OK\r\n\r\n"[..], Rule::StartLine),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Rule::StartLine),
        (b"HTTP/1.1 099 OK\r\n\r\n", Rule::StartLine),
        (b"HTTP/1.1  200 OK\r\n\r\n", Rule::StartLine),
        (b"HTTP/1.1 abc OK\r\n\r\n", Rule::StartLine),
        (b"HTTP/2.0 200 OK\r\n\r\n", Rule::HttpVersionUnknown),
        (b"ICY 200 OK\r\n\r\n", Rule::HttpVersionUnknown),
        (b"GET / HTTP/1.1\r\n\r\n", Rule::HttpVersionUnknown),
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Rule::SpaceBeforeColon),
        (b"HTTP/1.1 200 OK\nA: b\r\n\r\n", Rule::BareLf),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", Rule::EmptyLines),
        (b"HTTP/1.1 200 OK\r\n", Rule::HeadIncomplete),
    ] {
        let rejected = read(input).expect_err("refused");
        assert_eq!(rejected.rule(), rule, "{}", input.escape_ascii());
    }
}

#[test]
fn interim_responses_are_stepped_over_and_101_is_final() {
    let input = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n\x81\x00";
    for step in 1..=input.len() {
        let mut reader = ResponseReader::new(LIMITS);
        let mut used = 0;
        for piece in input.chunks(step) {
            match reader.receive(piece).expect("well-formed") {
                Some(len) => {
                    used += len;
                    break;
                }
                None => used += piece.len(),
            }
        }
        assert_eq!(used, input.len() - 2, "frames follow");
        assert!(matches!(reader.receive(b"\x81\x00"), Ok(Some(0))));
        let response = reader.response().expect("a response");
        assert_eq!((response.status().as_u16(), response.headers().len()), (101, 1));
    }
}

#[test]
fn endless_interim_responses_are_refused_by_number_and_by_bytes() {
    let mut reader = ResponseReader::new(LIMITS);
    let refused =
        (1..=100).find_map(|n| Some((n, reader.receive(b"HTTP/1.1 100 Continue\r\n\r\n").err()?.rule())));
    assert_eq!(refused, Some((INTERIM_RESPONSES + 1, Rule::InterimResponses)));

    let large = [b"HTTP/1.1 103 Early Hints\r\nA: ", &b"x".repeat(6000)[..], b"\r\n\r\n"].concat();
    let mut reader = ResponseReader::new(LIMITS);
    let refused = (1..=100).find_map(|n| Some((n, reader.receive(&large).err()?.rule())));
    assert_eq!(refused, Some((3, Rule::HeadTooLarge)), "three of them have more than 16 KiB");
}

#[test]
fn a_stream_that_ends_before_the_final_response_is_incomplete() {
    let mut reader = ResponseReader::new(LIMITS);
    assert!(matches!(reader.receive(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101"), Ok(None)));
    assert_eq!(reader.response().expect_err("incomplete").rule(), Rule::HeadIncomplete);
}

#[test]
fn a_response_is_written_with_exactly_one_length_and_in_the_spelling_of_the_rfcs() {
    let response = http::Response::builder()
        .status(426)
        .header("sec-websocket-version", "13")
        .header("content-length", "7")
        .header("transfer-encoding", "chunked")
        .body(())
        .expect("a response");
    assert_eq!(
        String::from_utf8_lossy(&write_response(&response, b"no\n")),
        "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 3\r\n\r\nno\n"
    );
    for status in [101, 100, 204, 304] {
        let response = http::Response::builder().status(status).body(()).expect("a response");
        let written = write_response(&response, b"body");
        assert!(
            !String::from_utf8_lossy(&written).contains("Content-Length") && written.ends_with(b"\r\n\r\n")
        );
    }
}

#[test]
fn a_request_is_written_in_the_form_that_its_target_has() {
    for (uri, line) in [
        ("/chat?a", "GET /chat?a HTTP/1.1\r\n\r\n"),
        ("http://example.com/chat", "GET http://example.com/chat HTTP/1.1\r\n\r\n"),
        ("http://example.com", "GET http://example.com/ HTTP/1.1\r\n\r\n"),
    ] {
        let request = http::Request::get(uri).body(()).expect("a request");
        assert_eq!(String::from_utf8_lossy(&write_request(&request)), line);
    }
}

/// Bytes that look like heads often enough to get somewhere.
fn almost_http() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => Just(&b"GET / HTTP/1.1\r\n"[..]),
        6 => Just(&b"Host: example.com\r\n"[..]),
        6 => Just(&b"\r\n"[..]),
        2 => Just(&b"HTTP/1.1 101 Switching Protocols\r\n"[..]),
        2 => Just(&b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"[..]),
        1 => Just(&b"\n"[..]),
        1 => Just(&b"\r"[..]),
        1 => Just(&b" "[..]),
        1 => Just(&b"\xff\x00"[..]),
        1 => Just(&b":"[..]),
    ];
    prop_oneof![
        prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #[test]
    fn any_split_of_any_bytes_gives_the_same_result(
        input in almost_http(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        limits in (1_usize..400, 0_usize..8),
    ) {
        let limits = HeadLimits { bytes: limits.0, headers: limits.1 };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();

        let mut pieces = HeadReader::new(limits);
        let mut whole = HeadReader::new(limits);
        let expected = whole.receive(&input);
        let mut used = 0;
        let mut got = Ok(None);
        for pair in cuts.windows(2) {
            got = pieces.receive(&input[pair[0]..pair[1]]);
            match got {
                Ok(Some(len)) => { used += len; break }
                Ok(None) => used += pair[1] - pair[0],
                Err(_) => break,
            }
        }
        match (expected, got) {
            (Ok(Some(len)), Ok(Some(_))) => prop_assert_eq!(len, used),
            (Ok(None), Ok(None)) => {}
            (Err(expected), Err(got)) => prop_assert_eq!(expected.to_string(), got.to_string()),
            (expected, got) => prop_assert!(false, "{:?} but in pieces {:?}", expected, got),
        }
        prop_assert_eq!(whole.bytes(), pieces.bytes());
        prop_assert_eq!(format!("{:?}", whole.request()), format!("{:?}", pieces.request()));
    }

    #[test]
    fn garbage_never_panics(input in prop::collection::vec(any::<u8>(), 0..600), step in 1_usize..50) {
        let mut head = HeadReader::new(LIMITS);
        let mut response = ResponseReader::new(LIMITS);
        for piece in input.chunks(step) {
            let _ = head.receive(piece);
            let _ = response.receive(piece);
        }
        let _ = head.clone().request();
        let _ = head.response();
        let _ = response.response();
    }

    #[test]
    fn a_written_request_is_read_back_as_it_was(
        path in "/[a-z0-9/]{0,20}",
        headers in prop::collection::vec(("[a-z][a-z0-9-]{0,12}", "[!-~]([ -~]{0,20}[!-~])?"), 0..20),
    ) {
        let mut request = http::Request::get(path).body(()).expect("a request");
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("a name");
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        let read = read(LIMITS, &write_request(&request), 11).expect("well-formed");
        prop_assert_eq!(format!("{:?}", read), format!("{:?}", request));
    }
}

#[test]
fn a_reader_in_a_log_shows_nothing_of_the_head() {
    let mut reader = HeadReader::new(HeadLimits::default());
    reader.receive(b"GET /?ticket=secret HTTP/1.1\r\nCookie: secret\r\n").expect("a good beginning");
    let shown = format!("{reader:?}");
    assert!(
        shown.contains("bytes: 46") && !shown.contains("115, 101, 99") && !shown.contains("secret"),
        "{shown}"
    );
}
