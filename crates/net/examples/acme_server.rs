//! An echo server whose certificate comes by ACME; `compliance/acme/run` is its game.
//!
//! `acme_server LISTEN DIRECTORY_URL DIRECTORY_CA CACHE DOMAIN...` prints `listening on wss://127.0.0.1:PORT`, and logs
//! what becomes of the certificate.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trunkline_net::Acceptor;
use trunkline_net::acme::Acme;
use trunkline_net::tls::{Pem, ServerTls};

/// How long a client may take for TLS.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_ansi(false).init();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "there is a provider already")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, directory, ca, cache, domains @ ..] = &arguments[..] else {
        return Err("usage: acme_server LISTEN DIRECTORY_URL DIRECTORY_CA CACHE DOMAIN...".into());
    };
    let acme = Acme {
        directory: directory.clone(),
        directory_roots: Some(Pem::from(PathBuf::from(ca))),
        contacts: vec!["ops@example.com".to_owned()],
        ..Acme::new(domains.iter().cloned(), cache)
    };
    let (tls, renewal) = acme.start()?;
    tokio::spawn(renewal);
    let listener = TcpListener::bind(listen).await?;
    println!("listening on wss://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(tls.clone(), stream));
    }
}

async fn serve(tls: ServerTls, stream: TcpStream) {
    let stream = match timeout(TLS_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.is_challenge() => return tracing::info!("{error}"),
        Ok(Err(error)) => return tracing::warn!("{error}"),
        Err(_) => return tracing::warn!("TLS took too long"),
    };
    let served: Result<(), trunkline_net::Error> = async {
        let mut socket = Acceptor::default().accept(stream).await?;
        while let Some(message) = socket.recv().await {
            socket.send(message?).await?;
        }
        Ok(())
    }
    .await;
    if let Err(error) = served {
        tracing::info!("{error}");
    }
}
