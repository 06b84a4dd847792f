use std::io::{self, IoSlice};
use std::time::Instant;

use tokio::io::{DuplexStream, ReadBuf};
use trunkline_dialect::{ChannelName, Json};
use trunkline_net::Limits;

use super::*;
use crate::address::{ClientAddress, Known};
use crate::config::{Doors, Tls};
use crate::connection::Way;
use crate::{Config, Server};

/// A stream that counts how often it is written to.
struct Counted {
    stream: DuplexStream,
    writes: usize,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The next message that a client is carried.
async fn next(carrier: &mut Carrier<Counted>, client: &mut WebSocket<DuplexStream>) -> String {
    let received = tokio::select! {
        _ = poll_fn(|cx| carrier.poll(cx)) => panic!("it is over"),
        received = client.recv() => received,
    };
    received.expect("a message").expect("a message").as_text().expect("text").to_owned()
}

#[test]
fn a_task_that_waits_holds_the_connection_and_little_else() {
    // One word more and the allocation of a task, which is rounded up to cache lines by two, is a fifth larger.
    assert!(size_of::<Carrier<Stream>>() <= size_of::<WebSocket<Stream>>() + 144);
}

#[tokio::test]
async fn what_is_published_before_a_turn_leaves_in_one_write() {
    let toml = "[namespaces.open]\nsubscribe = \"anyone\"";
    let app = Server::new(Config::parse("t", toml).expect("no problems")).expect("no problems").app;
    let admitted = app.admission.admit(Known::by_socket(ClientAddress::Local), Instant::now()).expect("room");
    let remote = Remote::new(&app, Way { tls: Tls::Off, doors: Doors::ALL }, admitted);
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let stream = Counted { stream: ours, writes: 0 };
    let upgraded =
        Upgraded { stream, leftover: Bytes::new(), via: Via::Http1, deflate: None, credential: None };
    let mut carrier = Carrier::open(&app, &remote, upgraded);
    let mut client =
        WebSocket::from_upgraded(theirs, Bytes::new(), Role::Client(|| [1, 2, 3, 4]), Limits::default());
    for command in [r#"{"id":1,"connect":{}}"#, r#"{"id":2,"subscribe":{"channel":"open:1"}}"#] {
        client.send(command).await.expect("open");
        let reply = next(&mut carrier, &mut client).await;
        assert!(reply.contains(r#""ok""#), "{reply}");
    }
    let channel = ChannelName::new("open:1").expect("a channel name");
    let before = carrier.socket.stream().expect("open").writes;
    for number in 0..100 {
        app.node.publish(&channel, Json::of(&number).expect("JSON"), None).await.expect("published");
    }
    for number in 0..100 {
        let push = next(&mut carrier, &mut client).await;
        assert!(push.contains(&format!(r#""data":{number},"#)), "{push}");
    }
    assert_eq!(carrier.socket.stream().expect("open").writes - before, 1);
}

#[tokio::test]
async fn a_panic_ends_in_a_disconnect_push_and_close_4450_and_not_in_silence() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let mut socket = WebSocket::from_upgraded(ours, Bytes::new(), Role::Server, Limits::default());
    let mut client =
        WebSocket::from_upgraded(theirs, Bytes::new(), Role::Client(|| [1, 2, 3, 4]), Limits::default());
    let serve = async {
        let panic = or_panic(pin!(async {
            socket.send("before").await.expect("open");
            let nothing: &[u8] = &[];
            nothing[std::hint::black_box(0)]
        }))
        .await
        .expect_err("a panic");
        end_by_fault(&mut socket, what(&*panic)).await;
    };
    let read = async {
        let mut said = Vec::new();
        while let Some(message) = client.recv().await {
            said.push(message.expect("a clean end").as_text().expect("text").to_owned());
        }
        (said, client.closed().cloned().expect("an end"))
    };
    let ((), (said, closed)) = tokio::join!(serve, read);
    assert_eq!(said[0], "before");
    assert!(said[1].starts_with(r#"{"disconnect":{"code":"internal""#), "{said:?}");
    assert_eq!((said.len(), closed.code), (2, 4450));
}

#[tokio::test]
async fn what_does_not_panic_is_left_alone() {
    let work = pin!(async {
        tokio::task::yield_now().await;
        7
    });
    assert_eq!(or_panic(work).await.ok(), Some(7));
}
