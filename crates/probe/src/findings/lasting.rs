//! How long connections last, and how their ends arrive.

use super::{Finding, Severity, find, seconds};
use crate::facts::{Facts, Idle};

/// What a heartbeat of 30 s, the default of both ends, needs to be on time, in milliseconds.
const HEARTBEAT_NEEDS_MS: f64 = 35_000.0;

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    idle(facts, found);
    endings(facts, found);
    ports(facts, found);
    parallel(facts, found);
}

fn idle(facts: &Facts, found: &mut Vec<Finding>) {
    let cut = |name: &str| facts.idle.iter().find(|idle| idle.name == name).and_then(cut_after);
    let (silent, pinged, far_talks) = (cut("silent"), cut("pinged"), cut("far_talks"));
    if let Some(pinged) = pinged {
        let what = format!("A connection that says something all the time is cut after {}.", seconds(pinged));
        let advice = "This is a limit on its whole life, which no heartbeat moves: clients must come back and resume. Look for a maximum duration in the proxy.";
        find(found, Severity::Degraded, "lifetime_limit", what, advice);
    }
    if let Some(silent) = silent.filter(|silent| pinged.is_none_or(|pinged| *silent < pinged * 0.9)) {
        let severity = if silent < HEARTBEAT_NEEDS_MS { Severity::Degraded } else { Severity::Note };
        let below = seconds(silent * 0.9);
        let what = format!("This path cuts idle connections after {}.", seconds(silent));
        let advice = format!(
            "Let the heartbeat come at less than {below} (`heartbeat.interval_s`), or raise the path's idle limit."
        );
        find(found, severity, "idle_limit", what, advice);
    }
    if let Some(far_talks) = far_talks.filter(|_| pinged.is_none()) {
        let what = format!(
            "A connection is cut after {} in which only the server sends: the client's silence counts.",
            seconds(far_talks)
        );
        let advice =
            "The heartbeat must make the client send: client pings, or server pings that the client answers.";
        find(found, Severity::Note, "client_must_send", what, advice);
    }
    unnoticed(facts, found);
}

/// When it was cut; where nobody was told, the shortest silence that was too long.
fn cut_after(idle: &Idle) -> Option<f64> {
    idle.cut_ms.or(idle.between_ms.map(|(_, too_long)| too_long))
}

fn unnoticed(facts: &Facts, found: &mut Vec<Finding>) {
    if facts.idle.iter().any(|idle| idle.cut_ms.is_none() && idle.between_ms.is_some()) {
        let what = "Idle connections are dropped without a word to this end.";
        let advice = "Only a heartbeat that waits for its answer notices; a send does not fail for minutes.";
        find(found, Severity::Note, "silent_cut", what, advice);
    }
}

fn endings(facts: &Facts, found: &mut Vec<Finding>) {
    let seen =
        |name: &str| facts.endings.iter().find(|ended| ended.name == name).map(|ended| ended.seen.as_str());
    let lost_half = ["half_close_near", "half_close_far"]
        .iter()
        .any(|name| seen(name).is_some_and(|seen| seen != "answered"));
    if lost_half {
        let what = "The end of one direction does not survive: the path ends both, and what was still to come is lost.";
        let advice =
            "End with a message and wait for its answer; let nothing depend on a half-closed stream.";
        find(found, Severity::Note, "half_close_lost", what, advice);
    }
    for (name, code) in [("close_near", "close_lost_upwards"), ("close_far", "close_lost_downwards")] {
        if let Some(seen) = seen(name).filter(|seen| !seen.starts_with("close 4")) {
            let what = format!("A Close frame does not arrive with its code; the other end sees: {seen}.");
            find(
                found,
                Severity::Degraded,
                code,
                what,
                "Clients cannot tell why a connection ended here: let them come back in any case.",
            );
        }
    }
    if seen("reset_far") == Some("an error page") {
        let what =
            "When the server resets a connection, a proxy writes an HTTP error page into the open tunnel.";
        let advice = "A client has to take it for the end of the connection, as RFC 6455 clients do by themselves; a bare stream has to expect it.";
        find(found, Severity::Note, "error_page_at_reset", what, advice);
    }
    let quiet: Vec<&str> =
        ["reset_near", "reset_far"].into_iter().filter(|name| seen(name) == Some("nothing")).collect();
    if !quiet.is_empty() {
        let what = "A connection that is reset at one end stays open at the other.";
        find(
            found,
            Severity::Note,
            "reset_unnoticed",
            what,
            "Only a heartbeat notices that the other end is gone.",
        );
    }
}

fn ports(facts: &Facts, found: &mut Vec<Finding>) {
    let (open, shut): (Vec<_>, Vec<_>) = facts.ports.iter().partition(|port| port.state == "open");
    let list = |ports: &[&crate::facts::Port]| {
        ports.iter().map(|port| port.port.to_string()).collect::<Vec<_>>().join(", ")
    };
    let silent: Vec<_> = shut.iter().copied().filter(|port| port.state == "no answer").collect();
    if !silent.is_empty() {
        let open = if open.is_empty() { "none".to_owned() } else { list(&open) };
        let what = format!("Outgoing ports without an answer: {}. Open: {open}.", list(&silent));
        find(
            found,
            Severity::Note,
            "ports_filtered",
            what,
            "A firewall may let other ports pass: serve where it does, best on 443.",
        );
    }
}

fn parallel(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(parallel) = &facts.parallel else { return };
    let why = parallel.refused.as_deref().unwrap_or("no reason known");
    if parallel.opened < parallel.wanted {
        let (opened, wanted) = (parallel.opened, parallel.wanted);
        let who = if parallel.refused_by_us { "The server itself refuses" } else { "The path refuses" };
        let what = format!("{who} more than {opened} of {wanted} connections at once: {why}.");
        let advice = match parallel.refused_by_us {
            true => {
                "Raise `limits.connections_per_address`, or list the proxy's network in `listen.trusted`."
            }
            false => "Use one connection for many channels, or raise the proxy's limit of connections.",
        };
        find(
            found,
            if parallel.refused_by_us { Severity::Note } else { Severity::Degraded },
            "parallel_limit",
            what,
            advice,
        );
    }
    if parallel.alive < parallel.opened {
        let what = format!(
            "Of {} idle connections {} still answered after {}.",
            parallel.opened,
            parallel.alive,
            seconds(parallel.held_ms)
        );
        find(
            found,
            Severity::Degraded,
            "parallel_lost",
            what,
            "The path gives up some of many idle connections: heartbeats, and fewer connections.",
        );
    }
}
