//! Every metric, once: its name, what it counts, and who counts it.
//!
//! What the shell sees (sockets, handshakes, HTTP) is counted here as it happens. What the hub knows about itself is asked of
//! [`Node::figures`] when somebody scrapes. docs/operating.md has the same list; a test compares them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use trunkline_net::tls::ServerTls;

use crate::counter::Sharded;
use crate::node::{Figures, Node};

mod labels;

use labels::Label;
pub(crate) use labels::{Carriage, Outcome, Reason, TlsOutcome, Via};

/// The text format that [`Metrics::render`] writes.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Codes = [(&'static str, u16); 1];
type Labels2 = [(&'static str, &'static str); 2];

/// A counter that every message adds to.
pub(crate) type Busy = Counter<u64, Sharded>;

/// Counters and gauges of the shell; a clone counts into the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    pub(crate) connections: Gauge,
    pub(crate) accept_errors: Counter,
    tls_handshakes: Family<Label, Counter>,
    tls_reloads: Family<Label, Counter>,
    rejected: Family<Label, Counter>,
    handshakes: Family<Label, Counter>,
    websockets: Family<Labels2, Gauge>,
    lines: Gauge,
    event_streams: Gauge,
    streams: Family<Label, Gauge>,
    pub(crate) stream_bytes_in: Busy,
    pub(crate) stream_bytes_out: Busy,
    http_answers: Family<Codes, Counter>,
    pub(crate) messages_in: Busy,
    pub(crate) messages_out: Busy,
    pub(crate) bytes_in: Busy,
    pub(crate) bytes_out: Busy,
    closes: Family<Codes, Counter>,
    round_trip: Histogram,
    pub(crate) panics: Counter,
}

impl Metrics {
    /// All metrics at zero; the hub's are asked of `node`, those of certificates of `tls`.
    pub(crate) fn new(node: Arc<Node>, tls: Option<ServerTls>) -> Metrics {
        let mut registry = Registry::with_prefix("trunkline");
        let r = &mut registry;
        let metrics = Metrics {
            connections: gauge(
                r,
                "connections",
                "Connections of every listener that are open now, HTTP ones included",
            ),
            accept_errors: counter(
                r,
                "accept_errors",
                "Connections that could not be accepted, most often for want of descriptors",
            ),
            tls_handshakes: family(r, "tls_handshakes", "TLS handshakes, by outcome"),
            tls_reloads: family(
                r,
                "tls_reloads",
                "Times that changed certificates were read, or those of a SIGHUP, by outcome",
            ),
            rejected: family(
                r,
                "rejected",
                "Connections and requests that were turned away before they were looked into, by reason",
            ),
            handshakes: family(r, "handshakes", "Upgrades asked of the doors, by outcome"),
            websockets: family(
                r,
                "websockets",
                "WebSockets that are open now, by HTTP version and by whether messages may be compressed",
            ),
            lines: gauge(r, "lines", "Connections of the lines door that are open now"),
            event_streams: gauge(r, "event_streams", "Streams of server-sent events that are open now"),
            streams: family(r, "streams", "Raw streams that are open now, by what carries them"),
            stream_bytes_in: busy(r, "stream_bytes_in", "Bytes that services took from raw streams"),
            stream_bytes_out: busy(r, "stream_bytes_out", "Bytes of services that raw streams took"),
            http_answers: family(r, "http_answers", "Answers over plain HTTP, by status"),
            messages_in: busy(r, "messages_in", "Messages received from clients"),
            messages_out: busy(r, "messages_out", "Messages handed to clients' connections"),
            bytes_in: busy(r, "bytes_in", "Bytes of the messages received from clients, without framing"),
            bytes_out: busy(
                r,
                "bytes_out",
                "Bytes of the messages handed to clients' connections, without framing",
            ),
            closes: family(r, "closes", "WebSocket connections that ended, by close code"),
            round_trip: round_trip(r),
            panics: counter(r, "panics", "Connections that ended because of a fault of ours"),
            registry: Arc::default(),
        };
        // A series that appears only with its first event cannot be alerted on.
        for reason in Reason::ALL {
            drop(metrics.rejected.get_or_create(&reason.label()));
        }
        for outcome in Outcome::ALL {
            drop(metrics.handshakes.get_or_create(&outcome.label()));
        }
        for outcome in TlsOutcome::ALL {
            drop(metrics.tls_handshakes.get_or_create(&outcome.label()));
        }
        for carriage in Carriage::ALL {
            drop(metrics.streams.get_or_create(&carriage.label()));
        }
        for ok in [true, false] {
            drop(metrics.tls_reloads.get_or_create(&reload_label(ok)));
        }
        for via in [Via::Http1, Via::Http2] {
            for deflate in [false, true] {
                drop(metrics.websockets.get_or_create(&labels(via, deflate)));
            }
        }
        registry.register_collector(Box::new(Hub(node)));
        registry.register_collector(Box::new(Certificates(tls)));
        Metrics { registry: Arc::new(registry), ..metrics }
    }

    /// All of them, in the format of [`MEDIA_TYPE`].
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes every write");
        text
    }

    pub(crate) fn rejected(&self, reason: Reason) {
        self.rejected.get_or_create(&reason.label()).inc();
    }

    pub(crate) fn handshake(&self, outcome: Outcome) {
        self.handshakes.get_or_create(&outcome.label()).inc();
    }

    pub(crate) fn tls_handshake(&self, outcome: TlsOutcome) {
        self.tls_handshakes.get_or_create(&outcome.label()).inc();
    }

    pub(crate) fn tls_reload(&self, ok: bool) {
        self.tls_reloads.get_or_create(&reload_label(ok)).inc();
    }

    /// Counts a WebSocket as open until what this gives is dropped.
    pub(crate) fn websocket(&self, via: Via, deflate: bool) -> Open {
        Open::one_of(&self.websockets.get_or_create(&labels(via, deflate)))
    }

    /// Counts a connection of the lines door as open until what this gives is dropped.
    pub(crate) fn lines(&self) -> Open {
        Open::one_of(&self.lines)
    }

    /// Counts a stream of events as open until what this gives is dropped.
    pub(crate) fn event_stream(&self) -> Open {
        Open::one_of(&self.event_streams)
    }

    /// Counts a raw stream as open until what this gives is dropped.
    pub(crate) fn stream(&self, carriage: Carriage) -> Open {
        Open::one_of(&self.streams.get_or_create(&carriage.label()))
    }

    pub(crate) fn http_answered(&self, status: StatusCode) {
        self.http_answers.get_or_create(&[("status", status.as_u16())]).inc();
    }

    /// Counts the end of a WebSocket. A remote may name any code, and each would be a series of its own: those that nobody
    /// has defined count as 0.
    pub(crate) fn closed(&self, code: u16) {
        let known = matches!(code, 1000..=1014) || trunkline_dialect::Code::from_close_code(code).is_some();
        self.closes.get_or_create(&[("code", if known { code } else { 0 })]).inc();
    }

    pub(crate) fn round_trip(&self, took: Duration) {
        self.round_trip.observe(took.as_secs_f64());
    }
}

/// One of what a gauge counts.
pub(crate) struct Open(Gauge);

impl Open {
    fn one_of(gauge: &Gauge) -> Open {
        gauge.inc();
        Open(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn reload_label(ok: bool) -> Label {
    [("outcome", if ok { "ok" } else { "failed" })]
}

fn labels(via: Via, deflate: bool) -> Labels2 {
    [("http", via.name()), ("deflate", if deflate { "on" } else { "off" })]
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::<u64, AtomicU64>::default();
    registry.register(name, help, counter.clone());
    counter
}

fn busy(registry: &mut Registry, name: &str, help: &str) -> Busy {
    let counter = Busy::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn family<Labels, Metric>(registry: &mut Registry, name: &str, help: &str) -> Family<Labels, Metric>
where
    Metric: Default + TypedMetric + EncodeMetric + fmt::Debug + Send + Sync + 'static,
    Labels: prometheus_client::encoding::EncodeLabelSet
        + Clone
        + Eq
        + std::hash::Hash
        + fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let family = Family::<Labels, Metric>::default();
    registry.register(name, help, family.clone());
    family
}

/// From a millisecond (the same house) to eight seconds (worse than most satellites), doubling.
fn round_trip(registry: &mut Registry) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(0.001, 2.0, 14));
    let help = "Seconds from a ping to its answer, as each connection last measured it";
    registry.register("round_trip_seconds", help, histogram.clone());
    histogram
}

enum Kind {
    Total,
    Now,
}

/// What the hub counts.
type HubMetric = (&'static str, Kind, &'static str, fn(&Figures) -> usize);

#[rustfmt::skip] // A table: one metric a line.
static HUB: &[HubMetric] = &[
    ("links", Kind::Now, "Clients that are connected, those without a session yet included", |f| f.links),
    ("sessions", Kind::Now, "Sessions, those that wait for their client to come back included", |f| f.sessions),
    ("channels", Kind::Now, "Channels with subscribers", |f| f.channels),
    ("subscriptions", Kind::Now, "Subscriptions of all links", |f| f.subscriptions),
    ("tickets_waiting", Kind::Now, "Tickets that were minted and neither redeemed nor forgotten yet", |f| f.tickets_waiting),
    ("outbox_bytes", Kind::Now, "Bytes that wait in outboxes to be sent to clients", |f| f.outbox_bytes),
    ("messages_queued", Kind::Total, "Messages put into outboxes", |f| f.messages_queued_total),
    ("publications_deferred", Kind::Total, "Times that a publication found an outbox full: the slow reader gets it from history, or a gap", |f| f.publications_deferred_total),
    ("slow_readers_ended", Kind::Total, "Connections that ended because twice their outbox waited unread", |f| f.slow_readers_ended_total),
    ("commands", Kind::Total, "Commands received from clients", |f| f.commands_total),
    ("publications", Kind::Total, "Publications taken from clients and from the API", |f| f.publications_total),
    ("deliveries", Kind::Total, "Publications handed to subscribers: one for each of them", |f| f.deliveries_total),
    ("tickets_minted", Kind::Total, "Tickets minted", |f| f.tickets_minted_total),
    ("tickets_redeemed", Kind::Total, "Tickets redeemed", |f| f.tickets_redeemed_total),
    ("credentials_refused", Kind::Total, "Tickets and session tokens refused: unknown, used, expired, from the wrong address", |f| f.credentials_refused_total),
    ("sessions_resumed", Kind::Total, "Sessions that a client came back to", |f| f.sessions_resumed_total),
];

/// Asks the node when somebody scrapes.
struct Hub(Arc<Node>);

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub(..)")
    }
}

impl Collector for Hub {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = self.0.figures();
        for (name, kind, help, read) in HUB {
            let value = read(&figures);
            match kind {
                Kind::Total => encode_one(
                    &mut encoder,
                    name,
                    help,
                    &ConstCounter::new(u64::try_from(value).unwrap_or(u64::MAX)),
                )?,
                // Above 2^63 no gauge of ours can be: it is bytes or entries in memory.
                Kind::Now => encode_one(
                    &mut encoder,
                    name,
                    help,
                    &ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)),
                )?,
            }
        }
        Ok(())
    }
}

/// Asks what certificates are in use when somebody scrapes.
#[derive(Debug)]
struct Certificates(Option<ServerTls>);

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let served = self.0.as_ref().map(ServerTls::certificates).unwrap_or_default();
        let first = served.iter().map(|certificate| certificate.not_after).min();
        let since = first.and_then(|end| end.system_time().duration_since(SystemTime::UNIX_EPOCH).ok());
        let seconds = since.unwrap_or_default().as_secs();
        let help = "Unix time at which the first of the certificates in use expires; 0 without certificates";
        let gauge = ConstGauge::new(i64::try_from(seconds).unwrap_or(i64::MAX));
        encode_one(&mut encoder, "tls_certificate_expiry_timestamp_seconds", help, &gauge)
    }
}

fn encode_one(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::clock::Clock;
    use crate::node::NodeSettings;

    #[test]
    fn the_list_in_operating_md_is_the_list_of_metrics_with_their_kinds_and_meanings() {
        let metrics = Metrics::new(Node::new(NodeSettings::default(), Clock::system()), None);
        metrics.http_answered(StatusCode::OK);
        metrics.closed(1000);
        let text = metrics.render();
        let lines = |prefix: &'static str| {
            text.lines().filter_map(move |line| line.strip_prefix(prefix)?.split_once(' '))
        };
        let counted: BTreeSet<(String, String, String)> = lines("# HELP ")
            .zip(lines("# TYPE "))
            .map(|((name, help), (_, kind))| {
                let total = if kind == "counter" { "_total" } else { "" };
                (format!("{name}{total}"), kind.to_owned(), help.trim_end_matches('.').to_owned())
            })
            .collect();
        let documented: BTreeSet<(String, String, String)> =
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md"))
                .lines()
                .filter_map(|line| {
                    let mut cells = line.strip_prefix("| `trunkline_")?.strip_suffix(" |")?.splitn(3, " | ");
                    let name = format!("trunkline_{}", cells.next()?.strip_suffix('`')?);
                    Some((name, cells.next()?.to_owned(), cells.next()?.to_owned()))
                })
                .collect();
        assert!(!counted.is_empty());
        assert_eq!(counted, documented);
    }

    #[test]
    fn a_close_code_that_nobody_has_defined_is_no_series_of_its_own() {
        let metrics = Metrics::new(Node::new(NodeSettings::default(), Clock::system()), None);
        for code in [1000, 4401, 3000, 4999, 4001] {
            metrics.closed(code);
        }
        let text = metrics.render();
        let series: Vec<&str> =
            text.lines().filter(|line| line.starts_with("trunkline_closes_total{")).collect();
        assert_eq!(series.len(), 3, "{series:?}");
        assert!(series.contains(&"trunkline_closes_total{code=\"0\"} 3"), "{series:?}");
    }
}
