//! What can be tried in full: every first two bytes, every short length, every code, every code point, every turn of a mask.

use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use trunkline_websocket::frame::{Header, MAX_HEADER, OpCode, encode};
use trunkline_websocket::utf8::Validator;
use trunkline_websocket::{
    AfterWrite, Cause, CloseCode, Closed, Connection, Event, Limits, Role, Violation, mask,
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn connection(server: bool) -> Connection {
    let role = if server { Role::Server } else { Role::Client(|| KEY) };
    Connection::new(role, Arc::new(Limits::default()), Instant::now())
}

/// The end, if the bytes brought it; and how many other events there were.
fn receive(connection: &mut Connection, bytes: &[u8]) -> (Option<Closed>, usize) {
    let (mut end, mut others) = (None, 0);
    for event in connection.receive(Instant::now(), &mut bytes.to_vec()) {
        match event {
            Event::Closed(closed) => {
                assert!(end.replace(closed).is_none(), "told once");
            }
            _ => others += 1,
        }
    }
    (end, others)
}

fn written(connection: &mut Connection) -> Vec<u8> {
    let mut written = Vec::new();
    while let Some(output) = connection.poll_transmit() {
        let count = output.chunk().len();
        written.extend_from_slice(output.chunk());
        output.advance(count);
    }
    written
}

/// Whether RFC 6455 lets a frame without extensions begin like this; its sections 5.1 to 5.5 in other words than the code's.
fn may_begin(first: u8, second: u8, to_server: bool, in_message: bool) -> bool {
    let is_control = first & 0x08 != 0;
    let opcodes: &[u8] = if in_message { &[0x0, 0x8, 0x9, 0xa] } else { &[0x1, 0x2, 0x8, 0x9, 0xa] };
    opcodes.contains(&(first & 0x0f))
        && first & 0x70 == 0
        && (second >= 0x80) == to_server
        && (!is_control || first >= 0x80 && second & 0x7f <= 125)
}

#[test]
fn every_first_two_bytes_end_a_connection_or_do_not_as_the_rfc_says_in_both_roles_and_inside_a_message() {
    for to_server in [true, false] {
        for in_message in [false, true] {
            for word in 0..=u16::MAX {
                let [first, second] = word.to_be_bytes();
                let mut connection = connection(to_server);
                if in_message {
                    let begun: &[u8] = if to_server { &[0x02, 0x80, 0, 0, 0, 0] } else { &[0x02, 0x00] };
                    assert_eq!(receive(&mut connection, begun), (None, 0));
                }
                // The first byte alone decides nothing, so that a driver may wait for the second.
                assert_eq!(receive(&mut connection, &[first]), (None, 0));
                let (end, others) = receive(&mut connection, &[second]);
                let name = format!(
                    "{first:#04x} {second:#04x}, to a server: {to_server}, in a message: {in_message}"
                );
                // An empty unmasked frame is whole with these two bytes.
                let whole = !to_server && second == 0;
                if may_begin(first, second, to_server, in_message) {
                    let closes = whole && first == 0x88;
                    assert_eq!(end.is_some(), closes, "{name}");
                    assert_eq!(others, usize::from(whole && !closes && first & 0x80 != 0), "{name}");
                } else {
                    assert!(
                        matches!(end, Some(Closed { cause: Cause::Violation(_), .. })),
                        "{name}: {end:?}"
                    );
                    let close = written(&mut connection);
                    assert_eq!(close[0], 0x88, "{name}");
                    let key = if to_server { [0; 2] } else { [KEY[0], KEY[1]] };
                    let at = if to_server { 2 } else { 6 };
                    assert_eq!([close[at] ^ key[0], close[at + 1] ^ key[1]], 1002u16.to_be_bytes(), "{name}");
                    assert_eq!(connection.after_write(), AfterWrite::ShutdownThenAwaitEnd, "{name}");
                }
            }
        }
    }
}

#[test]
fn whatever_follows_any_first_two_bytes_gives_one_end_at_most_and_never_a_panic() {
    let tails: [&[u8]; 4] = [&[0; 16], &[0xff; 16], &[0x7f; 140], b"\x00\x7eabcdefgh\xc3\x28"];
    for server in [true, false] {
        for word in 0..=u16::MAX {
            for tail in tails {
                let mut connection = connection(server);
                receive(&mut connection, &[&word.to_be_bytes(), tail].concat());
            }
        }
    }
}

/// The length that a server's frame header announces, as a client reads it: what a connection that takes no byte of any
/// message says of it.
fn announced(header: &[u8]) -> Result<u64, Violation> {
    let limits = Limits { message: 0, ..Limits::default() };
    let mut client = Connection::new(Role::Client(|| KEY), Arc::new(limits), Instant::now());
    match receive(&mut client, header).0.map(|end| end.cause) {
        None => Ok(0),
        Some(Cause::Violation(Violation::MessageTooBig { got, .. })) => Ok(got),
        Some(Cause::Violation(violation)) => Err(violation),
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_length_of_sixteen_bits_is_written_in_its_shortest_form_and_read_in_no_other() {
    for len in 0..=u16::MAX {
        let header = Header { fin: true, rsv: 0, opcode: OpCode::Binary, mask: None, len: len.into() };
        let mut bytes = [0; MAX_HEADER];
        let size = encode(&header, &mut bytes);
        assert_eq!(size, if len < 126 { 2 } else { 4 });
        assert_eq!(announced(&bytes[..size]), Ok(len.into()));
        let not_minimal = Err(Violation::LengthNotMinimal { len: len.into() });
        if len < 126 {
            let [high, low] = len.to_be_bytes();
            assert_eq!(announced(&[0x82, 126, high, low]), not_minimal);
        }
        let long = [&[0x82, 127], &u64::from(len).to_be_bytes()[..]].concat();
        assert_eq!(announced(&long), not_minimal);
    }
}

#[test]
fn a_length_of_any_magnitude_is_announced_as_it_is_or_has_its_top_bit_set() {
    for power in 16..64 {
        for len in [(1_u64 << power) - 1, 1 << power, (1 << power) + 1, u64::MAX >> (63 - power)] {
            let bytes = [&[0x82, 127], &len.to_be_bytes()[..]].concat();
            let expected = match len {
                0..=0xffff => Err(Violation::LengthNotMinimal { len }),
                _ if len >> 63 == 1 => Err(Violation::LengthTopBit { len }),
                _ => Ok(len),
            };
            assert_eq!(announced(&bytes), expected);
        }
    }
}

#[test]
fn every_turn_of_a_mask_at_every_length_and_alignment_is_the_rfcs_definition() {
    let key = [0xa5, 0x01, 0xff, 0x7c];
    let backing: Vec<u8> = (0..=255).collect();
    for alignment in 0..16 {
        for len in 0..=80 {
            for offset in (0..8).chain([usize::MAX - 3, usize::MAX]) {
                let mut data = backing.clone();
                mask::apply(&mut data[alignment..alignment + len], key, offset);
                for (at, byte) in data.iter().enumerate() {
                    let inside = (alignment..alignment + len).contains(&at);
                    let turn = (at.wrapping_sub(alignment) % 4 + offset % 4) % 4;
                    let expected = if inside { backing[at] ^ key[turn] } else { backing[at] };
                    assert_eq!(
                        *byte, expected,
                        "alignment {alignment}, length {len}, offset {offset}, at {at}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_close_code_is_taken_or_refused_and_ours_are_those_that_are_taken() {
    let defined = |code: u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    for code in 0..=u16::MAX {
        assert_eq!(CloseCode::new(code).is_some(), defined(code), "{code}");
        let mut server = connection(true);
        let [high, low] = code.to_be_bytes();
        let (end, _) = receive(&mut server, &[0x88, 0x82, 0, 0, 0, 0, high, low]);
        let end = end.expect("a Close frame ends it one way or the other");
        if defined(code) {
            assert_eq!((end.code, end.is_clean()), (code, true), "{code}");
            assert_eq!(written(&mut server), [0x88, 2, high, low], "answered by itself");
        } else {
            assert_eq!(end.cause, Cause::Violation(Violation::CloseCode { got: code }), "{code}");
            assert_eq!(written(&mut server)[2..4], 1002u16.to_be_bytes(), "{code}");
        }
    }
}

#[test]
fn every_length_of_a_control_frame_is_taken_up_to_125_and_refused_from_126() {
    for opcode in [0x88_u8, 0x89, 0x8a] {
        for len in 0..=127_u8 {
            let body = [&1000u16.to_be_bytes()[..], &[b'r'; 125]].concat();
            let body = if opcode == 0x88 { &body[..] } else { &[7; 127] };
            let bytes = [&[opcode, 0x80 | len, 0, 0, 0, 0], &body[..usize::from(len)]].concat();
            let mut server = connection(true);
            let (end, _) = receive(&mut server, &bytes);
            let broken = match (len, opcode) {
                (126.., _) => Some(Violation::LongControl { opcode: opcode & 0x0f }),
                (1, 0x88) => Some(Violation::CloseBodyOfOneByte),
                _ => None,
            };
            let got = end.and_then(|end| match end.cause {
                Cause::Violation(violation) => Some(violation),
                _ => None,
            });
            assert_eq!(got, broken, "{opcode:#x} of {len}");
        }
    }
}

#[test]
fn every_code_point_is_text_wherever_it_is_cut_and_no_surrogate_is() {
    let judge = |bytes: &[u8], cut: usize| {
        let mut validator = Validator::default();
        let pushed = validator.push(&bytes[..cut]).and_then(|()| validator.push(&bytes[cut..]));
        pushed.is_ok() && validator.is_complete()
    };
    let mut room = [0; 4];
    for point in '\0'..=char::MAX {
        let bytes = point.encode_utf8(&mut room).as_bytes();
        for cut in 0..bytes.len() {
            assert!(judge(bytes, cut), "U+{:04X} cut at {cut}", u32::from(point));
        }
        for cut in 1..bytes.len() {
            let mut validator = Validator::default();
            assert!(validator.push(&bytes[..cut]).is_ok() && !validator.is_complete(), "half of {point:?}");
        }
    }
    for surrogate in 0xd800_u16..=0xdfff {
        let [_, low] = (surrogate & 0x3f | 0x80).to_be_bytes();
        let [_, middle] = (surrogate >> 6 & 0x3f | 0x80).to_be_bytes();
        for cut in 0..3 {
            assert!(!judge(&[0xed, middle, low], cut), "{surrogate:#x} cut at {cut}");
        }
    }
}
