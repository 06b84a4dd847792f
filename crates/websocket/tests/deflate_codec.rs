//! Compression and decompression together: every window, both roles, with takeover and without, and who borrows what.

mod deflate_support;

use std::sync::Mutex;

use deflate_support::{agreed, chat, deflate, inflate, inflate_in_pieces, noise};
use proptest::prelude::*;
use trunkline_websocket::deflate::{
    Agreed, Codec, Deflater, Inflater, InvalidDeflate, NoShelf, Pool, Progress, Shelf, Variant,
};

fn pair(agreed: Agreed) -> (Codec, Codec) {
    (Codec::new(agreed, false, &NoShelf), Codec::new(agreed, true, &NoShelf))
}

#[test]
fn every_window_level_and_takeover_goes_both_ways() {
    let messages = [chat(5, 1), chat(2000, 2), vec![], chat(40_000, 3), noise(3000, 4), vec![b'x'; 40_000]];
    for bits in 9..=15 {
        for takeover in [true, false] {
            for level in [1, 2, 3, 6, 9] {
                let agreed = Agreed { level, ..agreed(bits, takeover) };
                let (mut client, mut server) = pair(agreed);
                for message in &messages {
                    let payload = deflate(&mut client, message);
                    assert!(
                        inflate(&mut server, &payload).as_ref() == Ok(message),
                        "{bits} bits, level {level}"
                    );
                    let payload = deflate(&mut server, message);
                    assert!(
                        inflate(&mut client, &payload).as_ref() == Ok(message),
                        "{bits} bits, level {level}"
                    );
                }
            }
        }
    }
}

#[test]
fn each_direction_goes_by_its_own_parameters() {
    let mut agreed = agreed(15, true);
    agreed.params.server_max_window_bits = 11;
    agreed.params.client_no_context_takeover = true;
    let (mut client, mut server) = pair(agreed);
    let message = chat(300, 5);
    let payloads: Vec<_> = (0..2).map(|_| deflate(&mut client, &message)).collect();
    assert_eq!(payloads[0], payloads[1], "the client forgets");
    assert_eq!((client.variant(), server.variant()), (Some(Variant { window_bits: 15, level: 6 }), None));
    let payloads: Vec<_> = (0..2).map(|_| deflate(&mut server, &message)).collect();
    assert!(payloads[1].len() * 4 < payloads[0].len(), "the server remembers");
    for payload in payloads {
        assert_eq!(inflate(&mut client, &payload).as_ref(), Ok(&message));
    }
    // What lies 10 kB back the server, with its window of 2 KiB, writes out anew.
    let far = [&noise(300, 6)[..], &vec![b'-'; 10_000], &noise(300, 6)].concat();
    assert!(deflate(&mut server, &far).len() > 600);
    assert!(deflate(&mut client, &far).len() < 450);
}

/// RFC 7692 section 6.1: uncompressed messages may come in between, and nobody's window knows of them.
#[test]
fn a_message_sent_uncompressed_leaves_both_windows_in_step() {
    let (mut client, mut server) = pair(agreed(15, true));
    let mut sizes = Vec::new();
    for number in 0..20_u64 {
        let message = chat(200, number % 4);
        if number % 3 == 1 {
            continue;
        }
        let payload = deflate(&mut client, &message);
        sizes.push(payload.len());
        assert_eq!(inflate(&mut server, &payload), Ok(message), "message {number}");
    }
    assert!(
        sizes[sizes.len() - 1] * 3 < sizes[0],
        "with takeover a message of before is a few bytes: {sizes:?}"
    );
}

#[test]
fn an_empty_message_is_a_single_zero_byte() {
    for takeover in [true, false] {
        let (mut client, mut server) = pair(agreed(12, takeover));
        for message in [&b""[..], b"Hello", b"", b"", b"Hello", b""] {
            let payload = deflate(&mut client, message);
            assert_eq!(payload == [0], message.is_empty());
            assert_eq!(inflate(&mut server, &payload).as_deref(), Ok(message));
            // In pieces, all of them empty.
            let mut payload = Vec::new();
            client.deflate(b"", false, &mut payload);
            client.deflate(b"", true, &mut payload);
            assert_eq!(payload, [0]);
            assert_eq!(inflate(&mut server, &payload).as_deref(), Ok(&b""[..]));
        }
    }
}

/// RFC 7692 section 7.2.1: it is the message's end that loses its four bytes, and not that of each piece.
#[test]
fn a_message_compressed_in_pieces_is_one_message() {
    let message = chat(10_000, 9);
    for takeover in [true, false] {
        let (mut client, mut server) = pair(agreed(15, takeover));
        for step in [1, 100, 9_999, 10_000] {
            for empty_end in [true, false] {
                let mut payload = Vec::new();
                let mut pieces = message.chunks(step).peekable();
                while let Some(piece) = pieces.next() {
                    client.deflate(piece, pieces.peek().is_none() && !empty_end, &mut payload);
                }
                if empty_end {
                    client.deflate(b"", true, &mut payload);
                }
                assert!(!payload.ends_with(&[0, 0, 0xff, 0xff]));
                assert!(inflate(&mut server, &payload).as_ref() == Ok(&message), "pieces of {step}");
            }
        }
    }
}

#[test]
fn what_the_caller_has_in_its_buffer_stays_there() {
    let (mut client, mut server) = pair(agreed(15, true));
    let mut out = b"before".to_vec();
    client.deflate(b"Hello", true, &mut out);
    assert_eq!(out[..6], *b"before");
    let mut message = b"before".to_vec();
    server.inflate(&out[6..], true, 5, &mut message).expect("valid");
    assert_eq!(message, b"beforeHello");
}

#[test]
fn a_variant_makes_of_a_message_what_each_of_its_connections_would() {
    for bits in 9..=15 {
        let (mut client, mut server) = pair(agreed(bits, false));
        let variant = server.variant().expect("no takeover");
        assert_eq!(variant, Variant { window_bits: bits, level: 6 });
        for message in [chat(900, 1), vec![], chat(20_000, 2)] {
            let mut shared = Vec::new();
            variant.deflate(&message, &NoShelf, &mut shared);
            assert_eq!(shared, deflate(&mut server, &message));
            assert_eq!(inflate(&mut client, &shared), Ok(message));
        }
    }
    assert_eq!(agreed(15, true).variant(true), None);
}

/// A shelf that one can look at.
#[derive(Debug)]
struct Watched {
    pool: Mutex<Pool>,
    /// Deflaters and inflaters that are out.
    lent: Mutex<(i32, i32)>,
}

impl Watched {
    fn leak() -> &'static Self {
        Box::leak(Box::new(Self { pool: Mutex::new(Pool::new()), lent: Mutex::default() }))
    }

    fn lent(&self) -> (i32, i32) {
        *self.lent.lock().expect("no panic")
    }
}

impl Shelf for Watched {
    fn take_deflater(&self, window_bits: u8, level: u8) -> Box<Deflater> {
        self.lent.lock().expect("no panic").0 += 1;
        self.pool.lock().expect("no panic").take_deflater(window_bits, level)
    }

    fn give_deflater(&self, deflater: Box<Deflater>) {
        self.lent.lock().expect("no panic").0 -= 1;
        self.pool.lock().expect("no panic").give_deflater(deflater);
    }

    fn take_inflater(&self, window_bits: u8) -> Box<Inflater> {
        self.lent.lock().expect("no panic").1 += 1;
        self.pool.lock().expect("no panic").take_inflater(window_bits)
    }

    fn give_inflater(&self, inflater: Box<Inflater>) {
        self.lent.lock().expect("no panic").1 -= 1;
        self.pool.lock().expect("no panic").give_inflater(inflater);
    }
}

#[test]
fn without_takeover_a_connection_holds_something_only_while_a_message_is_open() {
    let shelf = Watched::leak();
    let mut codec = Codec::new(agreed(15, false), true, shelf);
    assert_eq!((codec.memory(), shelf.lent()), (0, (0, 0)));

    let mut payload = Vec::new();
    codec.deflate(b"first half ", false, &mut payload);
    assert_eq!(shelf.lent(), (1, 0));
    assert!(codec.memory() > 100_000);
    codec.deflate(b"second half", true, &mut payload);
    assert_eq!((codec.memory(), shelf.lent()), (0, (0, 0)));

    let mut out = Vec::new();
    codec.inflate(&payload[..5], false, 100, &mut out).expect("valid");
    assert_eq!(shelf.lent(), (0, 1));
    assert!(codec.memory() > 0);
    let rest = &payload[5..];
    let inflated = codec.inflate(rest, true, 3, &mut out).expect("valid");
    assert_eq!(shelf.lent(), (0, 1), "more is to come out");
    codec.inflate(&rest[inflated.used..], true, 100, &mut out).expect("valid");
    assert_eq!((codec.memory(), shelf.lent()), (0, (0, 0)));
    assert_eq!(out, b"first half second half");
}

#[test]
fn with_takeover_the_compressor_stays_and_of_the_decompressor_only_the_window() {
    let shelf = Watched::leak();
    let mut codec = Codec::new(agreed(10, true), true, shelf);
    let payload = deflate(&mut codec, &chat(600, 1));
    assert_eq!(shelf.lent(), (1, 0));
    let with_deflater = codec.memory();
    assert_eq!(inflate(&mut codec, &payload), Ok(chat(600, 1)));
    assert_eq!((codec.memory() - with_deflater, shelf.lent()), (1 << 10, (1, 0)));
    codec.abandon();
    assert_eq!((codec.memory(), shelf.lent()), (0, (0, 0)));
}

#[test]
fn a_connection_that_ends_gives_back_what_it_borrowed() {
    for takeover in [true, false] {
        let shelf = Watched::leak();
        let mut codec = Codec::new(agreed(15, takeover), true, shelf);
        codec.deflate(b"open", false, &mut Vec::new());
        codec.inflate(&[0xf2, 0x48], false, 100, &mut Vec::new()).expect("valid");
        assert_eq!(shelf.lent(), (1, 1));
        codec.abandon();
        assert_eq!(shelf.lent(), (0, 0));

        let mut codec = Codec::new(agreed(15, takeover), true, shelf);
        codec.deflate(b"open", false, &mut Vec::new());
        assert_eq!(codec.inflate(&[0xff], true, 100, &mut Vec::new()), Err(InvalidDeflate::Malformed));
        assert_eq!(shelf.lent(), (1, 1));
        drop(codec);
        assert_eq!(shelf.lent(), (0, 0));
    }
}

/// What one connection leaves on the shelf another must not see: neither half a message, nor a window.
#[test]
fn nothing_of_a_connection_is_left_in_what_it_gave_back() {
    let shelf = Watched::leak();
    let secret = noise(500, 1);
    let reference =
        deflate_support::Writer::default().header(false, 1).three_bytes_from(400).symbol(256).payload();
    for takeover in [true, false] {
        let first = deflate(&mut Codec::new(agreed(15, takeover), true, &NoShelf), &secret);
        let mut codec = Codec::new(agreed(15, takeover), true, shelf);
        let mut out = Vec::new();
        codec.inflate(&first, false, 1000, &mut out).expect("valid");
        codec.deflate(&secret, false, &mut Vec::new());
        drop(codec);

        let mut codec = Codec::new(agreed(15, takeover), true, shelf);
        assert_eq!(deflate(&mut codec, &secret), first, "as if the compressor were new");
        let refused = InvalidDeflate::Malformed;
        assert_eq!(inflate(&mut codec, &reference), Err(refused));
    }
}

#[test]
fn a_pool_keeps_as_many_as_it_says_and_lends_only_what_fits() {
    let mut pool = Pool::new();
    let deflater = |bits| NoShelf.take_deflater(bits, 1);
    for bits in [9, 10, 11, 12] {
        pool.give_deflater(deflater(bits));
    }
    let full = pool.memory();
    assert_eq!(full, [9, 10, 11, 12].map(|bits| memory_of(deflater(bits))).iter().sum());
    pool.give_deflater(deflater(13));
    assert_eq!(pool.memory() - full, memory_of(deflater(13)) - memory_of(deflater(9)));
    // The one with 9 bits is gone, and one of another level is another one.
    for (bits, level, is_there) in
        [(9, 1, false), (10, 2, false), (10, 1, true), (10, 1, false), (13, 1, true)]
    {
        let before = pool.memory();
        let taken = pool.take_deflater(bits, level);
        assert_eq!(
            before - pool.memory(),
            if is_there { memory_of(taken) } else { 0 },
            "{bits} bits, level {level}"
        );
    }

    let mut pool = Pool::new();
    for _ in 0..Pool::INFLATERS {
        pool.give_inflater(NoShelf.take_inflater(15));
    }
    let full = pool.memory();
    pool.give_inflater(NoShelf.take_inflater(15));
    assert_eq!(pool.memory(), full);
}

/// Level 1 leaves the block of a message open until its end: the next message must not begin in it.
#[test]
fn a_compressor_whose_message_was_abandoned_tells_nothing_of_it_to_the_next() {
    #[derive(Debug, Default)]
    struct OnePool(std::sync::Mutex<Pool>);
    impl Shelf for OnePool {
        fn take_deflater(&self, window_bits: u8, level: u8) -> Box<Deflater> {
            self.0.lock().expect("one thread").take_deflater(window_bits, level)
        }
        fn give_deflater(&self, deflater: Box<Deflater>) {
            self.0.lock().expect("one thread").give_deflater(deflater);
        }
        fn take_inflater(&self, window_bits: u8) -> Box<Inflater> {
            self.0.lock().expect("one thread").take_inflater(window_bits)
        }
        fn give_inflater(&self, inflater: Box<Inflater>) {
            self.0.lock().expect("one thread").give_inflater(inflater);
        }
    }
    for level in 1..=9 {
        let shelf: &'static OnePool = Box::leak(Box::default());
        let agreed = Agreed { level, ..agreed(15, false) };
        for len in [1, 100, 5000, 70_000] {
            let (half, message) = (chat(len, 1), chat(300, 2));
            Codec::new(agreed, true, shelf).deflate(&half, false, &mut Vec::new());
            let (mut pooled, mut fresh) = (Vec::new(), Vec::new());
            Codec::new(agreed, true, shelf).deflate(&message, true, &mut pooled);
            Codec::new(agreed, true, &NoShelf).deflate(&message, true, &mut fresh);
            assert_eq!(pooled, fresh, "level {level}, {len} bytes abandoned");
        }
    }
}

fn memory_of(deflater: Box<Deflater>) -> usize {
    let mut pool = Pool::new();
    pool.give_deflater(deflater);
    pool.memory()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is said, in whatever pieces it is compressed, cut and read, it is what was said.
    #[test]
    fn any_conversation_comes_out_as_it_went_in(
        bits in 9..=15_u8,
        takeover: bool,
        level in 1..=9_u8,
        messages in prop::collection::vec((0..3_u8, 0..5000_usize, any::<u64>()), 1..6),
        piece in 1..3000_usize,
        cuts in prop::collection::vec(0..700_usize, 1..20),
        rooms in prop::collection::vec(0..3000_usize, 1..20),
    ) {
        let (mut client, mut server) = pair(Agreed { level, ..agreed(bits, takeover) });
        let (mut cuts, mut rooms) = (cuts.iter().chain([&1]).cycle(), rooms.iter().chain([&1]).cycle());
        for (kind, len, seed) in messages {
            let message = match kind {
                0 => chat(len, seed),
                1 => noise(len, seed),
                _ => vec![b'a'; len],
            };
            let mut payload = Vec::new();
            for piece in message.chunks(piece) {
                client.deflate(piece, false, &mut payload);
            }
            client.deflate(b"", true, &mut payload);
            let out = inflate_in_pieces(
                &mut server,
                &payload,
                || *cuts.next().expect("endless"),
                || *rooms.next().expect("endless"),
            );
            prop_assert!(out == Ok(message));
        }
    }

    /// Noise is refused or is a message, the same one in pieces as at once.
    #[test]
    fn any_bytes_are_the_same_message_or_refusal_however_they_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        bits in 8..=15_u8,
        cut in 1..20_usize,
        room in 1..50_usize,
    ) {
        let mut server = Codec::new(agreed(bits, false), true, &NoShelf);
        let mut whole = Vec::new();
        let at_once = server.inflate(&bytes, true, 1 << 16, &mut whole);
        prop_assume!(at_once.map(|inflated| inflated.state) != Ok(Progress::NeedRoom));
        let in_pieces = inflate_in_pieces(
            &mut Codec::new(agreed(bits, false), true, &NoShelf), &bytes, || cut, || room,
        );
        prop_assert_eq!(in_pieces, at_once.map(|_| whole));
    }
}
