//! Remotes that send much and read nothing: memory stays bounded.

use super::*;

#[test]
fn ten_pings_in_one_packet_get_ten_pongs_in_order() {
    let mut server = Bench::server();
    let pings: Vec<u8> = (0..10u8).flat_map(|i| masked(0x89, &[i])).collect();
    server.receive(&pings);
    let pongs: Vec<u8> = (0..10u8).flat_map(|i| plain(0x8a, &[i])).collect();
    assert_eq!(server.written(), pongs);
}

#[test]
fn a_ping_flood_from_a_remote_that_does_not_read_leaves_a_bounded_output_and_the_latest_pong() {
    let mut server = Bench::server();
    for i in 0..100_000u32 {
        server.receive(&masked(0x89, &i.to_be_bytes()));
        assert!(server.connection.buffered() <= 4096);
    }
    let written = server.written();
    assert_eq!(written[..12], [plain(0x8a, &0u32.to_be_bytes()), plain(0x8a, &1u32.to_be_bytes())].concat());
    assert_eq!(written[written.len() - 6..], plain(0x8a, &99_999u32.to_be_bytes()));
    assert!(written.len() < 4200, "{} bytes", written.len());
    server.receive(&masked(0x89, b"again"));
    assert_eq!(server.written(), plain(0x8a, b"again"));
}

#[test]
fn a_held_pong_does_not_wait_for_the_output_to_be_empty() {
    let mut server = Bench::server();
    server.connection.send(vec![1u8; 100_000].into()).expect("room");
    for i in 0..1000u32 {
        server.receive(&masked(0x89, &i.to_be_bytes()));
    }
    let mut all = Vec::new();
    // Data that never stops: the output holds some at every moment.
    for _ in 0..2000 {
        server.connection.send(vec![2u8; 50].into()).expect("room");
        let output = server.connection.poll_transmit().expect("data waits");
        let step = output.chunk().len().min(100);
        all.extend_from_slice(&output.chunk()[..step]);
        output.advance(step);
        assert!(server.connection.buffered() > 0);
    }
    let last = plain(0x8a, &999u32.to_be_bytes());
    assert!(all.windows(last.len()).any(|window| window == last), "the latest Pong left");
}

#[test]
fn a_remote_that_talks_and_never_reads_gets_one_ping_and_not_one_for_every_interval() {
    let mut server = Bench::server();
    for _ in 0..1000 {
        server.wait(Duration::from_secs(30));
        server.receive(&masked(0x8a, b""));
    }
    assert_eq!(server.connection.buffered(), 6);
}

#[test]
fn sending_past_the_outgoing_mark_is_refused_and_queues_nothing() {
    let limits = Limits { outgoing: 1000, ..Limits::default() };
    let mut server = Bench::new(Role::Server, limits);
    server.connection.send(vec![0u8; 5000].into()).expect("one message may overshoot");
    let waiting = server.connection.buffered();
    let full = Misuse::Full { waiting, limit: 1000 };
    assert!(!server.connection.has_room());
    assert_eq!(server.connection.send("x".into()), Err(full));
    assert_eq!(server.connection.send_prepared(&Prepared::text("x")), Err(full));
    assert_eq!(server.connection.ping(b""), Err(full));
    assert_eq!(server.connection.buffered(), waiting);
    server.written();
    server.connection.send("x".into()).expect("room again");
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    let mut server = Bench::server();
    let frame = masked(0x82, &[1; 100_000]);
    assert_eq!(server.receive(&frame[..70_000]), []);
    assert_eq!(server.receive(&frame[70_000..]), [binary(&[1; 100_000])]);
    server.connection.send(vec![1u8; 100_000].into()).expect("room");
    server.written();
    assert_eq!(server.connection.assembler_capacity(), 0);
    assert_eq!(server.connection.output_capacity(), 0);
}

#[test]
fn memory_for_a_message_follows_what_arrived_and_never_passes_what_was_announced() {
    let mut server = Bench::new(Role::Server, Limits { message: 1 << 20, ..Limits::default() });
    let frame = masked(0x82, &vec![1; 1 << 20]);
    let mut arrived = 0;
    for piece in frame.chunks(4000) {
        server.receive(piece);
        arrived += piece.len();
        let capacity = server.connection.assembler_capacity();
        assert!(capacity <= (2 * arrived).min(1 << 20), "{capacity} bytes kept of {arrived}");
    }
}
