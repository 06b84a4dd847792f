//! Cross-site WebSocket hijacking: which pages may connect, as a matrix of `Origin`, `Host` and configuration.

mod support;

use support::raw::{ask, dial, read_answer, upgrade};
use support::{Running, start, start_with};
use tokio::io::AsyncWriteExt;

async fn is_let_in(server: &Running, host: &str, origin: &str) -> bool {
    let request = upgrade(server.address, "/connect", &format!("Origin: {origin}\r\n"))
        .replace(&format!("Host: {}", server.address), &format!("Host: {host}"));
    let mut stream = dial(server.address).await;
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    match read_answer(&mut stream).await.status {
        101 => true,
        403 => false,
        status => panic!("{status} for Host {host} and Origin {origin}"),
    }
}

#[tokio::test]
async fn by_default_only_the_page_of_the_same_host_and_port_is_let_in() {
    let server = start().await;
    let matrix = [
        ("chat.example", "https://chat.example", true),
        ("chat.example", "http://chat.example", true),
        ("chat.example", "https://CHAT.example", true),
        ("chat.example:8443", "https://chat.example:8443", true),
        ("chat.example", "https://chat.example:443", true),
        ("chat.example", "https://chat.example:8443", false),
        ("chat.example:8443", "https://chat.example", false),
        ("chat.example", "https://evil-chat.example", false),
        ("chat.example", "https://chat.example.evil.example", false),
        ("chat.example", "https://evil.example/chat.example", false),
        ("chat.example", "https://evil.example?chat.example", false),
        ("chat.example", "https://chat.example@evil.example", false),
        ("chat.example", "https://sub.chat.example", false),
        ("chat.example", "null", false),
        ("chat.example", "", false),
        ("chat.example", "chat.example", false),
        ("chat.example", "file://chat.example", false),
        ("chat.example", "https://chat.example https://evil.example", false),
        ("127.0.0.1:8101", "http://127.0.0.1:8101", true),
        ("127.0.0.1:8101", "http://localhost:8101", false),
        ("[::1]:8101", "http://[::1]:8101", true),
    ];
    for (host, origin, expected) in matrix {
        assert_eq!(is_let_in(&server, host, origin).await, expected, "Host {host}, Origin {origin}");
    }
}

#[tokio::test]
async fn listed_origins_are_let_in_besides_the_same_one_and_no_others() {
    let server = start_with("origins = [\"https://app.example\", \"http://localhost:5173\"]").await;
    for (origin, expected) in [
        ("https://app.example", true),
        ("http://localhost:5173", true),
        ("https://chat.example", true),
        ("http://app.example", false),
        ("https://app.example:8443", false),
        ("https://app.example.evil.example", false),
        ("null", false),
    ] {
        assert_eq!(is_let_in(&server, "chat.example", origin).await, expected, "{origin}");
    }
}

#[tokio::test]
async fn with_a_star_every_page_is_let_in() {
    let server = start_with("origins = [\"*\"]").await;
    for origin in ["https://anything.example", "null"] {
        assert!(is_let_in(&server, "chat.example", origin).await, "{origin}");
    }
}

#[tokio::test]
async fn two_origins_are_refused_and_none_is_no_browser() {
    let server = start().await;
    let two = "Origin: http://127.0.0.1\r\nOrigin: https://evil.example\r\n";
    assert_eq!(ask(server.address, &upgrade(server.address, "/connect", two)).await.status, 403);
    let mut stream = dial(server.address).await;
    stream.write_all(upgrade(server.address, "/connect", "").as_bytes()).await.expect("the server reads");
    assert_eq!(read_answer(&mut stream).await.status, 101);
}

#[tokio::test]
async fn a_cookie_is_no_credential() {
    let server = start().await;
    let session = support::peer::Peer::connect(&server, "ann").await.session();
    let connector =
        trunkline_net::Connector::default().header("Cookie", &format!("ticket={session}; session={session}"));
    let mut socket = support::peer::knock_with(&server, &connector, "").await;
    socket.send(r#"{"id":1,"presence":{"channel":"room:1"}}"#).await.expect("open");
    let reply = support::peer::read(&mut socket).await.expect("a reply");
    assert_eq!(reply["error"]["code"], "unauthenticated", "{reply}");
}
