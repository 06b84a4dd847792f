//! Who broke which rule: [`Violation`] is the remote's doing, [`Misuse`] is ours.

use crate::close::CloseCode;

/// A rule that the remote broke. Each has one close code, in [`Violation::close_code`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// RSV bits that no negotiated extension gave a meaning (section 5.2).
    #[error(
        "reserved bits {bits:#05b} set, but no extension was negotiated that uses them (RFC 6455 section 5.2)"
    )]
    ReservedBits {
        /// RSV1, RSV2, RSV3 as bits 2, 1, 0.
        bits: u8,
    },
    /// An opcode that the RFC reserves (section 5.2).
    #[error("opcode {opcode:#x} is reserved (RFC 6455 section 5.2)")]
    ReservedOpcode {
        /// The opcode.
        opcode: u8,
    },
    /// A client's frame without a mask (section 5.1).
    #[error("a client must mask every frame, this one is not masked (RFC 6455 section 5.1)")]
    Unmasked,
    /// A server's frame with a mask (section 5.1).
    #[error("a server must not mask its frames, this one is masked (RFC 6455 section 5.1)")]
    Masked,
    /// A control frame with FIN = 0 (section 5.5).
    #[error("a control frame (opcode {opcode:#x}) must not be fragmented (RFC 6455 section 5.5)")]
    FragmentedControl {
        /// The opcode.
        opcode: u8,
    },
    /// A control frame of more than 125 bytes (section 5.5).
    #[error(
        "a control frame (opcode {opcode:#x}) has at most 125 bytes, this one announces more (RFC 6455 section 5.5)"
    )]
    LongControl {
        /// The opcode.
        opcode: u8,
    },
    /// A length in more bytes than it needs (section 5.2).
    #[error("length {len} is not in its shortest form (RFC 6455 section 5.2)")]
    LengthNotMinimal {
        /// The length.
        len: u64,
    },
    /// A 64-bit length with its top bit set (section 5.2).
    #[error("length {len} has its most significant bit set (RFC 6455 section 5.2)")]
    LengthTopBit {
        /// The length.
        len: u64,
    },
    /// A continuation frame while no message is open (section 5.4).
    #[error("a continuation frame without a message to continue (RFC 6455 section 5.4)")]
    UnexpectedContinuation,
    /// A new message inside a fragmented one (section 5.4).
    #[error("a new message began before the fragmented one ended (RFC 6455 section 5.4)")]
    InterleavedMessage,
    /// A message over [`Limits::message`](crate::Limits::message).
    #[error("a message of {got} bytes or more, the limit is {limit} (RFC 6455 section 10.4)")]
    MessageTooBig {
        /// The limit, in bytes.
        limit: usize,
        /// What the message would have reached with this frame.
        got: u64,
    },
    /// A message in more frames than [`Limits::fragments`](crate::Limits::fragments).
    #[error("a message with more than {limit} frames before its last (RFC 6455 section 10.4)")]
    TooManyFragments {
        /// The limit, in frames with FIN = 0.
        limit: u32,
    },
    /// Text that is not UTF-8 (section 8.1).
    #[error("a text message is not UTF-8 (RFC 6455 section 8.1)")]
    InvalidUtf8,
    /// A Close frame with a body of one byte (section 5.5.1).
    #[error(
        "a Close frame's body is empty or begins with two bytes of code, this one has a single byte (RFC 6455 section 5.5.1)"
    )]
    CloseBodyOfOneByte,
    /// A close code that must not cross the wire (section 7.4).
    #[error("close code {got} must not be sent (RFC 6455 section 7.4)")]
    CloseCode {
        /// The code.
        got: u16,
    },
    /// A close reason that is not UTF-8 (section 5.5.1).
    #[error("the reason in a Close frame is not UTF-8 (RFC 6455 section 5.5.1)")]
    CloseReasonUtf8,
}

impl Violation {
    /// The code that our Close frame carries for it (section 7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::MessageTooBig { .. } | Self::TooManyFragments { .. } => CloseCode::TOO_BIG,
            Self::InvalidUtf8 | Self::CloseReasonUtf8 => CloseCode::INVALID_DATA,
            _ => CloseCode::PROTOCOL,
        }
    }
}

/// What this end did wrong. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// Data after our Close frame, or after the end (section 5.5.1).
    #[error("the connection is closing or closed: no more data may be sent (RFC 6455 section 5.5.1)")]
    AfterClose,
    /// More waits to be written than [`Limits::outgoing`](crate::Limits::outgoing): write first.
    #[error("{waiting} bytes wait to be written, the mark is {limit}: let them leave first")]
    Full {
        /// Bytes that wait.
        waiting: usize,
        /// The mark.
        limit: usize,
    },
    /// A Ping or Pong of more than 125 bytes (section 5.5).
    #[error("a control frame carries at most {limit} bytes, got {got} (RFC 6455 section 5.5)")]
    LongControl {
        /// The limit, in bytes.
        limit: usize,
        /// What was given.
        got: usize,
    },
    /// A close reason of more than 123 bytes (section 5.5).
    #[error("a close reason has at most {limit} bytes of UTF-8, got {got} (RFC 6455 section 5.5)")]
    LongReason {
        /// The limit, in bytes.
        limit: usize,
        /// What was given.
        got: usize,
    },
    /// A close reason without a code (section 5.5.1).
    #[error("a close reason needs a close code in front of it (RFC 6455 section 5.5.1)")]
    ReasonWithoutCode,
}
