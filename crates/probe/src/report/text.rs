//! The summary on a terminal.

use std::fmt::Write as _;

use super::Report;
use crate::facts::{Delivery, Facts, Idle};
use crate::findings::{Finding, Health, Severity, is_held, median, words};

pub(super) fn write(report: &Report) -> String {
    let mut out = String::new();
    let facts = &report.facts;
    let via = facts.via.as_ref().map(|via| format!(" through {via}")).unwrap_or_default();
    // A `String` takes all that is written to it.
    let _ = writeln!(out, "{}{via}: {}\n", facts.url, verdict(report.health));
    for finding in &report.findings {
        found(&mut out, finding);
    }
    if report.findings.is_empty() {
        let _ = writeln!(out, "Nothing was found that two-way traffic would mind.\n");
    }
    let _ = writeln!(out, "Measured:");
    for line in lines(facts) {
        let _ = writeln!(out, "  {line}");
    }
    printable(&out)
}

/// The verdict in a sentence.
pub(super) fn verdict(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy: two-way traffic works on this path",
        Health::Degraded => "degraded: two-way traffic works here, and could do better",
        Health::Broken => "broken: two-way traffic does not work on this path as it should",
    }
}

/// What a finding's weight is called.
pub(super) fn weight(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Degraded => "degraded",
        Severity::Broken => "BROKEN",
    }
}

fn found(out: &mut String, finding: &Finding) {
    let _ = writeln!(out, "{:>8}  {} [{}]", weight(finding.severity), finding.what, finding.code);
    let _ = writeln!(out, "          -> {}\n", finding.advice);
}

/// What was measured, a line each.
pub(super) fn lines(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(reach) = &facts.reach {
        let phases: Vec<String> =
            reach.phases.iter().map(|(name, ms)| format!("{name} {ms:.1} ms")).collect();
        let remote = reach.remote.as_deref().unwrap_or("nowhere");
        lines.push(format!("reach       {} to {remote}", phases.join(", ")));
    }
    for way in &facts.ways {
        let times: Vec<String> = [("answer", way.head_ms), ("echo", way.echo_ms)]
            .into_iter()
            .filter_map(|(name, ms)| Some(format!("{name} {:.1} ms", ms?)))
            .collect();
        lines.push(format!("{:<11} {}{}", way.name, words(&way.outcome), in_brackets(&times.join(", "))));
    }
    if let Some(headers) = &facts.headers {
        lines.push(format!(
            "address     the server sees {} ({})",
            headers.address.as_deref().unwrap_or("none"),
            headers.address_by
        ));
        lines.extend(changes("request", &headers.request));
        lines.extend(changes("answer", &headers.response));
    }
    if let Some(latency) = &facts.latency {
        lines.push(format!(
            "round trip  {}, under load {}",
            spread(&latency.idle_ms),
            spread(&latency.loaded_ms)
        ));
    }
    if let Some(bulk) = &facts.bulk {
        let rate = |bytes: u64, us: u64| bytes as f64 * 8.0 / us.max(1) as f64;
        let up = bulk.there.map_or("unknown".to_owned(), |there| {
            format!("{:.1} Mbit/s", rate(there.received, there.received_us))
        });
        let down = rate(bulk.here.received, bulk.here.received_us);
        let wrong = bulk.here.wrong + bulk.there.map_or(0, |there| there.wrong);
        lines.push(format!(
            "bulk        {} bytes each way at once: up {up}, down {down:.1} Mbit/s, {wrong} bytes wrong",
            bulk.bytes
        ));
    }
    lines.extend(facts.deliveries.iter().map(delivery));
    if let Some(size) = facts.sizes.iter().rev().find(|size| size.ms.is_some()) {
        lines.push(format!("sizes       messages of up to {} bytes come back whole", size.bytes));
    }
    lines.extend(facts.idle.iter().map(idle));
    lines.extend(facts.endings.iter().map(|ended| {
        let after = ended.ms.map(|ms| format!("after {ms:.0} ms")).unwrap_or_default();
        format!("ending      {}: {}{}", ended.name.replace('_', " "), ended.seen, in_brackets(&after))
    }));
    lines.extend(facts.ports.iter().map(|port| format!("port        {}: {}", port.port, port.state)));
    if let Some(parallel) = &facts.parallel {
        lines.push(format!(
            "parallel    {} of {} opened, {} still answered after {:.0} s",
            parallel.opened,
            parallel.wanted,
            parallel.alive,
            parallel.held_ms / 1000.0
        ));
    }
    let tried = facts.rules.len();
    if tried > 0 {
        let kept = facts.rules.iter().filter(|rule| rule.kept == Some(true)).count();
        lines.push(format!("rules       {kept} of {tried} rules of RFC 6455 kept"));
    }
    lines
}

fn changes(what: &str, changes: &crate::facts::Changes) -> Option<String> {
    let added = changes.added.iter().map(|(name, value)| format!("+ {name}: {value}"));
    let dropped = changes.dropped.iter().map(|(name, _)| format!("- {name}"));
    let changed = changes.changed.iter().map(|(name, sent, arrived)| format!("{name}: {sent} => {arrived}"));
    let all: Vec<String> = added.chain(dropped).chain(changed).collect();
    (!all.is_empty()).then(|| format!("headers     of the {what}: {}", all.join("; ")))
}

fn delivery(delivery: &Delivery) -> String {
    let worst =
        delivery.sent_ms.iter().zip(&delivery.came_ms).map(|(sent, came)| came - sent).fold(0.0, f64::max);
    let held = if is_held(delivery) { "held" } else { "each at its time" };
    format!(
        "{:<11} {} of {} small messages came, {held}, at most {worst:.0} ms late",
        delivery.name,
        delivery.came_ms.len(),
        delivery.sent
    )
}

fn idle(idle: &Idle) -> String {
    let name = idle.name.replace('_', " ");
    let wanted = idle.wanted_ms / 1000.0;
    match (idle.cut_ms, idle.between_ms) {
        (Some(cut), _) => format!("idle        {name}: cut after {:.1} s", cut / 1000.0),
        (None, Some((alive, dead))) => {
            format!(
                "idle        {name}: dropped without a word between {:.1} s and {:.1} s",
                alive / 1000.0,
                dead / 1000.0
            )
        }
        (None, None) => format!("idle        {name}: not cut within {wanted:.1} s"),
    }
}

fn spread(values: &[f64]) -> String {
    let Some(middle) = median(values) else { return "not measured".to_owned() };
    let worst = values.iter().copied().fold(0.0, f64::max);
    format!("median {middle:.1} ms, worst {worst:.1} ms")
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

/// Remotes choose some of the words; none of them may move a cursor.
fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' => "\n".to_owned(),
        character if character.is_control() => character.escape_default().to_string(),
        character => character.to_string(),
    };
    text.chars().map(shown).collect()
}
