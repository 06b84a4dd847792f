//! The probe service: off unless asked for, whatever is asked of it, and what strangers can do to it.

mod support;

use serde_json::{Value, json};
use support::raw::{ask, dial, read_answer, rest};
use support::{Running, start, start_with, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

async fn far_end() -> Running {
    start_with("probe = true").await
}

/// A bare stream with the far end, and its hello. `early` goes in one packet with the request.
async fn bare(server: &Running, target: &str, early: &str) -> (BufReader<TcpStream>, Value) {
    let mut stream = dial(server.address).await;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nX-MiXed: 1\r\nAuthorization: secret\r\nConnection: Upgrade\r\nUpgrade: any/1\r\n\r\n{early}",
        server.address
    );
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        within(stream.read_line(&mut head)).await.expect("a head");
    }
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("Upgrade: any/1"), "{head}");
    let hello = line(&mut stream).await["hello"].take();
    (stream, hello)
}

async fn line(stream: &mut BufReader<TcpStream>) -> Value {
    let mut line = String::new();
    within(stream.read_line(&mut line)).await.expect("a line");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[tokio::test]
async fn without_being_asked_for_it_is_not_there() {
    let server = start().await;
    let request = |more: &str| format!("GET /probe HTTP/1.1\r\nHost: {}\r\n{more}\r\n", server.address);
    for more in ["Connection: close\r\n", "Connection: Upgrade, close\r\nUpgrade: stream\r\n"] {
        assert_eq!(ask(server.address, &request(more)).await.status, 404, "{more}");
    }
}

#[tokio::test]
async fn it_says_what_it_saw_in_the_case_in_which_it_was_written_and_repeats_no_secret() {
    let server = far_end().await;
    let (_stream, hello) = bare(&server, "/probe?ticket=secret", "").await;
    let headers = hello["headers"].to_string();
    assert!(headers.contains("X-MiXed"), "{headers}");
    assert!(!hello.to_string().contains("secret"), "{hello}");
    assert_eq!((&hello["address"], &hello["early"]), (&json!("127.0.0.1"), &json!(0)));
}

#[tokio::test]
async fn bytes_in_one_packet_with_the_request_are_answered_behind_the_hello() {
    let server = far_end().await;
    let (mut stream, hello) = bare(&server, "/probe", "{\"ping\":{\"n\":5}}\n").await;
    assert_eq!(hello["early"], 17);
    assert_eq!(line(&mut stream).await, json!({"pong": {"n": 5}}));
}

#[tokio::test]
async fn a_byte_at_a_time_is_as_good_as_all_at_once() {
    let server = far_end().await;
    let (mut stream, _) = bare(&server, "/probe", "").await;
    for byte in b"{\"ping\":{\"n\":1}}\nB3\nabc" {
        stream.write_all(&[*byte]).await.expect("open");
        stream.flush().await.expect("open");
    }
    assert_eq!(line(&mut stream).await, json!({"pong": {"n": 1}}));
    let mut echo = [0; 6];
    within(stream.read_exact(&mut echo)).await.expect("the echo");
    assert_eq!(&echo, b"B3\nabc");
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_no_other() {
    let server = far_end().await;
    let (mut other, _) = bare(&server, "/probe", "").await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xff\xff\n", b"B99999999\n", b"Bx\n", b"\n"] {
        let (mut stream, _) = bare(&server, "/probe", "").await;
        stream.write_all(garbage).await.expect("open");
        assert_eq!(rest(&mut stream).await, "", "{garbage:?}");
    }
    other.write_all(b"{\"nonsense\":1}\n{\"ping\":{\"n\":1}}\n").await.expect("open");
    assert!(line(&mut other).await["error"]["message"].is_string());
    assert_eq!(line(&mut other).await, json!({"pong": {"n": 1}}));
}

#[tokio::test]
async fn a_unit_cut_at_any_byte_harms_nobody() {
    let server = far_end().await;
    let unit = b"{\"ping\":{\"n\":1}}\nB3\nabc";
    for end in 0..unit.len() {
        let (mut stream, _) = bare(&server, "/probe", "").await;
        stream.write_all(&unit[..end]).await.expect("open");
        stream.get_mut().shutdown().await.expect("open");
        // What was whole is answered, and then it is over.
        let mut answered = Vec::new();
        within(stream.read_to_end(&mut answered)).await.expect("an end");
        assert_eq!(answered.is_empty(), end < 17, "cut at {end}: {answered:?}");
    }
}

#[tokio::test]
async fn a_client_that_floods_and_reads_nothing_stalls_itself_alone() {
    let server = far_end().await;
    let (mut flood, _) = bare(&server, "/probe", "").await;
    let unit = [b"B65536\n".to_vec(), vec![0; 65_536]].concat();
    let flooding = async {
        loop {
            flood.write_all(&unit).await.expect("open");
        }
    };
    let talking = async {
        for n in 0..20 {
            let (mut stream, _) = bare(&server, "/probe", "").await;
            stream.write_all(format!("{{\"ping\":{{\"n\":{n}}}}}\n").as_bytes()).await.expect("open");
            assert_eq!(line(&mut stream).await, json!({"pong": {"n": n}}));
        }
    };
    tokio::select! {
        () = flooding => {}
        () = talking => {}
    }
}

#[tokio::test]
async fn a_bare_echo_sends_all_back_and_carries_the_end_through() {
    let server = far_end().await;
    let mut stream = dial(server.address).await;
    let request = format!(
        "OPTIONS /probe?mode=echo HTTP/1.1\r\nHost: {}\r\nUpgrade: firepresence\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        server.address
    );
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    stream.shutdown().await.expect("open");
    let all = rest(&mut stream).await;
    assert!(all.starts_with("HTTP/1.1 101 ") && all.ends_with("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), "{all}");
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_refused_and_nothing_behind_it_is_read() {
    let server = far_end().await;
    for body in ["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"] {
        let request = format!(
            "POST /probe HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: stream\r\n{body}\r\nabcGET /probe HTTP/1.1\r\n\r\n",
            server.address
        );
        let answer = ask(server.address, &request).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.header("trunkline").is_some(), "it says who answers");
    }
}

#[tokio::test]
async fn what_became_of_a_connection_is_told_on_another() {
    let server = far_end().await;
    let (stream, hello) = bare(&server, "/probe", "{\"mark\":{}}\n").await;
    drop(stream);
    let id = hello["id"].as_str().expect("a name");
    let request = format!(
        "GET /probe/ending?id={id} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address
    );
    let (address, ask_for_it) = (server.address, &request);
    support::eventually("it ends", || async move { ask(address, ask_for_it).await.json()["how"] != "open" })
        .await;
    let ending = ask(server.address, &request).await.json();
    assert_eq!(ending["units"], 1, "{ending}");
    let nobody = ask(server.address, &request.replace(id, "nobody")).await;
    assert_eq!(nobody.json(), Value::Null);
}

#[tokio::test]
async fn events_come_by_themselves_and_as_many_as_were_asked_for() {
    let server = far_end().await;
    let request = format!(
        "GET /probe/events?count=3&every_ms=1 HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address
    );
    let mut stream = dial(server.address).await;
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let all = rest(&mut stream).await;
    assert!(all.to_ascii_lowercase().contains("x-accel-buffering: no"), "{all}");
    assert_eq!(all.matches("data: {\"tick\"").count(), 3, "{all}");
}

#[tokio::test]
async fn an_upgrade_as_a_later_request_of_a_connection_is_the_same() {
    let server = far_end().await;
    let mut stream = dial(server.address).await;
    let plain = format!("GET /probe HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    stream.write_all(plain.as_bytes()).await.expect("the server reads");
    let first = read_answer(&mut stream).await;
    assert_eq!((first.status, &first.json()["probe"]), (200, &json!(1)));
    let upgrade = plain.replace("\r\n\r\n", "\r\nConnection: Upgrade\r\nUpgrade: stream\r\n\r\n");
    stream.write_all(upgrade.as_bytes()).await.expect("the server reads");
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        within(stream.read_line(&mut head)).await.expect("a head");
    }
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(line(&mut stream).await["hello"]["case_kept"], false);
}
