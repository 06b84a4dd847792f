//! What was measured, and nothing of what it means. Facts are data: they go into the JSON report as they are.
//!
//! Times are milliseconds. What was not measured is absent.

use serde::{Deserialize, Serialize};

use crate::wire::{Bulk, Ending, Field, Hello};

/// Everything that one run has measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// What was probed, without user name or parameters.
    pub url: String,
    /// Through which proxy, without its user name.
    pub via: Option<String>,
    /// Whether the URL asks for TLS.
    pub tls: bool,
    /// What is at the other end.
    pub far: Far,
    /// The way to the host, phase by phase.
    pub reach: Option<Reach>,
    /// What of a plain request came there.
    pub plain: Option<Way>,
    /// Each way of two-way traffic.
    pub ways: Vec<Way>,
    /// What the path did to headers.
    pub headers: Option<Headers>,
    /// Both directions at once.
    pub bulk: Option<BothWays>,
    /// Small things, one after the other.
    pub deliveries: Vec<Delivery>,
    /// Bytes that came together with a head.
    pub early: Option<Early>,
    /// Round trips.
    pub latency: Option<Latency>,
    /// Round trips of messages by their size.
    pub sizes: Vec<Size>,
    /// What the path did to frames.
    pub frames: Option<Frames>,
    /// Connections on which nothing, or little, was said.
    pub idle: Vec<Idle>,
    /// How ends arrive.
    pub endings: Vec<Ended>,
    /// Other ports of the same host.
    pub ports: Vec<Port>,
    /// Many connections at once.
    pub parallel: Option<Parallel>,
    /// Bytes behind the upgrade that look like a request.
    pub lookalike: Option<Lookalike>,
    /// Rules of RFC 6455 that the server was tried with.
    pub rules: Vec<Rule>,
}

/// What is at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Far {
    /// Nobody answered yet.
    #[default]
    Unknown,
    /// The probe service.
    Probe,
    /// A server of this project that has the probe service off.
    ProbeOff,
    /// Another WebSocket server.
    Foreign,
}

/// The way to the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    /// What was done, in order, with the time it took: `resolve`, `connect`, `proxy`, `tls`.
    pub phases: Vec<(String, f64)>,
    /// The phase that failed, and why.
    pub failed: Option<(String, String)>,
    /// The address that TCP was connected to.
    pub remote: Option<String>,
}

/// One way of two-way traffic, or a plain request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// `http`, `websocket`, `http2`, `stream`, `quiet`, `lines`, `sse`, or one of one's own.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// From the request to the answer's head.
    pub head_ms: Option<f64>,
    /// From the request to the first answer to something sent behind it.
    pub echo_ms: Option<f64>,
    /// What the far end saw of the request.
    pub hello: Option<Box<Hello>>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Outcome {
    /// Bytes go both ways.
    Works,
    /// It was answered as if it had gone well, and what was sent behind it got no answer.
    Silent {
        /// Whether what the far end says by itself came.
        heard: bool,
        /// Units that the far end says it has received, if it could be asked.
        received: Option<u64>,
    },
    /// The far end got the request, but not as an upgrade.
    NotUpgraded {
        /// Whether the `Upgrade` header came there.
        upgrade_arrived: bool,
    },
    /// Another answer than the one asked for.
    Refused {
        /// Its status.
        status: u16,
        /// Whether it has our marker: then the request came all the way.
        ours: bool,
        /// What it says who it is (`Server`, `Via`).
        by: String,
        /// The beginning of its body.
        body: String,
    },
    /// An HTTP answer came inside the stream that had been upgraded.
    ErrorPage {
        /// Its beginning.
        page: String,
    },
    /// What came broke a rule.
    Violation {
        /// Which.
        rule: String,
    },
    /// No answer in time.
    NoAnswer {
        /// How long it was waited for.
        waited_ms: f64,
    },
    /// The connection ended without an answer.
    Ended {
        /// By a reset.
        reset: bool,
    },
    /// There was no connection.
    Unreachable {
        /// Why.
        why: String,
    },
    /// The server does not offer this way.
    NotOffered,
}

/// What the path did to headers. Names are in lower case, except in `cased`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Headers {
    /// Of the request.
    pub request: Changes,
    /// Of the answer.
    pub response: Changes,
    /// Names that arrived in lower case and were sent otherwise.
    pub cased: Vec<String>,
    /// The version in which the request arrived there.
    pub version: String,
    /// What was sent as `X-Forwarded-For`, which nobody may believe.
    pub forged: String,
    /// What arrived as `X-Forwarded-For`.
    pub forwarded_for: Option<String>,
    /// Where the server's connection came from.
    pub remote: Option<String>,
    /// What the server took for the client's address, and why.
    pub address: Option<String>,
    /// Why it did.
    pub address_by: String,
    /// Our own address, as our socket has it.
    pub local: Option<String>,
}

/// What is different at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Fields that were not sent.
    pub added: Vec<Field>,
    /// Fields that did not arrive.
    pub dropped: Vec<Field>,
    /// Name, what was sent, what arrived.
    pub changed: Vec<(String, String, String)>,
}

/// Both directions at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BothWays {
    /// Bytes that were to go each way.
    pub bytes: u64,
    /// As this end saw it.
    pub here: Bulk,
    /// As the far end saw it, if it could say.
    pub there: Option<Bulk>,
    /// Nothing came or went for so long that it was given up.
    pub stalled: bool,
    /// How the connection ended, if it did.
    pub ended: Option<String>,
    /// Megabits per second in each twentieth of the time: up, down.
    pub pace: Vec<(f64, f64)>,
}

/// Small things, sent one after the other at a steady pace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// `down` (messages of the far end), `up` (ours), `sse` (events).
    pub name: String,
    /// How many were sent.
    pub sent: u32,
    /// When each was sent, since the first.
    pub sent_ms: Vec<f64>,
    /// When each came, since the first was sent; the clocks of the two ends are compared by their first.
    pub came_ms: Vec<f64>,
}

/// Bytes that came together with a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Early {
    /// Whether bytes sent in one packet with the request were echoed.
    pub with_request: Option<bool>,
    /// Whether bytes behind them were: if not, nothing is known of the first.
    pub behind_it: Option<bool>,
    /// Whether bytes sent in one packet with the 101 came.
    pub with_answer: Option<bool>,
}

/// Round trips of small messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// One at a time, nothing else under way.
    pub idle_ms: Vec<f64>,
    /// While bulk went both ways.
    pub loaded_ms: Vec<f64>,
}

/// Round trip of one message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Its bytes.
    pub bytes: usize,
    /// The best of its round trips; nothing if none came back whole.
    pub ms: Option<f64>,
}

/// What the path did to frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frames {
    /// Frames that were sent.
    pub sent: u64,
    /// Frames that arrived.
    pub arrived: u64,
    /// Whether compression was offered.
    pub deflate_offered: bool,
    /// Whether the offer arrived.
    pub deflate_arrived: bool,
    /// Whether it was agreed on, as the far end answered.
    pub deflate_answered: bool,
    /// Whether it was agreed on, as it came here.
    pub deflate_agreed: bool,
}

/// A connection on which little was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// `silent`, `pinged` (both directions now and then), `far_talks` (the far end's direction alone).
    pub name: String,
    /// For how long it was to be idle.
    pub wanted_ms: f64,
    /// When it was cut, if it was.
    pub cut_ms: Option<f64>,
    /// The longest silence that it outlived, and the shortest that it did not, where nobody told us of the cut.
    pub between_ms: Option<(f64, f64)>,
    /// What the far end saw.
    pub there: Option<Ending>,
}

/// How an end arrives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// `half_close_near`, `half_close_far`, `close_near`, `close_far`, `reset_near`, `reset_far`.
    pub name: String,
    /// What was seen at the other end of the act: `answered`, `cut`, `close 4000`, `end`, `reset`, `nothing`.
    pub seen: String,
    /// After how long.
    pub ms: Option<f64>,
}

/// Another port of the same host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Its number.
    pub port: u16,
    /// `open`, `refused`, `no answer`, or an error.
    pub state: String,
    /// How long it took.
    pub ms: f64,
}

/// Many idle connections at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parallel {
    /// How many were wanted.
    pub wanted: usize,
    /// How many were opened.
    pub opened: usize,
    /// Why the first of the others was not.
    pub refused: Option<String>,
    /// Whether that came from our server.
    pub refused_by_us: bool,
    /// How many still answered in the end.
    pub alive: usize,
    /// After how long that was.
    pub held_ms: f64,
}

/// Bytes behind the upgrade that look like a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookalike {
    /// They came back as they were.
    pub intact: bool,
    /// The beginning of what came instead.
    pub instead: Option<String>,
}

/// A rule of RFC 6455 that the server was tried with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What was done.
    pub name: String,
    /// Where it stands.
    pub section: String,
    /// Whether the server did as it has to; nothing if that could not be told.
    pub kept: Option<bool>,
    /// What it did.
    pub seen: String,
}
