//! TLS as the application wants it.

use super::Connector;
use crate::tls::ClientTls;

impl Connector {
    /// With other TLS than the default, which trusts the system's roots and shows no certificate. The roots are also
    /// those for an `https:` proxy. What it offers by ALPN is decided here, not there.
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.dialler.tls.chosen = Some(tls);
        self
    }
}
