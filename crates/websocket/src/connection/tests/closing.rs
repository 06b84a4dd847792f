//! The closing handshake, its codes and its deadlines; keepalive (sections 5.5, 7.1).

use super::*;

const CLOSE_1000: [u8; 2] = 1000u16.to_be_bytes();

#[test]
fn server_answers_a_close_with_its_code_and_drops_the_stream() {
    let mut server = Bench::server();
    let events = server.receive(&masked(0x88, b"\x03\xe8bye"));
    let expected = Closed { code: 1000, reason: "bye".into(), cause: Cause::ClosedByRemote };
    assert_eq!(events, [Event::Closed(expected)]);
    assert_eq!(server.written(), plain(0x88, &CLOSE_1000));
    assert_eq!(server.connection.after_write(), AfterWrite::Drop);
}

#[test]
fn client_answers_a_close_and_waits_for_the_server_to_end_the_stream() {
    let mut client = Bench::client();
    assert!(the_end(&client.receive(&plain(0x88, &CLOSE_1000))).is_clean());
    assert_eq!(client.written(), masked(0x88, &CLOSE_1000));
    assert_eq!(client.connection.after_write(), AfterWrite::AwaitEnd);
    assert_eq!(client.end(), None);
    assert_eq!(client.connection.after_write(), AfterWrite::DropAtOnce);
}

#[test]
fn client_that_waits_for_the_end_of_the_stream_gives_up_after_the_close_timeout() {
    let mut client = Bench::client();
    client.receive(&plain(0x88, &CLOSE_1000));
    let (at, why) = client.connection.poll_timeout().expect("a deadline");
    assert_eq!((at, why), (client.now + Duration::from_secs(5), Why::Linger));
    assert_eq!(client.wait(Duration::from_secs(5)), None);
    assert_eq!(client.connection.after_write(), AfterWrite::DropAtOnce);
    assert_eq!(client.connection.poll_timeout(), None);
}

#[test]
fn an_empty_close_is_1005_and_is_answered_by_an_empty_close() {
    let mut server = Bench::server();
    assert_eq!(the_end(&server.receive(&masked(0x88, b""))).code, 1005);
    assert_eq!(server.written(), plain(0x88, b""));
}

#[test]
fn close_without_a_code_sends_an_empty_body() {
    let mut client = Bench::client();
    client.connection.close(client.now, None, "").expect("valid");
    assert_eq!(client.written(), masked(0x88, b""));
}

#[test]
fn closing_ourselves_ends_with_the_remotes_close() {
    let mut server = Bench::server();
    server.connection.close(server.now, Some(CloseCode::GOING_AWAY), "stop").expect("valid");
    assert_eq!(server.written(), plain(0x88, b"\x03\xe9stop"));
    assert!(!server.connection.is_open());
    let events = server.receive(&masked(0x88, &CLOSE_1000));
    assert_eq!(the_end(&events), Closed { code: 1000, reason: String::new(), cause: Cause::ClosedByUs });
    assert_eq!(server.written(), b"", "one Close frame is enough");
}

#[test]
fn messages_that_arrive_after_our_close_are_still_delivered() {
    let mut server = Bench::server();
    server.connection.close(server.now, None, "").expect("valid");
    let bytes = [masked(0x81, b"late"), masked(0x88, b"")].concat();
    let events = server.receive(&bytes);
    assert_eq!(events[0], text("late"));
    assert!(the_end(&events).is_clean());
}

#[test]
fn no_data_may_be_sent_after_our_close_and_pings_are_no_longer_answered() {
    let mut server = Bench::server();
    server.connection.close(server.now, None, "").expect("valid");
    assert_eq!(server.connection.send("late".into()), Err(Misuse::AfterClose));
    assert_eq!(server.connection.send_prepared(&Prepared::text("late")), Err(Misuse::AfterClose));
    assert_eq!(server.connection.ping(b""), Err(Misuse::AfterClose));
    server.receive(&masked(0x89, b"still there?"));
    server.connection.close(server.now, None, "").expect("closing twice is no mistake");
    assert_eq!(server.written(), plain(0x88, b""));
}

#[test]
fn a_remote_that_never_answers_our_close_is_given_up_after_the_timeout() {
    let mut server = Bench::server();
    server.connection.close(server.now, None, "").expect("valid");
    let (at, why) = server.connection.poll_timeout().expect("a deadline");
    assert_eq!((at, why), (server.now + Duration::from_secs(5), Why::Close));
    assert_eq!(server.wait(Duration::from_millis(4999)), None);
    server.receive(&masked(0x81, b"chatter does not extend it"));
    let Some(Event::Closed(closed)) = server.wait(Duration::from_millis(1)) else { panic!("not closed") };
    assert_eq!(closed.cause, Cause::TimedOut(Why::Close, Duration::from_secs(5)));
    assert_eq!((closed.code, closed.is_clean()), (1006, false));
    assert_eq!(server.connection.after_write(), AfterWrite::DropAtOnce);
}

#[test]
fn a_violation_while_closing_sends_no_second_close() {
    let mut server = Bench::server();
    server.connection.close(server.now, None, "").expect("valid");
    server.written();
    assert_eq!(violation(&server.receive(&masked(0x83, b""))), Violation::ReservedOpcode { opcode: 3 });
    assert_eq!(server.written(), b"");
}

#[test]
fn what_follows_the_remotes_close_is_ignored() {
    let mut server = Bench::server();
    let bytes = [masked(0x88, b""), masked(0x81, b"after"), vec![0xff; 50]].concat();
    assert_eq!(server.receive(&bytes).len(), 1);
    assert_eq!(server.end(), None);
}

#[test]
fn a_failed_connection_lingers_no_longer_than_the_close_timeout() {
    let mut server = Bench::server();
    server.receive(&masked(0x83, b""));
    server.receive(&[0; 100_000]);
    assert_eq!(server.connection.poll_timeout().map(|(_, why)| why), Some(Why::Linger));
    assert_eq!(server.wait(Duration::from_secs(5)), None);
    assert_eq!(server.connection.after_write(), AfterWrite::DropAtOnce);
}

#[test]
fn the_end_of_the_stream_without_a_close_is_1006() {
    let mut server = Bench::server();
    let Some(Event::Closed(closed)) = server.end() else { panic!("not closed") };
    assert_eq!(closed, Closed { code: 1006, reason: String::new(), cause: Cause::StreamEnded });
    assert_eq!(server.end(), None);
    assert_eq!(server.connection.send("x".into()), Err(Misuse::AfterClose));
}

#[test]
fn an_idle_remote_is_asked_after_the_interval_and_given_up_without_an_answer() {
    let mut server = Bench::server();
    let interval = Duration::from_secs(30);
    assert_eq!(server.connection.poll_timeout(), Some((server.now + interval, Why::Ping)));
    assert_eq!(server.wait(interval), None);
    assert_eq!(server.written(), plain(0x89, &1u32.to_be_bytes()));
    let timeout = Duration::from_secs(10);
    assert_eq!(server.connection.poll_timeout(), Some((server.now + timeout, Why::Pong)));
    let Some(Event::Closed(closed)) = server.wait(timeout) else { panic!("not closed") };
    assert_eq!((closed.code, closed.cause), (1006, Cause::TimedOut(Why::Pong, timeout)));
    // The remote is told, and that it was the remote that did not answer: 1008, not 1011.
    assert_eq!(server.written(), plain(0x88, b"\x03\xf0no answer to a ping"));
}

#[test]
fn any_byte_is_a_sign_of_life_and_the_pong_measures_the_round_trip() {
    let mut server = Bench::server();
    server.wait(Duration::from_secs(30));
    server.now += Duration::from_secs(9);
    server.receive(&masked(0x81, b"busy")[..3]);
    assert_eq!(server.connection.poll_timeout(), Some((server.now + Duration::from_secs(30), Why::Ping)));
    server.receive(&masked(0x81, b"busy")[3..]);
    assert_eq!(server.connection.round_trip(), None);
    server.now += Duration::from_secs(1);
    server.receive(&masked(0x8a, &1u32.to_be_bytes()));
    assert_eq!(server.connection.round_trip(), Some(Duration::from_secs(10)));
    server.now += Duration::from_secs(1);
    server.receive(&masked(0x8a, &1u32.to_be_bytes()));
    assert_eq!(server.connection.round_trip(), Some(Duration::from_secs(10)), "only its first Pong counts");
}

#[test]
fn keepalive_can_be_turned_off() {
    let limits = Limits { ping_interval: None, ..Limits::default() };
    assert_eq!(Bench::new(Role::Server, limits).connection.poll_timeout(), None);
}
