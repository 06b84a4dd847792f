//! Stopping, in a stated order:
//!
//! 1. `/readyz` turns red, so that nobody is sent here any more;
//! 2. the listeners close, so that nobody comes;
//! 3. every peer is pushed `go_away`, which tells it to come back and when;
//! 4. every peer is pushed `disconnect` and its connection closed with 1001; HTTP connections end after the answer they
//!    are at;
//! 5. up to `stop.timeout_s` after the beginning the rest is waited for;
//! 6. what is left is cut.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use trunkline_dialect::{Code, GoAway};

use crate::App;
use crate::outbox::Ending;

/// What came of a graceful stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Peers that were told to go away.
    pub told: usize,
    /// Connections that ended in time, HTTP ones included.
    pub closed: usize,
    /// Connections that were cut.
    pub cut: usize,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { told, closed, cut, took } = self;
        write!(
            f,
            "stopped in {:.1} s: {told} peers told, {closed} connections closed, {cut} cut",
            took.as_secs_f64()
        )
    }
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Stopping,
    Cut,
}

/// What every task of the server listens to, and by which the server knows how many connections are left.
#[derive(Debug)]
pub(crate) struct Stop {
    phase: watch::Sender<Phase>,
    live: watch::Sender<usize>,
    connections: Gauge,
}

/// One connection that a stop waits for, until it is dropped.
#[derive(Debug)]
pub(crate) struct Live(Arc<Stop>);

/// Cuts every connection when the server itself is dropped while it runs.
pub(crate) struct CutOnDrop(pub(crate) Arc<App>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        cut_all(&self.0);
    }
}

impl Stop {
    /// Nothing runs yet; `connections` is the metric that shows how much does.
    pub(crate) fn new(connections: Gauge) -> Arc<Stop> {
        let (phase, live) = (watch::Sender::new(Phase::Running), watch::Sender::new(0));
        Arc::new(Stop { phase, live, connections })
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    pub(crate) fn is_cut(&self) -> bool {
        *self.phase.borrow() == Phase::Cut
    }

    /// Resolves when the stop begins. Cancel safe.
    pub(crate) async fn stopping(&self) {
        self.reached(Phase::Stopping).await;
    }

    /// Resolves when what is left is cut. Cancel safe.
    pub(crate) async fn cut(&self) {
        self.reached(Phase::Cut).await;
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Live {
        self.live.send_modify(|live| *live += 1);
        self.connections.inc();
        Live(self.clone())
    }

    async fn reached(&self, wanted: Phase) {
        // The sender is in `self`, so it cannot have gone.
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= wanted).await;
    }

    async fn none_left(&self) {
        let _ = self.live.subscribe().wait_for(|live| *live == 0).await;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.send_modify(|live| *live -= 1);
        self.0.connections.dec();
    }
}

/// Steps 1 and 2: from here on `/readyz` is red and the accept loops end.
pub(crate) fn begin(app: &App) {
    app.stop.phase.send_replace(Phase::Stopping);
}

/// Steps 3 to 6.
pub(crate) async fn finish(app: &App) -> Summary {
    let began = Instant::now();
    let told = app.node.links();
    let before = *app.stop.live.borrow();
    app.node.go_away(GoAway { leave_ms: 0, return_ms: 0, to: None, code: Code::Unavailable });
    app.node.end_all(&Ending::stopping());
    let _ = tokio::time::timeout(app.config.stop.timeout, app.stop.none_left()).await;
    let cut = *app.stop.live.borrow();
    cut_all(app);
    // Cut tasks end at their next turn: one that did not would be a task that blocks a thread.
    let _ = tokio::time::timeout(Duration::from_secs(1), app.stop.none_left()).await;
    Summary { told, closed: before.saturating_sub(cut), cut, took: began.elapsed() }
}

/// Step 6. Clients of the hub are told by their outboxes: to wait for the phase as well would cost each of them more than the
/// outbox itself.
fn cut_all(app: &App) {
    app.stop.phase.send_replace(Phase::Cut);
    app.node.cut_all();
}
