use super::*;
use crate::facts::*;
use crate::wire::{Bulk, Hello};

fn way(name: &str, outcome: Outcome) -> Way {
    Way { name: name.to_owned(), outcome, head_ms: Some(1.0), echo_ms: None, hello: None }
}

/// A path on which everything is as it should be.
fn good() -> Facts {
    let steady = |name: &str| Delivery {
        name: name.to_owned(),
        sent: 20,
        sent_ms: (0..20).map(|n| f64::from(n) * 50.0).collect(),
        came_ms: (0..20).map(|n| f64::from(n) * 50.0 + 20.0).collect(),
    };
    let whole = Bulk { received: 8 << 20, received_us: 2_000_000, sent_us: 2_000_000, ..Bulk::default() };
    let ended =
        |name: &str, seen: &str| Ended { name: name.to_owned(), seen: seen.to_owned(), ms: Some(1.0) };
    let idle = |name: &str| Idle {
        name: name.to_owned(),
        wanted_ms: 75_000.0,
        cut_ms: None,
        between_ms: None,
        there: None,
    };
    Facts {
        url: "ws://example.com/probe".to_owned(),
        far: Far::Probe,
        reach: Some(Reach::default()),
        plain: Some(Way { hello: Some(Box::new(Hello::default())), ..way("http", Outcome::Works) }),
        ways: ["websocket", "http2", "stream", "quiet", "lines", "sse"]
            .map(|name| way(name, Outcome::Works))
            .into(),
        headers: Some(Headers {
            version: "HTTP/1.1".to_owned(),
            forged: "203.0.113.77".to_owned(),
            forwarded_for: Some("203.0.113.77".to_owned()),
            address: Some("192.0.2.1".to_owned()),
            address_by: "socket".to_owned(),
            ..Headers::default()
        }),
        bulk: Some(BothWays { bytes: 8 << 20, here: whole, there: Some(whole), ..BothWays::default() }),
        deliveries: ["down", "up", "sse"].map(steady).into(),
        early: Some(Early { with_request: Some(true), behind_it: Some(true), with_answer: Some(true) }),
        latency: Some(Latency { idle_ms: vec![20.0; 20], loaded_ms: vec![60.0; 20] }),
        sizes: vec![Size { bytes: 1 << 20, ms: Some(30.0) }],
        frames: Some(Frames {
            sent: 11,
            arrived: 11,
            deflate_offered: true,
            deflate_arrived: true,
            deflate_answered: true,
            deflate_agreed: true,
        }),
        idle: ["silent", "pinged", "far_talks"].map(idle).into(),
        endings: vec![
            ended("half_close_near", "answered"),
            ended("half_close_far", "answered"),
            ended("close_near", "close 4001"),
            ended("close_far", "close 4002"),
            ended("reset_near", "reset"),
            ended("reset_far", "end"),
        ],
        lookalike: Some(Lookalike { intact: true, instead: None }),
        ..Facts::default()
    }
}

fn codes(facts: &Facts) -> Vec<String> {
    judge(facts).into_iter().map(|finding| finding.code).collect()
}

fn websocket(facts: &mut Facts, outcome: Outcome) {
    facts.ways[0].outcome = outcome;
}

fn refused(status: u16, ours: bool) -> Outcome {
    Outcome::Refused { status, ours, by: String::new(), body: String::new() }
}

/// What is done to good facts, the one finding that must come of it, and the verdict.
type Row = (&'static str, fn(&mut Facts), &'static str, Health);

const TABLE: &[Row] = &[
    (
        "Upgrade is stripped",
        |f| websocket(f, Outcome::NotUpgraded { upgrade_arrived: false }),
        "upgrade_stripped",
        Health::Broken,
    ),
    (
        "the 101 is lost",
        |f| websocket(f, Outcome::NotUpgraded { upgrade_arrived: true }),
        "upgrade_not_answered",
        Health::Broken,
    ),
    (
        "upward bytes vanish",
        |f| websocket(f, Outcome::Silent { heard: true, received: Some(0) }),
        "upward_lost",
        Health::Broken,
    ),
    (
        "downward bytes vanish",
        |f| websocket(f, Outcome::Silent { heard: true, received: Some(2) }),
        "downward_lost",
        Health::Broken,
    ),
    (
        "a 101 and nothing behind it",
        |f| websocket(f, Outcome::Silent { heard: false, received: None }),
        "tunnel_dead",
        Health::Broken,
    ),
    ("403 of the path", |f| websocket(f, refused(403, false)), "answered_by_path", Health::Broken),
    ("429 of the server", |f| websocket(f, refused(429, true)), "refused", Health::Broken),
    (
        "an error page in the tunnel",
        |f| websocket(f, Outcome::ErrorPage { page: "HTTP/1.1 500".into() }),
        "error_page_in_tunnel",
        Health::Broken,
    ),
    (
        "a broken frame",
        |f| websocket(f, Outcome::Violation { rule: "RSV".into() }),
        "protocol_broken",
        Health::Broken,
    ),
    (
        "no answer",
        |f| websocket(f, Outcome::NoAnswer { waited_ms: 5000.0 }),
        "upgrade_unanswered",
        Health::Broken,
    ),
    ("cut", |f| websocket(f, Outcome::Ended { reset: true }), "upgrade_cut", Health::Broken),
    (
        "no way there",
        |f| f.reach = Some(Reach { failed: Some(("proxy".into(), "403".into())), ..Reach::default() }),
        "unreachable",
        Health::Broken,
    ),
    (
        "no stream",
        |f| f.ways[2].outcome = Outcome::NotUpgraded { upgrade_arrived: false },
        "stream_blocked",
        Health::Healthy,
    ),
    ("no lines", |f| f.ways[4].outcome = refused(400, false), "lines_blocked", Health::Healthy),
    ("no HTTP/2", |f| f.ways[1].outcome = refused(501, false), "http2_blocked", Health::Healthy),
    ("no events", |f| f.ways[5].outcome = refused(502, false), "sse_blocked", Health::Healthy),
    ("bytes flipped", |f| f.bulk.as_mut().expect("there").here.wrong = 1, "corrupted", Health::Broken),
    ("standstill", |f| f.bulk.as_mut().expect("there").stalled = true, "deadlock", Health::Broken),
    ("bulk cut", |f| f.bulk.as_mut().expect("there").ended = Some("end".into()), "bulk_cut", Health::Broken),
    (
        "one way starves",
        |f| f.bulk.as_mut().expect("there").here.received_us = 90_000_000,
        "unfair",
        Health::Healthy,
    ),
    (
        "events held to the end",
        |f| f.deliveries[2].came_ms = vec![1000.0; 20],
        "events_held",
        Health::Degraded,
    ),
    (
        "messages corked",
        |f| f.deliveries[0].came_ms.iter_mut().for_each(|ms| *ms += 200.0),
        "messages_held",
        Health::Degraded,
    ),
    (
        "events in bunches of four",
        |f| f.deliveries[2].came_ms = (0..20).map(|n| f64::from(n / 4 + 1) * 200.0).collect(),
        "events_held",
        Health::Degraded,
    ),
    ("messages lost", |f| f.deliveries[1].came_ms.truncate(5), "messages_lost", Health::Broken),
    (
        "early data lost",
        |f| f.early.as_mut().expect("there").with_request = Some(false),
        "early_data_lost",
        Health::Healthy,
    ),
    (
        "greeting lost",
        |f| f.early.as_mut().expect("there").with_answer = Some(false),
        "greeting_lost",
        Health::Degraded,
    ),
    (
        "deep buffers",
        |f| f.latency.as_mut().expect("there").loaded_ms = vec![3000.0; 20],
        "slow_under_load",
        Health::Healthy,
    ),
    ("large messages die", |f| f.sizes[0].ms = None, "size_limit", Health::Broken),
    (
        "frames cut anew",
        |f| f.frames.as_mut().expect("there").arrived = 20,
        "frames_altered",
        Health::Healthy,
    ),
    (
        "no offer of compression",
        |f| {
            let frames = f.frames.as_mut().expect("there");
            frames.deflate_arrived = false;
            frames.deflate_answered = false;
            frames.deflate_agreed = false;
        },
        "deflate_dropped",
        Health::Healthy,
    ),
    (
        "the answer on compression is lost",
        |f| f.frames.as_mut().expect("there").deflate_agreed = false,
        "deflate_answer_dropped",
        Health::Broken,
    ),
    ("cut at 60 s", |f| f.idle[0].cut_ms = Some(60_000.0), "idle_limit", Health::Healthy),
    ("cut at 20 s", |f| f.idle[0].cut_ms = Some(20_000.0), "idle_limit", Health::Degraded),
    ("cut whatever is said", |f| f.idle[1].cut_ms = Some(70_000.0), "lifetime_limit", Health::Degraded),
    ("the client must send", |f| f.idle[2].cut_ms = Some(60_000.0), "client_must_send", Health::Healthy),
    ("half-close breaks", |f| f.endings[0].seen = "cut".into(), "half_close_lost", Health::Healthy),
    (
        "close codes vanish upwards",
        |f| f.endings[2].seen = "end".into(),
        "close_lost_upwards",
        Health::Degraded,
    ),
    (
        "close codes vanish downwards",
        |f| f.endings[3].seen = "end".into(),
        "close_lost_downwards",
        Health::Degraded,
    ),
    ("a reset is not seen", |f| f.endings[4].seen = "nothing".into(), "reset_unnoticed", Health::Healthy),
    (
        "an error page at a reset",
        |f| f.endings[5].seen = "an error page".into(),
        "error_page_at_reset",
        Health::Healthy,
    ),
    (
        "requests are read in tunnels",
        |f| f.lookalike = Some(Lookalike { intact: false, instead: Some("HTTP/1.1 400".into()) }),
        "reads_requests",
        Health::Degraded,
    ),
    (
        "Host without its port",
        |f| {
            f.headers.as_mut().expect("there").request.changed.push(("host".into(), "a:1".into(), "a".into()))
        },
        "host_changed",
        Health::Degraded,
    ),
    (
        "HTTP/1.0 to the server",
        |f| f.headers.as_mut().expect("there").version = "HTTP/1.0".into(),
        "http_1_0",
        Health::Degraded,
    ),
    (
        "Authorization dropped",
        |f| f.headers.as_mut().expect("there").request.dropped.push(("authorization".into(), "...".into())),
        "authorization_dropped",
        Health::Degraded,
    ),
    (
        "a forged address believed",
        |f| f.headers.as_mut().expect("there").address = Some("203.0.113.77".into()),
        "forged_address_believed",
        Health::Broken,
    ),
    (
        "an address appended",
        |f| f.headers.as_mut().expect("there").forwarded_for = Some("203.0.113.77, 192.0.2.9".into()),
        "forwarded_for",
        Health::Healthy,
    ),
    (
        "names lowered",
        |f| f.headers.as_mut().expect("there").cased = vec!["Host".into()],
        "names_lowered",
        Health::Healthy,
    ),
    (
        "a port filtered",
        |f| f.ports = vec![Port { port: 8443, state: "no answer".into(), ms: 5000.0 }],
        "ports_filtered",
        Health::Healthy,
    ),
    (
        "the path holds fewer",
        |f| f.parallel = Some(Parallel { wanted: 10, opened: 4, alive: 4, ..Parallel::default() }),
        "parallel_limit",
        Health::Degraded,
    ),
    (
        "the server holds fewer",
        |f| {
            f.parallel =
                Some(Parallel { wanted: 10, opened: 4, alive: 4, refused_by_us: true, ..Parallel::default() })
        },
        "parallel_limit",
        Health::Healthy,
    ),
    (
        "some are given up",
        |f| f.parallel = Some(Parallel { wanted: 10, opened: 10, alive: 9, ..Parallel::default() }),
        "parallel_lost",
        Health::Degraded,
    ),
    (
        "a rule broken",
        |f| {
            f.rules.push(Rule {
                name: "x".into(),
                section: "5.1".into(),
                kept: Some(false),
                seen: "goes on".into(),
            })
        },
        "rule_broken",
        Health::Degraded,
    ),
];

#[test]
fn a_good_path_has_nothing_found_on_it() {
    assert_eq!(codes(&good()), Vec::<String>::new());
    assert_eq!(health(&judge(&good())), Health::Healthy);
}

#[test]
fn http2_that_is_not_offered_is_not_missed() {
    let mut facts = good();
    facts.ways[1].outcome = Outcome::NotOffered;
    assert_eq!(codes(&facts), Vec::<String>::new());
}

#[test]
fn each_fault_is_found_by_its_own_name_and_weighs_what_it_should() {
    for (words, spoil, code, verdict) in TABLE {
        let mut facts = good();
        spoil(&mut facts);
        let found = judge(&facts);
        assert!(found.iter().any(|finding| finding.code == *code), "{words}: {found:?}");
        assert_eq!(health(&found), *verdict, "{words}: {found:?}");
    }
}

#[test]
fn one_fault_is_one_finding_unless_one_follows_from_the_other() {
    // A cut with a lost proxy also shows in how ends arrive; those that are one thing have one name.
    for (words, spoil, code, _) in TABLE {
        let mut facts = good();
        spoil(&mut facts);
        let others: Vec<String> = codes(&facts).into_iter().filter(|found| found != code).collect();
        // A name in lower case is a trace of a proxy, which then passes the forged header on.
        assert!(others.iter().all(|other| other == "forwarded_for"), "{words}: {others:?}");
    }
}

#[test]
fn a_silent_cut_is_told_with_the_limit_that_it_lies_below() {
    let mut facts = good();
    facts.idle[0].between_ms = Some((20_000.0, 25_000.0));
    assert_eq!(codes(&facts), ["idle_limit", "silent_cut"]);
}

#[test]
fn a_lifetime_limit_is_not_called_an_idle_limit_too() {
    let mut facts = good();
    for idle in &mut facts.idle {
        idle.cut_ms = Some(40_000.0);
    }
    assert_eq!(codes(&facts), ["lifetime_limit"]);
}

#[test]
fn every_finding_says_what_to_do() {
    for (words, spoil, ..) in TABLE {
        let mut facts = good();
        spoil(&mut facts);
        for finding in judge(&facts) {
            assert!(finding.what.ends_with('.') && finding.advice.ends_with('.'), "{words}: {finding:?}");
        }
    }
}
