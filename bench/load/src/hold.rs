//! Peers of a hub that do nothing for a long time but answer heartbeats.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::{Value, json};

use crate::Fallible;
use crate::args::Hold;
use crate::hub::Hub;
use crate::server::{Server, own_cpu};
use crate::talk::{Heard, Talk};

const CHANNEL: &str = "room:bench";
const EVENTS: usize = 256;
/// How long waiting may take before the clock is looked at again, in milliseconds.
const TICK: u16 = 200;

pub(crate) fn run(address: SocketAddrV4, args: &Hold, server: &Server) -> Fallible<Value> {
    let mut hub = Hub::new(address, args.api_key.clone())?;
    let mut crowd = Crowd::new()?;
    let before = server.memory()?;
    let began = Instant::now();
    while crowd.all.len() < args.connections {
        let some = BATCH.min(args.connections - crowd.all.len());
        crowd.add(hub.subscribers(crowd.all.len(), some, CHANNEL)?)?;
        // Those that are here already are asked whether they live while the others come.
        crowd.attend(Duration::ZERO)?;
    }
    let opening = began.elapsed();
    // Whoever started this knows then that all are there.
    eprintln!("held");
    let (cpu, own, heard) = (server.cpu()?, own_cpu()?, crowd.heard);
    crowd.attend(args.duration)?;
    let seconds = args.duration.as_secs_f64();
    let (cpu, own) = (server.cpu()? - cpu, own_cpu()? - own);
    Ok(json!({
        "mode": "hold",
        "connections": crowd.all.len(),
        "opening_seconds": opening.as_secs_f64(),
        "seconds": seconds,
        "pings_answered": crowd.heard.pings - heard.pings,
        "messages": crowd.heard.messages - heard.messages,
        "cpu_ms_per_second": cpu.as_secs_f64() * 1e3 / seconds,
        "generator_cpu_ms_per_second": own.as_secs_f64() * 1e3 / seconds,
        "memory_before": before,
        "memory": server.memory()?,
        "errors": 0,
    }))
}

/// Connections that are opened before those that are open already are looked at.
const BATCH: usize = 256;

struct Crowd {
    epoll: Epoll,
    all: Vec<Talk>,
    heard: Heard,
}

impl Crowd {
    fn new() -> Fallible<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, all: Vec::new(), heard: Heard::default() })
    }

    fn add(&mut self, talks: Vec<Talk>) -> Fallible<()> {
        for talk in talks {
            let number = self.all.len() as u64;
            self.epoll.add(&talk.stream, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
            self.all.push(talk);
        }
        Ok(())
    }

    /// Answers what has to be answered, for so long. An end of any connection ends the run.
    fn attend(&mut self, duration: Duration) -> Fallible<()> {
        let until = Instant::now() + duration;
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let tick = if duration.is_zero() { EpollTimeout::ZERO } else { EpollTimeout::from(TICK) };
            let count = self.epoll.wait(&mut events, tick)?;
            for event in &events[..count] {
                let number = usize::try_from(event.data())?;
                let heard = self.all[number].attend().map_err(|error| format!("peer {number}: {error}"))?;
                self.heard.pings += heard.pings;
                self.heard.messages += heard.messages;
            }
            if Instant::now() >= until && (count == 0 || !duration.is_zero()) {
                return Ok(());
            }
        }
    }
}
