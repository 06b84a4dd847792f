//! Units of a bare stream: a line of JSON, or `B<length>` on a line and so many bytes behind it.
//!
//! Simple enough to be typed: `{"ping":{"n":1}}` and return. In a WebSocket a unit is a message, and none of this is needed.

use bytes::{Buf, Bytes, BytesMut};

use crate::pipe::{Broken, Unit};

/// The longest line: a `hello` with a hundred header fields fits many times.
pub(crate) const LINE_LIMIT: usize = 256 << 10;

/// The most bytes in one unit: the largest message that is measured.
pub(crate) const BINARY_LIMIT: usize = 1 << 20;

/// How an answer of HTTP begins. No unit begins so.
const HTTP: &[u8] = b"HTTP/1.";

/// Finds the units in a stream of bytes, however they are cut.
#[derive(Debug, Default)]
pub(crate) struct Units {
    pending: BytesMut,
    /// Bytes of the pending ones that are known to have no line end.
    looked: usize,
    /// What is still to come of a binary unit.
    binary: Option<usize>,
}

impl Units {
    /// With bytes that have come already.
    pub(crate) fn starting_with(bytes: &[u8]) -> Self {
        Self { pending: BytesMut::from(bytes), ..Self::default() }
    }

    /// Takes what arrived next. Call [`next`](Self::next) until there is nothing, before taking more.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next unit that is complete.
    ///
    /// # Errors
    ///
    /// What is not a unit. Nothing can be read after that.
    pub(crate) fn next(&mut self) -> Result<Option<Unit>, Broken> {
        if self.binary.is_none() {
            match self.line()? {
                Some(Unit::Text(line)) if line.starts_with('B') => self.binary = Some(length(&line)?),
                other => return Ok(other),
            }
        }
        match self.binary {
            Some(length) if self.pending.len() >= length => {
                self.binary = None;
                Ok(Some(Unit::Binary(self.pending.split_to(length).freeze())))
            }
            _ => Ok(None),
        }
    }

    fn line(&mut self) -> Result<Option<Unit>, Broken> {
        if self.pending.starts_with(HTTP) {
            let shown = self.pending.len().min(SHOWN);
            return Err(Broken::Http(String::from_utf8_lossy(&self.pending[..shown]).into_owned()));
        }
        let Some(end) = self.pending[self.looked..].iter().position(|byte| *byte == b'\n') else {
            self.looked = self.pending.len();
            return if self.looked > LINE_LIMIT {
                Err(Broken::TooLong { limit: LINE_LIMIT })
            } else {
                Ok(None)
            };
        };
        let end = self.looked + end;
        self.looked = 0;
        let line = self.pending.split_to(end);
        self.pending.advance(1);
        match std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(&line)) {
            Ok(line) if line.starts_with(['{', 'B']) => Ok(Some(Unit::Text(line.to_owned()))),
            _ => Err(Broken::NotAUnit),
        }
    }
}

/// How much of an error page is kept: the status line and what is near it.
const SHOWN: usize = 512;

fn length(line: &str) -> Result<usize, Broken> {
    let length = line[1..].parse().map_err(|_| Broken::NotAUnit)?;
    if length > BINARY_LIMIT { Err(Broken::TooLong { limit: BINARY_LIMIT }) } else { Ok(length) }
}

/// A unit as bytes.
pub(crate) fn encode(unit: &Unit) -> Bytes {
    match unit {
        Unit::Text(text) => [text.as_bytes(), b"\n"].concat().into(),
        Unit::Binary(bytes) => [format!("B{}\n", bytes.len()).as_bytes(), bytes].concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Unit {
        Unit::Text(text.to_owned())
    }

    #[test]
    fn units_are_the_same_however_they_are_cut() {
        let units = [
            text("{\"a\":1}"),
            Unit::Binary(Bytes::from_static(b"x\ny{")),
            Unit::Binary(Bytes::new()),
            text("{}"),
        ];
        let bytes: Vec<u8> = units.iter().flat_map(|unit| encode(unit).to_vec()).collect();
        for cut in 0..=bytes.len() {
            let mut reader = Units::starting_with(&bytes[..cut]);
            let mut got = Vec::new();
            while let Some(unit) = reader.next().expect("units") {
                got.push(unit);
            }
            reader.receive(&bytes[cut..]);
            while let Some(unit) = reader.next().expect("units") {
                got.push(unit);
            }
            assert_eq!(got, units, "cut at {cut}");
        }
    }

    #[test]
    fn a_proxys_error_page_is_told_from_other_garbage() {
        let mut reader = Units::starting_with(b"HTTP/1.1 500 Internal Server Error\r\n");
        assert!(matches!(reader.next(), Err(Broken::Http(page)) if page.contains("500")));
        for garbage in [&b"GET / HTTP/1.1\r\n"[..], b"\n", b"Bx\n", b"B-1\n", b"\xff{\n"] {
            assert_eq!(Units::starting_with(garbage).next(), Err(Broken::NotAUnit), "{garbage:?}");
        }
    }

    #[test]
    fn a_line_and_a_binary_unit_past_their_limits_are_refused_before_they_are_kept() {
        let mut reader = Units::starting_with(&vec![b'{'; LINE_LIMIT]);
        assert_eq!(reader.next(), Ok(None));
        reader.receive(b"{");
        assert_eq!(reader.next(), Err(Broken::TooLong { limit: LINE_LIMIT }));
        let mut exact = Units::starting_with(format!("B{BINARY_LIMIT}\n").as_bytes());
        assert_eq!(exact.next(), Ok(None));
        let mut past = Units::starting_with(format!("B{}\n", BINARY_LIMIT + 1).as_bytes());
        assert_eq!(past.next(), Err(Broken::TooLong { limit: BINARY_LIMIT }));
    }
}
