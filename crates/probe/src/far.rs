//! The far end: does what it is told, and remembers what it saw.
//!
//! One loop drives one connection. What it has to say waits in a bounded queue; while that is full nothing is read, so that a
//! near end that does not read gets no more than that out of it.

mod bulk;
mod records;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

pub(crate) use self::bulk::Running;
pub use self::records::{Record, Records};
use crate::pipe::{End, Event, Measured, Pipe, Unit, Wants};
use crate::wire::{self, Command, Counters, Hello, Reply, TICKS_LIMIT};

/// Units and bytes that may wait to be sent. An echo of the largest unit fits; past either nothing is read.
const WAITING_UNITS: usize = 64;
const WAITING_BYTES: usize = 2 << 20;

/// Marks of which the time is kept.
const MARKS_LIMIT: usize = 1_000;

/// How long a connection may last (12 h): whoever measures for longer has measured enough.
pub const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// How long what is still to be said may take once the near end has ended its direction.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Serves one connection to its end. `hello` is said first, unless that was done already.
pub async fn serve<S>(pipe: Pipe<S>, hello: Option<Hello>, record: Record, records: &Records)
where
    S: AsyncRead + AsyncWrite + Unpin + Measured,
{
    if let Some(stream) = pipe.stream() {
        stream.without_keepalive();
    }
    let mut served = Served {
        pipe,
        record,
        records,
        waiting: VecDeque::new(),
        waiting_bytes: 0,
        bulk: None,
        ticks: None,
        marks: Vec::new(),
        reading: true,
        closing: false,
    };
    if let Some(hello) = hello {
        served.say(&Reply::Hello(Box::new(hello)));
    }
    let end = tokio::time::timeout(LIFETIME, served.run()).await;
    served.record.ended(&end.unwrap_or(End::Failed("its time was over".to_owned())));
}

struct Served<'r, S> {
    pipe: Pipe<S>,
    record: Record,
    records: &'r Records,
    waiting: VecDeque<Unit>,
    waiting_bytes: usize,
    bulk: Option<Running>,
    ticks: Option<Ticks>,
    marks: Vec<Instant>,
    /// The near end's direction is open.
    reading: bool,
    /// We have ended ours.
    closing: bool,
}

struct Ticks {
    begun: Instant,
    next: u32,
    count: u32,
    every: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Measured> Served<'_, S> {
    /// **All that waits goes into the pipe, then the pipe is driven once, then the next.**
    async fn run(&mut self) -> End {
        let mut last_words = None;
        loop {
            if let Err(why) = self.feed() {
                return End::Failed(why);
            }
            if !self.reading && !self.has_more() && self.ticks.is_none() {
                self.pipe.start_close(1000, "");
                return self.pipe.flush().await.err().unwrap_or(End::Ended);
            }
            let wants = Wants { input: self.reading && self.takes_more(), room: self.has_more() };
            let due = self.ticks.as_ref().map(Ticks::due);
            let event = tokio::select! {
                event = self.pipe.event(wants) => event,
                () = at(due), if due.is_some() => {
                    self.tick();
                    continue;
                }
                () = at(last_words), if last_words.is_some() => return End::Ended,
            };
            match event {
                Event::Room => {}
                Event::Received(unit) => match self.take(unit) {
                    Told::Nothing => {}
                    Told::End(end) => return end,
                },
                Event::End(End::Ended) if self.pipe.is_raw() && !self.closing => {
                    // Only the near end's direction: what is still to be said may be heard.
                    self.reading = false;
                    self.record.half();
                    last_words = Some(Instant::now() + LAST_WORDS);
                }
                Event::End(end) => return end,
            }
        }
    }

    fn feed(&mut self) -> Result<(), String> {
        while self.pipe.has_room() {
            let Some(unit) = self.next_out() else { return Ok(()) };
            self.pipe.feed(unit)?;
        }
        Ok(())
    }

    /// Answers go before bulk: they are what is timed.
    fn next_out(&mut self) -> Option<Unit> {
        if let Some(unit) = self.waiting.pop_front() {
            self.waiting_bytes -= weight(&unit);
            return Some(unit);
        }
        let piece = self.bulk.as_mut()?.next_piece().map(Unit::Binary);
        self.finish_bulk();
        piece
    }

    fn has_more(&self) -> bool {
        !self.waiting.is_empty() || self.bulk.as_ref().is_some_and(Running::has_more)
    }

    fn takes_more(&self) -> bool {
        self.waiting.len() < WAITING_UNITS && self.waiting_bytes < WAITING_BYTES
    }

    fn take(&mut self, unit: Unit) -> Told {
        self.record.received(weight(&unit));
        match unit {
            Unit::Binary(bytes) => self.take_binary(bytes),
            Unit::Text(text) => match wire::decode(&text) {
                Ok(command) => return self.obey(command),
                Err(why) => {
                    self.say(&Reply::Error { message: format!("no command of this protocol: {why}") })
                }
            },
        }
        Told::Nothing
    }

    fn take_binary(&mut self, bytes: Bytes) {
        match self.bulk.as_mut().filter(|bulk| bulk.expects_more()) {
            Some(bulk) => {
                bulk.take(&bytes);
                self.finish_bulk();
            }
            None => self.push(Unit::Binary(bytes)),
        }
    }

    fn obey(&mut self, command: Command) -> Told {
        match command {
            Command::Ping { n, pad } => self.say(&Reply::Pong { n, pad }),
            Command::Bulk { up, down, seed } => self.begin_bulk(up, down, seed),
            Command::Ticks { count, every_ms } => self.begin_ticks(count, every_ms),
            Command::Mark {} if self.marks.len() < MARKS_LIMIT => self.marks.push(Instant::now()),
            Command::Mark {} => self.refuse(format!("marks: at most {MARKS_LIMIT} on one connection")),
            Command::Marks {} => self.say(&Reply::Marks { at_us: since_first(&self.marks) }),
            Command::Counters {} => self.counters(),
            Command::Ending { id } => {
                let ending = self.records.find(&id);
                self.say(&Reply::Ending(ending));
            }
            Command::Close { code, reason } => return self.close(code, &reason),
            Command::HalfClose {} if self.pipe.is_raw() => {
                self.closing = true;
                self.record.told("half_close");
                self.pipe.start_close(1000, "");
            }
            Command::HalfClose {} => self.refuse("half_close: a WebSocket has no such thing".to_owned()),
            Command::Reset {} => return self.reset(),
        }
        Told::Nothing
    }

    fn close(&mut self, code: u16, reason: &str) -> Told {
        self.closing = true;
        self.record.told("close");
        self.pipe.start_close(code, reason);
        Told::Nothing
    }

    fn reset(&mut self) -> Told {
        match self.pipe.stream().is_some_and(Measured::reset_on_close) {
            true => Told::End(End::Failed("reset as told".to_owned())),
            false => {
                self.refuse("reset: this connection is none of TCP's".to_owned());
                Told::Nothing
            }
        }
    }

    fn begin_bulk(&mut self, up: u64, down: u64, seed: u64) {
        let limit = wire::BULK_LIMIT;
        if self.bulk.is_some() {
            return self.refuse("bulk: one at a time".to_owned());
        }
        if up > limit || down > limit {
            return self.refuse(format!("bulk: at most {limit} bytes each way, not {}", up.max(down)));
        }
        self.say(&Reply::Go {});
        self.bulk = Some(Running::begin(up, down, seed));
        self.finish_bulk();
    }

    fn finish_bulk(&mut self) {
        if let Some(done) = self.bulk.as_mut().and_then(Running::done) {
            self.bulk = None;
            self.say(&Reply::Bulk(done));
        }
    }

    fn begin_ticks(&mut self, count: u32, every_ms: u32) {
        if count == 0 || count > TICKS_LIMIT {
            return self.refuse(format!("ticks: 1 to {TICKS_LIMIT}, not {count}"));
        }
        let every = Duration::from_millis(every_ms.into());
        self.ticks = Some(Ticks { begun: Instant::now(), next: 0, count, every });
    }

    fn tick(&mut self) {
        let Some(ticks) = &mut self.ticks else { return };
        let reply = Reply::Tick { n: ticks.next, at_us: micros(ticks.begun.elapsed()) };
        ticks.next += 1;
        if ticks.next == ticks.count {
            self.ticks = None;
        }
        self.say(&reply);
    }

    fn counters(&mut self) {
        let received = self.pipe.counters().unwrap_or_default().received;
        let (frames, messages) = (received.frames, received.messages);
        self.say(&Reply::Counters(Counters { frames, messages, deflated_bytes: received.deflated_bytes }));
    }

    fn refuse(&mut self, message: String) {
        self.say(&Reply::Error { message });
    }

    fn say(&mut self, reply: &Reply) {
        self.push(Unit::Text(wire::encode(reply)));
    }

    fn push(&mut self, unit: Unit) {
        self.waiting_bytes += weight(&unit);
        self.waiting.push_back(unit);
    }
}

/// What a command comes to.
enum Told {
    Nothing,
    End(End),
}

impl Ticks {
    fn due(&self) -> Instant {
        self.begun + self.every * self.next
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn weight(unit: &Unit) -> usize {
    match unit {
        Unit::Text(text) => text.len(),
        Unit::Binary(bytes) => bytes.len(),
    }
}

fn since_first(times: &[Instant]) -> Vec<u64> {
    let first = times.first().copied();
    times.iter().filter_map(|time| Some(micros(time.duration_since(first?)))).collect()
}

/// A duration as it crosses the wire.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
