//! Each deadline of a connection: nothing happens the nanosecond before, and at it all of it does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Buf;
use trunkline_websocket::{AfterWrite, Cause, CloseCode, Connection, Event, Limits, Role, Why};

const NANOSECOND: Duration = Duration::from_nanos(1);

fn connection(role: Role, now: Instant) -> Connection {
    Connection::new(role, Arc::new(Limits::default()), now)
}

fn written(connection: &mut Connection) -> Vec<u8> {
    let mut written = Vec::new();
    while let Some(output) = connection.poll_transmit() {
        let count = output.chunk().len();
        written.extend_from_slice(output.chunk());
        output.advance(count);
    }
    written
}

/// Nothing is due one nanosecond before `deadline`, which is the one that is set, and why.
fn not_yet(connection: &mut Connection, deadline: Instant, why: Why) {
    assert_eq!(connection.poll_timeout(), Some((deadline, why)));
    let before = connection.after_write();
    connection.handle_timeout(deadline - NANOSECOND);
    assert_eq!(connection.poll_timeout(), Some((deadline, why)), "too early, and nothing is done");
    assert_eq!(written(connection), b"");
    assert_eq!(connection.poll_event(), None);
    assert_eq!(connection.after_write(), before);
}

fn cause(connection: &mut Connection) -> Cause {
    match connection.poll_event() {
        Some(Event::Closed(closed)) => closed.cause,
        other => panic!("not the end: {other:?}"),
    }
}

#[test]
fn an_idle_remote_is_asked_at_the_ping_interval_and_given_up_at_the_pong_timeout_and_never_before() {
    let start = Instant::now();
    let mut server = connection(Role::Server, start);
    let limits = server.limits().clone();
    let (interval, timeout) = (limits.ping_interval.expect("on"), limits.pong_timeout.expect("on"));

    let asks = start + interval;
    not_yet(&mut server, asks, Why::Ping);
    server.handle_timeout(asks);
    assert_eq!(written(&mut server)[0], 0x89, "it is asked");

    let gives_up = asks + timeout;
    not_yet(&mut server, gives_up, Why::Pong);
    server.handle_timeout(gives_up);
    assert_eq!(cause(&mut server), Cause::TimedOut(Why::Pong, timeout));
}

#[test]
fn a_sign_of_life_that_comes_the_moment_before_a_deadline_moves_it() {
    let start = Instant::now();
    let mut server = connection(Role::Server, start);
    let limits = server.limits().clone();
    let interval = limits.ping_interval.expect("on");
    let heard = start + interval - NANOSECOND;
    assert_eq!(server.receive(heard, &mut [0x8a, 0x80, 0, 0, 0, 0]).count(), 1);
    server.handle_timeout(start + interval);
    assert_eq!(written(&mut server), b"", "nothing is asked");
    assert_eq!(server.poll_timeout(), Some((heard + interval, Why::Ping)));
}

#[test]
fn a_close_without_an_answer_is_given_up_at_the_close_timeout_and_not_before() {
    let start = Instant::now();
    let mut server = connection(Role::Server, start);
    let timeout = server.limits().close_timeout.expect("on");
    server.close(start, Some(CloseCode::NORMAL), "").expect("valid");
    assert_eq!(written(&mut server).len(), 4);
    not_yet(&mut server, start + timeout, Why::Close);
    server.handle_timeout(start + timeout);
    assert_eq!(cause(&mut server), Cause::TimedOut(Why::Close, timeout));
    assert_eq!(server.after_write(), AfterWrite::DropAtOnce);
}

#[test]
fn a_stream_that_does_not_end_after_the_close_is_dropped_at_the_close_timeout_and_not_before() {
    let start = Instant::now();
    let mut client = connection(Role::Client(|| [0; 4]), start);
    let timeout = client.limits().close_timeout.expect("on");
    let mut close = [0x88, 2, 3, 0xe8];
    assert_eq!(client.receive(start, &mut close).count(), 1, "the end is told at once");
    assert_eq!(written(&mut client).len(), 8);
    assert_eq!(client.after_write(), AfterWrite::AwaitEnd);
    not_yet(&mut client, start + timeout, Why::Linger);
    client.handle_timeout(start + timeout);
    assert_eq!(client.after_write(), AfterWrite::DropAtOnce);
}
