//! HTTP proxies: what they are asked, what they hear of secrets, and what they may answer.
#![cfg(feature = "proxy")]

mod dial_support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dial_support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use trunkline_net::{Connector, DialCause, Error, Limits, Phase, ProxyPolicy};

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// Through this proxy, knowing no name.
fn through(url: &str) -> Connector {
    let proxy = ProxyPolicy::Url(url.parse().expect("a proxy"));
    Connector::default().proxy(proxy).resolver(Names::default())
}

#[tokio::test]
async fn ws_goes_through_connect_with_the_hosts_name_and_port() {
    let origin = echo().await;
    let (proxy, heads) = connect_proxy(ESTABLISHED, origin).await;
    let connector = through(&format!("http://{proxy}"));
    for (url, asked) in [
        ("ws://chat.example/room?q=1", "chat.example:80"),
        ("ws://chat.example:8080/", "chat.example:8080"),
        ("ws://192.0.2.1/", "192.0.2.1:80"),
        ("ws://[2001:db8::1]:9001/", "[2001:db8::1]:9001"),
    ] {
        let mut socket = connector.connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let head = heads.all().pop().expect("it was asked");
        assert_eq!(head, format!("CONNECT {asked} HTTP/1.1\r\nHost: {asked}\r\n\r\n"));
        let stream = socket.stream().expect("open");
        assert_eq!((stream.peer_addr(), stream.proxy()), (proxy, Some(&*format!("http://{proxy}"))));
        echoes(&mut socket).await;
    }
}

#[tokio::test]
async fn the_proxys_password_goes_to_the_proxy_and_nowhere_else() {
    let (origin, at_origin) = answers("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
    let (proxy, at_proxy) = connect_proxy(ESTABLISHED, origin).await;
    let connector = through(&format!("http://zoe:hunter2@{proxy}")).header("Authorization", "Bearer abc");
    let error = connector.connect("ws://chat.example/").await.expect_err("401");
    let asked = at_proxy.all().remove(0);
    assert!(asked.contains("\r\nProxy-Authorization: Basic em9lOmh1bnRlcjI=\r\n"), "{asked}");
    assert!(!asked.contains("Bearer"), "{asked}");
    let head = at_origin.all().remove(0).to_lowercase();
    assert!(head.contains("authorization: bearer abc") && !head.contains("proxy-"), "{head}");
    for shown in [format!("{connector:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!shown.contains("hunter2") && !shown.contains("em9lOmh1bnRlcjI="), "{shown}");
    }
}

#[tokio::test]
async fn a_refusal_shows_status_headers_and_the_start_of_the_body() {
    let body = "<h1>Who are you?</h1>".repeat(500);
    let answer = format!(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (proxy, _) = answers(answer).await;
    let error = through(&format!("http://zoe:hunter2@{proxy}")).connect("ws://chat.example/").await;
    let error = error.expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!(
            "connecting to chat.example:80 through the proxy http://{proxy}: it answered 407 Proxy Authentication Required (phase: proxy)"
        )
    );
    let DialCause::ProxyRefused(response) = &dial_error(&error).cause else { panic!("{error}") };
    assert_eq!(response.headers()["proxy-authenticate"], "Basic realm=\"x\"");
    assert_eq!(response.body()[..], body.as_bytes()[..4096]);
}

#[tokio::test]
async fn of_a_refusal_in_chunks_the_contents_are_shown() {
    let answer = "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nno wa\r\n1\r\ny\r\n0\r\n\r\n";
    let error = answered(answer).await;
    let DialCause::ProxyRefused(response) = &dial_error(&error).cause else { panic!("{error}") };
    assert_eq!(response.body(), b"no way");
}

#[tokio::test]
async fn every_2xx_is_a_tunnel_whatever_else_is_in_the_head() {
    let origin = echo().await;
    for answer in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 204 Fine\r\n\r\n",
        "HTTP/1.1 299 Odd\r\nVia: x\r\n\r\n",
        // Both are to be ignored there (RFC 9110 section 9.3.6).
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let (proxy, _) = connect_proxy(answer, origin).await;
        let connected = through(&format!("http://{proxy}")).connect("ws://chat.example/").await;
        echoes(&mut connected.unwrap_or_else(|error| panic!("{answer:?}: {error}"))).await;
    }
}

/// What dialling fails with when the proxy answers this.
async fn answered(answer: impl Into<Vec<u8>>) -> Error {
    let (proxy, _) = answers(answer).await;
    let connector = through(&format!("http://{proxy}"));
    let error = timeout(HANG, connector.connect("ws://chat.example/")).await.expect("bounded");
    let error = error.expect_err("no tunnel");
    assert_eq!(dial_error(&error).phase, Phase::Proxy, "{error}");
    error
}

#[tokio::test]
async fn no_other_status_is_a_tunnel() {
    for status in [101, 199, 300, 301, 302, 400, 403, 404, 500, 502, 999] {
        let end = if status == 199 { "HTTP/1.1 403 No\r\n\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {status} X\r\nLocation: http://elsewhere/\r\n\r\n{end}");
        let error = answered(answer).await;
        assert!(matches!(dial_error(&error).cause, DialCause::ProxyRefused(_)), "{status}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_told_so() {
    for garbage in [
        "\x16\x03\x01\x00\x02",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "\u{1}\u{2}",
        "HTTP/1.1 200 OK\nx\n\n",
    ] {
        let error = answered(garbage).await;
        assert!(matches!(dial_error(&error).cause, DialCause::Proxy(_)), "{garbage:?}: {error}");
    }
    let error = answered("").await;
    assert!(matches!(dial_error(&error).cause, DialCause::Ended), "{error}");
    let error = answered("HTTP/1.1 200 OK\r\nVia: x").await;
    assert!(matches!(dial_error(&error).cause, DialCause::Proxy(_)), "{error}");
}

#[tokio::test]
async fn bytes_behind_the_200_are_the_proxys_own_and_refused() {
    let forged = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n";
    let error = answered(forged).await;
    assert!(error.to_string().contains("sent 36 bytes behind its answer"), "{error}");
}

#[tokio::test]
async fn a_head_of_exactly_the_limit_passes_and_one_more_byte_does_not() {
    const LIMIT: usize = 300;
    let origin = echo().await;
    for (length, passes) in [(LIMIT, true), (LIMIT + 1, false)] {
        let head = "HTTP/1.1 200 OK\r\nX-Pad: \r\n\r\n";
        let padding = "p".repeat(length - head.len());
        let answer: &'static str = head.replace("X-Pad: ", &format!("X-Pad: {padding}")).leak();
        assert_eq!(answer.len(), length);
        let (proxy, _) = connect_proxy(answer, origin).await;
        let limits = Limits { head_bytes: LIMIT, ..Limits::default() };
        let connected =
            through(&format!("http://{proxy}")).limits(limits).connect("ws://chat.example/").await;
        assert_eq!(connected.is_ok(), passes, "{length} bytes");
    }
}

#[tokio::test]
async fn as_many_fields_as_the_limit_pass_and_one_more_does_not() {
    let origin = echo().await;
    for (count, passes) in [(5, true), (6, false)] {
        let answer: &'static str =
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Field: 1\r\n".repeat(count)).leak();
        let (proxy, _) = connect_proxy(answer, origin).await;
        let limits = Limits { head_headers: 5, ..Limits::default() };
        let connected =
            through(&format!("http://{proxy}")).limits(limits).connect("ws://chat.example/").await;
        assert_eq!(connected.is_ok(), passes, "{count} fields");
    }
}

#[tokio::test]
async fn an_endless_head_is_not_read_to_its_end() {
    let written = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&written);
    let proxy = serve(move |mut stream| {
        let written = Arc::clone(&counting);
        async move {
            read_head(&mut stream).await;
            let line = b"X-Flood: 0123456789012345678901234567890123456789\r\n".repeat(20);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(&line).await.is_ok() {
                written.fetch_add(line.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let connector = through(&format!("http://{proxy}"));
    let error = timeout(HANG, connector.connect("ws://chat.example/")).await.expect("bounded");
    let error = error.expect_err("it has no end");
    assert!(matches!(dial_error(&error).cause, DialCause::Proxy(_)), "{error}");
    // What the kernel's buffers take on loopback is in it.
    assert!(written.load(Ordering::SeqCst) < 64 << 20);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_fails_to_connect_and_is_named() {
    let proxy = nobody().await;
    let error = through(&format!("http://zoe:hunter2@{proxy}")).connect("ws://chat.example/").await;
    let error = error.expect_err("nobody listens");
    assert_eq!(dial_error(&error).phase, Phase::Connect);
    let begins = format!("connecting to chat.example:80 through the proxy http://{proxy}: {proxy}: ");
    assert!(error.to_string().starts_with(&begins), "{error}");
}

#[tokio::test]
async fn the_proxys_own_name_is_looked_up_here() {
    let origin = echo().await;
    let (proxy, _) = connect_proxy(ESTABLISHED, origin).await;
    let names = Names(vec![("proxy.example", vec![nobody().await, proxy])]);
    let connector = through(&format!("http://proxy.example:{}", proxy.port())).resolver(names);
    let mut socket = connector.connect("ws://chat.example/").await.expect("the second address answers");
    assert_eq!(socket.stream().expect("open").peer_addr(), proxy);
    echoes(&mut socket).await;
}

#[tokio::test]
async fn no_policy_and_the_policy_none_go_directly() {
    let origin = echo().await;
    let connector = through("http://127.0.0.1:9").proxy(ProxyPolicy::None);
    let mut socket = connector.connect(&format!("ws://{origin}/")).await.expect("directly");
    assert_eq!(socket.stream().expect("open").proxy(), None);
    echoes(&mut socket).await;
}

#[tokio::test]
async fn a_redirect_goes_through_the_proxy_again() {
    let origin = echo().await;
    let (mover, _) =
        answers("HTTP/1.1 307 X\r\nLocation: ws://new.example/\r\nContent-Length: 0\r\n\r\n").await;
    // One proxy for both, which knows the hosts.
    let heads = Heads::default();
    let asked = heads.clone();
    let (listener, proxy) = listen().await;
    tokio::spawn(async move {
        for origin in [mover, origin] {
            let (stream, _) = listener.accept().await.expect("a client");
            let heads = heads.clone();
            tokio::spawn(async move { tunnel(stream, ESTABLISHED, origin, &heads).await });
        }
    });
    let connector = through(&format!("http://zoe:hunter2@{proxy}")).redirects(1);
    echoes(&mut connector.connect("ws://old.example/").await.expect("followed")).await;
    let asked = asked.all();
    assert!(
        asked[0].starts_with("CONNECT old.example:80 ") && asked[1].starts_with("CONNECT new.example:80 ")
    );
    assert!(asked[1].contains("Proxy-Authorization: "), "the proxy is the same");
}

#[tokio::test]
async fn behind_a_proxy_one_at_a_time_counts_by_name() {
    let (listener, proxy) = listen().await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let connector = through(&format!("http://{proxy}")).one_at_a_time(true);
        clients.spawn(async move { connector.connect("ws://chat.example/").await.map(drop) });
    }
    let other = through(&format!("http://{proxy}")).one_at_a_time(true);
    clients.spawn(async move { other.connect("ws://other.example/").await.map(drop) });
    let origin = echo().await;
    let (first, second) = (accepted(&listener).await, accepted(&listener).await);
    let more = timeout(std::time::Duration::from_millis(100), listener.accept()).await;
    assert!(more.is_err(), "one for each name, and no third");
    for stream in [first, second] {
        tokio::spawn(async move { tunnel(stream, ESTABLISHED, origin, &Heads::default()).await });
    }
    for _ in 0..2 {
        let stream = accepted(&listener).await;
        tokio::spawn(async move { tunnel(stream, ESTABLISHED, origin, &Heads::default()).await });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("no panic").expect("connected");
    }
}

async fn accepted(listener: &TcpListener) -> tokio::net::TcpStream {
    timeout(HANG, listener.accept()).await.expect("in time").expect("a client").0
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().expect("nobody panics with it").push(text.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn plaintext_that_leaves_this_machine_is_warned_of_once_per_host_and_loopback_never() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let origin: SocketAddr = echo().await;
    let (proxy, _) = connect_proxy(ESTABLISHED, origin).await;
    let connector = through(&format!("http://{proxy}"));
    for url in [
        "ws://plain-1.example/",
        "ws://plain-1.example:81/",
        "ws://plain-2.example/",
        "ws://plain-2.example/",
    ] {
        connector.connect(url).await.expect("a tunnel");
    }
    for url in [format!("ws://{origin}/"), "ws://localhost/".into(), "ws://[::1]/".into()] {
        connector.connect(&url).await.expect("a tunnel");
    }
    let said = warnings.0.lock().expect("nobody panics with it").clone();
    let about: Vec<_> = said.iter().filter(|text| text.contains("not encrypted: ")).collect();
    assert_eq!(about.len(), 2, "{said:?}");
    assert!(about[0].contains("plain-1.example") && about[1].contains("plain-2.example"), "{said:?}");
}
