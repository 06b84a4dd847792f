//! The scanner: where a head ends and whether its lines are well-formed, one byte at a time.
//!
//! ```text
//!                     CR LF (at most EMPTY_LINES times)
//!                     +---+
//!                     v   |
//! Before --tchar--> StartLine --CR LF--> LineBegin --CR LF--> Done
//!                                         |  ^
//!                                       tchar CR LF
//!                                         v  |
//!                                        Name --":"--> Value --CR LF--> LineBegin
//! ```
//!
//! Every byte is looked at once, however the input is split, and the first byte that breaks a rule is refused at once:
//! nobody can make us keep bytes that are no HTTP.

use super::super::field::is_tchar;
use super::super::rejected::Rule;

/// Empty lines that are ignored before a request line: "a server that is expecting to receive and parse a request-line
/// SHOULD ignore at least one empty line (CRLF) received prior to the request-line" (RFC 9112 §2.2).
pub const EMPTY_LINES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the start line, where empty lines are ignored.
    Before,
    StartLine,
    /// At the first byte of a header line, or of the empty line that ends the head.
    LineBegin,
    Name,
    Value,
    /// After the CR of an empty line before the start line, of any other line, of the last line.
    CrBefore,
    Cr,
    CrLast,
    Done,
}

/// The state of the scan, and what it has counted.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    pub(super) place: Place,
    pub(super) empty_lines: usize,
    pub(super) headers: usize,
}

impl Scanner {
    pub(super) const fn new() -> Self {
        Self { place: Place::Before, empty_lines: 0, headers: 0 }
    }

    /// Takes the next byte of the head.
    pub(super) const fn step(&mut self, byte: u8) -> Result<(), Rule> {
        self.place = match (self.place, byte) {
            (Place::Before, b'\r') => Place::CrBefore,
            (Place::StartLine | Place::Value, b'\r') => Place::Cr,
            (Place::LineBegin, b'\r') => Place::CrLast,

            (Place::CrBefore, b'\n') => {
                self.empty_lines += 1;
                if self.empty_lines > EMPTY_LINES {
                    return Err(Rule::EmptyLines);
                }
                Place::Before
            }
            (Place::Cr, b'\n') => Place::LineBegin,
            (Place::CrLast, b'\n') => Place::Done,
            // "A recipient of such a bare CR MUST consider that element to be invalid" (RFC 9112 §2.2).
            (Place::CrBefore | Place::Cr | Place::CrLast, _) => return Err(Rule::BareCr),
            (Place::Before | Place::StartLine | Place::LineBegin | Place::Name | Place::Value, b'\n') => {
                return Err(Rule::BareLf);
            }

            (Place::Before, byte) if is_tchar(byte) => Place::StartLine,
            (Place::Before, _) => return Err(Rule::StartLine),
            (Place::StartLine, b'\t') => return Err(Rule::StartLine),
            (Place::Value, b'\t') => Place::Value,
            (Place::StartLine | Place::Value, 0..=0x1f | 0x7f) => return Err(Rule::ControlCharacter),
            (Place::StartLine, _) => Place::StartLine,

            (Place::LineBegin, b' ' | b'\t') => return Err(Rule::ObsFold),
            (Place::LineBegin, byte) if is_tchar(byte) => {
                self.headers += 1;
                Place::Name
            }
            (Place::Name, b':') => Place::Value,
            (Place::Name, b' ' | b'\t') => return Err(Rule::SpaceBeforeColon),
            (Place::Name, byte) if is_tchar(byte) => Place::Name,
            (Place::LineBegin | Place::Name, 0) => return Err(Rule::ControlCharacter),
            (Place::LineBegin | Place::Name, _) => return Err(Rule::HeaderName),
            (Place::Value, _) => Place::Value,

            (Place::Done, _) => Place::Done,
        };
        Ok(())
    }
}
