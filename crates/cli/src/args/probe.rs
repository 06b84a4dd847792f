//! The command line of `trunkline probe`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use trunkline_probe::near::{OwnHandshake, Step};
use trunkline_probe::wire::BULK_LIMIT;

use super::dial::Header;
use super::seconds;

/// Bytes of bulk each way.
const BYTES: u64 = 8 << 20;

/// What does the path between here and there do to two-way traffic?
///
/// Measures together with a server that has the probe service on (`trunkline serve --probe`, or `trunkline probe --listen`
/// on a machine of its own), says what it found and what to do about it. With another WebSocket server it measures what it
/// can alone, and which rules of RFC 6455 that one breaks.
///
/// Exit codes: 0 healthy, 10 degraded, 20 broken, 2 usage, 1 interrupted, or the report could not be written.
#[derive(Args)]
#[command(override_usage = "trunkline probe [OPTIONS] <URL>\n       trunkline probe --listen <ADDR>")]
pub(crate) struct Probe {
    /// ws://, wss://, http:// or https://; without a path /probe is meant
    #[arg(required_unless_present = "listen")]
    pub(crate) url: Option<String>,

    /// Be the other end: serve the probe alone, at every path, until SIGINT or SIGTERM. May be repeated
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["url", "only", "json", "html", "ports", "parallel"])]
    pub(crate) listen: Vec<SocketAddr>,

    /// With --listen: PEM file with a certificate and the chain behind it: TLS where it listens
    #[arg(long, value_name = "FILE", requires = "key", requires = "listen")]
    pub(crate) cert: Option<PathBuf>,

    /// With --listen: PEM file with the private key of --cert
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// The proxy to go through: http://, https:// (CONNECT), socks5:// or socks5h:// [default: as the environment says]
    #[arg(long, visible_alias = "proxy", value_name = "URL")]
    pub(crate) via: Option<String>,

    /// Go directly, whatever the environment says
    #[arg(long, conflicts_with = "via")]
    pub(crate) no_proxy: bool,

    /// PEM file with the certificate authorities to trust, in place of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// What to measure: ways, headers, delivery, latency, bulk, frames, endings, lookalike, rules, idle [default: all]
    #[arg(long, value_name = "STEPS", value_delimiter = ',', value_parser = step)]
    pub(crate) only: Vec<Step>,

    /// Bytes of bulk each way at once, at most 1 GiB
    #[arg(long, value_name = "BYTES", default_value_t = BYTES, value_parser = clap::value_parser!(u64).range(1..=BULK_LIMIT))]
    pub(crate) bytes: u64,

    /// The longest silence to try; 0 tries none. The whole run takes a little longer than this
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub(crate) idle_max: Duration,

    /// Other ports of the same host to try
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub(crate) ports: Vec<u16>,

    /// How many idle connections to hold at once
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) parallel: usize,

    /// A handshake of one's own, such as 'OPTIONS /probe mytoken'. May be repeated
    #[arg(long = "handshake", value_name = "'METHOD PATH TOKEN'")]
    pub(crate) handshakes: Vec<Own>,

    /// One more header for every request. May be repeated
    #[arg(long = "header", value_name = "'Name: value'")]
    pub(crate) headers: Vec<Header>,

    /// A ticket, sent as X-Auth-Token
    #[arg(long, value_name = "TICKET", allow_hyphen_values = true)]
    pub(crate) ticket: Option<String>,

    /// How long an answer may take
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Facts, findings and verdict as JSON, in place of the summary
    #[arg(long)]
    pub(crate) json: bool,

    /// A page with charts, beside what is printed
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// A handshake as typed.
#[derive(Clone, Debug)]
pub(crate) struct Own(pub(crate) OwnHandshake);

impl FromStr for Own {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [method, path, token] = words[..] else {
            return Err("a handshake is written 'METHOD PATH TOKEN'");
        };
        http::Method::from_bytes(method.as_bytes()).map_err(|_| "HTTP does not allow that method")?;
        let is_path = path.starts_with('/') && path.parse::<http::Uri>().is_ok();
        if !is_path {
            return Err("the path begins with / and holds no blanks");
        }
        http::HeaderValue::try_from(token).map_err(|_| "HTTP does not allow that token")?;
        let (method, path, token) = (method.to_owned(), path.to_owned(), token.to_owned());
        Ok(Self(OwnHandshake { method, path, token }))
    }
}

fn step(text: &str) -> Result<Step, String> {
    Step::named(text).ok_or_else(|| {
        let all: Vec<&str> = Step::ALL.iter().map(|step| step.name()).collect();
        format!("there is {}", all.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_a_method_a_path_and_a_token() {
        let own: Own = "OPTIONS /probe fire/1".parse().expect("a handshake");
        assert_eq!(
            (own.0.method.as_str(), own.0.path.as_str(), own.0.token.as_str()),
            ("OPTIONS", "/probe", "fire/1")
        );
        for bad in ["", "GET /", "GET x y", "G(T / x", "GET / a b"] {
            assert!(bad.parse::<Own>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_step_has_a_name_that_leads_to_it() {
        for known in Step::ALL {
            assert_eq!(step(known.name()), Ok(known));
        }
        assert!(step("nonsense").is_err());
    }
}
