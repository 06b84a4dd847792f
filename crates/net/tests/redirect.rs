//! Servers that send us elsewhere.

mod dial_support;

use std::net::SocketAddr;

use dial_support::*;
use tokio::io::AsyncWriteExt;
use trunkline_net::handshake::Rule;
use trunkline_net::http1::{Rewind, read_request};
use trunkline_net::{Acceptor, Connector, Error, Limits, RedirectProblem};

/// Redirects to what is behind `/to/` in the path, with the status in front of it; echoes at `/echo`.
async fn server() -> (SocketAddr, Heads) {
    let heads = Heads::default();
    let kept = heads.clone();
    let address = serve(move |mut stream| {
        let kept = kept.clone();
        async move {
            let Ok(head) = read_request(&mut stream, &Limits::default()).await else { return };
            kept.push(String::from_utf8(head.raw.to_vec()).expect("ASCII"));
            let path = head.request.uri().path_and_query().map_or("", |path| path.as_str()).to_owned();
            if let Some((status, location)) = path.split_once("/to/") {
                let status = status.trim_start_matches('/');
                let answer = format!(
                    "HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 4\r\n\r\nmove"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                return;
            }
            let acceptor = Acceptor::default().subprotocol("chat.1");
            let Ok(mut socket) = acceptor.accept(Rewind::head(head, stream)).await else { return };
            while let Some(Ok(message)) = socket.recv().await {
                let _ = socket.send(message).await;
            }
        }
    })
    .await;
    (address, heads)
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[tokio::test]
async fn a_redirect_is_the_answer_unless_redirects_are_allowed() {
    let (address, _) = server().await;
    let url = format!("ws://{address}/302/to//echo");
    let error = trunkline_net::connect(&url).await.expect_err("not followed");
    let Error::Handshake(error) = error else { panic!("{error}") };
    assert_eq!(error.rejected.rule(), Rule::NotSwitching);
    let response = error.response.expect("an answer came");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (302, &"/echo".parse().expect("a value"))
    );
    assert_eq!(response.body(), b"move");
}

#[tokio::test]
async fn every_redirecting_status_is_followed_with_a_get_and_the_same_subprotocols() {
    for status in [301, 302, 303, 307, 308] {
        let (address, heads) = server().await;
        let connector = Connector::default().redirects(1).subprotocol("chat.1").header("X-Plain", "1");
        let url = format!("ws://{address}/{status}/to//echo");
        let mut socket = connector.connect(&url).await.unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(socket.subprotocol(), Some("chat.1"));
        echoes(&mut socket).await;
        let second = &heads.all()[1];
        assert!(second.starts_with("GET /echo HTTP/1.1\r\n"), "{second}");
        assert_eq!(header(second, "x-plain"), Some("1"));
        let keys: Vec<_> =
            heads.all().iter().map(|head| header(head, "sec-websocket-key").map(str::to_owned)).collect();
        assert_ne!(keys[0], keys[1], "each request has its own key");
    }
}

#[tokio::test]
async fn credentials_reach_the_same_origin_and_no_other() {
    let ((one, at_one), (two, at_two)) = (server().await, server().await);
    let connector = || {
        Connector::default()
            .redirects(2)
            .authorization_from_url(true)
            .header("Cookie", "id=hunter2")
            .secret_header("X-Api-Key", "hunter2")
            .header("X-Plain", "1")
    };
    let same = format!("ws://zoe:hunter2@{one}/302/to//echo");
    connector().connect(&same).await.expect("followed");
    let second = &at_one.all()[1];
    assert_eq!(header(second, "authorization"), Some("Basic em9lOmh1bnRlcjI="));
    assert_eq!(
        (header(second, "cookie"), header(second, "x-api-key")),
        (Some("id=hunter2"), Some("hunter2"))
    );

    // Away, with a user name of the server's choosing, and back again.
    let back = format!("ws://zoe:hunter2@{one}/302/to/http://eve:evil@{two}/307/to/ws://{one}/echo");
    connector().connect(&back).await.expect("followed");
    let (away, home) = (at_two.all().remove(0), at_one.all().pop().expect("it came back"));
    for head in [&away, &home] {
        for name in ["authorization", "cookie", "x-api-key", "proxy-authorization"] {
            assert_eq!(header(head, name), None, "{name} in\n{head}");
        }
        assert_eq!(header(head, "x-plain"), Some("1"));
    }
    assert_eq!(header(&away, "host").map(str::to_owned), Some(two.to_string()));
}

#[tokio::test]
async fn too_many_redirects_and_loops_end_in_clear_words() {
    let (address, heads) = server().await;
    let two_hops = format!("ws://{address}/302/to//302/to//echo");
    assert!(Connector::default().redirects(2).connect(&two_hops).await.is_ok());
    let error = Connector::default().redirects(1).connect(&two_hops).await.expect_err("one too many");
    let Error::Redirect(error) = error else { panic!("{error}") };
    assert_eq!(error.problem, RedirectProblem::TooMany { limit: 1 });
    assert_eq!(error.response.body(), b"move");

    let before = heads.all().len();
    let (loops, _) = answers("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").await;
    let error = Connector::default().redirects(255).connect(&format!("ws://{loops}/")).await;
    let Err(Error::Redirect(error)) = error else { panic!("a loop") };
    assert_eq!(error.problem, RedirectProblem::Loop);
    assert_eq!(heads.all().len(), before);
}

#[tokio::test]
async fn a_redirect_to_something_else_is_not_followed() {
    for location in ["ftp://127.0.0.1/", "mailto:zoe@example.com", "http://", "ws://127.0.0.1:0/"] {
        let (address, _) = server().await;
        let url = format!("ws://{address}/302/to/{location}");
        let error = Connector::default().redirects(5).connect(&url).await.expect_err(location);
        let Error::Redirect(error) = error else { panic!("{location}: {error}") };
        assert_eq!(error.problem, RedirectProblem::Location, "{location}");
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_redirect_may_lead_to_wss_and_never_back_to_ws() {
    let authority = tls::Authority::new();
    let server_tls = authority.server(&["127.0.0.1"], &[b"http/1.1"]);
    let (plain, _) = server().await;
    let secure = serve(move |stream| {
        let server_tls = server_tls.clone();
        async move {
            let Ok(mut stream) = server_tls.accept(stream).await else { return };
            let head = read_request(&mut stream, &Limits::default()).await.expect("a request");
            if head.request.uri().path() == "/down" {
                let answer = format!("HTTP/1.1 302 Found\r\nLocation: ws://{plain}/echo\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.expect("the client reads");
                let _ = stream.shutdown().await;
            } else {
                echo_on(Rewind::head(head, stream)).await;
            }
        }
    })
    .await;
    let connector = Connector::default().redirects(3).tls(authority.client());
    let up = format!("ws://{plain}/302/to/https://{secure}/up");
    let mut socket = connector.connect(&up).await.expect("followed");
    assert!(socket.stream().expect("open").is_tls());
    echoes(&mut socket).await;
    let error = connector.connect(&format!("wss://{secure}/down")).await.expect_err("not there");
    let Error::Redirect(error) = error else { panic!("{error}") };
    assert_eq!(error.problem, RedirectProblem::Downgrade);
}
