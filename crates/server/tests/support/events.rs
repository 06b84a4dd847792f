//! A client of the sse door that reads events as the HTML standard says, and remembers the last id.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::raw::{Answer, dial, read_answer};
use super::{Running, within};

/// One event stream.
pub(crate) struct Events {
    stream: TcpStream,
    /// What the body brought and no event has used.
    body: Vec<u8>,
    pub(crate) last_id: String,
    pub(crate) comments: usize,
    pub(crate) retry: Option<u64>,
}

impl Events {
    /// Opens the stream of `query`, with more header lines (each with its CR LF).
    pub(crate) async fn open(address: SocketAddr, query: &str, more: &str) -> Result<Events, Answer> {
        Events::over(dial(address).await, address, query, more).await
    }

    /// The same on a connection that is there.
    pub(crate) async fn over(
        mut stream: TcpStream,
        address: SocketAddr,
        query: &str,
        more: &str,
    ) -> Result<Events, Answer> {
        let head = format!("GET /events?{query} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        let answer = read_answer(&mut stream).await;
        if answer.status != 200 {
            return Err(answer);
        }
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.header("cache-control"), Some("no-store, no-transform"));
        assert_eq!(answer.header("x-accel-buffering"), Some("no"));
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        Ok(Events { stream, body: Vec::new(), last_id: String::new(), comments: 0, retry: None })
    }

    /// With a fresh ticket for `user`, in these channels; the first event, `connected`, is read.
    pub(crate) async fn connect(server: &Running, user: &str, channels: &str) -> (Events, Value) {
        let ticket = server.ticket(user).await;
        let mut events = Events::open(server.address, &format!("channels={channels}&ticket={ticket}"), "")
            .await
            .unwrap_or_else(|answer| panic!("{answer:?}"));
        let first = events.next().await.expect("connected");
        assert!(first["connected"].is_object(), "{first}");
        (events, first["connected"].clone())
    }

    /// The data of the next event that has any; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(data) = self.next_block().await? {
                return Some(data);
            }
        }
    }

    /// Up to the next blank line: an event's data, or nothing.
    async fn next_block(&mut self) -> Option<Option<Value>> {
        let mut data = None;
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Some(data);
            }
            match line.split_once(": ").unwrap_or((&line, "")) {
                ("data", text) => data = Some(serde_json::from_str(text).expect("JSON")),
                ("id", id) => self.last_id = id.to_owned(),
                ("retry", millis) => self.retry = Some(millis.parse().expect("milliseconds")),
                (comment, _) if comment.starts_with(':') => self.comments += 1,
                other => panic!("no field of ours: {other:?}"),
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.body.iter().position(|byte| *byte == b'\n') {
                let line = self.body.drain(..=end).collect::<Vec<_>>();
                return Some(String::from_utf8(line[..end].to_vec()).expect("text"));
            }
            self.chunk().await?;
        }
    }

    /// One chunk of the body (RFC 9112 §7.1).
    async fn chunk(&mut self) -> Option<()> {
        let mut size = String::new();
        while !size.ends_with("\r\n") {
            size.push(char::from(within(self.stream.read_u8()).await.ok()?));
        }
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        within(self.stream.read_exact(&mut chunk)).await.ok()?;
        chunk.truncate(size);
        self.body.extend(chunk);
        (size > 0).then_some(())
    }
}

/// `POST /commands` of one command.
pub(crate) async fn command(address: SocketAddr, bearer: &str, body: &Value) -> (u16, Value) {
    let answer = super::raw::post(address, "/commands", Some(bearer), &body.to_string()).await;
    (answer.status, answer.json())
}
