//! Whom a client believes, whom a server lets in, and that a WebSocket runs over what they agree on.
#![cfg(feature = "tls")]

mod tls_common;

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use tls_common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trunkline_net::tls::{ClientCertificates, ClientTls, Failure, TlsError};
use trunkline_net::{Acceptor, CloseCode, Connector, Error, Message};

#[tokio::test]
async fn a_websocket_runs_over_tls_from_handshake_to_close() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let (near, far) = connected(&trusting(&ca), "chat.example", &server).await;
    assert_eq!((near.alpn(), far.alpn()), (Some(&b"http/1.1"[..]), Some(&b"http/1.1"[..])));
    assert_eq!((near.server_name(), far.server_name()), (Some("chat.example"), Some("chat.example")));
    assert_eq!((near.version(), far.version()), ("TLS 1.3", "TLS 1.3"));
    assert_eq!(near.peer_certificates().map(<[_]>::len), Some(1));
    assert!(far.peer_certificates().is_none());
    assert!(near.get_ref().peer_addr().is_ok());

    let serve = tokio::spawn(async move {
        let mut socket = Acceptor::default().accept(far).await.expect("accepted");
        while let Some(message) = socket.recv().await {
            socket.send(message.expect("a message")).await.expect("sent");
        }
        socket.closed().cloned().expect("it has ended")
    });
    let mut socket = Connector::default().handshake(near, "wss://chat.example/").await.expect("connected");
    // Longer than a record, than all buffers of both ends, and than one vectored write.
    for length in [0, 1, 16_384, 16_385, 1 << 20] {
        let message = Message::Binary((0..length).map(|at| at as u8).collect::<Vec<u8>>().into());
        socket.send(message.clone()).await.expect("sent");
        let echoed = tokio::time::timeout(HANG, socket.recv()).await.expect("in time");
        assert_eq!(echoed.expect("not ended").expect("echoed"), message);
    }
    let closed = socket.close(CloseCode::NORMAL, "bye").await.expect("closed");
    let served = serve.await.expect("no panic");
    assert!(closed.is_clean() && served.is_clean(), "{closed:?} {served:?}");
    assert_eq!((served.code, served.reason.as_str()), (1000, "bye"));
}

/// What a client says of a certificate that `make` makes, when it asks for `host` and trusts `ca`.
async fn verdict(host: &str, made: &Made, ca: &Ca) -> (String, String) {
    let folder = Folder::new();
    let (client, server) = handshake(&trusting(ca), host, &server(&folder, made)).await;
    let said = |failed: Option<TlsError>| failed.map_or_else(|| "ok".to_owned(), |error| error.to_string());
    (said(client.err()), said(server.err()))
}

#[tokio::test]
async fn a_certificate_is_accepted_for_exactly_the_names_and_addresses_in_it() {
    let ca = Ca::new("ours");
    let made = ca.for_names(&["chat.example", "*.wild.example", "127.0.0.1", "::1"]);
    let only = "its certificate is only for chat.example, *.wild.example, 127.0.0.1, ::1";
    for (host, accepted) in [
        ("chat.example", true),
        ("CHAT.Example", true),
        ("chat.example.", true),
        ("a.wild.example", true),
        ("127.0.0.1", true),
        ("::1", true),
        ("other.example", false),
        ("a.chat.example", false),
        ("wild.example", false),
        ("a.b.wild.example", false),
        ("127.0.0.2", false),
        ("::2", false),
    ] {
        let (client, server) = verdict(host, &made, &ca).await;
        if accepted {
            assert_eq!((client.as_str(), server.as_str()), ("ok", "ok"), "{host}");
        } else {
            assert_eq!(client, format!("TLS with {host}: {only}"));
            assert!(
                server.contains("it refused: it does not accept our certificate (alert 42, BadCertificate)"),
                "{server}"
            );
        }
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_trusted_is_refused_with_its_reason_on_both_sides() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
    let host = &["chat.example"];
    let past = ours.with(host, |params| params.not_after = date_time_ymd(2021, 2, 3));
    let future = ours.with(host, |params| params.not_before = date_time_ymd(2099, 4, 5));
    let for_clients = ours.with(host, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let ca_itself = self_signed(host, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let no_names = ours.with(&[], |params| {
        // The common name has not counted for twenty-five years.
        params.distinguished_name.push(rcgen::DnType::CommonName, "chat.example");
    });
    for (name, made, client_says, server_says) in [
        ("unknown issuer", theirs.for_names(host), "was issued by nobody who is trusted here", "UnknownCA"),
        ("self-signed", self_signed(host, |_| {}), "was issued by nobody who is trusted here", "UnknownCA"),
        (
            "self-signed CA",
            ca_itself,
            "is one of a CA and not of a server; self-signed?",
            "CertificateUnknown",
        ),
        ("expired", past, "expired on 2021-02-03 00:00:00 UTC", "CertificateExpired"),
        ("not yet valid", future, "is not valid before 2099-04-05 00:00:00 UTC", "CertificateExpired"),
        ("for clients", for_clients, "is not for this use", "UnsupportedCertificate"),
        ("no names", no_names, "is for no name at all", "BadCertificate"),
    ] {
        let (client, server) = verdict("chat.example", &made, &ours).await;
        assert!(client.starts_with("TLS with chat.example: its certificate "), "{name}: {client}");
        assert!(client.contains(client_says), "{name}: {client}");
        let expected = "TLS with a client that asked for chat.example: it refused: ";
        assert!(server.starts_with(expected) && server.contains(server_says), "{name}: {server}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_accepted_by_who_trusts_it_and_only_for_its_name() {
    install_provider();
    let (folder, made) = (Folder::new(), self_signed(&["chat.example"], |_| {}));
    let (server, client) = (server(&folder, &made), ClientTls::with_roots(made.chain.clone().into_bytes()));
    let client = client.expect("a client");
    connected(&client, "chat.example", &server).await;
    let (wrong, _) = handshake(&client, "other.example", &server).await;
    assert!(wrong.expect_err("another name").to_string().contains("only for chat.example"));
}

#[tokio::test]
async fn given_roots_replace_those_of_the_system_and_added_ones_do_not() {
    let (folder, ours, theirs) = (Folder::new(), Ca::new("ours"), Ca::new("theirs"));
    let server = server(&folder, &ours.for_names(&["chat.example"]));
    let client = trusting(&theirs);
    let (refused, _) = handshake(&client, "chat.example", &server).await;
    assert!(refused.is_err());
    let client = client.add_roots(ours.pem()).expect("a client");
    connected(&client, "chat.example", &server).await;
    // Of the system's, none has issued this one.
    let ca_file = folder.write("ca.pem", ours.pem());
    match ClientTls::system_roots() {
        Ok(client) => {
            let (refused, _) = handshake(&client, "chat.example", &server).await;
            assert!(refused.expect_err("a private CA").to_string().contains("nobody who is trusted here"));
            connected(&client.add_roots(ca_file.as_path()).expect("a client"), "chat.example", &server).await;
        }
        // A machine without CAs has to say so.
        Err(error) => assert!(matches!(error, TlsError::NoSystemRoots { .. }), "{error}"),
    }
}

#[tokio::test]
async fn names_are_sent_to_the_server_and_addresses_never_are() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example", "127.0.0.1", "::1"]));
    for (host, sent) in [
        ("chat.example", Some("chat.example")),
        ("Chat.Example.", Some("chat.example")),
        ("127.0.0.1", None),
        ("::1", None),
    ] {
        let (near, far) = connected(&trusting(&ca), host, &server).await;
        assert_eq!((near.server_name(), far.server_name()), (sent, sent), "{host}");
    }
    for host in ["", ".", "a b", "[::1]", "fe80::1%eth0", "bücher.example", "a..b"] {
        let (near, _far) = tcp_pair().await;
        let error = trusting(&ca).connect(host, near).await.expect_err("no host");
        assert!(matches!(error, TlsError::NotAHost { .. }), "{host:?}: {error}");
    }
}

#[tokio::test]
async fn certificates_of_clients_are_asked_for_as_the_options_say() {
    let (folder, ours, theirs) = (Folder::new(), Ca::new("ours"), Ca::new("theirs"));
    let made = ours.for_names(&["chat.example"]);
    let ca = folder.write("clients.pem", ours.pem());
    let nobody = trusting(&ours);
    let with = |made: Made| {
        let (chain, key) = (made.chain.into_bytes(), made.key.into_bytes());
        nobody.clone().client_certificate(chain, key).expect("a certificate")
    };
    let (member, stranger) = (with(ours.for_client()), with(theirs.for_client()));
    let (none, optional) = (ClientCertificates::Off, ClientCertificates::Optional { ca: ca.clone() });
    let required = ClientCertificates::Required { ca };
    let stranger_says = "its certificate was issued by nobody who is trusted here";
    for (name, clients, client, shown) in [
        ("off, none", &none, &nobody, Ok(false)),
        ("off, one", &none, &member, Ok(false)),
        ("optional, none", &optional, &nobody, Ok(false)),
        ("optional, ours", &optional, &member, Ok(true)),
        ("optional, another's", &optional, &stranger, Err((stranger_says, "UnknownCA"))),
        (
            "required, none",
            &required,
            &nobody,
            Err(("it sent no certificate", "it requires a certificate of ours")),
        ),
        ("required, ours", &required, &member, Ok(true)),
        ("required, another's", &required, &stranger, Err((stranger_says, "UnknownCA"))),
    ] {
        let server = server_with(&folder, &made, |options| options.clients = clients.clone());
        let (near, far) = handshake(client, "chat.example", &server).await;
        // In TLS 1.3 the client is done before its certificate is judged.
        let mut near = near.expect("the server is who it should be");
        match (far, shown) {
            (Ok(far), Ok(shown)) => assert_eq!(far.peer_certificates().is_some(), shown, "{name}"),
            (Err(error), Err((server_says, client_says))) => {
                let error = error.to_string();
                assert!(error.contains(server_says), "{name}: {error}");
                let told = near.read_u8().await.expect_err("refused").to_string();
                assert!(told.starts_with("TLS with chat.example: it refused: "), "{name}: {told}");
                assert!(told.contains(client_says), "{name}: {told}");
            }
            (far, _) => panic!("{name}: {:?}", far.err()),
        }
    }
}

#[tokio::test]
async fn the_first_protocol_of_the_server_that_the_client_speaks_is_agreed_on() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server_with(&folder, &ca.for_names(&["chat.example"]), |options| {
        options.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    });
    for (offered, agreed) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["mqtt", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let (offered, agreed): (Vec<_>, _) =
            (offered.iter().map(|name| name.as_bytes()).collect(), agreed.map(str::as_bytes));
        let client = trusting(&ca).alpn(&offered);
        let (near, far) = connected(&client, "chat.example", &server).await;
        assert_eq!((near.alpn(), far.alpn()), (agreed, agreed));
    }
    let (near, far) = handshake(&trusting(&ca).alpn(&[b"mqtt"]), "chat.example", &server).await;
    assert_eq!(
        near.expect_err("nothing in common").to_string(),
        "TLS with chat.example: it refused: no application protocol in common (ALPN) (alert 120, NoApplicationProtocol)"
    );
    let far = far.expect_err("nothing in common");
    assert!(matches!(far, TlsError::Failed { why: Failure::NoProtocolInCommon, .. }), "{far}");
}

#[tokio::test]
async fn a_session_is_resumed_until_the_certificates_are_read_again() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let client = trusting(&ca);
    let again = async || {
        let (mut near, mut far) = connected(&client, "chat.example", &server).await;
        // Tickets come behind the handshake: reading finds them.
        far.write_all(b"x").await.expect("written");
        far.flush().await.expect("flushed");
        near.read_u8().await.expect("read");
        assert_eq!(near.resumed(), far.resumed());
        near.resumed()
    };
    assert!(!again().await);
    assert!(again().await);
    assert!(again().await);
    server.reload().expect("the same files");
    assert!(!again().await, "a session from before was judged by other rules");
    assert!(again().await);
}

#[tokio::test]
async fn an_end_without_close_notify_is_told_apart_from_one_with_it() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    for polite in [true, false] {
        let (mut near, mut far) = connected(&trusting(&ca), "chat.example", &server).await;
        // A socket closed with something unread, the tickets that follow the handshake, would be reset and not ended.
        far.write_all(b"x").await.expect("written");
        far.flush().await.expect("flushed");
        near.read_u8().await.expect("read");
        near.write_all(b"last words").await.expect("written");
        near.flush().await.expect("flushed");
        if polite {
            near.shutdown().await.expect("shut down");
        }
        drop(near);
        let mut read = Vec::new();
        let end = far.read_to_end(&mut read).await;
        assert_eq!(read, b"last words");
        if polite {
            end.expect("a clean end");
        } else {
            let error = end.expect_err("cut off");
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
            assert_eq!(
                error.to_string(),
                "TLS with a client that asked for chat.example: the stream ended without a close_notify"
            );
        }
    }
}

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[tokio::test]
async fn a_websocket_that_is_cut_is_told_as_ended_with_or_without_close_notify() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    for polite in [true, false] {
        let (mut near, far) = connected(&trusting(&ca), "chat.example", &server).await;
        let client = async {
            near.write_all(REQUEST).await.expect("written");
            near.flush().await.expect("flushed");
            // Read to its end, the tickets before it included: a socket closed with something unread would be reset.
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(near.read_u8().await.expect("an answer"));
            }
            near.write_all(b"\x81\x8a\0\0\0\0last words").await.expect("written");
            near.flush().await.expect("flushed");
            if polite {
                near.shutdown().await.expect("shut down");
            }
            drop(near);
        };
        let (socket, ()) = tokio::join!(async { Acceptor::default().accept(far).await }, client);
        let mut socket = socket.expect("accepted");
        let words = socket.recv().await.expect("a message").expect("a message");
        assert_eq!(words, Message::from("last words"));
        let end = socket.recv().await.expect("told").expect_err("no Close frame");
        assert!(matches!(&end, Error::Closed(closed) if closed.code == 1006), "polite {polite}: {end:?}");
        assert!(socket.recv().await.is_none());
    }
}

#[tokio::test]
async fn one_direction_can_end_before_the_other() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let (mut near, mut far) = connected(&trusting(&ca), "chat.example", &server).await;
    near.shutdown().await.expect("shut down");
    assert_eq!(far.read(&mut [0; 8]).await.expect("a clean end"), 0);
    far.write_all(b"still here").await.expect("written");
    far.shutdown().await.expect("shut down");
    let mut read = Vec::new();
    near.read_to_end(&mut read).await.expect("a clean end");
    assert_eq!(read, b"still here");
}

#[tokio::test]
async fn a_client_certificate_whose_key_is_another_is_refused_with_both_files_named() {
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let (one, other) = (folder.save("one", &ca.for_client()), folder.save("other", &ca.for_client()));
    let error = trusting(&ca)
        .client_certificate(one.chain.clone(), other.key.clone())
        .expect_err("no pair")
        .to_string();
    let expected = format!(
        "{}: does not belong to the first certificate in {}",
        other.key.display(),
        one.chain.display()
    );
    assert_eq!(error, expected);
}
