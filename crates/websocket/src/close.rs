//! Closing (RFC 6455 sections 5.5.1, 7.1 and 7.4): codes, the body of a Close frame, and how a connection ended.

use std::fmt;
use std::time::Duration;

use crate::error::{Misuse, Violation};
use crate::leniency::Leniency;

/// The most bytes a reason may have: a control frame carries 125, the code takes two (section 5.5).
pub const MAX_REASON: usize = 123;

/// A close code that may stand in a Close frame (section 7.4).
///
/// Codes that only report locally (1005, 1006, 1015) are not among them: those appear in [`Closed::code`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server stops, or the page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the remote broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: a kind of data that this end does not take.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: data that contradicts its type, such as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a policy was broken and no other code fits.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message larger than this end takes.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client misses an extension it needs.
    pub const EXTENSION: Self = Self(1010);
    /// 1011: the server met a condition that it did not expect.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the service restarts; come back after a random delay (IANA registry).
    pub const RESTART: Self = Self(1012);
    /// 1013: overloaded; try again later (IANA registry).
    pub const TRY_AGAIN: Self = Self(1013);
    /// 1014: a gateway got a bad answer from behind it (IANA registry).
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code, if it may cross the wire: 1000 to 1003, 1007 to 1014 and 3000 to 4999.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The code, if a page may give it to `close()` in a browser (WHATWG): 1000 or 3000 to 4999.
    pub const fn from_script(code: u16) -> Option<Self> {
        match code {
            1000 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a connection ended. Every connection ends in exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The code of the remote's Close frame; 1005 if that had none, 1006 if none came (section 7.1.5).
    pub code: u16,
    /// The reason in the remote's Close frame (section 7.1.6); empty if it gave none.
    pub reason: String,
    /// Why it ended.
    pub cause: Cause,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Both sides sent a Close frame, the remote first. The clean end.
    ClosedByRemote,
    /// Both sides sent a Close frame, we first. The clean end.
    ClosedByUs,
    /// The stream ended, by its end or by a reset, before the remote's Close frame.
    StreamEnded,
    /// The remote broke a rule; we sent a Close frame with [`Violation::close_code`].
    Violation(Violation),
    /// The remote did not do in time what it had to.
    TimedOut(Why, Duration),
}

impl Closed {
    /// Whether both sides said goodbye (section 7.1.4).
    pub fn is_clean(&self) -> bool {
        matches!(self.cause, Cause::ClosedByRemote | Cause::ClosedByUs)
    }

    /// Who brought the end about, whoever's fault it was.
    pub fn by(&self) -> EndedBy {
        match self.cause {
            Cause::ClosedByRemote => EndedBy::Remote,
            Cause::ClosedByUs | Cause::Violation(_) | Cause::TimedOut(..) => EndedBy::Us,
            Cause::StreamEnded => EndedBy::Nobody,
        }
    }

    /// The name of the rule that the remote broke, if it broke one; see [`Violation::rule`].
    pub fn rule(&self) -> Option<&'static str> {
        match self.cause {
            Cause::Violation(violation) => Some(violation.rule()),
            _ => None,
        }
    }
}

/// Who brought the end of a connection about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// This end: it closed, it refused a violation, or it gave up waiting.
    Us,
    /// The other end closed.
    Remote,
    /// Neither: the stream ended without a word.
    Nobody,
}

impl EndedBy {
    /// A name for metrics and logs: these never change.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Remote => "remote",
            Self::Nobody => "nobody",
        }
    }
}

impl Cause {
    /// A name for metrics and logs: these never change.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::ClosedByRemote => "closed_by_remote",
            Self::ClosedByUs => "closed_by_us",
            Self::StreamEnded => "stream_ended",
            Self::Violation(_) => "violation",
            Self::TimedOut(Why::Handshake, _) => "handshake_timeout",
            Self::TimedOut(Why::Ping | Why::Pong, _) => "ping_timeout",
            Self::TimedOut(Why::Close | Why::Linger, _) => "close_timeout",
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::ClosedByRemote => write!(f, "closed by the remote with code {}", self.code)?,
            Cause::ClosedByUs => write!(f, "closed by us, answered with code {}", self.code)?,
            Cause::StreamEnded => write!(f, "the stream ended without a Close frame (1006)")?,
            Cause::Violation(violation) => {
                write!(f, "the remote broke a rule, we closed with {}: {violation}", violation.close_code())?;
            }
            Cause::TimedOut(why, limit) => write!(f, "{why} took longer than {limit:?} (1006)")?,
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, ", reason {:?}", self.reason) }
    }
}

/// What a deadline is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The opening handshake has to be complete.
    Handshake,
    /// Nothing has arrived for the ping interval: time to ask.
    Ping,
    /// We asked with a Ping: something has to arrive.
    Pong,
    /// We sent a Close frame: the remote has to send its own (section 7.1.1).
    Close,
    /// All is said: what we owe has to leave and the stream has to end.
    Linger,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the opening handshake",
            Self::Ping => "the next sign of life",
            Self::Pong => "the answer to a ping",
            Self::Close => "the answer to our Close frame",
            Self::Linger => "the end of the stream",
        })
    }
}

/// The body of a Close frame to send; a reason needs a code (section 5.5.1).
pub(crate) fn encode_body(code: Option<CloseCode>, reason: &str) -> Result<Vec<u8>, Misuse> {
    if reason.len() > MAX_REASON {
        return Err(Misuse::LongReason { limit: MAX_REASON, got: reason.len() });
    }
    match code {
        None if reason.is_empty() => Ok(Vec::new()),
        None => Err(Misuse::ReasonWithoutCode),
        Some(code) => Ok([&code.get().to_be_bytes(), reason.as_bytes()].concat()),
    }
}

/// The code and reason in a received Close frame's body (sections 5.5.1, 7.1.5, 7.1.6).
pub(crate) fn decode_body(body: &[u8], leniency: Leniency) -> Result<(u16, &str), Violation> {
    match body {
        // "If this Close control frame contains no status code, _The WebSocket Connection Close Code_ is
        // considered to be 1005."
        [] => Ok((1005, "")),
        [_] => Err(Violation::CloseBodyOfOneByte),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let code = match CloseCode::new(code) {
                Some(code) => code.get(),
                // As if there had been none: a code that means something here must not come from the wire.
                None if leniency.reserved_close_codes => 1005,
                None => return Err(Violation::CloseCode { got: code }),
            };
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReasonUtf8)?;
            Ok((code, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_registered_and_private_codes_may_cross_the_wire() {
        for code in 0..=u16::MAX {
            let expected = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            assert_eq!(CloseCode::new(code).is_some(), expected, "{code}");
        }
    }

    #[test]
    fn a_page_may_close_with_1000_and_3000_to_4999_only() {
        for code in 0..=u16::MAX {
            assert_eq!(CloseCode::from_script(code).is_some(), code == 1000 || (3000..=4999).contains(&code));
        }
    }

    #[test]
    fn close_bodies_are_read_as_the_rfc_says() {
        type Row = (&'static str, &'static [u8], Result<(u16, &'static str), Violation>);
        let table: &[Row] = &[
            ("empty", b"", Ok((1005, ""))),
            ("one byte", b"\x03", Err(Violation::CloseBodyOfOneByte)),
            ("code alone", b"\x03\xe8", Ok((1000, ""))),
            ("code and reason", b"\x0f\xa0bye", Ok((4000, "bye"))),
            ("1005 on the wire", b"\x03\xed", Err(Violation::CloseCode { got: 1005 })),
            ("1006 on the wire", b"\x03\xee", Err(Violation::CloseCode { got: 1006 })),
            ("1015 on the wire", b"\x03\xf7", Err(Violation::CloseCode { got: 1015 })),
            ("1004 on the wire", b"\x03\xec", Err(Violation::CloseCode { got: 1004 })),
            ("zero", b"\x00\x00", Err(Violation::CloseCode { got: 0 })),
            ("5000", b"\x13\x88", Err(Violation::CloseCode { got: 5000 })),
            ("reason not UTF-8", b"\x03\xe8\xff", Err(Violation::CloseReasonUtf8)),
            ("reason cut inside a code point", b"\x03\xe8\xe2\x82", Err(Violation::CloseReasonUtf8)),
        ];
        for (name, body, expected) in table {
            assert_eq!(decode_body(body, Leniency::default()), *expected, "{name}");
        }
    }

    #[test]
    fn a_reason_longer_than_123_bytes_or_without_a_code_is_our_mistake() {
        assert!(encode_body(Some(CloseCode::NORMAL), &"r".repeat(123)).is_ok());
        assert_eq!(
            encode_body(Some(CloseCode::NORMAL), &"r".repeat(124)),
            Err(Misuse::LongReason { limit: 123, got: 124 })
        );
        assert_eq!(encode_body(None, "why"), Err(Misuse::ReasonWithoutCode));
        assert_eq!(encode_body(None, ""), Ok(vec![]));
    }
}
