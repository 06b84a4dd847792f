//! Reading a large message to where it stays gives what reading it anywhere else gives.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// Gives the bytes as a driver does that reads directly whenever it may, at most `piece` at once.
fn receive_directly(server: &mut Bench, mut bytes: &[u8], piece: usize) -> (Vec<Event<'static>>, usize) {
    let (mut events, mut direct) = (Vec::new(), 0);
    while !bytes.is_empty() {
        if let Some((into, room)) = server.connection.direct() {
            let count = room.min(piece).min(bytes.len());
            assert!(count > 0, "there is always room for a byte");
            into.extend_from_slice(&bytes[..count]);
            direct += count;
            bytes = &bytes[count..];
            events.extend(server.connection.receive_direct(server.now, count));
        } else {
            let count = piece.min(bytes.len());
            events.extend(server.receive(&bytes[..count]));
            bytes = &bytes[count..];
        }
    }
    (events, direct)
}

#[test]
fn it_gives_the_same_events_answers_and_counts_for_any_cut() {
    let mut random = StdRng::seed_from_u64(21);
    let mut direct_bytes = 0;
    for round in 0..60 {
        let letter = ["a", "ä", "語"][round % 3];
        let large = letter.repeat(random.random_range(30_000..70_000));
        let mut wire = [
            masked(0x81, large.as_bytes()),
            masked(0x01, large.as_bytes()),
            masked(0x89, b"?"),
            masked(0x80, large.as_bytes()),
            masked(0x82, large.as_bytes()),
            masked(0x81, b"small"),
        ]
        .concat();
        if round % 4 == 3 {
            let place = random.random_range(0..wire.len());
            wire[place] ^= 0x80;
        }
        let piece = random.random_range(1000..100_000);
        let (mut plain, mut direct) = (Bench::server(), Bench::server());
        let expected: Vec<_> = wire.chunks(piece).flat_map(|part| plain.receive(part)).collect();
        let (events, count) = receive_directly(&mut direct, &wire, piece);
        direct_bytes += count;
        assert!(events == expected, "round {round}, pieces of {piece}");
        assert_eq!(direct.written(), plain.written(), "round {round}");
        if !matches!(events.last(), Some(Event::Closed(_))) {
            assert_eq!(direct.connection.counters(), plain.connection.counters(), "round {round}");
        }
    }
    assert!(direct_bytes > 1 << 20, "most of it was read directly");
}

#[test]
fn nothing_is_read_directly_but_much_payload_of_a_message_that_is_put_together() {
    let mut server = Bench::server();
    assert!(server.connection.direct().is_none(), "between messages");
    let wire = masked(0x82, &[7; 100_000]);
    server.receive(&wire[..1]);
    assert!(server.connection.direct().is_none(), "in a header");
    server.receive(&wire[1..80_000]);
    assert!(server.connection.direct().is_none(), "when little is to come");
    server.receive(&wire[80_000..]);
    server.connection.receive_pieces(true);
    server.receive(&wire[..1000]);
    assert!(server.connection.direct().is_none(), "in pieces");
}

#[test]
fn memory_follows_what_was_read_and_not_what_was_announced() {
    let limits = Limits { message: usize::MAX, ..Limits::default() };
    let mut server = Bench::new(Role::Server, limits);
    server.receive(&[&[0x82, 0xff][..], &(1u64 << 62).to_be_bytes(), &[0; 4], &[1; 100]].concat());
    for _ in 0..20 {
        let Some((into, room)) = server.connection.direct() else { panic!("much is to come") };
        let count = room.min(1000);
        into.extend_from_slice(&vec![1; count]);
        server.connection.receive_direct(server.now, count);
    }
    let capacity = server.connection.assembler_capacity();
    assert!(capacity <= 2 * 20_100, "{capacity}");
}

#[test]
fn after_a_large_message_the_next_read_is_short_and_memory_is_there_for_as_much() {
    let mut server = Bench::server();
    assert_eq!(server.connection.read_hint(), usize::MAX, "nothing is known of it");
    let large = masked(0x82, &[7; 200_000]);
    receive_directly(&mut server, &large, 70_000);
    let short = server.connection.read_hint();
    assert!(short < 10_000, "{short}");
    server.receive(&large[..short]);
    assert_eq!(server.connection.read_hint(), usize::MAX, "in a message");
    let (_, room) = server.connection.direct().expect("much is to come");
    assert_eq!(room, large.len() - short, "all of it in one read");
    receive_directly(&mut server, &large[short..], 70_000);
    receive_directly(&mut server, &masked(0x82, &[7; 50_000]), 10_000);
    assert_eq!(server.connection.read_hint(), usize::MAX, "smaller ones have come since");
}

#[test]
fn what_is_expected_is_bounded_by_what_a_message_announces_and_by_a_limit() {
    let limits = Limits { message: usize::MAX, ..Limits::default() };
    let mut server = Bench::new(Role::Server, limits);
    receive_directly(&mut server, &masked(0x82, &vec![7; 3 << 20]), 100_000);
    server.receive(&masked(0x82, &[7; 100_000])[..4096]);
    server.connection.direct().expect("much is to come");
    assert_eq!(server.connection.assembler_capacity(), 100_000, "no more than it announces");
    receive_directly(&mut server, &masked(0x82, &[7; 100_000])[4096..], 100_000);
    receive_directly(&mut server, &masked(0x82, &vec![7; 3 << 20]), 100_000);
    server.receive(&masked(0x82, &vec![7; 3 << 20])[..4096]);
    server.connection.direct().expect("much is to come");
    assert_eq!(server.connection.assembler_capacity(), 1 << 20, "no more than a mebibyte ahead");
}
