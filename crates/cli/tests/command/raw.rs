//! `trunkline connect --raw` as a netcat, and the stream door of `trunkline serve` as other people's clients use it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::support::{Folder, Running, finish, run, trunkline};

/// A server with what else its configuration says, and its port.
fn serve(toml: &str) -> (Running, u16, Folder) {
    let folder = Folder::with("trunkline.toml", toml);
    let config = folder.path().join("trunkline.toml");
    let config = config.to_str().expect("a path of text");
    let (server, port) =
        Running::server(trunkline(&["serve", "--listen", "127.0.0.1:0", "--config", config]));
    (server, port, folder)
}

/// A program of somebody else's, run to its end with these bytes as its stdin.
fn foreign(program: &str, args: &[&str], stdin: &[u8]) -> (bool, Vec<u8>) {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} is installed: {error}"));
    child.stdin.take().expect("it is piped").write_all(stdin).expect("it reads");
    let done = child.wait_with_output().expect("it is ours");
    (done.status.success(), done.stdout)
}

/// A server that speaks first, hears one line, and answers it.
fn banner() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            stream.write_all(b"SSH-2.0-banner\r\n").expect("taken");
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).expect("in order");
            stream.write_all(&[b"heard ", &heard[..]].concat()).expect("taken");
        }
    });
    port
}

#[test]
fn what_goes_in_at_stdin_comes_out_of_an_echo_by_every_carrier_and_the_end_is_clean() {
    let (_server, port, _folder) = serve("");
    for raw in ["--raw", "--raw=upgrade", "--raw=websocket"] {
        for url in
            [format!("http://127.0.0.1:{port}/stream/echo"), format!("ws://127.0.0.1:{port}/stream/echo")]
        {
            let done = run(&["connect", raw, &url], "two\nlines");
            assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{raw} {url}");
            assert_eq!(done.out, "two\nlines\n", "{raw} {url}");
        }
    }
}

#[test]
fn bytes_are_as_they_are_and_many_of_them_come_back_whole() {
    let (_server, port, _folder) = serve("");
    let url = format!("ws://127.0.0.1:{port}/stream/echo");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|index| (index * 7 % 256) as u8).collect();
    let (binary, sent) = (env!("CARGO_BIN_EXE_trunkline"), bytes.clone());
    let mut child = Command::new(binary)
        .args(["connect", "--raw", &url, "--no-proxy"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let writing = std::thread::spawn(move || stdin.write_all(&sent).expect("it reads"));
    let done = child.wait_with_output().expect("it is ours");
    writing.join().expect("all was written");
    assert!(done.status.success() && done.stdout == bytes, "{} bytes came back", done.stdout.len());
}

#[test]
fn a_ticket_opens_what_is_locked_and_without_one_the_reason_is_told() {
    let toml = format!(
        "api.key = \"a-key-for-tests-alone\"\n[service.ssh]\nupstream = \"tcp:127.0.0.1:{}\"",
        banner()
    );
    let (_server, port, _folder) = serve(&toml);
    let url = format!("http://127.0.0.1:{port}/stream/ssh");
    let done = run(&["connect", "--raw", &url], "");
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    assert!(done.err.contains("unauthenticated"), "{}", done.err);
    let api = format!("http://127.0.0.1:{port}");
    let minted = run(&["ticket", "--user", "ann", "--api", &api, "--key", "a-key-for-tests-alone"], "");
    let done = run(&["connect", "--raw", &url, "--ticket", minted.out.trim()], "hello");
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.out, "SSH-2.0-banner\r\nheard hello\n".replace('\r', ""), "{}", done.err);
}

#[test]
fn a_stream_that_was_cut_is_1_and_a_url_that_is_none_2() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 1024]);
        let answer = "HTTP/1.1 101 x\r\nUpgrade: stream\r\nConnection: Upgrade\r\n\r\nhalf";
        stream.write_all(answer.as_bytes()).expect("taken");
        // With bytes unread, closing is a reset.
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(stream);
    });
    let done = run(&["connect", "--raw", &format!("ws://127.0.0.1:{port}/x")], "unread");
    server.join().expect("the server has answered");
    assert_eq!(done.code, Some(1), "{}", done.err);
    assert!(done.err.contains("the stream was cut"), "{}", done.err);
    assert_eq!(run(&["connect", "--raw", "nonsense"], "").code, Some(2));
    assert_eq!(run(&["connect", "--raw", "--deflate", "ws://h/"], "").code, Some(2));
}

#[test]
fn python_sockets_curl_and_socat_come_in_by_the_upgrade() {
    let (_server, port, _folder) = serve(&format!(
        "[service.ssh]\nupstream = \"tcp:127.0.0.1:{}\"\nauth = \"none\"\npath = \"/ssh\"",
        banner()
    ));
    let head = format!(
        "GET /ssh HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: stream\r\n\r\n"
    );
    let both = format!("{head}and early");
    // socat hands on the end of its stdin, and waits for the other.
    let (ok, out) = foreign("socat", &["-t", "20", "-", &format!("TCP:127.0.0.1:{port}")], both.as_bytes());
    let out = String::from_utf8(out).expect("text");
    assert!(ok && out.starts_with("HTTP/1.1 101 "), "{out}");
    assert!(out.ends_with("\r\n\r\nSSH-2.0-banner\r\nheard and early"), "{out}");
    // curl shows the 101, and what comes behind it as the body; its stdin is not sent.
    let url = format!("http://127.0.0.1:{port}/ssh");
    let args =
        ["-sS", "-i", "-N", "--max-time", "3", "-H", "Connection: Upgrade", "-H", "Upgrade: stream", &url];
    let (_, out) = foreign("curl", &args, b"");
    let out = String::from_utf8(out).expect("text");
    assert!(out.starts_with("HTTP/1.1 101 ") && out.contains("SSH-2.0-banner"), "{out}");
    let script = format!(
        "import socket\n\
         s = socket.create_connection(('127.0.0.1', {port}))\n\
         s.sendall({head:?}.encode())\n\
         f = s.makefile('rb')\n\
         while f.readline() != b'\\r\\n': pass\n\
         assert f.readline() == b'SSH-2.0-banner\\r\\n'\n\
         s.sendall(b'from python')\n\
         s.shutdown(socket.SHUT_WR)\n\
         print(f.read().decode())\n"
    );
    let (ok, out) = foreign("python3", &["-c", &script], b"");
    assert!(ok && out == b"heard from python\n", "{}", String::from_utf8_lossy(&out));
}

#[test]
fn a_signal_ends_it_and_a_closed_stdout_is_enough() {
    let (_server, port, _folder) = serve("");
    let url = format!("ws://127.0.0.1:{port}/stream/echo");
    let mut waiting = Running::start(trunkline(&["connect", "--raw", &url]));
    waiting.write("ready\n");
    waiting.out.line(|line| line == "ready");
    waiting.signal("INT");
    assert_eq!(waiting.wait().code, Some(1));
    let shell = format!("yes | {} connect --raw {url} | head -n 1", env!("CARGO_BIN_EXE_trunkline"));
    let mut command = Command::new("sh");
    command.args(["-c", &shell]);
    let done = finish(command, "");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "y\n"), "{}", done.err);
}

#[test]
fn a_server_that_was_not_meant_is_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nno such");
        }
    });
    let done = run(&["connect", "--raw", &format!("http://127.0.0.1:{port}/stream/echo")], "");
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("404") && done.err.contains("no such"), "{}", done.err);
}
