//! Each phase on the way to a connection has its own time, and whoever waits in vain is told which one it was.

mod dial_support;

#[cfg(target_os = "linux")]
use std::net::SocketAddr;
use std::time::Duration;

use dial_support::*;
#[cfg(target_os = "linux")]
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use trunkline_net::{Addresses, Connector, DialCause, Error, Limits, Phase, Resolve, Timeouts};

/// The time of the phase that is to be missed. All others have plenty.
const SHORT: Duration = Duration::from_millis(100);

fn patient() -> Timeouts {
    let long = Some(HANG * 2);
    Timeouts { resolve: long, connect: long, proxy: long, tls: long, whole: long }
}

/// Fails if the error is not that of this phase's own time; gives its words.
fn stalled(error: &Error, phase: Phase) -> String {
    assert!(error.is_timeout(), "{error}");
    let error = dial_error(error);
    assert_eq!(error.phase, phase, "{error}");
    assert!(
        matches!(error.cause, DialCause::TimedOut { after: SHORT, whole: false }),
        "another time than its own: {error}"
    );
    error.to_string()
}

async fn fails(connector: &Connector, url: &str) -> Error {
    let connecting = connector.connect(url);
    timeout(HANG, connecting).await.expect("bounded").expect_err("nobody answers")
}

/// A resolver that never answers.
#[derive(Debug)]
struct Silent;

impl Resolve for Silent {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Addresses<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_is_named() {
    let timeouts = Timeouts { resolve: Some(SHORT), ..patient() };
    let connector = Connector::default().timeouts(timeouts).resolver(Silent);
    let words = stalled(&fails(&connector, "ws://somewhere.example/").await, Phase::Resolve);
    assert_eq!(words, "connecting to somewhere.example:80 took longer than 0.1 s (phase: resolve)");
}

/// A listener whose queue is full, to be kept: further connections get no answer from the kernel.
#[cfg(target_os = "linux")]
async fn full() -> (SocketAddr, (TcpListener, Vec<TcpStream>)) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("it has one");
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        queued.push(stream);
        assert!(queued.len() < 100, "the queue has no end");
    }
    (address, (listener, queued))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_that_does_not_answer_tcp_is_named() {
    let (address, _keep) = full().await;
    let connector = Connector::default().timeouts(Timeouts { connect: Some(SHORT), ..patient() });
    let words = stalled(&fails(&connector, &format!("ws://{address}/")).await, Phase::Connect);
    assert_eq!(words, format!("connecting to {address} took longer than 0.1 s (phase: connect)"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_had_failed_is_told_when_the_time_is_over_at_the_next() {
    let (address, _keep) = full().await;
    let refused = nobody().await;
    let names = Names(vec![("both.example", vec![refused, address])]);
    let connector =
        Connector::default().timeouts(Timeouts { connect: Some(SHORT), ..patient() }).resolver(names);
    let words = stalled(&fails(&connector, "ws://both.example/").await, Phase::Connect);
    assert!(words.contains(&format!("took longer than 0.1 s: {refused}: ")), "{words}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_fails_the_handshake() {
    let address = serve(stall).await;
    let limits = Limits { handshake_timeout: Some(SHORT), ..Limits::default() };
    let connector = Connector::default().timeouts(patient()).limits(limits);
    let words = stalled(&fails(&connector, &format!("ws://{address}/")).await, Phase::Handshake);
    assert_eq!(words, format!("connecting to {address} took longer than 0.1 s (phase: handshake)"));
}

#[tokio::test]
async fn whoever_waits_for_a_turn_has_the_whole_time_for_it() {
    let address = serve(stall).await;
    let url = format!("ws://{address}/");
    let first = Connector::default().one_at_a_time(true).timeouts(patient());
    let first = tokio::spawn({
        let url = url.clone();
        async move { first.connect(&url).await.map(drop) }
    });
    // Until the first has its turn, the second might be first.
    while dial_turn_is_free(&url).await {}
    let second = Connector::default().one_at_a_time(true).timeouts(Timeouts {
        whole: Some(SHORT),
        connect: Some(Duration::ZERO),
        ..patient()
    });
    let error = fails(&second, &url).await;
    let error = dial_error(&error);
    assert_eq!(error.phase, Phase::Turn);
    assert!(matches!(error.cause, DialCause::TimedOut { after: SHORT, whole: true }), "{error}");
    assert!(error.to_string().ends_with("took longer than 0.1 s in all (phase: turn)"), "{error}");
    first.abort();
}

/// Whether a connection gets past its turn.
async fn dial_turn_is_free(url: &str) -> bool {
    let timeouts = Timeouts { whole: Some(SHORT), ..patient() };
    let probe = Connector::default().one_at_a_time(true).timeouts(timeouts);
    let error = fails(&probe, url).await;
    dial_error(&error).phase != Phase::Turn
}

#[tokio::test]
async fn all_phases_together_have_a_time_of_their_own() {
    let address = serve(stall).await;
    let connector = Connector::default().timeouts(Timeouts { whole: Some(SHORT), ..patient() });
    let error = fails(&connector, &format!("ws://{address}/")).await;
    let error = dial_error(&error);
    assert_eq!(error.phase, Phase::Handshake, "it says where the time ran out");
    assert_eq!(
        error.to_string(),
        format!("connecting to {address} took longer than 0.1 s in all (phase: handshake)")
    );
}

#[tokio::test(start_paused = true)]
async fn no_timeouts_wait_for_ever() {
    let limits = Limits { handshake_timeout: None, ..Limits::default() };
    let none = Timeouts { resolve: None, connect: None, proxy: None, tls: None, whole: None };
    let connector = Connector::default().timeouts(none).limits(limits).resolver(Silent);
    let connecting = connector.connect("ws://somewhere.example/");
    assert!(timeout(Duration::from_secs(1 << 20), connecting).await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_has_the_same_phases() {
    let path = std::env::temp_dir().join(format!("trunkline-phases-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let gone = Connector::default().connect_unix(&path, "ws://localhost/").await.expect_err("nobody");
    assert_eq!(dial_error(&gone).phase, Phase::Connect);
    let listener = tokio::net::UnixListener::bind(&path).expect("bind");
    let limits = Limits { handshake_timeout: Some(SHORT), ..Limits::default() };
    let connector = Connector::default().timeouts(patient()).limits(limits);
    let error = connector.connect_unix(&path, "ws://localhost/").await.expect_err("nobody answers");
    let words = stalled(&error, Phase::Handshake);
    assert!(words.contains(&path.display().to_string()), "{words}");
    drop(listener);
    std::fs::remove_file(&path).expect("it was there");
}

#[cfg(feature = "proxy")]
#[tokio::test]
async fn a_proxy_that_does_not_answer_is_named_with_its_phase() {
    use trunkline_net::ProxyPolicy;

    let proxy = serve(stall).await;
    for scheme in ["http", "socks5h"] {
        let url = format!("{scheme}://{proxy}").parse().expect("a proxy");
        let connector = Connector::default()
            .timeouts(Timeouts { proxy: Some(SHORT), ..patient() })
            .proxy(ProxyPolicy::Url(url));
        let words = stalled(&fails(&connector, "ws://somewhere.example/").await, Phase::Proxy);
        assert_eq!(
            words,
            format!(
                "connecting to somewhere.example:80 through the proxy {scheme}://{proxy} took longer than 0.1 s (phase: proxy)"
            )
        );
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_server_that_does_not_answer_tls_is_named_with_its_phase() {
    let tls = dial_support::tls::Authority::new().client();
    let address = serve(stall).await;
    let connector = Connector::default().timeouts(Timeouts { tls: Some(SHORT), ..patient() }).tls(tls);
    let words = stalled(&fails(&connector, &format!("wss://{address}/")).await, Phase::Tls);
    assert_eq!(words, format!("connecting to {address} took longer than 0.1 s (phase: tls)"));
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn without_tls_a_secure_url_is_refused_in_clear_words() {
    let address = serve(stall).await;
    let error = fails(&Connector::default(), &format!("wss://{address}/")).await;
    assert!(matches!(dial_error(&error).cause, DialCause::NoTls));
    assert!(error.to_string().contains("no TLS"), "{error}");
}
