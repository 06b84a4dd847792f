//! The result: as JSON what it is here, for people in `text`.

mod text;

use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::Serialize;

use super::load::Load;
use super::run::{Course, Run};
use super::tally::{Error, Measured};

/// What came of a run. All rates are over [`seconds`](Self::seconds), all durations in nanoseconds.
#[derive(Serialize)]
pub(super) struct Report {
    /// Scheme, host and port: the rest may hold a ticket.
    pub(super) url: String,
    /// From the end of the warm-up to the last answer.
    pub(super) seconds: f64,
    /// Whether a signal ended it before its time.
    pub(super) interrupted: bool,
    pub(super) settings: Settings,
    pub(super) connections: Connections,
    #[serde(flatten)]
    pub(super) findings: Findings,
    pub(super) errors: Vec<Error>,
}

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Settings {
    /// Bytes of a message, or of the data of a publication.
    pub(super) size: usize,
    pub(super) text: bool,
    pub(super) deflate: bool,
    pub(super) in_flight: usize,
    pub(super) rate: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Connections {
    pub(super) wanted: u64,
    pub(super) opened: u64,
    pub(super) failed: u64,
}

#[derive(Serialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub(super) enum Findings {
    Echo(Echo),
    Hub(Hub),
}

/// Of an echo server.
#[derive(Serialize)]
pub(super) struct Echo {
    pub(super) messages: Messages,
    pub(super) bytes: Bytes,
    pub(super) latency_ns: Option<Latency>,
    pub(super) send_delay_ns: Option<Latency>,
}

#[derive(Serialize)]
pub(super) struct Messages {
    pub(super) sent: u64,
    pub(super) echoed: u64,
    /// Due while it was measured, and never sent. Many of them mean that the rate was not held.
    pub(super) unsent: u64,
    pub(super) per_second: f64,
}

/// Of messages that were sent and came back, and of the streams below the connections meanwhile.
#[derive(Serialize)]
pub(super) struct Bytes {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) wire_sent: u64,
    pub(super) wire_received: u64,
}

/// Of a hub.
#[derive(Serialize)]
pub(super) struct Hub {
    pub(super) channel: String,
    pub(super) subscribers: u64,
    pub(super) publishers: u64,
    pub(super) publications: Publications,
    pub(super) deliveries: Deliveries,
    /// From the moment a publication was due to the hub's word that it is published.
    pub(super) publish_latency_ns: Option<Latency>,
    /// From the moment a publication was due to its arrival at a subscriber.
    pub(super) delivery_latency_ns: Option<Latency>,
    pub(super) send_delay_ns: Option<Latency>,
}

#[derive(Serialize)]
pub(super) struct Publications {
    pub(super) acknowledged: u64,
    pub(super) unsent: u64,
    pub(super) bytes: u64,
    pub(super) per_second: f64,
}

/// Faults are counted over the whole run, warm-up included.
#[derive(Serialize)]
pub(super) struct Deliveries {
    pub(super) received: u64,
    pub(super) bytes: u64,
    pub(super) per_second: f64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Publications that are not of this run.
    pub(super) foreign: u64,
}

/// Of all that was measured, in nanoseconds.
#[derive(Serialize)]
pub(super) struct Latency {
    pub(super) min: u64,
    pub(super) mean: u64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p99_9: u64,
    pub(super) max: u64,
}

impl Report {
    /// What of a result is the same in both modes.
    pub(super) fn new(
        run: &Run,
        course: &Course,
        url: String,
        wanted: u64,
        settings: Settings,
        findings: Findings,
    ) -> Self {
        let lasts = [&run.latency, &run.published].map(|meter| meter.total().last);
        Self {
            url,
            seconds: seconds(course, lasts.into_iter().flatten().max()),
            interrupted: course.interrupted,
            settings,
            connections: Connections {
                wanted,
                opened: run.opened.load(Ordering::Relaxed),
                failed: run.failed.load(Ordering::Relaxed),
            },
            findings,
            errors: run.errors.list(),
        }
        .with_rates()
    }

    /// Whether anything was measured.
    pub(super) fn measured(&self) -> bool {
        match &self.findings {
            Findings::Echo(echo) => echo.messages.echoed > 0,
            Findings::Hub(hub) if hub.subscribers == 0 => hub.publications.acknowledged > 0,
            Findings::Hub(hub) => hub.deliveries.received > 0,
        }
    }

    /// Whether all was as it should be.
    pub(super) fn sound(&self) -> bool {
        let complete = match &self.findings {
            Findings::Echo(_) => true,
            Findings::Hub(Hub { deliveries: all, .. }) => all.lost + all.duplicated + all.out_of_order == 0,
        };
        complete && self.errors.is_empty()
    }

    fn with_rates(mut self) -> Self {
        let seconds = self.seconds;
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        match &mut self.findings {
            Findings::Echo(Echo { messages, .. }) => messages.per_second = rate(messages.echoed),
            Findings::Hub(Hub { publications, deliveries, .. }) => {
                publications.per_second = rate(publications.acknowledged);
                deliveries.per_second = rate(deliveries.received);
            }
        }
        self
    }
}

impl Settings {
    pub(super) fn new(load: &Load, size: usize, text: bool, deflate: bool) -> Self {
        Self { size, text, deflate, in_flight: load.in_flight, rate: load.rate }
    }
}

impl Latency {
    /// None of nothing.
    pub(super) fn of(measured: &Measured) -> Option<Self> {
        let all = &measured.histogram;
        (!all.is_empty()).then(|| Self {
            min: all.min(),
            mean: all.mean() as u64,
            p50: all.value_at_quantile(0.5),
            p90: all.value_at_quantile(0.9),
            p99: all.value_at_quantile(0.99),
            p99_9: all.value_at_quantile(0.999),
            max: all.max(),
        })
    }
}

/// How long it was measured: to the last answer, for those that come late took their time too.
fn seconds(course: &Course, last: Option<Instant>) -> f64 {
    let (Some(plan), Some(last)) = (course.plan, last) else { return 0.0 };
    let sent = plan.until().map_or(course.over, |until| until.min(course.over));
    // What ends with a number of messages ends with the last of them.
    let end = if plan.load.messages.is_some() { last } else { last.max(sent) };
    end.saturating_duration_since(plan.measured_from()).as_secs_f64()
}
