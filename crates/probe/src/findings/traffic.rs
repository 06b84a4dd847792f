//! What happens to bytes once they flow.

use super::{Finding, Severity, find, seconds};
use crate::facts::{BothWays, Delivery, Facts, Frames, Outcome};

/// Something small that takes this much longer than its pace to come is held, in milliseconds: far more than a scheduler or a
/// far continent takes, and less than the fifth of a second that corking holds.
const HELD_MS: f64 = 150.0;

/// Of so many small things in a row at least this part has to be held, or it is chance.
const HELD_PART: f64 = 0.5;

/// What comes within this part of the time that it was sent apart has come together.
const TOGETHER: f64 = 0.2;

/// A round trip under load this much longer than without makes talking hard, in milliseconds: the longest pause that is not
/// noticed in a conversation.
const LOADED_MS: f64 = 400.0;

/// One direction this many times slower than the other is unfair.
const UNFAIR: f64 = 20.0;

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    if let Some(bulk) = &facts.bulk {
        judge_bulk(bulk, found);
    }
    for delivery in facts.deliveries.iter().filter(|delivery| is_held(delivery)) {
        held(facts, delivery, found);
    }
    for delivery in &facts.deliveries {
        lost(delivery, found);
    }
    early(facts, found);
    latency(facts, found);
    sizes(facts, found);
    if let Some(frames) = &facts.frames {
        judge_frames(frames, found);
    }
    lookalike(facts, found);
}

fn judge_bulk(bulk: &BothWays, found: &mut Vec<Finding>) {
    let wrong = bulk.here.wrong + bulk.there.map_or(0, |there| there.wrong);
    if wrong > 0 {
        let first = bulk.here.first_wrong.or(bulk.there.and_then(|there| there.first_wrong)).unwrap_or(0);
        let way = if bulk.here.wrong > 0 { "downwards" } else { "upwards" };
        let what =
            format!("{wrong} bytes arrived other than they were sent, the first at position {first} {way}.");
        let advice = "Something rewrites the traffic: use wss, through which nothing can.";
        find(found, Severity::Broken, "corrupted", what, advice);
    }
    if bulk.stalled {
        let there = bulk.there.map_or(String::new(), |there| format!(", {} there", there.received));
        let what = format!(
            "With {} bytes each way at once, traffic came to a standstill after {} bytes had come here{there}.",
            bulk.bytes, bulk.here.received
        );
        let advice = "The path does not carry both directions at once: it may hold one until the other is done. Do not send large messages both ways here.";
        find(found, Severity::Broken, "deadlock", what, advice);
    } else if let Some(how) = &bulk.ended {
        let what = format!(
            "The connection ended while bulk went both ways, after {} bytes had come here: {how}.",
            bulk.here.received
        );
        find(
            found,
            Severity::Broken,
            "bulk_cut",
            what,
            "Look for a limit of size or time in the proxy's configuration and log.",
        );
    } else if let Some(there) = bulk.there {
        unfair(bulk, there.received_us, found);
    }
}

fn unfair(bulk: &BothWays, up_us: u64, found: &mut Vec<Finding>) {
    let (up, down) = (up_us.max(1), bulk.here.received_us.max(1));
    let (slow, way) = if up > down { (up, "upwards") } else { (down, "downwards") };
    let ratio = slow as f64 / up.min(down) as f64;
    // A second is needed for any rate to say something.
    if ratio > UNFAIR && slow > 1_000_000 {
        let what = format!("With both directions at once, bulk takes {ratio:.0} times longer {way}.");
        find(
            found,
            Severity::Note,
            "unfair",
            what,
            "Do not let bulk in one direction wait for answers in the other.",
        );
    }
}

/// Whether small things come later than at the pace at which they were sent: at the end, each by a constant time, or several at
/// once.
pub(crate) fn is_held(delivery: &Delivery) -> bool {
    let count = delivery.came_ms.len();
    let late = delays(delivery).filter(|late| *late > HELD_MS).count();
    count > 0 && (is_most(late, count) || is_most(bunched(delivery), count))
}

/// Things that came together with the one before, though they were sent apart.
fn bunched(delivery: &Delivery) -> usize {
    let gaps = |times: &[f64]| times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>();
    let (sent, came) = (gaps(&delivery.sent_ms), gaps(&delivery.came_ms));
    came.iter().zip(&sent).filter(|(came, sent)| **sent > 0.0 && **came < **sent * TOGETHER).count()
}

fn is_most(part: usize, of: usize) -> bool {
    part as f64 >= HELD_PART * of as f64
}

/// How much later than the quickest of them each came. For events the head tells when the first could have come.
fn delays(delivery: &Delivery) -> impl Iterator<Item = f64> {
    delivery.sent_ms.iter().zip(&delivery.came_ms).map(|(sent, came)| came - sent)
}

fn held(facts: &Facts, delivery: &Delivery, found: &mut Vec<Finding>) {
    let worst = delays(delivery).fold(0.0, f64::max);
    let first = delivery.came_ms.first().copied().unwrap_or(0.0);
    let last_sent = delivery.sent_ms.last().copied().unwrap_or(0.0);
    let at_the_end = first >= last_sent * 0.9;
    let how = match at_the_end {
        true => format!("until the last was sent (up to {})", seconds(worst)),
        false => format!("by up to {} each", seconds(worst)),
    };
    let websocket = facts.ways.iter().any(|way| way.name == "websocket" && way.outcome == Outcome::Works);
    match delivery.name.as_str() {
        "sse" => {
            let what = format!(
                "Server-sent events are held on the path {how}, though they ask not to be (X-Accel-Buffering: no)."
            );
            let advice = match (at_the_end, websocket) {
                (true, true) => {
                    "Use WebSockets here, which pass at once. In nginx: `proxy_buffering off` and `proxy_http_version 1.1`; in lighttpd: `server.stream-response-body = 2`."
                }
                (true, false) => {
                    "Turn the proxy's buffering off. In nginx: `proxy_buffering off` and `proxy_http_version 1.1`; in lighttpd: `server.stream-response-body = 2`."
                }
                (false, _) => "Each chunk waits for a timer: in HAProxy `option http-no-delay`.",
            };
            let severity = if websocket { Severity::Degraded } else { Severity::Broken };
            find(found, severity, "events_held", what, advice);
        }
        name => {
            let way = if name == "up" { "sent" } else { "received" };
            let what = format!("Small messages {way} over a WebSocket are held {how}.");
            find(
                found,
                Severity::Degraded,
                "messages_held",
                what,
                "Something gathers small packets: turn buffering off (Nagle's algorithm, a proxy's stream buffering).",
            );
        }
    }
}

fn lost(delivery: &Delivery, found: &mut Vec<Finding>) {
    let came = u32::try_from(delivery.came_ms.len()).unwrap_or(u32::MAX);
    if came < delivery.sent {
        let (name, sent) = (&delivery.name, delivery.sent);
        let what = format!("Of {sent} small messages ({name}) {came} arrived.");
        let severity = if name == "sse" { Severity::Degraded } else { Severity::Broken };
        find(
            found,
            severity,
            "messages_lost",
            what,
            "The path cuts the response or loses bytes: see how long connections last.",
        );
    }
}

fn early(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(early) = facts.early else { return };
    if early.with_request == Some(false) && early.behind_it == Some(true) {
        let what = "Bytes sent in one packet with the upgrade request are lost; later ones arrive.";
        let advice = "Send nothing before the 101. Trunkline's clients wait for it; a client that does not loses its first message here.";
        find(found, Severity::Note, "early_data_lost", what, advice);
    }
    if early.with_answer == Some(false) {
        let what = "Bytes that the server sends together with its 101 are lost.";
        let advice = "A server that speaks first loses its greeting here: let clients speak first.";
        find(found, Severity::Degraded, "greeting_lost", what, advice);
    }
}

fn latency(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(latency) = &facts.latency else { return };
    let (Some(idle), Some(loaded)) = (median(&latency.idle_ms), median(&latency.loaded_ms)) else { return };
    if loaded > idle + LOADED_MS {
        let what = format!(
            "A round trip of {idle:.0} ms becomes {loaded:.0} ms while bulk goes both ways: the path holds megabytes."
        );
        let advice = "A send that succeeds proves nothing here. Keep little in flight: acknowledge in the application, and send bulk on a connection of its own.";
        find(found, Severity::Note, "slow_under_load", what, advice);
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn sizes(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(first) = facts.sizes.iter().find(|size| size.ms.is_none()) else { return };
    let what = format!("Messages of {} bytes and more do not come back whole.", first.bytes);
    find(
        found,
        Severity::Broken,
        "size_limit",
        what,
        "Something on the path limits messages: send smaller ones, or raise its limit.",
    );
}

fn judge_frames(frames: &Frames, found: &mut Vec<Finding>) {
    if frames.sent != frames.arrived {
        let what = format!(
            "{} frames were sent and {} arrived: something on the path speaks WebSocket itself.",
            frames.sent, frames.arrived
        );
        find(
            found,
            Severity::Note,
            "frames_altered",
            what,
            "Give frames no meaning; only messages arrive as they were sent.",
        );
    }
    let dropped = frames.deflate_offered && !frames.deflate_arrived;
    let answer_dropped = frames.deflate_answered && !frames.deflate_agreed;
    if answer_dropped {
        let what = "The server agreed to compress and its answer does not say so here: the ends disagree.";
        find(
            found,
            Severity::Broken,
            "deflate_answer_dropped",
            what,
            "Set `websocket.deflate = false`, or use wss.",
        );
    } else if dropped {
        let what = "The offer to compress messages (Sec-WebSocket-Extensions) does not arrive.";
        find(
            found,
            Severity::Note,
            "deflate_dropped",
            what,
            "Messages go uncompressed here. With wss the offer arrives.",
        );
    }
}

fn lookalike(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(seen) = facts.lookalike.as_ref().filter(|seen| !seen.intact) else { return };
    let instead = seen.instead.as_deref().and_then(|text| text.lines().next()).unwrap_or("nothing");
    let what = format!(
        "Bytes behind the upgrade that look like an HTTP request are read as one on the path; back came {instead:?}."
    );
    let advice =
        "What is not masked can be smuggled here. Use WebSockets, whose clients mask what they send, or TLS.";
    find(found, Severity::Degraded, "reads_requests", what, advice);
}
