//! Certificates by ACME.

use std::convert::Infallible;

use tracing::subscriber::{NoSubscriber, with_default};
use trunkline_net::acme::Acme;
use trunkline_net::tls::{ClientCertificates, ServerTls, TlsError};

use crate::config::Certificates;

/// Begins to order what is configured; the future has to run for it.
pub(super) fn start(
    said: &Certificates,
    clients: ClientCertificates,
    alpn: Vec<Vec<u8>>,
) -> Result<(ServerTls, impl Future<Output = Infallible> + Send + 'static), TlsError> {
    options(said, clients, alpn).start()
}

/// Nothing is ordered by what is not polled.
pub(super) fn check(said: &Certificates) -> Result<(), TlsError> {
    let started = || start(said, super::clients(said), super::alpn()).map(|_| ());
    with_default(NoSubscriber::default(), started)
}

fn options(said: &Certificates, clients: ClientCertificates, alpn: Vec<Vec<u8>>) -> Acme {
    let said = &said.acme;
    let cache = said.cache.clone().unwrap_or_default();
    let defaults = Acme::new(said.domains.clone(), cache);
    Acme {
        contacts: said.contact.clone(),
        directory: said.directory.clone().unwrap_or_else(|| defaults.directory.clone()),
        directory_roots: said.directory_ca.clone().map(Into::into),
        clients,
        alpn,
        ..defaults
    }
}
