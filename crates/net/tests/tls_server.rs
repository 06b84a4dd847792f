//! Which certificate a server shows, how it gets others while it runs, and what it makes of bytes that are no TLS.
#![cfg(feature = "tls")]

mod tls_common;

use std::path::Path;
use std::time::Duration;

use tls_common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpStream;
use trunkline_net::tls::{
    CertificateFiles, ClientStream, ClientTls, Failure, ServerOptions, ServerStream, ServerTls, TlsError,
};

/// The bytes of the certificate that the server has shown.
fn shown(stream: &ClientStream<TcpStream>) -> Vec<u8> {
    stream.peer_certificates().expect("a server shows one")[0].to_vec()
}

/// The bytes in a PEM file of one certificate.
fn der(made: &Made) -> Vec<u8> {
    rustls::pki_types::pem::PemObject::from_pem_slice(made.chain.as_bytes())
        .map(|der: rustls::pki_types::CertificateDer<'_>| der.to_vec())
        .expect("PEM")
}

async fn echoes(near: &mut ClientStream<TcpStream>, far: &mut ServerStream<TcpStream>) {
    for (from, to) in [(0, 1), (1, 0)] {
        assert_ne!(from, to);
        let mut byte = [0];
        if from == 0 {
            near.write_all(b"x").await.expect("written");
            near.flush().await.expect("flushed");
            far.read_exact(&mut byte).await.expect("read");
        } else {
            far.write_all(b"x").await.expect("written");
            far.flush().await.expect("flushed");
            near.read_exact(&mut byte).await.expect("read");
        }
        assert_eq!(&byte, b"x");
    }
}

#[tokio::test]
async fn the_name_that_a_client_asks_for_selects_the_certificate() {
    install_provider();
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let names: [&[&str]; 5] = [
        &["first.example"],
        &["*.wild.example"],
        &["special.wild.example", "127.0.0.1"],
        &["A.Example", "b.example"],
        &["first.example", "late.example"],
    ];
    let made = names.map(|names| ca.for_names(names));
    let files = made.iter().enumerate().map(|(at, made)| folder.save(&at.to_string(), made)).collect();
    let server =
        ServerTls::new(ServerOptions { certificates: files, ..ServerOptions::default() }).expect("a server");
    let by_der = made.each_ref().map(der);
    for (asked, selected) in [
        (Some("first.example"), 0), // the first of two
        (Some("late.example"), 4),
        (Some("x.wild.example"), 1),
        (Some("special.wild.example"), 2), // a name of its own before a wildcard
        (Some("SPECIAL.Wild.example"), 2),
        (Some("wild.example"), 0),     // no label to stand for
        (Some("a.x.wild.example"), 0), // nor for two
        (Some("a.example"), 3),
        (Some("b.example."), 3),
        (Some("unknown.example"), 0),
        (Some("example"), 0),
        (None, 0), // no SNI
    ] {
        // The name asked for need not be one that the client would accept: only what is shown counts here.
        let (near, far) = tcp_pair().await;
        let client = AnyCertificate::shown_to(asked, near);
        let (der, stream) = tokio::join!(client, server.accept(far));
        assert!(stream.is_ok(), "{asked:?}");
        let at = by_der.iter().position(|one| *one == der);
        assert_eq!(at, Some(selected), "{asked:?}");
    }
}

/// A client that looks at the certificate and trusts nobody's.
struct AnyCertificate;

impl AnyCertificate {
    async fn shown_to(asked: Option<&str>, stream: TcpStream) -> Vec<u8> {
        let asked = asked.map(|name| name.trim_end_matches('.').to_owned());
        let stream = stream.into_std().expect("a socket");
        tokio::task::spawn_blocking(move || raw::shown(asked.as_deref(), stream)).await.expect("no panic")
    }
}

/// What our own client cannot be made to do: not verify, send no name, speak old versions, send early data.
mod raw {
    use std::net::TcpStream;
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

    pub(super) fn config(versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        ClientConfig::builder_with_protocol_versions(versions)
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth()
    }

    pub(super) fn shown(asked: Option<&str>, mut stream: TcpStream) -> Vec<u8> {
        stream.set_nonblocking(false).expect("a socket");
        let mut config = config(rustls::ALL_VERSIONS);
        config.enable_sni = asked.is_some();
        let name = ServerName::try_from(asked.unwrap_or("none.example").to_owned()).expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
        while client.is_handshaking() || client.wants_write() {
            client.complete_io(&mut stream).expect("a handshake");
        }
        client.peer_certificates().expect("one was shown")[0].to_vec()
    }

    #[derive(Debug)]
    pub(super) struct Anybody;

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_and_resumed_too() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let config = std::sync::Arc::new(raw::config(&[&rustls::version::TLS12]));
    for resumed in [false, true] {
        let (near, far) = tcp_pair().await;
        let (mut near, config) = (near.into_std().expect("a socket"), config.clone());
        let client = tokio::task::spawn_blocking(move || {
            near.set_nonblocking(false).expect("a socket");
            let name = "chat.example".try_into().expect("a name");
            let mut client = rustls::ClientConnection::new(config, name).expect("a client");
            while client.is_handshaking() || client.wants_write() {
                client.complete_io(&mut near).expect("a handshake");
            }
        });
        let stream = server.accept(far).await.expect("accepted");
        assert_eq!((stream.version(), stream.resumed()), ("TLS 1.2", resumed));
        client.await.expect("no panic");
    }
}

#[tokio::test]
async fn early_data_is_never_taken() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let mut config = raw::config(&[&rustls::version::TLS13]);
    config.enable_early_data = true;
    let config = std::sync::Arc::new(config);
    for resumed in [false, true] {
        let (near, far) = tcp_pair().await;
        let (mut near, config) = (near.into_std().expect("a socket"), config.clone());
        let client = tokio::task::spawn_blocking(move || {
            near.set_nonblocking(false).expect("a socket");
            let name = "chat.example".try_into().expect("a name");
            let mut client = rustls::ClientConnection::new(config, name).expect("a client");
            assert!(client.early_data().is_none(), "the ticket allows none");
            // One more round than the handshake has, for the tickets behind it.
            let mut stream = rustls::Stream::new(&mut client, &mut near);
            std::io::Read::read_exact(&mut stream, &mut [0]).expect("a byte");
        });
        let mut stream = server.accept(far).await.expect("accepted");
        assert_eq!(stream.resumed(), resumed);
        stream.write_all(b"x").await.expect("written");
        stream.flush().await.expect("flushed");
        client.await.expect("no panic");
    }
}

#[tokio::test]
async fn new_files_are_for_new_connections_and_a_bad_set_changes_nothing() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let (old, new) = (ca.for_names(&["chat.example"]), ca.for_names(&["chat.example"]));
    let (server, client) = (server(&folder, &old), trusting(&ca));
    let (mut near, mut far) = connected(&client, "chat.example", &server).await;
    assert_eq!(shown(&near), der(&old));

    let file = |name: &str| folder.path(name).display().to_string();
    let with_issuer_first = format!("{}{}", String::from_utf8_lossy(&ca.pem()), new.chain);
    let swapped = format!(
        "{}: does not belong to the first certificate in {}, but to the one in its line ",
        file("server.key"),
        file("server.pem")
    );
    for (chain, key, said) in [
        (new.chain.as_str(), old.key.as_str(), format!("{}: does not belong to", file("server.key"))),
        (&with_issuer_first, &new.key, swapped),
        ("", &new.key, format!("{}: has no PEM section", file("server.pem"))),
        (
            &new.key,
            &new.key,
            format!("{}: has no certificate in it, only: a private key", file("server.pem")),
        ),
        (
            &new.chain,
            &new.chain,
            format!("{}: has no private key in it, only: certificates", file("server.key")),
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &new.key,
            file("server.pem") + ": line 1: the certificate",
        ),
        (
            &new.chain,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            file("server.key") + ": line 1: the private key",
        ),
    ] {
        folder.write("server.pem", chain);
        folder.write("server.key", key);
        let error = server.reload().expect_err("unusable").to_string();
        assert!(error.starts_with(&said), "{error}\n{said}");
        let (again, _far) = connected(&client, "chat.example", &server).await;
        assert_eq!(shown(&again), der(&old));
    }

    folder.save("server", &new);
    let reloaded = server.reload().expect("usable");
    assert_eq!(
        reloaded.to_string(),
        format!("chat.example until 2100-01-01 00:00:00 UTC ({})", file("server.pem"))
    );
    assert_eq!(server.certificates(), reloaded.certificates);
    let (again, _far) = connected(&client, "chat.example", &server).await;
    assert_eq!(shown(&again), der(&new));
    // The one from before has noticed nothing.
    echoes(&mut near, &mut far).await;
}

#[tokio::test]
async fn an_expired_certificate_is_served_all_the_same() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let expired = ca.with(&["chat.example"], |params| params.not_after = rcgen::date_time_ymd(2021, 2, 3));
    let server = server(&folder, &expired);
    assert_eq!(server.certificates()[0].not_after.to_string(), "2021-02-03 00:00:00 UTC");
    assert_eq!(server.certificates()[0].not_before.to_string(), "2020-01-01 00:00:00 UTC");
    server.reload().expect("a warning is no error");
}

#[tokio::test]
async fn options_that_cannot_be_are_told_apart_by_their_file() {
    install_provider();
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let good = folder.save("good", &ca.for_names(&["a.example"]));
    let of = |options: ServerOptions| ServerTls::new(options).expect_err("unusable").to_string();
    assert_eq!(of(ServerOptions::default()), "a TLS server needs a certificate, and none was named");
    let missing = CertificateFiles { chain: folder.path("no.pem"), key: good.key.clone() };
    let error = of(ServerOptions { certificates: vec![good.clone(), missing], ..ServerOptions::default() });
    assert!(error.starts_with(&format!("{}: cannot be read: ", folder.path("no.pem").display())), "{error}");
    let clients = required(&folder.write("clients.pem", "nothing"));
    let error = of(ServerOptions { certificates: vec![good], clients, ..ServerOptions::default() });
    assert!(
        error.starts_with(&format!("{}: has no PEM section", folder.path("clients.pem").display())),
        "{error}"
    );
}

/// Waits until the server shows the certificate for this name.
async fn until_served(server: &ServerTls, name: &str) {
    let served = async {
        while server.certificates()[0].names != [name] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANG, served).await.expect("noticed");
}

#[cfg(unix)]
#[tokio::test]
async fn watching_notices_a_swapped_symlink_with_times_and_sizes_alike() {
    install_provider();
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    // As Kubernetes mounts a secret: the files are links into `..data`, which is itself a link and swapped by a
    // rename.
    for (at, name) in ["a.example", "b.example"].iter().enumerate() {
        std::fs::create_dir(folder.path(&format!("..{at}"))).expect("a folder");
        folder.save(&format!("..{at}/tls"), &ca.for_names(&[name]));
    }
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, folder.path("..new")).expect("a link");
        std::fs::rename(folder.path("..new"), folder.path("..data")).expect("swapped");
    };
    link("..0");
    for file in ["tls.pem", "tls.key"] {
        std::os::unix::fs::symlink(Path::new("..data").join(file), folder.path(file)).expect("a link");
    }
    let files = CertificateFiles { chain: folder.path("tls.pem"), key: folder.path("tls.key") };
    let server = ServerTls::new(ServerOptions { certificates: vec![files], ..ServerOptions::default() });
    let server = server.expect("a server");
    let watching = server.clone();
    let watch = tokio::spawn(async move { watching.watch(Duration::from_millis(10)).await });
    until_served(&server, "a.example").await;
    link("..1");
    until_served(&server, "b.example").await;
    // A set that is broken for a while stays unused, and the next good one is found.
    std::fs::rename(folder.path("tls.key"), folder.path("away")).expect("moved");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.certificates()[0].names, ["b.example"]);
    link("..0");
    std::fs::rename(folder.path("away"), folder.path("tls.key")).expect("moved back");
    until_served(&server, "a.example").await;
    watch.abort();
}

async fn refusal_of(server: &ServerTls, bytes: &[u8]) -> (TlsError, Vec<u8>) {
    let (mut near, far) = tcp_pair().await;
    near.write_all(bytes).await.expect("written");
    let answer = async {
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.expect("ended, not reset");
        answer
    };
    let both = async { tokio::join!(server.accept(far), answer) };
    let (error, answer) = tokio::time::timeout(HANG, both).await.expect("in time");
    (error.expect_err("no handshake"), answer)
}

#[tokio::test]
async fn what_is_no_tls_is_called_that_and_answered_with_an_alert() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let request =
        b"GET /chat HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let version_9 = [&[0x16, 0x09, 0x09, 0x00, 0x05][..], &[0; 5]].concat();
    for bytes in [&request[..], b"\x00\x01\x02\x03\x04\x05\x06\x07", b"SSH-2.0-x\r\n", &version_9] {
        let (error, answer) = refusal_of(&server, bytes).await;
        assert_eq!(
            error.to_string(),
            "TLS with a client: what it sends is not TLS; does it speak plain HTTP on this port?"
        );
        // One record of two bytes: fatal, and what for.
        assert_eq!((answer.len(), answer[0], &answer[3..6]), (7, 0x15, &[0, 2, 2][..]));
    }
    // A ClientHello of TLS 1.0 with one cipher suite.
    let body = [&[3, 1][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    let mut hello = vec![0x16, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    hello.extend(body);
    let (error, _) = refusal_of(&server, &hello).await;
    assert!(matches!(error, TlsError::Failed { why: Failure::NothingInCommon(_), .. }), "{error}");
    // Still of service.
    connected(&trusting(&ca), "chat.example", &server).await;
}

#[tokio::test]
async fn a_client_hello_of_more_than_64_kib_is_refused_before_it_is_whole() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    // A ClientHello of 2^24 - 1 bytes, as its header has it, in records of the usual length.
    let mut flood = vec![0; 5 * (5 + 16_384)];
    for record in flood.chunks_mut(5 + 16_384) {
        record[..5].copy_from_slice(&[0x16, 3, 1, 0x40, 0]);
    }
    flood[5..9].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
    let (mut near, far) = tcp_pair().await;
    let flooding = tokio::spawn(async move {
        let _ = near.write_all(&flood).await;
        near
    });
    let error = tokio::time::timeout(HANG, server.accept(far)).await.expect("in time").expect_err("too long");
    assert!(matches!(error, TlsError::Failed { why: Failure::Broken(_), .. }), "{error}");
    flooding.await.expect("no panic");
    connected(&trusting(&ca), "chat.example", &server).await;
}

#[tokio::test]
async fn a_client_on_a_port_of_plain_http_is_told_that_it_is_no_tls() {
    let (near, mut far) = tcp_pair().await;
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
    let error =
        trusting(&Ca::new("ours")).connect("chat.example", near).await.expect_err("no TLS").to_string();
    assert_eq!(
        error,
        "TLS with chat.example: what it sends is not TLS; does it speak plain HTTP on this port?"
    );
}

/// What a client sends first: its ClientHello.
async fn client_hello(client: &ClientTls) -> Vec<u8> {
    let (near, mut far) = duplex(1 << 16);
    let mut hello = vec![0; 1 << 16];
    tokio::select! {
        _ = client.connect("chat.example", near) => panic!("nobody answers"),
        count = far.read(&mut hello) => hello.truncate(count.expect("read")),
    }
    hello
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_trickles_can_be_dropped_at_every_byte() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let hello = client_hello(&trusting(&ca)).await;
    assert!(hello.len() > 200, "{}", hello.len());
    for count in 0..hello.len() {
        let (mut near, far) = duplex(1 << 16);
        let accepting = tokio::time::timeout(Duration::from_secs(10), server.accept(far));
        let trickle = async {
            for byte in &hello[..count] {
                near.write_all(std::slice::from_ref(byte)).await.expect("written");
            }
            // Then nothing: nobody but the caller's deadline ends this.
            let mut rest = Vec::new();
            near.read_to_end(&mut rest).await.expect("the stream is closed with the future");
            rest
        };
        let (result, rest) = tokio::join!(accepting, trickle);
        assert!(result.is_err(), "{count} bytes and no deadline");
        assert!(rest.is_empty(), "{count} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_cut_at_any_byte_is_an_error_and_nothing_worse() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let hello = client_hello(&trusting(&ca)).await;
    for count in 0..hello.len() {
        let (mut near, far) = duplex(1 << 16);
        near.write_all(&hello[..count]).await.expect("written");
        drop(near);
        let error = server.accept(far).await.expect_err("cut");
        assert!(matches!(error, TlsError::Failed { why: Failure::Ended, .. }), "{count}: {error}");
    }
    // The server's flight, cut anywhere, in the client's eyes.
    for count in (0..3000).step_by(37) {
        let (near, mut wire) = duplex(1 << 16);
        let (mut other, far) = duplex(1 << 16);
        let relay = async {
            let mut hello = vec![0; 1 << 16];
            let length = wire.read(&mut hello).await.expect("read");
            other.write_all(&hello[..length]).await.expect("written");
            let mut flight = vec![0; 1 << 16];
            let mut total = 0;
            // All of it comes at once.
            while total == 0 {
                total = other.read(&mut flight).await.expect("read");
            }
            let some = total.min(count);
            wire.write_all(&flight[..some]).await.expect("written");
            drop((wire, other));
            some == total
        };
        let (client, _, whole) = tokio::join!(
            async { trusting(&ca).connect("chat.example", near).await },
            server.accept(far),
            relay
        );
        match client {
            Err(TlsError::Failed { why: Failure::Ended | Failure::Io(_), .. }) => {}
            // It has all that it needs, and nobody left to write to or not.
            Ok(_) if whole => break,
            other => panic!("{count}: {other:?}"),
        }
    }
}
