//! permessage-deflate on a connection (RFC 7692 section 6): which frames may be compressed, and what becomes of them.

use super::*;
use crate::deflate::InvalidDeflate;
use proptest::prelude::*;

const RSV1: u8 = 0x40;

fn server(takeover: bool) -> Bench {
    let (_, server) = Bench::both(&Limits::default(), agreed(takeover));
    server
}

#[test]
fn a_compressed_message_in_one_frame_is_inflated() {
    let mut server = server(false);
    // The example of RFC 7692 section 7.2.3.1.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(server.receive(&masked(0x81 | RSV1, &hello)), [text("Hello")]);
    // Section 7.2.3.1 again, in two fragments, and 7.2.3.3: stored.
    let fragments = [masked(0x01 | RSV1, &hello[..3]), masked(0x80, &hello[3..])].concat();
    assert_eq!(server.receive(&fragments), [text("Hello")]);
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    assert_eq!(server.receive(&masked(0x81 | RSV1, &stored)), [text("Hello")]);
    // 7.2.3.4: a block with BFINAL set, and 7.2.3.5: two blocks.
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    assert_eq!(server.receive(&masked(0x81 | RSV1, &last)), [text("Hello")]);
    let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(server.receive(&masked(0x81 | RSV1, &two)), [text("Hello")]);
}

#[test]
fn a_second_message_may_refer_to_the_first_only_with_context_takeover() {
    let first = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    // The example of section 7.2.3.2: "Hello" again, as a match of five bytes.
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let both = [masked(0x81 | RSV1, &first), masked(0x81 | RSV1, &again)].concat();
    assert_eq!(server(true).receive(&both), [text("Hello"), text("Hello")]);
    let events = server(false).receive(&both);
    assert_eq!(events[0], text("Hello"));
    assert!(matches!(violation(&events[1..]), Violation::InvalidDeflate(InvalidDeflate::Malformed)));
}

#[test]
fn rsv1_on_anything_but_the_first_frame_of_a_data_message_fails_the_connection() {
    let begun = masked(0x01 | RSV1, &[0xf2, 0x48]);
    let bits = Violation::ReservedBits { bits: 0b100 };
    for (name, bytes) in [
        ("continuation", [begun.clone(), masked(0x80 | RSV1, b"")].concat()),
        ("continuation of a plain message", [masked(0x01, b"a"), masked(RSV1, b"")].concat()),
        ("ping", masked(0x89 | RSV1, b"")),
        ("pong", masked(0x8a | RSV1, b"")),
        ("close", masked(0x88 | RSV1, b"")),
        ("ping between fragments", [begun, masked(0x89 | RSV1, b"")].concat()),
    ] {
        let mut server = server(true);
        assert_eq!(violation(&server.receive(&bytes)), bits, "{name}");
        assert_eq!(server.written()[2..4], [0x03, 0xea], "{name}");
    }
    assert_eq!(violation(&Bench::server().receive(&masked(0x81 | RSV1, b""))), bits, "not negotiated");
}

#[test]
fn the_other_reserved_bits_mean_nothing_with_it_either() {
    for (first, bits) in [(0xa1, 0b010), (0x91, 0b001), (0xe1, 0b010), (0xd1, 0b001)] {
        let events = server(true).receive(&masked(first, b""));
        assert_eq!(violation(&events), Violation::ReservedBits { bits }, "{first:#x}");
    }
}

#[test]
fn uncompressed_messages_and_control_frames_go_between_and_leave_the_window_in_step() {
    for takeover in [true, false] {
        let (mut client, mut server) = Bench::both(&Limits::default(), agreed(takeover));
        let words = "the quick brown fox jumps over the lazy dog, the quick brown fox";
        let mut expected = Vec::new();
        for round in 0..20 {
            let message = format!("{words} {round}");
            let wanted = text(&message);
            match round % 3 {
                0 => client.connection.send_uncompressed(message.into()).expect("room"),
                1 => client.connection.send_prepared(&Prepared::text(&message)).expect("room"),
                _ => client.connection.send(message.into()).expect("room"),
            }
            client.connection.ping(b"p").expect("room");
            expected.extend([wanted, Event::Ping(b"p".to_vec().into())]);
        }
        assert_eq!(server.receive(&client.written()), expected, "takeover: {takeover}");
    }
}

#[test]
fn control_frames_between_compressed_fragments_are_handled_at_once() {
    let mut server = server(false);
    let squeezed = squeezed(b"between these there was a ping");
    let (one, two) = squeezed.split_at(7);
    assert_eq!(server.receive(&masked(0x02 | RSV1, one)), []);
    assert_eq!(server.receive(&masked(0x89, b"p")), [Event::Ping(b"p".to_vec().into())]);
    assert_eq!(server.written(), plain(0x8a, b"p"));
    assert_eq!(server.receive(&masked(0x80, two)), [binary(b"between these there was a ping")]);
}

#[test]
fn an_empty_message_is_one_zero_byte_and_any_of_its_frames_may_be_empty() {
    let mut server = server(true);
    let bytes = [
        masked(0x81 | RSV1, &[0]),
        masked(0x01 | RSV1, b""),
        masked(0x00, b""),
        masked(0x80, &[0]),
        masked(0x02 | RSV1, &squeezed(b"abc")),
        masked(0x80, b""),
    ];
    assert_eq!(server.receive(&bytes.concat()), [text(""), text(""), binary(b"abc")]);
    // "the single octet 0x00" (section 7.2.3.6): no octet is no block.
    let events = server.receive(&masked(0x81 | RSV1, b""));
    assert_eq!(violation(&events), Violation::InvalidDeflate(InvalidDeflate::Truncated));
}

#[test]
fn messages_below_the_threshold_and_those_that_gain_nothing_go_plain() {
    let threshold = Agreed { threshold: 100, ..agreed(false) };
    let (_, mut server) = Bench::both(&Limits::default(), threshold);
    for (len, compressed) in [(99, false), (100, true)] {
        server.connection.send(vec![7; len].into()).expect("room");
        assert_eq!(server.written()[0] & RSV1 != 0, compressed, "{len} bytes");
    }
    let noise: Vec<u8> = (0..200u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    server.connection.send(noise.clone().into()).expect("room");
    assert_eq!(server.written(), plain(0x82, &noise), "it would not become smaller");
    assert_eq!(server.connection.counters().sent.deflated_bytes, squeezed(&[7; 100]).len() as u64);
}

#[test]
fn with_context_takeover_what_was_compressed_is_sent_even_if_it_grew() {
    let (mut client, mut server) = Bench::both(&Limits::default(), agreed(true));
    let noise: Vec<u8> = (0..200u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for _ in 0..2 {
        client.connection.send(noise.clone().into()).expect("room");
    }
    let bytes = client.written();
    assert_eq!(bytes[0], 0x82 | RSV1);
    assert!(bytes.len() < 300, "the second one is a match: {} bytes", bytes.len());
    assert_eq!(server.receive(&bytes), [binary(&noise), binary(&noise)]);
}

#[test]
fn inflated_text_is_judged_as_it_is_inflated() {
    let mut server = server(false);
    let bad = squeezed(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited");
    let frame = masked(0x01 | RSV1, &bad);
    // The message goes on for ever, and is refused before it ends.
    assert_eq!(violation(&server.receive(&frame)), Violation::InvalidUtf8);
    assert_eq!(server.written()[2..4], [0x03, 0xef]);
    let mut server = self::server(false);
    let cut = squeezed("é".repeat(3).as_bytes().split_last().expect("bytes").1);
    assert_eq!(violation(&server.receive(&masked(0x81 | RSV1, &cut))), Violation::InvalidUtf8);
}

#[test]
fn what_arrives_after_our_close_is_dropped_uninflated_where_nobody_wants_it_and_the_close_is_still_found() {
    for takeover in [true, false] {
        let mut server = server(takeover);
        server.connection.discard();
        let bomb = squeezed(&vec![0; 1 << 19]);
        let events = server.receive(&masked(0x82 | RSV1, &bomb));
        assert!(matches!(events[..], [Event::Binary(_)]), "an open connection discards nothing");
        let inflated = server.connection.counters().received.inflated_bytes;
        // The middle of a message is no other place than its beginning.
        let frame = masked(0x02 | RSV1, &bomb);
        assert_eq!(server.receive(&frame[..100]), []);
        server.connection.close(server.now, Some(CloseCode::NORMAL), "").expect("a reason that fits");
        server.connection.discard();
        assert_eq!(server.receive(&frame[100..]), []);
        assert_eq!(server.receive(&masked(0x80, &[0xff; 50])), []);
        assert_eq!(server.receive(&masked(0x81, &[0xff])), [], "not judged");
        assert!(server.connection.counters().received.inflated_bytes - inflated < 1 << 18);
        let end = server.receive(&masked(0x88, &1000u16.to_be_bytes()));
        assert!(matches!(&end[..], [Event::Closed(closed)] if closed.code == 1000), "{end:?}");
    }
}

/// Found by fuzzing: in one piece the data was refused, byte by byte the text.
#[test]
fn what_comes_out_before_the_data_goes_wrong_is_judged_first_however_it_is_cut() {
    // A stored block of one byte that is no text, then a block of no type.
    let frame = masked(0x81 | RSV1, &[0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x06]);
    assert_eq!(violation(&server(true).receive(&frame)), Violation::InvalidUtf8);
    let mut in_bytes = server(true);
    let events: Vec<_> = frame.iter().flat_map(|byte| in_bytes.receive(&[*byte])).collect();
    assert_eq!(violation(&events), Violation::InvalidUtf8);
}

#[test]
fn data_that_is_no_deflate_is_refused_with_1007() {
    let mut server = server(true);
    let expected = Violation::InvalidDeflate(InvalidDeflate::Malformed);
    assert_eq!(violation(&server.receive(&masked(0x82 | RSV1, &[0xff; 9]))), expected);
    assert_eq!(server.written(), plain(0x88, &why(expected)));
    assert_eq!(expected.close_code().get(), 1007);
}

#[test]
fn what_the_codec_has_borrowed_is_given_back_on_every_way_out_in_the_middle_of_a_message() {
    let half = masked(0x02 | RSV1, &squeezed(&[7; 1000])[..4]);
    type Way = (&'static str, fn(&mut Bench));
    let ways: [Way; 5] = [
        ("stream ended", |bench| drop(bench.end())),
        ("violation", |bench| drop(bench.receive(&masked(0x83, b"")))),
        ("remote closes", |bench| drop(bench.receive(&masked(0x88, b"")))),
        ("no pong", |bench| {
            bench.wait(Duration::from_secs(31));
            bench.wait(Duration::from_secs(31));
        }),
        ("no answer to our close", |bench| {
            bench.connection.close(bench.now, None, "").expect("valid");
            bench.wait(Duration::from_secs(31));
        }),
    ];
    for (name, way) in ways {
        let mut server = server(true);
        server.connection.send("some words, some words".into()).expect("room");
        server.receive(&half);
        assert!(server.connection.codec_memory() > 10_000, "{name}");
        way(&mut server);
        assert_eq!(server.connection.codec_memory(), 0, "{name}");
    }
}

#[test]
fn without_context_takeover_an_idle_connection_holds_no_codec() {
    let (mut client, mut server) = Bench::both(&Limits::default(), agreed(false));
    client.connection.send("x".repeat(10_000).into()).expect("room");
    assert_eq!(server.receive(&client.written()).len(), 1);
    assert_eq!(client.connection.codec_memory() + server.connection.codec_memory(), 0);
}

fn conversation() -> impl Strategy<Value = Vec<(bool, bool, Vec<u8>)>> {
    // Repetitive on purpose: matches that reach back over messages.
    let words =
        proptest::collection::vec(proptest::sample::select(vec!["alpha ", "beta ", "é", "\n"]), 0..400);
    let payload = prop_oneof![
        3 => words.prop_map(|words| words.concat().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..2000),
    ];
    proptest::collection::vec((any::<bool>(), any::<bool>(), payload), 1..8)
}

proptest! {
    #[test]
    fn what_one_end_compresses_the_other_inflates_however_it_is_cut(
        messages in conversation(),
        takeover: bool,
        cuts in proptest::collection::vec(1usize..200, 1..80),
    ) {
        let limits = Limits { outgoing: 1 << 20, ..Limits::default() };
        let (mut client, mut server) = Bench::both(&limits, agreed(takeover));
        let mut expected = Vec::new();
        for (is_text, plain, payload) in messages {
            let words = String::from_utf8_lossy(&payload).into_owned();
            expected.push(if is_text { text(&words) } else { binary(&payload) });
            let message = if is_text { Message::from(words) } else { Message::from(payload) };
            match plain {
                true => client.connection.send_uncompressed(message).expect("room"),
                false => client.connection.send(message).expect("room"),
            }
        }
        let bytes = client.written();
        let (mut rest, mut arrived) = (&bytes[..], Vec::new());
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            arrived.extend(server.receive(piece));
            rest = after;
        }
        arrived.extend(server.receive(rest));
        prop_assert_eq!(arrived, expected);
    }

    #[test]
    fn no_compressed_bytes_panic_or_close_twice(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        frames in proptest::collection::vec((0usize..60, any::<bool>()), 0..12),
        takeover: bool,
    ) {
        let mut server = server(takeover);
        let (mut rest, mut events, mut open) = (&bytes[..], Vec::new(), false);
        for (len, fin) in frames {
            let (payload, after) = rest.split_at(len.min(rest.len()));
            let first = if open { 0 } else { 0x02 | RSV1 };
            events.extend(server.receive(&masked(first | if fin { 0x80 } else { 0 }, payload)));
            (rest, open) = (after, !fin);
        }
        events.extend(server.end());
        the_end(&events);
    }
}
