//! A client of the lines door: a socket, and a line for each JSON object.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::raw::{Answer, dial, read_answer, rest};
use super::{Running, within};

/// The request of the clients that this protocol was made by: these lines and no other.
pub(crate) fn request(address: SocketAddr, ticket: &str) -> String {
    format!(
        "OPTIONS / HTTP/1.1\r\nHost: {address}\r\nUpgrade: firepresence\r\nX-Auth-Token: {ticket}\r\n\r\n"
    )
}

/// One connection.
pub(crate) struct Lines<S = TcpStream> {
    pub(crate) stream: S,
    /// What was read and is in no line yet.
    read: Vec<u8>,
    next_id: u64,
    pushes: VecDeque<Value>,
    /// The body of `connected`.
    pub(crate) connected: Value,
}

impl Lines {
    /// Comes in with a fresh ticket for `user`.
    pub(crate) async fn connect(server: &Running, user: &str) -> Lines {
        let ticket = server.ticket(user).await;
        let (answer, mut lines) = Lines::ask(server.address, &request(server.address, &ticket)).await;
        assert_eq!((answer.status, answer.header("upgrade")), (101, Some("firepresence/1.0")), "{answer:?}");
        let first = lines.read().await.expect("connected");
        lines.connected = first["connected"].clone();
        assert!(lines.connected.is_object(), "{first}");
        lines
    }

    /// Sends this head and takes the answer, whatever it is.
    pub(crate) async fn ask(address: SocketAddr, head: &str) -> (Answer, Lines) {
        let mut stream = dial(address).await;
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        let answer = read_answer(&mut stream).await;
        (answer, Lines::over(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    /// Lines from here on.
    pub(crate) fn over(stream: S) -> Lines<S> {
        Lines { stream, read: Vec::new(), next_id: 1, pushes: VecDeque::new(), connected: Value::Null }
    }

    /// Sends bytes as they are.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.expect("the connection is open");
    }

    /// The next line; `None` at the end.
    pub(crate) async fn read(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("one JSON object on each line"));
            }
            match within(self.stream.read_buf(&mut self.read)).await {
                Ok(1..) => {}
                _ => {
                    assert!(self.read.is_empty(), "half a line: {:?}", String::from_utf8_lossy(&self.read));
                    return None;
                }
            }
        }
    }

    /// The next push.
    pub(crate) async fn push(&mut self) -> Value {
        match self.pushes.pop_front() {
            Some(push) => push,
            None => self.read().await.expect("a push"),
        }
    }

    /// Sends a command that has to succeed.
    pub(crate) async fn ok(&mut self, verb: &str, body: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.say(format!("{}\n", json!({ "id": id, verb: body }))).await;
        loop {
            let message = self.read().await.unwrap_or_else(|| panic!("no reply to {verb}"));
            if message["id"] == id {
                assert!(message["ok"].is_object(), "{verb}: {message}");
                return message["ok"].clone();
            }
            self.pushes.push_back(message);
        }
    }

    /// All lines to the end of the stream.
    pub(crate) async fn end(&mut self) -> Vec<Value> {
        let text =
            String::from_utf8(std::mem::take(&mut self.read)).expect("text") + &rest(&mut self.stream).await;
        text.lines().map(|line| serde_json::from_str(line).expect("one JSON object on each line")).collect()
    }
}
