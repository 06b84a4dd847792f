//! What the two ends say to each other: one JSON object a unit, with one member that names what it is. docs/protocol.md has it in
//! words.
//!
//! Binary units have no header: outside of a bulk they are sent back as they came, in a bulk they are its bytes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Where the probe service is, unless its URL says otherwise.
pub const PATH: &str = "/probe";

/// The subprotocol of the probe in a WebSocket, answered if it was offered.
pub const SUBPROTOCOL: &str = "probe.1";

/// The header by which a server of this project is known.
pub const MARKER: &str = "trunkline";

/// The most bytes that one bulk may ask for in one direction (1 GiB): minutes of a fast path, and an end to what one request
/// can make a server send.
pub const BULK_LIMIT: u64 = 1 << 30;

/// The most ticks that may be asked for at once.
pub const TICKS_LIMIT: u32 = 1_000;

/// Bytes of a bulk in one unit: small enough for an answer to pass between two of them.
pub const PIECE: usize = 16 << 10;

/// What the near end asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Is answered by [`Reply::Pong`] with the same number. What else is in it comes back too.
    Ping {
        /// Any number.
        n: u64,
        /// Weight, to make it as long as wanted.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        pad: String,
    },
    /// So many bytes of patterns each way at once. Answered by [`Reply::Go`] before the first byte, and by
    /// [`Reply::Bulk`] once all have come and gone.
    Bulk {
        /// Bytes that the near end will send, of the pattern of `seed`.
        up: u64,
        /// Bytes that the far end is to send, of the pattern of `seed + 1`.
        down: u64,
        /// Of the patterns.
        seed: u64,
    },
    /// Small messages from the far end, one every so often: [`Reply::Tick`].
    Ticks {
        /// How many.
        count: u32,
        /// Milliseconds between them.
        every_ms: u32,
    },
    /// A small message from the near end, of which the far end notes when it came. Not answered.
    Mark {},
    /// When the marks came: [`Reply::Marks`].
    Marks {},
    /// What the far end has received so far, frame by frame: [`Reply::Counters`].
    Counters {},
    /// The far end closes: a Close frame with this code in a WebSocket, the end of its bytes elsewhere.
    Close {
        /// The close code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// The far end ends its own direction and still reads. In a WebSocket it is an error.
    HalfClose {},
    /// The far end resets the connection, without another word.
    Reset {},
    /// What became of another connection: [`Reply::Ending`].
    Ending {
        /// Its [`Hello::id`].
        id: String,
    },
}

/// What the far end says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// First of all, in the same packet as the answer to the handshake where there is one.
    Hello(Box<Hello>),
    /// To a ping.
    Pong {
        /// Its number.
        n: u64,
        /// Its weight.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        pad: String,
    },
    /// The bulk begins.
    Go {},
    /// The bulk is over.
    Bulk(Bulk),
    /// One of the ticks that were asked for.
    Tick {
        /// Which, from 0 on.
        n: u32,
        /// When it was sent, in microseconds since the first.
        at_us: u64,
    },
    /// When each mark came, in microseconds since the first.
    Marks {
        /// In the order in which they came.
        at_us: Vec<u64>,
    },
    /// What was received since the handshake.
    Counters(Counters),
    /// What became of a connection; nothing if it is not known, or not any more.
    Ending(Option<Ending>),
    /// What was asked for cannot be.
    Error {
        /// Which rule, which limit, what was got.
        message: String,
    },
}

/// What the far end saw of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Of this description: 1.
    pub probe: u32,
    /// Version of the server.
    pub server: String,
    /// By what this connection can be asked about on another one. Nothing for a plain request, which is over at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `HTTP/1.1`, `HTTP/1.0`, `HTTP/2.0`.
    pub version: String,
    /// Whether the server itself did TLS.
    pub tls: bool,
    /// The method.
    pub method: String,
    /// Path and query, without the value of any parameter but the probe's own.
    pub target: String,
    /// All header fields in the order in which they came. Those that may hold a secret have `...` for a value.
    pub headers: Vec<Field>,
    /// Whether the case of their names is as it came: HTTP/2, and requests behind the first of a connection, know lower
    /// case alone.
    pub case_kept: bool,
    /// The header fields of its own answer.
    pub answered: Vec<Field>,
    /// Bytes that came with the request head, before any answer.
    pub early: u64,
    /// Where the server's connection comes from, without the port; none on a unix socket.
    pub remote: Option<String>,
    /// What the server takes for the client's address.
    pub address: Option<String>,
    /// Why: `socket`, `proxy`, `forwarded`, `stated`, `local`.
    pub address_by: String,
}

/// Name and value of a header field.
pub type Field = (String, String);

/// What came of a bulk, as the far end saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    /// Bytes that came.
    pub received: u64,
    /// Bytes of them that are not what was sent.
    pub wrong: u64,
    /// Position of the first of these.
    pub first_wrong: Option<u64>,
    /// Microseconds from the command to the last byte that came.
    pub received_us: u64,
    /// Microseconds from the command to the last byte that was handed to the connection.
    pub sent_us: u64,
}

/// What came over a WebSocket since its handshake, as frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Frames of every kind.
    pub frames: u64,
    /// Messages.
    pub messages: u64,
    /// Payload bytes of messages that came compressed; 0 if none did.
    pub deflated_bytes: u64,
}

/// What became of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// `open`, `close` (a Close frame came), `end` (the stream ended), `half` (only the near end's direction has ended),
    /// `reset`, `violation`, `told` (by a command).
    pub how: String,
    /// The close code, or the error in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Milliseconds from the handshake to the end, or to now.
    pub after_ms: u64,
    /// Bytes of units that came.
    pub received: u64,
    /// Units that came.
    pub units: u64,
}

/// As a unit of text.
pub fn encode<T: Serialize>(what: &T) -> String {
    // These types have string keys and no maps, which is all that could fail.
    serde_json::to_string(what).unwrap_or_default()
}

/// From a unit of text.
///
/// # Errors
///
/// In words: what is not as it has to be.
pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_the_document_has_them() {
        let table = [
            (Command::Ping { n: 1, pad: String::new() }, r#"{"ping":{"n":1}}"#),
            (Command::Bulk { up: 1, down: 2, seed: 3 }, r#"{"bulk":{"up":1,"down":2,"seed":3}}"#),
            (Command::Ticks { count: 20, every_ms: 50 }, r#"{"ticks":{"count":20,"every_ms":50}}"#),
            (Command::Mark {}, r#"{"mark":{}}"#),
            (Command::Marks {}, r#"{"marks":{}}"#),
            (Command::Counters {}, r#"{"counters":{}}"#),
            (Command::Close { code: 4000, reason: "x".into() }, r#"{"close":{"code":4000,"reason":"x"}}"#),
            (Command::HalfClose {}, r#"{"half_close":{}}"#),
            (Command::Reset {}, r#"{"reset":{}}"#),
            (Command::Ending { id: "a".into() }, r#"{"ending":{"id":"a"}}"#),
        ];
        for (command, text) in table {
            assert_eq!(encode(&command), text);
            assert_eq!(decode::<Command>(text), Ok(command));
        }
    }

    #[test]
    fn what_is_no_command_is_refused_in_words() {
        for text in ["", "{}", "[]", r#"{"ping":{}}"#, r#"{"nonsense":{}}"#, r#"{"ping":{"n":-1}}"#] {
            assert!(decode::<Command>(text).is_err(), "{text}");
        }
    }
}
