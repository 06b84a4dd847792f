//! What a remote is forgiven, by name: each with it off and on.

use super::*;

fn bench(role: Role, leniency: Leniency) -> Bench {
    Bench::new(role, Setup { leniency, ..Setup::default() })
}

/// A frame whose length takes the 64-bit form, whatever it is.
fn longest(len: u64, payload: &[u8]) -> Vec<u8> {
    [&[0x82, 0x7f][..], &len.to_be_bytes(), payload].concat()
}

#[test]
fn a_length_in_more_bytes_than_it_needs_is_refused_unless_forgiven() {
    let (medium, long) = ([0x82, 0x7e, 0, 2, 7, 7], longest(2, &[7, 7]));
    for bytes in [&medium[..], &long] {
        let mut strict = bench(Role::Client(fixed_mask), Leniency::default());
        assert_eq!(violation(&strict.receive(bytes)), Violation::LengthNotMinimal { len: 2 });
        let mut lenient =
            bench(Role::Client(fixed_mask), Leniency { long_lengths: true, ..Leniency::default() });
        assert_eq!(lenient.receive(bytes), [binary(&[7, 7])]);
    }
}

#[test]
fn the_top_bit_of_a_length_is_never_forgiven_nor_a_long_control_frame() {
    let leniency = Leniency {
        long_lengths: true,
        masked_servers: true,
        reserved_close_codes: true,
        ..Leniency::default()
    };
    let top = 1 << 63;
    let mut bench_ = bench(Role::Client(fixed_mask), leniency);
    assert_eq!(violation(&bench_.receive(&longest(top, b""))), Violation::LengthTopBit { len: top });
    let mut bench_ = bench(Role::Client(fixed_mask), leniency);
    assert_eq!(violation(&bench_.receive(&[0x89, 0x7e, 0, 1, 7])), Violation::LongControl { opcode: 9 });
}

#[test]
fn a_masked_frame_of_a_server_is_refused_unless_forgiven_and_an_unmasked_one_of_a_client_always() {
    let mut strict = bench(Role::Client(fixed_mask), Leniency::default());
    assert_eq!(violation(&strict.receive(&masked(0x81, b"hi"))), Violation::Masked);
    let leniency = Leniency { masked_servers: true, ..Leniency::default() };
    let mut lenient = bench(Role::Client(fixed_mask), leniency);
    let both = [masked(0x81, b"hi"), plain(0x81, b"ho")].concat();
    assert_eq!(lenient.receive(&both), [text("hi"), text("ho")]);
    let mut server = bench(Role::Server, leniency);
    assert_eq!(violation(&server.receive(&plain(0x81, b"hi"))), Violation::Unmasked);
}

#[test]
fn a_close_code_that_must_not_cross_the_wire_is_refused_unless_forgiven_and_never_sent_back() {
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        let frame = masked(0x88, &[&code.to_be_bytes()[..], b"bye"].concat());
        let mut strict = bench(Role::Server, Leniency::default());
        assert_eq!(violation(&strict.receive(&frame)), Violation::CloseCode { got: code });
        let mut lenient = bench(Role::Server, Leniency { reserved_close_codes: true, ..Leniency::default() });
        let end = the_end(&lenient.receive(&frame));
        assert_eq!(
            (end.code, end.reason.as_str(), end.cause),
            (1005, "bye", Cause::ClosedByRemote),
            "{code}"
        );
        assert_eq!(lenient.written(), plain(0x88, b""), "{code}");
    }
}
