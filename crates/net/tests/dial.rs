//! From a URL to a stream: addresses that are dead, turns, what the stream tells of itself, and when a word is said
//! about encryption.

mod dial_support;

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dial_support::*;
use http::Version;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trunkline_net::url::WsUrl;
use trunkline_net::{Acceptor, Connector, DeflateConfig, DialCause, Error, Message, Phase, accept};

#[tokio::test]
async fn an_address_that_refuses_gives_way_to_the_next() {
    let (dead, alive) = (nobody().await, echo().await);
    let names = Names(vec![("both.example", vec![dead, alive])]);
    let connector = Connector::default().resolver(names);
    let mut socket = connector.connect("ws://both.example/").await.expect("one of them answers");
    assert_eq!(socket.stream().expect("open").peer_addr(), alive);
    echoes(&mut socket).await;
}

#[tokio::test]
async fn a_dead_ipv6_address_gives_way_to_ipv4() {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.expect("IPv6 on loopback");
    let dead = listener.local_addr().expect("it has one");
    drop(listener);
    let alive = echo().await;
    let names = Names(vec![("both.example", vec![dead, alive])]);
    let connector = Connector::default().resolver(names);
    let mut socket = connector.connect("ws://both.example/").await.expect("IPv4 answers");
    assert!(socket.stream().expect("open").peer_addr().is_ipv4());
    echoes(&mut socket).await;
}

#[tokio::test]
async fn when_no_address_answers_each_is_listed_with_its_error() {
    let (one, two) = (nobody().await, nobody().await);
    let names = Names(vec![("both.example", vec![one, two])]);
    let error = Connector::default().resolver(names).connect("ws://both.example:9/").await;
    let error = error.expect_err("nobody listens");
    let words = error.to_string();
    let dial = dial_error(&error);
    assert_eq!(dial.phase, Phase::Connect);
    assert!(matches!(dial.cause, DialCause::Unreachable));
    assert_eq!(dial.tried.iter().map(|(address, _)| *address).collect::<Vec<_>>(), [one, two]);
    assert!(words.starts_with(&format!("connecting to both.example:9: {one}: ")), "{words}");
    assert!(words.contains(&format!("; {two}: ")), "{words}");
    assert!(!error.is_timeout());
}

#[tokio::test]
async fn a_name_that_is_not_known_or_has_no_address_fails_to_resolve() {
    let names = || Names(vec![("empty.example", vec![])]);
    let error = Connector::default().resolver(names()).connect("ws://empty.example/").await;
    let error = error.expect_err("no address");
    assert_eq!(error.to_string(), "connecting to empty.example:80: the name has no address (phase: resolve)");
    let error = Connector::default().resolver(names()).connect("ws://other.example/").await;
    let error = error.expect_err("no such name");
    assert_eq!(dial_error(&error).phase, Phase::Resolve);
    assert!(error.to_string().contains("no such name: other.example"), "{error}");
}

#[tokio::test]
async fn an_address_in_a_url_asks_no_resolver() {
    let alive = echo().await;
    let connector = Connector::default().resolver(Names::default());
    let mut socket = connector.connect(&format!("ws://{alive}/")).await.expect("no name in it");
    echoes(&mut socket).await;
}

#[tokio::test]
async fn the_systems_resolver_knows_localhost() {
    let alive = echo().await;
    let mut socket =
        trunkline_net::connect(&format!("ws://localhost:{}/", alive.port())).await.expect("here");
    echoes(&mut socket).await;
}

#[tokio::test]
async fn a_plain_stream_tells_what_it_is() {
    let alive = echo().await;
    let stream = Connector::default().dial(&format!("ws://{alive}/")).await.expect("TCP");
    assert_eq!((stream.peer_addr(), stream.proxy()), (alive, None));
    assert_eq!((stream.is_tls(), stream.alpn(), stream.version()), (false, None, Version::HTTP_11));
    assert!(stream.peer_certificates().is_empty());
    // It is a stream like any other, to be used for a handshake later.
    let mut socket = Connector::default().handshake(stream, "ws://h/").await.expect("a WebSocket");
    echoes(&mut socket).await;
}

#[tokio::test]
async fn a_dialled_stream_carries_anything() {
    let address = serve(|mut stream| async move {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await;
    let mut stream = Connector::default().dial(&format!("ws://{address}/")).await.expect("TCP");
    stream.write_all(b"no WebSocket").await.expect("open");
    stream.shutdown().await.expect("open");
    let mut heard = Vec::new();
    timeout(HANG, stream.read_to_end(&mut heard)).await.expect("in time").expect("a clean end");
    assert_eq!(heard, b"no WebSocket");
}

#[tokio::test]
async fn a_connection_can_be_moved_to_another_task() {
    fn is_send<T: Send>(_: &T) {}
    let connector = Connector::default();
    let connecting = connector.connect("ws://127.0.0.1:9/");
    is_send(&connecting);
}

#[tokio::test]
async fn a_server_that_hangs_up_without_an_answer_is_told_so() {
    let address = serve(|mut stream| async move {
        read_head(&mut stream).await;
    })
    .await;
    let error = trunkline_net::connect(&format!("ws://{address}/")).await.expect_err("no answer");
    let dial = dial_error(&error);
    assert_eq!(dial.phase, Phase::Handshake);
    assert!(matches!(dial.cause, DialCause::Ended), "{error}");
}

#[tokio::test]
async fn secrets_are_not_in_what_debugging_shows() {
    let connector = Connector::default()
        .header("Authorization", "Bearer hunter2")
        .header("Cookie", "id=hunter2")
        .secret_header("X-Api-Key", "hunter2")
        .header("X-Plain", "shown");
    let shown = format!("{connector:?}");
    assert!(!shown.contains("hunter2") && shown.contains("shown"), "{shown}");
}

#[tokio::test]
async fn no_field_of_the_user_can_smuggle_a_line_into_the_request() {
    let (address, heads) = answers("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await;
    let url = format!("ws://{address}/");
    for bad in ["\r\nX-Smuggled: 1", "\nX-Smuggled: 1", "\rX", "\0"] {
        let connector = Connector::default;
        let text = format!("a{bad}");
        let mut attempts = vec![
            connector().header("x-a", &text).connect(&url).await,
            connector().header(&text, "a").connect(&url).await,
            connector().secret_header("x-a", &text).connect(&url).await,
            connector().origin(format!("https://{text}")).connect(&url).await,
            connector().subprotocol(&text).connect(&url).await,
            connector().connect(&format!("{url}{text}")).await,
            connector().connect(&format!("{url}?{text}")).await,
            connector().connect(&format!("ws://{text}@{address}/")).await,
            connector().connect(&format!("ws://{text}/")).await,
        ];
        let encoded = format!(
            "ws://{}:b@{address}/",
            bad.replace('\r', "%0d").replace('\n', "%0A").replace('\0', "%00")
        );
        attempts.push(connector().authorization_from_url(true).connect(&encoded).await);
        for (index, attempt) in attempts.into_iter().enumerate() {
            let error = attempt.expect_err("not to be sent");
            assert!(!matches!(error, Error::Handshake(_) | Error::Dial(_)), "{index}, {bad:?}: {error}");
        }
    }
    assert_eq!(heads.all().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn an_attempt_that_is_dropped_closes_its_stream() {
    let (listener, address) = listen().await;
    let connecting = tokio::spawn(async move { trunkline_net::connect(&format!("ws://{address}/")).await });
    let (mut stream, _) = listener.accept().await.expect("a client");
    read_head(&mut stream).await;
    connecting.abort();
    let end = timeout(HANG, stream.read(&mut [0; 16])).await.expect("in time");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn compression_is_offered_when_asked_for_and_its_settings_are_checked() {
    let address = serve(|stream| async move {
        let acceptor = Acceptor::default().deflate(DeflateConfig::default());
        let Ok(mut socket) = acceptor.accept(stream).await else { return };
        while let Some(Ok(message)) = socket.recv().await {
            let _ = socket.send(message).await;
        }
    })
    .await;
    let url = format!("ws://{address}/");
    for (connector, compressed) in
        [(Connector::default(), false), (Connector::default().deflate(DeflateConfig::default()), true)]
    {
        let mut socket = connector.connect(&url).await.expect("connected");
        let spoken = Message::from("again and ".repeat(1000));
        socket.send(spoken.clone()).await.expect("open");
        assert_eq!(socket.recv().await.expect("open").expect("clean"), spoken);
        assert_eq!(socket.counters().sent.wire_bytes < 5000, compressed);
    }
    let bad = DeflateConfig { level: 0, ..DeflateConfig::default() };
    let error = Connector::default().deflate(bad).connect(&url).await.expect_err("no such level");
    assert!(error.to_string().contains("level"), "{error}");
}

/// How many handshakes are open at once, and how many were at the most.
#[derive(Clone, Default)]
struct Gauge {
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gauge {
    async fn handshake(self, stream: TcpStream) {
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(open, Ordering::SeqCst);
        // Time for others to come, if they may.
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.open.fetch_sub(1, Ordering::SeqCst);
        let Ok(mut socket) = accept(stream).await else { return };
        let _ = socket.recv().await;
    }
}

async fn gauged() -> (SocketAddr, Gauge) {
    let gauge = Gauge::default();
    let counting = gauge.clone();
    (serve(move |stream| counting.clone().handshake(stream)).await, gauge)
}

#[tokio::test]
async fn one_at_a_time_holds_whatever_name_leads_to_an_address() {
    let (address, gauge) = gauged().await;
    let mut clients = tokio::task::JoinSet::new();
    for name in ["one.example", "two.example", "127.0.0.1"] {
        let dead = nobody().await;
        let names = Names(vec![("one.example", vec![address]), ("two.example", vec![dead, address])]);
        let connector = Connector::default().one_at_a_time(true).resolver(names);
        let url = format!("ws://{name}:{}/", address.port());
        clients.spawn(async move { connector.connect(&url).await.map(drop) });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("no panic").expect("connected");
    }
    assert_eq!(gauge.most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn whoever_waits_for_a_turn_does_not_take_another_address() {
    let ((busy, _), spare) = (gauged().await, echo().await);
    let held = serve(stall).await;
    // Somebody connects to `held`, and its handshake never ends.
    let first = Connector::default().one_at_a_time(true);
    let url = format!("ws://{held}/");
    let first = tokio::spawn(async move { first.connect(&url).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let names = Names(vec![("many.example", vec![held, spare, busy])]);
    let second = Connector::default().one_at_a_time(true).resolver(names);
    let connecting = second.connect("ws://many.example/");
    // Longer than Happy Eyeballs would wait for an address that was tried.
    let mut connecting = std::pin::pin!(connecting);
    assert!(timeout(Duration::from_millis(400), &mut connecting).await.is_err(), "it waits for its turn");
    first.abort();
    let error = timeout(Duration::from_millis(400), connecting).await;
    assert!(error.is_err(), "its turn has come, at the address that it waited for");
}

#[tokio::test]
async fn without_one_at_a_time_nobody_waits() {
    let address = serve(stall).await;
    let url = format!("ws://{address}/");
    let first = tokio::spawn(async move { trunkline_net::connect(&url).await.map(drop) });
    let stream = Connector::default().dial(&format!("ws://{address}/")).await;
    assert_eq!(stream.expect("TCP at once").peer_addr(), address);
    first.abort();
}

#[tokio::test]
async fn a_refusal_shows_status_headers_and_the_start_of_the_body() {
    let body = "x".repeat(5000);
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (address, _) = answers(answer).await;
    let error = trunkline_net::connect(&format!("ws://{address}/")).await.expect_err("refused");
    let Error::Handshake(error) = error else { panic!("{error}") };
    let response = error.response.expect("an answer came");
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].as_bytes()), (503, &b"7"[..]));
    assert_eq!(response.body().len(), 4096);
}

#[tokio::test]
async fn a_url_that_browsers_take_is_asked_for_as_it_stands() {
    let (server, heads) = answers("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await;
    let text = format!("ws://zoe:secret@{server}/?a=[1]|b");
    assert!(matches!(trunkline_net::connect(&text).await, Err(Error::Url(_))), "RFC 6455 has no such URL");
    let url = WsUrl::parse_whatwg(&text, None).expect("the WHATWG has");
    let connector = Connector::default().authorization_from_url(true);
    assert!(matches!(connector.connect_to(url).await, Err(Error::Handshake(_))));
    let head = heads.all().remove(0);
    assert!(head.starts_with("GET /?a=[1]|b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(": Basic em9lOnNlY3JldA==\r\n"), "{head}");
}

#[tokio::test]
async fn without_secrets_nothing_says_who_asks() {
    let (server, heads) = answers("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await;
    let connector = Connector::default()
        .authorization_from_url(true)
        .header("Cookie", "id=hunter2")
        .secret_header("X-Api-Key", "hunter2")
        .header("X-Plain", "1");
    let refused = connector.without_secrets().connect(&format!("ws://zoe:hunter2@{server}/")).await;
    assert!(matches!(refused, Err(Error::Handshake(_))));
    let head = heads.all().remove(0).to_lowercase();
    assert!(head.contains("\r\nx-plain: 1\r\n"), "{head}");
    for name in ["authorization", "cookie", "x-api-key", "hunter2"] {
        assert!(!head.contains(name), "{name} in\n{head}");
    }
}
