//! What one run came to, for people and for programs: facts, findings, and the verdict.

mod chart;
mod html;
mod text;

use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::findings::{Finding, Health, health, judge};

/// Everything about one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The verdict.
    pub health: Health,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What was measured.
    pub facts: Facts,
}

impl Report {
    /// Judges the facts.
    pub fn new(facts: Facts) -> Self {
        let findings = judge(&facts);
        Self { health: health(&findings), findings, facts }
    }

    /// A summary for whoever reads it on a terminal. Nothing of a remote in it can do anything to one.
    pub fn text(&self) -> String {
        text::write(self)
    }

    /// All of it as JSON.
    pub fn json(&self) -> String {
        // No maps with other keys than strings: nothing that can fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// A page that needs nothing beside itself, with charts.
    pub fn html(&self) -> String {
        html::write(self)
    }
}

#[cfg(test)]
mod tests;
