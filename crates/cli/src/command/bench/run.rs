//! A run, from its first connection to its last: what all tasks share, and who tells them what it is time for.

use std::convert::Infallible;
use std::fmt::Display;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::load::{Load, Plan};
use super::pacer::Pacer;
use super::progress::Progress;
use super::tally::{Errors, Kind, Meter};
use crate::exit::Failure;
use crate::signals::Signals;

/// How long answers are waited for when all is sent.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that are being opened at once. A listener's queue holds a few thousand; a handshake in TLS is work.
const OPENING: usize = 128;

/// Held by a task until its connection stands, or does not.
pub(super) type Opening = mpsc::Sender<Infallible>;

/// What it is time for.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Opening,
    Load(Plan),
    /// Nothing more is to be sent.
    Over,
    /// So many publications were taken by the hub: each subscriber has to get as many.
    Collect(u64),
}

/// What the tasks of a run share.
pub(super) struct Run {
    /// Of echoes, or of deliveries.
    pub(super) latency: Meter,
    /// Of the hub's answers to publications.
    pub(super) published: Meter,
    /// From the moment a message was due to that at which it was sent, in an open loop.
    pub(super) delay: Meter,
    pub(super) errors: Errors,
    pub(super) opened: AtomicU64,
    pub(super) failed: AtomicU64,
    stage: watch::Sender<Stage>,
    planned: OnceLock<Plan>,
    load: Load,
    /// Between the openings of two connections.
    ramp: Duration,
    ramp_begin: Instant,
    gate: Semaphore,
    /// Those who send, in the order in which they were ready.
    senders: AtomicU64,
    wakes: Arc<[Notify]>,
}

/// The tasks of a run.
#[derive(Default)]
pub(super) struct Tasks {
    /// They end when they have sent all, and have their answers.
    pub(super) senders: JoinSet<()>,
    /// They end when they have got what the senders sent.
    pub(super) listeners: JoinSet<()>,
}

/// How a run went.
pub(super) struct Course {
    /// None if it did not come to sending.
    pub(super) plan: Option<Plan>,
    /// When nothing more was sent.
    pub(super) over: Instant,
    pub(super) interrupted: bool,
}

impl Run {
    /// A run with at most so many senders, which opens a connection every `ramp`.
    pub(super) fn new(load: Load, senders: u32, ramp: Duration) -> Self {
        Self {
            latency: Meter::new(),
            published: Meter::new(),
            delay: Meter::new(),
            errors: Errors::default(),
            opened: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stage: watch::Sender::new(Stage::Opening),
            planned: OnceLock::new(),
            load,
            ramp,
            ramp_begin: Instant::now(),
            gate: Semaphore::new(OPENING),
            senders: AtomicU64::new(0),
            wakes: (0..senders).map(|_| Notify::new()).collect(),
        }
    }

    /// Opens the connection with this number, when it is its turn. None if it did not open, which is counted, or if it is
    /// too late for it.
    ///
    /// Boxed, because opening takes more room than being open, and a task never gives back what it once needed.
    pub(super) async fn open<T, E: Display>(
        &self,
        number: u32,
        open: Pin<Box<impl Future<Output = Result<T, E>>>>,
    ) -> Option<T> {
        let opening = async {
            sleep_until((self.ramp_begin + self.ramp * number).into()).await;
            let _permit = self.gate.acquire().await;
            open.await
        };
        let result = tokio::select! {
            result = opening => result,
            () = self.over() => return None,
        };
        let counter = if result.is_ok() { &self.opened } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        result.map_err(|error| self.errors.add(Kind::Open, error)).ok()
    }

    /// Whoever calls this sends, and is given a number for it.
    pub(super) fn enlist(&self) -> u64 {
        self.senders.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits until it is time to send; None if it will not be.
    pub(super) async fn plan(&self) -> Option<Plan> {
        match self.wait(|stage| !matches!(stage, Stage::Opening)).await {
            Some(Stage::Load(plan)) => Some(plan),
            _ => None,
        }
    }

    /// The plan, once there is one.
    pub(super) fn planned(&self) -> Option<&Plan> {
        self.planned.get()
    }

    /// Waits until nothing more is to be sent.
    pub(super) async fn over(&self) {
        self.wait(|stage| matches!(stage, Stage::Over | Stage::Collect(_))).await;
    }

    /// Waits until it is known how many publications there were.
    pub(super) async fn collect(&self) -> u64 {
        match self.wait(|stage| matches!(stage, Stage::Collect(_))).await {
            Some(Stage::Collect(count)) => count,
            _ => 0,
        }
    }

    /// Waits until a sender has a message due, in an open loop.
    pub(super) async fn due(&self, sender: u64) {
        match self.wakes.get(sender as usize) {
            Some(wake) if self.load.rate.is_some() => wake.notified().await,
            _ => std::future::pending().await,
        }
    }

    async fn wait(&self, until: impl FnMut(&Stage) -> bool) -> Option<Stage> {
        // Whoever waits has the sender of it too, so that it cannot be gone.
        self.stage.subscribe().wait_for(until).await.ok().map(|stage| *stage)
    }
}

/// Takes a run through its stages. `publications` tells at the end how many there were; progress is shown by `meter`.
///
/// # Errors
///
/// No thread for the pacer.
pub(super) async fn conduct(
    run: &Run,
    mut tasks: Tasks,
    mut opening: mpsc::Receiver<Infallible>,
    signals: &mut Signals,
    mut progress: Progress<'_>,
    publications: impl Fn() -> u64,
) -> Result<Course, Failure> {
    let mut watcher = Watcher { signals, progress: &mut progress };
    let mut course = Course { plan: None, over: Instant::now(), interrupted: false };
    let opened = async {
        opening.recv().await;
    };
    course.interrupted = !watcher.until(opened).await;
    let senders = run.senders.load(Ordering::Relaxed);
    // Alive as long as there is something to send.
    let mut pacer = None;
    if !course.interrupted && senders > 0 {
        let plan = *run.planned.get_or_init(|| Plan { load: run.load, begin: Instant::now(), senders });
        pacer = Pacer::start(plan, Arc::clone(&run.wakes)).map_err(Failure::unclean)?;
        run.stage.send_replace(Stage::Load(plan));
        watcher.progress.load(plan);
        course.plan = Some(plan);
        tracing::info!(senders, "sending");
        course.interrupted = !watcher.until(sent(plan, &mut tasks.senders, &run.errors)).await;
    }
    course.over = Instant::now();
    run.stage.send_replace(Stage::Over);
    drop(pacer);
    let patient = watcher.until(all(&mut tasks.senders, &run.errors)).await;
    run.stage.send_replace(Stage::Collect(publications()));
    if patient {
        watcher.until(all(&mut tasks.listeners, &run.errors)).await;
    }
    // Of those whom a signal said not to wait for, nothing is left behind.
    tasks.senders.shutdown().await;
    tasks.listeners.shutdown().await;
    progress.finish();
    Ok(course)
}

/// Waits for something, and meanwhile shows how it goes.
struct Watcher<'w, 'p> {
    signals: &'w mut Signals,
    progress: &'w mut Progress<'p>,
}

impl Watcher<'_, '_> {
    /// Whether it came about before a signal.
    async fn until(&mut self, what: impl Future<Output = ()>) -> bool {
        tokio::pin!(what);
        let mut tick = tokio::time::interval(Progress::INTERVAL);
        loop {
            tokio::select! {
                () = &mut what => return true,
                () = self.signals.next() => return false,
                _ = tick.tick() => self.progress.show(),
            }
        }
    }
}

/// All is sent: the time is over, or every sender has ended before.
async fn sent(plan: Plan, senders: &mut JoinSet<()>, errors: &Errors) {
    let end = async {
        match plan.until() {
            Some(until) => sleep_until(until.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = end => {}
        () = all(senders, errors) => {}
    }
}

async fn all(tasks: &mut JoinSet<()>, errors: &Errors) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            errors.add(Kind::Fault, error);
        }
    }
}
