//! Opening handshakes one after the other, each with its closing one.

use std::io::Read;
use std::net::SocketAddrV4;
use std::time::Instant;

use serde_json::Value;

use crate::Fallible;
use crate::args::{Deflate, Handshake};
use crate::meter::Meter;
use crate::open::{Opened, answer, ask};
use crate::server::Server;
use crate::wire::{CLOSE, FIN};

const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

pub(crate) fn run(address: SocketAddrV4, args: &Handshake, server: &Server) -> Fallible<Value> {
    let mut meter = Meter::new(server, &args.span)?;
    let mut done = 0;
    while meter.goes_on(Instant::now(), done)? {
        let began = Instant::now();
        let numbers = done as usize..done as usize + args.connections;
        let waiting: Vec<_> =
            numbers.map(|number| ask(address, number, "/", Deflate::Off)).collect::<Fallible<_>>()?;
        let mut opened = Vec::with_capacity(waiting.len());
        for (stream, key) in waiting {
            opened.push(answer(stream, &key)?);
            meter.latency(began, Instant::now());
        }
        for one in &mut opened {
            one.talk.send(FIN | CLOSE, &NORMAL)?;
        }
        for one in opened {
            wait_for_the_end(one)?;
            done += 1;
        }
    }
    let mut report = meter.report("handshake", "handshakes")?;
    report.insert("mode".into(), "handshake".into());
    report.insert("errors".into(), 0.into());
    Ok(report.into())
}

/// The Close frame comes back, and the server, whose duty it is, ends the stream.
fn wait_for_the_end(opened: Opened) -> Fallible<()> {
    let mut rest = Vec::new();
    opened.talk.into_stream()?.read_to_end(&mut rest)?;
    if rest.first() == Some(&(FIN | CLOSE)) {
        Ok(())
    } else {
        Err(format!("no Close frame: {rest:?}").into())
    }
}
