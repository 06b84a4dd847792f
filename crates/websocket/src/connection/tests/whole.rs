//! The short way for messages that are whole in the input agrees with the long one, which is taken where somebody looks.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::message::MessageRef;
use crate::observe::FrameNote;
use crate::output::OutputBuffer;

fn nobody(_: &FrameNote) {}

fn long_way(role: Role, limits: &Limits) -> Bench {
    Bench::new(role, Setup { observer: Some(nobody), ..Setup::from(limits.clone()) })
}

/// Mostly what a client in its senses sends, and now and then a byte that is wrong.
fn some_bytes(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(1..8) {
        let first = [0x81, 0x82, 0x81, 0x82, 0x01, 0x80, 0x89, 0x8a, 0xc1, 0x88][random.random_range(0..10)];
        let len = [0, 1, 5, 125, 126, 300, 1000][random.random_range(0..7)];
        let text = ["a", "ä", "語"][random.random_range(0..3)].repeat(len);
        bytes.extend(masked(first, &text.as_bytes()[..len]));
    }
    if random.random_range(0..3) == 0 {
        let place = random.random_range(0..bytes.len());
        bytes[place] ^= 1 << random.random_range(0..8);
    }
    bytes
}

#[test]
fn both_ways_give_the_same_events_answers_and_counts_for_any_bytes_and_any_cut() {
    let mut random = StdRng::seed_from_u64(20);
    let limits = Limits { message: 600, ..Limits::default() };
    for round in 0..4_000 {
        let bytes = some_bytes(&mut random);
        let (mut short, mut long) =
            (Bench::new(Role::Server, limits.clone()), long_way(Role::Server, &limits));
        let cut = random.random_range(0..=bytes.len());
        for part in [&bytes[..cut], &bytes[cut..]] {
            assert_eq!(short.receive(part), long.receive(part), "round {round} cut at {cut}: {bytes:x?}");
        }
        assert_eq!(short.written(), long.written(), "round {round}");
        assert_eq!(short.connection.counters(), long.connection.counters(), "round {round}");
        assert_eq!(short.connection.incoming.is_some(), long.connection.incoming.is_some(), "round {round}");
    }
}

#[test]
fn a_message_that_is_whole_in_the_input_is_borrowed_from_it_and_nothing_is_kept() {
    let mut server = Bench::server();
    let mut input = [masked(0x81, "größer".as_bytes()), masked(0x82, &[7; 300])].concat();
    let mut events = server.connection.receive(server.now, &mut input);
    assert!(matches!(events.next(), Some(Event::Text(Cow::Borrowed("größer")))));
    assert!(matches!(events.next(), Some(Event::Binary(Cow::Borrowed(data))) if data == [7; 300]));
    assert!(events.next().is_none());
    assert!(server.connection.incoming.is_none());
}

#[test]
fn what_is_remembered_of_a_message_is_forgotten_with_its_last_byte() {
    let mut server = Bench::server();
    server.receive(&masked(0x01, b"half"));
    assert!(server.connection.incoming.is_some());
    server.receive(&masked(0x80, b""));
    assert!(server.connection.incoming.is_none());
}

#[test]
fn events_can_be_answered_one_by_one_and_the_answers_leave_in_their_order() {
    let mut server = Bench::server();
    let mut input = [masked(0x81, b"one"), masked(0x89, b"?"), masked(0x82, b"two")].concat();
    let mut events = server.connection.receive(server.now, &mut input);
    while let Some(event) = events.next() {
        let message = match &event {
            Event::Text(text) => MessageRef::Text(text),
            Event::Binary(data) => MessageRef::Binary(data),
            _ => continue,
        };
        events.connection().send_ref(message).expect("open, with room");
    }
    assert_eq!(server.written(), b"\x81\x03one\x8a\x01?\x82\x03two");
}

#[test]
fn a_lent_buffer_comes_back_and_what_waits_in_it_stays_with_the_connection() {
    let mut server = Bench::server();
    assert!(server.connection.lend(OutputBuffer::with_capacity(1 << 16)).is_none());
    server.connection.send_ref(MessageRef::Binary(&[1; 20_000])).expect("room");
    server.connection.send(vec![2; 5000].into()).expect("room");
    server.connection.send_ref(MessageRef::Text("tail")).expect("room");
    let waiting = server.connection.buffered();
    server.connection.output.advance(10);
    assert!(server.connection.reclaim().is_some(), "it was lent");
    assert!(server.connection.reclaim().is_none(), "and is back");
    assert_eq!(server.connection.buffered(), waiting - 10);
    assert!(server.connection.output_capacity() < 30_000, "no more is held than waits");
    let expected = [&[1; 19_994][..], b"\x82\x7e\x13\x88", &[2; 5000], b"\x81\x04tail"].concat();
    assert_eq!(server.written(), expected);
    assert_eq!(server.connection.output_capacity(), 0);
}

#[test]
fn a_connection_that_has_something_waiting_takes_no_buffer() {
    let mut server = Bench::server();
    server.connection.ping(b"").expect("room");
    assert!(server.connection.lend(OutputBuffer::with_capacity(100)).is_some());
}
