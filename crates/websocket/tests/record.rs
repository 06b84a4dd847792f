//! Faults that other implementations had, and that no other test here would have caught in so many words.
//!
//! `docs/security-record.md` says which.

mod handshake_support;

use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use handshake_support::{add, example, speaks};
use proptest::prelude::*;
use trunkline_websocket::handshake::accept;
use trunkline_websocket::handshake::negotiate::parse_extensions;
use trunkline_websocket::{Cause, Connection, Event, Limits, Role, Violation};

const KEY: [u8; 4] = [1, 2, 3, 4];

fn connection(server: bool, limits: Limits) -> Connection {
    let role = if server { Role::Server } else { Role::Client(|| KEY) };
    Connection::new(role, Arc::new(limits), Instant::now())
}

/// A frame for that role, by a mask of zeros if it has to have one.
fn frame(to_server: bool, first: u8, payload: &[u8]) -> Vec<u8> {
    let short = u8::try_from(payload.len()).expect("a short payload");
    let mask: &[u8] = if to_server { &[0; 4] } else { &[] };
    [&[first, if to_server { 0x80 | short } else { short }], mask, payload].concat()
}

fn violation(connection: &mut Connection, bytes: &[u8]) -> Option<Violation> {
    let mut found = None;
    for event in connection.receive(Instant::now(), &mut bytes.to_vec()) {
        if let Event::Closed(closed) = event {
            let Cause::Violation(violation) = closed.cause else { panic!("{closed:?}") };
            assert_eq!(found.replace(violation), None, "told once");
        }
    }
    found
}

proptest! {
    /// Where a length is cut to 32 bits before it is compared, 2^32 and a little is a little.
    #[test]
    fn any_length_over_the_limit_is_refused_whatever_its_low_bits_say(
        high in 1_u64..1 << 31,
        low in 0_u64..2000,
        server: bool,
        fragmented: bool,
    ) {
        let len = (high << 32) + low;
        let second = if server { 0xff } else { 0x7f };
        let mut connection = connection(server, Limits { message: 1000, ..Limits::default() });
        if fragmented {
            prop_assert_eq!(violation(&mut connection, &frame(server, 0x02, b"begun")), None);
        }
        let first = if fragmented { 0x80 } else { 0x82 };
        let header = [&[first, second][..], &len.to_be_bytes(), if server { &[0; 4] } else { &[] }].concat();
        let begun = if fragmented { 5 } else { 0 };
        let refused = violation(&mut connection, &header);
        prop_assert!(
            matches!(refused, Some(Violation::MessageTooBig { got, .. }) if got == len + begun),
            "{:?}", refused
        );
    }

    /// A step that neither takes a byte nor waits for one is taken for ever.
    #[test]
    fn a_read_gives_at_most_one_event_for_each_two_bytes_and_one_for_the_end(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        frames in proptest::collection::vec((prop_oneof![Just(0x89u8), Just(0x82), Just(0x8a)], 0usize..3), 0..20),
        server: bool,
    ) {
        let frames = frames.iter().flat_map(|(first, len)| frame(server, *first, &vec![7; *len]));
        let mut input: Vec<u8> = frames.chain(bytes).collect();
        let (most, given) = (input.len() / 2 + 1, input.len());
        let mut connection = connection(server, Limits::default());
        let mut events = connection.receive(Instant::now(), &mut input);
        let mut count = 0;
        while events.next().is_some() {
            count += 1;
            prop_assert!(count <= most, "{count} events of {given} bytes");
        }
        prop_assert_eq!(events.consumed(), given, "all of it was used");
        prop_assert!(events.next().is_none(), "and that is all");
    }
}

/// Where a payload's length and its buffer's came from different places, a pong carried what lay behind it in memory.
#[test]
fn a_pong_carries_the_bytes_of_its_ping_and_no_others_for_every_length_and_cut() {
    for server in [true, false] {
        for len in 0..=125 {
            let payload: Vec<u8> = (0..len).collect();
            let ping = frame(server, 0x89, &payload);
            for cut in [0, 1, 2, ping.len() / 2, ping.len() - 1] {
                let mut connection = connection(server, Limits::default());
                for piece in [&ping[..cut], &ping[cut..]] {
                    assert_eq!(violation(&mut connection, piece), None);
                }
                let mut pong = Vec::new();
                while let Some(output) = connection.poll_transmit() {
                    pong.extend_from_slice(output.chunk());
                    output.advance(output.chunk().len());
                }
                let expected = if server {
                    [&[0x8a, len], &payload[..]].concat()
                } else {
                    let masked = payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key);
                    [0x8a, 0x80 | len].into_iter().chain(KEY).chain(masked).collect()
                };
                assert_eq!(pong, expected, "{len} bytes, cut at {cut}");
            }
        }
    }
}

/// A client is flooded by a server as a server is by a client.
#[test]
fn fragments_are_counted_in_both_roles_whatever_is_in_them() {
    for server in [true, false] {
        for payload in [&b""[..], b"x"] {
            let limits = Limits { fragments: 10, ..Limits::default() };
            let more = |count: usize| {
                [frame(server, 0x02, payload), frame(server, 0x00, payload).repeat(count)].concat()
            };
            let mut taken = connection(server, limits.clone());
            assert_eq!(violation(&mut taken, &[more(9), frame(server, 0x80, payload)].concat()), None);
            let mut refused = connection(server, limits);
            assert_eq!(violation(&mut refused, &more(10)), Some(Violation::TooManyFragments { limit: 10 }));
        }
    }
}

/// Names that are more than names where a table of parameters is an object of the language.
#[test]
fn an_extension_or_parameter_may_have_any_name_and_is_unknown_like_others() {
    for name in
        ["__proto__", "constructor", "prototype", "hasOwnProperty", "toString", "length", "0", "-1", "nil"]
    {
        for list in
            [name.to_owned(), format!("x; {name}"), format!("x; {name}={name}; {name}={name}, {name}")]
        {
            let request = add(example(), "Sec-WebSocket-Extensions", &list);
            let offers: Result<Vec<_>, _> = parse_extensions(request.headers()).collect();
            assert!(!offers.expect("it is well formed").is_empty(), "{list}");
            let accepted = accept(&request, &speaks(&[])).expect("an unknown extension is declined, no more");
            assert!(!accepted.response().headers().contains_key("sec-websocket-extensions"), "{list}");
        }
    }
}

/// Each of the five headers that make the upgrade is left out, doubled, emptied or spoilt while all others are right.
#[test]
fn no_upgrade_is_made_of_a_request_that_lacks_a_part_of_it() {
    let names = ["host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"];
    for name in names {
        for values in [&[][..], &[""], &["nonsense"], &["@", "@"]] {
            let request = handshake_support::set(example(), name, values);
            // A host may be called anything.
            let is_host = name == "host" && values == ["nonsense"];
            assert_eq!(accept(&request, &speaks(&[])).is_ok(), is_host, "{name}: {values:?}");
        }
    }
}
