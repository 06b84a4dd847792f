//! Load for an echo server: what is sent has to come back, unchanged and in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::sleep;
use trunkline_net::url::WsUrl;
use trunkline_net::{CloseCode, Connector, Dialled, Error, Message, WebSocket};

use super::load::{Load, Plan, Turns};
use super::payload::Payloads;
use super::progress::Progress;
use super::report::{self, Findings, Latency, Report, Settings};
use super::run::{Opening, PATIENCE, Run, Tasks, conduct};
use super::tally::Kind;
use crate::exit::Failure;
use crate::refusal;
use crate::signals::Signals;

/// What is to be measured.
pub(super) struct Bench {
    pub(super) url: WsUrl,
    pub(super) connector: Connector,
    pub(super) connections: u32,
    pub(super) load: Load,
    pub(super) ramp: std::time::Duration,
    pub(super) payloads: Payloads,
    pub(super) settings: Settings,
}

/// What all connections share.
struct Shared {
    run: Run,
    payloads: Payloads,
    connector: Connector,
    url: WsUrl,
    counts: Counts,
}

/// What each connection adds to when it ends.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    unsent: AtomicU64,
    wire_sent: AtomicU64,
    wire_received: AtomicU64,
}

/// Measures. The first connection is tried alone: nothing is loaded that cannot be connected to.
///
/// # Errors
///
/// The first connection does not come about.
pub(super) async fn run(bench: Bench, signals: &mut Signals) -> Result<Report, Failure> {
    let Bench { url, connector, connections, load, ramp, payloads, settings } = bench;
    let run = Run::new(load, connections, ramp);
    let shared = Arc::new(Shared { run, payloads, connector, url, counts: Counts::default() });
    let first = tokio::select! {
        first = shared.connect() => first.map_err(|error| refusal::failure(&shared.url, error))?,
        () = signals.next() => return Err(Failure::unclean("interrupted before the first connection stood")),
    };
    let (opening, opened) = mpsc::channel(1);
    let mut tasks = Tasks::default();
    let mut first = Some(first);
    for number in 0..connections {
        tasks.senders.spawn(connection(Arc::clone(&shared), number, first.take(), opening.clone()));
    }
    drop(opening);
    let run = &shared.run;
    let wanted = u64::from(connections);
    let progress = Progress::new(run, wanted, "echoes", &run.latency);
    let course = conduct(run, tasks, opened, signals, progress, || 0).await?;
    let findings = shared.findings();
    Ok(Report::new(run, &course, super::place(&shared.url), wanted, settings, findings))
}

impl Shared {
    async fn connect(&self) -> Result<WebSocket<Dialled>, Error> {
        self.connector.connect_to(self.url.clone()).await
    }

    fn findings(&self) -> Findings {
        let (run, counts) = (&self.run, &self.counts);
        let latency = run.latency.total();
        let echoed = latency.histogram.len();
        let [sent, unsent, wire_sent, wire_received] =
            [&counts.sent, &counts.unsent, &counts.wire_sent, &counts.wire_received]
                .map(|count| count.load(Ordering::Relaxed));
        let size = self.payloads.size() as u64;
        Findings::Echo(report::Echo {
            messages: report::Messages { sent, echoed, unsent, per_second: 0.0 },
            bytes: report::Bytes { sent: sent * size, received: echoed * size, wire_sent, wire_received },
            latency_ns: Latency::of(&latency),
            send_delay_ns: Latency::of(&run.delay.total()),
        })
    }
}

/// The whole life of a connection.
async fn connection(shared: Arc<Shared>, number: u32, first: Option<WebSocket<Dialled>>, opening: Opening) {
    let run = &shared.run;
    let open = Box::pin(async {
        match first {
            Some(socket) => Ok(socket),
            None => shared.connect().await,
        }
    });
    let Some(socket) = run.open(number, open).await else { return };
    let sender = run.enlist();
    drop(opening);
    let mut talk =
        Talk { shared: &shared, sender, socket, waiting: VecDeque::new(), sent: 0, before: (0, 0) };
    let end = match talk.wait().await {
        Ok(Some(plan)) => talk.load(plan).await,
        Ok(None) => Ok(()),
        Err(end) => Err(end),
    };
    talk.count();
    match end {
        Ok(()) => talk.close().await,
        Err(End::Connection(why)) => talk.lost(Kind::Ended, &why),
        Err(End::WrongEcho(fault)) => {
            run.errors.add(Kind::WrongEcho, fault);
            // What comes behind it cannot be told to be right.
            talk.unanswered("an echo before it was wrong");
            talk.close().await;
        }
    }
}

/// Why a connection is of no more use.
enum End {
    Connection(String),
    WrongEcho(&'static str),
}

/// A connection that is measured.
struct Talk<'s> {
    shared: &'s Shared,
    sender: u64,
    socket: WebSocket<Dialled>,
    /// Messages that were sent, oldest first.
    waiting: VecDeque<Sent>,
    /// Messages that were sent, of those to be measured.
    sent: u64,
    /// Bytes on the wire before measuring began: sent and received.
    before: (u64, u64),
}

/// A message without its echo.
struct Sent {
    number: u64,
    /// When it was due.
    moment: Instant,
}

impl Talk<'_> {
    /// Waits for the time to send. The connection has to be kept alive meanwhile.
    async fn wait(&mut self) -> Result<Option<Plan>, End> {
        tokio::select! {
            plan = self.shared.run.plan() => Ok(plan),
            received = self.socket.recv() => match received {
                Some(Ok(_)) => Err(End::WrongEcho("nothing had been sent")),
                end => Err(End::of(&self.socket, end)),
            },
        }
    }

    /// Sends and receives until nothing more is to be sent and all echoes are there.
    async fn load(&mut self, plan: Plan) -> Result<(), End> {
        let run = &self.shared.run;
        let mut turns = Turns::new(plan, self.sender);
        let result = {
            let over = run.over();
            tokio::pin!(over);
            self.load_until(over, &plan, &mut turns).await
        };
        let unsent = if result.is_ok() { turns.missed(Instant::now()) } else { 0 };
        self.shared.counts.unsent.fetch_add(unsent, Ordering::Relaxed);
        result
    }

    async fn load_until(
        &mut self,
        mut over: std::pin::Pin<&mut impl Future<Output = ()>>,
        plan: &Plan,
        turns: &mut Turns,
    ) -> Result<(), End> {
        let run = &self.shared.run;
        let give_up = sleep(std::time::Duration::MAX);
        tokio::pin!(give_up);
        let mut sending = true;
        let mut now = Instant::now();
        loop {
            if sending {
                self.send_due(plan, turns, now).await?;
            }
            if self.waiting.is_empty() && (!sending || turns.are_over(now)) {
                return Ok(());
            }
            let room = sending && self.waiting.len() < plan.load.in_flight;
            tokio::select! {
                biased;
                received = self.socket.recv() => {
                    now = Instant::now();
                    self.receive(plan, received, now)?;
                    now = self.receive_more(plan, now)?;
                }
                () = run.due(self.sender), if room => now = Instant::now(),
                () = &mut over, if sending => {
                    sending = false;
                    give_up.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                }
                () = &mut give_up, if !sending => {
                    self.unanswered(format_args!("no echo within {} s of the end", PATIENCE.as_secs()));
                    return Ok(());
                }
            }
        }
    }

    /// Receives what else has arrived, so that what is sent for it leaves in one write. Gives the time.
    fn receive_more(&mut self, plan: &Plan, mut now: Instant) -> Result<Instant, End> {
        while !self.waiting.is_empty()
            && let Some(received) = self.socket.recv().now_or_never()
        {
            now = Instant::now();
            self.receive(plan, received, now)?;
        }
        Ok(now)
    }

    /// Queues what is due, as far as there is room. Receiving is what writes it.
    async fn send_due(&mut self, plan: &Plan, turns: &mut Turns, now: Instant) -> Result<(), End> {
        while self.waiting.len() < plan.load.in_flight && self.socket.has_room() {
            let Some(moment) = turns.due(now) else { return Ok(()) };
            let number = turns.take(moment);
            let message = self.shared.payloads.message(self.sender, number);
            if moment >= plan.measured_from() {
                if self.sent == 0 {
                    self.before = self.wire();
                }
                self.sent += 1;
                if plan.load.rate.is_some() {
                    self.shared.run.delay.record(self.sender, now - moment, now);
                }
            }
            self.waiting.push_back(Sent { number, moment });
            self.socket.feed(message).await.map_err(|error| End::Connection(error.to_string()))?;
        }
        Ok(())
    }

    fn receive(
        &mut self,
        plan: &Plan,
        received: Option<Result<Message, Error>>,
        now: Instant,
    ) -> Result<(), End> {
        let Some(Ok(echo)) = received else { return Err(End::of(&self.socket, received)) };
        let Some(Sent { number, moment }) = self.waiting.front() else {
            return Err(End::WrongEcho("nothing had been sent"));
        };
        if let Some(fault) = self.shared.payloads.fault(self.sender, *number, &echo) {
            return Err(End::WrongEcho(fault));
        }
        if *moment >= plan.measured_from() {
            self.shared.run.latency.record(self.sender, now.saturating_duration_since(*moment), now);
        }
        self.waiting.pop_front();
        Ok(())
    }

    /// Adds what this connection has done to what all have.
    fn count(&self) {
        let (sent, received) = self.wire();
        let counts = &self.shared.counts;
        counts.sent.fetch_add(self.sent, Ordering::Relaxed);
        if self.sent > 0 {
            counts.wire_sent.fetch_add(sent - self.before.0, Ordering::Relaxed);
            counts.wire_received.fetch_add(received - self.before.1, Ordering::Relaxed);
        }
    }

    async fn close(mut self) {
        match self.socket.close(CloseCode::NORMAL, "").await {
            Ok(closed) if closed.is_clean() => {}
            Ok(closed) => self.lost(Kind::Close, &closed.to_string()),
            Err(error) => self.lost(Kind::Close, &error.to_string()),
        }
    }

    fn lost(&mut self, kind: Kind, why: &str) {
        self.shared.run.errors.add(kind, why);
        self.unanswered("the connection ended before the echo");
    }

    fn unanswered(&mut self, why: impl std::fmt::Display) {
        let count = self.waiting.len() as u64;
        self.waiting.clear();
        self.shared.run.errors.add_many(Kind::Unanswered, why, count);
    }

    /// Bytes on the wire so far: sent and received.
    fn wire(&self) -> (u64, u64) {
        let counters = self.socket.counters();
        (counters.sent.wire_bytes, counters.received.wire_bytes)
    }
}

impl End {
    /// Of a connection that has nothing more to say.
    fn of(socket: &WebSocket<Dialled>, last: Option<Result<Message, Error>>) -> Self {
        Self::Connection(match (last, socket.closed()) {
            (Some(Err(error)), _) => error.to_string(),
            (_, Some(closed)) => closed.to_string(),
            (_, None) => "the connection has ended".to_owned(),
        })
    }
}
