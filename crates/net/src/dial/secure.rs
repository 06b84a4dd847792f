//! TLS around a dialled stream.

use std::sync::{Mutex, PoisonError};

use super::dialled::Stream;
use super::{DialCause, Dialled, Protocols};
use crate::tls::{ClientStream, ClientTls, TlsError};

/// What TLS is spoken with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// `None`: the system's roots.
    pub(crate) chosen: Option<ClientTls>,
}

impl Tls {
    /// The TLS handshake with `host`, which may be an address.
    pub(crate) async fn connect(
        &self,
        host: &str,
        protocols: Protocols,
        stream: Dialled,
    ) -> Result<Dialled, DialCause> {
        let tls = match &self.chosen {
            Some(tls) => tls.clone(),
            None => system().map_err(failed)?,
        };
        let place = stream.place();
        let offered: &[&[u8]] = match protocols {
            Protocols::Http1 => &[b"http/1.1"],
            Protocols::Http2OrHttp1 => &[b"h2", b"http/1.1"],
            Protocols::Http2 => &[b"h2"],
        };
        let stream = tls.alpn(offered).connect(host, stream).await.map_err(failed)?;
        Ok(Dialled::new(stream, place))
    }
}

fn failed(error: TlsError) -> DialCause {
    DialCause::Tls(Box::new(error))
}

static SYSTEM: Mutex<Option<ClientTls>> = Mutex::new(None);

/// The system's roots, read from their files when they are first needed. That they cannot be read is not remembered:
/// whoever installs them need not start again.
fn system() -> Result<ClientTls, TlsError> {
    // Poisoned only if reading panicked, which leaves what was there.
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    match &*system {
        Some(tls) => Ok(tls.clone()),
        None => Ok(system.insert(ClientTls::system_roots()?).clone()),
    }
}

impl Stream for ClientStream<Dialled> {
    fn is_tls(&self) -> bool {
        true
    }

    fn alpn(&self) -> Option<&[u8]> {
        self.alpn()
    }

    fn peer_certificates(&self) -> Vec<&[u8]> {
        self.peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref).collect()
    }
}
