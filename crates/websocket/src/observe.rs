//! What can be seen of a connection: its frames one by one, and what they add up to. Never a payload.

use std::fmt;

use crate::frame::{Header, OpCode, RSV1};

/// Is told of each frame: of a data frame by its header, of a control frame once it is whole. A frame whose header breaks
/// a rule is not told of; [`Closed`](crate::Closed) says what was wrong with it.
///
/// A plain function, so that a connection that nobody looks at pays a comparison for it. It must not block.
pub type Observer = fn(&FrameNote);

/// One frame, without its payload. Its [`Display`](fmt::Display) is a line for a log: `< Text 125 fin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameNote {
    /// Which way it went.
    pub way: Way,
    /// What it is.
    pub opcode: OpCode,
    /// Whether the message ends with it.
    pub fin: bool,
    /// Whether a compressed message begins with it (RSV1, RFC 7692 section 6).
    pub deflated: bool,
    /// Payload bytes on the wire.
    pub len: u64,
    /// The code of a Close frame, if it has one.
    pub close_code: Option<u16>,
}

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the remote to us, written `<`.
    In,
    /// From us to the remote, written `>`.
    Out,
}

impl FrameNote {
    pub(crate) fn new(way: Way, header: &Header, body: &[u8]) -> Self {
        let code = match (header.opcode, body) {
            (OpCode::Close, [high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        };
        let deflated = header.rsv & RSV1 != 0;
        Self { way, opcode: header.opcode, fin: header.fin, deflated, len: header.len, close_code: code }
    }
}

impl fmt::Display for FrameNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.way {
            Way::In => "<",
            Way::Out => ">",
        })?;
        match (self.opcode, self.close_code) {
            (OpCode::Close, Some(code)) => return write!(f, " Close {code}"),
            (OpCode::Close, None) => return f.write_str(" Close"),
            (opcode, _) => write!(f, " {opcode:?} {}", self.len)?,
        }
        // A control frame always is the last of its message.
        if self.fin && !self.opcode.is_control() {
            f.write_str(" fin")?;
        }
        if self.deflated { f.write_str(" deflated") } else { Ok(()) }
    }
}

/// What went over a connection since its opening handshake, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// From the remote to us.
    pub received: Traffic,
    /// From us to the remote. Frames and messages count when they are queued, wire bytes when they have left.
    pub sent: Traffic,
}

/// What went one way. A sum never shrinks; the difference of two moments is what went between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of the stream: headers, payloads, control frames.
    pub wire_bytes: u64,
    /// Frames of every kind.
    pub frames: u64,
    /// Whole messages: a received one counts at its end, a sent one at its beginning.
    pub messages: u64,
    /// Bytes of messages as the application has them, inflated.
    pub payload_bytes: u64,
    /// Pings, our keepalive's among them.
    pub pings: u32,
    /// Pongs.
    pub pongs: u32,
    /// Payload bytes of compressed messages, as they are on the wire.
    pub deflated_bytes: u64,
    /// The same bytes inflated. Over [`deflated_bytes`](Self::deflated_bytes) this is what compression gains.
    pub inflated_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_short_line_without_its_payload() {
        let header = |opcode, fin, rsv, len| Header { fin, rsv, opcode, mask: None, len };
        let table = [
            (Way::In, header(OpCode::Text, true, 0, 125), &b""[..], "< Text 125 fin"),
            (Way::Out, header(OpCode::Binary, false, 4, 4096), b"", "> Binary 4096 deflated"),
            (Way::Out, header(OpCode::Continuation, true, 0, 0), b"", "> Continuation 0 fin"),
            (Way::In, header(OpCode::Ping, true, 0, 4), b"abcd", "< Ping 4"),
            (Way::Out, header(OpCode::Close, true, 0, 8), b"\x03\xe8secret", "> Close 1000"),
            (Way::In, header(OpCode::Close, true, 0, 0), b"", "< Close"),
        ];
        for (way, header, body, line) in table {
            assert_eq!(FrameNote::new(way, &header, body).to_string(), line);
        }
    }
}
