//! Messages that come back, in a closed loop.

mod link;

use std::net::SocketAddrV4;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::{Value, json};

use crate::Fallible;
use crate::args::{Deflate, Echo};
use crate::meter::Meter;
use crate::open::{Agreed, open};
use crate::ring::Ring;
use crate::server::Server;
use link::Link;

/// Connections that are looked at between two looks at the clock.
const EVENTS: usize = 256;
/// More than any socket buffer gives at once.
const BUFFER: usize = 1 << 20;
/// If nothing at all happens for so long, the server has lost something.
const SILENCE_MS: u16 = 10_000;

pub(crate) fn run(address: SocketAddrV4, args: &Echo, server: &Server) -> Fallible<Value> {
    let opened = open(address, 0, args.connections, args.deflate)?;
    let agreed = opened.first().ok_or("no connections")?.agreed;
    if agreed.deflate != (args.deflate != Deflate::Off) || opened.iter().any(|one| one.agreed != agreed) {
        return Err("the answer to the offer of compression is not the one that was asked for".into());
    }
    let ring = Ring::new(args, agreed.deflate.then_some(agreed.client_keeps_context))?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut links = Vec::with_capacity(opened.len());
    for (number, opened) in opened.into_iter().enumerate() {
        let stream = opened.talk.into_stream()?;
        stream.set_nonblocking(true)?;
        epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        links.push(Link::new(stream, agreed, ring.start(number), args, &ring));
    }

    let meter = Meter::new(server, &args.span)?;
    let mut run = Run { epoll, links, ring: &ring, meter, echoed: 0, received: 0 };
    run.drive()?;
    run.report(args, agreed, server)
}

struct Run<'a> {
    epoll: Epoll,
    links: Vec<Link>,
    ring: &'a Ring,
    meter: Meter<'a>,
    echoed: u64,
    /// Bytes.
    received: u64,
}

impl Run<'_> {
    fn drive(&mut self) -> Fallible<()> {
        let mut buffer = vec![0; BUFFER];
        let now = Instant::now();
        for number in 0..self.links.len() {
            self.links[number].refill(self.ring, now);
            self.flush(number)?;
        }
        let mut events = [EpollEvent::empty(); EVENTS];
        while self.meter.goes_on(Instant::now(), self.echoed)? {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::from(SILENCE_MS)) {
                Ok(0) => {
                    return Err(
                        format!("nothing came for {SILENCE_MS} ms, {} echoes so far", self.echoed).into()
                    );
                }
                Err(Errno::EINTR) => continue,
                ready => ready?,
            };
            for event in &events[..ready] {
                let number = event.data() as usize;
                if event.events().contains(EpollFlags::EPOLLIN) {
                    self.read(number, &mut buffer)?;
                }
                self.flush(number)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, number: usize, buffer: &mut [u8]) -> Fallible<()> {
        let link = &mut self.links[number];
        let Some(count) = link.read(buffer).map_err(|error| at(number, error))? else { return Ok(()) };
        let now = Instant::now();
        self.received += count as u64;
        let echoed = link.take(&buffer[..count], self.ring, now, &mut self.meter);
        self.echoed += echoed.map_err(|error| at(number, error))?;
        link.refill(self.ring, now);
        Ok(())
    }

    /// Sends what is due, and asks to be told when there is room if there is none.
    fn flush(&mut self, number: usize) -> Fallible<()> {
        let link = &mut self.links[number];
        let waited = link.waits_for_room;
        link.flush(self.ring).map_err(|error| at(number, error))?;
        if link.waits_for_room != waited {
            let mut flags = EpollFlags::EPOLLIN;
            flags.set(EpollFlags::EPOLLOUT, link.waits_for_room);
            self.epoll.modify(&link.stream, &mut EpollEvent::new(flags, number as u64))?;
        }
        Ok(())
    }

    fn report(&self, args: &Echo, agreed: Agreed, server: &Server) -> Fallible<Value> {
        let mut report = self.meter.report("message", "messages")?;
        report.insert("mode".into(), "echo".into());
        report.insert("errors".into(), 0.into());
        // Who gets little where others get much is starved.
        let shares = || self.links.iter().map(Link::echoed);
        report.insert("of_one_connection".into(), json!({"least": shares().min(), "most": shares().max()}));
        report.insert("memory".into(), serde_json::to_value(server.memory()?)?);
        report.insert(
            "wire".into(),
            json!({
                "sent_per_message": self.ring.frame_bytes(),
                "received_per_message": self.received as f64 / self.echoed.max(1) as f64,
            }),
        );
        if args.deflate != Deflate::Off {
            let context =
                json!({"server": agreed.server_keeps_context, "client": agreed.client_keeps_context});
            report.insert("keeps_context".into(), context);
        }
        Ok(report.into())
    }
}

fn at(number: usize, error: Box<dyn std::error::Error>) -> String {
    format!("connection {number}: {error}")
}
