//! The near end: measures, step by step, and gives the facts.

mod changes;
mod http1;
mod measure;
mod talk;
mod target;
mod watched;

use std::time::Duration;

use trunkline_net::Connector;
use trunkline_net::url::WsUrl;

use crate::facts::{Facts, Far, Outcome};
use crate::wire::Field;
pub use target::Target;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Each way of two-way traffic; the WebSocket is tried in any case.
    Ways,
    /// Headers and addresses.
    Headers,
    /// Small things at a steady pace, and bytes that come with a head.
    Delivery,
    /// Round trips, idle and under load; sizes of messages.
    Latency,
    /// Both directions at once.
    Bulk,
    /// Frames and compression.
    Frames,
    /// How ends arrive.
    Endings,
    /// Bytes that look like a request.
    Lookalike,
    /// How long idle connections last.
    Idle,
    /// Rules of RFC 6455.
    Rules,
}

impl Step {
    /// All of them, in the order in which they are done.
    pub const ALL: [Step; 10] = [
        Step::Ways,
        Step::Headers,
        Step::Delivery,
        Step::Latency,
        Step::Bulk,
        Step::Frames,
        Step::Endings,
        Step::Lookalike,
        Step::Rules,
        Step::Idle,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Ways => "ways",
            Step::Headers => "headers",
            Step::Delivery => "delivery",
            Step::Latency => "latency",
            Step::Bulk => "bulk",
            Step::Frames => "frames",
            Step::Endings => "endings",
            Step::Lookalike => "lookalike",
            Step::Rules => "rules",
            Step::Idle => "idle",
        }
    }

    /// The step of a name.
    pub fn named(name: &str) -> Option<Step> {
        Step::ALL.into_iter().find(|step| step.name() == name)
    }

    /// Whether it needs the probe service at the other end.
    const fn needs_the_probe(self) -> bool {
        !matches!(self, Step::Ways | Step::Rules | Step::Idle)
    }
}

/// A handshake of one's own: `METHOD PATH TOKEN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnHandshake {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// What `Upgrade` names.
    pub token: String,
}

/// What to measure, and how long to wait.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server, with the path of its probe service or of another WebSocket.
    pub url: WsUrl,
    /// How to get there: proxy, TLS, time limits.
    pub connector: Connector,
    /// Headers for every request.
    pub headers: Vec<Field>,
    /// What to do.
    pub steps: Vec<Step>,
    /// Bytes of bulk each way.
    pub bytes: u64,
    /// How long an answer may take.
    pub patience: Duration,
    /// The longest silence to try; none to leave it out.
    pub idle_max: Duration,
    /// Other ports to try.
    pub ports: Vec<u16>,
    /// How many idle connections to open at once; 0 for none.
    pub parallel: usize,
    /// Handshakes of one's own.
    pub own: Vec<OwnHandshake>,
}

/// Is told what is being done, for whoever watches.
pub trait Watcher {
    /// Step `number` of `of` begins.
    fn step(&mut self, number: usize, of: usize, what: &str);
}

impl Watcher for () {
    fn step(&mut self, _: usize, _: usize, _: &str) {}
}

/// Measures what it is told to. What cannot be measured is absent from the facts; nothing here is an error.
///
/// # Cancel safety
///
/// Dropped, its connections are closed and nothing is left behind.
pub async fn run(options: &Options, watcher: &mut impl Watcher) -> Facts {
    let target = Target::new(options);
    let mut facts = Facts { url: target.shown(), tls: options.url.is_secure(), ..Facts::default() };
    let steps: Vec<Step> = Step::ALL.into_iter().filter(|step| options.steps.contains(step)).collect();
    let of = steps.len() + 1 + usize::from(!options.ports.is_empty()) + usize::from(options.parallel > 0);
    watcher.step(1, of, "reach");
    measure::reach::measure(&target, &mut facts).await;
    let mut number = 1;
    if !options.ports.is_empty() {
        number += 1;
        watcher.step(number, of, "ports");
        facts.ports = measure::ports::measure(&target, &options.ports).await;
    }
    if facts.reach.as_ref().is_some_and(|reach| reach.failed.is_some()) {
        return facts;
    }
    for step in steps {
        number += 1;
        watcher.step(number, of, step.name());
        if is_possible(step, &facts) {
            take(step, &target, options, &mut facts).await;
        }
    }
    if options.parallel > 0 && works(&facts) {
        watcher.step(of, of, "parallel");
        facts.parallel = Some(measure::parallel::measure(&target, options).await);
    }
    facts
}

/// Whether there is anything to measure it on.
fn is_possible(step: Step, facts: &Facts) -> bool {
    match step {
        Step::Ways => true,
        Step::Headers => facts.far == Far::Probe,
        // Events come by plain HTTP, whatever becomes of upgrades.
        Step::Delivery => facts.far == Far::Probe,
        Step::Rules => facts.far == Far::Foreign && works(facts),
        step if step.needs_the_probe() => facts.far == Far::Probe && works(facts),
        _ => works(facts),
    }
}

fn works(facts: &Facts) -> bool {
    facts.ways.iter().any(|way| way.name == "websocket" && way.outcome == Outcome::Works)
}

async fn take(step: Step, target: &Target<'_>, options: &Options, facts: &mut Facts) {
    match step {
        Step::Ways => measure::ways::measure(target, options, facts).await,
        Step::Headers => facts.headers = measure::headers::measure(target).await,
        Step::Delivery => measure::delivery::measure(target, works(facts), facts).await,
        Step::Latency => measure::latency::measure(target, facts).await,
        Step::Bulk => measure::bulk::measure(target, options.bytes, facts).await,
        Step::Frames => facts.frames = measure::frames::measure(target).await,
        Step::Endings => facts.endings = measure::endings::measure(target).await,
        Step::Lookalike => facts.lookalike = measure::lookalike::measure(target, facts).await,
        Step::Rules => facts.rules = measure::rules::measure(target).await,
        Step::Idle if !options.idle_max.is_zero() => {
            facts.idle = measure::idle::measure(target, options.idle_max, facts.far == Far::Probe).await;
        }
        Step::Idle => {}
    }
}
