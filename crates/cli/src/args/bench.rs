//! The flags of `trunkline bench`.

use std::time::Duration;

use clap::{Args, value_parser};

use super::{Dial, seconds};

/// The most of whatever is counted by connections. Descriptors and ports end long before.
const CONNECTIONS: i64 = 1_000_000;

/// The most messages under way in one connection. Their moments are kept until the echoes come.
const IN_FLIGHT: i64 = 65_536;

/// The largest message, in bytes: what a server takes has to be asked of the server.
const SIZE: u64 = 64 << 20;

/// The lowest and the highest rate, of messages and of connections, a second. One machine does not get to the highest.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=1_000_000.0;

/// The longest that any part of a run may take.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Loads a server and measures it: how many messages come back a second, and how long each takes
///
/// Of an echo server every echo is compared with what was sent. With --channel it is a hub that is measured: publishers
/// and subscribers of one channel, each a connection of its own, and every delivery is accounted for.
///
/// All connections are opened first. Without --rate a connection then sends whenever fewer than --in-flight messages are
/// under way (a closed loop): this finds out what a server can do. With --rate messages are due at fixed moments (an open
/// loop), and latency counts from the moment a message was due, so that a stall shows in every message that it held up:
/// this finds out how long users wait.
///
/// On a terminal it shows how it is getting on. Ctrl-C ends it early, with its result so far. Ends with 1 if nothing could
/// be measured, an echo was wrong, a delivery was lost, or a connection failed.
#[derive(Args)]
#[command(override_usage = "trunkline bench [OPTIONS] <URL>\n       \
                            trunkline bench [OPTIONS] --channel <CHANNEL> [--subscribers <N>] [--publishers <M>] <URL>")]
pub(crate) struct Bench {
    /// ws://, wss://, http:// or https://: an echo server, or with --channel a hub's websocket door
    pub(crate) url: String,

    /// Connections to the echo server [default: 10]
    #[arg(long, value_name = "N", conflicts_with = "channel", value_parser = value_parser!(u32).range(1..=CONNECTIONS))]
    pub(crate) connections: Option<u32>,

    #[command(flatten)]
    pub(crate) load: Load,

    #[command(flatten)]
    pub(crate) hub: BenchHub,

    #[command(flatten)]
    pub(crate) dial: Dial,

    /// Print the result as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is sent, and when.
#[derive(Args, Default)]
pub(crate) struct Load {
    /// Size of a message in bytes; of a publication at least 64, as JSON [default: 128]
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u64).range(..=SIZE))]
    pub(crate) size: Option<u64>,

    /// Messages are text that compresses as chat does [default]
    #[arg(long, conflicts_with = "binary")]
    pub(crate) text: bool,

    /// Messages are random bytes, which do not compress
    #[arg(long, conflicts_with = "channel")]
    pub(crate) binary: bool,

    /// Messages a second, of all connections together, each at its moment (open loop) [default: as fast as answers come]
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// Messages of one connection that may wait for their echo, or for the hub's word that they are published
    /// [default: 1, with --rate 100]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=IN_FLIGHT))]
    pub(crate) in_flight: Option<u32>,

    /// How long to measure, in seconds [default: 10, with --messages until they are sent]
    #[arg(long, value_name = "SECONDS", value_parser = some_time)]
    pub(crate) duration: Option<Duration>,

    /// Measure this many messages, of all connections together, and end
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub(crate) messages: Option<u64>,

    /// How long to send before measuring begins, in seconds [default: 1, with --messages 0]
    #[arg(long, value_name = "SECONDS", value_parser = time)]
    pub(crate) warm_up: Option<Duration>,

    /// How long to take to open all connections, in seconds [default: as fast as they open]
    #[arg(long, value_name = "SECONDS", value_parser = time)]
    pub(crate) ramp: Option<Duration>,

    /// Connections to open a second
    #[arg(long, value_name = "PER_SECOND", value_parser = rate, conflicts_with = "ramp")]
    pub(crate) connect_rate: Option<f64>,
}

/// The hub instead of an echo server.
#[derive(Args)]
pub(crate) struct BenchHub {
    /// Measure a hub, in this channel; nobody else should use it
    #[arg(long, value_name = "CHANNEL", conflicts_with = "ticket")]
    pub(crate) channel: Option<String>,

    /// Connections that subscribe to the channel; 0 measures publishing alone [default: 1]
    #[arg(long, value_name = "N", requires = "channel", value_parser = value_parser!(u32).range(..=CONNECTIONS))]
    pub(crate) subscribers: Option<u32>,

    /// Connections that publish in it. The hub holds each to its limits.commands_per_s, of which a client uses four
    /// fifths [default: 1]
    #[arg(long, value_name = "N", requires = "channel", value_parser = value_parser!(u32).range(1..=CONNECTIONS))]
    pub(crate) publishers: Option<u32>,

    /// Whose tickets to mint through the API, numbered: `bench` becomes bench-1, bench-2, ... Needs the API key
    /// [default: bench if there is a key, else nobody in particular]
    #[arg(long, value_name = "USER", requires = "channel")]
    pub(crate) user: Option<String>,

    /// The hub's HTTP API [default: the scheme, host and port of the URL]
    #[arg(long, value_name = "URL", requires = "channel")]
    pub(crate) api: Option<String>,

    /// The API key. Better in the environment: other users of the machine see the command line
    #[arg(
        long,
        value_name = "KEY",
        allow_hyphen_values = true,
        env = "TRUNKLINE_API_KEY",
        hide_env_values = true
    )]
    pub(crate) api_key: Option<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number a second".to_owned())?;
    let (least, most) = (RATES.start(), RATES.end());
    let fits = RATES.contains(&number);
    fits.then_some(number)
        .ok_or_else(|| format!("at least {least} and at most {most} a second, got {number}"))
}

fn time(text: &str) -> Result<Duration, String> {
    let time = seconds(text)?;
    let longest = LONGEST.as_secs();
    let got = time.as_secs_f64();
    (time <= LONGEST).then_some(time).ok_or_else(|| format!("at most {longest} seconds, got {got}"))
}

fn some_time(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    (!time.is_zero()).then_some(time).ok_or_else(|| "more than 0 seconds, got 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn a_rate_is_a_thousandth_to_a_million_a_second() {
        assert_eq!((rate("0.001"), rate("1000000")), (Ok(0.001), Ok(1_000_000.0)));
        for (bad, got) in [("0", "got 0"), ("-1", "got -1"), ("1000001", "got 1000001"), ("nan", "got NaN")] {
            let why = rate(bad).expect_err(bad);
            assert!(
                why.starts_with("at least 0.001 and at most 1000000 a second") && why.ends_with(got),
                "{why}"
            );
        }
        assert!(rate("fast").is_err());
    }

    #[test]
    fn counts_and_sizes_are_taken_up_to_their_limits_and_not_one_more() {
        for (flag, most) in [("--connections", 1_000_000_u64), ("--size", 64 << 20), ("--in-flight", 65_536)]
        {
            let parses = |number: u64| {
                let args = ["trunkline", "bench", "ws://h/", flag, &number.to_string()];
                crate::args::Cli::try_parse_from(args).is_ok()
            };
            assert_eq!((parses(most), parses(most + 1)), (true, false), "{flag}");
        }
    }

    #[test]
    fn no_part_of_a_run_takes_more_than_a_day_and_measuring_takes_some_time() {
        assert_eq!(time("86400"), Ok(LONGEST));
        assert_eq!(time("86400.5"), Err("at most 86400 seconds, got 86400.5".to_owned()));
        assert_eq!((time("0"), some_time("0.1")), (Ok(Duration::ZERO), Ok(Duration::from_millis(100))));
        assert!(some_time("0").is_err());
    }
}
