//! The same frames read, and the same messages written, by an implementation of somebody else's: `tungstenite`.
//!
//! Where the two disagree one of them is wrong. The few places where they do are named in [`stricter_than_theirs`].

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use proptest::prelude::*;
use rand::RngExt;
use trunkline_sim::Chance;
use trunkline_websocket::{Cause, CloseCode, Connection, Event, Limits, Message, Prepared, Role, Violation};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Role as TheirRole, WebSocketConfig};
use tungstenite::{Message as TheirMessage, WebSocket as Theirs};

/// Both implementations are given this bound on a message.
const MESSAGE: usize = 100_000;

/// What either of them has heard, in the same words.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

/// A stream in memory. A read gives a piece of chance size, and now and then nothing yet.
struct Wire {
    input: Vec<u8>,
    at: usize,
    written: Vec<u8>,
    chance: Chance,
}

impl Wire {
    fn new(seed: u64) -> Self {
        Self { input: Vec::new(), at: 0, written: Vec::new(), chance: Chance::new(seed) }
    }

    fn is_empty(&self) -> bool {
        self.at == self.input.len()
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_empty() || self.chance.below(4) == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = usize::from(self.chance.word() as u8) * 13 + 1;
        let count = most.min(into.len()).min(self.input.len() - self.at);
        into[..count].copy_from_slice(&self.input[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = data.len().min(self.chance.below(3000) as usize + 1);
        self.written.extend_from_slice(&data[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn limits() -> Arc<Limits> {
    Arc::new(Limits { message: MESSAGE, outgoing: 1 << 24, ..Limits::default() })
}

fn our_role(server: bool) -> Role {
    if server { Role::Server } else { Role::Client(|| rand::rng().random()) }
}

fn ours(server: bool) -> Connection {
    Connection::new(our_role(server), limits(), Instant::now())
}

fn theirs(server: bool, seed: u64) -> Theirs<Wire> {
    let role = if server { TheirRole::Server } else { TheirRole::Client };
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(None);
    Theirs::from_raw_socket(Wire::new(seed), role, Some(config.read_buffer_size(512)))
}

/// Gives our connection the bytes in pieces of chance size. What was heard, and the violation if there was one.
fn we_read(
    connection: &mut Connection,
    bytes: &[u8],
    chance: &mut Chance,
) -> (Vec<Heard>, Option<Violation>) {
    let (mut heard, mut violation) = (Vec::new(), None);
    let mut rest = bytes.to_vec();
    let mut rest = &mut rest[..];
    while !rest.is_empty() {
        let count = (chance.below(5000) as usize + 1).min(rest.len());
        let (piece, after) = rest.split_at_mut(if chance.below(3) == 0 { 1 } else { count });
        rest = after;
        for event in connection.receive(Instant::now(), piece) {
            match event {
                Event::Text(text) => heard.push(Heard::Text(text.into_owned())),
                Event::Binary(data) => heard.push(Heard::Binary(data.into_owned())),
                Event::Ping(data) => heard.push(Heard::Ping(data.into_owned())),
                Event::Pong(data) => heard.push(Heard::Pong(data.into_owned())),
                Event::Closed(closed) => match closed.cause {
                    Cause::Violation(broken) => violation = Some(broken),
                    _ => heard.push(Heard::Close(closed.code, closed.reason)),
                },
                // Only who asks for pieces gets them.
                pieces => panic!("{pieces:?}"),
            }
        }
    }
    (heard, violation)
}

/// Lets them read all that is on their wire. What was heard, and whether they refused it.
fn they_read(socket: &mut Theirs<Wire>) -> (Vec<Heard>, bool) {
    let mut heard = Vec::new();
    loop {
        match socket.read() {
            Ok(TheirMessage::Text(text)) => heard.push(Heard::Text(text.to_string())),
            Ok(TheirMessage::Binary(data)) => heard.push(Heard::Binary(data.to_vec())),
            Ok(TheirMessage::Ping(data)) => heard.push(Heard::Ping(data.to_vec())),
            Ok(TheirMessage::Pong(data)) => heard.push(Heard::Pong(data.to_vec())),
            Ok(TheirMessage::Close(frame)) => {
                let (code, reason) = frame
                    .map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                heard.push(Heard::Close(code, reason));
                // What comes behind it they refuse and we ignore; the RFC leaves it open.
                return (heard, false);
            }
            Ok(TheirMessage::Frame(_)) => panic!("they read messages, not frames"),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if socket.get_ref().is_empty() {
                    return (heard, false);
                }
            }
            Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {
                return (heard, false);
            }
            Err(_) => return (heard, true),
        }
    }
}

fn drain(connection: &mut Connection) -> Vec<u8> {
    let mut written = Vec::new();
    while let Some(output) = connection.poll_transmit() {
        let count = output.chunk().len();
        written.extend_from_slice(output.chunk());
        output.advance(count);
    }
    written
}

/// Lengths at the edges of what a header can say, and some between.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let edges = proptest::sample::select(vec![0usize, 1, 125, 126, 127, 65_535, 65_536, 65_537]);
    let length = prop_oneof![3 => 0usize..300, 1 => edges, 1 => 0usize..20_000];
    (length, any::<u64>()).prop_map(|(length, seed)| {
        let mut chance = Chance::new(seed);
        (0..length).map(|_| chance.word() as u8).collect()
    })
}

fn small_payload() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..=125)
}

/// What an application says.
#[derive(Clone, Debug)]
enum Say {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn say() -> impl Strategy<Value = Say> {
    prop_oneof![
        3 => payload().prop_map(|data| Say::Text(data.iter().map(|byte| char::from(*byte)).collect())),
        3 => payload().prop_map(Say::Binary),
        1 => small_payload().prop_map(Say::Ping),
        1 => small_payload().prop_map(Say::Pong),
    ]
}

impl Say {
    fn heard(&self) -> Heard {
        match self.clone() {
            Self::Text(text) => Heard::Text(text),
            Self::Binary(data) => Heard::Binary(data),
            Self::Ping(data) => Heard::Ping(data),
            Self::Pong(data) => Heard::Pong(data),
        }
    }

    fn by_us(&self, connection: &mut Connection, prepared: bool) {
        let said = match self {
            Self::Text(text) if prepared => connection.send_prepared(&Prepared::text(text)),
            Self::Text(text) => connection.send(Message::from(text.as_str())),
            Self::Binary(data) if prepared => connection.send_prepared(&Prepared::binary(data)),
            Self::Binary(data) => connection.send(Message::from(&data[..])),
            Self::Ping(data) => connection.ping(data),
            Self::Pong(data) => connection.pong(data),
        };
        said.expect("there is room");
    }

    /// In several frames of theirs where `cut` says so.
    fn by_them(&self, socket: &mut Theirs<Wire>, cut: usize) {
        let mut write = |message| socket.write(message).expect("their wire takes everything");
        match self {
            Self::Text(text) if cut == 0 => write(TheirMessage::text(text.clone())),
            Self::Binary(data) if cut == 0 => write(TheirMessage::binary(data.clone())),
            Self::Ping(data) => write(TheirMessage::Ping(data.clone().into())),
            Self::Pong(data) => write(TheirMessage::Pong(data.clone().into())),
            Self::Text(_) | Self::Binary(_) => {
                let (data, mut kind) = match self {
                    Self::Text(text) => (text.as_bytes(), Data::Text),
                    Self::Binary(data) => (&data[..], Data::Binary),
                    _ => unreachable!("control messages are written above"),
                };
                let pieces: Vec<&[u8]> = data.chunks(cut * 97).collect();
                for piece in &pieces {
                    let frame = Frame::message(piece.to_vec(), OpCode::Data(kind), false);
                    write(TheirMessage::Frame(frame));
                    kind = Data::Continue;
                }
                write(TheirMessage::Frame(Frame::message(Vec::new(), OpCode::Data(kind), true)));
            }
        }
    }
}

/// Not 1014, a gateway's code that they take for a mistake: it was registered late.
fn close() -> impl Strategy<Value = Option<(u16, String)>> {
    let code = prop_oneof![1000u16..=1003, 1007u16..=1013, 3000u16..=4999];
    proptest::option::of((code, proptest::string::string_regex("[a-zü€😀]{0,30}").expect("a pattern")))
}

/// What a Close frame with this in it is heard as.
fn heard_close(close: &Option<(u16, String)>) -> Heard {
    let (code, reason) = close.clone().unwrap_or((1005, String::new()));
    Heard::Close(code, reason)
}

fn close_frame(close: &Option<(u16, String)>) -> Option<CloseFrame> {
    close.clone().map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() })
}

fn we_close(connection: &mut Connection, close: &Option<(u16, String)>) {
    let code = close.as_ref().map(|(code, _)| CloseCode::new(*code).expect("it may cross the wire"));
    let reason = close.as_ref().map_or("", |(_, reason)| reason);
    connection.close(Instant::now(), code, reason).expect("the reason is short");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_we_write_they_read_as_we_meant_it(
        says in proptest::collection::vec((say(), any::<bool>()), 0..12),
        end in close(),
        we_serve: bool,
        seed: u64,
    ) {
        let (mut we, mut they) = (ours(we_serve), theirs(!we_serve, seed));
        says.iter().for_each(|(say, prepared)| say.by_us(&mut we, *prepared));
        we_close(&mut we, &end);
        they.get_mut().input = drain(&mut we);
        let (heard, refused) = they_read(&mut they);
        let mut said: Vec<Heard> = says.iter().map(|(say, _)| say.heard()).collect();
        said.push(heard_close(&end));
        prop_assert_eq!((heard, refused), (said, false));
    }

    #[test]
    fn what_they_write_we_read_as_they_meant_it(
        says in proptest::collection::vec((say(), 0usize..50), 0..12),
        end in close(),
        we_serve: bool,
        seed: u64,
    ) {
        let (mut we, mut they) = (ours(we_serve), theirs(!we_serve, seed));
        for (say, cut) in &says {
            say.by_them(&mut they, *cut);
            they.flush().expect("their wire takes everything");
        }
        they.close(close_frame(&end)).expect("their wire takes everything");
        let (heard, violation) = we_read(&mut we, &they.get_ref().written, &mut Chance::new(seed));
        let mut said: Vec<Heard> = says.iter().map(|(say, _)| say.heard()).collect();
        said.push(heard_close(&end));
        prop_assert_eq!((heard, violation), (said, None));
    }

    #[test]
    fn a_conversation_of_both_is_heard_whole_by_both_whoever_closes(
        says in proptest::collection::vec((say(), any::<bool>(), 0usize..4), 0..12),
        end in close(),
        we_serve: bool,
        we_end: bool,
        seed: u64,
    ) {
        let (mut we, mut they) = (ours(we_serve), theirs(!we_serve, seed));
        let mut chance = Chance::new(seed);
        let (mut by_us, mut by_them) = (Vec::new(), Vec::new());
        let (mut we_heard, mut they_heard) = (Vec::new(), Vec::new());
        let mut exchange = |we: &mut Connection, they: &mut Theirs<Wire>, chance: &mut Chance| {
            // A Close is answered by a Close, a Ping by a Pong: two rounds carry all there and back.
            for _ in 0..2 {
                they.get_mut().input.extend(drain(we));
                let (heard, refused) = they_read(they);
                they_heard.extend(heard);
                let (heard, violation) = we_read(we, &std::mem::take(&mut they.get_mut().written), chance);
                we_heard.extend(heard);
                assert_eq!((refused, violation), (false, None));
            }
        };
        for (say, we_speak, cut) in &says {
            if *we_speak {
                say.by_us(&mut we, false);
                by_us.push(say.heard());
            } else {
                say.by_them(&mut they, *cut);
                they.flush().expect("their wire takes everything");
                by_them.push(say.heard());
            }
            exchange(&mut we, &mut they, &mut chance);
        }
        if we_end {
            we_close(&mut we, &end);
        } else {
            they.close(close_frame(&end)).expect("their wire takes everything");
        }
        exchange(&mut we, &mut they, &mut chance);
        // Pongs that answer pings are heard too, between the rest.
        let is_said = |heard: &&Heard| !matches!(heard, Heard::Pong(_) | Heard::Close(..));
        let said = |all: &[Heard]| all.iter().filter(is_said).cloned().collect::<Vec<_>>();
        prop_assert_eq!(said(&they_heard), said(&by_us));
        prop_assert_eq!(said(&we_heard), said(&by_them));
        let pings = |all: &[Heard]| all.iter().filter(|heard| matches!(heard, Heard::Ping(_))).count();
        let pongs = |all: &[Heard]| all.iter().filter(|heard| matches!(heard, Heard::Pong(_))).count();
        prop_assert_eq!(pongs(&we_heard), pings(&by_us) + pongs(&by_them), "every ping was answered once");
        prop_assert_eq!(pongs(&they_heard), pings(&by_them) + pongs(&by_us), "every ping was answered once");
        // Whoever did not begin hears the code and the reason; whoever did hears the code come back.
        let code = end.as_ref().map_or(1005, |(code, _)| *code);
        let (first, second) = if we_end { (&they_heard, &we_heard) } else { (&we_heard, &they_heard) };
        prop_assert_eq!(first.last(), Some(&heard_close(&end)));
        prop_assert!(matches!(second.last(), Some(Heard::Close(got, _)) if *got == code), "{:?}", second.last());
    }

    #[test]
    fn of_any_frames_both_read_the_same_and_refuse_the_same(
        frames in proptest::collection::vec(raw_frame(), 0..10),
        we_serve: bool,
        seed: u64,
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes(we_serve)).collect();
        let (mut we, mut they) = (ours(we_serve), theirs(we_serve, seed));
        let (we_heard, violation) = we_read(&mut we, &bytes, &mut Chance::new(seed));
        they.get_mut().input = bytes;
        let (they_heard, refused) = they_read(&mut they);
        match violation {
            Some(violation) if stricter_than_theirs(violation) => {
                prop_assert!(they_heard.starts_with(&we_heard), "{they_heard:?} {we_heard:?}");
            }
            _ => prop_assert_eq!((we_heard, violation.is_some()), (they_heard.clone(), refused), "{:?}", violation),
        }
        let ended = violation.is_some() || matches!(they_heard.last(), Some(Heard::Close(..)));
        if we_serve && !ended {
            prop_assert_eq!(drain(&mut we), std::mem::take(&mut they.get_mut().written), "the same pongs");
        }
    }
}

/// What RFC 6455 forbids and `tungstenite` reads all the same.
fn stricter_than_theirs(violation: Violation) -> bool {
    // A length in more bytes than it needs (section 5.2), and a code that must not be sent (section 7.4), which they hand on
    // as 1002 in place of failing.
    matches!(violation, Violation::LengthNotMinimal { .. } | Violation::CloseCode { .. })
}

/// A frame that is whole, and mostly right.
#[derive(Clone, Debug)]
struct RawFrame {
    first: u8,
    payload: Vec<u8>,
    /// Whether it is masked as its receiver demands.
    masked_right: bool,
    /// Whether its length takes the next longer form. In a control frame that would look like one that is too long.
    longer: bool,
    key: [u8; 4],
}

fn raw_frame() -> impl Strategy<Value = RawFrame> {
    let usual = proptest::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x80, 0x89, 0x8a]);
    let first = prop_oneof![30 => usual, 1 => Just(0x88u8), 2 => any::<u8>()];
    let words =
        proptest::string::string_regex("[ -~äß€😀]{0,60}").expect("a pattern").prop_map(String::into_bytes);
    let close = (980u16..5010, "[a-z]{0,5}")
        .prop_map(|(code, reason)| [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    let data = prop_oneof![6 => words, 2 => small_payload(), 1 => payload(), 1 => close];
    let rarely = |times: u32| prop_oneof![times => Just(false), 1 => Just(true)];
    (first, data, rarely(40), rarely(40), any::<[u8; 4]>()).prop_map(
        |(first, payload, wrong, longer, key)| RawFrame { first, payload, masked_right: !wrong, longer, key },
    )
}

impl RawFrame {
    fn bytes(&self, to_server: bool) -> Vec<u8> {
        let masked = to_server == self.masked_right;
        let bit = if masked { 0x80 } else { 0 };
        let length = self.payload.len() as u64;
        let form = match length {
            0..=125 => 0,
            126..=0xffff => 1,
            _ => 2,
        };
        let mut bytes = vec![self.first];
        match form + u8::from(self.longer && self.first & 0x08 == 0) {
            0 => bytes.push(bit | length as u8),
            1 => {
                bytes.push(bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(bit | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        let key = if masked { self.key } else { [0; 4] };
        if masked {
            bytes.extend(key);
        }
        bytes.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }
}
