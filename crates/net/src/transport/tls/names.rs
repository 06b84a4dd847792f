//! Which certificate a client gets, by the name it asks for (SNI, RFC 6066 section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Loaded;

/// Certificates by name. A name of its own is preferred to a wildcard; the first certificate is for everybody else.
///
/// Several may be for the same name, one RSA and one ECDSA for example: the first that the client can verify is
/// taken.
#[derive(Debug, Default)]
pub(super) struct ByName {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// `example.com` for `*.example.com`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    pub(super) fn new(certificates: &[Loaded]) -> Self {
        let mut all = Self { first: certificates.first().map(|one| Arc::clone(&one.key)), ..Self::default() };
        for certificate in certificates {
            for name in &certificate.dns_names {
                let name = name.to_ascii_lowercase();
                let of_name = match name.strip_prefix("*.") {
                    Some(parent) => all.wildcard.entry(parent.to_owned()),
                    None => all.exact.entry(name),
                };
                of_name.or_default().push(Arc::clone(&certificate.key));
            }
        }
        all
    }

    fn pick(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let Some(candidates) = name.and_then(|name| self.of_name(name)) else { return self.first.as_ref() };
        let fits = |one: &&Arc<CertifiedKey>| one.key.choose_scheme(schemes).is_some();
        candidates.iter().find(fits).or(candidates.first())
    }

    fn of_name(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.exact.get(&name).or_else(|| {
            // A wildcard stands for exactly one label (RFC 9525 section 6.3).
            let (label, parent) = name.split_once('.')?;
            if label.is_empty() { None } else { self.wildcard.get(parent) }
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pick(hello.server_name(), hello.signature_schemes()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

    use super::*;
    use crate::transport::tls::certificate::load;
    use crate::transport::tls::pem::Pem;

    fn loaded(kind: &'static rcgen::SignatureAlgorithm) -> Loaded {
        let key = KeyPair::generate_for(kind).expect("random bytes");
        let params = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        let chain = params.self_signed(&key).expect("signed").pem().into_bytes();
        let key = key.serialize_pem().into_bytes();
        let (chain_pem, key_pem) = (Pem::Bytes(chain.clone()), Pem::Bytes(key.clone()));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        load(&chain_pem, &chain, &key_pem, &key, &provider).expect("usable")
    }

    #[test]
    fn of_several_certificates_for_a_name_the_first_that_the_client_can_verify_is_taken() {
        let both = [loaded(&PKCS_ED25519), loaded(&PKCS_ECDSA_P256_SHA256)];
        let names = ByName::new(&both);
        let picked = |name, schemes: &[SignatureScheme]| {
            let picked = names.pick(name, schemes).expect("one of them");
            both.iter().position(|one| Arc::ptr_eq(&one.key, picked)).expect("one of them")
        };
        let name = Some("a.example");
        assert_eq!(picked(name, &[SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]), 0);
        assert_eq!(picked(name, &[SignatureScheme::ECDSA_NISTP256_SHA256]), 1);
        // Neither: the handshake says so with the first.
        assert_eq!(picked(name, &[SignatureScheme::RSA_PSS_SHA256]), 0);
        assert_eq!(picked(Some("b.example"), &[SignatureScheme::ECDSA_NISTP256_SHA256]), 0);
        assert_eq!(picked(None, &[SignatureScheme::ECDSA_NISTP256_SHA256]), 0);
    }
}
