//! What is being measured, for whoever watches: on a terminal alone.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use trunkline_probe::near::Watcher;

/// How often the time that has passed is drawn again.
const TICK: Duration = Duration::from_millis(250);

/// A line on stderr that is drawn again and again, and gone in the end.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Nothing is shown unless stderr is a terminal: a report that goes into a file is waited for by a script.
    pub(super) fn new() -> Self {
        let watched = io::stderr().is_terminal();
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(1), target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({elapsed})");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        if watched {
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    /// Wipes it from the terminal.
    pub(super) fn finish(self) {
        self.0.finish_and_clear();
    }
}

impl Watcher for Progress {
    fn step(&mut self, number: usize, of: usize, what: &str) {
        self.0.set_length(u64::try_from(of).unwrap_or(u64::MAX));
        self.0.set_position(u64::try_from(number).unwrap_or(u64::MAX));
        let about = match what {
            "reach" => "reaching the server",
            "ways" => "trying each way of two-way traffic",
            "headers" => "comparing headers",
            "delivery" => "sending small things at a steady pace",
            "latency" => "timing round trips",
            "bulk" => "sending bulk both ways at once",
            "frames" => "counting frames",
            "endings" => "ending connections in every way",
            "lookalike" => "sending bytes that look like a request",
            "rules" => "trying the rules of RFC 6455",
            "idle" => "waiting in silence",
            "ports" => "trying other ports",
            "parallel" => "holding many connections",
            what => what,
        };
        self.0.set_message(about.to_owned());
    }
}
