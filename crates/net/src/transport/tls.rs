//! TLS 1.2 and 1.3 by rustls, both roles.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use trunkline_net::tls::{CertificateFiles, ClientTls, ServerOptions, ServerTls};
//!
//! let files = CertificateFiles { chain: "chain.pem".into(), key: "key.pem".into() };
//! let server = ServerTls::new(ServerOptions { certificates: vec![files], ..ServerOptions::default() })?;
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let (stream, _) = listener.accept().await?;
//! let mut socket = trunkline_net::accept(server.accept(stream).await?).await?;
//!
//! let client = ClientTls::system_roots()?;
//! let stream = tokio::net::TcpStream::connect("chat.example.com:443").await?;
//! let stream = client.connect("chat.example.com", stream).await?;
//! # Ok(())
//! # }
//! ```
//!
//! **The program chooses the cryptography**, once, before anything here is used:
//! `rustls::crypto::aws_lc_rs::default_provider().install_default()`. Without it every constructor returns
//! [`TlsError::NoProvider`].
//!
//! **Verification cannot be switched off.** A server with a certificate of its own making is reached by trusting that
//! certificate's CA, or a certificate that is its own: [`ClientTls::with_roots`].
//!
//! **What is not done**: early data (0-RTT), which could be replayed; renegotiation; revocation lists.
//!
//! **Deadlines are the caller's**: a handshake takes as long as its stream lets it. Every future here may be dropped
//! at any time, and its stream is closed with it.

mod certificate;
mod client;
mod error;
mod hello;
mod names;
mod pem;
mod server;
mod stream;
mod ticket;
mod time;
mod wire;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
pub use rustls_pki_types::CertificateDer;

pub use self::certificate::{CertificateFiles, ServedCertificate};
pub use self::client::ClientTls;
pub use self::error::{Failure, FileProblem, Remote, TlsError, Untrusted};
pub use self::pem::Pem;
pub use self::server::{ClientCertificates, Reloaded, ServerOptions, ServerTls};
pub use self::stream::{ClientStream, ServerStream, TlsStream};
pub use self::time::Date;

// For certificates that come by ACME.
#[cfg(feature = "acme")]
pub(crate) use self::{
    certificate::{hash_text, load},
    server::{Source, config as server_config},
};

/// The one application protocol that both ends speak unless told otherwise (RFC 7301).
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// What the program has chosen.
pub(crate) fn provider() -> Result<Arc<CryptoProvider>, TlsError> {
    CryptoProvider::get_default().cloned().ok_or(TlsError::NoProvider)
}
