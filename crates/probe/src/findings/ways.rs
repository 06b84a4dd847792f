//! Whether one gets there, and which ways of two-way traffic pass.

use super::{Finding, Severity, find, seconds};
use crate::facts::{Facts, Far, Outcome, Way};

/// What a way is called, and what to use in its place.
struct About {
    name: &'static str,
    title: &'static str,
    otherwise: &'static str,
}

/// The ways beside the WebSocket, which is judged by itself.
const OTHERS: &[About] = &[
    About {
        name: "http2",
        title: "WebSocket in HTTP/2 (extended CONNECT)",
        otherwise: "use HTTP/1.1 for WebSockets, as browsers do by themselves",
    },
    About {
        name: "stream",
        title: "a bare stream (Upgrade: stream)",
        otherwise: "let the bytes ride in WebSocket messages (subprotocol stream.1); clients fall back to it by themselves",
    },
    About {
        name: "quiet",
        title: "a bare stream with no more headers than it needs",
        otherwise: "let the bytes ride in WebSocket messages (subprotocol stream.1)",
    },
    About {
        name: "lines",
        title: "the lines protocol (OPTIONS, Upgrade: firepresence, no Connection header)",
        otherwise: "use the websocket door, which has the same hub behind it",
    },
];

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    if unreachable(facts, found) {
        return;
    }
    let websocket = facts.ways.iter().find(|way| way.name == "websocket");
    if let Some(way) = websocket.filter(|way| way.outcome != Outcome::Works) {
        broken(facts, way, found);
    }
    let passes = websocket.is_some_and(|way| way.outcome == Outcome::Works);
    for about in OTHERS {
        let way = facts.ways.iter().find(|way| way.name == about.name);
        // HTTP/2 that is not offered is not missed: browsers open another connection by themselves.
        let missed = |way: &&Way| way.outcome != Outcome::Works && way.outcome != Outcome::NotOffered;
        if let Some(way) = way.filter(|way| missed(way) && (passes || way.name != "http2")) {
            let code = format!("{}_blocked", about.name);
            let what = format!("{} does not pass: {}.", about.title, words(&way.outcome));
            find(found, Severity::Note, &code, what, format!("If you need it: {}.", about.otherwise));
        }
    }
    for way in facts.ways.iter().filter(|way| way.name == "sse" && way.outcome != Outcome::Works) {
        let what = format!("Server-sent events do not pass: {}.", words(&way.outcome));
        find(
            found,
            Severity::Note,
            "sse_blocked",
            what,
            "Do not count on events as the way round broken WebSockets here.",
        );
    }
    for way in facts.ways.iter().filter(|way| way.name.starts_with("own") && way.outcome != Outcome::Works) {
        let what = format!("Your own handshake did not pass: {}.", words(&way.outcome));
        find(found, Severity::Broken, "handshake_blocked", what, "Compare it with the ways that pass.");
    }
    if facts.far == Far::ProbeOff {
        let what =
            "The server is a Trunkline whose probe service is off, so that only its answers could be judged.";
        find(
            found,
            Severity::Note,
            "probe_off",
            what,
            "Turn it on with `serve --probe` to see what the path does to traffic.",
        );
    }
}

/// Whether nothing more can be said.
fn unreachable(facts: &Facts, found: &mut Vec<Finding>) -> bool {
    let Some((phase, why)) = facts.reach.as_ref().and_then(|reach| reach.failed.clone()) else {
        return false;
    };
    let advice = match phase.as_str() {
        "resolve" => "Check the name, and the resolver that this machine asks.",
        "proxy" => {
            "The proxy does not give a tunnel to this host and port. Many allow CONNECT to port 443 alone: serve there, \
             or have the port added to what the proxy allows."
        }
        "tls" => {
            "TLS came to nothing. If the certificate is not the server's, something on the path intercepts TLS: trust its \
             authority (--ca), or have this host exempted."
        }
        _ => {
            "Nothing answers at this address and port, or a firewall keeps it from answering: try others with --ports."
        }
    };
    find(
        found,
        Severity::Broken,
        "unreachable",
        format!("There is no connection (phase: {phase}): {why}."),
        advice,
    );
    true
}

fn broken(facts: &Facts, way: &Way, found: &mut Vec<Finding>) {
    let streams = facts.deliveries.iter().any(|delivery| delivery.name == "sse" && !super::is_held(delivery));
    let instead = match (facts.tls, streams) {
        (false, _) => "Use wss: what cannot read the traffic does not touch it.",
        (true, true) => "Server-sent events and POST pass here: use the sse door.",
        (true, false) => "Have the proxy configured to pass upgrades.",
    };
    let (code, what, advice) = match &way.outcome {
        Outcome::Works => return,
        Outcome::NotUpgraded { upgrade_arrived: false } => (
            "upgrade_stripped",
            "The request came to the server without its Upgrade header: something on the path strips it."
                .to_owned(),
            instead.to_owned(),
        ),
        Outcome::NotUpgraded { upgrade_arrived: true } => (
            "upgrade_not_answered",
            "The server got the upgrade, and its 101 did not come back.".to_owned(),
            instead.to_owned(),
        ),
        Outcome::Silent { .. } => silent(&way.outcome, instead),
        Outcome::Refused { status, ours: false, by, .. } if facts.far != Far::Foreign => (
            "answered_by_path",
            format!(
                "Something on the path{} answered the upgrade itself, with {status}: the request never came to the server.",
                named(by)
            ),
            format!("Let it pass upgrades to this path. {instead}"),
        ),
        Outcome::Refused { status, .. } => (
            "refused",
            format!("The server refused the WebSocket with {status}."),
            refused(*status).to_owned(),
        ),
        Outcome::ErrorPage { page } => (
            "error_page_in_tunnel",
            format!("An HTTP answer came inside the upgraded connection: {:?}.", first_line(page)),
            "A proxy lost the server and wrote its error page into the tunnel: look into the proxy's log."
                .to_owned(),
        ),
        Outcome::Violation { rule } => (
            "protocol_broken",
            format!("What came back breaks a rule: {rule}."),
            format!("Something rewrites the answer, or the server is no WebSocket server. {instead}"),
        ),
        Outcome::NoAnswer { waited_ms } => (
            "upgrade_unanswered",
            format!("The upgrade had no answer within {}.", seconds(*waited_ms)),
            format!("Something holds the request or its answer back. {instead}"),
        ),
        Outcome::Ended { .. } => (
            "upgrade_cut",
            "The connection was ended instead of an answer to the upgrade.".to_owned(),
            format!("A filter on the path may not like upgrades. {instead}"),
        ),
        Outcome::Unreachable { why } => (
            "unreachable",
            format!("There was no connection for the WebSocket: {why}."),
            "Try again.".to_owned(),
        ),
        Outcome::NotOffered => return,
    };
    find(found, Severity::Broken, code, what, advice);
}

fn silent(outcome: &Outcome, instead: &str) -> (&'static str, String, String) {
    let heard = "A 101 and what the server says come through";
    match outcome {
        Outcome::Silent { received: Some(0), .. } => (
            "upward_lost",
            format!("{heard}, but nothing that is sent arrives: the path drops everything upwards."),
            format!(
                "A heartbeat must wait for an answer; a send that does not fail proves nothing. {instead}"
            ),
        ),
        Outcome::Silent { received: Some(_), .. } => (
            "downward_lost",
            "What is sent arrives at the server, and its answers do not come back.".to_owned(),
            format!("Something holds or drops the server's bytes behind the 101. {instead}"),
        ),
        Outcome::Silent { heard: true, .. } => (
            "upward_lost",
            format!("{heard}, but nothing that is sent is answered."),
            format!(
                "A heartbeat must wait for an answer; a send that does not fail proves nothing. {instead}"
            ),
        ),
        _ => (
            "tunnel_dead",
            "The upgrade was answered with 101, and then nothing came any more.".to_owned(),
            format!("Something answered 101 and does not carry what follows. {instead}"),
        ),
    }
}

fn refused(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "Send what it asks for: a ticket (--ticket), a header, an allowed Origin (--header 'Origin: ...')."
        }
        404 => "There is no WebSocket at this path: check the URL.",
        429 => "Too much from this address: wait, or raise the server's limits for it.",
        503 => "The server has no room or is stopping: try again later.",
        _ => "Its answer says why.",
    }
}

/// An outcome in a few words.
pub(crate) fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Works => "works".to_owned(),
        Outcome::Silent { received: Some(0), .. } => "101, but nothing sent arrives".to_owned(),
        Outcome::Silent { .. } => "101, but no answer behind it".to_owned(),
        Outcome::NotUpgraded { upgrade_arrived: false } => {
            "the Upgrade header is stripped on the path".to_owned()
        }
        Outcome::NotUpgraded { upgrade_arrived: true } => "the 101 did not come back".to_owned(),
        Outcome::Refused { status, ours: true, .. } => format!("the server answers {status}"),
        Outcome::Refused { status, by, .. } => format!("answered {status}{}, not by the probe", named(by)),
        Outcome::ErrorPage { page } => format!("an error page inside the connection: {:?}", first_line(page)),
        Outcome::Violation { rule } => format!("breaks a rule: {rule}"),
        Outcome::NoAnswer { waited_ms } => format!("no answer within {}", seconds(*waited_ms)),
        Outcome::Ended { reset: true } => "the connection is reset".to_owned(),
        Outcome::Ended { reset: false } => "the connection is ended".to_owned(),
        Outcome::Unreachable { why } => format!("no connection: {why}"),
        Outcome::NotOffered => "not offered".to_owned(),
    }
}

fn named(by: &str) -> String {
    if by.is_empty() { String::new() } else { format!(" ({by})") }
}

fn first_line(page: &str) -> &str {
    page.lines().next().unwrap_or_default()
}
