//! `trunkline bench`: load for an echo server or a hub, and what came of it.

mod echo;
mod hub;
mod load;
mod pacer;
mod payload;
mod progress;
mod report;
mod run;
mod tally;

use std::time::Duration;

use trunkline_net::Limits;
use trunkline_net::url::WsUrl;

use self::load::Load;
use self::payload::Payloads;
use self::report::{Report, Settings};
use crate::args::{self, Bench};
use crate::exit::{Exit, Failure, Outcome};
use crate::signals::Signals;
use crate::{descriptors, dial, output, url};

/// Connections to an echo server, unless told.
const CONNECTIONS: u32 = 10;

/// Bytes of a message, unless told.
const SIZE: u64 = 128;

/// What all connections together may hold of messages under way, in bytes: what every one of them may have queued, or be
/// receiving, at its worst. More is a mistake, and would end in the system killing somebody.
const UNDER_WAY: u64 = 2 << 30;

pub(crate) async fn run(args: Bench) -> Outcome {
    let json = args.json;
    // Whatever can be wrong without a server is found before it is asked.
    let plan = Wanted::new(args)?;
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    let report = match plan {
        Wanted::Echo(bench) => echo::run(*bench, &mut signals).await,
        Wanted::Hub(bench) => hub::run(*bench, &mut signals).await,
    }?;
    let printed =
        if json { serde_json::to_string(&report).map_err(Failure::unclean)? } else { report.to_string() };
    output::line(printed).map_err(|error| Failure::unclean(format_args!("stdout: {error}")))?;
    exit(&report)
}

fn exit(report: &Report) -> Outcome {
    if !report.measured() {
        return Err(Failure::unclean("nothing was measured"));
    }
    Ok(if report.sound() { Exit::Clean } else { Exit::Unclean })
}

/// What is to be measured.
enum Wanted {
    Echo(Box<echo::Bench>),
    Hub(Box<hub::Bench>),
}

impl Wanted {
    fn new(args: Bench) -> Result<Self, Failure> {
        let url = url::websocket(&args.url).map_err(Failure::usage)?;
        let load = Load::new(&args.load);
        let size = args.load.size.unwrap_or(SIZE);
        if args.hub.channel.is_some() {
            return hub::Bench::new(args, url, load, size).map(|bench| Self::Hub(Box::new(bench)));
        }
        let connections = args.connections.unwrap_or(CONNECTIONS);
        descriptors::make_room(connections.into())
            .map_err(|why| Failure::usage(format_args!("--connections: {why}")))?;
        let limits = Limits { message: (size as usize).max(Limits::default().message), ..Limits::default() };
        fits_into_memory(connections, size, &load, limits.outgoing as u64)?;
        let payloads =
            if args.load.binary { Payloads::binary(size as usize) } else { Payloads::text(size as usize) };
        Ok(Self::Echo(Box::new(echo::Bench {
            url,
            connector: dial::connector(&args.dial, limits)?,
            connections,
            load,
            ramp: ramp(&args.load, connections),
            settings: Settings::new(&load, payloads.size(), !args.load.binary, args.dial.deflate),
            payloads,
        })))
    }
}

/// Scheme, host and port of a URL, which is all of it that may be shown: the rest may hold a ticket.
fn place(url: &WsUrl) -> String {
    format!("{}://{}", url.scheme(), url.authority())
}

/// The time between the openings of two connections.
fn ramp(args: &args::Load, connections: u32) -> Duration {
    match (args.ramp, args.connect_rate) {
        (Some(whole), _) => whole / connections,
        (None, Some(rate)) => Duration::from_secs_f64(1.0 / rate),
        (None, None) => Duration::ZERO,
    }
}

fn fits_into_memory(connections: u32, size: u64, load: &Load, outgoing: u64) -> Result<(), Failure> {
    // A connection queues up to its mark, and the one message that passes it.
    let of_one = (size * load.in_flight as u64).min(outgoing + size);
    let all = of_one * u64::from(connections);
    if all <= UNDER_WAY {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "at most {UNDER_WAY} bytes may be under way: {connections} connections with up to {of_one} bytes each \
         (--size, --in-flight) make {all}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(in_flight: usize) -> Load {
        Load { rate: None, in_flight, messages: None, warm_up: Duration::ZERO, duration: None }
    }

    #[test]
    fn as_many_bytes_may_be_under_way_as_the_limit_and_one_connection_more_is_too_many() {
        let most = u32::try_from(UNDER_WAY / (1 << 20)).expect("a small number");
        assert!(fits_into_memory(most, 1 << 20, &load(1), 256 << 10).is_ok());
        let why = fits_into_memory(most + 1, 1 << 20, &load(1), 256 << 10).expect_err("too many").to_string();
        assert!(why.contains("at most 2147483648 bytes") && why.ends_with("make 2148532224"), "{why}");
        assert!(
            fits_into_memory(5000, 128, &load(65_536), 256 << 10).is_ok(),
            "the queue has a mark of its own"
        );
    }

    #[test]
    fn a_ramp_is_a_time_or_a_rate() {
        let args = |ramp, connect_rate| args::Load { ramp, connect_rate, ..args::Load::default() };
        assert_eq!(ramp(&args(Some(Duration::from_secs(10)), None), 100), Duration::from_millis(100));
        assert_eq!(ramp(&args(None, Some(50.0)), 100), Duration::from_millis(20));
        assert_eq!(ramp(&args(None, None), 100), Duration::ZERO);
    }
}
