//! What can be seen of a connection.

use std::cell::RefCell;

use super::*;
use crate::close::EndedBy;
use crate::deflate::InvalidDeflate;
use crate::observe::{FrameNote, Traffic};

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn see(note: &FrameNote) {
    SEEN.with_borrow_mut(|seen| seen.push(note.to_string()));
}

#[test]
fn every_frame_is_seen_once_in_order_and_without_its_payload() {
    let setup = Setup { observer: Some(see), deflate: Some(agreed(false)), ..Setup::default() };
    let mut server = Bench::new(Role::Server, setup);
    server.receive(&[masked(0x01, b"secret"), masked(0x89, b"abcd"), masked(0x80, b"")].concat());
    server.connection.send("secret".repeat(20).into()).expect("room");
    server.connection.send_prepared(&Prepared::text("secret")).expect("room");
    server.connection.begin_message(Kind::Binary).expect("open");
    server.connection.send_piece(b"", true).expect("room");
    server.wait(Duration::from_secs(31));
    server.receive(&masked(0x88, b"\x03\xe8secret"));
    let seen = SEEN.take();
    let squeezed = squeezed("secret".repeat(20).as_bytes()).len();
    let expected = [
        "< Text 6",
        "< Ping 4",
        "> Pong 4",
        "< Continuation 0 fin",
        &format!("> Text {squeezed} fin deflated"),
        "> Text 6 fin",
        "> Binary 1 fin deflated",
        "> Ping 4",
        "< Close 1000",
        "> Close 1000",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn counters_say_what_went_each_way() {
    let (mut client, mut server) = Bench::both(&Limits::default(), agreed(true));
    let long = "the same again ".repeat(100);
    client.connection.send(long.as_str().into()).expect("room");
    client.connection.send_uncompressed("plain".into()).expect("room");
    client.connection.ping(b"1234").expect("room");
    let bytes = client.written();
    server.receive(&bytes);
    let back = server.written();
    client.receive(&back);
    let (sent, received) = (client.connection.counters().sent, server.connection.counters().received);
    assert_eq!(sent, received, "what one sent is what the other received");
    let deflated = sent.deflated_bytes;
    let expected = Traffic {
        wire_bytes: bytes.len() as u64,
        frames: 3,
        messages: 2,
        payload_bytes: 1505,
        pings: 1,
        pongs: 0,
        deflated_bytes: deflated,
        inflated_bytes: 1500,
    };
    assert_eq!(sent, expected);
    assert!((10..100).contains(&deflated), "{deflated} bytes for 1500 of the same");
    let answer = Traffic { wire_bytes: 6, frames: 1, pongs: 1, ..Traffic::default() };
    assert_eq!((server.connection.counters().sent, client.connection.counters().received), (answer, answer));
}

#[test]
fn pieces_count_as_the_message_that_they_are() {
    let (mut client, mut server) = Bench::both(&Limits::default(), agreed(false));
    server.connection.receive_pieces(true);
    client.connection.begin_message(Kind::Binary).expect("open");
    for _ in 0..10 {
        client.connection.send_piece(&[7; 10_000], false).expect("room");
    }
    client.connection.send_piece(b"", true).expect("room");
    server.receive(&client.written());
    let (sent, received) = (client.connection.counters().sent, server.connection.counters().received);
    assert_eq!(sent, received);
    assert_eq!((sent.messages, sent.payload_bytes, sent.inflated_bytes), (1, 100_000, 100_000));
}

#[test]
fn a_counter_costs_an_idle_connection_no_more_than_its_digits() {
    assert_eq!(size_of::<Tally>(), 8 + 2 * 32);
    assert_eq!(size_of::<Option<Box<Compression>>>(), 8);
}

#[test]
fn every_end_says_who_brought_it_about_and_which_rule_was_broken() {
    let table: [(Cause, EndedBy, &str, Option<&str>); 5] = [
        (Cause::ClosedByRemote, EndedBy::Remote, "closed_by_remote", None),
        (Cause::ClosedByUs, EndedBy::Us, "closed_by_us", None),
        (Cause::StreamEnded, EndedBy::Nobody, "stream_ended", None),
        (Cause::Violation(Violation::Unmasked), EndedBy::Us, "violation", Some("unmasked")),
        (Cause::TimedOut(Why::Pong, Duration::ZERO), EndedBy::Us, "ping_timeout", None),
    ];
    for (cause, by, label, rule) in table {
        assert_eq!(cause.label(), label);
        let closed = Closed { code: 1006, reason: String::new(), cause };
        assert_eq!((closed.by(), closed.rule()), (by, rule), "{label}");
    }
}

#[test]
fn every_rule_has_a_name_of_its_own_and_its_section_in_its_words() {
    let rules = [
        Violation::ReservedBits { bits: 1 },
        Violation::ReservedOpcode { opcode: 3 },
        Violation::Unmasked,
        Violation::Masked,
        Violation::FragmentedControl { opcode: 8 },
        Violation::LongControl { opcode: 8 },
        Violation::LengthNotMinimal { len: 1 },
        Violation::LengthTopBit { len: u64::MAX },
        Violation::UnexpectedContinuation,
        Violation::InterleavedMessage,
        Violation::MessageTooBig { limit: u64::MAX, got: u64::MAX },
        Violation::InflateRatio { limit: u32::MAX },
        Violation::TooManyFragments { limit: u32::MAX },
        Violation::InvalidUtf8,
        Violation::InvalidDeflate(InvalidDeflate::Malformed),
        Violation::CloseBodyOfOneByte,
        Violation::CloseCode { got: 1005 },
        Violation::CloseReasonUtf8,
    ];
    let mut names: Vec<_> = rules.iter().map(|rule| rule.rule()).collect();
    for rule in rules {
        let words = rule.to_string();
        // Why data is no DEFLATE has sections of its own.
        let own = matches!(rule, Violation::InvalidDeflate(_)) && words.ends_with("(RFC 7692 section 7.1.2)");
        assert!(own || words.ends_with(&format!("({})", rule.section())), "{words}");
        assert!(words.len() <= close::MAX_REASON, "does not fit a Close frame: {words}");
        assert!(
            rule.rule()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        );
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rules.len());
}
