//! A program that has chosen no cryptography is told so. Alone in its binary: the choice is the whole process's.
#![cfg(feature = "tls")]

use trunkline_net::tls::{CertificateFiles, ClientTls, ServerOptions, ServerTls, TlsError};

#[test]
fn without_a_crypto_provider_nothing_is_made_and_nothing_panics() {
    let files = CertificateFiles { chain: "no such file".into(), key: "no such file".into() };
    let options = ServerOptions { certificates: vec![files], ..ServerOptions::default() };
    for error in [
        ClientTls::system_roots().expect_err("no provider"),
        ClientTls::with_roots(Vec::new()).expect_err("no provider"),
        ServerTls::new(options).expect_err("no provider"),
    ] {
        assert!(matches!(error, TlsError::NoProvider), "{error}");
        assert_eq!(
            error.to_string(),
            "no cryptography was chosen: the program has to install a rustls CryptoProvider before it uses TLS"
        );
    }
}
