//! What the facts mean, and what to do about it: a pure function from one to the other.
//!
//! Each finding follows from facts that can be read beside it. Where the facts do not tell one cause from another, the finding says
//! so rather than guess.

mod headers;
mod lasting;
mod rules;
mod traffic;
mod ways;

use serde::{Deserialize, Serialize};

use crate::facts::Facts;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; whoever follows the advice has no trouble.
    Note,
    /// It works, and worse than it could.
    Degraded,
    /// Two-way traffic does not work so.
    Broken,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A name that stays the same, for scripts.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, in a sentence.
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

/// The whole verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nothing but notes.
    Healthy,
    /// Something is worse than it could be.
    Degraded,
    /// Something does not work.
    Broken,
}

/// All that the facts say, the worst first.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    ways::judge(facts, &mut found);
    headers::judge(facts, &mut found);
    traffic::judge(facts, &mut found);
    lasting::judge(facts, &mut found);
    rules::judge(facts, &mut found);
    // Stable: of those that matter as much, the order is that of the measurements.
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

/// The verdict that findings add up to.
pub fn health(findings: &[Finding]) -> Health {
    match findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Broken) => Health::Broken,
        Some(Severity::Degraded) => Health::Degraded,
        Some(Severity::Note) | None => Health::Healthy,
    }
}

pub(crate) use self::traffic::{is_held, median};
pub(crate) use self::ways::words;

fn find(
    found: &mut Vec<Finding>,
    severity: Severity,
    code: &str,
    what: impl Into<String>,
    advice: impl Into<String>,
) {
    found.push(Finding { code: code.to_owned(), severity, what: what.into(), advice: advice.into() });
}

/// Seconds for people: whole ones where they are long.
fn seconds(ms: f64) -> String {
    let seconds = ms / 1000.0;
    if seconds >= 10.0 { format!("{seconds:.0} s") } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests;
