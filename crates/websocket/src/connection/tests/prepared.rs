//! One message, framed and compressed once, on connections that agreed on different things.

use super::*;
use crate::deflate::Variant;

const RSV1: u8 = 0x40;

fn with(takeover: bool, bits: u8) -> Agreed {
    let agreed = agreed(takeover);
    let params = Params { server_max_window_bits: bits, client_max_window_bits: bits, ..agreed.params };
    Agreed { params, ..agreed }
}

fn words() -> String {
    "one message for very many receivers ".repeat(20)
}

#[test]
fn the_frame_compressed_once_serves_every_connection_that_can_read_it_and_the_others_get_the_plain_one() {
    let plain_one = Prepared::text(&words());
    let variant = Variant { window_bits: 11, level: 6 };
    let deflated = plain_one.deflated(variant, &NoShelf).expect("it compresses");
    let wire_len = deflated.deflated_len().expect("there");
    for (bits, compressed) in [(15, true), (11, true), (10, false)] {
        let (mut client, mut server) = Bench::both(&Limits::default(), with(false, bits));
        assert_eq!(server.connection.deflate_variant(), Some(Variant { window_bits: bits, level: 6 }));
        server.connection.send_prepared(&deflated).expect("room");
        let bytes = server.written();
        assert_eq!(bytes[0] & RSV1 != 0, compressed, "{bits} bits");
        assert_eq!(bytes.len(), if compressed { wire_len } else { plain_one.frame_len() });
        assert_eq!(client.receive(&bytes), [text(&words())]);
    }
    let mut without = Bench::server();
    without.connection.send_prepared(&deflated).expect("room");
    assert_eq!(without.written(), plain(0x81, words().as_bytes()));
}

#[test]
fn a_large_compressed_frame_is_shared_and_not_copied() {
    let mut chance = trunkline_sim::Chance::new(7692);
    // Six bits in each byte: it shrinks by a quarter, and stays larger than what is copied.
    let noise: Vec<u8> = (0..20_000).map(|_| chance.below(64) as u8).collect();
    let deflated = Prepared::binary(&noise).deflated(Variant { window_bits: 15, level: 6 }, &NoShelf);
    let deflated = deflated.expect("it compresses");
    let mut servers = [0, 1].map(|_| Bench::both(&Limits::default(), with(false, 15)).1);
    let addresses = servers.each_mut().map(|server| {
        server.connection.send_prepared(&deflated).expect("room");
        server.connection.poll_transmit().expect("waits").chunk().as_ptr()
    });
    assert_eq!(addresses[0], addresses[1]);
}

#[test]
fn where_our_window_reaches_back_each_connection_compresses_for_itself() {
    let (mut client, mut server) = Bench::both(&Limits::default(), with(true, 15));
    assert_eq!(server.connection.deflate_variant(), None);
    let deflated = Prepared::text(&words()).deflated(Variant { window_bits: 9, level: 6 }, &NoShelf);
    let deflated = deflated.expect("it compresses");
    for _ in 0..2 {
        server.connection.send_prepared(&deflated).expect("room");
    }
    let bytes = server.written();
    let first = 2 + usize::from(bytes[1]);
    assert!(bytes.len() - first < 20, "the second refers to the first: {} bytes", bytes.len() - first);
    assert_eq!(client.receive(&bytes), [text(&words()), text(&words())]);
}

#[test]
fn a_client_sends_it_compressed_too_and_masked() {
    let (mut client, mut server) = Bench::both(&Limits::default(), with(false, 15));
    let variant = client.connection.deflate_variant().expect("no takeover");
    let deflated = Prepared::text(&words()).deflated(variant, &NoShelf).expect("it compresses");
    client.connection.send_prepared(&deflated).expect("room");
    let bytes = client.written();
    assert_eq!((bytes[0], bytes[1] & 0x80), (0x81 | RSV1, 0x80));
    assert_eq!(server.receive(&bytes), [text(&words())]);
}

#[test]
fn what_does_not_become_smaller_has_no_compressed_frame() {
    let variant = Variant { window_bits: 15, level: 6 };
    assert_eq!(Prepared::text("").deflated(variant, &NoShelf), None);
    assert_eq!(Prepared::text("abc").deflated(variant, &NoShelf), None);
    let (_, mut server) = Bench::both(&Limits::default(), with(false, 15));
    server.connection.send_prepared(&Prepared::text(&words())).expect("room");
    assert_eq!(server.written()[0], 0x81, "it was not compressed beforehand");
}
