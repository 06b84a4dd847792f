//! Data, fragments, UTF-8 and control frames between them (sections 5.4 to 5.6, 8.1).

use super::*;

#[test]
fn server_reads_the_masked_hello_of_the_rfc() {
    let events = Bench::server().receive(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(events, [text("Hello")]);
}

#[test]
fn client_reads_the_unmasked_examples_of_the_rfc() {
    let mut client = Bench::client();
    assert_eq!(client.receive(b"\x81\x05\x48\x65\x6c\x6c\x6f"), [text("Hello")]);
    assert_eq!(client.receive(b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f"), [text("Hello")]);
    let long = [&[0x82, 0x7e, 0x01, 0x00][..], &[9; 256]].concat();
    assert_eq!(client.receive(&long), [binary(&[9; 256])]);
    let longer = [&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0][..], &[8; 65536]].concat();
    assert_eq!(client.receive(&longer), [binary(&[8; 65536])]);
}

#[test]
fn client_masks_every_frame_and_server_none() {
    let mut client = Bench::client();
    client.connection.send("Hello".into()).expect("open");
    assert_eq!(client.written(), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    let mut server = Bench::server();
    server.connection.send("Hello".into()).expect("open");
    assert_eq!(server.written(), b"\x81\x05Hello");
}

#[test]
fn client_takes_a_fresh_mask_for_every_frame() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let source: MaskSource = || COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut client = Bench::new(Role::Client(source), Limits::default());
    client.connection.send(Message::Binary(Vec::new().into())).expect("open");
    client.connection.ping(b"").expect("open");
    client.connection.send(Message::Binary(Vec::new().into())).expect("open");
    client.connection.close(client.now, None, "").expect("open");
    let written = client.written();
    let masks: Vec<&[u8]> = written.chunks(6).map(|frame| &frame[2..]).collect();
    assert_eq!(masks, [[0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 0, 3], [0, 0, 0, 4]]);
}

#[test]
fn a_prepared_message_is_the_same_as_one_framed_for_the_connection() {
    for len in [0, 5, 125, 126, 65535, 65536] {
        let payload = "x".repeat(len);
        for make in [Bench::server as fn() -> Bench, Bench::client] {
            let (mut once, mut anew) = (make(), make());
            once.connection.send_prepared(&Prepared::text(&payload)).expect("open");
            anew.connection.send(payload.as_str().into()).expect("open");
            assert_eq!(once.written(), anew.written());
        }
    }
    assert_eq!(Prepared::binary(b"ab").payload(), b"ab");
}

#[test]
fn control_frames_between_fragments_are_handled_at_once() {
    let mut server = Bench::server();
    let bytes = [masked(0x01, b"a"), masked(0x89, b"now"), masked(0x8a, b"x"), masked(0x80, b"b")].concat();
    assert_eq!(
        server.receive(&bytes),
        [Event::Ping(b"now"[..].into()), Event::Pong(b"x"[..].into()), text("ab")]
    );
    assert_eq!(server.written(), plain(0x8a, b"now"));
}

#[test]
fn empty_frames_and_fragments_are_legal() {
    let mut server = Bench::server();
    assert_eq!(server.receive(&masked(0x81, b"")), [text("")]);
    assert_eq!(server.receive(&masked(0x82, b"")), [binary(b"")]);
    let fragments = [masked(0x01, b""), masked(0x00, b"a"), masked(0x00, b""), masked(0x80, b"")].concat();
    assert_eq!(server.receive(&fragments), [text("a")]);
}

#[test]
fn a_code_point_may_straddle_fragments_and_reads() {
    let smile = "a😀é".as_bytes();
    for cut in 0..=smile.len() {
        let bytes = [masked(0x01, &smile[..cut]), masked(0x80, &smile[cut..])].concat();
        assert_eq!(Bench::server().receive(&bytes), [text("a😀é")], "cut at {cut}");
        assert_eq!(Bench::server().receive_one_by_one(&bytes), [text("a😀é")], "cut at {cut}");
    }
}

#[test]
fn server_fails_with_1007_at_the_first_byte_that_cannot_be_utf8() {
    // The frame announces 100 bytes; the verdict must not wait for them.
    let mut server = Bench::server();
    let frame = masked(0x81, &[&b"ok\xf4\x90"[..], &[b'x'; 96]].concat());
    assert_eq!(server.receive(&frame[..6 + 3]), []);
    assert_eq!(violation(&server.receive(&frame[9..10])), Violation::InvalidUtf8);
    assert_eq!(server.written(), plain(0x88, &why(Violation::InvalidUtf8)));
}

#[test]
fn text_that_ends_inside_a_code_point_is_refused() {
    for bytes in [masked(0x81, b"\xe2\x82"), [masked(0x01, b"\xe2"), masked(0x80, b"\x82")].concat()] {
        assert_eq!(violation(&Bench::server().receive(&bytes)), Violation::InvalidUtf8);
        assert_eq!(violation(&Bench::server().receive_one_by_one(&bytes)), Violation::InvalidUtf8);
    }
}

#[test]
fn binary_need_not_be_utf8() {
    assert_eq!(Bench::server().receive(&masked(0x82, b"\xff\xfe")), [binary(b"\xff\xfe")]);
}

#[test]
fn a_ping_is_answered_with_its_payload_and_a_pong_is_not_answered() {
    let mut server = Bench::server();
    assert_eq!(server.receive(&masked(0x89, b"payload")), [Event::Ping(b"payload"[..].into())]);
    assert_eq!(server.written(), plain(0x8a, b"payload"));
    assert_eq!(server.receive(&masked(0x8a, b"unasked")), [Event::Pong(b"unasked"[..].into())]);
    assert_eq!(server.written(), b"");
}

#[test]
fn control_payloads_of_125_bytes_pass_and_our_own_longer_ones_are_our_mistake() {
    let mut server = Bench::server();
    let full = [7u8; 125];
    assert_eq!(server.receive_one_by_one(&masked(0x89, &full)), [Event::Ping(full[..].into()).into_owned()]);
    assert_eq!(server.written(), plain(0x8a, &full));
    let long = Misuse::LongControl { limit: 125, got: 126 };
    assert_eq!(server.connection.ping(&[0; 126]), Err(long));
    assert_eq!(server.connection.pong(&[0; 126]), Err(long));
    assert_eq!(server.written(), b"");
}

#[test]
fn many_frames_in_one_read_are_all_there_byte_exact() {
    let mut server = Bench::server();
    let bytes: Vec<u8> = (0..200u8).flat_map(|i| masked(0x82, &vec![i; usize::from(i)])).collect();
    let expected: Vec<_> = (0..200u8).map(|i| binary(&vec![i; usize::from(i)])).collect();
    assert_eq!(server.receive(&bytes), expected);
}

#[test]
fn iteration_may_stop_early_and_go_on_with_the_rest() {
    let mut server = Bench::server();
    let mut input = [masked(0x81, b"one"), masked(0x81, b"two"), masked(0x81, b"three")].concat();
    let mut events = server.connection.receive(server.now, &mut input);
    assert_eq!(events.next().map(Event::into_owned), Some(text("one")));
    let used = events.consumed();
    assert_eq!(used, 6 + 3);
    assert_eq!(server.receive(&input.split_off(used)), [text("two"), text("three")]);
}

#[test]
fn whole_messages_are_borrowed_from_the_input() {
    let mut server = Bench::server();
    let mut input = masked(0x82, b"borrowed");
    let range = input.as_ptr_range();
    let event = server.connection.receive(server.now, &mut input).next();
    let Some(Event::Binary(Cow::Borrowed(data))) = event else { panic!("not borrowed: {event:?}") };
    assert!(range.contains(&data.as_ptr()));
}
