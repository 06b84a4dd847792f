//! What connections cost that do nothing.

use std::net::SocketAddrV4;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Fallible;
use crate::args::{Deflate, Idle};
use crate::deflate::{Compressor, Decompressor};
use crate::hub::Hub;
use crate::open::open;
use crate::server::Server;
use crate::talk::Talk;
use crate::wire::{FIN, RSV1, TEXT};

const WORDS: &[u8] = b"hello, is anybody there?";
/// What the first connections bring up (threads, the allocator's arenas) is not theirs alone.
const BEFORE: usize = 100;

pub(crate) fn run(address: SocketAddrV4, args: &Idle, server: &Server) -> Fallible<Value> {
    let mut crowd = Crowd::new(address, args)?;
    crowd.grow(BEFORE)?;
    sleep(Duration::from_secs(1));
    let before = server.memory()?;

    crowd.grow(args.connections)?;
    sleep(args.settle);
    let after = server.memory()?;
    let cpu = server.cpu()?;
    sleep(args.settle);
    let idle_cpu = server.cpu()? - cpu;
    crowd.is_alive()?;

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

/// Connections that were spoken with once.
struct Crowd {
    address: SocketAddrV4,
    deflate: Deflate,
    hub: Option<Hub>,
    all: Vec<(Talk, bool)>,
}

impl Crowd {
    fn new(address: SocketAddrV4, args: &Idle) -> Fallible<Self> {
        let hub = args.hub.then(|| Hub::new(address, args.api_key.clone())).transpose()?;
        Ok(Self { address, deflate: args.deflate, hub, all: Vec::new() })
    }

    fn grow(&mut self, count: usize) -> Fallible<()> {
        let first = self.all.len();
        if let Some(hub) = &mut self.hub {
            let subscribed = hub.subscribers(first, count, "room:bench")?;
            self.all.extend(subscribed.into_iter().map(|talk| (talk, false)));
            return Ok(());
        }
        for opened in open(self.address, first, count, self.deflate)? {
            self.all.push((opened.talk, opened.agreed.deflate));
        }
        self.all[first..].iter_mut().try_for_each(|(talk, compressed)| echo(talk, *compressed))
    }

    /// They were idle, not dead.
    fn is_alive(&mut self) -> Fallible<()> {
        let hub = self.hub.is_some();
        self.all.iter_mut().try_for_each(|(talk, compressed)| match hub {
            true => ping(talk),
            false => echo(talk, *compressed),
        })
    }
}

fn ping(talk: &mut Talk) -> Fallible<()> {
    talk.say(r#"{"id":9,"ping":{}}"#)?;
    let (_, answer) = talk.hear()?;
    if answer.starts_with(br#"{"id":9,"ok""#) { Ok(()) } else { Err(String::from_utf8_lossy(&answer).into()) }
}

/// One message there and back.
fn echo(talk: &mut Talk, compressed: bool) -> Fallible<()> {
    if compressed {
        talk.send(FIN | RSV1 | TEXT, &Compressor::new(false).compress(WORDS)?)?;
    } else {
        talk.send(FIN | TEXT, WORDS)?;
    }
    let (first, mut payload) = talk.hear()?;
    if first & RSV1 != 0 {
        // It may refer to the message before, which was the same: the window is given, as if that had come.
        payload = Decompressor::after(WORDS)?.decompress(&mut payload, WORDS.len())?;
    }
    if payload == WORDS { Ok(()) } else { Err("another message than was sent".into()) }
}
