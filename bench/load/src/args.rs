//! The command line.

use std::net::SocketAddrV4;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Load on a WebSocket server, and what it costs the server
#[derive(Parser)]
#[command(name = "trunkline-bench-load")]
pub(crate) struct Cli {
    /// Where the server listens, on loopback
    #[arg(long, global = true, default_value = "127.0.0.1:9001")]
    pub(crate) address: SocketAddrV4,

    /// The server's process, whose CPU clock and memory are read
    #[arg(long, global = true)]
    pub(crate) pid: Option<i32>,

    /// The core that this process runs on; any if not said
    #[arg(long, global = true)]
    pub(crate) core: Option<usize>,

    #[command(subcommand)]
    pub(crate) mode: Mode,
}

#[derive(Subcommand)]
pub(crate) enum Mode {
    Echo(Echo),
    Idle(Idle),
    Hold(Hold),
    Handshake(Handshake),
    /// One channel of a hub with many subscribers: CPU time of the server for each delivery, and its latency
    Fanout(Fanout),
    /// The same bytes from a server that only sends: what `fanout` is compared with
    Sends(Fanout),
}

/// Messages that come back: CPU time of the server for each, throughput, latency
#[derive(Args)]
pub(crate) struct Echo {
    #[arg(long, default_value_t = 100)]
    pub(crate) connections: usize,

    /// Bytes of payload in a message
    #[arg(long, default_value_t = 16)]
    pub(crate) size: usize,

    /// Messages of each connection that are on their way at once
    #[arg(long, default_value_t = 1)]
    pub(crate) in_flight: usize,

    #[arg(long, value_enum, default_value_t = Kind::Binary)]
    pub(crate) kind: Kind,

    /// Offer permessage-deflate and compress every message
    #[arg(long, value_enum, default_value_t = Deflate::Off)]
    pub(crate) deflate: Deflate,

    /// Send the next messages when all in flight have come back, rather than one for each that does
    #[arg(long)]
    pub(crate) burst: bool,

    #[command(flatten)]
    pub(crate) span: Span,
}

/// How long to measure.
#[derive(Args)]
pub(crate) struct Span {
    /// Seconds
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub(crate) duration: Duration,

    /// Seconds before that, which do not count
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    pub(crate) warm_up: Duration,
}

/// Memory of the server for each connection that has echoed one message and is then left alone
#[derive(Args)]
pub(crate) struct Idle {
    #[arg(long, default_value_t = 10_000)]
    pub(crate) connections: usize,

    /// Offer permessage-deflate, and send the one message compressed
    #[arg(long, value_enum, default_value_t = Deflate::Off)]
    pub(crate) deflate: Deflate,

    /// Connections of a hub, each subscribed to one channel, rather than of an echo server
    #[arg(long)]
    pub(crate) hub: bool,

    /// The hub's API key; without, tickets come from its dev mode
    #[arg(long, env = "TRUNKLINE_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,

    /// Seconds from the last echo to the reading of the memory
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub(crate) settle: Duration,
}

/// Peers of a hub that are idle for a long time and answer its heartbeats
#[derive(Args)]
pub(crate) struct Hold {
    #[arg(long, default_value_t = 10_000)]
    pub(crate) connections: usize,

    /// Seconds, from when all are there
    #[arg(long, default_value = "600", value_parser = seconds)]
    pub(crate) duration: Duration,

    /// The hub's API key; without, tickets come from its dev mode
    #[arg(long, env = "TRUNKLINE_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

/// Opening handshakes, each with its closing one: CPU time of the server
#[derive(Args)]
pub(crate) struct Handshake {
    /// Connections that are opened at once
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,

    #[command(flatten)]
    pub(crate) span: Span,
}

/// One publisher and many subscribers. Every delivery is verified: each publication once, and in order.
#[derive(Args)]
pub(crate) struct Fanout {
    #[arg(long, default_value_t = 1000)]
    pub(crate) subscribers: usize,

    /// Bytes of a publication's data as JSON; for `sends`, of the frame's payload
    #[arg(long, default_value_t = 128)]
    pub(crate) size: usize,

    /// Publications that not all subscribers have seen yet, when there is no rate
    #[arg(long, default_value_t = 1)]
    pub(crate) in_flight: usize,

    /// Publications a second; as fast as they are seen if not said
    #[arg(long)]
    pub(crate) rate: Option<f64>,

    /// The hub's API key; without, tickets come from its dev mode
    #[arg(long, env = "TRUNKLINE_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,

    #[command(flatten)]
    pub(crate) span: Span,
}

/// What is in a message.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    Binary,
    /// Text in ASCII
    Ascii,
    /// Text of which most characters have two, three or four bytes
    Utf8,
    /// Text in ASCII as chats have it: JSON that compresses
    Json,
}

/// What is asked for in the handshake.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Deflate {
    Off,
    /// Neither side keeps anything from one message to the next
    NoContext,
    /// Both sides may
    Context,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
