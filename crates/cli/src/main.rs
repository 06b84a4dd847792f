//! `trunkline`: people operate it. Parse, run, exit code.

mod allocator;
mod api;
mod args;
mod command;
mod cores;
mod descriptors;
mod dial;
mod exit;
mod hub;
mod output;
mod refusal;
mod settings;
mod signals;
mod stdin;
mod stop;
mod url;
mod way;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tracing_subscriber::EnvFilter;

use crate::allocator::BesidePages;
use crate::args::{Cli, Command};
use crate::exit::{Failure, Outcome};

/// Many small objects that live as long as a connection, some of them aligned to cache lines, and buffers that come and go.
#[global_allocator]
static ALLOCATOR: BesidePages<MiMalloc> = BesidePages(MiMalloc);

fn main() -> ExitCode {
    // The one place where it is chosen. It fails where there is one already, and nobody was here before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Clap prints its own errors and ends with 2, which is our `Exit::Usage`.
    let Cli { log, command } = Cli::parse();
    let outcome = log_to_stderr(log.as_deref(), default_log(&command)).and_then(|()| run(command));
    let exit = outcome.unwrap_or_else(|failure| {
        eprintln!("trunkline: {failure}");
        failure.exit()
    });
    exit.into()
}

fn run(command: Command) -> Outcome {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::unclean(format_args!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve(args) => command::serve::run(args).await,
            Command::Check(args) => command::check::run(args),
            Command::Ticket(args) => command::ticket::run(args).await,
            Command::Publish(args) => command::publish::run(args).await,
            Command::Subscribe(args) => command::subscribe::run(args).await,
            Command::Connect(args) => command::connect::run(args).await,
            Command::Echo(args) => command::echo::run(args).await,
            Command::Bench(args) => command::bench::run(*args).await,
            Command::Probe(args) => command::probe::run(*args).await,
        }
    });
    // A name look-up that hangs must not keep a process that is done.
    runtime.shutdown_background();
    outcome
}

fn default_log(command: &Command) -> &'static str {
    match command {
        Command::Serve(_) => "info",
        Command::Probe(args) if !args.listen.is_empty() => "info",
        _ => "warn",
    }
}

fn log_to_stderr(filter: Option<&str>, default: &str) -> Result<(), Failure> {
    let filter = filter.unwrap_or(default);
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::usage(format_args!("the log filter {filter:?}: {error}")))?;
    let stderr = std::io::stderr;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        .init();
    Ok(())
}
