//! The first two bytes of a frame, all of them, with permessage-deflate agreed on: to both roles, in every place that a frame
//! can have.

use super::*;

/// Where the frame comes: its name, what came before it (FIN and opcode and RSV bits of a frame without payload, if
/// anything did), and whether a message is open.
const PLACES: [(&str, Option<u8>, bool); 4] = [
    ("first", None, false),
    ("after a message", Some(0x82), false),
    ("in a plain message", Some(0x02), true),
    ("in a compressed message", Some(0x42), true),
];

/// By the words of RFC 6455 section 5 and RFC 7692 section 6.
fn may_begin(first: u8, second: u8, to_server: bool, in_message: bool) -> bool {
    let (fin, rsv1, others, opcode) = (first & 0x80 != 0, first & 0x40 != 0, first & 0x30, first & 0x0f);
    let (masked, len) = (second & 0x80 != 0, second & 0x7f);
    let right_place = match opcode {
        0 => in_message && !rsv1,
        1 | 2 => !in_message,
        8..=10 => fin && !rsv1 && len <= 125,
        _ => false,
    };
    right_place && others == 0 && masked == to_server
}

#[test]
fn every_first_two_bytes_get_the_verdict_of_both_rfcs_in_every_place_and_role() {
    for (name, before, in_message) in PLACES {
        for to_server in [true, false] {
            for word in 0..=u16::MAX {
                let [first, second] = word.to_be_bytes();
                let (mut client, mut server) = Bench::both(&Limits::default(), agreed(true));
                let bench = if to_server { &mut server } else { &mut client };
                if let Some(before) = before {
                    let frame = if to_server { masked(before, b"") } else { plain(before, b"") };
                    assert!(bench.receive(&frame).iter().all(|event| !matches!(event, Event::Closed(_))));
                }
                let events = bench.receive(&[first, second]);
                let ended = events.iter().find_map(|event| match event {
                    Event::Closed(Closed { cause: Cause::Violation(violation), .. }) => Some(*violation),
                    _ => None,
                });
                // A frame of a server without payload is whole with these two, and then its content is judged too: a
                // compressed message needs a byte.
                let of_nothing = matches!(ended, Some(Violation::InvalidDeflate(_)));
                let may = may_begin(first, second, to_server, in_message);
                assert_eq!(
                    ended.is_none() || of_nothing,
                    may,
                    "{name}: {first:#04x} {second:#04x}, to a server: {to_server}: {ended:?}"
                );
                assert!(!of_nothing || !to_server && second == 0, "{name}: {first:#04x} {second:#04x}");
            }
        }
    }
}
