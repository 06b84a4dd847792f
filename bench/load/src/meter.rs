//! From when on things count, and what the server had used by then.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::Fallible;
use crate::args::Span;
use crate::server::{Server, own_cpu};

/// The measured time is cut into so many slices, whose spread says how quiet the machine was.
const SLICES: u32 = 10;

/// What takes longer counts as this.
const LONGEST_NS: u64 = 60_000_000_000;

pub(crate) struct Meter<'a> {
    server: &'a Server,
    slice: Duration,
    next: Instant,
    marks: Vec<Mark>,
    latency: Histogram<u64>,
}

struct Mark {
    at: Instant,
    server: Duration,
    own: Duration,
    count: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(server: &'a Server, span: &Span) -> Fallible<Self> {
        Ok(Self {
            server,
            slice: span.duration / SLICES,
            next: Instant::now() + span.warm_up,
            marks: Vec::new(),
            latency: Histogram::new_with_bounds(1, LONGEST_NS, 3)?,
        })
    }

    /// To be called often, with what was counted so far. False when the time is over.
    #[inline]
    pub(crate) fn goes_on(&mut self, now: Instant, count: u64) -> Fallible<bool> {
        let over = self.marks.len() > SLICES as usize;
        if now >= self.next && !over {
            self.marks.push(Mark { at: now, server: self.server.cpu()?, own: own_cpu()?, count });
            self.next = now + self.slice;
        }
        Ok(!over)
    }

    /// Whether the warm-up is over.
    pub(crate) fn counts(&self) -> bool {
        !self.marks.is_empty()
    }

    #[inline]
    pub(crate) fn latency(&mut self, sent: Instant, now: Instant) {
        if self.counts() {
            self.latency.saturating_record((now - sent).as_nanos() as u64);
        }
    }

    /// What was measured, for each `thing` of those that were counted, the `things`.
    pub(crate) fn report(&self, thing: &str, things: &str) -> Fallible<Map<String, Value>> {
        let (Some(first), Some(last)) = (self.marks.first(), self.marks.last()) else {
            return Err("nothing was measured".into());
        };
        let (count, seconds) = (last.count - first.count, (last.at - first.at).as_secs_f64());
        if count == 0 {
            return Err(format!("no {things} in {seconds:.1} seconds").into());
        }
        let per_thing = |from: &Mark, to: &Mark| {
            (to.server - from.server).as_nanos() as f64 / (to.count - from.count).max(1) as f64
        };
        let mut slices: Vec<f64> = self.marks.windows(2).map(|two| per_thing(&two[0], &two[1])).collect();
        slices.sort_by(f64::total_cmp);
        let busy = |used: Duration| used.as_secs_f64() / seconds;
        let report = json!({
            things: count,
            "seconds": seconds,
            format!("cpu_ns_per_{thing}"): per_thing(first, last),
            "cpu_ns_slices": slices,
            "per_second": count as f64 / seconds,
            "server_busy": busy(last.server - first.server),
            "generator_busy": busy(last.own - first.own),
            "latency_us": self.percentiles(),
        });
        match report {
            Value::Object(map) => Ok(map),
            _ => unreachable!("it is written as an object"),
        }
    }

    fn percentiles(&self) -> Value {
        let us = |ns: u64| ns as f64 / 1000.0;
        let at = |percent: f64| us(self.latency.value_at_percentile(percent));
        json!({
            "count": self.latency.len(),
            "p50": at(50.0), "p90": at(90.0), "p99": at(99.0), "p99.9": at(99.9), "max": us(self.latency.max()),
        })
    }
}
