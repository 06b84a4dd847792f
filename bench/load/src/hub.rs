//! The opening of the dialect `hub.json.1` (docs/protocol.md): tickets, connections, subscriptions.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::Fallible;
use crate::args::Deflate;
use crate::open::{answer, ask};
use crate::talk::Talk;

/// Tickets that wait to be redeemed: they live for ten seconds.
const AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);
const RESPONSE_LIMIT: usize = 16 << 10;

/// The way into a hub.
pub(crate) struct Hub {
    address: SocketAddrV4,
    /// One HTTP connection for all requests.
    http: TcpStream,
    api_key: Option<String>,
}

impl Hub {
    /// Tickets come from the API where there is a key, otherwise from dev mode.
    pub(crate) fn new(address: SocketAddrV4, api_key: Option<String>) -> Fallible<Self> {
        let http = TcpStream::connect(address)?;
        http.set_nodelay(true)?;
        http.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { address, http, api_key })
    }

    /// Connections that are subscribed to `channel`, in the order of their numbers from `first` on.
    pub(crate) fn subscribers(&mut self, first: usize, count: usize, channel: &str) -> Fallible<Vec<Talk>> {
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let begin = first + all.len();
            let mut some = self.connect(begin, AT_ONCE.min(count - all.len()))?;
            for talk in &mut some {
                talk.say(&format!(r#"{{"id":1,"subscribe":{{"channel":"{channel}"}}}}"#))?;
            }
            for talk in &mut some {
                expect(talk, "ok")?;
            }
            all.append(&mut some);
        }
        Ok(all)
    }

    /// Connections that are past their `connected`.
    pub(crate) fn connect(&mut self, first: usize, count: usize) -> Fallible<Vec<Talk>> {
        let mut waiting = Vec::with_capacity(count);
        for number in first..first + count {
            let path = format!("/connect?ticket={}", self.ticket(&format!("u{number}"))?);
            waiting.push(ask(self.address, number, &path, Deflate::Off)?);
        }
        let mut all = Vec::with_capacity(count);
        for (stream, key) in waiting {
            let mut talk = answer(stream, &key)?.talk;
            expect(&mut talk, "connected")?;
            all.push(talk);
        }
        Ok(all)
    }

    fn ticket(&mut self, user: &str) -> Fallible<String> {
        let (path, credential) = match &self.api_key {
            Some(key) => ("/api/v1/tickets", format!("Authorization: Bearer {key}\r\n")),
            None => ("/dev/ticket", String::new()),
        };
        let body = format!(r#"{{"user":"{user}"}}"#);
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{credential}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.http.write_all(request.as_bytes())?;
        let answer: Value = serde_json::from_slice(&self.response()?)?;
        let ticket = answer["ticket"].as_str();
        Ok(ticket.ok_or_else(|| format!("no ticket: {answer}"))?.to_owned())
    }

    /// The body of the next response.
    fn response(&mut self) -> Fallible<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.ok_or("a response without a length")?.trim().parse()?;
                if bytes.len() >= end + 4 + length {
                    return Ok(bytes.split_off(end + 4));
                }
            }
            let mut chunk = [0; 4096];
            let count = self.http.read(&mut chunk)?;
            if count == 0 || bytes.len() > RESPONSE_LIMIT {
                return Err(format!("no response: {:?}", String::from_utf8_lossy(&bytes)).into());
            }
            bytes.extend(&chunk[..count]);
        }
    }
}

/// The next message has this field.
fn expect(talk: &mut Talk, field: &str) -> Fallible<()> {
    let (_, message) = talk.hear()?;
    let message: Value = serde_json::from_slice(&message)?;
    if message.get(field).is_some() { Ok(()) } else { Err(format!("no {field}: {message}").into()) }
}
