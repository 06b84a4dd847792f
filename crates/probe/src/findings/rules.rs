//! Which rules of RFC 6455 a server that is not ours breaks.

use super::{Finding, Severity, find};
use crate::facts::Facts;

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    for rule in facts.rules.iter().filter(|rule| rule.kept == Some(false)) {
        let what =
            format!("The server breaks RFC 6455 section {}: {}; it {}.", rule.section, rule.name, rule.seen);
        find(
            found,
            Severity::Degraded,
            "rule_broken",
            what,
            "Tell whoever makes the server; do not rely on it here.",
        );
    }
}
