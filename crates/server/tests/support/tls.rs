//! An authority of the test's own, the files it makes, and clients that trust it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tokio::net::TcpStream;
use trunkline_net::tls::{ClientStream, ClientTls, TlsError};

use super::{Running, raw, within};

/// The binary chooses the cryptography; here the tests do. Once a process, whoever comes first.
pub(crate) fn choose_cryptography() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A folder with certificates, removed when this is dropped.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        choose_cryptography();
        let name = format!("trunkline-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for this test");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a root");
        std::fs::write(folder.join("ca.pem"), root.pem()).expect("a file in the folder");
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Writes `<file>.pem` and `<file>.key`: a certificate for `names`, of a server and of a client.
    pub(crate) fn issue(&self, file: &str, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(&format!("{file}.pem"), &certificate.pem());
        self.write(&format!("{file}.key"), &key.serialize_pem());
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).expect("a file in the folder");
    }

    /// A `[tls]` table with these certificates, and whatever else; with the API in plaintext on a port of its own.
    pub(crate) fn toml(&self, files: &[&str], more: &str) -> String {
        let list = |end: &str| {
            let paths = files.iter().map(|file| format!("{:?}", self.path(&format!("{file}.{end}"))));
            paths.collect::<Vec<_>>().join(", ")
        };
        let api = "[listen.api]\naddress = \"127.0.0.1:0\"\ntls = \"off\"\n";
        format!("{api}[tls]\ncert = [{}]\nkey = [{}]\n{more}\n", list("pem"), list("key"))
    }

    /// A client that trusts this authority alone, and speaks HTTP/1.1.
    pub(crate) fn client(&self) -> ClientTls {
        ClientTls::with_roots(self.path("ca.pem")).expect("a root")
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A server with one certificate, for `localhost`.
pub(crate) async fn start(more: &str) -> (Authority, Running) {
    let authority = Authority::new();
    authority.issue("server", &["localhost"]);
    let server = super::start_with(&authority.toml(&["server"], more)).await;
    (authority, server)
}

pub(crate) async fn dial(
    server: &Running,
    client: &ClientTls,
    host: &str,
) -> Result<ClientStream<TcpStream>, TlsError> {
    let stream = raw::dial(server.address).await;
    within(client.connect(host, stream)).await
}

/// The first certificate of a PEM file, as it is shown in TLS.
pub(crate) fn leaf_of(path: &Path) -> Vec<u8> {
    use base64::Engine as _;
    let pem = std::fs::read_to_string(path).expect("a PEM file");
    let body: String = pem.lines().skip(1).take_while(|line| !line.starts_with('-')).collect();
    base64::prelude::BASE64_STANDARD.decode(body).expect("base64")
}
