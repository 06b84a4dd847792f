//! Every setting, once: its path in the file, its default as documented, what it means, and how it is read.
//!
//! `namespaces.<name>.*` and `listener.<name>.*` have tables of their own, in [`namespace`](super::namespace) and
//! [`listener`](super::listener), because the names are the user's.

use super::given::{Expected, Given};
use super::listener::LISTEN_SETTINGS;
use super::readers::{client_certificates, node_name, origins, secret, session_key, upgrade_token};
use super::{Config, Probe};

/// One setting: a line of the reference.
#[derive(Debug)]
pub struct Setting<Target: 'static = Config> {
    /// Its path in the file: `listen.address`; inside a namespace the last part alone.
    pub path: &'static str,
    /// What holds when nobody says anything, as TOML or in words.
    pub default: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// How it is read and where it goes.
    pub(super) apply: fn(&mut Target, &Given) -> Result<(), Expected>,
}

// Derived, they would ask the same of the target.
impl<Target> Copy for Setting<Target> {}

impl<Target> Clone for Setting<Target> {
    fn clone(&self) -> Self {
        *self
    }
}

impl Setting<Config> {
    /// The environment variable of this setting: `TRUNKLINE_LISTEN_ADDRESS`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.replace('.', "_").to_ascii_uppercase())
    }
}

pub(super) const VARIABLE_PREFIX: &str = "TRUNKLINE_";

pub(super) const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
/// Above the largest count that any machine of today has a use for, and far below what overflows when multiplied.
pub(super) const MANY: u64 = 100_000_000;
/// A day: a longer timeout is none.
pub(super) const DAY: f64 = 86_400.0;

macro_rules! setting {
    ($path:literal = $default:literal, $meaning:literal, $apply:expr) => {
        Setting { path: $path, default: $default, meaning: $meaning, apply: $apply }
    };
}

pub(super) use setting;

/// All settings but those of namespaces and of listeners with a name.
pub static SETTINGS: &[Setting] =
    &joined::<{ LISTEN_SETTINGS.len() + OTHER_SETTINGS.len() }>(LISTEN_SETTINGS, OTHER_SETTINGS);

/// One table of two, `first` first; `N` is how long both are together.
const fn joined<const N: usize>(first: &[Setting], second: &[Setting]) -> [Setting; N] {
    let mut all = [first[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}

/// All but those of `[listen]`.
const OTHER_SETTINGS: &[Setting] = &[
    setting!(
        "dev" = "on when every listener is loopback",
        "Demo page at `/` and `POST /dev/ticket`.",
        |c, v| {
            c.dev = Some(v.bool()?);
            Ok(())
        }
    ),
    setting!(
        "origins" = "the request's own host",
        "Origins of pages that may connect besides the request's own host: a list of `scheme://host[:port]`, or `[\"*\"]` for all.",
        |c, v| {
            c.origins = origins(v)?;
            Ok(())
        }
    ),
    setting!(
        "probe" = "false",
        "The probe service at `/probe`, the other end of `trunkline probe`: whoever can connect may measure, and load, the path to here.",
        |c, v| {
            c.probe = if v.bool()? { Probe::On } else { Probe::Off };
            Ok(())
        }
    ),
    setting!(
        "tls" = "none",
        "`\"offloaded\"`: something in front of every listener does TLS. As a table it names certificates.",
        |c, v| {
            v.choice(&[("offloaded", ())])?;
            c.tls.offloaded = true;
            Ok(())
        }
    ),
    setting!(
        "tls.cert" = "none",
        "PEM file with the certificate and the chain behind it, or a list of them. The first is for clients that name no host, and for hosts without one.",
        |c, v| {
            c.tls.cert = v.paths()?;
            Ok(())
        }
    ),
    setting!(
        "tls.key" = "none",
        "PEM file with the certificate's private key, or a list in the order of `tls.cert`.",
        |c, v| {
            c.tls.key = v.paths()?;
            Ok(())
        }
    ),
    setting!(
        "tls.reload_s" = "60",
        "How often the files are looked at for a change; 0: never, they are read again on SIGHUP alone.",
        |c, v| {
            c.tls.reload = v.seconds(0.0..=DAY)?;
            Ok(())
        }
    ),
    setting!(
        "tls.upgrade" = "false",
        "Whether the doors' plaintext listeners take `Upgrade: TLS/1.2` (RFC 2817), with these certificates.",
        |c, v| {
            c.tls.upgrade = v.bool()?;
            Ok(())
        }
    ),
    setting!(
        "tls.client" = "\"off\"",
        "Whether clients have to show a certificate: `\"off\"`, `\"optional\"`, `\"required\"`.",
        |c, v| {
            c.tls.client = client_certificates(v)?;
            Ok(())
        }
    ),
    setting!("tls.client_ca" = "none", "PEM file with the roots of the clients' certificates.", |c, v| {
        c.tls.client_ca = Some(v.text()?.into());
        Ok(())
    }),
    setting!(
        "tls.acme.domains" = "none",
        "Names for which certificates are ordered by ACME, in a build with that feature.",
        |c, v| {
            c.tls.acme.domains = v.list()?.into_iter().map(str::to_owned).collect();
            Ok(())
        }
    ),
    setting!(
        "tls.acme.contact" = "none",
        "Whom the authority may write to: one or a list of `mailto:` addresses.",
        |c, v| {
            c.tls.acme.contact = v.list()?.into_iter().map(str::to_owned).collect();
            Ok(())
        }
    ),
    setting!("tls.acme.directory" = "Let's Encrypt", "URL of the authority's directory.", |c, v| {
        c.tls.acme.directory = Some(v.text()?.to_owned());
        Ok(())
    }),
    setting!(
        "tls.acme.directory_ca" = "the system's roots",
        "PEM file with the root of the directory's own certificate, for a private authority.",
        |c, v| {
            c.tls.acme.directory_ca = Some(v.text()?.into());
            Ok(())
        }
    ),
    setting!(
        "tls.acme.cache" = "none",
        "Folder for the account's key and the certificates; required with `tls.acme.domains`.",
        |c, v| {
            c.tls.acme.cache = Some(v.text()?.into());
            Ok(())
        }
    ),
    setting!(
        "api.key" = "random on loopback, else required",
        "The key that the HTTP API asks for as `Authorization: Bearer`. At least 16 characters off loopback.",
        |c, v| {
            c.api_key = Some(secret(v)?);
            Ok(())
        }
    ),
    setting!(
        "session.key" = "random on loopback, else required",
        "Key that seals session tokens: 64 hexadecimal digits, as from `openssl rand -hex 32`.",
        |c, v| {
            c.session.key = Some(session_key(v)?);
            Ok(())
        }
    ),
    setting!("session.linger_s" = "60", "How long a session outlives its last link.", |c, v| {
        c.session.linger = v.seconds(0.0..=DAY)?;
        Ok(())
    }),
    setting!(
        "websocket.deflate" = "true",
        "Whether clients may compress (permessage-deflate), and are compressed to.",
        |c, v| {
            c.websocket.deflate = v.bool()?;
            Ok(())
        }
    ),
    setting!(
        "lines.upgrade" = "\"firepresence\"",
        "The token of `Upgrade` that opens the lines door, besides `hub-lines`.",
        |c, v| {
            c.lines.upgrade = upgrade_token(v)?;
            Ok(())
        }
    ),
    setting!(
        "limits.message_bytes" = "\"1 MiB\"",
        "The largest message taken from a client; a larger one ends the connection with 1009.",
        |c, v| {
            c.limits.message = v.bytes(KIB..=GIB)?;
            Ok(())
        }
    ),
    setting!(
        "limits.head_bytes" = "\"16 KiB\"",
        "The largest request head; a larger one is answered 431.",
        |c, v| {
            c.limits.head = v.bytes(KIB..=MIB)?;
            Ok(())
        }
    ),
    setting!(
        "limits.head_headers" = "100",
        "The most header fields in a request; more are answered 431.",
        |c, v| {
            c.limits.head_headers = v.count(10..=1_000)?;
            Ok(())
        }
    ),
    setting!(
        "limits.head_timeout_s" = "10",
        "How long a whole request head may take, and how long a kept-alive HTTP connection may wait for the next one.",
        |c, v| {
            c.limits.head_timeout = v.seconds(0.05..=DAY)?;
            Ok(())
        }
    ),
    setting!(
        "limits.request_bytes" = "\"1 MiB\"",
        "The largest body of an API request; a larger one is answered 413.",
        |c, v| {
            c.limits.request = v.bytes(KIB..=GIB)?;
            Ok(())
        }
    ),
    setting!(
        "limits.connections" = "100000",
        "The most TCP and unix connections at once; one more is answered 503.",
        |c, v| {
            c.limits.connections = v.count(1..=MANY)?;
            Ok(())
        }
    ),
    setting!(
        "limits.connections_per_address" = "200",
        "The most connections at once from one address (one /64 of IPv6) that is neither loopback nor trusted; one more is answered 429.",
        |c, v| {
            c.limits.connections_per_address = v.count(1..=MANY)?;
            Ok(())
        }
    ),
    setting!(
        "limits.handshakes_per_address_per_s" = "50",
        "The most upgrades a second from one such address; one more is answered 429.",
        |c, v| {
            c.limits.handshakes_per_address = v.count(1..=MANY)?;
            Ok(())
        }
    ),
    setting!(
        "limits.streams_per_connection" = "100",
        "The most requests and WebSockets at once in one HTTP/2 connection; more are refused by their reset.",
        |c, v| {
            c.limits.streams = v.count(1..=MANY)?;
            Ok(())
        }
    ),
    setting!("limits.commands_per_s" = "100", "Commands a second of one session in the long run.", |c, v| {
        c.limits.command_rate = v.count(1..=MANY)?;
        Ok(())
    }),
    setting!("limits.commands_burst" = "500", "Commands that one session may send at once.", |c, v| {
        c.limits.command_burst = v.count(1..=MANY)?;
        Ok(())
    }),
    setting!(
        "limits.commands_in_flight" = "64",
        "Commands of one connection that may wait for their reply; then reading pauses.",
        |c, v| {
            c.limits.commands_in_flight = v.count(1..=MANY)?;
            Ok(())
        }
    ),
    setting!(
        "limits.subscriptions" = "1000",
        "The most channels that one connection may be subscribed to.",
        |c, v| {
            c.limits.subscriptions = v.count(1..=MANY)?;
            Ok(())
        }
    ),
    setting!(
        "limits.publication_bytes" = "\"64 KiB\"",
        "The largest `data` of a publication, as JSON text.",
        |c, v| {
            c.limits.publication = v.bytes(1..=GIB)?;
            Ok(())
        }
    ),
    setting!("limits.history" = "1000", "The most publications in one answer to `history`.", |c, v| {
        c.limits.history = v.count(1..=MANY)?;
        Ok(())
    }),
    setting!(
        "limits.outbox_bytes" = "\"1 MiB\"",
        "What may wait to be sent to one connection; past it the namespace's `slow_reader` decides.",
        |c, v| {
            c.limits.outbox = v.bytes(4 * KIB..=GIB)?;
            Ok(())
        }
    ),
    setting!(
        "limits.outbox_total" = "\"256 MiB\"",
        "What may wait to be sent to all clients together, counted for each; near it the outboxes of the slowest are bounded by what is left.",
        |c, v| {
            c.limits.outbox_total = v.bytes(4 * KIB..=TIB)?;
            Ok(())
        }
    ),
    setting!(
        "limits.connect_timeout_s" = "10",
        "How long a connection without a credential may take to send `connect`.",
        |c, v| {
            c.limits.connect_timeout = v.seconds(0.05..=DAY)?;
            Ok(())
        }
    ),
    setting!("limits.sessions" = "1000000", "The most sessions, those without a link included.", |c, v| {
        c.limits.sessions = v.count(1..=MANY)?;
        Ok(())
    }),
    setting!("limits.channels" = "1000000", "The most channels with subscribers or history.", |c, v| {
        c.limits.channels = v.count(1..=MANY)?;
        Ok(())
    }),
    setting!("heartbeat.interval_s" = "30", "How often an idle connection is pinged.", |c, v| {
        c.heartbeat.interval = v.seconds(0.05..=DAY)?;
        Ok(())
    }),
    setting!(
        "heartbeat.timeout_s" = "10",
        "How long a ping may stay unanswered before the connection is given up.",
        |c, v| {
            c.heartbeat.timeout = v.seconds(0.05..=DAY)?;
            Ok(())
        }
    ),
    setting!("presence.grace_s" = "5", "How long a member whose link was lost is still shown.", |c, v| {
        c.presence.grace = v.seconds(0.0..=DAY)?;
        Ok(())
    }),
    setting!(
        "tickets.ttl_s" = "10",
        "How long a ticket is good for that does not say so itself; at most 60.",
        |c, v| {
            c.tickets.ttl = v.seconds(1.0..=60.0)?;
            Ok(())
        }
    ),
    setting!("tickets.limit" = "1000000", "The most tickets that may wait to be redeemed.", |c, v| {
        c.tickets.limit = v.count(1..=MANY)?;
        Ok(())
    }),
    setting!(
        "stop.timeout_s" = "10",
        "How long a graceful stop may take before what is left is cut.",
        |c, v| {
            c.stop.timeout = v.seconds(0.0..=DAY)?;
            Ok(())
        }
    ),
    setting!("node.name" = "random", "This node's name, told to clients in `connected`.", |c, v| {
        c.node_name = Some(node_name(v)?);
        Ok(())
    }),
];
