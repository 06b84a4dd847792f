//! `trunkline serve`: the connection server.

use std::io;
use std::pin::pin;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use trunkline_server::{Listener, Reloader, Server};

use crate::args::Serve;
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Flag;
use crate::signals::{Hangups, Signals};
use crate::{descriptors, output, settings};

pub(crate) async fn run(args: Serve) -> Outcome {
    let file = settings::file(args.config);
    let probe = if args.probe { vec!["true".to_owned()] } else { Vec::new() };
    let flags = [
        Flag { name: "--listen", setting: "listen.address", values: &args.listen },
        Flag { name: "--cert", setting: "tls.cert", values: &args.cert },
        Flag { name: "--key", setting: "tls.key", values: &args.key },
        Flag { name: "--probe", setting: "probe", values: &probe },
    ];
    let config = match settings::load(file.as_deref(), &flags) {
        Ok(config) => config,
        Err(problems) => {
            let words = format!("cannot serve with this configuration:\n{problems}");
            return Err(Failure::new(settings::exit(&problems), words));
        }
    };
    if let Some(file) = &file {
        tracing::info!(file = %file.display(), "configured by file");
    }
    descriptors::raise_limit();
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    let server = Server::new(config).map_err(Failure::unclean)?;
    let listeners = server.bind().await.map_err(Failure::unclean)?;
    // Before anybody can know that it runs: until then a SIGHUP would end it.
    let _hangups = server.reloader().map(reload_on_hangup).transpose().map_err(Failure::unclean)?;
    announce(&server, &listeners).map_err(Failure::unclean)?;

    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = pin!(server.run(listeners, async {
        // A sender that is dropped says the same as one that is used.
        let _ = stopped.await;
    }));
    tokio::select! {
        summary = &mut running => tracing::info!("{summary}"),
        () = signals.next() => {
            tracing::info!("stopping; a second signal ends at once");
            drop(stop);
            tokio::select! {
                summary = running => tracing::info!("{summary}"),
                () = signals.next() => return Ok(Exit::Unclean),
            }
        }
    }
    Ok(Exit::Clean)
}

/// Certificates are read again at each SIGHUP, for as long as what this gives is kept.
fn reload_on_hangup(reloader: Reloader) -> io::Result<JoinSet<()>> {
    let mut hangups = Hangups::new()?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            hangups.next().await;
            let reloader = reloader.clone();
            // A file system that hangs must not hang a worker of the runtime.
            let _ = tokio::task::spawn_blocking(move || reloader.reload()).await;
        }
    });
    Ok(task)
}

/// Where it listens, once it does. The key comes first and goes elsewhere: whoever waits for the address has it then,
/// and whoever keeps the output has no secret in it.
fn announce(server: &Server, listeners: &[Listener]) -> io::Result<()> {
    if server.api_key_is_generated() {
        let key = server.api_key().reveal();
        eprintln!("API key, made up for this run as TRUNKLINE_API_KEY is not set: {key}");
    }
    for listener in listeners {
        let what = if listener.is_for_clients() { "listening" } else { "api" };
        output::line(format!("{what} on {listener}"))?;
    }
    let demo = listeners.iter().find(|listener| listener.serves().dev && listener.local_addr().is_some());
    match demo {
        Some(listener) => output::line(format!("demo page, best in two windows: {listener}/")),
        None => Ok(()),
    }
}
