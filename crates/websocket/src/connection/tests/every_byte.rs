//! A disconnect at any byte is normal, and how bytes are cut into reads changes nothing.

use super::*;
use proptest::prelude::*;

/// What a well-behaved client might send in one connection, and how many events it gives.
fn conversations() -> Vec<(&'static str, Vec<u8>, usize)> {
    vec![
        ("one text", masked(0x81, "grüße".as_bytes()), 1),
        ("empty binary", masked(0x82, b""), 1),
        ("fragments and a ping", [masked(0x01, b"a"), masked(0x89, b"p"), masked(0x80, b"b")].concat(), 2),
        ("two-byte length", masked(0x82, &[5; 300]), 1),
        ("the beginning of an eight-byte length", masked(0x82, &[6; 65536 + 3])[..200].to_vec(), 0),
        ("pongs", [masked(0x8a, b""), masked(0x8a, &[1; 125])].concat(), 2),
    ]
}

#[test]
fn the_end_of_the_stream_after_every_byte_gives_exactly_one_closed_and_drops_the_partial_message() {
    for (name, bytes, whole) in conversations() {
        for cut in 0..=bytes.len() {
            let mut server = Bench::server();
            let mut events = server.receive(&bytes[..cut]);
            assert!(events.len() <= whole, "{name} cut at {cut}");
            assert!(cut < bytes.len() || events.len() == whole, "{name}");
            events.extend(server.end());
            assert_eq!(the_end(&events).cause, Cause::StreamEnded, "{name} cut at {cut}");
            assert_eq!(server.end(), None, "{name} cut at {cut}");
            assert_eq!(server.connection.assembler_capacity(), 0, "{name} cut at {cut}");
            assert_eq!(server.connection.after_write(), AfterWrite::DropAtOnce);
        }
    }
}

#[test]
fn the_end_of_the_stream_inside_or_after_a_close_frame_gives_exactly_one_closed() {
    let bytes = [masked(0x81, b"x"), masked(0x88, b"\x03\xe8bye")].concat();
    for cut in 0..=bytes.len() {
        let mut server = Bench::server();
        let mut events = server.receive(&bytes[..cut]);
        events.extend(server.end());
        assert_eq!(the_end(&events).is_clean(), cut == bytes.len(), "cut at {cut}");
    }
}

#[test]
fn every_split_point_of_every_conversation_gives_the_same_events_and_the_same_output() {
    for (name, bytes, _) in conversations() {
        let mut whole = Bench::server();
        let expected = (whole.receive(&bytes), whole.written());
        for cut in 0..=bytes.len() {
            let mut server = Bench::server();
            let mut events = server.receive(&bytes[..cut]);
            events.extend(server.receive(&bytes[cut..]));
            assert_eq!((events, server.written()), expected, "{name} cut at {cut}");
        }
    }
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let usual = proptest::sample::select(vec![0x81u8, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x88]);
    let first = prop_oneof![9 => usual, 1 => any::<u8>()];
    let payload = proptest::collection::vec(any::<u8>(), 0..200);
    let frame = (first, payload, any::<bool>()).prop_map(|(first, mut payload, ascii)| {
        if ascii {
            payload.iter_mut().for_each(|byte| *byte &= 0x7f);
        }
        masked(first, &payload)
    });
    proptest::collection::vec(frame, 0..12).prop_map(|frames| frames.concat())
}

fn payloads() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..3000)), 0..8)
}

proptest! {
    #[test]
    fn any_cuts_give_the_same_events_as_none(
        bytes in frames(),
        cuts in proptest::collection::vec(1usize..40, 0..60),
    ) {
        let mut whole = Bench::server();
        let expected = (whole.receive(&bytes), whole.written());
        let mut server = Bench::server();
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            events.extend(server.receive(piece));
            rest = after;
        }
        events.extend(server.receive(rest));
        prop_assert_eq!((events, server.written()), expected);
    }

    #[test]
    fn no_bytes_panic_or_close_twice(bytes in proptest::collection::vec(any::<u8>(), 0..400), client: bool) {
        let mut bench = if client { Bench::client() } else { Bench::server() };
        let mut events = bench.receive(&bytes);
        events.extend(bench.end());
        the_end(&events);
    }

    #[test]
    fn what_one_end_sends_the_other_receives(payloads in payloads(), cut in 1usize..5000) {
        let limits = Limits { outgoing: 1 << 20, ..Limits::default() };
        let mut client = Bench::new(Role::Client(fixed_mask), limits.clone());
        let mut server = Bench::new(Role::Server, limits);
        let mut expected = Vec::new();
        for (is_text, payload) in payloads {
            let words = String::from_utf8_lossy(&payload).into_owned();
            let event = if is_text { text(&words) } else { binary(&payload) };
            let message = if is_text { Message::from(words) } else { Message::from(payload) };
            client.connection.send(message.clone()).expect("room");
            server.connection.send(message).expect("room");
            expected.push(event);
        }
        let (up, down) = (client.written(), server.written());
        let arrived: Vec<_> = up.chunks(cut).flat_map(|piece| server.receive(piece)).collect();
        prop_assert_eq!(&arrived, &expected);
        let arrived: Vec<_> = down.chunks(cut).flat_map(|piece| client.receive(piece)).collect();
        prop_assert_eq!(&arrived, &expected);
    }
}
