//! WebSockets in HTTP/2 connections, as the client chooses them.
#![cfg(all(feature = "http2", feature = "proxy", feature = "tls"))]

mod dial_support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dial_support::tls::Authority;
use dial_support::*;
use http::Version;
use tokio::io::{AsyncRead, AsyncWrite};
use trunkline_net::http2::{Http2Error, Http2Limits, Session, Sockets};
use trunkline_net::tls::ServerTls;
use trunkline_net::{Acceptor, Connector, DialCause, Error, Http2, Limits, Message, Phase, ProxyPolicy};

/// Echoes on every WebSocket of one HTTP/2 connection.
async fn echo_over_http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) {
    let acceptor = Acceptor::default().subprotocol("chat.1");
    let mut sockets = Sockets::start(stream, acceptor, &Http2Limits::default()).await.expect("HTTP/2");
    while let Some(socket) = sockets.accept().await {
        let Ok(mut socket) = socket else { continue };
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.recv().await {
                let _ = socket.send(message).await;
            }
        });
    }
}

/// HTTP/2 that knows nothing of WebSockets.
async fn without_websockets<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while connection.accept().await.is_some() {}
}

/// Speaks what ALPN chooses; counts the connections with `h2`.
async fn by_alpn(tls: ServerTls, websockets: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let address = serve(move |stream| {
        let (tls, counting) = (tls.clone(), Arc::clone(&counting));
        async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            if stream.alpn() != Some(b"h2") {
                return echo_on(stream).await;
            }
            counting.fetch_add(1, Ordering::SeqCst);
            if websockets { echo_over_http2(stream).await } else { without_websockets(stream).await }
        }
    })
    .await;
    (address, count)
}

const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

#[tokio::test]
async fn alpn_leads_to_http2_and_the_stream_tells_so() {
    let authority = Authority::new();
    let (address, count) = by_alpn(authority.server(&["127.0.0.1"], BOTH), true).await;
    let url = format!("wss://{address}/");
    let connector = Connector::default().tls(authority.client()).subprotocol("chat.1");
    let mut socket = connector.clone().http2(Http2::Alpn).connect(&url).await.expect("HTTP/2");
    assert_eq!(socket.subprotocol(), Some("chat.1"));
    let stream = socket.stream().expect("open");
    assert_eq!((stream.version(), stream.alpn()), (Version::HTTP_2, Some(&b"h2"[..])));
    assert_eq!((stream.is_tls(), stream.peer_addr()), (true, address));
    assert_eq!(stream.peer_certificates().len(), 1);
    echoes(&mut socket).await;
    // Nobody who did not ask for it gets it.
    let mut socket = connector.connect(&url).await.expect("HTTP/1.1");
    assert_eq!(socket.stream().expect("open").version(), Version::HTTP_11);
    echoes(&mut socket).await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_without_http2_gets_http1() {
    let authority = Authority::new();
    let (address, _) = by_alpn(authority.server(&["127.0.0.1"], &[b"http/1.1"]), true).await;
    let connector = Connector::default().tls(authority.client()).http2(Http2::Alpn);
    let mut socket = connector.connect(&format!("wss://{address}/")).await.expect("HTTP/1.1");
    assert_eq!(socket.stream().expect("open").version(), Version::HTTP_11);
    echoes(&mut socket).await;
}

#[tokio::test]
async fn a_server_with_http2_and_no_websockets_in_it_gets_another_connection_with_http1() {
    let authority = Authority::new();
    let (address, count) = by_alpn(authority.server(&["127.0.0.1"], BOTH), false).await;
    let connector = Connector::default().tls(authority.client());
    let url = format!("wss://{address}/");
    let mut socket = connector.clone().http2(Http2::Alpn).connect(&url).await.expect("HTTP/1.1 in the end");
    assert_eq!(socket.stream().expect("open").version(), Version::HTTP_11);
    echoes(&mut socket).await;
    assert_eq!(count.load(Ordering::SeqCst), 1, "HTTP/2 was tried");

    let error = connector.http2(Http2::PriorKnowledge).connect(&url).await.expect_err("HTTP/2 or nothing");
    assert_eq!(dial_error(&error).phase, Phase::Handshake);
    let DialCause::Http2(cause) = &dial_error(&error).cause else { panic!("{error}") };
    assert!(matches!(cause.downcast_ref(), Some(Http2Error::NotOffered)), "{cause:?}");
}

#[tokio::test]
async fn prior_knowledge_speaks_http2_in_plaintext_and_alpn_does_not() {
    let address = serve(|stream| async { echo_over_http2(stream).await }).await;
    let url = format!("ws://{address}/");
    let connector = Connector::default().http2(Http2::PriorKnowledge);
    let mut socket = connector.connect(&url).await.expect("HTTP/2");
    let stream = socket.stream().expect("open");
    assert_eq!((stream.version(), stream.is_tls(), stream.alpn()), (Version::HTTP_2, false, None));
    echoes(&mut socket).await;

    let address = echo().await;
    let connector = Connector::default().http2(Http2::Alpn);
    let mut socket = connector.connect(&format!("ws://{address}/")).await.expect("HTTP/1.1");
    assert_eq!(socket.stream().expect("open").version(), Version::HTTP_11);
    echoes(&mut socket).await;
}

#[tokio::test]
async fn a_server_that_never_sends_its_settings_fails_the_handshake_in_its_time() {
    let address = serve(stall).await;
    let limits = Limits { handshake_timeout: Some(Duration::from_millis(100)), ..Limits::default() };
    let connector = Connector::default().http2(Http2::PriorKnowledge).limits(limits);
    let error = connector.connect(&format!("ws://{address}/")).await.expect_err("silence");
    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().ends_with("took longer than 0.1 s (phase: handshake)"), "{error}");
}

#[tokio::test]
async fn http2_runs_inside_a_proxys_tunnel() {
    let authority = Authority::new();
    let (origin, count) = by_alpn(authority.server(&["chat.example"], BOTH), true).await;
    let (proxy, _) = connect_proxy("HTTP/1.1 200 OK\r\n\r\n", origin).await;
    let url = format!("http://{proxy}");
    let connector = Connector::default()
        .tls(authority.client())
        .http2(Http2::Alpn)
        .resolver(Names::default())
        .proxy(ProxyPolicy::Url(url.parse().expect("a proxy")));
    let mut socket = connector.connect("wss://chat.example/").await.expect("HTTP/2 in a tunnel");
    assert_eq!(socket.stream().expect("open").proxy(), Some(&*url));
    echoes(&mut socket).await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_websockets_share_one_connection_with_the_connectors_options() {
    let address = serve(|stream| async { echo_over_http2(stream).await }).await;
    let connector = Connector::default().subprotocol("chat.1");
    let stream = connector.dial(&format!("ws://{address}/")).await.expect("TCP");
    let session = Session::start(stream, &Http2Limits::default()).await.expect("HTTP/2");
    for number in 0..3 {
        let mut socket = connector.over_http2(&session, "ws://chat.example/").await.expect("one more");
        assert_eq!(socket.subprotocol(), Some("chat.1"));
        let spoken = Message::from(format!("number {number}"));
        socket.send(spoken.clone()).await.expect("open");
        assert_eq!(socket.recv().await.expect("open").expect("clean"), spoken);
    }
}

#[tokio::test]
async fn a_stream_that_fails_before_its_answer_fails_the_handshake() {
    for is_reset in [true, false] {
        let address = serve(move |stream| async move {
            let mut connection = h2::server::Builder::new()
                .enable_connect_protocol()
                .handshake::<_, bytes::Bytes>(stream)
                .await
                .expect("HTTP/2");
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                if !is_reset {
                    return;
                }
                respond.send_reset(h2::Reason::INTERNAL_ERROR);
            }
        })
        .await;
        let connector = Connector::default().http2(Http2::PriorKnowledge);
        let error = connector.connect(&format!("ws://{address}/")).await.expect_err("failed");
        let error = dial_error(&error);
        assert_eq!((error.phase, &*error.to), (Phase::Handshake, &*address.to_string()));
        let DialCause::Http2(cause) = &error.cause else { panic!("{error}") };
        let cause = cause.downcast_ref().expect("an error of HTTP/2");
        let internal = u32::from(h2::Reason::INTERNAL_ERROR);
        let told = matches!(cause, Http2Error::Failed { code, remote: true } if *code == internal);
        assert_eq!(told, is_reset, "{cause}");
    }
}

#[tokio::test]
async fn a_refusal_over_http2_is_a_refusal_like_any_other() {
    let address = serve(|stream| async {
        let mut connection = h2::server::Builder::new()
            .enable_connect_protocol()
            .handshake::<_, bytes::Bytes>(stream)
            .await
            .expect("HTTP/2");
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let response = http::Response::builder().status(403).header("x-why", "because");
            let response = response.body(()).expect("a response");
            let mut body = respond.send_response(response, false).expect("open");
            body.send_data("not you".into(), true).expect("open");
        }
    })
    .await;
    let connector = Connector::default().http2(Http2::PriorKnowledge);
    let error = connector.connect(&format!("ws://{address}/")).await.expect_err("refused");
    let Error::Handshake(error) = error else { panic!("{error}") };
    let response = error.response.expect("an answer came");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-why"]),
        (403, &"because".parse().expect("a value"))
    );
    assert_eq!(response.body(), b"not you");
}
