//! Messages: what the application sends, and how a received one is put together (RFC 6455 section 5.4).

use bytes::Bytes;
use bytestring::ByteString;

use crate::config::Limits;
use crate::error::Violation;
use crate::frame::{self, Header, MAX_HEADER, OpCode};
use crate::utf8;

/// Text that is known to be UTF-8, cheap to clone.
pub type Utf8Bytes = ByteString;

/// A whole message, owned and cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(Utf8Bytes),
    /// Anything else.
    Binary(Bytes),
}

impl Message {
    /// The payload's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Whether it is text.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// The payload, without a copy.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// Payload bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    pub(crate) fn opcode(&self) -> OpCode {
        if self.is_text() { OpCode::Text } else { OpCode::Binary }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Utf8Bytes> for Message {
    fn from(text: Utf8Bytes) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(data))
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data.into())
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self::Binary(data)
    }
}

/// A message framed once, to be sent on many connections.
///
/// A server's frames carry no mask, so the same bytes serve every client: cloning and queueing one shares its memory.
/// On a connection in the client role the payload is framed and masked anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    frame: Bytes,
    header: u8,
    opcode: OpCode,
}

impl Prepared {
    /// Frames a text message.
    pub fn text(text: &str) -> Self {
        Self::new(OpCode::Text, text.as_bytes())
    }

    /// Frames a binary message.
    pub fn binary(data: &[u8]) -> Self {
        Self::new(OpCode::Binary, data)
    }

    fn new(opcode: OpCode, payload: &[u8]) -> Self {
        let mut header = [0; MAX_HEADER];
        let size = frame::encode(
            &Header { fin: true, rsv: 0, opcode, mask: None, len: payload.len() as u64 },
            &mut header,
        );
        let frame = Bytes::from([&header[..size], payload].concat());
        Self { frame, header: size as u8, opcode }
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.frame[usize::from(self.header)..]
    }

    /// Bytes of the whole frame, which is what a queue should count.
    pub fn frame_len(&self) -> usize {
        self.frame.len()
    }

    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }

    pub(crate) fn opcode(&self) -> OpCode {
        self.opcode
    }
}

/// A message that is still arriving: its kind, what it has cost so far, and the bytes that had to be kept.
///
/// Memory follows the bytes that arrived and never the length that a header announces.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// The opcode of its first frame, while a message is open.
    kind: Option<OpCode>,
    /// Frames so far that were not the last.
    fragments: u32,
    /// The length of all its frames so far, by their headers.
    announced: u64,
    /// What it can reach: the announced length once the last frame has begun, the limit before.
    most: u64,
    kept: Vec<u8>,
    utf8: utf8::Validator,
}

/// The parts of a message as one whole.
#[derive(Debug)]
pub(crate) enum Whole {
    Text(String),
    Binary(Vec<u8>),
}

impl Assembler {
    /// Whether a message is open, so that only continuations may follow.
    pub(crate) fn in_message(&self) -> bool {
        self.kind.is_some()
    }

    /// Counts a data frame by its header, before any of its payload is read.
    pub(crate) fn begin_frame(&mut self, header: &Header, limits: &Limits) -> Result<(), Violation> {
        self.kind.get_or_insert(header.opcode);
        if !header.fin {
            self.fragments = self.fragments.saturating_add(1);
        }
        if self.fragments > limits.fragments {
            return Err(Violation::TooManyFragments { limit: limits.fragments });
        }
        // A header's length is below 2^63, so the sum cannot wrap before the limit of a usize stops it.
        self.announced = self.announced.saturating_add(header.len);
        if self.announced > limits.message as u64 {
            return Err(Violation::MessageTooBig { limit: limits.message, got: self.announced });
        }
        self.most = if header.fin { self.announced } else { limits.message as u64 };
        Ok(())
    }

    /// Whether a frame that is whole in the input is the whole message, so that nothing has to be kept.
    pub(crate) fn is_single(&self, header: &Header) -> bool {
        self.fragments == 0 && header.fin
    }

    /// Keeps a piece of payload, already unmasked. Text is judged at once: "fail fast".
    pub(crate) fn keep(&mut self, piece: &[u8]) -> Result<(), Violation> {
        if self.kind == Some(OpCode::Text) {
            self.utf8.push(piece).map_err(|utf8::Invalid| Violation::InvalidUtf8)?;
        }
        self.make_room(piece.len());
        self.kept.extend_from_slice(piece);
        Ok(())
    }

    /// Grows by doubling, so that many fragments cost linear time, but never past what the message can reach.
    fn make_room(&mut self, more: usize) {
        let need = self.kept.len() + more;
        if need > self.kept.capacity() {
            let most = usize::try_from(self.most).unwrap_or(usize::MAX);
            let target = need.max(most.min(self.kept.capacity().saturating_mul(2)));
            self.kept.reserve_exact(target - self.kept.len());
        }
    }

    /// Ends the message with its last frame.
    pub(crate) fn finish(&mut self) -> Result<Whole, Violation> {
        let Self { kind, kept, .. } = std::mem::take(self);
        match kind {
            // Judged a second time, because only the standard library can hand out a `String` without `unsafe`.
            Some(OpCode::Text) => {
                String::from_utf8(kept).map(Whole::Text).map_err(|_| Violation::InvalidUtf8)
            }
            _ => Ok(Whole::Binary(kept)),
        }
    }

    /// Drops what has arrived of a message: it will never be whole.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether the open message is text.
    pub(crate) fn is_text(&self) -> bool {
        self.kind == Some(OpCode::Text)
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.kept.capacity()
    }
}
