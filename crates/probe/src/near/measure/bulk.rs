//! Both directions at once, checked byte by byte, with small messages between to see how long those take.

use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};

use crate::facts::{BothWays, Facts};
use crate::far::Running;
use crate::near::talk::{Asking, Talk};
use crate::near::target::{Target, since};
use crate::pipe::{End, Event, Unit, Wants};
use crate::wire::{self, Command, Reply};

/// A round trip is tried this often.
const PING_EVERY: Duration = Duration::from_millis(100);

/// Intervals of the whole time for which the pace is told.
const INTERVALS: usize = 20;

pub(crate) async fn measure(target: &Target<'_>, bytes: u64, facts: &mut Facts) {
    let Ok(talk) = Talk::websocket(target, Asking::default()).await else { return };
    let mut run = Run::new(talk, bytes);
    let outcome = run.run(target.patience * 2).await;
    facts.latency.get_or_insert_default().loaded_ms = run.round_trips;
    let here = run.ours.so_far();
    let (stalled, ended) = match &outcome {
        Ok(_) => (false, None),
        Err(None) => (true, None),
        Err(Some(end)) => (false, Some(format!("{end:?}"))),
    };
    let pace = pace(&run.samples);
    facts.bulk = Some(BothWays { bytes, here, there: outcome.ok(), stalled, ended, pace });
}

struct Run {
    talk: Talk,
    ours: Running,
    bytes: u64,
    begun: Instant,
    pings: Vec<Instant>,
    answered: usize,
    round_trips: Vec<f64>,
    /// Seconds, bytes queued, bytes received.
    samples: Vec<(f64, u64, u64)>,
}

impl Run {
    fn new(talk: Talk, bytes: u64) -> Self {
        let seed = rand::random();
        Self {
            talk,
            ours: Running::ask(bytes, bytes, seed),
            bytes,
            begun: Instant::now(),
            pings: Vec::new(),
            answered: 0,
            round_trips: Vec::new(),
            samples: vec![(0.0, 0, 0)],
        }
    }

    /// What the far end says of it; `None` for a standstill of `patience`.
    async fn run(&mut self, patience: Duration) -> Result<wire::Bulk, Option<End>> {
        let seed = rand::random();
        self.ours = Running::ask(self.bytes, self.bytes, seed);
        let command = Command::Bulk { up: self.bytes, down: self.bytes, seed };
        match self.talk.ask(&command).await {
            Ok(Reply::Go {}) => {}
            Ok(other) => return Err(Some(End::Failed(format!("{other:?}")))),
            Err(end) => return Err(Some(end)),
        }
        self.begun = Instant::now();
        loop {
            self.feed().map_err(|why| Some(End::Failed(why)))?;
            let wants = Wants { input: true, room: self.ours.has_more() };
            let next_ping = self.begun + PING_EVERY * u32::try_from(self.pings.len() + 1).unwrap_or(u32::MAX);
            // Pings go on as long as anything is to be sent: without bulk they say nothing.
            let pinging = self.ours.has_more();
            let step = async {
                tokio::select! {
                    event = self.talk.pipe.event(wants) => Some(event),
                    () = sleep_until(next_ping.into()), if pinging => None,
                }
            };
            match timeout(patience, step).await {
                Err(_) => return Err(None),
                Ok(None) => self.ping().map_err(|why| Some(End::Failed(why)))?,
                Ok(Some(Event::Room)) => {}
                Ok(Some(Event::End(end))) => return Err(Some(end)),
                Ok(Some(Event::Received(Unit::Binary(bytes)))) => self.ours.take(&bytes),
                Ok(Some(Event::Received(Unit::Text(text)))) => match wire::decode(&text) {
                    Ok(Reply::Bulk(there)) => {
                        self.sample();
                        return Ok(there);
                    }
                    Ok(Reply::Pong { n, .. }) => self.answer(n),
                    _ => {}
                },
            }
            self.sample();
        }
    }

    fn feed(&mut self) -> Result<(), String> {
        while self.talk.pipe.has_room() {
            let Some(piece) = self.ours.next_piece() else { break };
            self.talk.pipe.feed(Unit::Binary(piece))?;
        }
        Ok(())
    }

    fn ping(&mut self) -> Result<(), String> {
        let n = u64::try_from(self.pings.len()).unwrap_or(u64::MAX);
        self.pings.push(Instant::now());
        self.talk.pipe.feed(Unit::Text(wire::encode(&Command::Ping { n, pad: String::new() })))
    }

    fn answer(&mut self, n: u64) {
        if let Some(sent) = usize::try_from(n).ok().and_then(|n| self.pings.get(n)) {
            self.answered += 1;
            self.round_trips.push(since(*sent));
        }
    }

    /// Where it stands, about as often as a chart can show.
    fn sample(&mut self) {
        let now = self.begun.elapsed().as_secs_f64();
        let so_far = self.ours.so_far();
        let fresh = self.samples.last().is_some_and(|(then, ..)| now - then < 0.005);
        if !fresh || !self.ours.has_more() {
            self.samples.push((now, self.ours.sent(), so_far.received));
        }
    }
}

/// Megabits per second up and down, in equal parts of the time.
fn pace(samples: &[(f64, u64, u64)]) -> Vec<(f64, f64)> {
    let Some(&(end, ..)) = samples.last().filter(|(end, ..)| *end > 0.0) else { return Vec::new() };
    let at = |time: f64| {
        let after = samples.iter().position(|(then, ..)| *then >= time).unwrap_or(samples.len() - 1);
        let (_, up, down) = samples[after];
        (up as f64, down as f64)
    };
    let step = end / INTERVALS as f64;
    let megabits = |bytes: f64| bytes.max(0.0) * 8.0 / step / 1e6;
    let part = |number: usize| {
        let (before, after) = (at(step * number as f64), at(step * (number + 1) as f64));
        (megabits(after.0 - before.0), megabits(after.1 - before.1))
    };
    (0..INTERVALS).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_of_steady_traffic_is_steady_and_adds_up() {
        let samples: Vec<_> =
            (0..=100_u32).map(|n| (f64::from(n) / 10.0, u64::from(n) * 1000, u64::from(n) * 2000)).collect();
        let pace = pace(&samples);
        assert_eq!(pace.len(), INTERVALS);
        let up: f64 = pace.iter().map(|(up, _)| up * 0.5 * 1e6 / 8.0).sum();
        assert!((up - 100_000.0).abs() < 1.0, "{up}");
        assert!(super::pace(&[(0.0, 0, 0)]).is_empty());
    }
}
