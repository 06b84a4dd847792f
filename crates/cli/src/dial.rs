//! How a connection is opened, as the command line tells it.

use trunkline_net::tls::{ClientTls, TlsError};
use trunkline_net::{Connector, DeflateConfig, Http2, Limits, Timeouts};

use crate::args::{self, Dial};
use crate::exit::Failure;
use crate::way;

/// Where a ticket goes: servers and proxies log URLs.
const TICKET_HEADER: &str = "X-Auth-Token";

/// A connector that does as it was told, within limits.
///
/// # Errors
///
/// Usage: a proxy's URL that is none, or a file that cannot be used.
pub(crate) fn connector(args: &Dial, limits: Limits) -> Result<Connector, Failure> {
    let mut limits = limits;
    let mut connector = way::connector(&args.way)?
        .authorization_from_url(true)
        .redirects(args.redirects)
        .http2(match args.http2 {
            None => Http2::Never,
            Some(args::Http2::Alpn) => Http2::Alpn,
            Some(args::Http2::PriorKnowledge) => Http2::PriorKnowledge,
        });
    if let Some(whole) = args.timeout {
        // Whoever says how long they wait, waits that long for any phase.
        let whole = Some(whole);
        let timeouts = Timeouts { resolve: None, connect: None, proxy: None, tls: None, whole };
        limits.handshake_timeout = whole;
        connector = connector.timeouts(timeouts);
    }
    connector = connector.limits(limits);
    if args.deflate {
        connector = connector.deflate(DeflateConfig::default());
    }
    if let (Some(chain), Some(key)) = (&args.cert, &args.key) {
        let trusted = match way::trusted(&args.way)? {
            Some(tls) => tls,
            None => ClientTls::system_roots().map_err(Failure::unclean)?,
        };
        let shown = trusted.client_certificate(chain.as_path(), key.as_path());
        let failed = |error: TlsError| Failure::usage(format_args!("--cert, --key: {error}"));
        connector = connector.tls(shown.map_err(failed)?);
    }
    for header in &args.headers {
        // The one header of the handshake's own that says nothing but what its sender wants.
        connector = if header.name.eq_ignore_ascii_case("origin") {
            connector.origin(&header.value)
        } else {
            connector.secret_header(&header.name, &header.value)
        };
    }
    if let Some(ticket) = &args.ticket {
        connector = connector.secret_header(TICKET_HEADER, ticket);
    }
    Ok(args.subprotocols.iter().fold(connector, Connector::subprotocol))
}
