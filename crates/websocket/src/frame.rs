//! One frame header (RFC 6455 section 5.2): reading it with every rule, writing it in its shortest form.

use crate::error::Violation;
use crate::event::Kind;
use crate::leniency::Leniency;

/// The most bytes a header can have: 2, 8 of length, 4 of mask.
pub const MAX_HEADER: usize = 14;

/// The most payload bytes of a control frame (section 5.5).
pub const MAX_CONTROL: usize = 125;

/// The first reserved bit, as it stands in [`Header::rsv`]: a compressed message begins with the frame (RFC 7692 section 6).
pub const RSV1: u8 = 0b100;

/// What a frame is (section 5.2). Reserved opcodes have no value here: they never get this far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// 0x0: more of the message that is open.
    Continuation = 0x0,
    /// 0x1: begins a text message.
    Text = 0x1,
    /// 0x2: begins a binary message.
    Binary = 0x2,
    /// 0x8: the closing handshake.
    Close = 0x8,
    /// 0x9: asks for a Pong.
    Ping = 0x9,
    /// 0xA: answers a Ping, or comes unasked.
    Pong = 0xa,
}

impl OpCode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it is a control frame: it may stand between the fragments of a message (section 5.5).
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

impl From<Kind> for OpCode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Binary => Self::Binary,
        }
    }
}

/// A frame header, read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// RSV1, RSV2, RSV3 as bits 2, 1, 0; never one that no extension claimed.
    pub rsv: u8,
    /// What the frame is.
    pub opcode: OpCode,
    /// The masking key, of a client's frame.
    pub mask: Option<[u8; 4]>,
    /// Payload bytes.
    pub len: u64,
}

/// What the rules need to know beside the header itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Whether the frame must be masked: true where the remote is a client (section 5.1).
    pub masked: bool,
    /// The RSV bits that negotiated extensions claimed for the first frame of a message.
    pub rsv: u8,
    /// Whether a fragmented message is open (section 5.4).
    pub in_message: bool,
    /// What this remote is forgiven.
    pub leniency: Leniency,
}

/// Judges the first two bytes of a frame by every rule that they can break, before any more is read.
///
/// "Unknown opcode ⇒ fail at header time" is the reason that this stands alone: nothing that a doomed frame
/// announces is ever waited for.
pub fn judge(first: u8, second: u8, expect: Expect) -> Result<OpCode, Violation> {
    let bits = first & 0x0f;
    let opcode = OpCode::from_bits(bits).ok_or(Violation::ReservedOpcode { opcode: bits })?;
    let starts_message = matches!(opcode, OpCode::Text | OpCode::Binary);
    // "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."
    let claimed = if starts_message { expect.rsv } else { 0 };
    let rsv = (first >> 4) & 0b111;
    if rsv & !claimed != 0 {
        return Err(Violation::ReservedBits { bits: rsv & !claimed });
    }
    match (second & 0x80 != 0, expect.masked) {
        (false, true) => return Err(Violation::Unmasked),
        (true, false) if !expect.leniency.masked_servers => return Err(Violation::Masked),
        _ => {}
    }
    if opcode.is_control() {
        // "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
        if first & 0x80 == 0 {
            return Err(Violation::FragmentedControl { opcode: bits });
        }
        if usize::from(second & 0x7f) > MAX_CONTROL {
            return Err(Violation::LongControl { opcode: bits });
        }
    } else if starts_message && expect.in_message {
        return Err(Violation::InterleavedMessage);
    } else if !starts_message && !expect.in_message {
        return Err(Violation::UnexpectedContinuation);
    }
    Ok(opcode)
}

/// Collects a header that may arrive in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderReader {
    bytes: [u8; MAX_HEADER],
    have: u8,
}

impl HeaderReader {
    /// Takes bytes from the front of `input` until the header is whole.
    ///
    /// Gives how many bytes were taken, and the header once it is complete; the reader is then as new.
    pub fn receive(&mut self, input: &[u8], expect: Expect) -> Result<(usize, Option<Header>), Violation> {
        let mut taken = 0;
        loop {
            let have = usize::from(self.have);
            let need = self.need();
            if have == need {
                let header = self.decode(expect)?;
                self.have = 0;
                return Ok((taken, Some(header)));
            }
            let part = &input[taken..input.len().min(taken + need - have)];
            self.bytes[have..have + part.len()].copy_from_slice(part);
            #[expect(clippy::cast_possible_truncation, reason = "a header has at most 14 bytes")]
            let more = part.len() as u8;
            self.have += more;
            taken += part.len();
            if have < 2 && self.have == 2 {
                judge(self.bytes[0], self.bytes[1], expect)?;
            }
            if part.len() < need - have {
                return Ok((taken, None));
            }
        }
    }

    /// Whether nothing of a header has arrived.
    pub fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// How many bytes the header will have, as far as the bytes so far can tell.
    fn need(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let mask = if self.bytes[1] & 0x80 != 0 { 4 } else { 0 };
        2 + mask
            + match self.bytes[1] & 0x7f {
                126 => 2,
                127 => 8,
                _ => 0,
            }
    }

    fn decode(&self, expect: Expect) -> Result<Header, Violation> {
        let [first, second, rest @ ..] = self.bytes;
        let opcode = judge(first, second, expect)?;
        let (len, mask_at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
            127 => {
                let [len @ .., _, _, _, _] = rest;
                (u64::from_be_bytes(len), 8)
            }
            short => (u64::from(short), 0),
        };
        check_length(second & 0x7f, len, expect.leniency)?;
        let mask = (second & 0x80 != 0)
            .then(|| [rest[mask_at], rest[mask_at + 1], rest[mask_at + 2], rest[mask_at + 3]]);
        Ok(Header { fin: first & 0x80 != 0, rsv: (first >> 4) & 0b111, opcode, mask, len })
    }
}

/// "The minimal number of bytes MUST be used to encode the length" and "the most significant bit MUST be 0".
fn check_length(form: u8, len: u64, leniency: Leniency) -> Result<(), Violation> {
    match form {
        127 if len >> 63 != 0 => Err(Violation::LengthTopBit { len }),
        _ if leniency.long_lengths => Ok(()),
        127 if len <= u64::from(u16::MAX) => Err(Violation::LengthNotMinimal { len }),
        126 if len <= 125 => Err(Violation::LengthNotMinimal { len }),
        _ => Ok(()),
    }
}

/// Writes a header into `out` and says how many bytes it has. The length takes its shortest form.
pub fn encode(header: &Header, out: &mut [u8; MAX_HEADER]) -> usize {
    out[0] = (u8::from(header.fin) << 7) | (header.rsv << 4) | header.opcode as u8;
    let masked = if header.mask.is_some() { 0x80 } else { 0 };
    let mut end = 2;
    match header.len {
        len @ 0..=125 => {
            let [.., short] = len.to_be_bytes();
            out[1] = masked | short;
        }
        len @ 126..=0xffff => {
            let [.., high, low] = len.to_be_bytes();
            out[1..4].copy_from_slice(&[masked | 126, high, low]);
            end = 4;
        }
        len => {
            out[1] = masked | 127;
            out[2..10].copy_from_slice(&len.to_be_bytes());
            end = 10;
        }
    }
    if let Some(mask) = header.mask {
        out[end..end + 4].copy_from_slice(&mask);
        end += 4;
    }
    end
}

/// A server's header, which has no mask, in a register's width: (bytes, how many of them count).
#[inline]
pub(crate) fn server_header(fin: bool, rsv: u8, opcode: OpCode, len: u64) -> ([u8; 16], usize) {
    let first = (u8::from(fin) << 7) | (rsv << 4) | opcode as u8;
    let mut out = [0; 16];
    out[0] = first;
    let [a, b, c, d, e, f, g, h] = len.to_be_bytes();
    if len <= 125 {
        out[1] = h;
        return (out, 2);
    }
    if len <= 0xffff {
        out[1..4].copy_from_slice(&[126, g, h]);
        return (out, 4);
    }
    out[1..10].copy_from_slice(&[127, a, b, c, d, e, f, g, h]);
    (out, 10)
}

#[cfg(test)]
mod tests;
