//! A server's configuration whose certificate comes and goes by ACME.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::ClientHello;
use rustls_acme::{ResolvesServerCertAcme, is_tls_alpn_challenge};

use super::cache::Served;
use crate::transport::tls::{
    ClientCertificates, Reloaded, ServedCertificate, Source, TlsError, hash_text, server_config,
};

/// What [`ServerTls`](crate::tls::ServerTls) asks. The certificate is rustls-acme's affair; the rest is as with
/// files.
pub(super) struct Managed {
    provider: Arc<CryptoProvider>,
    certificate: Arc<ResolvesServerCertAcme>,
    challenge: Arc<ServerConfig>,
    served: Served,
    clients: ClientCertificates,
    alpn: Vec<Vec<u8>>,
    current: ArcSwap<ServerConfig>,
    /// What the CA file of the clients contained when it was last read. Held while it is read.
    last_read: Mutex<u64>,
}

impl Managed {
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        certificate: Arc<ResolvesServerCertAcme>,
        challenge: Arc<ServerConfig>,
        served: Served,
        clients: ClientCertificates,
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        let text = clients.read();
        let last_read = Mutex::new(fingerprint(text.as_ref()));
        let verifier = clients.verifier(text, &provider)?;
        let config = server_config(Arc::clone(&provider), Arc::clone(&certificate) as _, verifier, &alpn)?;
        let current = ArcSwap::from_pointee(config);
        Ok(Self { provider, certificate, challenge, served, clients, alpn, current, last_read })
    }

    fn replace(&self, text: Option<Result<Vec<u8>, TlsError>>) -> Result<Reloaded, TlsError> {
        let verifier = self.clients.verifier(text, &self.provider)?;
        let certificate = Arc::clone(&self.certificate) as _;
        let config = server_config(Arc::clone(&self.provider), certificate, verifier, &self.alpn)?;
        self.current.store(Arc::new(config));
        Ok(Reloaded { certificates: self.certificates() })
    }
}

impl Source for Managed {
    fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    fn challenge(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        is_tls_alpn_challenge(hello).then(|| Arc::clone(&self.challenge))
    }

    fn reload(&self) -> Result<Reloaded, TlsError> {
        // Poisoned only by a panic within, which leaves a number.
        let mut last_read = self.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.clients.read();
        *last_read = fingerprint(text.as_ref());
        self.replace(text)
    }

    fn reload_if_changed(&self) -> Option<Result<Reloaded, TlsError>> {
        let mut last_read = self.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.clients.read();
        let found = fingerprint(text.as_ref());
        if *last_read == found {
            return None;
        }
        *last_read = found;
        Some(self.replace(text))
    }

    fn certificates(&self) -> Vec<ServedCertificate> {
        self.served.load().as_deref().cloned().into_iter().collect()
    }
}

impl fmt::Debug for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed")
            .field("served", &self.served)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}

fn fingerprint(text: Option<&Result<Vec<u8>, TlsError>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(text) = text {
        hash_text(text, &mut hasher);
    }
    hasher.finish()
}
