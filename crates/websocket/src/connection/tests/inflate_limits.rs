//! Compressed messages at their limits and one past them, wherever they are cut; bombs cost no more than the limit.

use super::*;

const RSV1: u8 = 0x40;

fn server(limits: &Limits) -> Bench {
    let (_, server) = Bench::both(limits, agreed(false));
    server
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(next).collect()
}

#[test]
fn a_message_that_inflates_to_the_limit_passes_and_one_more_byte_is_refused_with_1009() {
    for limit in [1, 2, 1000, 1024, 65_536, 100_000] {
        let rows = [
            Limits { message: limit, ..Limits::default() },
            Limits { inflated: Some(limit), ..Limits::default() },
            Limits { inflated: Some(limit), message: 1, ..Limits::default() },
        ];
        for limits in rows {
            for make in [|len| vec![b'a'; len], noise as fn(usize) -> Vec<u8>] {
                let whole = masked(0x82 | RSV1, &squeezed(&make(limit)));
                assert_eq!(server(&limits).receive(&whole), [binary(&make(limit))], "{limit}");
                let more = masked(0x82 | RSV1, &squeezed(&make(limit + 1)));
                let expected = Violation::MessageTooBig { limit: limit as u64, got: limit as u64 + 1 };
                let mut strict = server(&limits);
                assert_eq!(violation(&strict.receive(&more)), expected, "{limit}");
                assert_eq!(strict.written(), plain(0x88, &why(expected)));
                assert_eq!(violation(&server(&limits).receive_one_by_one(&more)), expected, "{limit}");
            }
        }
    }
}

#[test]
fn a_limit_of_nothing_lets_empty_compressed_messages_pass_and_no_byte() {
    let limits = Limits { message: 0, ..Limits::default() };
    assert_eq!(server(&limits).receive(&masked(0x82 | RSV1, &[0])), [binary(b"")]);
    let events = server(&limits).receive(&masked(0x82 | RSV1, &squeezed(b"a")));
    assert_eq!(violation(&events), Violation::MessageTooBig { limit: 0, got: 1 });
}

#[test]
fn a_compressed_message_may_be_an_eighth_larger_on_the_wire_and_no_more() {
    let limits = Limits { message: 800, ..Limits::default() };
    let header = |len: u16| [&[0x82 | RSV1, 0xfe][..], &len.to_be_bytes(), &MASK].concat();
    assert_eq!(server(&limits).receive(&header(800 + 100 + 64)), []);
    let expected = Violation::MessageTooBig { limit: 800, got: 965 };
    assert_eq!(violation(&server(&limits).receive(&header(800 + 100 + 65))), expected);
}

#[test]
fn a_bomb_is_refused_at_the_limit_and_memory_never_goes_past_it() {
    let limits = Limits { message: 100_000, ..Limits::default() };
    let bomb = masked(0x82 | RSV1, &squeezed(&vec![0; 10 << 20]));
    assert!(bomb.len() < 11_000, "{} bytes", bomb.len());
    let mut server = server(&limits);
    let mut events = Vec::new();
    for byte in bomb {
        events.extend(server.receive(&[byte]));
        assert!(server.connection.assembler_capacity() <= 100_000);
    }
    assert_eq!(violation(&events), Violation::MessageTooBig { limit: 100_000, got: 100_001 });
    assert_eq!(server.connection.assembler_capacity() + server.connection.codec_memory(), 0);
}

#[test]
fn a_bomb_in_pieces_is_given_out_in_bounded_pieces_up_to_the_limit() {
    let limits = Limits { message: 1, streamed: 3 << 20, ..Limits::default() };
    for (len, fits) in [(3 << 20, true), ((3 << 20) + 1, false)] {
        let mut server = server(&limits);
        server.connection.receive_pieces(true);
        let events = server.receive(&masked(0x82 | RSV1, &squeezed(&vec![0; len])));
        let pieces = || {
            events.iter().filter_map(|event| match event {
                Event::Piece(piece) => Some(piece.data.len()),
                _ => None,
            })
        };
        assert!(pieces().all(|len| len <= 16 << 10));
        assert_eq!(events[0], Event::Begin(Kind::Binary));
        if fits {
            assert_eq!(pieces().sum::<usize>(), len);
            assert!(matches!(events.last(), Some(Event::Piece(Piece { last: true, .. }))));
        } else {
            let expected = Violation::MessageTooBig { limit: 3 << 20, got: (3 << 20) + 1 };
            assert_eq!(violation(&events), expected);
            assert_eq!(server.written(), plain(0x88, &why(expected)));
        }
    }
}

#[test]
fn a_message_at_the_inflate_ratio_passes_and_one_past_it_is_refused_with_1009() {
    let message = [vec![b'a'; 70_000], noise(300)].concat();
    let squeezed = squeezed(&message);
    let ratio = message.len().div_ceil(squeezed.len()) as u32;
    let frame = masked(0x82 | RSV1, &squeezed);
    let limits = |inflate_ratio| Limits { inflate_ratio, ..Limits::default() };
    // The ratio is judged first at 64 KiB, where all of this one's incompressible end is still to come.
    let at_first = 65_536u32.div_ceil(squeezed.len() as u32 - 300);
    assert!(ratio < at_first);
    assert_eq!(server(&limits(2 * at_first)).receive(&frame), [binary(&message)]);
    let expected = Violation::InflateRatio { limit: ratio - 1 };
    let mut strict = server(&limits(ratio - 1));
    assert_eq!(violation(&strict.receive(&frame)), expected);
    assert_eq!(strict.written(), plain(0x88, &why(expected)));

    // What does not compress comes first, so that the ratio only grows.
    let even = [noise(300), vec![b'a'; 900_000]].concat();
    let squeezed = self::squeezed(&even);
    let ratio = even.len().div_ceil(squeezed.len()) as u32;
    let frame = masked(0x82 | RSV1, &squeezed);
    assert_eq!(server(&limits(ratio)).receive(&frame), [binary(&even)]);
    assert_eq!(
        violation(&server(&limits(ratio - 1)).receive(&frame)),
        Violation::InflateRatio { limit: ratio - 1 }
    );
}

#[test]
fn a_short_message_may_have_any_ratio_and_nothing_that_is_deflate_is_past_the_default() {
    let limits = Limits { inflate_ratio: 1, ..Limits::default() };
    for (len, passes) in [(65_535, true), (65_536, false)] {
        let events = server(&limits).receive(&masked(0x82 | RSV1, &squeezed(&vec![0; len])));
        assert_eq!(matches!(events[..], [Event::Binary(_)]), passes, "{len}");
    }
    let limits = Limits { message: 64 << 20, ..Limits::default() };
    let events = server(&limits).receive(&masked(0x82 | RSV1, &squeezed(&vec![0; 64 << 20])));
    assert!(matches!(events[..], [Event::Binary(_)]), "{:?}", events.len());
}

#[test]
fn each_of_many_compressed_messages_has_the_limits_for_itself() {
    let limits = Limits { message: 70_000, inflate_ratio: 1000, ..Limits::default() };
    let mut server = server(&limits);
    let frame = masked(0x82 | RSV1, &squeezed(&[0; 70_000]));
    for _ in 0..50 {
        assert_eq!(server.receive(&frame).len(), 1);
    }
    assert!(server.connection.is_open());
}
