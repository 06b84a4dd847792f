//! `trunkline probe --listen`: the other end, alone. No door, no API, no secret.

use tokio::sync::oneshot;
use trunkline_server::config::Probe as Served;
use trunkline_server::{Config, Server};

use crate::args::Probe;
use crate::exit::{Exit, Failure, Outcome};
use crate::signals::Signals;
use crate::{descriptors, output};

pub(super) async fn run(args: Probe) -> Outcome {
    descriptors::raise_limit();
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    let mut config = Config::default();
    config.probe = Served::Alone;
    config.listen.address = args.listen;
    config.tls.cert = args.cert.into_iter().collect();
    config.tls.key = args.key.into_iter().collect();
    let server = Server::new(config).map_err(Failure::usage)?;
    let listeners = server.bind().await.map_err(Failure::unclean)?;
    for listener in &listeners {
        output::line(format!("listening on {listener}")).map_err(Failure::unclean)?;
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = std::pin::pin!(server.run(listeners, async {
        // A sender that is dropped says the same as one that is used.
        let _ = stopped.await;
    }));
    tokio::select! {
        summary = &mut running => tracing::info!("{summary}"),
        () = signals.next() => {
            drop(stop);
            tokio::select! {
                summary = running => tracing::info!("{summary}"),
                () = signals.next() => return Ok(Exit::Unclean),
            }
        }
    }
    Ok(Exit::Clean)
}
