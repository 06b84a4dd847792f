//! What compression costs a connection, as the allocator counts it.

mod deflate_support;

use deflate_support::{agreed, chat, deflate, inflate};
use std::time::Instant;

use peak_alloc::PeakAlloc;
use trunkline_websocket::deflate::{Codec, NoShelf, Pool, Progress, Shelf};
use trunkline_websocket::{Connection, Message, Role, Setup};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// One test: the allocator counts for the whole process.
#[test]
fn a_codec_costs_what_it_says_and_an_idle_one_next_to_nothing() {
    for bits in 9..=15 {
        let message = chat(70_000, 1);
        let payload = deflate(&mut Codec::new(agreed(bits, true), false, &NoShelf), &message);

        // Without takeover: nothing but itself.
        let mut codec = Codec::new(agreed(bits, false), true, &NoShelf);
        let before = HEAP.current_usage();
        drop((deflate(&mut codec, &message), inflate(&mut codec, &payload).expect("valid")));
        assert_eq!((HEAP.current_usage() - before, codec.memory()), (0, 0), "{bits} bits");
        drop(codec);

        // With takeover in what we receive: a window.
        let mut sizes = agreed(bits, false);
        sizes.params.client_no_context_takeover = false;
        let mut codec = Codec::new(sizes, true, &NoShelf);
        let before = HEAP.current_usage();
        drop((deflate(&mut codec, &message), inflate(&mut codec, &payload).expect("valid")));
        assert_eq!((HEAP.current_usage() - before, codec.memory()), (1 << bits, 1 << bits), "{bits} bits");

        // And while a message is open, as much as `memory` says.
        for _ in 0..2 {
            let mut out = Vec::with_capacity(1 << 17);
            let before = HEAP.current_usage() - codec.memory();
            codec.deflate(&message, false, &mut out);
            out.clear();
            let inflated = codec.inflate(&payload[..100], false, 1 << 16, &mut out).expect("valid");
            assert_eq!(inflated.state, Progress::NeedInput);
            let (told, counted) = (codec.memory(), HEAP.current_usage() - before);
            assert!(told.abs_diff(counted) <= counted / 100, "{bits} bits: {told} told, {counted} counted");
            codec.abandon();
            codec = Codec::new(sizes, true, &NoShelf);
        }
    }
    what_a_connection_remembers_grows_with_what_it_was_sent();
    what_waits_to_be_written_holds_no_more_than_it_says();
    a_full_pool_costs_what_it_says();
}

fn what_a_connection_remembers_grows_with_what_it_was_sent() {
    let (mut client, mut server) =
        (Codec::new(agreed(15, true), false, &NoShelf), Codec::new(agreed(15, true), true, &NoShelf));
    for (sent, held) in [(100, 128), (28, 128), (500, 1024), (40_000, 1 << 15), (40_000, 1 << 15)] {
        let message = chat(sent, 2);
        assert_eq!(inflate(&mut server, &deflate(&mut client, &message)), Ok(message));
        assert_eq!(server.memory(), held);
    }
}

/// The outgoing mark counts the compressed bytes, so these must be all there is.
fn what_waits_to_be_written_holds_no_more_than_it_says() {
    let setup = Setup { deflate: Some(agreed(15, false)), ..Setup::default() };
    let mut server = Connection::new(Role::Server, setup, Instant::now());
    let message = Message::from(vec![b'a'; 1 << 20]);
    // The compressor that comes and goes is not what is asked about.
    server.send(message.clone()).expect("room");
    let before = HEAP.current_usage() - server.buffered();
    while server.send(message.clone()).is_ok() {}
    let (waits, held) = (server.buffered(), HEAP.current_usage() - before);
    assert!(waits >= 256 << 10 && held < waits + waits / 2, "{held} bytes held for {waits}");
}

fn a_full_pool_costs_what_it_says() {
    let before = HEAP.current_usage();
    let mut pool = Pool::new();
    for _ in 0..20 {
        pool.give_deflater(NoShelf.take_deflater(15, 1));
        pool.give_inflater(NoShelf.take_inflater(15));
    }
    let (told, counted) = (pool.memory(), HEAP.current_usage() - before);
    assert!(told.abs_diff(counted) <= counted / 100, "{told} told, {counted} counted");
    assert!(counted < 2 << 20, "{counted} bytes a thread");
}
