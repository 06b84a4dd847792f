//! `trunkline echo`, with `trunkline connect` as its client.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::support::{PATIENCE, Running, run};

#[test]
fn what_goes_in_comes_back_and_the_end_is_clean() {
    let (_echo, url) = Running::echo(&[]);
    let lines = "one\nzwei \u{1f9f6}\n\nwithout a newline at the end";
    let done = run(&["connect", &url], lines);
    assert_eq!((done.code, done.out), (Some(0), format!("{lines}\n")));
    assert_eq!(done.err, "closed by us, answered with code 1000\n");
}

#[test]
fn thousands_of_lines_come_back_in_order() {
    let (_echo, url) = Running::echo(&[]);
    let lines: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let done = run(&["connect", &url], &lines);
    assert_eq!(done.code, Some(0));
    assert!(done.out == lines, "{} bytes came back of {}", done.out.len(), lines.len());
}

#[test]
fn it_takes_any_path_and_any_origin() {
    let (_echo, url) = Running::echo(&[]);
    let url = format!("{url}any/path?and=query");
    let done = run(&["connect", &url, "--header", "Origin: http://evil.example"], "hello\n");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "hello\n"));
}

#[test]
fn it_speaks_no_subprotocol() {
    let (_echo, url) = Running::echo(&[]);
    let done = run(&["connect", &url, "--subprotocol", "chat.1"], "hello\n");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "hello\n"));
}

/// What it answers to a request that offers compression.
fn answer_to_an_offer(args: &[&str]) -> String {
    let (_echo, url) = Running::echo(args);
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let lines = BufReader::new(stream).lines().map(|line| line.expect("ASCII").to_lowercase());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn it_agrees_to_compression_as_it_is_offered_unless_it_is_told_not_to() {
    let agreed = answer_to_an_offer(&[]);
    assert!(agreed.ends_with("sec-websocket-extensions: permessage-deflate"), "{agreed}");
    let declined = answer_to_an_offer(&["--no-deflate"]);
    assert!(declined.starts_with("http/1.1 101") && !declined.contains("extensions"), "{declined}");
}

#[test]
fn a_message_over_max_message_ends_its_connection_with_1009() {
    let (_echo, url) = Running::echo(&["--max-message", "5"]);
    let done = run(&["connect", &url], "12345\n");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "12345\n"));
    let done = run(&["connect", &url], "123456\n");
    assert_eq!(done.out, "");
    assert!(done.err.starts_with("closed by the remote with code 1009"), "{}", done.err);
}

#[test]
fn sigterm_closes_every_connection_with_1001_and_ends_cleanly() {
    let (echo, url) = Running::echo(&[]);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Running::start(crate::support::trunkline(&["connect", &url]));
        client.write("here\n");
        client.out.line(|line| line == "here");
        clients.push(client);
    }
    echo.signal("TERM");
    for client in clients {
        let done = client.wait();
        assert_eq!((done.code, done.err.as_str()), (Some(0), "closed by the remote with code 1001\n"));
    }
    let done = echo.wait();
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
}

#[test]
fn out_of_descriptors_it_waits_until_there_are_some_again() {
    let mut shell = std::process::Command::new("sh");
    let script = "ulimit -n 24; exec \"$0\" echo --listen 127.0.0.1:0";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_trunkline")]);
    let (echo, port) = Running::server(shell);
    let connect = || std::net::TcpStream::connect(("127.0.0.1", port)).expect("the backlog has room");
    let many: Vec<_> = (0..40).map(|_| connect()).collect();
    echo.err.line(|line| line.contains("cannot accept a connection"));
    drop(many);
    let done = run(&["connect", &format!("ws://127.0.0.1:{port}/")], "still here\n");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "still here\n"), "{}", done.err);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let (_echo, url) = Running::echo(&[]);
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let done = run(&["echo", "--listen", address], "");
    assert_eq!(done.code, Some(1));
    assert!(done.err.starts_with(&format!("trunkline: cannot listen on {address}: ")), "{}", done.err);
}
