//! Decompression: the examples of the RFC, every way to cut a message, every window, and what is wrong.

mod deflate_support;

use deflate_support::{
    Writer, agreed, chat, deflate, inflate, inflate_alone, inflate_in_pieces, noise, server,
};
use trunkline_websocket::deflate::{Codec, InvalidDeflate, NoShelf, Progress};

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// RFC 7692 section 7.2.3, payload by payload.
#[test]
fn every_example_of_the_rfc_means_what_it_says() {
    let cases: &[(&str, &[u8], &[u8])] = &[
        ("7.2.3.1", &HELLO, b"Hello"),
        ("7.2.3.3", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], b"Hello"),
        ("7.2.3.4", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
        (
            "7.2.3.5",
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            b"Hello",
        ),
        ("7.2.3.6", &[0x00], b""),
    ];
    for (section, payload, message) in cases {
        for takeover in [true, false] {
            // Twice, so that what the first leaves behind is seen.
            let mut codec = server(agreed(15, takeover));
            for _ in 0..2 {
                assert_eq!(inflate(&mut codec, payload).as_deref(), Ok(*message), "{section}");
            }
        }
    }
}

/// RFC 7692 section 7.2.3.2.
#[test]
fn the_second_hello_of_the_rfc_is_a_reference_to_the_first_if_there_is_takeover() {
    let second = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let mut codec = server(agreed(15, true));
    assert_eq!(inflate(&mut codec, &HELLO).as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(inflate(&mut codec, &second).as_deref(), Ok(&b"Hello"[..]));

    let mut codec = server(agreed(15, false));
    assert_eq!(inflate(&mut codec, &HELLO).as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(inflate(&mut codec, &second), Err(InvalidDeflate::Malformed));
}

/// Every strategy, and levels and windows, of the implementation that nearly everybody has.
#[test]
fn what_zlib_compresses_is_read() {
    let fixture = include_str!("fixtures/deflate_zlib.txt");
    let of_kind = |kind| fixture.lines().filter_map(move |line| line.strip_prefix(kind));
    let messages: Vec<_> = of_kind("message").map(|text| text.trim_start().as_bytes()).collect();
    let mut runs = 0;
    for run in of_kind("payloads ") {
        let mut words = run.split(' ');
        let bits = words.next().and_then(|bits| bits.parse().ok()).expect("window bits");
        let payloads = words.skip(3).map(|hex| {
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
            (0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>()
        });
        let mut codec = server(agreed(bits, true));
        let read: Vec<_> = payloads.map(|payload| inflate(&mut codec, &payload).expect("valid")).collect();
        assert_eq!(read, messages, "{run}");
        runs += 1;
    }
    assert_eq!(runs, 11);
}

/// A stored block, fixed codes, codes of its own, a last block with another stream behind it, matches of all kinds.
fn mixed() -> (Vec<u8>, Vec<u8>) {
    let mut codec = server(agreed(15, true));
    let (text, tail) = (chat(3000, 7), noise(700, 7));
    let mut payload = Writer::default().stored(false, b"stored ").stored(true, b"last ").unfinished();
    codec.deflate(&[&text[..], &text, &[b'a'; 900], b"abababababababababab"].concat(), true, &mut payload);
    payload.extend([0x00, 0x00, 0xff, 0xff]);
    codec.deflate(&tail, true, &mut payload);
    let message = [b"stored last ", &text[..], &text, &[b'a'; 900], b"abababababababababab", &tail].concat();
    (payload, message)
}

#[test]
fn a_message_is_the_same_however_its_payload_is_cut() {
    let (payload, message) = mixed();
    assert_eq!(inflate_alone(agreed(15, false), &payload), Ok(message.clone()));
    for takeover in [true, false] {
        let mut codec = server(agreed(15, takeover));
        for step in (1..40).chain([100, 255, 256, 1000, 3000]) {
            let whole = inflate_in_pieces(&mut codec, &payload, || step, || usize::MAX);
            assert_eq!(whole.as_deref(), Ok(&message[..]), "pieces of {step}");
        }
        for cut in 0..=payload.len() {
            let mut lengths = [cut, usize::MAX].into_iter().chain(std::iter::repeat(usize::MAX));
            let mut out = Vec::new();
            let first = codec.inflate(&payload[..cut], false, usize::MAX, &mut out).expect("valid");
            assert_eq!((first.used, first.state), (cut, Progress::NeedInput));
            let rest =
                inflate_in_pieces(&mut codec, &payload[cut..], || lengths.next().unwrap_or(1), || 1 << 20);
            out.extend(rest.expect("valid"));
            assert!(out == message, "cut at {cut}");
        }
    }
}

#[test]
fn a_message_is_the_same_in_rooms_of_any_size() {
    let (payload, message) = mixed();
    let mut codec = server(agreed(15, true));
    for room in (1..40).chain([257, 258, 259, 272, 273, 274, 1000, 5000]) {
        for step in [1, 7, 8, 9, 500, usize::MAX] {
            let whole = inflate_in_pieces(&mut codec, &payload, || step, || room);
            assert!(whole.as_deref() == Ok(&message[..]), "rooms of {room}, pieces of {step}");
        }
    }
}

#[test]
fn room_for_the_whole_message_is_enough_and_one_byte_less_is_not() {
    let (payload, message) = mixed();
    let messages = [(payload, message), (HELLO.to_vec(), b"Hello".to_vec()), (vec![0], Vec::new())];
    for (payload, message) in messages {
        for takeover in [true, false] {
            let mut codec = server(agreed(15, takeover));
            let mut out = Vec::new();
            let inflated = codec.inflate(&payload, true, message.len(), &mut out).expect("valid");
            assert_eq!((inflated.used, inflated.state), (payload.len(), Progress::Done));
            assert!(out == message);
            let Some(less) = message.len().checked_sub(1) else { continue };
            out.clear();
            let inflated = codec.inflate(&payload, true, less, &mut out).expect("valid");
            assert_eq!(inflated.state, Progress::NeedRoom);
            assert!(out == message[..less]);
            // And no room at all is room for nothing.
            let rest = &payload[inflated.used..];
            let again = codec.inflate(rest, true, 0, &mut out).expect("valid");
            assert_eq!((again.state, out.len()), (Progress::NeedRoom, less));
            let done = codec.inflate(&rest[again.used..], true, 1, &mut out).expect("valid");
            assert_eq!(done.state, Progress::Done);
            assert!(out == message);
        }
    }
}

/// A bomb of the highest ratio there is, 1032 : 1, is stopped where the room ends and costs no more than that.
#[test]
fn a_bomb_never_gets_more_than_its_room() {
    const MESSAGE: usize = 1 << 24;
    let mut codec = server(agreed(15, false));
    let payload = deflate(&mut codec, &vec![0; MESSAGE]);
    assert!(payload.len() < MESSAGE / 1000, "{} bytes", payload.len());
    for limit in [0, 1, 128, 65_535, 65_536, 65_537, 1 << 20, MESSAGE - 1] {
        let mut codec = server(agreed(15, false));
        let mut out = Vec::new();
        let inflated = codec.inflate(&payload, true, limit, &mut out).expect("valid");
        assert_eq!((inflated.state, out.len()), (Progress::NeedRoom, limit));
        assert!(out.capacity() <= limit.max(8), "{} bytes for {limit}", out.capacity());
        assert!(codec.memory() < 96 << 10, "{} bytes", codec.memory());
    }
    for limit in [MESSAGE, MESSAGE + 1, usize::MAX] {
        let mut out = Vec::new();
        let inflated = codec.inflate(&payload, true, limit, &mut out).expect("valid");
        assert_eq!((inflated.state, out.len()), (Progress::Done, MESSAGE));
    }
}

/// 22 bytes on the wire, 4 KiB in memory: a limit on what is on the wire is none.
#[test]
fn a_small_frame_that_inflates_past_128_bytes_is_seen_to_at_byte_128() {
    let mut codec = server(agreed(15, false));
    let payload = deflate(&mut codec, &[b'A'; 4096]);
    assert!(payload.len() <= 22, "{} bytes", payload.len());
    let mut out = Vec::with_capacity(128);
    let inflated = codec.inflate(&payload, true, 128, &mut out).expect("valid");
    assert_eq!((inflated.state, out.len(), out.capacity()), (Progress::NeedRoom, 128, 128));
}

/// It is whole only where a stream's last block ends, or where a stored block begins, whose length the trailer is.
#[test]
fn every_truncated_message_is_refused() {
    let (payload, message) = mixed();
    let (first, second) = (5 + 7, 5 + 5);
    let flush =
        payload.windows(4).rposition(|four| four == [0x00, 0x00, 0xff, 0xff]).expect("flushed in between");
    let whole = [first_byte_of(0), first_byte_of(first), first + second, flush, first_byte_of(flush + 4)];
    for end in 0..payload.len() {
        let truncated = inflate_alone(agreed(15, false), &payload[..end]);
        let in_bytes = inflate_in_pieces(&mut server(agreed(15, false)), &payload[..end], || 1, || 50);
        assert!(truncated == in_bytes, "{end}");
        match truncated {
            Ok(beginning) => {
                assert!(whole.contains(&end), "{end} of {} bytes pass for a message", payload.len());
                assert!(message.starts_with(&beginning));
            }
            // Which rule it breaks depends on what the trailer is taken for.
            Err(refused) => assert!(!whole.contains(&end), "{end}: {refused}"),
        }
    }
    assert_eq!(inflate_alone(agreed(15, false), &payload), Ok(message));
}

/// The end of a message whose last byte is the first one of a stored block.
const fn first_byte_of(block: usize) -> usize {
    block + 1
}

#[test]
fn what_follows_the_end_of_a_message_is_a_block_or_refused() {
    // Its own trailer, unstripped, is one; then the one that is taken as read must have its header too.
    let with = |more: &[u8]| inflate_alone(agreed(15, false), &[&HELLO, more].concat());
    assert_eq!(with(&[0x00, 0x00, 0xff, 0xff, 0x00]).as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(with(&[0x00, 0x00, 0xff, 0xff]), Err(InvalidDeflate::Truncated));
    assert_eq!(with(b"\xff\xff\xff\xff"), Err(InvalidDeflate::Malformed));
    assert_eq!(with(b"\x00\x00\xff\xff\x06"), Err(InvalidDeflate::Malformed));
    // The same behind a last block.
    let with = |more: &[u8]| inflate_alone(agreed(15, false), &[&[0xf3], &HELLO[1..], more].concat());
    assert_eq!(with(&[0x00]).as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(with(&[]).as_deref(), Ok(&b"Hello"[..]), "complete, if not as the RFC has it");
    assert_eq!(with(&HELLO).as_deref(), Ok(&b"HelloHello"[..]));
    assert_eq!(with(&[0x06]), Err(InvalidDeflate::Malformed));
    assert_eq!(with(&[0x00, 0x00]), Err(InvalidDeflate::Truncated));
}

/// RFC 7692 section 7.1.2: what a remote may look back to of earlier messages is the window agreed on, wherever in it they
/// have come to lie.
#[test]
fn a_match_goes_back_into_earlier_messages_as_far_as_the_window_agreed_on_and_no_further() {
    for bits in 8..=15 {
        let window = 1_usize << bits;
        for before in [window - 1, window, window + 1, 2 * window + 5, 3 * window - 1] {
            let data = noise(before, 3);
            for distance in [1, 2, window - 1, window, window + 1, window + 300] {
                if distance > before.min(1 << 15) {
                    continue;
                }
                let expected = if distance <= window {
                    Ok(data[before - distance..].iter().copied().cycle().take(3).collect())
                } else {
                    Err(InvalidDeflate::Malformed)
                };
                let earlier: Vec<Vec<u8>> =
                    data.chunks(60_000).map(|part| Writer::default().stored(false, part).payload()).collect();
                let payload =
                    Writer::default().header(false, 1).three_bytes_from(distance).symbol(256).payload();
                let mut at_once = server(agreed(bits, true));
                let mut in_pieces = server(agreed(bits, true));
                for message in earlier {
                    assert!(inflate(&mut at_once, &message).is_ok());
                    assert!(inflate_in_pieces(&mut in_pieces, &message, || 77, || 100).is_ok());
                }
                assert_eq!(
                    inflate(&mut at_once, &payload),
                    expected,
                    "{bits} bits, {distance} back of {before}"
                );
                let got = inflate_in_pieces(&mut in_pieces, &payload, || 1, || 1);
                assert_eq!(got, expected, "{bits} bits, {distance} back of {before}, in pieces");
            }
        }
    }
}

#[test]
fn a_match_cannot_begin_before_the_first_byte() {
    for (literals, distance) in [(0, 1), (1, 2), (10, 11), (10, 300), (10, 32_768)] {
        let mut writer = Writer::default();
        writer.header(false, 1);
        for _ in 0..literals {
            writer.symbol(0x41);
        }
        let payload = writer.three_bytes_from(distance).symbol(256).payload();
        let refused = Err(InvalidDeflate::Malformed);
        assert_eq!(inflate_alone(agreed(15, true), &payload), refused);
        assert_eq!(inflate_alone(agreed(15, false), &payload), refused);
    }
}

/// A sender that keeps its window over the end of a stream is as much in the right as one that does not: with takeover
/// it is the window of all messages (RFC 7692 section 7.2.2).
#[test]
fn the_window_goes_on_behind_a_last_block() {
    let last = Writer::default().stored(true, b"remembered").unfinished();
    let reference = Writer::default().header(false, 1).three_bytes_from(10).symbol(256).payload();
    assert_eq!(
        inflate_alone(agreed(15, false), &[&last[..], &reference].concat()).as_deref(),
        Ok(&b"rememberedrem"[..])
    );
    let mut codec = server(agreed(15, true));
    assert_eq!(inflate(&mut codec, &last).as_deref(), Ok(&b"remembered"[..]));
    assert_eq!(inflate(&mut codec, &reference).as_deref(), Ok(&b"rem"[..]));
}

/// RFC 1951 sections 3.2.3 to 3.2.7, rule by rule.
#[test]
fn what_is_no_deflate_is_refused_and_stays_refused() {
    let lengths = |hlit, hdist, lengths: &[usize]| {
        let mut writer = Writer::default();
        writer.header(false, 2).bits(hlit, 5).bits(hdist, 5).bits(lengths.len() - 4, 4);
        for length in lengths {
            writer.bits(*length, 3);
        }
        writer
    };
    // 18, 0 and 1 in one bit, two, and two: enough to write any code of codes of one bit.
    let usual = [0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let zeros = |writer: &mut Writer, count: usize| {
        writer.code(0, 1).bits(count - 11, 7);
    };
    let mut no_end = lengths(0, 0, &usual);
    zeros(&mut no_end, 138);
    zeros(&mut no_end, 118);
    let no_end = no_end.code(0b10, 2).code(0b11, 2).unfinished();
    let mut too_many = lengths(0, 0, &usual);
    zeros(&mut too_many, 138);
    zeros(&mut too_many, 138);
    let too_many = too_many.unfinished();
    let cases = [
        ("a reserved type", Writer::default().header(false, 3).payload(), InvalidDeflate::Malformed),
        ("a stored length without its complement", vec![0, 5, 0, 0xfa, 0xfe, 0], InvalidDeflate::Malformed),
        ("287 literals and lengths", lengths(30, 0, &usual).unfinished(), InvalidDeflate::Malformed),
        ("31 distances", lengths(0, 30, &usual).unfinished(), InvalidDeflate::Malformed),
        ("no code lengths", lengths(0, 0, &[0; 4]).unfinished(), InvalidDeflate::Malformed),
        ("three codes of one bit", lengths(0, 0, &[1, 1, 1, 0]).unfinished(), InvalidDeflate::Malformed),
        ("one code of one bit", lengths(0, 0, &[0, 0, 1, 0]).unfinished(), InvalidDeflate::Malformed),
        (
            "a repetition of nothing",
            lengths(0, 0, &[1, 0, 0, 1]).code(1, 1).unfinished(),
            InvalidDeflate::Malformed,
        ),
        ("more code lengths than there are", too_many, InvalidDeflate::Malformed),
        ("no code for the end", no_end, InvalidDeflate::Malformed),
        ("symbol 286", Writer::default().header(false, 1).symbol(286).payload(), InvalidDeflate::Malformed),
        ("symbol 287", Writer::default().header(false, 1).symbol(287).payload(), InvalidDeflate::Malformed),
        (
            "distance 30",
            Writer::default().header(false, 1).symbol(0x41).symbol(257).code(30, 5).payload(),
            InvalidDeflate::Malformed,
        ),
    ];
    for (name, mut payload, reason) in cases {
        // Long enough that no reason is the end; zeros go on with whatever it is.
        payload.extend([0; 40]);
        let mut codec = server(agreed(15, true));
        let mut out = Vec::new();
        for _ in 0..2 {
            assert_eq!(codec.inflate(&payload, true, 100, &mut out), Err(reason), "{name}");
        }
        assert_eq!(codec.inflate(&HELLO, true, 100, &mut out), Err(reason), "{name}");
        let in_pieces = inflate_in_pieces(&mut server(agreed(15, true)), &payload, || 1, || 100);
        assert_eq!(in_pieces, Err(reason), "{name}, byte by byte");
    }
}

/// RFC 1951 section 3.2.7: "If only one distance code is used, it is encoded using one bit", and there may be none.
#[test]
fn a_block_may_have_a_single_distance_or_none() {
    let block = |distances: &[usize], symbols: &dyn Fn(&mut Writer)| {
        // Literal "a" and the length 3 have two bits, the end one; what has none is written by 18.
        let mut writer = Writer::default();
        writer.header(false, 2).bits(257 + 1 - 257, 5).bits(distances.len() - 1, 5).bits(14, 4);
        // 18: 1 bit, 0: 3, 1: 3, 2: 2.
        for length in [0, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3] {
            writer.bits(length, 3);
        }
        let (skip, zero, one, two) = ((0, 1), (0b110, 3), (0b111, 3), (0b10, 2));
        writer.code(skip.0, skip.1).bits(97 - 11, 7).code(two.0, two.1);
        writer.code(skip.0, skip.1).bits(138 - 11, 7).code(skip.0, skip.1).bits(20 - 11, 7);
        writer.code(one.0, one.1).code(two.0, two.1);
        for length in distances {
            let code = if *length == 0 { zero } else { one };
            writer.code(code.0, code.1);
        }
        symbols(&mut writer);
        writer.payload()
    };
    let (a, end, three) = ((0b10, 2), (0b0, 1), (0b11, 2));
    let none = block(&[0], &|writer| {
        writer.code(a.0, a.1).code(end.0, end.1);
    });
    assert_eq!(inflate_alone(agreed(15, false), &none).as_deref(), Ok(&b"a"[..]));
    let single = block(&[1], &|writer| {
        writer.code(a.0, a.1).code(three.0, three.1).code(0, 1).code(end.0, end.1);
    });
    assert_eq!(inflate_alone(agreed(15, false), &single).as_deref(), Ok(&b"aaaa"[..]));
    for (distances, code) in [([0], 0), ([0], 1), ([1], 1)] {
        let used = block(&distances, &|writer| {
            writer.code(a.0, a.1).code(three.0, three.1).code(code, 1).code(end.0, end.1);
        });
        assert_eq!(
            inflate_alone(agreed(15, false), &used),
            Err(InvalidDeflate::Malformed),
            "{distances:?} {code}"
        );
    }
}

#[test]
fn both_roles_decompress_by_the_others_parameters() {
    let mut agreed = agreed(15, true);
    agreed.params.client_max_window_bits = 9;
    agreed.params.server_no_context_takeover = true;
    let reference = Writer::default().header(false, 1).three_bytes_from(600).symbol(256).payload();
    let mut payload = Writer::default().stored(false, &noise(600, 1)).unfinished();
    let mut server = Codec::new(agreed, true, &NoShelf);
    assert!(inflate(&mut server, &[&payload[..], &[0]].concat()).is_ok());
    assert_eq!(inflate(&mut server, &reference), Err(InvalidDeflate::Malformed));
    payload.extend(reference);
    let mut client = Codec::new(agreed, false, &NoShelf);
    for _ in 0..2 {
        assert!(inflate(&mut client, &payload).is_ok());
        assert_eq!(client.memory(), 0);
    }
}

/// A caller who passes on what it gets, a little at a time, is not made to pay for all that it has each time.
#[test]
fn small_rooms_do_not_copy_the_message_each_time() {
    let payload = deflate(&mut server(agreed(15, false)), &[7; 100_000]);
    let mut codec = server(agreed(15, false));
    let (mut out, mut rest, mut capacities) = (Vec::new(), &payload[..], Vec::new());
    loop {
        let inflated = codec.inflate(rest, true, 10, &mut out).expect("valid");
        rest = &rest[inflated.used..];
        capacities.push(out.capacity());
        if inflated.state == Progress::Done {
            break;
        }
    }
    capacities.dedup();
    assert_eq!(out, [7; 100_000]);
    assert!(capacities.len() < 100, "it moved {} times", capacities.len());
    assert!(out.capacity() <= 100_000 + 100_000 / 8);
}

/// Matches are copied in larger pieces than they are where there is room behind them. There may be just enough.
#[test]
fn the_longest_match_fits_wherever_the_room_ends() {
    for literals in 17..=24 {
        for distance in [1, 7, 8, 15, 16, 17] {
            let mut writer = Writer::default();
            writer.header(false, 1);
            let mut message = Vec::new();
            for byte in 0..literals {
                writer.symbol(usize::from(byte));
                message.push(byte);
            }
            writer.match_from(285, distance).symbol(256).header(false, 0).align();
            let matched: Vec<u8> =
                message[message.len() - distance..].iter().copied().cycle().take(258).collect();
            message.extend(matched);
            // So that the quick way is never at the end of the input.
            let payload = writer.bits(0, 16).bits(0xffff, 16).stored(false, &[0; 16]).payload();
            message.extend([0; 16]);
            for room in 230..330 {
                let mut codec = server(agreed(15, false));
                let whole = inflate_in_pieces(&mut codec, &payload, || usize::MAX, || room);
                assert!(
                    whole.as_ref() == Ok(&message),
                    "{literals} literals, {distance} back, rooms of {room}"
                );
            }
        }
    }
}

/// An empty final block is two bytes, and each costs a copy of the window.
#[test]
fn a_message_may_end_its_stream_so_often_and_not_once_more() {
    let with = |streams: usize| [&[0x03, 0x00].repeat(streams)[..], &[0x00]].concat();
    assert_eq!(inflate_alone(agreed(15, false), &with(64)), Ok(Vec::new()));
    assert_eq!(inflate_alone(agreed(15, false), &with(65)), Err(InvalidDeflate::TooManyStreams));
    let in_bytes = |payload: &[u8]| inflate_in_pieces(&mut server(agreed(15, false)), payload, || 1, || 1);
    assert_eq!(in_bytes(&with(64)), Ok(Vec::new()));
    assert_eq!(in_bytes(&with(65)), Err(InvalidDeflate::TooManyStreams));
    // One for every 256 bytes is anybody's right.
    let flushed = [&Writer::default().stored(true, &noise(300, 1)).unfinished()[..]].concat().repeat(200);
    assert_eq!(inflate_alone(agreed(15, false), &flushed).map(|message| message.len()), Ok(60_000));
}
