//! Whose address a client has: by its socket, by the PROXY protocol, by the fields of its request; and who may say so.
//!
//! The clients here are raw sockets on loopback, which is trusted where a test is about proxies. What holds for addresses that are
//! not loopback is in `addresses_elsewhere.rs`.

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::raw::{Answer, KEY, dial, read_answer, rest};
use support::{Running, eventually, start_with, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use trunkline_net::proxy_protocol::{Endpoints, kind, write};

const SECRETS: &str = "api.key = \"long-enough-to-be-safe\"\n\
                       session.key = \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff\"\n";

/// An upgrade of `/connect` with a ticket and these header lines.
fn upgrade(address: SocketAddr, ticket: &str, lines: &str) -> String {
    format!(
        "GET /connect?ticket={ticket} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
}

/// The answer to an upgrade with these header lines, behind these bytes; and the connection.
async fn come_in(server: &Running, ticket: &str, before: &[u8], lines: &str) -> (Answer, TcpStream) {
    let mut stream = dial(server.address).await;
    let request = [before, upgrade(server.address, ticket, lines).as_bytes()].concat();
    stream.write_all(&request).await.expect("the server reads");
    (read_answer(&mut stream).await, stream)
}

/// How the API shows the only session of a user.
async fn shown(server: &Running, user: &str) -> (Value, Value) {
    let sessions = async || server.get(&format!("sessions?user={user}")).await.1["sessions"].clone();
    eventually("a session", async || sessions().await.as_array().is_some_and(|all| all.len() == 1)).await;
    let session = sessions().await[0].clone();
    (session["address"].clone(), session["address_by"].clone())
}

/// The first text message of a server, unmasked and short.
async fn first_message(stream: &mut TcpStream) -> Value {
    let mut head = [0; 2];
    within(stream.read_exact(&mut head)).await.expect("a frame");
    let length = match head[1] {
        126 => usize::from(within(stream.read_u16()).await.expect("a length")),
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    within(stream.read_exact(&mut payload)).await.expect("a payload");
    serde_json::from_slice(&payload).expect("JSON")
}

fn proxy_v2(client: &str, tls: Option<bool>) -> Vec<u8> {
    let endpoints = Endpoints::Inet {
        source: client.parse().expect("an address and a port"),
        destination: "192.0.2.9:443".parse().expect("an address and a port"),
    };
    let ssl = [u8::from(tls == Some(true)), 0, 0, 0, 0];
    let tlvs: &[(u8, &[u8])] = if tls.is_some() { &[(kind::SSL, &ssl)] } else { &[] };
    write(&endpoints, tlvs, true)
}

#[tokio::test]
async fn forged_fields_from_who_is_no_proxy_change_nothing_or_are_refused_as_configured() {
    let forged = [
        "X-Forwarded-For: 192.0.2.66",
        "Forwarded: for=192.0.2.66",
        "X-Real-IP: 192.0.2.66",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "Forwarded: \"broken",
    ];
    let ignoring = start_with("listen.trusted = \"192.168.0.201\"").await;
    let rejecting = start_with("[listen]\ntrusted = \"192.168.0.201\"\nforged = \"reject\"").await;
    for (number, line) in forged.iter().enumerate() {
        let user = format!("u{number}");
        let (answer, _stream) =
            come_in(&ignoring, &ignoring.ticket(&user).await, b"", &format!("{line}\r\n")).await;
        assert_eq!(answer.status, 101, "{line}");
        assert_eq!(shown(&ignoring, &user).await, (json!("127.0.0.1"), json!("socket")), "{line}");

        let (answer, _stream) = come_in(&rejecting, "x", b"", &format!("{line}\r\n")).await;
        assert_eq!(answer.status, 400, "{line}");
        let api = format!("GET /api/v1/node HTTP/1.1\r\nHost: a\r\n{line}\r\nConnection: close\r\n\r\n");
        assert_eq!(support::raw::ask(rejecting.address, &api).await.status, 400, "{line}");
    }
    let (answer, _stream) = come_in(&rejecting, &rejecting.ticket("ann").await, b"", "").await;
    assert_eq!(answer.status, 101, "without such fields");
}

#[tokio::test]
async fn behind_trusted_proxies_the_client_is_the_first_address_from_the_right_that_is_not_trusted() {
    let server = start_with("listen.trusted = [\"127.0.0.1\", \"192.168.0.200\", \"192.168.0.201\"]").await;
    for (user, lines, expected, by) in [
        // 192.168.0.100 -> .200 -> .201 -> a proxy on this machine.
        (
            "a",
            "X-Forwarded-For: 192.168.0.100, 192.168.0.200, 192.168.0.201\r\n",
            "192.168.0.100",
            "forwarded",
        ),
        (
            "b",
            "X-Forwarded-For: 192.168.0.201, 192.168.0.100, 192.168.0.200\r\n",
            "192.168.0.100",
            "forwarded",
        ),
        (
            "c",
            "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: 192.168.0.100\r\n",
            "192.168.0.100",
            "forwarded",
        ),
        ("d", "Forwarded: for=6.6.6.6, for=\"[2001:db8::7]:81\";proto=https\r\n", "2001:db8::7", "forwarded"),
        ("e", "X-Real-IP: 6.6.6.6\r\n", "127.0.0.1", "socket"),
        ("f", "", "127.0.0.1", "socket"),
        ("g", "X-Forwarded-For: unknown\r\n", "127.0.0.1", "socket"),
    ] {
        let (answer, _stream) = come_in(&server, &server.ticket(user).await, b"", lines).await;
        assert_eq!(answer.status, 101, "{lines}");
        assert_eq!(shown(&server, user).await, (json!(expected), json!(by)), "{lines}");
    }
    for lines in [
        "X-Forwarded-For: 192.0.2.1, garbage\r\n",
        "Forwarded: for=\"192.0.2.1\r\n",
        "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=6.6.6.6\r\n",
    ] {
        let (answer, _stream) = come_in(&server, &server.ticket("z").await, b"", lines).await;
        assert_eq!(answer.status, 400, "{lines}");
    }
}

#[tokio::test]
async fn a_ticket_is_held_to_the_address_that_a_proxy_verifies_and_adopt_states_one_where_none_does() {
    let server = start_with("listen.trusted = \"127.0.0.1\"").await;
    let ticket = async || server.mint(&json!({"user": "ann", "ip": "192.0.2.1"})).await;
    let (_, mut stream) = come_in(&server, &ticket().await, b"", "X-Forwarded-For: 192.0.2.1\r\n").await;
    assert!(first_message(&mut stream).await["connected"].is_object());
    let forged = "X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n";
    let (_, mut stream) = come_in(&server, &ticket().await, b"", forged).await;
    assert_eq!(first_message(&mut stream).await["disconnect"]["code"], "unauthenticated");

    let adopted = server.mint(&json!({"user": "bob", "ip": "192.0.2.3", "policy": "adopt"})).await;
    let (_, _stream) = come_in(&server, &adopted, b"", "").await;
    assert_eq!(shown(&server, "bob").await, (json!("192.0.2.3"), json!("ticket")));
}

#[tokio::test]
async fn each_client_behind_a_proxy_is_limited_by_its_own_address_also_in_connections_that_they_share() {
    let server = start_with(
        "[listen]\ntrusted = \"127.0.0.1\"\n[limits]\nconnections_per_address = 2\nhandshakes_per_address_per_s = 3",
    )
    .await;
    let from = |ip: &str| format!("X-Forwarded-For: {ip}\r\n");
    let mut held = Vec::new();
    for (ip, expected) in
        [("192.0.2.1", 101), ("192.0.2.1", 101), ("192.0.2.1", 429), ("192.0.2.2", 101), ("192.0.2.1", 429)]
    {
        let ticket = server.ticket("ann").await;
        let (answer, stream) = come_in(&server, &ticket, b"", &from(ip)).await;
        assert_eq!(answer.status, expected, "{ip}");
        assert_eq!(answer.header("retry-after").is_some(), expected == 429);
        held.push(stream);
    }
    drop(held);
    eventually("the first has gone", async || {
        let (answer, _) = come_in(&server, "bad", b"", &from("192.0.2.1")).await;
        answer.status == 101
    })
    .await;

    // One kept-alive connection of the proxy, with requests of many clients.
    let mut stream = dial(server.address).await;
    for (ip, expected) in [("192.0.2.7", 200), ("192.0.2.8", 200), ("192.0.2.7, garbage", 400)] {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{}\r\n", from(ip));
        stream.write_all(request.as_bytes()).await.expect("it reads");
        assert_eq!(read_answer(&mut stream).await.status, expected, "{ip}");
    }
}

#[tokio::test]
async fn what_a_proxy_brings_from_elsewhere_is_not_taken_for_this_machine() {
    let server = start_with("listen.trusted = \"127.0.0.1\"").await;
    let get = |path: &str, lines: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Connection: close\r\n\r\n");
        async move { support::raw::ask(server.address, &request).await.status }
    };
    assert_eq!(get("/metrics", "").await, 200);
    assert_eq!(get("/metrics", "X-Forwarded-For: 192.0.2.1\r\n").await, 401);
    assert_eq!(
        get("/metrics", "X-Forwarded-For: 127.0.0.1\r\n").await,
        401,
        "the proxy's machine, or anybody's word"
    );
    let body = "{\"user\": \"ann\"}";
    let ticket = |lines: &str| {
        let request = format!(
            "POST /dev/ticket HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             {lines}Connection: close\r\n\r\n{body}",
            body.len()
        );
        async move { support::raw::ask(server.address, &request).await.status }
    };
    assert_eq!(ticket("").await, 200);
    assert_eq!(ticket("X-Forwarded-For: 192.0.2.1\r\n").await, 403);
}

const BY_PROXY: &str = "[listen]\nproxy_protocol = \"required\"\ntrusted = [\"127.0.0.1\", \"10.0.0.5\"]\n";

#[tokio::test]
async fn the_proxy_protocol_names_the_client_in_both_versions_and_what_it_cannot_name_is_the_proxys() {
    let server = start_by_proxy("").await;
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    for (user, header, lines, expected, by) in [
        ("a", line("PROXY TCP4 192.0.2.1 192.0.2.9 4711 443"), "", "192.0.2.1", "proxy"),
        ("b", line("PROXY TCP6 2001:db8::1 2001:db8::9 4711 443"), "", "2001:db8::1", "proxy"),
        ("c", proxy_v2("192.0.2.3:1", None), "", "192.0.2.3", "proxy"),
        ("d", proxy_v2("[2001:db8::4]:1", Some(true)), "", "2001:db8::4", "proxy"),
        ("e", line("PROXY UNKNOWN"), "", "127.0.0.1", "socket"),
        ("f", write(&Endpoints::Local, &[], false), "", "127.0.0.1", "socket"),
        ("g", proxy_v2("192.0.2.5:1", None), "X-Forwarded-For: 6.6.6.6\r\n", "192.0.2.5", "proxy"),
        // A proxy for TCP in front of one for HTTP, both ours.
        ("h", proxy_v2("10.0.0.5:1", None), "X-Forwarded-For: 192.0.2.8\r\n", "192.0.2.8", "forwarded"),
    ] {
        let (answer, _stream) = come_in(&server, &server.ticket(user).await, &header, lines).await;
        assert_eq!(answer.status, 101, "{user}");
        assert_eq!(shown(&server, user).await, (json!(expected), json!(by)), "{user}");
    }
}

#[tokio::test]
async fn a_header_is_read_byte_by_byte_and_without_one_or_with_a_broken_one_nothing_is_answered() {
    let server = start_by_proxy("").await;
    let ticket = server.ticket("ann").await;
    let all = [&proxy_v2("192.0.2.1:1", None), upgrade(server.address, &ticket, "").as_bytes()].concat();
    let mut stream = dial(server.address).await;
    stream.set_nodelay(true).expect("an option");
    for byte in &all {
        stream.write_all(&[*byte]).await.expect("it reads");
    }
    assert_eq!(read_answer(&mut stream).await.status, 101);

    for garbage in [
        &b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.9 4711\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
        b"\x16\x03\x01\x02\0\x01",
        b"PROXY TCP4 192.0.2.1",
    ] {
        let mut stream = dial(server.address).await;
        stream.write_all(garbage).await.expect("it reads");
        stream.shutdown().await.expect("a half");
        assert_eq!(rest(&mut stream).await, "", "{}", garbage.escape_ascii());
    }
    assert_eq!(server.metric_of("trunkline_rejected_total", "proxy_invalid").await, 4.0);
}

#[tokio::test]
async fn a_connection_that_is_of_no_listed_proxy_is_closed_whatever_it_begins_with() {
    let server = start_by_proxy("").await;
    assert_eq!(read_to_end_from(server.address, &proxy_v2("192.0.2.1:1", None)).await, "");
    assert_eq!(server.metric_of("trunkline_rejected_total", "proxy_not_listed").await, 1.0);
}

/// From another loopback address, which is not listed.
async fn read_to_end_from(address: SocketAddr, bytes: &[u8]) -> String {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("all of 127.0.0.0/8 is this machine's");
    let mut stream = within(socket.connect(address)).await.expect("it listens");
    let _ = stream.write_all(bytes).await;
    // A reset says no more than an end.
    let mut all = Vec::new();
    let _ = within(stream.read_to_end(&mut all)).await;
    String::from_utf8(all).expect("text")
}

#[tokio::test]
async fn clients_by_the_proxy_protocol_are_limited_by_their_own_address() {
    let server = start_by_proxy("[limits]\nconnections_per_address = 1\n").await;
    let ticket = server.ticket("ann").await;
    let (answer, _held) = come_in(&server, &ticket, &proxy_v2("192.0.2.1:1", None), "").await;
    assert_eq!(answer.status, 101);
    let (answer, _) = come_in(&server, "x", &proxy_v2("192.0.2.1:2", None), "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("10")));
    let (answer, _also) = come_in(&server, "x", &proxy_v2("192.0.2.2:1", None), "").await;
    assert_eq!(answer.status, 101);
}

#[tokio::test]
async fn where_something_in_front_does_tls_what_came_to_it_in_plaintext_can_be_refused() {
    let toml = format!(
        "{SECRETS}[listen]\ntrusted = \"127.0.0.1\"\ntls = \"offloaded\"\nhttps_only = true\n\
         [listener.tcp]\naddress = \"127.0.0.1:0\"\ntls = \"offloaded\"\nproxy_protocol = \"required\"\n"
    );
    let (server, addresses) =
        support::start_all(&toml.replace("[listen]", "[listen]\naddress = \"127.0.0.1:0\"")).await;
    for (lines, expected) in [
        ("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", 101),
        ("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n", 403),
        ("X-Forwarded-For: 192.0.2.1\r\n", 403),
        ("Forwarded: for=192.0.2.1;proto=https\r\n", 101),
        ("Forwarded: for=6.6.6.6;proto=https, for=192.0.2.1\r\n", 403),
        ("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https, http\r\n", 403),
        ("", 101),
    ] {
        let (answer, _stream) = come_in(&server, "x", b"", lines).await;
        assert_eq!(answer.status, expected, "{lines}");
    }
    for (tls, expected) in [(Some(true), 101), (Some(false), 403), (None, 403)] {
        let mut stream = dial(addresses[1]).await;
        let head = upgrade(addresses[1], "x", "");
        let request = [&proxy_v2("192.0.2.1:1", tls), head.as_bytes()].concat();
        stream.write_all(&request).await.expect("it reads");
        assert_eq!(read_answer(&mut stream).await.status, expected, "{tls:?}");
    }
}

#[tokio::test]
async fn a_page_is_judged_by_the_host_and_scheme_that_its_proxy_was_asked_for() {
    let server = start_with("listen.trusted = \"127.0.0.1\"").await;
    let told = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: app.example\r\n";
    for (lines, expected) in [
        (format!("{told}Origin: https://app.example\r\nX-Forwarded-Proto: https\r\n"), 101),
        (format!("{told}Origin: http://app.example\r\nX-Forwarded-Proto: https\r\n"), 403),
        (format!("{told}Origin: https://evil.example\r\nX-Forwarded-Proto: https\r\n"), 403),
        ("Origin: https://app.example\r\n".to_owned(), 403),
    ] {
        let (answer, _stream) = come_in(&server, "x", b"", &lines).await;
        assert_eq!(answer.status, expected, "{lines}");
    }
}

#[tokio::test]
async fn who_opens_a_unix_socket_can_be_trusted_to_be_the_proxy() {
    let path = std::env::temp_dir().join(format!("trunkline-addresses-{}.sock", std::process::id()));
    let toml = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\nunix = {:?}\ntrusted = \"unix\"\n",
        path.display().to_string()
    );
    let (server, _) = support::start_all(&toml).await;
    for (user, lines, expected, by) in [
        ("a", "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n", json!("192.0.2.1"), "forwarded"),
        ("b", "", Value::Null, "unix"),
    ] {
        let mut stream = within(UnixStream::connect(&path)).await.expect("it listens");
        let head = upgrade(server.address, &server.ticket(user).await, lines);
        stream.write_all(head.as_bytes()).await.expect("it reads");
        assert_eq!(read_answer(&mut stream).await.status, 101);
        assert_eq!(shown(&server, user).await, (expected, json!(by)), "{user}");
        drop(stream);
    }
}

/// Whose listener for clients wants the PROXY protocol, and whose API is beside it.
async fn start_by_proxy(more: &str) -> Running {
    start_with(&format!("{SECRETS}{BY_PROXY}[listen.api]\naddress = \"127.0.0.1:0\"\n{more}")).await
}
