//! A certificate authority for one test.

use std::path::PathBuf;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use trunkline_net::tls::{CertificateFiles, ClientCertificates, ClientTls, ServerOptions, ServerTls};

/// Signs certificates; its folder is removed when it is dropped.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        });
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("trunkline-dial-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for this test");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("it signs itself"), folder }
    }

    /// A server with a certificate for these names and addresses.
    pub(crate) fn server(&self, names: &[&str], alpn: &[&[u8]]) -> ServerTls {
        self.server_that_asks(names, alpn, ClientCertificates::Off)
    }

    /// A server that asks its clients who they are, and takes those of this authority and those who do not say.
    pub(crate) fn curious_server(&self, names: &[&str]) -> ServerTls {
        let ca = self.folder.join("ca.pem");
        std::fs::write(&ca, self.issuer.pem()).expect("a file");
        self.server_that_asks(names, &[b"http/1.1"], ClientCertificates::Optional { ca })
    }

    fn server_that_asks(&self, names: &[&str], alpn: &[&[u8]], clients: ClientCertificates) -> ServerTls {
        let (chain, secret) = self.certificate(names);
        let files =
            CertificateFiles { chain: self.folder.join("chain.pem"), key: self.folder.join("key.pem") };
        std::fs::write(&files.chain, chain).expect("a file");
        std::fs::write(&files.key, secret).expect("a file");
        let alpn = alpn.iter().map(|name| name.to_vec()).collect();
        let options = ServerOptions { certificates: vec![files], alpn, clients };
        ServerTls::new(options).expect("it serves that")
    }

    /// A certificate for these names and addresses, and its key.
    fn certificate(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("it signs");
        (certificate.pem(), key.serialize_pem())
    }

    /// A client that trusts this authority alone and has a certificate of it.
    pub(crate) fn client_with_certificate(&self) -> ClientTls {
        let (chain, secret) = self.certificate(&["zoe.example"]);
        self.client().client_certificate(chain.into_bytes(), secret.into_bytes()).expect("a certificate")
    }

    /// A client that trusts this authority alone.
    pub(crate) fn client(&self) -> ClientTls {
        ClientTls::with_roots(self.issuer.pem().into_bytes()).expect("a root")
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
