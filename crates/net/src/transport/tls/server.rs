//! The server's side: which certificates it shows, of whom it asks one, and how both change while it runs.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoClientAuth, ResolvesServerCert, UnbufferedServerConnection, WebPkiClientVerifier,
};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::certificate::{CertificateFiles, Loaded, ServedCertificate, Texts, hash_text};
use super::error::{Remote, TlsError};
use super::hello::{DRAIN_TIME, Hello, read_hello, refused};
use super::names::ByName;
use super::pem::Pem;
use super::stream::{End, ServerStream, TlsStream};
use super::wire::Wire;
use super::{HTTP1, client, provider, ticket};

/// The shortest time between two looks at the files.
const WATCH_AT_MOST_EVERY: Duration = Duration::from_millis(10);

/// How a server does TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// At least one. A client gets the one that is for the name it asks for, by that name or by a wildcard for its
    /// first label; the first, if it asks for none or for another.
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients show certificates too.
    pub clients: ClientCertificates,
    /// Application protocols (RFC 7301), the best first. A client that offers protocols and none of these is refused;
    /// one that offers none is not.
    pub alpn: Vec<Vec<u8>>,
}

impl Default for ServerOptions {
    /// No certificate yet, none of clients, `http/1.1`.
    fn default() -> Self {
        Self { certificates: Vec::new(), clients: ClientCertificates::Off, alpn: vec![HTTP1.to_vec()] }
    }
}

/// Whether clients show certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for one.
    #[default]
    Off,
    /// They are asked, and may have none. One that is not valid is refused all the same.
    Optional {
        /// PEM file of the CAs whose certificates are valid.
        ca: PathBuf,
    },
    /// None without one.
    Required {
        /// PEM file of the CAs whose certificates are valid.
        ca: PathBuf,
    },
}

/// What a server needs for TLS: made once, used for every connection, cheap to clone. All clones change together.
#[derive(Clone, Debug)]
pub struct ServerTls {
    source: Arc<dyn Source>,
}

/// A new set of certificates in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// In the order of the options.
    pub certificates: Vec<ServedCertificate>,
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, certificate) in self.certificates.iter().enumerate() {
            write!(f, "{}{certificate}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Where a server's configuration comes from.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// For a connection that begins now.
    fn config(&self) -> Arc<ServerConfig>;
    /// For one that only asks whether a domain is ours.
    fn challenge(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>>;
    /// Reads all files again.
    fn reload(&self) -> Result<Reloaded, TlsError>;
    /// The same, if their contents are others than when they were last read.
    fn reload_if_changed(&self) -> Option<Result<Reloaded, TlsError>>;
    fn certificates(&self) -> Vec<ServedCertificate>;
}

impl ServerTls {
    /// Reads all files. Certificates that clients will not accept, expired ones for example, are warned of in the
    /// log.
    ///
    /// # Errors
    ///
    /// [`TlsError::File`] names the first that cannot be used; [`TlsError::Options`], [`TlsError::NoProvider`].
    pub fn new(options: ServerOptions) -> Result<Self, TlsError> {
        Ok(Self::from_source(Files::new(options)?))
    }

    pub(crate) fn from_source(source: impl Source + 'static) -> Self {
        Self { source: Arc::new(source) }
    }

    /// Does the handshake on a client's stream. It takes as long as the client lets it: the deadline is the caller's.
    ///
    /// A client that is refused has been told so when this returns; that may take a second more.
    ///
    /// # Errors
    ///
    /// [`TlsError::Failed`] says what happened; [`TlsError::ChallengeAnswered`] is none, see there.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is dropped with it.
    pub async fn accept<S>(&self, stream: S) -> Result<ServerStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // On the heap for as long as it takes: what a task awaits would count in its size for ever.
        Box::pin(self.handshake(stream)).await
    }

    async fn handshake<S>(&self, stream: S) -> Result<ServerStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (stream, Hello { accepted, bytes }) = match read_hello(stream).await {
            Ok(read) => read,
            Err((error, stream)) => {
                return Err(refused(stream, TlsError::failed(Remote::Client(None), error)).await);
            }
        };
        let name = accepted.client_hello().server_name().map(str::to_owned);
        let challenge = self.source.challenge(&accepted.client_hello());
        drop(accepted);
        let is_challenge = challenge.is_some();
        let config = challenge.unwrap_or_else(|| self.source.config());
        let mut records = UnbufferedServerConnection::new(config).map_err(TlsError::setup)?;
        let mut wire = Wire::new(stream, bytes);
        match wire.handshake(&mut records).await {
            Ok(()) if is_challenge => {
                // "MUST NOT be used for any other purpose": the handshake was the answer (RFC 8737 section 3).
                let _ = timeout(DRAIN_TIME, poll_fn(|cx| wire.poll_shutdown(&mut records, cx))).await;
                Err(TlsError::ChallengeAnswered)
            }
            Ok(()) => Ok(TlsStream::new(wire, End::Server { records }, name.map(Into::into))),
            Err(error) => Err(refused(wire.stream, TlsError::failed(Remote::Client(name), error)).await),
        }
    }

    /// Reads all files again. The new set is used for connections that begin from then on, if all of it is good;
    /// otherwise the old set stays. Connections that are there are not touched, and sessions from before are not
    /// resumed.
    ///
    /// For a signal handler, or a command of the operator. It reads small files and blocks meanwhile.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); the old set stays.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        self.source.reload()
    }

    /// Reloads whenever the contents of a file have changed, and logs each change once: at `info` what is served now,
    /// at `error` why the old set stays.
    ///
    /// Contents are compared, since neither times nor inodes tell enough: Kubernetes swaps a symlink two folders up,
    /// and a restored backup is older than what it replaces. A set that is read while only half of it is written is
    /// refused as one that does not fit together, and the whole one is found at the next look.
    ///
    /// Never ends; spawn it, or select on it.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn watch(&self, every: Duration) -> Infallible {
        loop {
            sleep(every.max(WATCH_AT_MOST_EVERY)).await;
            let source = Arc::clone(&self.source);
            // A file system that hangs must not hang a worker of the runtime.
            let Ok(Some(outcome)) = tokio::task::spawn_blocking(move || source.reload_if_changed()).await
            else {
                continue;
            };
            match outcome {
                Ok(reloaded) => tracing::info!(certificates = %reloaded, "certificates reloaded"),
                Err(error) => {
                    tracing::error!(%error, "certificates have changed but cannot be used; the old ones stay")
                }
            }
        }
    }

    /// Reloads if the contents of a file are others than when they were last read, and then says what came of it; for
    /// whoever wants to count what [`watch`](Self::watch) only logs. It reads small files and blocks meanwhile.
    pub fn reload_if_changed(&self) -> Option<Result<Reloaded, TlsError>> {
        self.source.reload_if_changed()
    }

    /// What is served now.
    pub fn certificates(&self) -> Vec<ServedCertificate> {
        self.source.certificates()
    }
}

/// Makes a configuration of what all sources have in common.
pub(crate) fn config(
    provider: Arc<CryptoProvider>,
    certificates: Arc<dyn ResolvesServerCert>,
    clients: Arc<dyn ClientCertVerifier>,
    alpn: &[Vec<u8>],
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::setup)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(certificates);
    config.alpn_protocols = alpn.to_vec();
    // Made anew with every configuration: a session from before was judged by other rules.
    config.ticketer = ticket::tickets()?;
    Ok(config)
}

impl ClientCertificates {
    fn file(&self) -> Option<Pem> {
        match self {
            Self::Off => None,
            Self::Optional { ca } | Self::Required { ca } => Some(Pem::from(ca)),
        }
    }

    /// The text of the CA file, if there is to be one.
    pub(crate) fn read(&self) -> Option<Result<Vec<u8>, TlsError>> {
        self.file().map(|file| file.read())
    }

    pub(crate) fn verifier(
        &self,
        text: Option<Result<Vec<u8>, TlsError>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let (Some(file), Some(text)) = (self.file(), text) else { return Ok(Arc::new(NoClientAuth)) };
        let mut roots = RootCertStore::empty();
        client::add_text(&mut roots, &file, &text?)?;
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        if matches!(self, Self::Optional { .. }) {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map_err(|error| TlsError::Options(format!("{}: {error}", file.name())))
    }
}

/// Certificates from files.
struct Files {
    options: ServerOptions,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
    /// What the files contained when they were last read, whatever became of it. Held while they are read, so that
    /// two who reload do so one after the other.
    last_read: Mutex<u64>,
}

struct Current {
    config: Arc<ServerConfig>,
    certificates: Vec<ServedCertificate>,
}

/// The contents of all files.
struct Contents {
    certificates: Vec<Texts>,
    clients: Option<Result<Vec<u8>, TlsError>>,
}

impl Files {
    fn new(options: ServerOptions) -> Result<Self, TlsError> {
        let provider = provider()?;
        if options.certificates.is_empty() {
            return Err(TlsError::Options("a TLS server needs a certificate, and none was named".to_owned()));
        }
        let contents = Contents::read(&options);
        let last_read = Mutex::new(contents.fingerprint());
        let current = ArcSwap::from_pointee(Current::new(&options, contents, &provider)?);
        Ok(Self { options, provider, current, last_read })
    }

    fn replace(&self, contents: Contents) -> Result<Reloaded, TlsError> {
        let new = Current::new(&self.options, contents, &self.provider)?;
        let reloaded = Reloaded { certificates: new.certificates.clone() };
        self.current.store(Arc::new(new));
        Ok(reloaded)
    }
}

impl Source for Files {
    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    fn challenge(&self, _: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        None
    }

    fn reload(&self) -> Result<Reloaded, TlsError> {
        // Poisoned only by a panic within, which leaves a number.
        let mut last_read = self.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = Contents::read(&self.options);
        *last_read = contents.fingerprint();
        self.replace(contents)
    }

    fn reload_if_changed(&self) -> Option<Result<Reloaded, TlsError>> {
        let mut last_read = self.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = Contents::read(&self.options);
        let fingerprint = contents.fingerprint();
        if *last_read == fingerprint {
            return None;
        }
        *last_read = fingerprint;
        Some(self.replace(contents))
    }

    fn certificates(&self) -> Vec<ServedCertificate> {
        self.current.load().certificates.clone()
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Contents {
    fn read(options: &ServerOptions) -> Self {
        let certificates = options.certificates.iter().map(CertificateFiles::read).collect();
        Self { certificates, clients: options.clients.read() }
    }

    /// A number that changes with the contents. Nobody gains from making two alike.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for texts in &self.certificates {
            texts.hash(&mut hasher);
        }
        if let Some(text) = &self.clients {
            hash_text(text, &mut hasher);
        }
        hasher.finish()
    }
}

impl Current {
    fn new(
        options: &ServerOptions,
        contents: Contents,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let pairs = options.certificates.iter().zip(contents.certificates);
        let loaded: Result<Vec<Loaded>, TlsError> =
            pairs.map(|(files, texts)| files.load(texts, provider)).collect();
        let loaded = loaded?;
        let clients = options.clients.verifier(contents.clients, provider)?;
        let names = Arc::new(ByName::new(&loaded));
        let config = Arc::new(config(Arc::clone(provider), names, clients, &options.alpn)?);
        for certificate in &loaded {
            for warning in &certificate.warnings {
                tracing::warn!(file = %certificate.served.source, "clients will not accept this certificate: {warning}");
            }
        }
        Ok(Self { config, certificates: loaded.into_iter().map(|one| one.served).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once_whether_it_is_good_or_bad() {
        // Another test of this process may have been faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = std::env::temp_dir().join(format!("trunkline-reload-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder of our own");
        let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        let write = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
            std::fs::write(&chain, made.cert.pem()).expect("writable");
            std::fs::write(&key, made.signing_key.serialize_pem()).expect("writable");
        };
        write("a.example");
        let certificates = vec![CertificateFiles { chain: chain.clone(), key: key.clone() }];
        let files = Files::new(ServerOptions { certificates, ..ServerOptions::default() }).expect("usable");
        let served = || files.certificates()[0].names[0].clone();
        assert!(files.reload_if_changed().is_none());
        write("b.example");
        assert!(files.reload_if_changed().expect("a change").is_ok());
        assert!(files.reload_if_changed().is_none());
        assert_eq!(served(), "b.example");
        std::fs::remove_file(&key).expect("removable");
        assert!(files.reload_if_changed().expect("a change").is_err());
        assert!(files.reload_if_changed().is_none());
        assert_eq!(served(), "b.example");
        write("c.example");
        // What was reloaded by hand is no news.
        assert!(files.reload().is_ok());
        assert!(files.reload_if_changed().is_none());
        assert_eq!(served(), "c.example");
        std::fs::remove_dir_all(&folder).expect("removable");
    }
}
