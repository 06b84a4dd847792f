//! What one's own proxies say of their clients: before the first byte (PROXY protocol), and in each request.

use http::header::{HOST, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use trunkline_net::forwarded;
use trunkline_net::proxy_protocol::{self, Endpoints, HeaderError};

use super::{Remote, refusal};
use crate::App;
use crate::address::{By, ClientAddress, Known};
use crate::config::{Forged, Tls};
use crate::metrics::Reason;
use crate::stream::Stream;

/// Reads the header that a trusted proxy begins with; `None` if it did not, which then was counted and logged.
pub(super) async fn read(app: &App, stream: &mut Stream, remote: &Remote) -> Option<Known> {
    let within = proxy_protocol::TIME.min(app.config.limits.head_timeout);
    let header = match proxy_protocol::read(stream, within).await {
        Ok(header) => header,
        Err(error) => {
            match error {
                HeaderError::Malformed(_) => app.metrics.rejected(Reason::ProxyInvalid),
                HeaderError::TimedOut(_) => app.metrics.rejected(Reason::ProxyTooSlow),
                // As port checks do.
                _ => {}
            }
            tracing::debug!(proxy = ?remote.address(), %error, "a connection of a proxy did not begin as it has to");
            return None;
        }
    };
    let said = Known {
        // Of its own connections, and of those of which it knows nothing, the proxy is the other end.
        address: match header.endpoints {
            Endpoints::Inet { source, .. } => ClientAddress::Verified(source.ip().to_canonical(), By::Proxy),
            _ => remote.address(),
        },
        secure: header.tlvs.ssl().map(|ssl| ssl.tls),
    };
    tracing::debug!(
        proxy = ?remote.address(),
        client = ?said.address,
        secure = ?said.secure,
        host = header.tlvs.authority(),
        id = header.tlvs.unique_id().map(|id| id.escape_ascii().to_string()),
        "a connection by way of a proxy"
    );
    Some(said)
}

/// What is known of who sends a request: of its connection, and, if that is one of one's own proxies, what its fields say. `Host`
/// afterwards is the one that the client asked for.
pub(super) fn known(
    app: &App,
    remote: &Remote,
    headers: &mut HeaderMap,
) -> Result<Known, Box<Response<String>>> {
    let connection = remote.known();
    let listen = &app.config.listen;
    let mut known = connection;
    if !app.admission.trusts(connection.address) {
        if listen.forged == Forged::Reject && forwarded::says_anything(headers) {
            return refused(
                app,
                "these fields are for proxies, and this address is not one of them: Forwarded, X-Forwarded-*, X-Real-IP",
            );
        }
    } else {
        match forwarded::read(headers, listen.forwarded, |ip| listen.trusted.contains(ip)) {
            Ok(None) => {}
            Ok(Some(told)) => {
                known = Known {
                    address: told
                        .client
                        .map_or(connection.address, |ip| ClientAddress::Verified(ip, By::Forwarded)),
                    secure: told.secure.or(connection.secure),
                };
                if let Some(Ok(host)) = told.host.map(|host| HeaderValue::from_str(host.as_str())) {
                    headers.insert(HOST, host);
                }
            }
            Err(unreadable) => {
                tracing::debug!(proxy = ?connection.address, %unreadable, "refused a request that a proxy has brought");
                return refused(app, &unreadable.to_string());
            }
        }
    }
    if listen.https_only && remote.way.doors.any() && !came_by_tls(remote, known) {
        app.metrics.rejected(Reason::Plaintext);
        let text =
            "this request did not come by TLS, or the proxy does not say so: come by https:// or wss://";
        return Err(Box::new(refusal(StatusCode::FORBIDDEN, text)));
    }
    Ok(known)
}

/// Whether a connection that is no HTTP did what `listen.https_only` wants.
pub(super) fn may_be_raw(app: &App, remote: &Remote) -> bool {
    let may = !app.config.listen.https_only || came_by_tls(remote, remote.known());
    if !may {
        app.metrics.rejected(Reason::Plaintext);
    }
    may
}

/// Where something in front does TLS, it has to say so of each client; of clients on this machine nobody has to.
fn came_by_tls(remote: &Remote, known: Known) -> bool {
    remote.way.tls != Tls::Offloaded || known.secure.unwrap_or(known.address.is_this_machine())
}

fn refused(app: &App, text: &str) -> Result<Known, Box<Response<String>>> {
    app.metrics.rejected(Reason::Forwarded);
    Err(Box::new(refusal(StatusCode::BAD_REQUEST, text)))
}
