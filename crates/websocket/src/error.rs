//! Who broke which rule: [`Violation`] is the remote's doing, [`Misuse`] is ours.

use crate::close::CloseCode;
use crate::deflate::InvalidDeflate;

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
    ///
    /// Or, compressed, over [`Limits::inflated`](crate::Limits::inflated); or, received piece by piece, over
    /// [`Limits::streamed`](crate::Limits::streamed).
    MessageTooBig {
        /// The limit, in bytes.
        limit: u64,
        /// What the message would have reached: with this frame, or with the next byte inflated.
        got: u64,
    },
    /// A compressed message over [`Limits::inflate_ratio`](crate::Limits::inflate_ratio).
    #[error("a compressed byte became more than {limit} bytes (RFC 6455 section 10.4)")]
    InflateRatio {
        /// The limit.
        limit: u32,
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
    /// A compressed message that is not DEFLATE (RFC 7692 section 7.2.2).
    #[error("a compressed message is not DEFLATE: {0}")]
    InvalidDeflate(InvalidDeflate),
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
            Self::MessageTooBig { .. } | Self::TooManyFragments { .. } | Self::InflateRatio { .. } => {
                CloseCode::TOO_BIG
            }
            Self::InvalidUtf8 | Self::InvalidDeflate(_) | Self::CloseReasonUtf8 => CloseCode::INVALID_DATA,
            _ => CloseCode::PROTOCOL,
        }
    }

    /// The rule's name, for metrics and logs: these never change.
    pub const fn rule(self) -> &'static str {
        self.rule_and_section().0
    }

    /// Where the rule stands.
    pub const fn section(self) -> &'static str {
        self.rule_and_section().1
    }

    const fn rule_and_section(self) -> (&'static str, &'static str) {
        match self {
            Self::ReservedBits { .. } => ("reserved_bits", "RFC 6455 section 5.2"),
            Self::ReservedOpcode { .. } => ("reserved_opcode", "RFC 6455 section 5.2"),
            Self::Unmasked => ("unmasked", "RFC 6455 section 5.1"),
            Self::Masked => ("masked", "RFC 6455 section 5.1"),
            Self::FragmentedControl { .. } => ("fragmented_control", "RFC 6455 section 5.5"),
            Self::LongControl { .. } => ("long_control", "RFC 6455 section 5.5"),
            Self::LengthNotMinimal { .. } => ("length_not_minimal", "RFC 6455 section 5.2"),
            Self::LengthTopBit { .. } => ("length_top_bit", "RFC 6455 section 5.2"),
            Self::UnexpectedContinuation => ("unexpected_continuation", "RFC 6455 section 5.4"),
            Self::InterleavedMessage => ("interleaved_message", "RFC 6455 section 5.4"),
            Self::MessageTooBig { .. } => ("message_too_big", "RFC 6455 section 10.4"),
            Self::InflateRatio { .. } => ("inflate_ratio", "RFC 6455 section 10.4"),
            Self::TooManyFragments { .. } => ("too_many_fragments", "RFC 6455 section 10.4"),
            Self::InvalidUtf8 => ("invalid_utf8", "RFC 6455 section 8.1"),
            Self::InvalidDeflate(_) => ("invalid_deflate", "RFC 7692 section 7.2.2"),
            Self::CloseBodyOfOneByte => ("close_body_of_one_byte", "RFC 6455 section 5.5.1"),
            Self::CloseCode { .. } => ("close_code", "RFC 6455 section 7.4"),
            Self::CloseReasonUtf8 => ("close_reason_utf8", "RFC 6455 section 5.5.1"),
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
    /// A message, while another one is being sent piece by piece (section 5.4).
    #[error("a message is being sent piece by piece: finish it first (RFC 6455 section 5.4)")]
    MessageOpen,
    /// A piece, while no message is being sent piece by piece (section 5.4).
    #[error("no message is being sent piece by piece (RFC 6455 section 5.4)")]
    NoMessageOpen,
    /// Text that is not UTF-8, in a message that is sent piece by piece (section 5.6).
    #[error("a text message must be UTF-8 (RFC 6455 section 5.6)")]
    InvalidUtf8,
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
