//! HTTP/2 by hand: frames as bytes, so that a test can send what no library would, and see what crosses the wire.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::timeout;
use trunkline_net::handshake::AcceptPolicy;
use trunkline_net::http2::{Http2Error, Http2Limits, Incoming, Server, Stream};

/// Nothing here takes this long unless it hangs.
pub(crate) const HANG: Duration = Duration::from_secs(60);

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113 section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// Of no standard; to be ignored (section 5.5).
pub(crate) const UNKNOWN: u8 = 0x42;

/// Flags.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Settings (section 6.5.2; RFC 8441 section 3).
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// Codes (section 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// An extended CONNECT as it must be (RFC 8441 section 5.1).
pub(crate) const WEBSOCKET: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":authority", "server.example.com"),
    (":path", "/chat"),
    ("sec-websocket-version", "13"),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The first number of the payload: a code, an increment.
    pub(crate) fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().expect("four bytes"))
    }

    /// The code of a GOAWAY.
    pub(crate) fn goaway_code(&self) -> u32 {
        u32::from_be_bytes(self.payload[4..8].try_into().expect("four bytes"))
    }

    /// The settings of a SETTINGS.
    pub(crate) fn settings(&self) -> Vec<(u16, u32)> {
        let pairs = self.payload.chunks_exact(6).map(|pair| {
            let id = u16::from_be_bytes(pair[..2].try_into().expect("two bytes"));
            (id, u32::from_be_bytes(pair[2..].try_into().expect("four bytes")))
        });
        pairs.collect()
    }

    /// The status of a response, which our server's encoder puts first: from the static table, or as three digits.
    pub(crate) fn status(&self) -> u16 {
        const TABLE: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        // The encoder first says that it obeys: its table has no room.
        let block = self.payload.strip_prefix(&[0x20]).unwrap_or(&self.payload);
        match *block {
            [first @ 0x88..=0x8e, ..] => TABLE[usize::from(first - 0x88)],
            // A literal whose name is in the table, its value in Huffman code or not.
            [0x48 | 0x08, 0x82, a, b, ..] => huffman_digits(u32::from_be_bytes([a, b, 0, 0])),
            [0x48 | 0x08, 0x83, a, b, c, ..] => huffman_digits(u32::from_be_bytes([a, b, c, 0])),
            [0x48 | 0x08, 0x03, a, b, c, ..] => {
                [a, b, c].iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
            }
            _ => panic!("no status in {self:02x?}"),
        }
    }
}

/// Three digits in the code of RFC 7541 appendix B: five bits for 0 to 2, six bits for the others.
fn huffman_digits(mut bits: u32) -> u16 {
    let mut number = 0;
    for _ in 0..3 {
        let five = bits >> 27;
        let (digit, length) = if five <= 2 { (five, 5) } else { ((bits >> 26) - 0x19 + 3, 6) };
        number = number * 10 + digit;
        bits <<= length;
    }
    u16::try_from(number).expect("three digits")
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame's payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of headers as literals that nobody has to remember (RFC 7541 section 6.2.2), whatever they hold.
pub(crate) fn block<'h>(fields: impl IntoIterator<Item = (&'h str, &'h str)>) -> Vec<u8> {
    raw_block(fields.into_iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

pub(crate) fn raw_block<'h>(fields: impl IntoIterator<Item = (&'h [u8], &'h [u8])>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text);
        }
    }
    block
}

/// A length in a prefix of seven bits (RFC 7541 section 5.1).
fn integer(block: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        return block.push(value as u8);
    }
    block.push(127);
    value -= 127;
    while value >= 128 {
        block.push((value % 128) as u8 | 128);
        value /= 128;
    }
    block.push(value as u8);
}

pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(fields.iter().copied()))
}

pub(crate) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload = pairs.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &payload.collect::<Vec<_>>())
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// One end of an HTTP/2 connection, by hand.
pub(crate) struct Raw {
    stream: DuplexStream,
    /// The settings that the other end began with.
    pub(crate) theirs: Vec<(u16, u32)>,
}

impl Raw {
    /// Without anything sent or read.
    pub(crate) fn bare(stream: DuplexStream) -> Self {
        Self { stream, theirs: Vec::new() }
    }

    /// Speaks to a server: preface and settings, and its settings acknowledged. The server shall remember no headers, so
    /// that its answers can be read one by one.
    pub(crate) async fn client(stream: DuplexStream, ours: &[(u16, u32)]) -> Self {
        let mut raw = Self::bare(stream);
        raw.send(PREFACE).await;
        raw.send(&settings(&[&[(HEADER_TABLE_SIZE, 0)], ours].concat())).await;
        raw.take_settings().await;
        raw
    }

    /// Speaks to a client in the same way, after its preface.
    pub(crate) async fn server(stream: DuplexStream, ours: &[(u16, u32)]) -> Self {
        let mut raw = Self::bare(stream);
        let mut preface = [0; PREFACE.len()];
        timeout(HANG, raw.stream.read_exact(&mut preface)).await.expect("in time").expect("a preface");
        assert_eq!(preface, PREFACE);
        raw.send(&settings(ours)).await;
        raw.take_settings().await;
        raw
    }

    async fn take_settings(&mut self) {
        let first = self.next().await.expect("settings come first");
        assert_eq!((first.kind, first.flags), (SETTINGS, 0));
        self.theirs = first.settings();
        self.send(&frame(SETTINGS, ACK, 0, &[])).await;
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(HANG, self.stream.write_all(bytes)).await.expect("in time").expect("not ended");
    }

    /// Sends unless the other end has closed.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        timeout(HANG, self.stream.write_all(bytes)).await.expect("in time")
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        timeout(HANG, self.stream.read_exact(&mut head)).await.expect("in time").ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        timeout(HANG, self.stream.read_exact(&mut payload)).await.expect("in time").expect("a whole frame");
        let stream = u32::from_be_bytes(head[5..].try_into().expect("four bytes"));
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of one of these types; the others are thrown away.
    pub(crate) async fn next_of(&mut self, kinds: &[u8]) -> Frame {
        loop {
            let frame = self.next().await.expect("another frame");
            if kinds.contains(&frame.kind) {
                return frame;
            }
        }
    }

    /// Waits until the other end has taken everything so far. What comes meanwhile is thrown away.
    pub(crate) async fn settle(&mut self) {
        self.send(&frame(PING, 0, 0, &[1; 8])).await;
        while self.next_of(&[PING]).await.flags & ACK == 0 {}
    }

    /// The code of the GOAWAY that ends the connection.
    pub(crate) async fn ended_with(&mut self) -> u32 {
        let mut last = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                last = Some(frame.goaway_code());
            }
        }
        last.expect("a GOAWAY before the end")
    }

    /// The stream, and 200, of a WebSocket that was asked for on `stream`.
    pub(crate) async fn open(&mut self, stream: u32) {
        self.send(&headers(stream, 0, &WEBSOCKET)).await;
        let answer = self.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
        assert_eq!((answer.kind, answer.stream, answer.flags), (HEADERS, stream, END_HEADERS));
        assert_eq!(answer.status(), 200);
    }

    pub(crate) fn into_inner(self) -> DuplexStream {
        self.stream
    }
}

/// A server that lets every good WebSocket in and hands its stream over; other requests get 404.
pub(crate) struct Driven {
    pub(crate) streams: mpsc::UnboundedReceiver<Stream>,
    pub(crate) task: tokio::task::JoinHandle<Result<(), Http2Error>>,
}

/// Such a server at one end of a pipe, and the other end.
pub(crate) fn serve(limits: Http2Limits) -> (Driven, DuplexStream) {
    let (ours, theirs) = duplex(64 << 10);
    let (give, streams) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let mut server = Server::start(ours, &limits).await?;
        while let Some(incoming) = server.accept().await {
            match incoming? {
                Incoming::Connect(connect) => match connect.judge(&AcceptPolicy::default()) {
                    Ok(accepted) => {
                        if let Ok(stream) = connect.accept(&accepted) {
                            // Whoever does not want it any more drops it.
                            let _ = give.send(stream);
                        }
                    }
                    Err(rejected) => connect.refuse(&rejected.to_response()),
                },
                Incoming::Request(exchange) => {
                    let mut response = http::Response::new("nothing here\n");
                    *response.status_mut() = http::StatusCode::NOT_FOUND;
                    exchange.refuse(&response);
                }
            }
        }
        Ok(())
    });
    (Driven { streams, task }, theirs)
}

impl Driven {
    pub(crate) async fn stream(&mut self) -> Stream {
        timeout(HANG, self.streams.recv()).await.expect("in time").expect("a stream")
    }

    pub(crate) async fn ended(self) -> Result<(), Http2Error> {
        timeout(HANG, self.task).await.expect("in time").expect("no panic")
    }
}
