//! TLS as configured: from the names of files to what shakes hands.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use tracing::subscriber::{NoSubscriber, with_default};
use trunkline_net::http2;
use trunkline_net::tls::{
    CertificateFiles, ClientCertificates, Reloaded, ServerOptions, ServerTls, TlsError,
};

use crate::config::{Certificates, ClientCertificates as Clients};
use crate::metrics::Metrics;

#[cfg(feature = "acme")]
mod acme;
#[cfg(not(feature = "acme"))]
#[path = "tls/no_acme.rs"]
mod acme;

/// The shortest time between two looks at the files.
const WATCH_AT_MOST_EVERY: Duration = Duration::from_millis(10);

/// What a listener with TLS needs.
pub(crate) struct Prepared {
    pub(crate) tls: ServerTls,
    /// Orders and renews certificates, if they come by ACME; has to run beside the server.
    pub(crate) renewal: Option<Renewal>,
}

pub(crate) type Renewal = Pin<Box<dyn Future<Output = Infallible> + Send>>;

/// Prepares what is configured; `None` if there is nothing to do TLS with.
pub(crate) fn prepare(said: &Certificates) -> Result<Option<Prepared>, TlsError> {
    if said.acme.is_said() {
        let (tls, renewal) = acme::start(said, clients(said), alpn())?;
        return Ok(Some(Prepared { tls, renewal: Some(Box::pin(renewal)) }));
    }
    if said.cert.is_empty() {
        return Ok(None);
    }
    Ok(Some(Prepared { tls: ServerTls::new(options(said))?, renewal: None }))
}

/// Whether that would succeed. It is said by the result alone: what is served is logged once it is.
pub(crate) fn check(said: &Certificates) -> Result<(), TlsError> {
    if said.acme.is_said() {
        return acme::check(said);
    }
    with_default(NoSubscriber::default(), || ServerTls::new(options(said)).map(|_| ()))
}

/// Reads certificates, keys and the clients' CA again, all or nothing: what cannot be used changes nothing. Connections
/// that are open go on as they are.
#[derive(Clone, Debug)]
pub struct Reloader {
    tls: ServerTls,
    metrics: Metrics,
}

impl Reloader {
    pub(crate) fn new(tls: ServerTls, metrics: Metrics) -> Reloader {
        Reloader { tls, metrics }
    }

    /// Reads them now, and logs what came of it. Blocks while it reads.
    pub fn reload(&self) {
        self.tell(self.tls.reload());
    }

    /// Reads them whenever their contents have changed, looking `every` so often; at `Duration::ZERO` never.
    pub(crate) async fn watch(self, every: Duration) -> Infallible {
        if every.is_zero() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(every.max(WATCH_AT_MOST_EVERY)).await;
            let tls = self.tls.clone();
            // A file system that hangs must not hang a worker of the runtime.
            if let Ok(Some(reloaded)) = tokio::task::spawn_blocking(move || tls.reload_if_changed()).await {
                self.tell(reloaded);
            }
        }
    }

    fn tell(&self, reloaded: Result<Reloaded, TlsError>) {
        self.metrics.tls_reload(reloaded.is_ok());
        match reloaded {
            Ok(reloaded) => tracing::info!("certificates were read again: {reloaded}"),
            Err(error) => {
                tracing::error!(%error, "certificates stay as they are: those on disk cannot be used")
            }
        }
    }
}

/// Each certificate with its key.
pub(crate) fn pairs(said: &Certificates) -> Vec<CertificateFiles> {
    let pairs = said.cert.iter().zip(&said.key);
    pairs.map(|(chain, key)| CertificateFiles { chain: chain.clone(), key: key.clone() }).collect()
}

fn options(said: &Certificates) -> ServerOptions {
    ServerOptions { certificates: pairs(said), clients: clients(said), alpn: alpn() }
}

fn clients(said: &Certificates) -> ClientCertificates {
    match (said.client, said.client_ca.clone()) {
        (Clients::Optional, Some(ca)) => ClientCertificates::Optional { ca },
        (Clients::Required, Some(ca)) => ClientCertificates::Required { ca },
        _ => ClientCertificates::Off,
    }
}

/// What is spoken in TLS, the preferred first: browsers open a WebSocket in an HTTP/2 connection that they have, and a
/// new one with HTTP/1.1.
fn alpn() -> Vec<Vec<u8>> {
    vec![http2::ALPN.to_vec(), b"http/1.1".to_vec()]
}
