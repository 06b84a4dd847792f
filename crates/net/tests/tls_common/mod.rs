//! What the tests of TLS share: certificates made on the spot, a folder to put them in, and two ends of a stream.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio::net::{TcpListener, TcpStream};
use trunkline_net::tls::{
    CertificateFiles, ClientCertificates, ClientStream, ClientTls, ServerOptions, ServerStream, ServerTls,
    TlsError,
};

/// Nothing here takes this long unless it hangs.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// As a program does at its start.
pub(crate) fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nobody else installs one");
    });
}

/// A folder of this test's own, gone when it ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("trunkline-tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder of our own");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("writable");
        path
    }

    /// Writes both files of a certificate, named after `name`.
    pub(crate) fn save(&self, name: &str, made: &Made) -> CertificateFiles {
        CertificateFiles {
            chain: self.write(&format!("{name}.pem"), &made.chain),
            key: self.write(&format!("{name}.key"), &made.key),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// A certificate authority.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, key_pair()).expect("a CA"))
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.0.pem().into()
    }

    pub(crate) fn for_names(&self, names: &[&str]) -> Made {
        self.with(names, |_| {})
    }

    pub(crate) fn with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Made {
        let (params, key) = (params(names, change), key_pair());
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        Made { chain: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn for_client(&self) -> Made {
        self.with(&["a client"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }
}

pub(crate) fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Made {
    let (params, key) = (params(names, change), key_pair());
    Made { chain: params.self_signed(&key).expect("signed").pem(), key: key.serialize_pem() }
}

fn params(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    change(&mut params);
    params
}

fn key_pair() -> KeyPair {
    KeyPair::generate().expect("random bytes")
}

/// A server of one certificate, by this CA, that asks nothing of its clients.
pub(crate) fn server(folder: &Folder, made: &Made) -> ServerTls {
    server_with(folder, made, |_| {})
}

pub(crate) fn server_with(
    folder: &Folder,
    made: &Made,
    change: impl FnOnce(&mut ServerOptions),
) -> ServerTls {
    install_provider();
    let mut options =
        ServerOptions { certificates: vec![folder.save("server", made)], ..ServerOptions::default() };
    change(&mut options);
    ServerTls::new(options).expect("a server")
}

pub(crate) fn trusting(ca: &Ca) -> ClientTls {
    install_provider();
    ClientTls::with_roots(ca.pem()).expect("a client")
}

pub(crate) fn required(ca: &Path) -> ClientCertificates {
    ClientCertificates::Required { ca: ca.into() }
}

/// Two ends of a TCP connection.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("bound");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.expect("connected"), server.expect("accepted").0)
}

type Ends = (Result<ClientStream<TcpStream>, TlsError>, Result<ServerStream<TcpStream>, TlsError>);

/// Both ends of one handshake, whatever comes of it.
pub(crate) async fn handshake(client: &ClientTls, host: &str, server: &ServerTls) -> Ends {
    let (near, far) = tcp_pair().await;
    let both = async { tokio::join!(client.connect(host, near), server.accept(far)) };
    tokio::time::timeout(HANG, both).await.expect("in time")
}

/// Both ends of a handshake that succeeds.
pub(crate) async fn connected(
    client: &ClientTls,
    host: &str,
    server: &ServerTls,
) -> (ClientStream<TcpStream>, ServerStream<TcpStream>) {
    let (client, server) = handshake(client, host, server).await;
    (client.expect("the client is content"), server.expect("the server is content"))
}
