//! A certificate chain and its key: from two files to what rustls signs with, and what an operator should know of it.

use std::fmt;
use std::hash::{DefaultHasher, Hash};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::error::{FileProblem, TlsError, plain_name};
use super::pem::{Certificate, Key, Pem};
use super::time::Date;

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The server's own certificate first, then those that lead to a root. May be the same file as `key`.
    pub chain: PathBuf,
    /// The private key: PKCS #8, PKCS #1 (RSA) or SEC 1 (elliptic curves), without a passphrase.
    pub key: PathBuf,
}

/// A certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedCertificate {
    /// Where it is from: its file, or `ACME`.
    pub source: String,
    /// The names and addresses it is for.
    pub names: Vec<String>,
    /// Its first second.
    pub not_before: Date,
    /// Its last second.
    pub not_after: Date,
}

impl fmt::Display for ServedCertificate {
    /// `a.example, b.example until 2027-01-01 00:00:00 UTC (chain.pem)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = if self.names.is_empty() { "no name".to_owned() } else { self.names.join(", ") };
        write!(f, "{names} until {} ({})", self.not_after, self.source)
    }
}

/// The texts of one pair of files, or why there are none.
pub(super) struct Texts {
    chain: Result<Vec<u8>, TlsError>,
    key: Result<Vec<u8>, TlsError>,
}

/// A certificate that can be served.
pub(crate) struct Loaded {
    pub(crate) key: Arc<CertifiedKey>,
    /// The DNS names it is for, wildcards among them, as they are written in it.
    pub(crate) dns_names: Vec<String>,
    pub(crate) served: ServedCertificate,
    /// Why clients would not accept it now, though it can be served.
    pub(crate) warnings: Vec<String>,
}

impl CertificateFiles {
    pub(super) fn read(&self) -> Texts {
        Texts { chain: Pem::from(&self.chain).read(), key: Pem::from(&self.key).read() }
    }

    pub(super) fn load(&self, texts: Texts, provider: &CryptoProvider) -> Result<Loaded, TlsError> {
        load(&Pem::from(&self.chain), &texts.chain?, &Pem::from(&self.key), &texts.key?, provider)
    }
}

impl Texts {
    /// Mixes in what was read, or that it was not.
    pub(super) fn hash(&self, hasher: &mut DefaultHasher) {
        for text in [&self.chain, &self.key] {
            hash_text(text, hasher);
        }
    }
}

pub(crate) fn hash_text(text: &Result<Vec<u8>, TlsError>, hasher: &mut DefaultHasher) {
    match text {
        Ok(text) => text.hash(hasher),
        Err(error) => error.to_string().hash(hasher),
    }
}

/// Makes a certificate of its texts, and judges it.
pub(crate) fn load(
    chain: &Pem,
    chain_text: &[u8],
    key: &Pem,
    key_text: &[u8],
    provider: &CryptoProvider,
) -> Result<Loaded, TlsError> {
    let certificates = chain.certificates(chain_text)?;
    let parsed = key.key(key_text)?;
    let signing = signing_key(key, parsed, provider)?;
    check_match(chain, &certificates, key, &*signing)?;
    let own = &certificates[0];
    let end_entity = parse(chain, own)?;
    let dns_names = end_entity.valid_dns_names().map(str::to_owned).collect();
    let served = describe(chain, own, &end_entity)?;
    let warnings = warnings(&served, &end_entity);
    let ders: Vec<CertificateDer<'static>> = certificates.into_iter().map(|one| one.der).collect();
    Ok(Loaded { key: Arc::new(CertifiedKey::new(ders, signing)), dns_names, served, warnings })
}

fn signing_key(pem: &Pem, key: Key, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, TlsError> {
    let line = key.line;
    provider
        .key_provider
        .load_private_key(key.der)
        .map_err(|error| pem.error(FileProblem::BadKey { line, what: error.to_string() }))
}

fn check_match(
    chain: &Pem,
    certificates: &[Certificate],
    key: &Pem,
    signing: &dyn SigningKey,
) -> Result<(), TlsError> {
    // A key that cannot tell its public half is taken at its word; none of the usual ones is like that.
    let Some(public) = signing.public_key() else { return Ok(()) };
    let mut matching = None;
    for certificate in certificates {
        if parse(chain, certificate)?.subject_public_key_info().as_ref() == public.as_ref() {
            matching.get_or_insert(certificate.line);
        }
    }
    if matching == Some(certificates[0].line) {
        return Ok(());
    }
    Err(key.error(FileProblem::KeyMismatch { chain: chain.name(), belongs_to: matching }))
}

fn parse<'a>(pem: &Pem, certificate: &'a Certificate) -> Result<EndEntityCert<'a>, TlsError> {
    EndEntityCert::try_from(&certificate.der).map_err(|error| bad(pem, certificate, &error))
}

fn bad(pem: &Pem, certificate: &Certificate, error: &webpki::Error) -> TlsError {
    pem.error(FileProblem::BadCertificate { line: certificate.line, what: error.to_string() })
}

/// The parser keeps dates to itself; the verifier, asked about a moment too early and one too late, names both.
fn describe(
    pem: &Pem,
    certificate: &Certificate,
    parsed: &EndEntityCert<'_>,
) -> Result<ServedCertificate, TlsError> {
    let epoch = UnixTime::since_unix_epoch(Duration::ZERO);
    let not_before = match judge(parsed, epoch) {
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => not_before,
        Some(error @ webpki::Error::InvalidCertValidity) => return Err(bad(pem, certificate, &error)),
        _ => epoch,
    };
    let end = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let not_after = match judge(parsed, end) {
        Some(webpki::Error::CertExpired { not_after, .. }) => not_after,
        _ => end,
    };
    Ok(ServedCertificate {
        source: pem.name(),
        names: names(parsed),
        not_before: Date::from(not_before),
        not_after: Date::from(not_after),
    })
}

/// What the verifier says before it looks for an issuer, of which none is offered.
fn judge(certificate: &EndEntityCert<'_>, time: UnixTime) -> Option<webpki::Error> {
    certificate.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None).err()
}

/// All names, addresses too: the verifier lists them where it misses one, and this one is in no certificate.
fn names(certificate: &EndEntityCert<'_>) -> Vec<String> {
    let Ok(nobody) = ServerName::try_from("nobody.invalid") else { return Vec::new() };
    match certificate.verify_is_valid_for_subject_name(&nobody) {
        Err(webpki::Error::CertNotValidForName(context)) => {
            context.presented.iter().map(|name| plain_name(name)).collect()
        }
        _ => Vec::new(),
    }
}

fn warnings(served: &ServedCertificate, certificate: &EndEntityCert<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if served.names.is_empty() {
        warnings.push("it is for no name: subjectAltName is missing".to_owned());
    }
    match judge(certificate, UnixTime::now()) {
        Some(webpki::Error::CertExpired { .. }) => {
            warnings.push(format!("it expired on {}", served.not_after))
        }
        Some(webpki::Error::CertNotValidYet { .. }) => {
            warnings.push(format!("it is not valid before {}", served.not_before));
        }
        Some(webpki::Error::CaUsedAsEndEntity) => {
            warnings.push("it is one of a CA and not of a server".to_owned())
        }
        None | Some(webpki::Error::UnknownIssuer) => {}
        Some(other) => warnings.push(other.to_string()),
    }
    warnings
}
