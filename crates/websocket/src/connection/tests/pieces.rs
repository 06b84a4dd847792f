//! Messages piece by piece, in both directions.

use super::*;
use proptest::prelude::*;

fn piece(data: &[u8], last: bool) -> Event<'static> {
    Event::Piece(Piece { data: data.to_vec().into(), last })
}

/// A server that wants its messages in pieces.
fn server(limits: Limits) -> Bench {
    let mut server = Bench::new(Role::Server, limits);
    server.connection.receive_pieces(true);
    server
}

/// Pieces put together again: (kind, bytes) of each message that was whole.
fn messages(events: &[Event<'static>]) -> Vec<(Kind, Vec<u8>)> {
    let (mut all, mut open) = (Vec::new(), None);
    for event in events {
        match event {
            Event::Begin(kind) => assert!(open.replace((*kind, Vec::new())).is_none(), "two at once"),
            Event::Piece(piece) => {
                let (_, data) = open.as_mut().expect("begun");
                data.extend_from_slice(&piece.data);
                assert!(piece.last || !piece.data.is_empty(), "an empty piece that is not the last");
                if piece.last {
                    all.extend(open.take());
                }
            }
            Event::Text(text) => all.push((Kind::Text, text.as_bytes().to_vec())),
            Event::Binary(data) => all.push((Kind::Binary, data.to_vec())),
            _ => {}
        }
    }
    all
}

#[test]
fn a_message_is_given_as_it_arrives_and_nothing_of_it_is_kept() {
    let mut server = server(Limits { message: 10, ..Limits::default() });
    let frame = masked(0x82, &[7; 1000]);
    assert_eq!(server.receive(&frame[..3]), []);
    assert_eq!(server.receive(&frame[3..8]), [Event::Begin(Kind::Binary)]);
    assert_eq!(server.receive(&frame[8..600]), [piece(&[7; 592], false)]);
    assert_eq!(server.connection.assembler_capacity(), 0);
    assert_eq!(server.receive(&frame[600..]), [piece(&[7; 408], true)]);
    assert!(!server.connection.in_pieces());
}

#[test]
fn fragments_and_control_frames_between_them_are_events_in_their_order() {
    let mut server = server(Limits::default());
    let bytes =
        [masked(0x01, b"a"), masked(0x00, b""), masked(0x89, b"p"), masked(0x00, b"b"), masked(0x80, b"")];
    let ping = Event::Ping(b"p".to_vec().into());
    let expected = [Event::Begin(Kind::Text), piece(b"a", false), ping, piece(b"b", false), piece(b"", true)];
    assert_eq!(server.receive(&bytes.concat()), expected);
    assert_eq!(server.receive(&masked(0x81, b"")), [Event::Begin(Kind::Text), piece(b"", true)]);
}

#[test]
fn text_in_pieces_fails_at_its_first_wrong_byte_and_at_an_incomplete_end() {
    let mut wrong = server(Limits::default());
    let frame = masked(0x01, b"ab\xffcd");
    assert_eq!(wrong.receive(&frame[..8]), [Event::Begin(Kind::Text), piece(b"ab", false)]);
    assert_eq!(violation(&wrong.receive(&frame[8..9])), Violation::InvalidUtf8);
    let mut cut = server(Limits::default());
    let events = cut.receive(&masked(0x81, b"ab\xe2\x82"));
    assert_eq!(violation(&events[1..]), Violation::InvalidUtf8);
}

#[test]
fn a_message_of_the_streamed_limit_passes_and_one_more_byte_fails_at_its_header() {
    let limits = || Limits { streamed: 1000, message: 1, ..Limits::default() };
    let mut bench = server(limits());
    let fragments = [masked(0x02, &[1; 600]), masked(0x80, &[1; 400])].concat();
    assert_eq!(messages(&bench.receive(&fragments)), [(Kind::Binary, vec![1; 1000])]);
    let mut bench = server(limits());
    let expected = Violation::MessageTooBig { limit: 1000, got: 1001 };
    assert_eq!(violation(&bench.receive(&masked(0x82, &[1; 1001])[..8])), expected);
    let mut bench = server(limits());
    bench.receive(&masked(0x02, &[1; 600]));
    assert_eq!(violation(&bench.receive(&masked(0x80, &[1; 401])[..8])), expected);
}

#[test]
fn of_fragments_in_pieces_only_the_empty_ones_count() {
    let limits = || Limits { fragments: 10, ..Limits::default() };
    let mut bench = server(limits());
    let many = [masked(0x02, b"a"), masked(0x00, b"b").repeat(100), masked(0x00, b"").repeat(10)].concat();
    assert_eq!(bench.receive(&many).len(), 102);
    assert_eq!(bench.receive(&masked(0x80, b"")), [piece(b"", true)]);
    let mut bench = server(limits());
    let events = bench.receive(&[masked(0x02, b"a"), masked(0x00, b"").repeat(11)].concat());
    assert_eq!(violation(&events[2..]), Violation::TooManyFragments { limit: 10 });
}

#[test]
fn the_application_may_want_the_whole_when_it_has_seen_the_beginning() {
    for cut in [6, 8] {
        let mut server = server(Limits::default());
        let frame = [masked(0x02, b""), masked(0x80, b"abc")].concat();
        let mut rest = frame.clone();
        let begun: Vec<_> =
            server.connection.receive(server.now, &mut rest[..cut]).map(Event::into_owned).collect();
        assert_eq!(begun, [Event::Begin(Kind::Binary)]);
        server.connection.put_together(server.now);
        assert_eq!(server.receive(&frame[cut..]), [binary(b"abc")]);
    }
}

#[test]
fn a_message_that_is_wanted_whole_after_all_has_the_limits_of_a_whole_one() {
    let cases: [(Vec<u8>, usize, Option<Violation>); 4] = [
        (masked(0x82, &[1; 1000]), 8, None),
        (masked(0x82, &[1; 1001]), 8, Some(Violation::MessageTooBig { limit: 1000, got: 1001 })),
        (masked(0x02, b"a"), 6, None),
        (
            [masked(0x02, b""), masked(0x00, b"a")].concat(),
            12,
            Some(Violation::TooManyFragments { limit: 1 }),
        ),
    ];
    for (frame, cut, expected) in cases {
        let mut server = server(Limits { message: 1000, fragments: 1, ..Limits::default() });
        assert_eq!(server.receive(&frame[..cut]), [Event::Begin(Kind::Binary)]);
        server.connection.put_together(server.now);
        let events = server.receive(&frame[cut..]);
        match expected {
            Some(expected) => assert_eq!(violation(&events), expected),
            None => assert!(server.connection.is_open()),
        }
    }
}

#[test]
fn a_message_of_which_a_piece_was_given_stays_in_pieces_and_the_next_one_comes_whole() {
    let mut bench = server(Limits::default());
    let begun = bench.receive(&masked(0x02, b"abc"));
    assert_eq!(begun, [Event::Begin(Kind::Binary), piece(b"abc", false)]);
    bench.connection.put_together(bench.now);
    bench.connection.receive_pieces(false);
    let rest = [masked(0x89, b""), masked(0x80, b"end"), masked(0x81, b"next")].concat();
    assert_eq!(bench.receive(&rest), [Event::Ping(b"".to_vec().into()), piece(b"end", true), text("next")]);
}

#[test]
fn every_cut_of_compressed_pieces_gives_the_same_message_and_leaves_the_input_as_it_was() {
    let message = [&b"some words, some words, some "[..], &[0; 40_000], b"words"].concat();
    for fragment in [3, 17, 1000] {
        let (_, mut whole) = Bench::both(&Limits::default(), agreed(false));
        let squeezed = squeezed(&message);
        let mut bytes = Vec::new();
        for (index, part) in squeezed.chunks(fragment).enumerate() {
            bytes.extend(masked(if index == 0 { 0x42 } else { 0x00 }, part));
        }
        bytes.extend(masked(0x80, b""));
        whole.connection.receive_pieces(true);
        assert_eq!(messages(&whole.receive(&bytes)), [(Kind::Binary, message.clone())]);
        for step in [1, 2, 5, 64, 4096] {
            let (_, mut server) = Bench::both(&Limits::default(), agreed(false));
            server.connection.receive_pieces(true);
            // One event at a time, and what it did not use is given again.
            let (mut rest, mut events) = (bytes.clone(), Vec::new());
            let mut at = 0;
            while at < rest.len() || server.connection.has_more() {
                let end = rest.len().min(at + step);
                let mut given = server.connection.receive(server.now, &mut rest[at..end]);
                events.extend(given.next().map(Event::into_owned));
                at += given.consumed();
            }
            assert_eq!(messages(&events), [(Kind::Binary, message.clone())], "step {step}");
        }
    }
}

#[test]
fn a_message_of_unknown_length_leaves_as_fragments_and_control_frames_go_between() {
    let mut server = Bench::server();
    server.connection.begin_message(Kind::Text).expect("open");
    server.connection.send_piece(b"", false).expect("open");
    assert_eq!(server.written(), b"", "an empty piece is no frame");
    server.connection.send_piece(b"gr\xc3", false).expect("open");
    server.connection.ping(b"p").expect("open");
    server.receive(&masked(0x89, b"q"));
    server.connection.send_piece(b"\xbc\xc3\x9fe", true).expect("open");
    let expected =
        [plain(0x01, b"gr\xc3"), plain(0x89, b"p"), plain(0x8a, b"q"), plain(0x80, b"\xbc\xc3\x9fe")];
    assert_eq!(server.written(), expected.concat());
    server.connection.send("next".into()).expect("the message has ended");
}

#[test]
fn while_a_message_is_open_no_other_may_begin_and_text_must_stay_text() {
    let mut server = Bench::server();
    assert_eq!(server.connection.send_piece(b"", true), Err(Misuse::NoMessageOpen));
    server.connection.begin_message(Kind::Text).expect("open");
    assert_eq!(server.connection.begin_message(Kind::Text), Err(Misuse::MessageOpen));
    assert_eq!(server.connection.send("x".into()), Err(Misuse::MessageOpen));
    assert_eq!(server.connection.send_uncompressed("x".into()), Err(Misuse::MessageOpen));
    assert_eq!(server.connection.send_prepared(&Prepared::text("x")), Err(Misuse::MessageOpen));
    assert_eq!(server.connection.send_piece(b"\xff", false), Err(Misuse::InvalidUtf8));
    server.connection.send_piece(b"a\xe2\x82", false).expect("a code point may be cut");
    assert_eq!(server.connection.send_piece(b"", true), Err(Misuse::InvalidUtf8));
    server.connection.send_piece(b"\xac", true).expect("whole");
    assert_eq!(server.written(), [plain(0x01, b"a\xe2\x82"), plain(0x80, b"\xac")].concat());
}

#[test]
fn pieces_past_the_outgoing_mark_or_after_our_close_are_refused_and_queue_nothing() {
    let mut server = Bench::new(Role::Server, Limits { outgoing: 100, ..Limits::default() });
    server.connection.begin_message(Kind::Binary).expect("open");
    server.connection.send_piece(&[0; 200], false).expect("one may overshoot");
    let full = Misuse::Full { waiting: 204, limit: 100 };
    assert_eq!(server.connection.send_piece(b"x", false), Err(full));
    server.written();
    server.connection.send_piece(b"x", false).expect("room again");
    server.connection.close(server.now, None, "").expect("valid");
    assert_eq!(server.connection.send_piece(b"x", true), Err(Misuse::AfterClose));
    assert!(!server.connection.is_message_open());
    assert_eq!(server.written(), [plain(0x00, b"x"), plain(0x88, b"")].concat());
}

#[test]
fn an_abandoned_message_never_looks_whole() {
    let mut untouched = Bench::server();
    untouched.connection.begin_message(Kind::Text).expect("open");
    untouched.connection.abandon_message(untouched.now);
    untouched.connection.send("fine".into()).expect("nothing of it was sent");
    let mut server = Bench::server();
    server.connection.begin_message(Kind::Text).expect("open");
    server.connection.send_piece(b"half", false).expect("open");
    server.connection.abandon_message(server.now);
    let reason = [&1011u16.to_be_bytes()[..], b"a message was left unfinished"].concat();
    let bytes = server.written();
    assert_eq!(bytes, [plain(0x01, b"half"), plain(0x88, &reason)].concat());
    let events = Bench::client().receive(&bytes);
    let [Event::Closed(closed)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(closed.code, 1011);
    // Compressed, it may not have left at all; the windows are out of step all the same.
    let (_, mut server) = Bench::both(&Limits::default(), agreed(true));
    server.connection.begin_message(Kind::Text).expect("open");
    server.connection.send_piece(b"half", false).expect("open");
    server.connection.abandon_message(server.now);
    assert_eq!(server.written(), plain(0x88, &reason));
}

proptest! {
    #[test]
    fn pieces_sent_are_the_message_received_whatever_the_cuts_and_the_compression(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..10),
        compression in proptest::option::of(any::<bool>()),
        (cut, whole) in (1usize..3000, any::<bool>()),
    ) {
        let limits = Limits { outgoing: 1 << 20, ..Limits::default() };
        let setup = Setup { deflate: compression.map(agreed), ..Setup::from(limits) };
        let mut client = Bench::new(Role::Client(fixed_mask), setup.clone());
        let mut server = Bench::new(Role::Server, setup);
        server.connection.receive_pieces(!whole);
        for round in 0..2 {
            client.connection.begin_message(Kind::Binary).expect("open");
            for piece in &pieces {
                client.connection.send_piece(piece, false).expect("room");
            }
            client.connection.send_piece(&[round], true).expect("room");
        }
        let bytes = client.written();
        let events: Vec<_> = bytes.chunks(cut).flat_map(|part| server.receive(part)).collect();
        let expected = |round| (Kind::Binary, [pieces.concat(), vec![round]].concat());
        prop_assert_eq!(messages(&events), [expected(0), expected(1)]);
    }
}
