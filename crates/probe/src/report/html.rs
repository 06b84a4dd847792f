//! The page: one file, which asks for nothing else.

use std::fmt::Write as _;

use super::Report;
use super::chart::{Series, arrivals, lines};
use super::text::{self, verdict, weight};
use crate::findings::Severity;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}code,pre{font:13px/1.5 ui-monospace,monospace}pre{overflow-x:auto;background:#f4f5f7;padding:1rem}\
.f{border-left:4px solid #888;padding:.1rem 1rem;margin:1rem 0}.broken{border-color:#b3261e}.degraded{border-color:#b26a00}.note{border-color:#4a6fa5}\
figure{margin:1.5rem 0}svg{width:100%;font:11px sans-serif}polyline,.axis{fill:none}.axis{stroke:#999}.s0{stroke:#1f5fa8;stroke-width:2}.s1{stroke:#b26a00;stroke-width:2}\
.k0,.d0{fill:#1f5fa8}.k1{fill:#b26a00}@media(prefers-color-scheme:dark){body{background:#15181c;color:#e6e8ea}pre{background:#20242a}text{fill:#c8ccd0}}";

pub(super) fn write(report: &Report) -> String {
    let facts = &report.facts;
    let via = facts.via.as_ref().map(|via| format!(" through {via}")).unwrap_or_default();
    let title = escape(&format!("{}{via}", facts.url));
    // A `String` takes all that is written to it.
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Probe of {title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p><strong>{}</strong></p>\n<h2>Findings</h2>\n",
        verdict(report.health)
    );
    for finding in &report.findings {
        let class = match finding.severity {
            Severity::Note => "note",
            Severity::Degraded => "degraded",
            Severity::Broken => "broken",
        };
        let _ = writeln!(
            page,
            "<div class=\"f {class}\"><p><strong>{}</strong> {} <code>{}</code></p><p>{}</p></div>",
            weight(finding.severity),
            escape(&finding.what),
            escape(&finding.code),
            escape(&finding.advice)
        );
    }
    if report.findings.is_empty() {
        page.push_str("<p>Nothing was found that two-way traffic would mind.</p>\n");
    }
    page.push_str("<h2>Charts</h2>\n");
    charts(report, &mut page);
    page.push_str("<h2>Measured</h2>\n<pre>");
    for line in text::lines(facts) {
        page.push_str(&escape(&line));
        page.push('\n');
    }
    let _ = write!(
        page,
        "</pre>\n<details><summary>All of it as JSON</summary><pre>{}</pre></details>\n</body></html>\n",
        escape(&report.json())
    );
    page
}

fn charts(report: &Report, page: &mut String) {
    let facts = &report.facts;
    if let Some(bulk) = &facts.bulk {
        let (up, down) = bulk.pace.iter().copied().unzip();
        let series = [Series { name: "up", values: up }, Series { name: "down", values: down }];
        page.push_str(&lines("Bulk both ways at once, over the time it took", "Mbit/s", &series));
    }
    if let Some(latency) = &facts.latency {
        let series = [
            Series { name: "idle", values: sorted(&latency.idle_ms) },
            Series { name: "under load", values: sorted(&latency.loaded_ms) },
        ];
        page.push_str(&lines("Round trips, the quickest first", "ms", &series));
    }
    for delivery in &facts.deliveries {
        let what = match delivery.name.as_str() {
            "down" => "Small messages of the server: sent (line's foot) and received (dot)",
            "up" => "Small messages to the server: sent (line's foot) and received (dot)",
            _ => "Server-sent events: sent (line's foot) and received (dot)",
        };
        page.push_str(&arrivals(what, &delivery.sent_ms, &delivery.came_ms));
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// Remotes choose some of the words; none of them may be markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
