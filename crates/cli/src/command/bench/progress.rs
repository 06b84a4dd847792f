//! How it is getting on, for whoever watches: on a terminal alone.

use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::load::Plan;
use super::run::Run;
use super::tally::Meter;

/// What a full bar counts.
const FULL: u64 = 1000;

/// A line on stderr that is drawn again and again, and gone in the end.
pub(super) struct Progress<'r> {
    bar: ProgressBar,
    run: &'r Run,
    /// Connections wanted.
    connections: u64,
    /// Whose rate and latency are shown, and what they are called.
    meter: &'r Meter,
    name: &'static str,
    plan: Option<Plan>,
    /// When it was shown last, and how many there were.
    shown: (Instant, u64),
}

impl<'r> Progress<'r> {
    /// How often it should be shown.
    pub(super) const INTERVAL: Duration = Duration::from_millis(250);

    /// Nothing is shown unless stdout and stderr are a terminal: a result that goes into a file is waited for by a script.
    pub(super) fn new(run: &'r Run, connections: u64, name: &'static str, meter: &'r Meter) -> Self {
        let watched = io::stdout().is_terminal() && io::stderr().is_terminal();
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(FULL), target);
        let style = ProgressStyle::with_template("{bar:30} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, run, connections, meter, name, plan: None, shown: (Instant::now(), 0) }
    }

    /// From now on messages are sent.
    pub(super) fn load(&mut self, plan: Plan) {
        self.plan = Some(plan);
        self.shown = (Instant::now(), 0);
    }

    /// Draws it as it is now.
    pub(super) fn show(&mut self) {
        if self.bar.is_hidden() {
            return;
        }
        let (part, mut words) = match self.plan {
            None => self.opening(),
            Some(plan) => self.loading(&plan),
        };
        let errors = self.run.errors.count();
        if errors > 0 {
            words.push_str(&format!(", {} errors", HumanCount(errors)));
        }
        self.bar.set_position((part.clamp(0.0, 1.0) * FULL as f64) as u64);
        self.bar.set_message(words);
    }

    /// Wipes it from the terminal.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }

    fn opening(&self) -> (f64, String) {
        let opened = self.run.opened.load(Ordering::Relaxed);
        let words = format!("{} of {} connections", HumanCount(opened), HumanCount(self.connections));
        (opened as f64 / self.connections as f64, words)
    }

    fn loading(&mut self, plan: &Plan) -> (f64, String) {
        let now = Instant::now();
        let since = now.saturating_duration_since(plan.measured_from());
        if since.is_zero() {
            return (0.0, "warming up".to_owned());
        }
        let measured = self.meter.total().histogram;
        let count = measured.len();
        let (before, counted) = std::mem::replace(&mut self.shown, (now, count));
        // Since the last time, unless that was a moment ago.
        let passed = now.saturating_duration_since(before).max(Self::INTERVAL / 2).as_secs_f64();
        let rate = (count.saturating_sub(counted) as f64 / passed) as u64;
        let of_time = plan.load.duration.map_or(0.0, |duration| since.as_secs_f64() / duration.as_secs_f64());
        let of_messages = plan.load.messages.map_or(0.0, |messages| count as f64 / messages as f64);
        let p99 = Duration::from_nanos(measured.value_at_quantile(0.99));
        let words =
            format!("{:.0} s, {} {}/s, p99 {p99:.1?}", since.as_secs_f64(), HumanCount(rate), self.name);
        (of_time.max(of_messages), words)
    }
}
