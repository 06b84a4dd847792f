//! SOCKS5 proxies (RFC 1928, RFC 1929).
#![cfg(feature = "proxy")]

mod dial_support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use dial_support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trunkline_net::{Connector, DialCause, Error, Phase, ProxyPolicy};

const NO_PASSWORD: u8 = 0;
const PASSWORD: u8 = 2;
const HOST_UNREACHABLE: u8 = 4;

/// A SOCKS5 proxy: which way to authenticate it wants, and what it replies to the first, the second, ... request; then
/// it carries bytes to `origin`.
#[derive(Clone)]
struct Socks {
    method: u8,
    replies: Vec<u8>,
    origin: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Socks {
    fn new(origin: SocketAddr) -> Self {
        Self { method: NO_PASSWORD, replies: vec![], origin, asked: Arc::default() }
    }

    async fn start(&self) -> SocketAddr {
        let socks = self.clone();
        serve(move |stream| {
            let socks = socks.clone();
            // A client that has seen enough, goes.
            async move { drop(socks.talk(stream).await) }
        })
        .await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }

    fn note(&self, text: String) {
        self.asked.lock().expect("nobody panics with it").push(text);
    }

    async fn talk(self, mut stream: TcpStream) -> std::io::Result<()> {
        assert_eq!(stream.read_u8().await?, 5, "the version");
        let mut methods = vec![0; stream.read_u8().await?.into()];
        stream.read_exact(&mut methods).await?;
        let method = if methods.contains(&self.method) { self.method } else { 0xff };
        stream.write_all(&[5, method]).await?;
        if method == PASSWORD {
            assert_eq!(stream.read_u8().await?, 1, "the version of RFC 1929");
            let (user, password) = (text(&mut stream).await?, text(&mut stream).await?);
            let wrong = u8::from((user.as_str(), password.as_str()) != ("zoe", "hunter2"));
            stream.write_all(&[1, wrong]).await?;
            if wrong != 0 {
                self.note("wrong password".into());
                return Ok(());
            }
        }
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        assert_eq!(head[..3], [5, 1, 0], "CONNECT");
        let host = match head[3] {
            1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
            3 => text(&mut stream).await?,
            4 => std::net::Ipv6Addr::from(stream.read_u128().await?).to_string(),
            other => panic!("address type {other}"),
        };
        let port = stream.read_u16().await?;
        let reply = self.replies.get(self.asked().len()).copied().unwrap_or(0);
        self.note(format!("{host} {port}"));
        stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        if reply == 0 {
            let mut behind = TcpStream::connect(self.origin).await?;
            copy_bidirectional(&mut stream, &mut behind).await?;
        }
        Ok(())
    }
}

async fn text(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).expect("UTF-8"))
}

fn through(url: &str, names: Names) -> Connector {
    Connector::default().proxy(ProxyPolicy::Url(url.parse().expect("a proxy"))).resolver(names)
}

fn one_name() -> Names {
    Names(vec![("chat.example", vec!["192.0.2.1:80".parse().expect("an address")])])
}

#[tokio::test]
async fn socks5h_sends_the_name_and_socks5_an_address() {
    let socks = Socks::new(echo().await);
    let proxy = socks.start().await;
    for (scheme, url, names, asked) in [
        ("socks5h", "ws://chat.example/", Names::default(), "chat.example 80"),
        ("socks5", "ws://chat.example/", one_name(), "192.0.2.1 80"),
        ("socks5h", "ws://192.0.2.7:81/", Names::default(), "192.0.2.7 81"),
        ("socks5", "ws://[2001:db8::7]:81/", Names::default(), "2001:db8::7 81"),
    ] {
        let connector = through(&format!("{scheme}://{proxy}"), names);
        let mut socket = connector.connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(socks.asked().last().map(String::as_str), Some(asked));
        assert_eq!(socket.stream().expect("open").proxy(), Some(&*format!("{scheme}://{proxy}")));
        echoes(&mut socket).await;
    }
}

#[tokio::test]
async fn a_user_name_and_password_open_the_way_and_wrong_ones_are_told_so_once() {
    let socks = Socks { method: PASSWORD, ..Socks::new(echo().await) };
    let proxy = socks.start().await;
    let right = through(&format!("socks5h://zoe:hunter2@{proxy}"), Names::default());
    echoes(&mut right.connect("ws://chat.example/").await.expect("the right password")).await;

    let two = Names(vec![("chat.example", vec![nobody().await, nobody().await])]);
    let wrong = through(&format!("socks5://zoe:hunter3@{proxy}"), two);
    let error = wrong.connect("ws://chat.example/").await.expect_err("the wrong one");
    let words = error.to_string();
    assert!(words.contains("Password auth failure"), "{words}");
    assert!(!words.contains("hunter") && !format!("{error:?}{wrong:?}").contains("hunter"), "{words}");
    assert_eq!(socks.asked().iter().filter(|asked| *asked == "wrong password").count(), 1);

    let none = through(&format!("socks5h://{proxy}"), Names::default());
    let error = none.connect("ws://chat.example/").await.expect_err("it wants one");
    assert_eq!(dial_error(&error).phase, Phase::Proxy);
    assert!(matches!(dial_error(&error).cause, DialCause::Proxy(_)), "{error}");
}

#[tokio::test]
async fn an_address_that_the_proxy_cannot_reach_gives_way_to_the_next() {
    let socks = Socks { replies: vec![HOST_UNREACHABLE], ..Socks::new(echo().await) };
    let proxy = socks.start().await;
    let addresses: Vec<SocketAddr> =
        ["[2001:db8::1]:80", "192.0.2.1:80"].map(|text| text.parse().expect("an address")).to_vec();
    let names = || Names(vec![("chat.example", addresses.clone())]);
    let connector = through(&format!("socks5://{proxy}"), names());
    echoes(&mut connector.connect("ws://chat.example/").await.expect("the second")).await;
    assert_eq!(socks.asked(), ["2001:db8::1 80", "192.0.2.1 80"]);

    let never = Socks { replies: vec![HOST_UNREACHABLE; 2], ..Socks::new(addresses[0]) };
    let proxy = never.start().await;
    let error = through(&format!("socks5://{proxy}"), names()).connect("ws://chat.example/").await;
    let error = error.expect_err("neither");
    assert_eq!((dial_error(&error).phase, dial_error(&error).tried.len()), (Phase::Proxy, 2));
    assert!(error.to_string().contains("[2001:db8::1]:80: Host unreachable; 192.0.2.1:80: "), "{error}");
}

#[tokio::test]
async fn what_is_no_socks_ends_in_an_error_and_not_in_a_wait() {
    for garbage in [
        &b""[..],
        b"\x05",
        b"\x04\x00",
        b"\x05\xff",
        b"\x05\x02",
        b"\x05\x07",
        b"\x05\x00\x05\x00\x00\x05",
        b"\x05\x00\x05\x63\x00\x01\x00\x00\x00\x00\x00\x00",
        b"\x05\x00\x05\x00\x01\x01\x00\x00\x00\x00\x00\x00",
        b"\x05\x00\x05\x00\x00\x03\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ] {
        let proxy = serve(move |mut stream| async move {
            let _ = stream.write_all(garbage).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let connector = through(&format!("socks5h://{proxy}"), Names::default());
        let error = timeout(HANG, connector.connect("ws://chat.example/")).await.expect("bounded");
        let error = error.expect_err("no tunnel");
        assert_eq!(dial_error(&error).phase, Phase::Proxy, "{garbage:?}: {error}");
    }
}

#[tokio::test]
async fn a_name_of_255_bytes_fits_and_a_longer_one_is_refused_before_it_is_sent() {
    let socks = Socks::new(echo().await);
    let connector = through(&format!("socks5h://{}", socks.start().await), Names::default());
    let name = |length: usize| format!("ws://{}/", "n".repeat(length));
    echoes(&mut connector.connect(&name(255)).await.expect("it fits")).await;
    for length in [256, 600] {
        let error = connector.connect(&name(length)).await.expect_err("it does not");
        assert!(matches!(&error, Error::Dial(_)) && error.to_string().contains("overlong"), "{error}");
    }
    assert_eq!(socks.asked().len(), 1);
}
