//! `trunkline connect` in a pipe: what it sends, what it shows, what it ends with.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use trunkline_net::{CloseCode, Message};

use crate::support::{Folder, Running, run, trunkline};

#[test]
fn a_refused_handshake_shows_status_headers_and_the_start_of_the_body() {
    let body = format!("go\taway\n\x1b[2J{}", "x".repeat(2000));
    let (url, server) = answers_once(format!(
        "HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let done = run(&["connect", &format!("{url}path?ticket=hunter2")], "");
    server.join().expect("the server has answered");
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    let lines: Vec<&str> = done.err.lines().collect();
    assert!(lines[0].starts_with(&format!("trunkline: cannot connect to {}: ", url.trim_end_matches('/'))));
    assert!(!done.err.contains("hunter2"), "{}", done.err);
    assert_eq!(lines[1], "HTTP/1.1 403 Forbidden");
    assert!(lines.contains(&"x-why: because") && lines.contains(&"go\taway"), "{}", done.err);
    assert!(lines.iter().any(|line| line.starts_with("\\u{1b}[2Jxxx")), "{}", done.err);
    assert_eq!(lines.last(), Some(&"..."));
}

#[test]
fn ticket_headers_and_subprotocols_are_sent_and_a_password_is_shown_nowhere() {
    let (url, server) =
        answers_once("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned());
    let url = url.replace("ws://", "http://zoe:hunter2@");
    let options = [
        "--ticket",
        "t-1",
        "--header",
        "X-A: 1",
        "--header",
        "x-a: 2",
        "--subprotocol",
        "b",
        "--subprotocol",
        "a",
    ];
    let done = run(&[&["connect", &format!("{url}p?q=1")][..], &options].concat(), "");
    let head = server.join().expect("the server has answered").to_lowercase();
    assert!(head.starts_with("get /p?q=1 http/1.1\r\n"), "{head}");
    for header in ["x-auth-token: t-1", "x-a: 1", "x-a: 2", "sec-websocket-protocol: b, a"] {
        assert!(head.contains(&format!("\r\n{header}\r\n")), "{header} is not in\n{head}");
    }
    // "zoe:hunter2" in Base64, lower case as all of the head here.
    assert!(head.contains(&format!("authorization: basic {}", "em9lOmh1bnRlcjI=".to_lowercase())), "{head}");
    assert_eq!(done.code, Some(1));
    assert!(!done.err.contains("hunter2") && !done.err.contains("zoe"), "{}", done.err);
}

#[test]
fn a_url_that_browsers_take_is_taken_with_its_password() {
    let (_echo, url) = Running::echo(&[]);
    let url = format!("{}?a=[1]|b", url.replace("ws://", "http://zoe:hun[ter2@"));
    let done = run(&["connect", &url], "here\n");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "here\n"), "{}", done.err);
}

#[test]
fn roots_that_the_system_does_not_have_are_not_laid_on_the_certificate() {
    let nowhere = ["--cert", "nowhere.pem", "--key", "nowhere.pem"];
    let mut command = trunkline(&[&["connect", "wss://127.0.0.1:1/"][..], &nowhere].concat());
    command.env("SSL_CERT_FILE", "nowhere.pem").env("SSL_CERT_DIR", "nowhere");
    let done = crate::support::finish(command, "");
    assert_eq!(done.code, Some(1), "{}", done.err);
    assert!(done.err.contains("roots") || done.err.contains("trust"), "{}", done.err);
    assert!(!done.err.contains("--cert"), "{}", done.err);
}

#[test]
fn nobody_there_is_unclean() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    drop(listener);
    let done = run(&["connect", &format!("ws://127.0.0.1:{port}/")], "");
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("refused"), "{}", done.err);
}

#[test]
fn a_proxys_refusal_is_shown_like_a_servers_and_its_password_nowhere() {
    let body = "<h1>no</h1>";
    let (url, proxy) = answers_once(format!(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let proxied = url.replace("ws://", "http://zoe:hunter2@");
    let done = run(&["connect", "ws://chat.example/?ticket=hunter2", "--proxy", &proxied], "");
    let head = proxy.join().expect("the proxy has answered");
    assert!(head.starts_with("CONNECT chat.example:80 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nProxy-Authorization: Basic em9lOmh1bnRlcjI=\r\n"), "{head}");
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    assert!(
        done.err.contains("it answered 407 Proxy Authentication Required (phase: proxy)"),
        "{}",
        done.err
    );
    assert!(done.err.ends_with("HTTP/1.1 407 Proxy Authentication Required\nproxy-authenticate: Basic\ncontent-length: 11\n\n<h1>no</h1>\n"), "{}", done.err);
    assert!(!done.err.contains("hunter2") && !done.err.contains("zoe"), "{}", done.err);
}

#[test]
fn a_proxy_of_the_environment_is_used_unless_told_otherwise() {
    let (_echo, url) = Running::echo(&[]);
    let connect = |options: &[&str]| {
        let mut command = trunkline(&[&["connect", &url][..], options].concat());
        // Nobody listens on port 1.
        command.env("http_proxy", "http://zoe:hunter2@127.0.0.1:1");
        command
    };
    let done = crate::support::finish(connect(&[]), "here\n");
    assert_eq!(done.code, Some(1));
    assert!(
        done.err.contains("through the proxy http://127.0.0.1:1: ") && !done.err.contains("hunter2"),
        "{}",
        done.err
    );
    let done = crate::support::finish(connect(&["--no-proxy"]), "here\n");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "here\n"));
    let mut exempt = connect(&[]);
    exempt.env("NO_PROXY", "127.0.0.1");
    let done = crate::support::finish(exempt, "here\n");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "here\n"));
}

#[test]
fn redirects_are_followed_only_when_asked_for() {
    let (_echo, target) = Running::echo(&[]);
    let moved = || {
        let answer = "HTTP/1.1 307 Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n";
        answers_once(answer.replace("{}", &target.replace("ws://", "http://")))
    };
    let (url, server) = moved();
    let done = run(&["connect", &url, "--redirects", "1", "--deflate"], "here\n");
    server.join().expect("the server has answered");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "here\n"), "{}", done.err);
    let (url, server) = moved();
    let done = run(&["connect", &url], "here\n");
    server.join().expect("the server has answered");
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("307") && done.err.contains("location: http://"), "{}", done.err);
}

#[test]
fn a_server_that_does_not_answer_is_given_up_with_its_phase() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("it signs itself");
    let folder = Folder::with("ca.pem", &certificate.pem());
    let trusted = folder.path().join("ca.pem");
    let trusted = trusted.to_str().expect("UTF-8");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    for (scheme, phase) in [("ws", "handshake"), ("wss", "tls")] {
        let url = format!("{scheme}://{address}/");
        let done = run(&["connect", &url, "--timeout", "0.2", "--ca", trusted], "");
        assert_eq!(done.code, Some(1));
        let words = format!("connecting to {address} took longer than 0.2 s in all (phase: {phase})");
        assert!(done.err.contains(&words), "{}", done.err);
    }
}

#[test]
fn http2_is_spoken_in_plaintext_only_with_prior_knowledge() {
    let (_echo, url) = Running::echo(&[]);
    let done = run(&["connect", &url, "--http2"], "here\n");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "here\n"), "{}", done.err);
    let done = run(&["connect", &url, "--http2=prior-knowledge"], "here\n");
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "echo has no HTTP/2");
}

#[test]
fn a_remote_that_vanishes_is_unclean() {
    let (mut echo, url) = Running::echo(&[]);
    let mut client = Running::start(trunkline(&["connect", &url]));
    client.write("here\n");
    client.out.line(|line| line == "here");
    echo.kill();
    let done = client.wait();
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("without a Close frame (1006)"), "{}", done.err);
}

#[test]
fn the_remotes_close_is_told_with_code_and_reason() {
    let (url, server) = serves_once(vec![], (CloseCode::new(4000).expect("a code"), "b\u{f6}se \x1b[2J"));
    // Its stdin stays open: it is the remote that ends this.
    let done = Running::start(trunkline(&["connect", &url])).wait();
    server.join().expect("the server is done");
    assert_eq!(done.code, Some(0));
    assert_eq!(done.err, "closed by the remote with code 4000, reason \"b\u{f6}se \\u{1b}[2J\"\n");
}

#[test]
fn binary_is_printed_as_hexadecimal_digits_and_text_as_it_is() {
    let messages = vec![Message::from(vec![0, 255, 16]), Message::from("a\u{1b}b"), Message::from(vec![])];
    let (url, server) = serves_once(messages, (CloseCode::NORMAL, ""));
    let done = Running::start(trunkline(&["connect", &url])).wait();
    server.join().expect("the server is done");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "0x00ff10\na\u{1b}b\n0x\n"));
}

#[test]
fn stdin_that_is_not_utf8_is_an_error_with_its_line() {
    let (_echo, url) = Running::echo(&[]);
    let command = format!("printf 'ok\\n\\377\\n' | {} connect {url}", env!("CARGO_BIN_EXE_trunkline"));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &command]);
    let done = crate::support::finish(shell, "");
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("trunkline: stdin:2: "), "{}", done.err);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_cleanly() {
    let (_echo, url) = Running::echo(&[]);
    let binary = env!("CARGO_BIN_EXE_trunkline");
    // The status is that of `connect`, whose input would never end.
    let command = format!("{{ yes | {binary} connect {url}; echo ended with $? >&2; }} | head -n 2");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &command]);
    let done = crate::support::finish(shell, "");
    assert_eq!(done.out, "y\ny\n");
    assert!(done.err.ends_with("ended with 0\n"), "{}", done.err);
}

#[test]
fn sigint_says_goodbye() {
    let (_echo, url) = Running::echo(&[]);
    let mut client = Running::start(trunkline(&["connect", &url]));
    client.write("here\n");
    client.out.line(|line| line == "here");
    client.signal("INT");
    let done = client.wait();
    assert_eq!((done.code, done.err.as_str()), (Some(0), "closed by us, answered with code 1000\n"));
}

/// A server that reads one request head, answers it as told, and gives the head.
pub(crate) fn answers_once(answer: String) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("it has one"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).expect("the client reads");
        String::from_utf8(head).expect("a head of ASCII")
    });
    (url, server)
}

/// A WebSocket server that takes one connection, says its messages, and closes.
fn serves_once(messages: Vec<Message>, close: (CloseCode, &'static str)) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("it has one"));
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client comes");
        stream.set_nonblocking(true).expect("a socket can be");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::from_std(stream).expect("it does not block");
            let mut socket = trunkline_net::accept(stream).await.expect("a handshake");
            for message in messages {
                socket.send(message).await.expect("the client reads");
            }
            socket.close(close.0, close.1).await.expect("the client answers");
        });
    });
    (url, server)
}
