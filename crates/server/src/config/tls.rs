//! Who does TLS on a listener: this server with certificates of its own, something in front of it, or nobody.

use std::path::PathBuf;
use std::time::Duration;

use super::Config;

/// Who does TLS on the TCP addresses of a listener. Unix sockets have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// This server, with the certificates of [`Certificates`].
    On,
    /// Nobody: loopback only.
    Off,
    /// Something in front of this process, so that plaintext off loopback is meant.
    Offloaded,
}

/// `tls = "offloaded"`, or the table `[tls]`: certificates for every TCP listener that does not say otherwise.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// Something in front of every listener does TLS, unless the listener says otherwise.
    pub offloaded: bool,
    /// PEM files with a certificate and those that lead from it to its root. The first is also for clients that name no
    /// host, and for hosts that no certificate is for.
    pub cert: Vec<PathBuf>,
    /// PEM files with the private keys, in the order of `cert`.
    pub key: Vec<PathBuf>,
    /// How often the files are looked at for a change. Zero: never; they are read again on SIGHUP alone.
    pub reload: Duration,
    /// Whether plaintext TCP listeners of the doors take `Upgrade: TLS/1.2` (RFC 2817).
    pub upgrade: bool,
    /// Whether clients show a certificate too.
    pub client: ClientCertificates,
    /// PEM file with the roots of the clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Certificates made and renewed by an authority over the network.
    pub acme: Acme,
}

/// Whether clients show a certificate: a second lock in front of tickets and keys, which stay what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked; one that is shown has to be good.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

/// `[tls.acme]`: certificates by ACME (RFC 8555), proven by TLS-ALPN-01 (RFC 8737) on the listeners themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acme {
    /// The names of this server. Empty: no ACME.
    pub domains: Vec<String>,
    /// Whom the authority may write to, as `mailto:ops@example.org`.
    pub contact: Vec<String>,
    /// The authority's directory. `None`: Let's Encrypt's.
    pub directory: Option<String>,
    /// PEM file with the root of the directory's own certificate, where that is no public one.
    pub directory_ca: Option<PathBuf>,
    /// Folder for the account's key and the certificates, so that a restart orders nothing anew.
    pub cache: Option<PathBuf>,
}

impl Acme {
    /// Whether anything of it is said.
    #[must_use]
    pub fn is_said(&self) -> bool {
        *self != Acme::default()
    }
}

impl Certificates {
    /// Whether there is anything to do TLS with.
    #[must_use]
    pub fn are_there(&self) -> bool {
        !self.cert.is_empty() || self.acme.is_said()
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Certificates {
            offloaded: false,
            cert: Vec::new(),
            key: Vec::new(),
            reload: Duration::from_secs(60),
            upgrade: false,
            client: ClientCertificates::Off,
            client_ca: None,
            acme: Acme::default(),
        }
    }
}

impl Config {
    /// Who does TLS on a listener that says `said` of itself: without a word, this server if it has certificates.
    #[must_use]
    pub fn tls_of(&self, said: Option<Tls>) -> Tls {
        said.unwrap_or(match (self.tls.offloaded, self.tls.are_there()) {
            (true, _) => Tls::Offloaded,
            (false, true) => Tls::On,
            (false, false) => Tls::Off,
        })
    }
}
