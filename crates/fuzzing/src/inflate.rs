//! permessage-deflate: what a remote can send as compressed, what we compress, and how both come to it.
//!
//! The first byte of the input to [`inflate`] and [`deflate`] says under which parameters: bits 0 to 2 the window, bit 3
//! whether there is takeover, bit 4 whether the rest is two messages, bits 5 to 7 the level.

use std::sync::Arc;

use http::{Request, Response};
use trunkline_websocket::deflate::{Agreed, Codec, DeflateConfig, InvalidDeflate, NoShelf, Params, Progress};
use trunkline_websocket::handshake::{self, AcceptPolicy, ConnectOptions};
use trunkline_websocket::url::WsUrl;
use zlib_rs::{Inflate, InflateFlush, Status};

use crate::memory::within;
use crate::random::Random;
use crate::splits::every_way;

/// What a message may become, in bytes: more than the largest window.
const LIMIT: usize = 40_000;
/// A decompressor, its window while it grows, and what it has put out while that grows.
const HEAP: usize = 64 * 1024 + 2 * 32 * 1024 + 3 * LIMIT;

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Message(Vec<u8>),
    TooBig,
    Invalid(InvalidDeflate),
}

/// Compressed messages of a remote: whatever they are, they are the same in pieces and in rooms of any size, never more
/// than their limit, and what the library makes of them in one go.
pub fn inflate(data: &[u8]) {
    let Some((&head, data)) = data.split_first() else { return };
    let agreed = agreed(8 + (head & 7), head);
    let cut = if head & 16 == 0 { data.len() } else { data.len() / 2 };
    let messages = [&data[..cut], &data[cut..]];
    let messages = &messages[..1 + usize::from(head & 16 != 0)];

    let whole = receive(agreed, messages.iter().map(|message| vec![*message]), usize::MAX);
    // Byte by byte what is large takes too long.
    let small =
        whole.iter().all(|outcome| matches!(outcome, Outcome::Message(message) if message.len() < 1000));
    for (way, room) in [if small { 1 } else { 333 }, 300, 97, 5000].into_iter().enumerate() {
        let pieces = messages.iter().map(|message| every_way(message)[way].clone());
        assert_eq!(receive(agreed, pieces, room), whole, "in rooms of {room}, in pieces of way {way}");
    }
    if head & 7 == 7 {
        agrees_with_zlib(messages[0], &whole[0]);
    }
}

/// Decompresses messages, each in its pieces, until one of them is the last that there can be.
fn receive<'m>(agreed: Agreed, messages: impl Iterator<Item = Vec<&'m [u8]>>, room: usize) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut codec = Codec::new(agreed, true, &NoShelf);
    for mut pieces in messages {
        if pieces.is_empty() {
            pieces.push(&[]);
        }
        let outcome = within(HEAP, || receive_one(&mut codec, &pieces, room));
        let over = !matches!(outcome, Outcome::Message(_));
        outcomes.push(outcome);
        if over {
            break;
        }
    }
    outcomes
}

fn receive_one(codec: &mut Codec, pieces: &[&[u8]], room: usize) -> Outcome {
    let mut out = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let (mut rest, last) = (*piece, number + 1 == pieces.len());
        loop {
            let (before, room) = (out.len(), room.min(LIMIT - out.len()));
            let inflated = match codec.inflate(rest, last, room, &mut out) {
                Ok(inflated) => inflated,
                Err(invalid) => return Outcome::Invalid(invalid),
            };
            assert!(out.len() - before <= room);
            rest = &rest[inflated.used..];
            match inflated.state {
                Progress::Done => {
                    assert!(last && rest.is_empty());
                    return Outcome::Message(out);
                }
                Progress::NeedInput => {
                    assert!(!last && rest.is_empty());
                    break;
                }
                Progress::NeedRoom => {
                    assert_eq!(out.len() - before, room);
                    if out.len() == LIMIT {
                        return Outcome::TooBig;
                    }
                }
            }
        }
    }
    unreachable!("the last piece ends the message, or never lets go");
}

/// zlib goes no further than the end of a stream, does not know where a message has to end, and its window is of 15 bits.
fn agrees_with_zlib(payload: &[u8], ours: &Outcome) {
    let mut out = vec![0; LIMIT + 1];
    let mut zlib = Inflate::new(false, 15);
    let payload = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
    let result = zlib.decompress(&payload, &mut out, InflateFlush::SyncFlush);
    out.truncate(usize::try_from(zlib.total_out()).expect("no more than there is room for"));
    match (ours, result) {
        (Outcome::Message(message), Ok(Status::StreamEnd)) => assert!(message.starts_with(&out)),
        (Outcome::Message(message), Ok(_)) => assert!(*message == out),
        (Outcome::TooBig, Ok(Status::StreamEnd)) => {}
        (Outcome::TooBig, _) => assert!(out.len() > LIMIT),
        // It waits for more, as we would if there could be more.
        (Outcome::Invalid(InvalidDeflate::Truncated), Ok(_)) => {}
        (Outcome::Invalid(_), Ok(Status::StreamEnd) | Err(_)) => {}
        (ours, theirs) => panic!("we say {ours:?}, zlib says {theirs:?}"),
    }
}

/// Messages of our own: what we compress, in whatever pieces, the remote reads.
pub fn deflate(data: &[u8]) {
    let Some((&head, data)) = data.split_first() else { return };
    let agreed = agreed(9 + head % 7, head);
    let cut = if head & 16 == 0 { data.len() } else { data.len() / 2 };
    let (mut client, mut server) = (Codec::new(agreed, false, &NoShelf), Codec::new(agreed, true, &NoShelf));
    for message in [&data[..cut], &data[cut..], data] {
        let pieces = &every_way(message)[usize::from(head >> 2 & 3)];
        let mut payload = Vec::new();
        for piece in pieces {
            client.deflate(piece, false, &mut payload);
        }
        client.deflate(&[], true, &mut payload);
        // What does not compress grows by a bit for each byte at most.
        assert!(payload.len() <= message.len() / 8 * 9 + 64, "{} bytes", payload.len());
        let way = &every_way(&payload)[usize::from(head & 3)];
        assert_eq!(
            receive_one(&mut server, way, 1 + usize::from(head) * 9),
            Outcome::Message(message.into())
        );
    }
}

fn agreed(window_bits: u8, head: u8) -> Agreed {
    let no_takeover = head & 8 == 0;
    let params = Params {
        server_no_context_takeover: no_takeover,
        client_no_context_takeover: no_takeover,
        server_max_window_bits: window_bits,
        client_max_window_bits: window_bits,
    };
    Agreed { params, level: 1 + (head >> 5), threshold: 0 }
}

/// A `Sec-WebSocket-Extensions` header, as an offer and as an answer: what comes of it both ends can go by.
pub fn extensions(data: &[u8]) {
    let small =
        DeflateConfig { server_max_window_bits: 10, client_max_window_bits: 9, ..DeflateConfig::default() };
    for config in [DeflateConfig::default(), DeflateConfig::lean(), small] {
        if let Some((params, answer)) = answered(&config, data) {
            assert!((9..=15).contains(&params.server_max_window_bits), "{answer}: no compressor has it");
            assert!(params.server_max_window_bits <= config.server_max_window_bits, "{answer}");
            assert!((8..=15).contains(&params.client_max_window_bits), "{answer}");
            assert!(params.server_no_context_takeover || !config.server_no_context_takeover, "{answer}");
            assert!(params.client_no_context_takeover || !config.client_no_context_takeover, "{answer}");
            // A client that asks for nothing and can be told anything.
            if params.client_max_window_bits > 8 {
                let confirmed = confirmed(&DeflateConfig::default(), answer.as_bytes());
                assert_eq!(confirmed, Some(params), "{answer}");
            }
        }
        if let Some(params) = confirmed(&config, data) {
            assert!((9..=15).contains(&params.client_max_window_bits), "no compressor has it");
            assert!((8..=config.server_max_window_bits).contains(&params.server_max_window_bits));
            assert!(params.server_no_context_takeover || !config.server_no_context_takeover);
        }
    }
}

/// What a server goes by for this offer, and its answer.
fn answered(config: &DeflateConfig, offer: &[u8]) -> Option<(Params, String)> {
    let request = Request::get("/")
        .header("host", "h")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-extensions", offer)
        .body(())
        .ok()?;
    let policy = AcceptPolicy { extensions: vec![Arc::new(config.clone())], ..AcceptPolicy::default() };
    let accepted = handshake::accept(&request, &policy).ok()?;
    let answer = accepted.response().headers().get("sec-websocket-extensions");
    let agreed = config.agreed(accepted.extensions(), true);
    assert_eq!(answer.is_some(), agreed.is_some());
    Some((agreed?.params, answer?.to_str().expect("tokens").to_owned()))
}

/// What a client goes by after this answer.
fn confirmed(config: &DeflateConfig, answer: &[u8]) -> Option<Params> {
    let options = ConnectOptions { extensions: vec![Arc::new(config.clone())], ..ConnectOptions::default() };
    let url = WsUrl::parse("ws://h/").expect("a URL");
    let attempt = handshake::request(&url, &options, *b"the sample nonce").expect("valid options");
    let response = Response::builder()
        .status(101)
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        .header("sec-websocket-extensions", answer)
        .body(())
        .ok()?;
    let established = attempt.verify(&response).ok()?;
    let agreed = config.agreed(established.extensions(), false);
    assert_eq!(agreed.is_some(), !established.extensions().is_empty());
    Some(agreed?.params)
}

/// Payloads: the examples of RFC 7692 section 7.2.3, every kind of block, bombs, and what is wrong with others.
pub(crate) fn inflate_seeds() -> Vec<Vec<u8>> {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let mut payloads = vec![
        hello.to_vec(),
        [&hello[..], b"\xf2\x00\x11\x00\x00"].concat(),
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00".to_vec(),
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00".to_vec(),
        b"\xf3\x48\xcd\xc9\xc9\x07\x00".to_vec(),
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00".to_vec(),
        b"\x00".to_vec(),
        b"\x00\x04\x00\xfb\xff".to_vec(),
        b"\x06".to_vec(),
        b"\x00\x05\x00\xfa\xfe".to_vec(),
        b"\x04\x00\xfe\xff".to_vec(),
        // Found here: literals and then a match where there is just enough scratch space for the match.
        b"b\x18\x05\x02\xa3!0b\x18\x05\x02\xa3!0\x1a\x02\xa3!0\x1a\x02\xa3\x02\xa3!0\x1a\x02\xa3!0\x1a\x02\xa3!0\x12\x02\xa3!0\x1a\
            \x02\xa3\xff\xff\xff\xff\xff\xff\xff\xff0\x1a\x02\xa3!0\x1a\x02\x03\x1e\x02\x00\x00\x1e\x00\x00\x00"
            .to_vec(),
    ];
    for message in deflate_seeds() {
        for level in [1, 6] {
            let mut codec = Codec::new(Agreed { level, ..agreed(15, 0) }, true, &NoShelf);
            let mut payload = Vec::new();
            codec.deflate(&message, true, &mut payload);
            payloads.push(payload);
        }
    }
    let heads = [7, 7 | 8 | 16, 0, 1 | 8];
    heads.iter().flat_map(|head| payloads.iter().map(|payload| [&[*head][..], payload].concat())).collect()
}

/// Messages, of which the first byte is the parameters.
pub(crate) fn deflate_seeds() -> Vec<Vec<u8>> {
    let chat = br#"{"channel":"room:1","pub":{"offset":8,"data":{"text":"hello hello"},"user":"u1","at":1790000000}}"#;
    let mut random = Random::new(7692);
    let noise: Vec<u8> = (0..700).map(|_| u8::try_from(random.below(256)).expect("a byte")).collect();
    vec![Vec::new(), b"Hello".to_vec(), chat.to_vec(), chat.repeat(9), vec![0; 4000], noise]
}

/// Offers and answers.
pub(crate) fn extensions_seeds() -> Vec<Vec<u8>> {
    let lists = [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits=\"9\"",
        "x, permessage-deflate;server_max_window_bits = 15 ,,permessage-deflate",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; client_max_window_bits=+9; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=999999999999999999999999",
        "permessage-deflate; server_no_context_takeover=1; unknown",
        "permessage-deflate; client_max_window_bits=\"\"",
        ",",
    ];
    lists.iter().map(|list| list.as_bytes().to_vec()).collect()
}
