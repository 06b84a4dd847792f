//! The TLS handshake of a connection, before anything else of it.

use http::StatusCode;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use trunkline_net::http1::refuse;
use trunkline_net::tls::{Failure, ServerTls, TlsError};

use super::{Remote, Site, reason, refusal};
use crate::App;
use crate::config::Speaks;
use crate::metrics::TlsOutcome;
use crate::stream::Stream;

/// Shakes hands, in the time that a request head has; `None` if nothing came of it, which then was counted and logged.
pub(super) async fn shake_hands(
    app: &App,
    site: &Site,
    tls: &ServerTls,
    mut stream: TcpStream,
    remote: &Remote,
) -> Option<Stream> {
    // Clients of the API may come as often as they like: they are few, and have a key.
    if site.serves.doors.any() || site.terms.speaks != Speaks::Http {
        if let Err(why) = remote.handshake() {
            app.metrics.rejected(reason(why));
            return None;
        }
        remote.prepay();
    }
    let deadline = Instant::now() + app.config.limits.head_timeout;
    if timeout_at(deadline, speaks_http(&stream)).await == Ok(true) {
        app.metrics.tls_handshake(TlsOutcome::NotTls);
        let told = refusal(StatusCode::BAD_REQUEST, "this port speaks TLS: come by https:// or wss://");
        let _ = refuse(&mut stream, &told).await;
        return None;
    }
    match timeout_at(deadline, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            app.metrics.tls_handshake(TlsOutcome::Ok);
            return Some(Stream::Tls(stream));
        }
        Ok(Err(error)) => {
            app.metrics.tls_handshake(outcome(&error));
            tracing::debug!(address = ?remote.address(), %error, "no TLS");
        }
        Err(_) => {
            app.metrics.tls_handshake(TlsOutcome::TooSlow);
            tracing::debug!(address = ?remote.address(), "a TLS handshake was not done in time");
        }
    }
    None
}

/// Whether a client sends plain HTTP: a request begins with a capital letter, a TLS handshake never does.
async fn speaks_http(stream: &TcpStream) -> bool {
    let mut first = [0];
    // An error comes again, and with words, in the handshake.
    stream.peek(&mut first).await.is_ok() && first[0].is_ascii_uppercase()
}

fn outcome(error: &TlsError) -> TlsOutcome {
    let why = match error {
        TlsError::ChallengeAnswered => return TlsOutcome::Challenge,
        TlsError::Failed { why, .. } => why,
        _ => return TlsOutcome::Broken,
    };
    match why {
        Failure::NotTls => TlsOutcome::NotTls,
        Failure::NoCertificate => TlsOutcome::NoCertificate,
        Failure::Untrusted(_) => TlsOutcome::Untrusted,
        Failure::Refused(_) => TlsOutcome::Refused,
        Failure::NothingInCommon(_) | Failure::NoProtocolInCommon => TlsOutcome::NothingInCommon,
        Failure::NothingToShow => TlsOutcome::NothingToShow,
        Failure::Ended | Failure::Truncated | Failure::Io(_) => TlsOutcome::Ended,
        _ => TlsOutcome::Broken,
    }
}
