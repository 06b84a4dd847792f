//! A hub that does what a test tells it, over real sockets.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod server;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trunkline_client::{Builder, Client, ConnectionEvent, ConnectionEvents, Event, Subscription};
use trunkline_net::{Acceptor, CloseCode, Closed, WebSocket};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: it does not come"))
}

pub(crate) struct Hub {
    listener: TcpListener,
}

impl Hub {
    pub(crate) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a loopback port") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/connect", self.address())
    }

    pub(crate) fn builder(&self) -> Builder {
        Client::builder(self.url())
    }

    /// The next connection, with its opening handshake done.
    pub(crate) async fn accept(&self) -> Link {
        let accepting = async {
            let (mut stream, _) = self.listener.accept().await.expect("a connection");
            let limits = trunkline_net::Limits::default();
            let head = trunkline_net::http1::read_request(&mut stream, &limits).await.expect("a request");
            let request = head.request.clone();
            let socket = Acceptor::default()
                .subprotocol(trunkline_client::dialect::NAME)
                .accept_head(stream, head)
                .await
                .expect("a WebSocket");
            Link { socket, request }
        };
        soon("a connection", accepting).await
    }

    /// The next connection, taken after its `connect`; gives the body of that.
    pub(crate) async fn welcome(&self, session: &str) -> (Link, Value) {
        let mut link = self.accept().await;
        let (id, body) = link.expect("connect").await;
        link.ok(id, connected(session)).await;
        (link, body)
    }

    /// No connection comes within the time.
    pub(crate) async fn stays_alone(&self, time: Duration) -> bool {
        timeout(time, self.listener.accept()).await.is_err()
    }
}

/// The hub's end of one connection.
pub(crate) struct Link {
    socket: WebSocket<TcpStream>,
    pub(crate) request: http::Request<()>,
}

impl Link {
    pub(crate) async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        soon("sending", self.socket.send(text)).await.expect("the connection stands");
    }

    pub(crate) async fn ok(&mut self, id: u64, body: Value) {
        self.send(json!({"id": id, "ok": body})).await;
    }

    pub(crate) async fn error(&mut self, id: u64, code: &str, retry: bool) {
        self.send(json!({"id": id, "error": {"code": code, "message": "no", "retry": retry}})).await;
    }

    pub(crate) async fn publication(&mut self, offset: u64) {
        self.send(json!({"channel": "room:1", "pub": publication(offset)})).await;
    }

    /// The next command: verb, id, body.
    pub(crate) async fn command(&mut self) -> (String, u64, Value) {
        let message = soon("a command", self.socket.recv()).await.expect("a message").expect("no error");
        let Ok(Value::Object(mut command)) = serde_json::from_slice(message.as_bytes()) else {
            panic!("{message:?}")
        };
        let id = command.remove("id").and_then(|id| id.as_u64()).expect("an id");
        let (verb, body) = command.into_iter().next().expect("a verb");
        (verb, id, body)
    }

    pub(crate) async fn expect(&mut self, verb: &str) -> (u64, Value) {
        let (got, id, body) = self.command().await;
        assert_eq!(got, verb, "{body}");
        (id, body)
    }

    /// Answers a subscribe as a channel that stands at an offset of epoch `e`; gives its body.
    pub(crate) async fn subscribe(&mut self, offset: u64, recovered: bool, missed: &[u64]) -> Value {
        let (id, body) = self.expect("subscribe").await;
        let missed: Value = missed.iter().copied().map(publication).collect();
        let ok = json!({"epoch": "e", "offset": offset, "recovered": recovered, "publications": missed});
        self.ok(id, ok).await;
        body
    }

    /// The next thing that happens is the end; gives how.
    pub(crate) async fn end(&mut self) -> Closed {
        let last = soon("the end", self.socket.recv()).await;
        assert!(!matches!(last, Some(Ok(_))), "{last:?}");
        self.socket.closed().expect("it has ended").clone()
    }

    pub(crate) async fn close(mut self, code: u16) {
        let code = CloseCode::new(code).expect("a code for the wire");
        let _ = soon("closing", self.socket.close(code, "as the test says")).await;
    }

    /// The network breaks: the stream ends without a word.
    pub(crate) fn cut(self) {}
}

pub(crate) fn connected(session: &str) -> Value {
    json!({"session": session, "user": "ann", "node": "n1", "heartbeat_ms": 30000, "limits": {}})
}

pub(crate) fn publication(offset: u64) -> Value {
    json!({"offset": offset, "data": offset, "at": 0})
}

/// The next event, publications as their offsets.
pub(crate) async fn event(subscription: &mut Subscription) -> String {
    match soon("an event", subscription.next()).await {
        Some(Event::Publication(publication)) => publication.offset.to_string(),
        Some(Event::Gap(gap)) => format!("gap {}-{}", gap.from, gap.to),
        Some(Event::Recovered { since }) => format!("recovered {}", since.offset),
        Some(Event::Lost(lost)) => format!("lost {}-{}", lost.before.offset, lost.now.offset),
        Some(Event::Members(members)) => format!("members {}", members.len()),
        Some(Event::Join(join)) => format!("join {}", join.user),
        Some(Event::Leave(leave)) => format!("leave {}", leave.user),
        Some(Event::Unsubscribed(removed)) => format!("unsubscribed {}", removed.code),
        Some(other) => panic!("{other:?}"),
        None => "end".into(),
    }
}

/// The next connection event, by its name and code.
pub(crate) async fn happens(events: &mut ConnectionEvents) -> String {
    match soon("a connection event", events.next()).await {
        Some(ConnectionEvent::Connecting { attempt }) => format!("connecting {attempt}"),
        Some(ConnectionEvent::Connected { session }) => format!("connected {}", session.session.expose()),
        Some(ConnectionEvent::Expiring { within }) => format!("expiring {}", within.as_millis()),
        Some(ConnectionEvent::Disconnected { ending, .. }) => format!("disconnected {}", ending.code),
        Some(ConnectionEvent::Closed { ending }) => format!("closed {}", ending.code),
        Some(other) => panic!("{other:?}"),
        None => "end".into(),
    }
}
