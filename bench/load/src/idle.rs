//! What connections cost that do nothing.

use std::io::{Read, Write};
use std::net::SocketAddrV4;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Fallible;
use crate::args::{Deflate, Idle};
use crate::deflate::{Compressor, Decompressor};
use crate::open::{Opened, open};
use crate::server::Server;
use crate::wire::{FIN, RSV1, Reader, TEXT, push_frame};

const WORDS: &[u8] = b"hello, is anybody there?";
/// What the first connections bring up (threads, the allocator's arenas) is not theirs alone.
const BEFORE: usize = 100;

pub(crate) fn run(address: SocketAddrV4, args: &Idle, server: &Server) -> Fallible<Value> {
    let mut first = open_and_talk(address, 0, BEFORE, args.deflate)?;
    first.truncate(1);
    sleep(Duration::from_secs(1));
    let before = server.memory()?;

    let mut opened = open_and_talk(address, BEFORE, args.connections, args.deflate)?;
    sleep(args.settle);
    let after = server.memory()?;
    let cpu = server.cpu()?;
    sleep(args.settle);
    let idle_cpu = server.cpu()? - cpu;
    // They were idle, not dead.
    for one in &mut opened {
        talk(one)?;
    }

    let each = |before: i64, after: i64| (after - before) as f64 / args.connections as f64;
    Ok(json!({
        "mode": "idle",
        "connections": args.connections,
        "bytes_per_connection": each(before.pss, after.pss),
        "rss_per_connection": each(before.rss, after.rss),
        "socket_buffers_per_connection": each(before.sockets, after.sockets),
        "cpu_us_per_second": idle_cpu.as_secs_f64() * 1e6 / args.settle.as_secs_f64(),
        "memory": after,
        "errors": 0,
    }))
}

fn open_and_talk(
    address: SocketAddrV4,
    first: usize,
    count: usize,
    deflate: Deflate,
) -> Fallible<Vec<Opened>> {
    let mut opened = open(address, first, count, deflate)?;
    for one in &mut opened {
        talk(one)?;
    }
    Ok(opened)
}

/// One message there and back.
fn talk(opened: &mut Opened) -> Fallible<()> {
    let mut frame = Vec::new();
    if opened.agreed.deflate {
        let compressed = Compressor::new(false).compress(WORDS)?;
        push_frame(&mut frame, FIN | RSV1 | TEXT, &compressed, [9, 8, 7, 6]);
    } else {
        push_frame(&mut frame, FIN | TEXT, WORDS, [9, 8, 7, 6]);
    }
    opened.stream.write_all(&frame)?;

    let (mut reader, mut payload, mut buffer) = (Reader::default(), Vec::new(), [0; 256]);
    loop {
        let count = opened.stream.read(&mut buffer)?;
        if count == 0 {
            return Err("the server has ended the stream".into());
        }
        let mut input = &buffer[..count];
        while let Some(piece) = reader.next(&mut input)? {
            if piece.is_control() {
                continue;
            }
            payload.extend(piece.payload);
            if piece.ends_message() {
                return judge(piece.first, payload);
            }
        }
    }
}

/// A second compressed message may refer to the first, which was the same: the window is given, as if it had come.
fn judge(first: u8, mut payload: Vec<u8>) -> Fallible<()> {
    let words = if first & RSV1 != 0 {
        Decompressor::after(WORDS)?.decompress(&mut payload, WORDS.len())?
    } else {
        payload
    };
    if words == WORDS { Ok(()) } else { Err("another message than was sent".into()) }
}
