//! A build without the feature `acme`.

use std::convert::Infallible;
use std::future::Pending;

use trunkline_net::tls::{ClientCertificates, ServerTls, TlsError};

use crate::config::Certificates;

pub(super) fn start(
    _: &Certificates,
    _: ClientCertificates,
    _: Vec<Vec<u8>>,
) -> Result<(ServerTls, Pending<Infallible>), TlsError> {
    Err(missing())
}

pub(super) fn check(_: &Certificates) -> Result<(), TlsError> {
    Err(missing())
}

fn missing() -> TlsError {
    TlsError::Options("this trunkline was built without the feature acme".to_owned())
}
