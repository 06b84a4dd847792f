//! `Upgrade: TLS/1.2` (RFC 2817): before a stream and in one request with it, and what must not come of it.

mod support;

use support::stream::{echoes, head, request, rest};
use support::tls::Authority;
use support::{Running, raw, start_with, within};
use tokio::io::AsyncWriteExt;
use trunkline_net::stream::{Carrier, Connector};
use trunkline_net::{DialCause, Error};

async fn start(upgrade: bool) -> (Authority, Running) {
    let authority = Authority::new();
    authority.issue("server", &["localhost"]);
    // Unless it is switched on, nobody would use the certificate: a second listener does.
    let toml = authority.toml(&["server"], &format!("upgrade = {upgrade}"));
    let toml = if upgrade { toml } else { toml.replace("tls = \"off\"", "tls = \"on\"") };
    let server = start_with(&format!("[listen]\ntls = \"off\"\n{toml}")).await;
    (authority, server)
}

fn asks(server: &Running, start: &str, upgrade: &str) -> String {
    format!(
        "{start} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n",
        server.address
    )
}

#[tokio::test]
async fn one_request_asks_for_tls_and_the_stream_in_it() {
    let (authority, server) = start(true).await;
    let mut stream = raw::dial(server.address).await;
    let asked = asks(&server, "GET /stream/echo", "TLS/1.2, stream");
    stream.write_all(asked.as_bytes()).await.expect("taken");
    let answer = head(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 101 ") && answer.contains("\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n"),
        "{answer}"
    );
    let mut inside = within(authority.client().connect("localhost", stream)).await.expect("TLS");
    let answer = head(&mut inside).await;
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("\r\nUpgrade: stream\r\n"), "{answer}");
    echoes(&mut inside, b"secret").await;
}

#[tokio::test]
async fn options_asks_for_tls_alone_and_the_connection_goes_on_in_it() {
    let (authority, server) = start(true).await;
    let mut stream = raw::dial(server.address).await;
    stream.write_all(asks(&server, "OPTIONS *", "TLS/1.2").as_bytes()).await.expect("taken");
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    let mut inside = within(authority.client().connect("localhost", stream)).await.expect("TLS");
    let answer = head(&mut inside).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    inside.write_all(request(&server, "/stream/echo", "").as_bytes()).await.expect("taken");
    inside.flush().await.expect("taken");
    assert!(head(&mut inside).await.starts_with("HTTP/1.1 101 "));
    echoes(&mut inside, b"secret").await;
}

#[tokio::test]
async fn the_client_goes_the_same_way_and_says_nothing_before_tls() {
    let (authority, server) = start(true).await;
    let way = trunkline_net::Connector::default().tls(authority.client());
    let connector = Connector::new(way).tls_upgrade();
    for path in ["/stream/echo", "/stream/echo?ticket=unused"] {
        let url = format!("http://localhost:{}{path}", server.address.port());
        let mut opened = within(connector.connect(&url)).await.expect("open");
        assert!(opened.dialled().expect("open").is_tls() && opened.carrier() == Carrier::Upgrade);
        echoes(&mut opened, b"secret").await;
        opened.shutdown().await.expect("open");
        assert_eq!(rest(&mut opened).await, b"");
    }
}

#[tokio::test]
async fn where_it_is_off_the_header_means_nothing_and_the_client_goes_no_further() {
    let (authority, server) = start(false).await;
    let both = asks(&server, "GET /stream/echo", "TLS/1.2, stream");
    let mut stream = raw::dial(server.address).await;
    stream.write_all(both.as_bytes()).await.expect("taken");
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("\r\nUpgrade: stream\r\n"), "{answer}");
    let way = trunkline_net::Connector::default().tls(authority.client());
    let url = format!("http://localhost:{}/stream/echo", server.address.port());
    let error = within(Connector::new(way).tls_upgrade().connect(&url)).await.expect_err("no TLS, no stream");
    assert!(matches!(error, Error::Handshake(_)), "{error}");
}

#[tokio::test]
async fn what_was_sent_in_plaintext_behind_the_request_is_never_read_inside_tls() {
    let (_authority, server) = start(true).await;
    let smuggled = asks(&server, "OPTIONS *", "TLS/1.2") + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = raw::ask(server.address, &smuggled).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.body.contains("behind"), "{}", answer.body);
    for (start, upgrade, status) in [("POST /x", "TLS/1.2", 405), ("GET /x", "TLS/1.2, a b", 400)] {
        assert_eq!(raw::ask(server.address, &asks(&server, start, upgrade)).await.status, status);
    }
}

#[tokio::test]
async fn a_server_of_another_name_is_not_gone_on_with() {
    let (authority, server) = start(true).await;
    let way = trunkline_net::Connector::default().tls(authority.client());
    let url = format!("http://{}/stream/echo", server.address);
    let error = within(Connector::new(way).tls_upgrade().connect(&url)).await.expect_err("another name");
    assert!(matches!(&error, Error::Dial(failed) if matches!(failed.cause, DialCause::Tls(_))), "{error}");
}
