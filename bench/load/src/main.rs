//! The load generator of the benchmarks. It makes frames by hand and uses none of Trunkline's crates, so that a fault in
//! those is seen here and not repeated.
//!
//! One thread, one epoll instance. What it prints is one JSON object; the measure is the server's CPU time, read from the
//! clock of its process. What the modes do, and why they do it so: bench/README.md.

mod args;
mod deflate;
mod echo;
mod fanout;
mod handshake;
mod hold;
mod hub;
mod idle;
mod messages;
mod meter;
mod open;
mod ring;
mod server;
mod talk;
mod wire;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};

use args::{Cli, Mode};
use server::Server;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (report, code) = match run(&cli) {
        Ok(report) => (report, ExitCode::SUCCESS),
        Err(error) => (json!({"error": error.to_string()}), ExitCode::FAILURE),
    };
    println!("{report}");
    code
}

fn run(cli: &Cli) -> Fallible<Value> {
    if let Some(core) = cli.core {
        pin(core)?;
    }
    let server = Server::of(cli.pid)?;
    match &cli.mode {
        Mode::Echo(args) => echo::run(cli.address, args, &server),
        Mode::Hold(args) => hold::run(cli.address, args, &server),
        Mode::Idle(args) => idle::run(cli.address, args, &server),
        Mode::Handshake(args) => handshake::run(cli.address, args, &server),
        Mode::Fanout(args) => fanout::run(cli.address, args, &server),
        Mode::Sends(args) => fanout::sends(cli.address, args, &server),
    }
}

fn pin(core: usize) -> Fallible<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    // Zero is this process.
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
