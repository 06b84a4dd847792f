//! Dialling by every way, dropped at every one of its awaits: sockets close, and nothing is held that the next one needs.
#![cfg(all(feature = "http2", feature = "proxy", feature = "tls"))]

mod dial_support;
mod step;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dial_support::tls::Authority;
use dial_support::*;
use step::polled;
use tokio::time::timeout;
use trunkline_net::http2::{Http2Limits, Sockets};
use trunkline_net::{Acceptor, Connector, Http2, ProxyPolicy};

/// How many streams of a server are open.
#[derive(Clone, Default)]
struct Open(Arc<AtomicUsize>);

impl Open {
    async fn while_open(self, work: impl Future<Output = ()>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        work.await;
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits until there are none; that there are some for ever is a leak.
    async fn none(&self) {
        let none = async {
            while self.0.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        timeout(HANG, none).await.expect("every stream ends with its future");
    }
}

/// An echo behind TLS that speaks both versions of HTTP, and who is there.
async fn secure_echo(authority: &Authority) -> (SocketAddr, Open) {
    let tls = authority.server(&["127.0.0.1"], &[b"h2", b"http/1.1"]);
    let open = Open::default();
    let counted = open.clone();
    let address = serve(move |stream| {
        let (tls, open) = (tls.clone(), counted.clone());
        open.while_open(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            if stream.alpn() != Some(b"h2") {
                return echo_on(stream).await;
            }
            let sockets = Sockets::start(stream, Acceptor::default(), &Http2Limits::default()).await;
            let Ok(mut sockets) = sockets else { return };
            while let Some(socket) = sockets.accept().await {
                let Ok(mut socket) = socket else { continue };
                tokio::spawn(async move {
                    while let Some(Ok(message)) = socket.recv().await {
                        if socket.send(message).await.is_err() {
                            return;
                        }
                    }
                });
            }
        })
    })
    .await;
    (address, open)
}

/// Real sockets, so that how many polls it takes is the kernel's affair: from one poll to many, until one is enough.
async fn every_await(connector: Connector, url: &str, open: &Open) {
    let mut dropped = 0;
    for polls in (0..40).chain([100, 1000, 10_000, 100_000, 1_000_000]) {
        match polled(connector.connect(url), polls).await {
            None => dropped += 1,
            Some(socket) => {
                let mut socket = socket.unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
                echoes(&mut socket).await;
                break;
            }
        }
    }
    assert!(dropped > 1, "there were awaits to be dropped at");
    open.none().await;
    let mut socket = connector.connect(url).await.expect("nothing is in its way");
    echoes(&mut socket).await;
}

#[tokio::test]
async fn through_tls_with_both_versions_of_http_dialling_may_be_dropped_at_any_await() {
    let authority = Authority::new();
    let (origin, open) = secure_echo(&authority).await;
    for http2 in [Http2::Never, Http2::Alpn] {
        let connector = Connector::default().tls(authority.client()).http2(http2).one_at_a_time(true);
        every_await(connector, &format!("wss://{origin}/"), &open).await;
    }
}

#[tokio::test]
async fn through_a_proxy_and_tls_dialling_may_be_dropped_at_any_await() {
    let authority = Authority::new();
    let (origin, open) = secure_echo(&authority).await;
    let (proxy, _) = connect_proxy("HTTP/1.1 200 Connection established\r\n\r\n", origin).await;
    let policy = ProxyPolicy::Url(format!("http://{proxy}").parse().expect("a proxy"));
    let connector = Connector::default().tls(authority.client()).proxy(policy).one_at_a_time(true);
    every_await(connector, &format!("wss://{origin}/"), &open).await;
}
