//! Certificates by ACME (RFC 8555), proved by TLS-ALPN-01 (RFC 8737): on the port that is served anyway.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use trunkline_net::acme::Acme;
//!
//! let (server, renewal) = Acme::new(["chat.example.com"], "/var/lib/trunkline/acme").start()?;
//! tokio::spawn(renewal);
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
//! let (stream, _) = listener.accept().await?;
//! let mut socket = trunkline_net::accept(server.accept(stream).await?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The ACME server connects to port 443 of each domain, so that port has to lead here, through forwarders of TCP
//! perhaps but not through something that ends TLS itself.

mod cache;
mod source;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use rustls_acme::{AcmeConfig, AcmeState, EventError, EventOk};
use rustls_pki_types::DnsName;

use self::cache::Cache;
use self::source::Managed;
use super::tls::{ClientCertificates, ClientTls, HTTP1, Pem, ServerTls, TlsError, provider};

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The least time between two orders of which the first came to nothing, beside the pauses that grow with each of
/// them. Let's Encrypt allows five failures an hour; a name that does not lead here yet must not use them up at once.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// The most domains of one certificate: what Let's Encrypt allows.
const DOMAINS: usize = 100;

/// How to get a certificate, and keep it valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// What the certificate is for: DNS names, no wildcards, no dot at the end, at most 100. Each has to lead to this
    /// server's port 443. Case does not matter.
    pub domains: Vec<String>,
    /// Whom the ACME server may write to, as e-mail addresses.
    pub contacts: Vec<String>,
    /// The ACME server: the URL of its directory. Starting means agreeing to its terms of service.
    pub directory: String,
    /// The folder that keeps the account's key and the certificate over restarts. It is made if it is missing, for
    /// this user alone. Without it every start would be an order, and these are counted.
    pub cache: PathBuf,
    /// The CA of the ACME server itself, where that is a private one; the system's otherwise.
    pub directory_roots: Option<Pem>,
    /// Whether clients show certificates too.
    pub clients: ClientCertificates,
    /// Application protocols, the best first; see [`ServerOptions::alpn`](super::tls::ServerOptions::alpn).
    pub alpn: Vec<Vec<u8>>,
}

impl Acme {
    /// Certificates of Let's Encrypt for these domains; `http/1.1`.
    pub fn new(domains: impl IntoIterator<Item = impl Into<String>>, cache: impl Into<PathBuf>) -> Self {
        Self {
            domains: domains.into_iter().map(Into::into).collect(),
            contacts: Vec::new(),
            directory: DIRECTORY.to_owned(),
            cache: cache.into(),
            directory_roots: None,
            clients: ClientCertificates::Off,
            alpn: vec![HTTP1.to_vec()],
        }
    }

    /// A server, and the future that gets it its certificates.
    ///
    /// The future never ends; spawn it. It takes the certificate of the cache or orders one, renews it at two thirds
    /// of its life, puts the new one in use for new connections, and logs all of this; after a failure it tries
    /// again, at growing intervals. The server answers challenges from the first moment; other clients are refused
    /// until the first certificate is there. [`ServerTls::reload`] reads the CA of the clients again, and nothing
    /// else.
    ///
    /// # Errors
    ///
    /// [`TlsError::Options`] for a domain that no certificate can be had for, [`TlsError::File`] for an unusable
    /// folder or file, [`TlsError::NoSystemRoots`], [`TlsError::NoProvider`].
    pub fn start(
        mut self,
    ) -> Result<(ServerTls, impl Future<Output = Infallible> + Send + 'static), TlsError> {
        let provider = provider()?;
        self.domains = as_certificates_have(self.domains);
        self.check()?;
        let client = match self.directory_roots {
            Some(roots) => ClientTls::with_roots(roots)?,
            None => ClientTls::system_roots()?,
        };
        let domains = self.domains.join(", ");
        let cache = Cache::open(self.cache, &self.domains, &self.directory, Arc::clone(&provider))?;
        let served = cache.served();
        let state = AcmeConfig::new_with_client_config(self.domains, client.config())
            .contact(self.contacts.iter().map(|contact| mailto(contact)))
            .directory(&self.directory)
            .cache(cache)
            .state();
        let challenge = state.challenge_rustls_config_with_provider(Arc::clone(&provider));
        let managed = Managed::new(provider, state.resolver(), challenge, served, self.clients, self.alpn)?;
        Ok((ServerTls::from_source(managed), renew(state, domains)))
    }

    fn check(&self) -> Result<(), TlsError> {
        if self.domains.is_empty() || self.domains.len() > DOMAINS {
            let text =
                format!("ACME: a certificate is for 1 to {DOMAINS} domains, not {}", self.domains.len());
            return Err(TlsError::Options(text));
        }
        for domain in &self.domains {
            if DnsName::try_from(domain.as_str()).is_err() || domain.parse::<std::net::IpAddr>().is_ok() {
                let hint =
                    if domain.starts_with("*.") { ": wildcards cannot be had by TLS-ALPN-01" } else { "" };
                return Err(TlsError::Options(format!("ACME: {domain:?} is no domain name{hint}")));
            }
            // The dot of a full name is for resolvers; certificates have none.
            if domain.ends_with('.') {
                return Err(TlsError::Options(format!(
                    "ACME: {domain:?} has to be without the dot at its end"
                )));
            }
        }
        if !self.directory.starts_with("https://") {
            return Err(TlsError::Options(format!(
                "ACME: the directory {:?} is no https URL",
                self.directory
            )));
        }
        Ok(())
    }
}

/// In lower case, each once: another spelling of what the cached certificate is for would be a new order at every start.
fn as_certificates_have(domains: Vec<String>) -> Vec<String> {
    let mut names = Vec::new();
    for name in domains.iter().map(|domain| domain.to_ascii_lowercase()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn mailto(contact: &str) -> String {
    if contact.starts_with("mailto:") { contact.to_owned() } else { format!("mailto:{contact}") }
}

async fn renew(mut state: AcmeState<io::Error, io::Error>, domains: String) -> Infallible {
    loop {
        match poll_fn(|cx| Pin::new(&mut state).poll_next(cx)).await {
            Some(Ok(EventOk::DeployedCachedCert)) => {
                tracing::info!(domains, "the certificate of the cache is in use")
            }
            Some(Ok(EventOk::DeployedNewCert)) => tracing::info!(domains, "a new certificate is in use"),
            Some(Ok(EventOk::CertCacheStore | EventOk::AccountCacheStore)) => {
                tracing::debug!(domains, "written to the ACME cache");
            }
            Some(Err(EventError::Order(error))) => {
                tracing::error!(domains, %error, "no certificate could be had by ACME; it is tried again");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
            Some(Err(error)) => tracing::error!(domains, %error, "the ACME cache"),
            // It has no end.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(acme: &Acme) -> String {
        acme.check().map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn domains_that_no_certificate_can_be_had_for_are_refused_before_anything_is_asked() {
        let of = |domains: &[&str]| said(&Acme::new(domains.iter().copied(), "/nowhere"));
        assert_eq!(of(&["chat.example.com", "localhost"]), "ok");
        assert_eq!(of(&[]), "ACME: a certificate is for 1 to 100 domains, not 0");
        assert_eq!(of(&["127.0.0.1"]), "ACME: \"127.0.0.1\" is no domain name");
        assert_eq!(of(&["a b"]), "ACME: \"a b\" is no domain name");
        assert_eq!(
            of(&["*.example.com"]),
            "ACME: \"*.example.com\" is no domain name: wildcards cannot be had by TLS-ALPN-01"
        );
        assert_eq!(of(&["example.com."]), "ACME: \"example.com.\" has to be without the dot at its end");
        let names: Vec<String> = (0..=DOMAINS).map(|number| format!("a{number}.example")).collect();
        assert_eq!(said(&Acme::new(&names[1..], "/nowhere")), "ok");
        assert_eq!(
            said(&Acme::new(names, "/nowhere")),
            "ACME: a certificate is for 1 to 100 domains, not 101"
        );
    }

    #[test]
    fn another_spelling_of_a_domain_is_the_same_domain() {
        let names = ["Chat.Example.com", "b.example", "chat.example.COM"].map(str::to_owned);
        assert_eq!(as_certificates_have(names.into()), ["chat.example.com", "b.example"]);
    }

    #[test]
    fn a_directory_is_asked_over_https_alone() {
        let acme =
            Acme { directory: "http://ca.example/dir".to_owned(), ..Acme::new(["a.example"], "/nowhere") };
        assert_eq!(said(&acme), "ACME: the directory \"http://ca.example/dir\" is no https URL");
    }

    #[test]
    fn contacts_are_written_as_urls() {
        assert_eq!(mailto("ops@example.com"), "mailto:ops@example.com");
        assert_eq!(mailto("mailto:ops@example.com"), "mailto:ops@example.com");
    }
}
