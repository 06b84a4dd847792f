//! Every setting, once: its path in the file, its default as documented, what it means, and how it is read.
//!
//! `namespaces.<name>.*` have a table of their own, in [`namespace`](super::namespace), because the name is the user's.

use trunkline_net::handshake::OriginPolicy;

use super::given::{Expected, Given};
use super::{Api, ApiListen, Config, Origins, Secret, SessionKey, Tls};

/// One setting: a line of the reference.
#[derive(Debug, Clone, Copy)]
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
/// Above the largest count that any machine of today has a use for, and far below what overflows when multiplied.
pub(super) const MANY: u64 = 100_000_000;
/// A day: a longer timeout is none.
pub(super) const DAY: f64 = 86_400.0;

const TLS: &[(&str, Tls)] = &[("off", Tls::Off), ("offloaded", Tls::Offloaded)];

macro_rules! setting {
    ($path:literal = $default:literal, $meaning:literal, $apply:expr) => {
        Setting { path: $path, default: $default, meaning: $meaning, apply: $apply }
    };
}

pub(super) use setting;

/// All settings but those of namespaces, in the order of the reference.
pub static SETTINGS: &[Setting] = &[
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
        "listen.address" = "\"127.0.0.1:8101\"",
        "TCP addresses of the doors: one or a list. Port 0 lets the system choose.",
        |c, v| {
            c.listen.address = v.addresses()?;
            Ok(())
        }
    ),
    setting!("listen.unix" = "none", "Path of a unix socket for the doors.", |c, v| {
        c.listen.unix = Some(v.text()?.into());
        Ok(())
    }),
    setting!(
        "listen.tls" = "\"off\"",
        "`\"offloaded\"` says that something in front does TLS; off loopback nothing starts without it.",
        |c, v| {
            c.listen.tls = v.choice(TLS)?;
            Ok(())
        }
    ),
    setting!(
        "listen.trusted" = "none",
        "Networks of your own proxies, exempt from the limits per address: a list such as `[\"10.0.0.0/8\"]`.",
        |c, v| {
            c.listen.trusted = v.networks()?;
            Ok(())
        }
    ),
    setting!(
        "listen.api" = "on loopback and unix sockets only",
        "Whether the HTTP API, health and metrics are served with the doors: `true` everywhere, `false` nowhere. As a table it puts them on listeners of their own.",
        |c, v| {
            c.listen.api = if v.bool()? { Api::Everywhere } else { Api::Nowhere };
            Ok(())
        }
    ),
    setting!(
        "listen.api.address" = "none",
        "TCP addresses of the API's own: it is then served there and not with the doors.",
        |c, v| {
            apart(c).address = v.addresses()?;
            Ok(())
        }
    ),
    setting!("listen.api.unix" = "none", "Path of a unix socket of the API's own.", |c, v| {
        apart(c).unix = Some(v.text()?.into());
        Ok(())
    }),
    setting!("listen.api.tls" = "\"off\"", "As `listen.tls`, for the API's own addresses.", |c, v| {
        apart(c).tls = v.choice(TLS)?;
        Ok(())
    }),
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

/// The API's own listeners, made if nothing has spoken of them yet.
fn apart(config: &mut Config) -> &mut ApiListen {
    if !matches!(config.listen.api, Api::Apart(_)) {
        config.listen.api = Api::Apart(ApiListen::default());
    }
    match &mut config.listen.api {
        Api::Apart(api) => api,
        _ => unreachable!("it was just made"),
    }
}

fn origins(given: &Given) -> Result<Origins, Expected> {
    let list = given.list()?;
    if list == ["*"] {
        return Ok(Origins::Any);
    }
    let origins: Vec<String> = list.into_iter().map(str::to_owned).collect();
    match OriginPolicy::List(origins.clone()).check().first() {
        None => Ok(Origins::Listed(origins)),
        Some(misuse) => Err(format!("origins such as https://example.org: {misuse}")),
    }
}

fn secret(given: &Given) -> Result<Secret, Expected> {
    let text = given.text()?;
    let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    visible
        .then(|| Secret::new(text))
        .ok_or_else(|| "a key of visible ASCII characters without blanks".into())
}

fn session_key(given: &Given) -> Result<SessionKey, Expected> {
    let expected = || String::from("64 hexadecimal digits, as from `openssl rand -hex 32`");
    let text = given.text()?;
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(expected());
    }
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| expected())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| expected())?;
    }
    Ok(SessionKey(key))
}

fn node_name(given: &Given) -> Result<String, Expected> {
    let text = given.text()?;
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or_else(|| "1 to 64 visible ASCII characters".into())
}
