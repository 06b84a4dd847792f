//! Limits and proxies between addresses that are not loopback: in a network namespace of the test's own, which it enters by starting
//! itself once more inside (`unshare`, `ip`).
#![cfg(target_os = "linux")]

mod support;

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use serde_json::{Value, json};
use support::raw::{Answer, KEY, read_answer};
use support::{Running, eventually, start_config, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use trunkline_net::proxy_protocol::{Endpoints, write};
use trunkline_server::Config;

/// Set for the process inside.
const INSIDE: &str = "TRUNKLINE_TEST_INSIDE_NAMESPACE";

/// The server, a client, two proxies, and a stranger.
const SERVER: &str = "192.168.0.1";
const CLIENT: &str = "192.168.0.100";
const FIRST_PROXY: &str = "192.168.0.200";
const SECOND_PROXY: &str = "192.168.0.201";
const STRANGER: &str = "192.168.0.66";

/// Whether this process is inside; if not, the test runs again, inside, and has to pass there.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let addresses = [SERVER, CLIENT, FIRST_PROXY, SECOND_PROXY, STRANGER];
    let add: String = addresses.iter().map(|ip| format!("ip address add {ip}/32 dev lo && ")).collect();
    let script = format!("ip link set lo up && {add} exec \"$0\" --exact {test} --nocapture");
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("a program"))
        .env(INSIDE, "1")
        .status()
        .expect("unshare (util-linux) is needed");
    assert!(
        status.success(),
        "inside a network namespace: {status}; user namespaces and ip (iproute2) are needed"
    );
    false
}

async fn start(listen: &str, limits: &str) -> Running {
    let toml = format!(
        "api.key = \"long-enough-to-be-safe\"\n\
         session.key = \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff\"\n\
         [listen]\naddress = \"{SERVER}:0\"\ntls = \"offloaded\"\ntrusted = [\"{FIRST_PROXY}\", \"{SECOND_PROXY}\"]\n{listen}\n\
         [listen.api]\naddress = \"127.0.0.1:0\"\n[limits]\n{limits}\n"
    );
    start_config(Config::parse("test.toml", &toml).expect("no problems")).await
}

async fn dial_from(ip: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(ip.parse().expect("an address"), 0)).expect("an address of this namespace");
    within(socket.connect(address)).await.expect("it listens")
}

fn upgrade(address: SocketAddr, ticket: &str, lines: &str) -> String {
    format!(
        "GET /connect?ticket={ticket} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
}

async fn come_in(ip: &str, address: SocketAddr, ticket: &str, lines: &str) -> (Answer, TcpStream) {
    let mut stream = dial_from(ip, address).await;
    // Who is turned away at once may be so before it has written all.
    let _ = stream.write_all(upgrade(address, ticket, lines).as_bytes()).await;
    (read_answer(&mut stream).await, stream)
}

async fn shown(server: &Running, user: &str) -> (Value, Value) {
    let sessions = async || server.get(&format!("sessions?user={user}")).await.1["sessions"].clone();
    eventually("a session", async || sessions().await.as_array().is_some_and(|all| all.len() == 1)).await;
    let session = sessions().await[0].clone();
    (session["address"].clone(), session["address_by"].clone())
}

/// An HTTP proxy that listens and dials as `ip`, adds who has come to it to `X-Forwarded-For`, and carries one upgrade.
async fn proxy(ip: &'static str, next: SocketAddr) -> SocketAddr {
    let address: IpAddr = ip.parse().expect("an address");
    let listener = TcpListener::bind((address, 0)).await.expect("an address of this namespace");
    let own = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let (mut client, remote) = listener.accept().await.expect("a client");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.expect("a head"));
        }
        let mut head = String::from_utf8(head).expect("text").trim_end().to_owned();
        match head.find("X-Forwarded-For: ") {
            Some(at) => head.insert_str(
                at + head[at..].find("\r\n").unwrap_or(head.len() - at),
                &format!(", {}", remote.ip()),
            ),
            None => head += &format!("\r\nX-Forwarded-For: {}", remote.ip()),
        }
        let mut server = dial_from(ip, next).await;
        server.write_all(format!("{head}\r\n\r\n").as_bytes()).await.expect("it reads");
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    own
}

#[tokio::test]
async fn through_two_proxies_the_client_is_who_has_come_to_the_first_whatever_it_says_of_itself() {
    if !inside("through_two_proxies_the_client_is_who_has_come_to_the_first_whatever_it_says_of_itself") {
        return;
    }
    let server = start("", "").await;
    for (user, from, lines, expected) in [
        ("ann", CLIENT, "", CLIENT),
        ("bob", CLIENT, "X-Forwarded-For: 127.0.0.1, 192.168.0.200\r\n", CLIENT),
        ("cat", STRANGER, "X-Forwarded-For: 192.168.0.100\r\n", STRANGER),
    ] {
        let second = proxy(SECOND_PROXY, server.address).await;
        let first = proxy(FIRST_PROXY, second).await;
        let ticket = server.mint(&json!({"user": user, "ip": expected})).await;
        let (answer, _stream) = come_in(from, first, &ticket, lines).await;
        assert_eq!(answer.status, 101, "{user}");
        assert_eq!(shown(&server, user).await, (json!(expected), json!("forwarded")), "{user}");
    }
    // Straight to the server nobody is believed but the socket.
    let forged = "X-Forwarded-For: 192.168.0.100\r\n";
    let (answer, _stream) = come_in(STRANGER, server.address, &server.ticket("dan").await, forged).await;
    assert_eq!(answer.status, 101);
    assert_eq!(shown(&server, "dan").await, (json!(STRANGER), json!("socket")));
}

#[tokio::test]
async fn one_connection_too_many_is_refused_by_address_and_in_all_and_others_are_not_held_up() {
    if !inside("one_connection_too_many_is_refused_by_address_and_in_all_and_others_are_not_held_up") {
        return;
    }
    let server = start("", "connections_per_address = 2\nconnections = 6").await;
    let mut held = Vec::new();
    for (ip, lines, expected) in [
        (STRANGER, "", 101),
        (STRANGER, "", 101),
        (STRANGER, "", 429),
        (CLIENT, "", 101),
        // A proxy is not counted by its own address, but for whom it brings.
        (SECOND_PROXY, "X-Forwarded-For: 192.168.0.66\r\n", 429),
        (SECOND_PROXY, "X-Forwarded-For: 192.168.0.77\r\n", 101),
        (SECOND_PROXY, "X-Forwarded-For: 192.168.0.78\r\n", 101),
        (SECOND_PROXY, "X-Forwarded-For: 192.168.0.79\r\n", 101),
        (CLIENT, "", 503),
    ] {
        // Six fit in all; those that were refused are gone by when the next one comes.
        let accepted = held.len();
        eventually("only who came in is there", async || {
            let open = server.metric("trunkline_connections").await;
            accepted >= 6 || open <= accepted as f64 + 1.0
        })
        .await;
        let (answer, stream) = come_in(ip, server.address, "x", lines).await;
        assert_eq!(answer.status, expected, "{ip} {lines}");
        assert_eq!(answer.header("retry-after"), (expected != 101).then_some("10"), "{ip}");
        if expected == 101 {
            held.push(stream);
        }
    }
}

#[tokio::test]
async fn handshakes_are_limited_by_address_and_who_is_too_fast_is_told_when_to_come_back() {
    if !inside("handshakes_are_limited_by_address_and_who_is_too_fast_is_told_when_to_come_back") {
        return;
    }
    let server = start("", "handshakes_per_address_per_s = 1").await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let (answer, _) = come_in(STRANGER, server.address, "x", "").await;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[0], 101);
    assert!(statuses.contains(&429), "{statuses:?}");
    let (answer, _) = come_in(CLIENT, server.address, "x", "").await;
    assert_eq!(answer.status, 101, "others are not meant");
}

#[tokio::test]
async fn the_proxy_protocol_is_taken_from_listed_addresses_alone() {
    if !inside("the_proxy_protocol_is_taken_from_listed_addresses_alone") {
        return;
    }
    let server = start("proxy_protocol = \"required\"", "").await;
    let endpoints = Endpoints::Inet {
        source: SocketAddr::new(CLIENT.parse().expect("an address"), 4711),
        destination: server.address,
    };
    let ticket = server.ticket("ann").await;
    let request = [write(&endpoints, &[], true), upgrade(server.address, &ticket, "").into_bytes()].concat();

    let mut stream = dial_from(STRANGER, server.address).await;
    let _ = stream.write_all(&request).await;
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "{}", answer.escape_ascii());

    let mut stream = dial_from(SECOND_PROXY, server.address).await;
    stream.write_all(&request).await.expect("it reads");
    assert_eq!(read_answer(&mut stream).await.status, 101);
    assert_eq!(shown(&server, "ann").await, (json!(CLIENT), json!("proxy")));
}
