//! The way to a host, as the command line and the environment tell it.

use trunkline_net::tls::{ClientTls, TlsError};
use trunkline_net::{Connector, ProxyPolicy};

use crate::args::Way;
use crate::exit::Failure;

/// A connector that goes this way.
///
/// # Errors
///
/// Usage: a proxy's URL that is none, or a file that cannot be used.
pub(crate) fn connector(way: &Way) -> Result<Connector, Failure> {
    let connector = Connector::default().proxy(proxy(way)?);
    match trusted(way)? {
        Some(tls) => Ok(connector.tls(tls)),
        // The system's, once they are needed.
        None => Ok(connector),
    }
}

/// What TLS trusts, if that is not for the system to say.
///
/// # Errors
///
/// Usage: a file that cannot be used.
pub(crate) fn trusted(way: &Way) -> Result<Option<ClientTls>, Failure> {
    let failed = |error: TlsError| Failure::usage(format_args!("--ca: {error}"));
    way.ca.as_deref().map(ClientTls::with_roots).transpose().map_err(failed)
}

/// As curl does it: what is said here goes before the environment.
fn proxy(way: &Way) -> Result<ProxyPolicy, Failure> {
    match &way.proxy {
        // The words of the error do not repeat it, for it may hold a password.
        Some(url) => match url.parse() {
            Ok(url) => Ok(ProxyPolicy::Url(url)),
            Err(error) => Err(Failure::usage(format_args!("--proxy: {error}"))),
        },
        None if way.no_proxy => Ok(ProxyPolicy::None),
        None => Ok(ProxyPolicy::FromEnvironment),
    }
}
