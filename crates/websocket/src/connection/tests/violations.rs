//! What the remote must not do, and the Close frame it gets (section 7.1.7).

use super::*;

type Row = (&'static str, Vec<u8>, Violation, u16);

/// (name, what arrives at a server, the violation, the code of our Close frame)
fn table() -> Vec<Row> {
    let mut rows = frame_rows();
    rows.extend(length_rows());
    rows.extend(content_rows());
    rows
}

fn frame_rows() -> Vec<Row> {
    let fragmented = |opcode| Violation::FragmentedControl { opcode };
    let huge = [&[0x84, 0xff][..], &(1u64 << 62).to_be_bytes()].concat();
    vec![
        ("unmasked", plain(0x81, b"a"), Violation::Unmasked, 1002),
        ("rsv1", masked(0xc1, b""), Violation::ReservedBits { bits: 4 }, 1002),
        ("rsv2", masked(0xa1, b""), Violation::ReservedBits { bits: 2 }, 1002),
        ("rsv3 on a ping", masked(0x99, b""), Violation::ReservedBits { bits: 1 }, 1002),
        ("opcode 3", masked(0x83, b""), Violation::ReservedOpcode { opcode: 3 }, 1002),
        ("opcode 11", masked(0x8b, b""), Violation::ReservedOpcode { opcode: 11 }, 1002),
        ("opcode 4, 2^62 bytes", huge, Violation::ReservedOpcode { opcode: 4 }, 1002),
        ("fragmented close", masked(0x08, b""), fragmented(8), 1002),
        ("fragmented ping", masked(0x09, b""), fragmented(9), 1002),
        ("fragmented pong", masked(0x0a, b""), fragmented(10), 1002),
        ("continuation first", masked(0x80, b"a"), Violation::UnexpectedContinuation, 1002),
        (
            "text in text",
            [masked(0x01, b"a"), masked(0x81, b"b")].concat(),
            Violation::InterleavedMessage,
            1002,
        ),
        (
            "binary in text",
            [masked(0x01, b"a"), masked(0x02, b"b")].concat(),
            Violation::InterleavedMessage,
            1002,
        ),
    ]
}

fn length_rows() -> Vec<Row> {
    let long = |opcode| Violation::LongControl { opcode };
    // A length is judged when the header is whole, so these end with a masking key.
    let minimal = [&[0x82, 0xfe, 0, 125][..], &MASK].concat();
    let top_bit = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &MASK].concat();
    vec![
        ("long close", masked(0x88, &[0; 126]), long(8), 1002),
        ("long ping", masked(0x89, &[0; 126]), long(9), 1002),
        ("long pong", masked(0x8a, &[0; 126]), long(10), 1002),
        ("length not minimal", minimal, Violation::LengthNotMinimal { len: 125 }, 1002),
        ("length with its top bit", top_bit, Violation::LengthTopBit { len: u64::MAX }, 1002),
    ]
}

fn content_rows() -> Vec<Row> {
    vec![
        ("text not UTF-8", masked(0x81, b"\xff"), Violation::InvalidUtf8, 1007),
        ("close body of one byte", masked(0x88, b"\x03"), Violation::CloseBodyOfOneByte, 1002),
        ("close code 999", masked(0x88, &999u16.to_be_bytes()), Violation::CloseCode { got: 999 }, 1002),
        ("close code 1015", masked(0x88, &1015u16.to_be_bytes()), Violation::CloseCode { got: 1015 }, 1002),
        ("close reason not UTF-8", masked(0x88, b"\x03\xe8\xff"), Violation::CloseReasonUtf8, 1007),
    ]
}

#[test]
fn server_closes_with_the_code_of_each_violation_and_ends_the_stream() {
    for (name, bytes, expected, code) in table() {
        for one_by_one in [false, true] {
            let mut server = Bench::server();
            let events = if one_by_one { server.receive_one_by_one(&bytes) } else { server.receive(&bytes) };
            assert_eq!(violation(&events), expected, "{name}");
            assert_eq!(the_end(&events).code, 1006, "{name}: no Close frame was received");
            assert_eq!(expected.close_code().get(), code, "{name}");
            assert_eq!(server.written(), plain(0x88, &why(expected)), "{name}");
            assert_eq!(server.connection.after_write(), AfterWrite::ShutdownThenAwaitEnd, "{name}");
        }
    }
}

#[test]
fn client_closes_with_1002_when_a_server_frame_is_masked() {
    let mut client = Bench::client();
    assert_eq!(violation(&client.receive(&masked(0x81, b"a"))), Violation::Masked);
    assert_eq!(client.written(), masked(0x88, &why(Violation::Masked)));
}

#[test]
fn server_closes_with_1002_when_a_client_frame_is_unmasked() {
    let mut server = Bench::server();
    assert_eq!(violation(&server.receive(&plain(0x81, b"a"))), Violation::Unmasked);
    assert_eq!(server.written(), plain(0x88, &why(Violation::Unmasked)));
}

#[test]
fn nothing_is_delivered_after_a_violation() {
    let mut server = Bench::server();
    let bytes = [masked(0x81, b"before"), masked(0x83, b""), masked(0x81, b"after")].concat();
    let events = server.receive(&bytes);
    assert_eq!(events[0], text("before"));
    assert_eq!(violation(&events[1..]), Violation::ReservedOpcode { opcode: 3 });
    assert_eq!(server.receive(&masked(0x81, b"later")), []);
    assert_eq!(server.end(), None);
}

#[test]
fn a_message_at_the_limit_passes_and_one_more_byte_fails_at_its_header() {
    let limits = Limits { message: 1000, ..Limits::default() };
    let mut server = Bench::new(Role::Server, limits.clone());
    assert_eq!(server.receive(&masked(0x82, &[1; 1000])), [binary(&[1; 1000])]);
    let mut server = Bench::new(Role::Server, limits.clone());
    // The header alone: two bytes, two of length, four of mask.
    let events = server.receive(&masked(0x82, &[1; 1001])[..8]);
    let expected = Violation::MessageTooBig { limit: 1000, got: 1001 };
    assert_eq!(violation(&events), expected);
    assert_eq!(server.written(), plain(0x88, &why(expected)));
    let mut server = Bench::new(Role::Server, limits);
    let fragments = [masked(0x02, &[1; 600]), masked(0x80, &[1; 401])].concat();
    let events = server.receive(&fragments[..600 + 8 + 8]);
    assert_eq!(violation(&events), Violation::MessageTooBig { limit: 1000, got: 1001 });
}

#[test]
fn fragments_whose_lengths_add_up_past_the_largest_length_are_refused_at_the_header() {
    let largest = u64::MAX >> 1;
    let huge = [&[0x02, 0xff][..], &largest.to_be_bytes(), &MASK].concat();
    assert_eq!(Bench::new(Role::Server, Limits::unlimited()).receive(&huge), []);
    let limit = largest as usize;
    let mut server = Bench::new(Role::Server, Limits { message: limit, ..Limits::default() });
    assert_eq!(server.receive(&masked(0x02, b"a")), []);
    let more = [&[0x00, 0xff][..], &largest.to_be_bytes(), &MASK].concat();
    let expected = Violation::MessageTooBig { limit: largest, got: largest + 1 };
    assert_eq!(violation(&server.receive(&more)), expected);
}

#[test]
fn empty_fragments_count_and_too_many_are_refused_with_1009() {
    let limits = Limits { fragments: 10, ..Limits::default() };
    let mut server = Bench::new(Role::Server, limits.clone());
    let ten = [masked(0x02, b""), masked(0x00, b"").repeat(9), masked(0x80, b"")].concat();
    assert_eq!(server.receive(&ten), [binary(b"")]);
    let mut server = Bench::new(Role::Server, limits);
    let eleven = [masked(0x02, b""), masked(0x00, b"").repeat(10)].concat();
    let expected = Violation::TooManyFragments { limit: 10 };
    assert_eq!(violation(&server.receive(&eleven)), expected);
    assert_eq!(server.written(), plain(0x88, &why(expected)));
}
