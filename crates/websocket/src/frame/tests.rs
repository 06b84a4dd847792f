use super::*;

const STRICT: Leniency = Leniency {
    long_lengths: false,
    masked_servers: false,
    reserved_close_codes: false,
    http2_without_version: false,
};
const SERVER: Expect = Expect { masked: true, rsv: 0, in_message: false, leniency: STRICT };
const CLIENT: Expect = Expect { masked: false, rsv: 0, in_message: false, leniency: STRICT };

/// The verdict by the RFC's words alone, written without a look at `judge`: the rules in the order of their
/// severity do not matter here, only whether the header may stand.
fn rfc_allows(first: u8, second: u8, expect: Expect) -> bool {
    let (fin, rsv, opcode) = (first & 0x80 != 0, (first & 0x70) >> 4, first & 0x0f);
    let (masked, len) = (second & 0x80 != 0, second & 0x7f);
    let known = [0, 1, 2, 8, 9, 10].contains(&opcode);
    let control = opcode >= 8;
    let rsv_allowed = if opcode == 1 || opcode == 2 { rsv & !expect.rsv == 0 } else { rsv == 0 };
    let control_allowed = !control || (fin && len <= 125);
    let order_allowed = control || (opcode == 0) == expect.in_message;
    known && rsv_allowed && masked == expect.masked && control_allowed && order_allowed
}

#[test]
fn every_pair_of_first_bytes_gets_the_verdict_of_the_rfc_in_every_role_and_state() {
    let mut allowed = 0;
    for masked in [true, false] {
        for rsv in [0b000, 0b100] {
            for in_message in [false, true] {
                let expect = Expect { masked, rsv, in_message, leniency: STRICT };
                for word in 0..=u16::MAX {
                    let [first, second] = word.to_be_bytes();
                    let verdict = judge(first, second, expect).is_ok();
                    assert_eq!(
                        verdict,
                        rfc_allows(first, second, expect),
                        "{first:#x} {second:#x} {expect:?}"
                    );
                    allowed += u32::from(verdict);
                }
            }
        }
    }
    // Per role: text and binary (2 x FIN x 128 lengths) or continuation (FIN x 128) plus 3 control codes x 126
    // lengths; with RSV1 claimed, text and binary count twice.
    let (start, more, control) = (2 * 2 * 128, 2 * 128, 3 * 126);
    assert_eq!(
        allowed,
        2 * ((start + control) + (more + control) + (2 * start + control) + (more + control))
    );
}

#[test]
fn each_rule_of_the_first_two_bytes_has_its_own_violation() {
    let in_message = Expect { in_message: true, ..SERVER };
    let table = [
        ("rsv1", 0xc1, 0x80, SERVER, Violation::ReservedBits { bits: 0b100 }),
        (
            "rsv1 on a ping though claimed",
            0xc9,
            0x80,
            Expect { rsv: 4, ..SERVER },
            Violation::ReservedBits { bits: 0b100 },
        ),
        (
            "rsv1 on a continuation though claimed",
            0xc0,
            0x80,
            Expect { rsv: 4, ..in_message },
            Violation::ReservedBits { bits: 0b100 },
        ),
        ("opcode 3", 0x83, 0xff, SERVER, Violation::ReservedOpcode { opcode: 3 }),
        ("opcode 15", 0x8f, 0xff, SERVER, Violation::ReservedOpcode { opcode: 15 }),
        ("unmasked", 0x81, 0x00, SERVER, Violation::Unmasked),
        ("masked", 0x81, 0x80, CLIENT, Violation::Masked),
        ("fragmented ping", 0x09, 0x80, SERVER, Violation::FragmentedControl { opcode: 9 }),
        ("fragmented pong", 0x0a, 0x80, SERVER, Violation::FragmentedControl { opcode: 10 }),
        ("fragmented close", 0x08, 0x80, SERVER, Violation::FragmentedControl { opcode: 8 }),
        ("long ping", 0x89, 0xfe, SERVER, Violation::LongControl { opcode: 9 }),
        ("long pong", 0x8a, 0xff, SERVER, Violation::LongControl { opcode: 10 }),
        ("long close", 0x88, 0xfe, SERVER, Violation::LongControl { opcode: 8 }),
        ("continuation of nothing", 0x80, 0x80, SERVER, Violation::UnexpectedContinuation),
        ("text inside a message", 0x81, 0x80, in_message, Violation::InterleavedMessage),
    ];
    for (name, first, second, expect, violation) in table {
        assert_eq!(judge(first, second, expect), Err(violation), "{name}");
    }
}

#[test]
fn a_doomed_header_fails_at_its_second_byte() {
    let mut reader = HeaderReader::default();
    assert_eq!(reader.receive(&[0x8b], SERVER), Ok((1, None)));
    assert_eq!(reader.receive(&[0xff], SERVER), Err(Violation::ReservedOpcode { opcode: 11 }));
}

#[test]
fn lengths_must_take_their_shortest_form_and_leave_the_top_bit_clear() {
    let table: [(&str, &[u8], Result<u64, Violation>); 9] = [
        ("125", &[0x82, 0x7d], Ok(125)),
        ("126 in two bytes", &[0x82, 0x7e, 0, 126], Ok(126)),
        ("125 in two bytes", &[0x82, 0x7e, 0, 125], Err(Violation::LengthNotMinimal { len: 125 })),
        ("65535 in two bytes", &[0x82, 0x7e, 0xff, 0xff], Ok(65535)),
        (
            "65535 in eight",
            &[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            Err(Violation::LengthNotMinimal { len: 65535 }),
        ),
        ("65536", &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], Ok(65536)),
        ("zero in eight", &[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0], Err(Violation::LengthNotMinimal { len: 0 })),
        ("2^63 - 1", &[0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Ok(u64::MAX >> 1)),
        ("2^63", &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], Err(Violation::LengthTopBit { len: 1 << 63 })),
    ];
    for (name, bytes, expected) in table {
        let got = HeaderReader::default().receive(bytes, CLIENT);
        assert_eq!(got.map(|(_, header)| header.expect("complete").len), expected, "{name}");
    }
}

#[test]
fn every_header_reads_back_what_was_written_at_every_split() {
    let lens = [0, 1, 125, 126, 127, 65535, 65536, 1 << 40, u64::MAX >> 1];
    for (opcode, fin) in [(OpCode::Text, true), (OpCode::Binary, false), (OpCode::Pong, true)] {
        for mask in [None, Some([1, 2, 3, 4])] {
            for len in lens.into_iter().filter(|len| !opcode.is_control() || *len <= 125) {
                let header = Header { fin, rsv: 0, opcode, mask, len };
                let mut bytes = [0; MAX_HEADER];
                let size = encode(&header, &mut bytes);
                let expect = Expect { masked: mask.is_some(), ..CLIENT };
                for cut in 0..size {
                    let mut reader = HeaderReader::default();
                    assert_eq!(reader.receive(&bytes[..cut], expect), Ok((cut, None)));
                    assert_eq!(reader.receive(&bytes[cut..size], expect), Ok((size - cut, Some(header))));
                    assert!(reader.is_empty());
                }
            }
        }
    }
}

#[test]
fn a_servers_header_in_one_store_is_the_same_as_byte_by_byte() {
    for len in [0, 1, 125, 126, 127, 65535, 65536, 1 << 40, u64::MAX >> 1] {
        for (opcode, fin, rsv) in
            [(OpCode::Text, true, 0), (OpCode::Binary, false, RSV1), (OpCode::Continuation, true, 0)]
        {
            let mut bytes = [0; MAX_HEADER];
            let size = encode(&Header { fin, rsv, opcode, mask: None, len }, &mut bytes);
            let (wide, counts) = server_header(fin, rsv, opcode, len);
            assert_eq!(&wide[..counts], &bytes[..size], "{opcode:?} {len}");
        }
    }
}
