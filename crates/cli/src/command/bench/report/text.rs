//! The result in words, a line for each thing.

use std::fmt::{self, Display, Formatter, Write as _};
use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount};

use super::super::tally::{Error, Kind};
use super::{Bytes, Connections, Echo, Findings, Hub, Latency, Messages, Publications, Report, Settings};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Settings { size, text, deflate, in_flight, rate } = &self.settings;
        let kind = if *text { "text" } else { "binary" };
        let deflate = if *deflate { ", deflate offered" } else { "" };
        let pace = rate.map_or_else(String::new, |rate| format!(", {rate} a second"));
        match &self.findings {
            Findings::Echo(_) => write!(f, "{}: {size}-byte {kind} messages", self.url)?,
            Findings::Hub(hub) => write!(f, "{} at {}: {size}-byte publications", hub.channel, self.url)?,
        }
        writeln!(
            f,
            "{deflate}{pace}, at most {in_flight} in flight{}",
            if self.interrupted { "; interrupted" } else { "" }
        )?;
        let Connections { wanted, opened, failed } = &self.connections;
        let of = HumanCount(*wanted);
        row(
            f,
            "connections",
            format_args!("{} of {of} opened, {} failed", HumanCount(*opened), HumanCount(*failed)),
        )?;
        match &self.findings {
            Findings::Echo(echo) => echo.write(f, self.seconds)?,
            Findings::Hub(hub) => hub.write(f, self.seconds)?,
        }
        let count: u64 = self.errors.iter().map(|error| error.count).sum();
        if count == 0 {
            return write!(f, "{:<14}none", "errors");
        }
        write!(f, "{:<14}{}", "errors", HumanCount(count))?;
        self.errors.iter().try_for_each(|Error { kind, what, count }| {
            write!(f, "\n  {} {}: {what}", HumanCount(*count), kind.words())
        })
    }
}

impl Echo {
    fn write(&self, f: &mut Formatter<'_>, seconds: f64) -> fmt::Result {
        let Messages { sent, echoed, unsent, per_second } = &self.messages;
        let mut words = format!("{} echoed in {seconds:.2} s: {}", HumanCount(*echoed), per(*per_second));
        if sent != echoed {
            let _ = write!(words, "; {} were sent", HumanCount(*sent));
        }
        if *unsent > 0 {
            let _ = write!(words, "; {} were due and not sent", HumanCount(*unsent));
        }
        row(f, "messages", words)?;
        let Bytes { sent, received, wire_sent, wire_received } = &self.bytes;
        let [sent, received, wire_sent, wire_received] =
            [sent, received, wire_sent, wire_received].map(|bytes| DecimalBytes(*bytes));
        row(
            f,
            "bytes",
            format_args!("{sent} sent, {received} received; on the wire {wire_sent} and {wire_received}"),
        )?;
        latency(f, "latency", self.latency_ns.as_ref())?;
        latency(f, "sent late by", self.send_delay_ns.as_ref())
    }
}

impl Hub {
    fn write(&self, f: &mut Formatter<'_>, seconds: f64) -> fmt::Result {
        let Publications { acknowledged, unsent, bytes, per_second } = &self.publications;
        let count = HumanCount(*acknowledged);
        let mut words = format!(
            "{count} published in {seconds:.2} s by {}: {}, {}",
            self.publishers,
            per(*per_second),
            DecimalBytes(*bytes)
        );
        if *unsent > 0 {
            let _ = write!(words, "; {} were due and not sent", HumanCount(*unsent));
        }
        row(f, "publications", words)?;
        if self.subscribers > 0 {
            self.write_deliveries(f)?;
        }
        latency(f, "published in", self.publish_latency_ns.as_ref())?;
        latency(f, "sent late by", self.send_delay_ns.as_ref())
    }

    fn write_deliveries(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = &self.deliveries;
        let count = HumanCount(all.received);
        row(
            f,
            "deliveries",
            format_args!(
                "{count} to {}: {}, {}",
                self.subscribers,
                per(all.per_second),
                DecimalBytes(all.bytes)
            ),
        )?;
        let [lost, duplicated, disordered] = [all.lost, all.duplicated, all.out_of_order].map(HumanCount);
        let mut words = format!("{lost} lost, {duplicated} duplicated, {disordered} out of order");
        if all.foreign > 0 {
            let _ = write!(words, "; {} of somebody else", HumanCount(all.foreign));
        }
        row(f, "faults", words)?;
        latency(f, "delivered in", self.delivery_latency_ns.as_ref())
    }
}

fn latency(f: &mut Formatter<'_>, name: &str, latency: Option<&Latency>) -> fmt::Result {
    let Some(latency) = latency else { return Ok(()) };
    let [p50, p90, p99, p99_9, max] =
        [latency.p50, latency.p90, latency.p99, latency.p99_9, latency.max].map(Duration::from_nanos);
    row(
        f,
        name,
        format_args!("p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, p99.9 {p99_9:.1?}, max {max:.1?}"),
    )
}

fn row(f: &mut Formatter<'_>, name: &str, words: impl Display) -> fmt::Result {
    writeln!(f, "{name:<14}{words}")
}

/// A rate, with a fraction where that says something.
fn per(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}/s") } else { format!("{}/s", HumanCount(rate.round() as u64)) }
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Open => "not opened",
            Self::Ended => "ended early",
            Self::WrongEcho => "wrong echo",
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
            Self::WrongDelivery => "wrong delivery",
            Self::Close => "not closed cleanly",
            Self::Fault => "fault",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::bench::report::Deliveries;

    fn report(findings: Findings, errors: Vec<Error>) -> Report {
        Report {
            url: "ws://h:1".to_owned(),
            seconds: 2.0,
            interrupted: false,
            settings: Settings { size: 128, text: true, deflate: false, in_flight: 1, rate: None },
            connections: Connections { wanted: 1000, opened: 999, failed: 1 },
            findings,
            errors,
        }
    }

    fn latency() -> Option<Latency> {
        Some(Latency {
            min: 1,
            mean: 2,
            p50: 62_400,
            p90: 1_234_567,
            p99: 20_000_000,
            p99_9: 999_000_000,
            max: 2_500_000_000,
        })
    }

    const PERCENTILES: &str = "p50 62.4\u{b5}s, p90 1.2ms, p99 20.0ms, p99.9 999.0ms, max 2.5s";

    #[test]
    fn an_echo_servers_result_is_told_in_five_lines() {
        let echo = Echo {
            messages: Messages { sent: 2000, echoed: 2000, unsent: 0, per_second: 1000.0 },
            bytes: Bytes { sent: 256_000, received: 256_000, wire_sent: 272_000, wire_received: 264_000 },
            latency_ns: latency(),
            send_delay_ns: None,
        };
        assert_eq!(
            report(Findings::Echo(echo), Vec::new()).to_string(),
            format!(
                "ws://h:1: 128-byte text messages, at most 1 in flight\n\
                 connections   999 of 1,000 opened, 1 failed\n\
                 messages      2,000 echoed in 2.00 s: 1,000/s\n\
                 bytes         256.00 kB sent, 256.00 kB received; on the wire 272.00 kB and 264.00 kB\n\
                 latency       {PERCENTILES}\n\
                 errors        none"
            )
        );
    }

    #[test]
    fn what_was_not_reached_is_said_and_errors_are_listed() {
        let echo = Echo {
            messages: Messages { sent: 20, echoed: 18, unsent: 5000, per_second: 9.0 },
            bytes: Bytes { sent: 0, received: 0, wire_sent: 0, wire_received: 0 },
            latency_ns: None,
            send_delay_ns: latency(),
        };
        let errors = vec![
            Error { kind: Kind::Open, what: "refused".to_owned(), count: 1200 },
            Error { kind: Kind::Unanswered, what: "gone".to_owned(), count: 2 },
        ];
        let mut report = report(Findings::Echo(echo), errors);
        report.settings =
            Settings { size: 0, text: false, deflate: true, in_flight: 100, rate: Some(2500.5) };
        report.interrupted = true;
        let text = report.to_string();
        for words in [
            "ws://h:1: 0-byte binary messages, deflate offered, 2500.5 a second, at most 100 in flight; interrupted\n",
            "18 echoed in 2.00 s: 9.0/s; 20 were sent; 5,000 were due and not sent\n",
            &format!("\nsent late by  {PERCENTILES}\n"),
            "\nerrors        1,202\n  1,200 not opened: refused\n  2 unanswered: gone",
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
    }

    fn hub(subscribers: u64) -> String {
        let deliveries = Deliveries {
            received: 20_000,
            bytes: 2_560_000,
            per_second: 10_000.0,
            lost: 1,
            duplicated: 2,
            out_of_order: 3,
            foreign: 4,
        };
        let hub = Hub {
            channel: "room:bench".to_owned(),
            subscribers,
            publishers: 2,
            publications: Publications { acknowledged: 200, unsent: 0, bytes: 25_600, per_second: 100.0 },
            deliveries,
            publish_latency_ns: latency(),
            delivery_latency_ns: latency(),
            send_delay_ns: None,
        };
        report(Findings::Hub(hub), Vec::new()).to_string()
    }

    #[test]
    fn a_hubs_result_has_deliveries_unless_nobody_was_there_to_get_any() {
        let text = hub(100);
        for words in [
            "room:bench at ws://h:1: 128-byte publications, at most 1 in flight\n",
            "\npublications  200 published in 2.00 s by 2: 100/s, 25.60 kB\n",
            "\ndeliveries    20,000 to 100: 10,000/s, 2.56 MB\n",
            "\nfaults        1 lost, 2 duplicated, 3 out of order; 4 of somebody else\n",
            &format!("\ndelivered in  {PERCENTILES}\npublished in  {PERCENTILES}\n"),
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
        let alone = hub(0);
        assert!(
            !alone.contains("deliver") && alone.contains(&format!("\npublished in  {PERCENTILES}\n")),
            "{alone}"
        );
    }
}
