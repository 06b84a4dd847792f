//! Which rules of RFC 6455 a server breaks: each is tried on a connection of its own, by frames that no honest client sends.

mod frames;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use trunkline_net::Dialled;

use self::frames::{Reaction, case, reaction};
use crate::facts::Rule;
use crate::near::http1::{Head, ask};
use crate::near::target::Target;

/// How long a server may take to react (2 s): what it answers at all it answers at once.
const REACTION: Duration = Duration::from_secs(2);

/// How many bytes of its reaction are read.
const REACTION_BYTES: usize = 64 << 10;

/// A case of frames: what is done, where it is forbidden, the bytes.
struct Case {
    name: &'static str,
    section: &'static str,
    frames: Vec<u8>,
}

pub(crate) async fn measure(target: &Target<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (name, section, dropped, changed) in HANDSHAKES {
        rules.extend(handshake(target, name, section, dropped, *changed).await);
    }
    for case in forbidden() {
        rules.extend(must_fail(target, case).await);
    }
    rules.extend(pong(target).await);
    rules.extend(goodbye(target).await);
    rules
}

/// Name, section, header left out, header changed.
type Handshake = (&'static str, &'static str, &'static str, Option<(&'static str, &'static str)>);

const HANDSHAKES: &[Handshake] = &[
    ("a handshake without Sec-WebSocket-Key", "4.2.1", "Sec-WebSocket-Key", None),
    ("a handshake without Sec-WebSocket-Version", "4.2.1", "Sec-WebSocket-Version", None),
    ("a handshake of version 12", "4.4", "Sec-WebSocket-Version", Some(("Sec-WebSocket-Version", "12"))),
    (
        "a handshake with a key of 15 bytes",
        "4.2.1",
        "Sec-WebSocket-Key",
        Some(("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA")),
    ),
];

const FIELDS: &[(&str, &str)] = &[
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn forbidden() -> Vec<Case> {
    vec![
        case("a frame without a mask", "5.1", &[0x81, 0x01, b'x']),
        case("RSV1 without an extension", "5.2", &frames::masked(0xc1, b"x")),
        case("RSV2", "5.2", &frames::masked(0xa1, b"x")),
        case("the reserved opcode 3", "5.2", &frames::masked(0x83, b"x")),
        case("a fragmented Ping", "5.5", &frames::masked(0x09, b"x")),
        case("a Ping of 126 bytes", "5.5", &frames::masked(0x89, &[b'x'; 126])),
        case("a continuation of nothing", "5.4", &frames::masked(0x80, b"x")),
        case(
            "a new message inside a fragmented one",
            "5.4",
            &[frames::masked(0x01, b"x"), frames::masked(0x81, b"y")].concat(),
        ),
        case(
            "a length of 64 bits with its top bit set",
            "5.2",
            &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, b'x'],
        ),
        case("text that is not UTF-8", "8.1", &frames::masked(0x81, b"\xc0\xaf")),
        case("a Close frame of one byte", "5.5.1", &frames::masked(0x88, b"x")),
        case("a Close frame with the code 1005", "7.4.1", &frames::masked(0x88, &[0x03, 0xed])),
        case("a Close reason that is not UTF-8", "5.5.1", &frames::masked(0x88, b"\x03\xe8\xff\xfe")),
    ]
}

/// The handshake has to be refused.
async fn handshake(
    target: &Target<'_>,
    name: &str,
    section: &str,
    dropped: &str,
    changed: Option<(&str, &str)>,
) -> Option<Rule> {
    let fields: Vec<_> =
        FIELDS.iter().copied().filter(|(field, _)| *field != dropped).chain(changed).collect();
    let answer = ask(target, &Head::new("GET", target.path(), &fields), b"").await;
    let (kept, seen) = match answer {
        Ok(answer) if answer.status == http::StatusCode::SWITCHING_PROTOCOLS => {
            (Some(false), "answers 101".to_owned())
        }
        Ok(answer) => (Some(true), format!("answers {}", answer.status.as_u16())),
        Err(crate::facts::Outcome::Ended { .. }) => (Some(true), "ends the connection".to_owned()),
        Err(_) => (None, "gives no answer".to_owned()),
    };
    Some(Rule { name: name.to_owned(), section: section.to_owned(), kept, seen })
}

/// The connection has to be failed. A Ping behind the offence shows whether it lives on.
async fn must_fail(target: &Target<'_>, case: Case) -> Option<Rule> {
    let (mut stream, rest) = upgraded(target).await?;
    let bytes = [case.frames, frames::masked(0x89, frames::PING)].concat();
    stream.write_all(&bytes).await.ok()?;
    stream.flush().await.ok()?;
    let (kept, seen) = match react(&mut stream, rest).await {
        Reaction::Closes(code) => (Some(true), format!("closes with {code}")),
        Reaction::Ends => (Some(true), "ends the connection".to_owned()),
        Reaction::Pongs => (Some(false), "goes on as if nothing had happened".to_owned()),
        Reaction::Nothing => (None, "says nothing".to_owned()),
    };
    Some(Rule { name: case.name.to_owned(), section: case.section.to_owned(), kept, seen })
}

/// A Ping is answered with its own payload.
async fn pong(target: &Target<'_>) -> Option<Rule> {
    let (mut stream, rest) = upgraded(target).await?;
    stream.write_all(&frames::masked(0x89, frames::PING)).await.ok()?;
    stream.flush().await.ok()?;
    let (kept, seen) = match react(&mut stream, rest).await {
        Reaction::Pongs => (Some(true), "answers with it".to_owned()),
        Reaction::Closes(code) => (Some(false), format!("closes with {code}")),
        Reaction::Ends => (Some(false), "ends the connection".to_owned()),
        Reaction::Nothing => (Some(false), "does not answer with it".to_owned()),
    };
    Some(Rule { name: "a Ping of 125 bytes".to_owned(), section: "5.5.2".to_owned(), kept, seen })
}

/// A Close frame is answered by one.
async fn goodbye(target: &Target<'_>) -> Option<Rule> {
    let (mut stream, rest) = upgraded(target).await?;
    stream.write_all(&frames::masked(0x88, &[0x03, 0xe8])).await.ok()?;
    stream.flush().await.ok()?;
    let (kept, seen) = match react(&mut stream, rest).await {
        Reaction::Closes(code) => (Some(true), format!("closes with {code}")),
        Reaction::Ends => (Some(false), "ends the connection without one".to_owned()),
        Reaction::Pongs | Reaction::Nothing => (Some(false), "does not answer with one".to_owned()),
    };
    Some(Rule { name: "a Close frame".to_owned(), section: "5.5.1".to_owned(), kept, seen })
}

async fn upgraded(target: &Target<'_>) -> Option<(Dialled, Vec<u8>)> {
    let answer = ask(target, &Head::new("GET", target.path(), FIELDS), b"").await.ok()?;
    let upgraded = answer.status == http::StatusCode::SWITCHING_PROTOCOLS;
    upgraded.then(|| (answer.stream, answer.rest.to_vec()))
}

async fn react(stream: &mut Dialled, mut read: Vec<u8>) -> Reaction {
    let mut chunk = vec![0; 4096];
    let reading = async {
        loop {
            if let Some(reaction) = reaction(&read) {
                return reaction;
            }
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return Reaction::Ends,
                Ok(count) if read.len() < REACTION_BYTES => read.extend_from_slice(&chunk[..count]),
                Ok(_) => return Reaction::Nothing,
            }
        }
    };
    timeout(REACTION, reading).await.unwrap_or(Reaction::Nothing)
}
