//! Services that somebody else provides, behind the stream door: unmodified servers, their ends, and their absence.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use support::stream::{echoes, expect, head, open, request, rest};
use support::{raw, start_with, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use trunkline_net::stream::{self, Carrier};

/// A server that does this with every connection.
async fn upstream<F>(work: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(work(stream));
        }
    });
    address
}

fn service(upstream: &str, more: &str) -> String {
    format!("[service.x]\nupstream = \"{upstream}\"\nauth = \"none\"\npath = \"/x\"\n{more}")
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_before_the_client_says_a_word() {
    let address = upstream(|mut stream| async move {
        // As sshd and SMTP servers do.
        stream.write_all(b"220 mail.example ESMTP\r\n").await.expect("taken");
        let mut line = [0; 6];
        stream.read_exact(&mut line).await.expect("a command");
        assert_eq!(&line, b"QUIT\r\n");
        stream.write_all(b"221 bye\r\n").await.expect("taken");
    })
    .await;
    let server = start_with(&service(&format!("tcp:{address}"), "")).await;
    let mut stream = open(&server, "/x", "", b"").await;
    expect(&mut stream, b"220 mail.example ESMTP\r\n").await;
    stream.write_all(b"QUIT\r\n").await.expect("taken");
    assert_eq!(rest(&mut stream).await, b"221 bye\r\n");
}

#[tokio::test]
async fn the_end_of_either_side_reaches_the_other_and_leaves_its_answer_alone() {
    let address = upstream(|mut stream| async move {
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).await.expect("in order");
        stream.write_all(&asked).await.expect("the other direction is open");
        stream.write_all(b" was all").await.expect("the other direction is open");
    })
    .await;
    let server = start_with(&service(&format!("tcp:{address}"), "")).await;
    for carrier in [Carrier::Upgrade, Carrier::WebSocket] {
        let connector = stream::Connector::default().carrier(carrier);
        let mut opened =
            within(connector.connect(&format!("ws://{}/x", server.address))).await.expect("open");
        opened.write_all(b"this").await.expect("taken");
        opened.shutdown().await.expect("open");
        assert_eq!(rest(&mut opened).await, b"this was all", "{carrier:?}");
    }
    // The other way: the upstream ends first, and still hears.
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let address = upstream(move |mut stream| {
        let heard = heard.clone();
        async move {
            stream.shutdown().await.expect("open");
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.expect("in order");
            heard.send(rest).expect("the test waits");
        }
    })
    .await;
    let server = start_with(&service(&format!("tcp:{address}"), "")).await;
    for carrier in [Carrier::Upgrade, Carrier::WebSocket] {
        let connector = stream::Connector::default().carrier(carrier);
        let mut opened =
            within(connector.connect(&format!("ws://{}/x", server.address))).await.expect("open");
        assert_eq!(rest(&mut opened).await, b"");
        opened.write_all(b"late").await.expect("this direction is open");
        opened.shutdown().await.expect("open");
        assert_eq!(within(hears.recv()).await.as_deref(), Some(&b"late"[..]), "{carrier:?}");
    }
}

#[tokio::test]
async fn a_unix_socket_and_another_servers_upgrade_are_upstreams_too() {
    let path = std::env::temp_dir().join(format!("trunkline-upstream-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a path in the temporary folder");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    let near = start_with(&service(&format!("unix:{}", path.display()), "")).await;
    echoes(&mut open(&near, "/x", "", b"").await, b"over unix").await;
    let far = start_with(&service(&format!("http://{}/x", near.address), "")).await;
    echoes(&mut open(&far, "/x", "", b"early").await, b"").await;
    let mut chained = open(&far, "/x", "", b"early").await;
    expect(&mut chained, b"early").await;
    echoes(&mut chained, b"over two").await;
    std::fs::remove_file(&path).expect("it was made");
}

#[tokio::test]
async fn credentials_go_to_an_http_upstream_only_where_it_is_to_judge_them() {
    let (heads, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let address = upstream(move |mut stream| {
        let heads = heads.clone();
        async move {
            heads.send(head(&mut stream).await).expect("the test waits");
            let no = "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(no.as_bytes()).await;
        }
    })
    .await;
    let url = format!("http://{address}/in");
    let fields = "X-Auth-Token: mine\r\nAuthorization: Bearer x\r\nCookie: c\r\nX-Forwarded-For: 1.2.3.4\r\n";
    for (auth, handed_on) in [("upstream", true), ("none", false)] {
        let toml = service(&url, "").replace("\"none\"", &format!("{auth:?}"));
        let server = start_with(&toml).await;
        let answer = raw::ask(server.address, &request(&server, "/x", fields)).await;
        assert_eq!(answer.status, 403, "the upstream's word, if it is about the client");
        // It was asked by both carriers: its first word could have been a proxy's.
        for _ in 0..2 {
            let head = within(kept.recv()).await.expect("a request").to_ascii_lowercase();
            assert_eq!(head.contains("x-auth-token: mine"), handed_on, "{head}");
            assert_eq!(head.contains("authorization: bearer x"), handed_on, "{head}");
            assert!(!head.contains("cookie") && !head.contains("1.2.3.4"), "{head}");
            assert!(head.contains("\r\nforwarded: for=127.0.0.1;"), "{head}");
            assert!(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{head}");
        }
    }
}

#[tokio::test]
async fn an_upstream_is_told_the_clients_address_before_its_first_byte_by_every_carrier() {
    const HEADER: usize = 16 + 12;
    let address = upstream(|mut stream| async move {
        // It speaks only once it has its header.
        let mut header = [0; HEADER];
        stream.read_exact(&mut header).await.expect("a header");
        stream.write_all(&header).await.expect("taken");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.expect("in order");
        stream.write_all(&heard).await.expect("taken");
    })
    .await;
    let server = start_with(&service(&format!("tcp:{address}"), "proxy_protocol = true")).await;
    for carrier in [Carrier::Upgrade, Carrier::WebSocket] {
        let connector = stream::Connector::default().carrier(carrier);
        let mut opened =
            within(connector.connect(&format!("ws://{}/x", server.address))).await.expect("open");
        let mut header = [0; HEADER];
        within(opened.read_exact(&mut header)).await.expect("it comes without a byte of ours");
        assert_eq!(header[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "{carrier:?}");
        assert_eq!(header[16..24], [127, 0, 0, 1, 127, 0, 0, 1]);
        assert_eq!(header[26..], server.address.port().to_be_bytes());
        assert_ne!(header[24..26], [0, 0], "the client's port is known");
        opened.write_all(b"and then the client").await.expect("taken");
        opened.shutdown().await.expect("open");
        assert_eq!(rest(&mut opened).await, b"and then the client");
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_told_by_a_status_and_not_by_its_address() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let server = start_with(&service(&format!("tcp:{closed}"), "")).await;
    let answer = raw::ask(server.address, &request(&server, "/x", "")).await;
    assert_eq!((answer.status, answer.body.contains("127.0.0.1")), (502, false), "{}", answer.body);
    let mut quiet = open(&server, "/.well-known/trunkline", "", b"{\"service\":\"x\"}\n").await;
    assert!(String::from_utf8(rest(&mut quiet).await).expect("text").contains("\"unavailable\""));
    // One that takes the connection and never answers.
    let silent = upstream(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let server = start_with(&service(&format!("http://{silent}/"), "connect_timeout_s = 0.2")).await;
    assert_eq!(raw::ask(server.address, &request(&server, "/x", "")).await.status, 504);
    assert_eq!(server.metric_of("trunkline_handshakes_total", "no_upstream").await, 1.0);
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_its_upstream_and_nobody_else() {
    let (taken, mut takes) = tokio::sync::watch::channel(0_usize);
    let address = upstream(move |mut stream| {
        let taken = taken.clone();
        async move {
            let flood = vec![7; 64 << 10];
            while stream.write_all(&flood).await.is_ok() {
                taken.send_modify(|all| *all += flood.len());
            }
        }
    })
    .await;
    let server = start_with(&service(&format!("tcp:{address}"), "")).await;
    let mut stalled = open(&server, "/x", "", b"").await;
    // It has stopped when nothing moves for a while: what the kernel takes is its own affair, and finite.
    let mut before = usize::MAX;
    while before != *takes.borrow_and_update() {
        before = *takes.borrow();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < 64 << 20, "{before} bytes were taken for a client that reads nothing");
    echoes(&mut open(&server, "/stream/echo", "", b"").await, b"others go on").await;
    // It reads on, and nothing is missing.
    let mut read = vec![0; before];
    within(stalled.read_exact(&mut read)).await.expect("it goes on");
    assert!(read.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn eight_mebibytes_each_way_at_once_cross_an_upstream() {
    const ALL: usize = 8 << 20;
    let address = upstream(|stream| async move {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = async {
            writer.write_all(&vec![9; ALL]).await.expect("taken");
            writer.shutdown().await.expect("open");
        };
        let mut heard = Vec::new();
        let (_, read) = tokio::join!(writing, reader.read_to_end(&mut heard));
        assert!(read.is_ok() && heard.len() == ALL && heard.iter().all(|byte| *byte == 3));
    })
    .await;
    let server = start_with(&service(&format!("tcp:{address}"), "")).await;
    for carrier in [Carrier::Upgrade, Carrier::WebSocket] {
        let connector = stream::Connector::default().carrier(carrier);
        let opened = within(connector.connect(&format!("ws://{}/x", server.address))).await.expect("open");
        let (mut reader, mut writer) = tokio::io::split(opened);
        let writing = tokio::spawn(async move {
            writer.write_all(&vec![3; ALL]).await.expect("taken");
            writer.shutdown().await.expect("open");
        });
        let mut heard = Vec::new();
        within(reader.read_to_end(&mut heard)).await.expect("in order");
        within(writing).await.expect("no panic");
        assert!(heard.len() == ALL && heard.iter().all(|byte| *byte == 9), "{carrier:?}");
    }
}

#[tokio::test]
async fn a_stream_in_which_nothing_passes_is_cut_at_its_limit_and_a_busy_one_at_its_lifetime() {
    let silent = upstream(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let server = start_with(&service(&format!("tcp:{silent}"), "idle_s = 0.2")).await;
    let mut stream = open(&server, "/x", "", b"").await;
    assert_eq!(rest(&mut stream).await, b"");
    let server = start_with("[service.echo]\nlifetime_s = 0.3").await;
    let mut stream = open(&server, "/stream/echo", "", b"").await;
    let busy = async {
        let mut byte = [0];
        while stream.write_all(b"x").await.is_ok() && stream.read(&mut byte).await.is_ok_and(|read| read > 0)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(busy).await;
}

#[tokio::test]
async fn a_stop_leaves_streams_their_time_and_then_cuts_them() {
    let mut server = start_with("stop.timeout_s = 0.3").await;
    let mut stream = open(&server, "/stream/echo", "", b"").await;
    echoes(&mut stream, b"x").await;
    let summary = server.stop().await;
    assert_eq!(summary.cut, 1, "{summary}");
    let mut server = start_with("").await;
    let mut stream = open(&server, "/stream/echo", "", b"").await;
    server.begin_stop();
    echoes(&mut stream, b"still here").await;
    drop(stream);
    assert_eq!(server.stopped().await.cut, 0);
}

#[tokio::test]
async fn a_listener_that_is_a_services_alone_is_it_from_the_first_byte() {
    let address = upstream(|mut stream| async move {
        stream.write_all(b"SSH-2.0-x\r\n").await.expect("taken");
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await;
    let toml = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[listener.ssh]\naddress = \"127.0.0.1:0\"\nspeaks = \"stream:x\"\n{}",
        service(&format!("tcp:{address}"), "")
    );
    let (server, addresses) = support::start_all(&toml).await;
    let mut stream = raw::dial(addresses[1]).await;
    expect(&mut stream, b"SSH-2.0-x\r\n").await;
    echoes(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(server.metric_of("trunkline_streams", "raw").await, 1.0);
    stream.shutdown().await.expect("open");
    assert_eq!(rest(&mut stream).await, b"");
}
