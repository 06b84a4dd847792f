//! Where JSON objects end that follow each other without frames.

use trunkline_dialect::json::decode_command;
use trunkline_dialect::{Found, Limits, NotObjects, Objects};

use crate::memory;
use crate::splits::every_way;

/// The most bytes of an object here.
const LIMIT: usize = 256;

/// A stream of objects, as the lines door reads it: the same objects however it arrives, and nothing kept but one of them.
pub fn objects(data: &[u8]) {
    let mut ways = every_way(data).into_iter().map(|pieces| read(&pieces));
    let first = ways.next().expect("there are some ways");
    for way in ways {
        assert_eq!(way, first, "cut in another way");
    }
    let (found, end) = first;
    for object in &found {
        assert!(object.starts_with(b"{") && object.len() <= LIMIT);
        // Whatever is in it, the parser judges it and does not go beyond it.
        let _ = decode_command(object, &Limits::default());
    }
    if let Ok(rest) = end {
        assert!(rest.is_empty() || rest.starts_with(b"{") && rest.len() <= LIMIT, "kept: {rest:?}");
    }
}

type Read = (Vec<Vec<u8>>, Result<Vec<u8>, NotObjects>);

fn read(pieces: &[&[u8]]) -> Read {
    let (mut objects, mut held, mut found) = (Objects::default(), Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            match memory::within(0, || objects.next(&held, LIMIT)) {
                Ok(Found::Object { start, end }) => {
                    found.push(held[start..end].to_vec());
                    held.drain(..end);
                }
                Ok(Found::More { start }) => {
                    held.drain(..start);
                    break;
                }
                Err(error) => return (found, Err(error)),
            }
        }
    }
    (found, Ok(held))
}

/// Conversations, and what is not quite one.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let long = format!("{{\"a\":\"{}\"}}{{\"b\":\"{}\"}}", "x".repeat(LIMIT - 8), "x".repeat(LIMIT));
    let texts = [
        "{\"id\":1,\"ping\":{}}\n{\"pong\":2}\r\n{\"id\":3,\"presence\":{\"channel\":\"room:1\"}}",
        "{\"id\":1,\"publish\":{\"channel\":\"a\",\"data\":\"}{\\\"\\\\\"}}{\"pong\":1}{}{}",
        " \t\r\n{\"a\":[{},[[]]]}   {\"b\"",
        "{]{}}",
        "{}GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "{\"\u{1f9f6}\":\"\\u007d\"}",
        "[]",
        &long,
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
