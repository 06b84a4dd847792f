//! TLS as the application wants it.

use super::Connector;
use crate::tls::ClientTls;

impl Connector {
    /// With other TLS than the default, which trusts the system's roots and shows no certificate. The roots are also
    /// those for an `https:` proxy, which is shown no certificate in any case. What it offers by ALPN is decided here, not
    /// there.
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.dialler.tls_to_proxy.chosen = Some(tls.without_identity());
        self.dialler.tls.chosen = Some(tls);
        self
    }
}
