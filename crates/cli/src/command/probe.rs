//! `trunkline probe`: what a path does to two-way traffic; and the other end of it.

mod listen;
mod progress;

use trunkline_net::Timeouts;
use trunkline_probe::findings::Health;
use trunkline_probe::near::{self, Options, Step};
use trunkline_probe::report::Report;

use self::progress::Progress;
use crate::args::{Probe, Way};
use crate::exit::{Exit, Failure, Outcome};
use crate::signals::Signals;
use crate::{descriptors, output, url, way};

pub(crate) async fn run(args: Probe) -> Outcome {
    let Some(text) = &args.url else { return listen::run(args).await };
    let options = options(&args, text)?;
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    if args.parallel > 0 {
        descriptors::raise_limit();
    }
    let mut progress = Progress::new();
    let facts = tokio::select! {
        facts = near::run(&options, &mut progress) => facts,
        () = signals.next() => return Ok(Exit::Unclean),
    };
    progress.finish();
    let report = Report::new(facts);
    if let Some(file) = &args.html {
        let failed = |error| Failure::unclean(format_args!("{}: {error}", file.display()));
        std::fs::write(file, report.html()).map_err(failed)?;
    }
    let shown = if args.json { report.json() } else { report.text() };
    output::line(shown.trim_end()).map_err(Failure::unclean)?;
    Ok(match report.health {
        Health::Healthy => Exit::Clean,
        Health::Degraded => Exit::Degraded,
        Health::Broken => Exit::Broken,
    })
}

fn options(args: &Probe, text: &str) -> Result<Options, Failure> {
    let way = Way { proxy: args.via.clone(), no_proxy: args.no_proxy, ca: args.ca.clone() };
    if args.timeout.is_zero() {
        return Err(Failure::usage("--timeout: nothing can be answered in no time"));
    }
    let each = Some(args.timeout);
    let timeouts = Timeouts { resolve: each, connect: each, proxy: each, tls: each, whole: None };
    let ticket = args.ticket.iter().map(|ticket| ("X-Auth-Token".to_owned(), ticket.clone()));
    Ok(Options {
        url: url::websocket(text).map_err(Failure::usage)?,
        connector: way::connector(&way)?.timeouts(timeouts),
        headers: args
            .headers
            .iter()
            .map(|header| (header.name.clone(), header.value.clone()))
            .chain(ticket)
            .collect(),
        steps: if args.only.is_empty() { Step::ALL.to_vec() } else { with_ways(&args.only) },
        bytes: args.bytes,
        patience: args.timeout,
        idle_max: args.idle_max,
        ports: args.ports.clone(),
        parallel: args.parallel,
        own: args.handshakes.iter().map(|own| own.0.clone()).collect(),
    })
}

/// All else needs to know whether anything passes.
fn with_ways(only: &[Step]) -> Vec<Step> {
    std::iter::once(Step::Ways).chain(only.iter().copied()).collect()
}
