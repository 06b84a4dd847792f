//! A client of the hub that can do no more than the dialect says.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use trunkline_net::{Closed, Connector, Message, WebSocket};

use super::{Running, within};

pub(crate) type Socket = WebSocket<TcpStream>;

/// One connection, with replies sorted from pushes.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) socket: WebSocket<S>,
    next_id: u64,
    pushes: VecDeque<Value>,
    /// The body of `connected`.
    pub(crate) connected: Value,
}

/// Opens the door and says nothing.
pub(crate) async fn knock(server: &Running, query: &str) -> Socket {
    knock_with(server, &Connector::default(), query).await
}

pub(crate) async fn knock_with(server: &Running, connector: &Connector, query: &str) -> Socket {
    let stream = super::raw::dial(server.address).await;
    let url = format!("ws://{}/connect{query}", server.address);
    within(connector.handshake(stream, &url)).await.expect("the door opens")
}

impl Peer {
    /// Comes in with a fresh ticket for `user` in the URL.
    pub(crate) async fn connect(server: &Running, user: &str) -> Peer {
        let ticket = server.ticket(user).await;
        Peer::with_query(server, &format!("?ticket={ticket}")).await
    }

    /// Comes in with a credential in the query, which has to be good.
    pub(crate) async fn with_query(server: &Running, query: &str) -> Peer {
        Peer::over(knock(server, query).await).await
    }

    /// Comes in without a credential and connects with this body.
    pub(crate) async fn with_connect(server: &Running, body: Value) -> Peer {
        let socket = knock(server, "").await;
        let mut peer = Peer { socket, next_id: 1, pushes: VecDeque::new(), connected: Value::Null };
        peer.connected = peer.ok("connect", body).await;
        peer
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Takes a socket that came in with a good credential.
    pub(crate) async fn over(mut socket: WebSocket<S>) -> Peer<S> {
        let first = read(&mut socket).await.expect("connected");
        let connected = first["connected"].clone();
        assert!(connected.is_object(), "{first}");
        Peer { socket, next_id: 1, pushes: VecDeque::new(), connected }
    }

    /// Goes on with a socket whose `connected` was read before.
    pub(crate) fn resume(socket: WebSocket<S>) -> Peer<S> {
        Peer { socket, next_id: 1 << 20, pushes: VecDeque::new(), connected: Value::Null }
    }

    pub(crate) fn session(&self) -> String {
        self.connected["session"].as_str().expect("a session token").to_owned()
    }

    /// Sends a text as it is.
    pub(crate) async fn say(&mut self, text: &str) {
        within(self.socket.send(text)).await.expect("the connection is open");
    }

    /// Sends a command and gives its reply, whatever it is. Pushes on the way are kept for [`Peer::push`].
    pub(crate) async fn command(&mut self, verb: &str, body: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.say(&json!({ "id": id, verb: body }).to_string()).await;
        loop {
            let message = read(&mut self.socket).await.unwrap_or_else(|| panic!("no reply to {verb}"));
            if message["id"] == id {
                return message;
            }
            self.pushes.push_back(message);
        }
    }

    /// Sends a command that has to succeed.
    pub(crate) async fn ok(&mut self, verb: &str, body: Value) -> Value {
        let reply = self.command(verb, body).await;
        assert!(reply["ok"].is_object(), "{verb}: {reply}");
        reply["ok"].clone()
    }

    /// Sends a command that has to be refused; gives the code.
    pub(crate) async fn refused(&mut self, verb: &str, body: Value) -> String {
        let reply = self.command(verb, body).await;
        reply["error"]["code"].as_str().unwrap_or_else(|| panic!("{verb}: {reply}")).to_owned()
    }

    /// The next push, or message without an id.
    pub(crate) async fn push(&mut self) -> Value {
        match self.pushes.pop_front() {
            Some(push) => push,
            None => read(&mut self.socket).await.expect("a push"),
        }
    }

    /// What is said before the end, and the end.
    pub(crate) async fn end(&mut self) -> (Vec<Value>, Closed) {
        let mut said: Vec<Value> = self.pushes.drain(..).collect();
        let closed = end(&mut self.socket, &mut said).await;
        (said, closed)
    }
}

/// The next message as JSON; `None` at the end.
pub(crate) async fn read<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocket<S>) -> Option<Value> {
    match within(socket.recv()).await? {
        Ok(Message::Text(text)) => Some(serde_json::from_str(&text).expect("one JSON object per message")),
        Ok(Message::Binary(_)) => panic!("the hub sends text"),
        Err(error) => panic!("the connection broke: {error}"),
    }
}

/// Reads to the end; what was said goes to `said`.
pub(crate) async fn end<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocket<S>,
    said: &mut Vec<Value>,
) -> Closed {
    while let Some(message) = read(socket).await {
        said.push(message);
    }
    socket.closed().cloned().expect("an end")
}
