//! TLS on the way: to the host, to a proxy, to the host through either.
#![cfg(all(feature = "proxy", feature = "tls"))]

mod dial_support;

use std::net::SocketAddr;

use dial_support::tls::Authority;
use dial_support::*;
use trunkline_net::tls::{ServerTls, TlsError};
use trunkline_net::{Connector, DialCause, Phase, ProxyPolicy};

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

async fn secure_echo(tls: ServerTls) -> SocketAddr {
    serve(move |stream| {
        let tls = tls.clone();
        async move {
            if let Ok(stream) = tls.accept(stream).await {
                echo_on(stream).await;
            }
        }
    })
    .await
}

fn through(proxy: &str) -> Connector {
    Connector::default().proxy(ProxyPolicy::Url(proxy.parse().expect("a proxy"))).resolver(Names::default())
}

#[tokio::test]
async fn wss_is_verified_by_name_and_by_address() {
    let authority = Authority::new();
    let origin = secure_echo(authority.server(&["chat.example", "127.0.0.1"], &[b"http/1.1"])).await;
    let names = || Names(vec![("chat.example", vec![origin]), ("evil.example", vec![origin])]);
    let connector = Connector::default().tls(authority.client()).resolver(names());
    for url in ["wss://chat.example/".to_owned(), format!("wss://{origin}/")] {
        let mut socket = connector.connect(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let stream = socket.stream().expect("open");
        assert_eq!((stream.is_tls(), stream.alpn()), (true, Some(&b"http/1.1"[..])));
        assert_eq!((stream.peer_addr(), stream.peer_certificates().len()), (origin, 1));
        echoes(&mut socket).await;
    }
    let error = connector.connect("wss://evil.example/").await.expect_err("another name");
    assert_eq!(dial_error(&error).phase, Phase::Tls);
    let DialCause::Tls(cause) = &dial_error(&error).cause else { panic!("{error}") };
    assert!(cause.downcast_ref::<TlsError>().is_some(), "{cause:?}");
    assert!(error.to_string().starts_with("connecting to evil.example:443: "), "{error}");

    let stranger = Connector::default().tls(Authority::new().client()).resolver(names());
    let error = stranger.connect("wss://chat.example/").await.expect_err("another authority");
    assert!(matches!(dial_error(&error).cause, DialCause::Tls(_)), "{error}");
}

#[tokio::test]
async fn a_server_that_speaks_plain_http_fails_tls_with_clear_words() {
    let authority = Authority::new();
    let origin = echo().await;
    let connector = Connector::default().tls(authority.client());
    let error = connector.connect(&format!("wss://{origin}/")).await.expect_err("no TLS there");
    assert_eq!(dial_error(&error).phase, Phase::Tls, "{error}");
}

#[tokio::test]
async fn wss_goes_through_an_http_proxy_which_sees_the_name_and_nothing_more() {
    let authority = Authority::new();
    let origin = secure_echo(authority.server(&["chat.example"], &[b"http/1.1"])).await;
    let (proxy, heads) = connect_proxy(ESTABLISHED, origin).await;
    let connector = through(&format!("http://zoe:hunter2@{proxy}")).tls(authority.client());
    let mut socket = connector.connect("wss://chat.example/?ticket=hunter2").await.expect("a tunnel");
    assert!(heads.all()[0].starts_with("CONNECT chat.example:443 HTTP/1.1\r\n"));
    let stream = socket.stream().expect("open");
    assert_eq!((stream.is_tls(), stream.proxy()), (true, Some(&*format!("http://{proxy}"))));
    echoes(&mut socket).await;
}

#[tokio::test]
async fn an_https_proxy_is_spoken_to_in_tls_and_verified() {
    let authority = Authority::new();
    let proxy_tls = authority.server(&["proxy.example"], &[b"http/1.1"]);
    let secret = secure_echo(Authority::server(&authority, &["chat.example"], &[b"http/1.1"])).await;
    let open = echo().await;
    let heads = Heads::default();
    let kept = heads.clone();
    let proxy = serve(move |stream| {
        let (tls, heads) = (proxy_tls.clone(), kept.clone());
        async move {
            let Ok(mut stream) = tls.accept(stream).await else { return };
            let head = read_head(&mut stream).await;
            let origin = if head.contains(":443 ") { secret } else { open };
            heads.push(head);
            tokio::io::AsyncWriteExt::write_all(&mut stream, ESTABLISHED.as_bytes()).await.expect("it reads");
            let mut behind = tokio::net::TcpStream::connect(origin).await.expect("the origin listens");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
        }
    })
    .await;
    let names = || Names(vec![("proxy.example", vec![proxy]), ("wrong.example", vec![proxy])]);
    let url = |host: &str| format!("https://zoe:hunter2@{host}:{}", proxy.port());
    let connector = through(&url("proxy.example")).tls(authority.client()).resolver(names());

    let mut socket = connector.connect("ws://chat.example/").await.expect("a tunnel");
    assert!(!socket.stream().expect("open").is_tls(), "TLS ends at the proxy");
    echoes(&mut socket).await;
    let mut socket = connector.connect("wss://chat.example/").await.expect("TLS in TLS");
    assert!(socket.stream().expect("open").is_tls());
    echoes(&mut socket).await;
    assert!(heads.all().iter().all(|head| head.contains("Proxy-Authorization: Basic ")));

    let wrong = through(&url("wrong.example")).tls(authority.client()).resolver(names());
    let error = wrong.connect("ws://chat.example/").await.expect_err("not its name");
    assert_eq!(dial_error(&error).phase, Phase::Proxy, "{error}");
    assert_eq!(heads.all().len(), 2, "a proxy that is not verified hears no password");
}

/// A server of TLS that says of each of its clients whether it showed a certificate.
async fn curious(
    tls: ServerTls,
    origin: Option<SocketAddr>,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<bool>) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(move |stream| {
        let (tls, tell) = (tls.clone(), tell.clone());
        async move {
            let stream = tls.accept(stream).await.expect("a client of TLS");
            tell.send(stream.peer_certificates().is_some()).expect("the test listens");
            match origin {
                Some(origin) => tunnel(stream, ESTABLISHED, origin, &Heads::default()).await,
                None => echo_on(stream).await,
            }
        }
    })
    .await;
    (address, told)
}

#[tokio::test]
async fn the_clients_certificate_is_shown_to_the_host_and_never_to_a_proxy() {
    let authority = Authority::new();
    let (origin, mut at_origin) = curious(authority.curious_server(&["chat.example"]), None).await;
    let proxy_tls = authority.curious_server(&["proxy.example"]);
    let (proxy, mut at_proxy) = curious(proxy_tls, Some(origin)).await;
    let names = Names(vec![("proxy.example", vec![proxy]), ("chat.example", vec![origin])]);
    let connector = through(&format!("https://proxy.example:{}", proxy.port()))
        .tls(authority.client_with_certificate())
        .resolver(names);
    // Twice, for a session that is resumed is another way to say who one is.
    for _ in 0..2 {
        let mut socket = connector.connect("wss://chat.example/").await.expect("a tunnel");
        echoes(&mut socket).await;
        assert_eq!((at_origin.recv().await, at_proxy.recv().await), (Some(true), Some(false)));
    }
}
