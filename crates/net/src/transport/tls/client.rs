//! The client's side: whom it trusts, who it is, and a verified stream.

use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::{FileProblem, Remote, TlsError};
use super::pem::Pem;
use super::stream::{ClientStream, End, TlsStream};
use super::wire::Wire;
use super::{HTTP1, certificate, provider};

/// What a client needs for TLS: made once, used for every connection, cheap to clone.
///
/// The server's certificate is always verified, for the name or address that was asked for. There is no way to switch
/// that off. Sessions are resumed where the server allows it; the memory of them is shared by all clones.
#[derive(Clone, Debug)]
pub struct ClientTls {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    identity: Option<Arc<dyn ResolvesClientCert>>,
    alpn: Vec<Vec<u8>>,
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Trusts whom the system trusts: on Linux the files of its CA package, or those that `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name.
    ///
    /// This reads files, hundreds of kilobytes of them.
    ///
    /// # Errors
    ///
    /// [`TlsError::NoSystemRoots`] where there is not one; those that cannot be used beside others that can are
    /// logged. [`TlsError::NoProvider`].
    pub fn system_roots() -> Result<Self, TlsError> {
        let provider = provider()?;
        let found = rustls_native_certs::load_native_certs();
        let problems: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let mut roots = RootCertStore::empty();
        let (_, unusable) = roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(TlsError::NoSystemRoots { problems });
        }
        if unusable > 0 || !problems.is_empty() {
            tracing::warn!(
                unusable,
                ?problems,
                trusted = roots.len(),
                "some trusted certificates cannot be used"
            );
        }
        Self::build(provider, roots, None, vec![HTTP1.to_vec()])
    }

    /// Trusts the CAs of `pem` alone, and not the system's. A server's own certificate, which need not be a CA's, may
    /// be among them.
    ///
    /// # Errors
    ///
    /// [`TlsError::File`], [`TlsError::NoProvider`].
    pub fn with_roots(pem: impl Into<Pem>) -> Result<Self, TlsError> {
        let provider = provider()?;
        let mut roots = RootCertStore::empty();
        add(&mut roots, &pem.into())?;
        Self::build(provider, roots, None, vec![HTTP1.to_vec()])
    }

    /// Trusts the CAs of `pem` too.
    ///
    /// # Errors
    ///
    /// [`TlsError::File`].
    pub fn add_roots(self, pem: impl Into<Pem>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::clone(&self.inner.roots);
        add(&mut roots, &pem.into())?;
        let inner = Inner::clone(&self.inner);
        Self::build(inner.provider, roots, inner.identity, inner.alpn)
    }

    /// Shows this certificate to servers that ask for one.
    ///
    /// # Errors
    ///
    /// [`TlsError::File`]: either is unusable, or the key belongs to another certificate.
    pub fn client_certificate(self, chain: impl Into<Pem>, key: impl Into<Pem>) -> Result<Self, TlsError> {
        let (chain, key) = (chain.into(), key.into());
        let inner = Inner::clone(&self.inner);
        let loaded = certificate::load(&chain, &chain.read()?, &key, &key.read()?, &inner.provider)?;
        let identity = Arc::new(SingleCertAndKey::from(loaded.key));
        // Built anew, so that no session from before, without the certificate, is resumed.
        Self::build(inner.provider, RootCertStore::clone(&inner.roots), Some(identity), inner.alpn)
    }

    /// Offers these application protocols (RFC 7301), the best first, instead of `http/1.1`. None: no ALPN at all.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&[u8]]) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.alpn = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::make_mut(&mut inner.config).alpn_protocols = inner.alpn.clone();
        self
    }

    /// Does the handshake on a stream to `host`: a DNS name, or an IP address without brackets.
    ///
    /// A name is always sent to the server (SNI), an address never is. A name is looked for among the DNS names of
    /// the certificate, an address among its addresses.
    ///
    /// A server that refuses the client's certificate may do so after this returns: then reading says it.
    ///
    /// # Errors
    ///
    /// [`TlsError::NotAHost`]; [`TlsError::Failed`] says what happened.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is dropped with it.
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<ClientStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = server_name(host)?;
        let sni = match &name {
            ServerName::DnsName(name) => Some(name.as_ref().to_ascii_lowercase().into()),
            _ => None,
        };
        let config = Arc::clone(&self.inner.config);
        let mut records = UnbufferedClientConnection::new(config, name).map_err(TlsError::setup)?;
        let mut wire = Wire::new(stream, Vec::new());
        // On the heap for as long as it takes: what a task awaits would count in its size for ever.
        match Box::pin(wire.handshake(&mut records)).await {
            Ok(()) => Ok(TlsStream::new(wire, End::Client { records, server: host.into() }, sni)),
            Err(error) => Err(TlsError::failed(Remote::Server(host.to_owned()), error)),
        }
    }

    /// With the same roots, and without a certificate to show.
    pub(crate) fn without_identity(&self) -> Self {
        let mut inner = Inner::clone(&self.inner);
        if inner.identity.take().is_some() {
            let config = Arc::make_mut(&mut inner.config);
            config.client_auth_cert_resolver = Arc::new(Nobody);
            // A session from before tells the server who we were.
            config.resumption = Resumption::default();
        }
        Self { inner: Arc::new(inner) }
    }

    /// For clients that are not ours.
    #[cfg_attr(not(feature = "acme"), expect(dead_code, reason = "ACME orders certificates over it"))]
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.inner.config)
    }

    fn build(
        provider: Arc<CryptoProvider>,
        roots: RootCertStore,
        identity: Option<Arc<dyn ResolvesClientCert>>,
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        let roots = Arc::new(roots);
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::setup)?
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth();
        if let Some(identity) = &identity {
            config.client_auth_cert_resolver = Arc::clone(identity);
        }
        config.alpn_protocols = alpn.clone();
        let config = Arc::new(config);
        Ok(Self { inner: Arc::new(Inner { provider, roots, identity, alpn, config }) })
    }
}

/// Has no certificate for anybody.
#[derive(Debug)]
struct Nobody;

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let alpn: Vec<_> = self.alpn.iter().map(|name| String::from_utf8_lossy(name)).collect();
        f.debug_struct("Inner")
            .field("roots", &self.roots.len())
            .field("identity", &self.identity.is_some())
            .field("alpn", &alpn)
            .finish_non_exhaustive()
    }
}

/// Adds all certificates of a PEM text to those that are trusted.
pub(super) fn add(roots: &mut RootCertStore, pem: &Pem) -> Result<(), TlsError> {
    add_text(roots, pem, &pem.read()?)
}

pub(super) fn add_text(roots: &mut RootCertStore, pem: &Pem, text: &[u8]) -> Result<(), TlsError> {
    for certificate in pem.certificates(text)? {
        let line = certificate.line;
        roots
            .add(certificate.der)
            .map_err(|error| pem.error(FileProblem::BadCertificate { line, what: error.to_string() }))?;
    }
    Ok(())
}

fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    // The dot of a full name is for resolvers; neither SNI nor certificates have it (RFC 6066 section 3).
    let name = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::NotAHost { host: host.to_owned() })
}
