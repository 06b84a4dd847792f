//! Incremental UTF-8 (RFC 6455 section 8.1): text arrives in pieces that may cut a code point anywhere.

/// Validates a text that arrives in chunks, and fails at the first byte that no continuation can mend.
///
/// Holds at most the three bytes of an unfinished code point. The checking itself is that of `simdutf8`, with vector
/// instructions chosen at run time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validator {
    open: [u8; 4],
    len: u8,
}

/// The text was not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl Validator {
    /// Takes the next chunk of the text.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<(), Invalid> {
        while self.len > 0 {
            let Some((&byte, rest)) = chunk.split_first() else { return Ok(()) };
            chunk = rest;
            self.extend_open(byte)?;
        }
        match simdutf8::compat::from_utf8(chunk) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(Invalid),
            Err(error) => {
                let tail = &chunk[error.valid_up_to()..];
                self.open[..tail.len()].copy_from_slice(tail);
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a code point that is not whole has at most 3 bytes"
                )]
                let len = tail.len() as u8;
                self.len = len;
                Ok(())
            }
        }
    }

    /// Whether the text may end here, between two code points.
    pub fn is_complete(&self) -> bool {
        self.len == 0
    }

    fn extend_open(&mut self, byte: u8) -> Result<(), Invalid> {
        let len = usize::from(self.len);
        self.open[len] = byte;
        match std::str::from_utf8(&self.open[..=len]) {
            Ok(_) => self.len = 0,
            Err(error) if error.error_len().is_some() => return Err(Invalid),
            Err(_) => self.len += 1,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a validator that is fed byte by byte gives up, or whether the whole is complete.
    fn verdict(bytes: &[u8]) -> Result<bool, usize> {
        let mut validator = Validator::default();
        for (i, byte) in bytes.iter().enumerate() {
            validator.push(&[*byte]).map_err(|_| i)?;
        }
        Ok(validator.is_complete())
    }

    #[test]
    fn fails_at_the_first_byte_that_nothing_can_mend() {
        // (name, bytes, verdict); the positions are those of Unicode's table 3-7.
        let table: &[(&str, &[u8], Result<bool, usize>)] = &[
            ("ascii", b"abc", Ok(true)),
            ("two bytes", b"\xc3\xa9", Ok(true)),
            ("overlong of two", b"\xc0\x80", Err(0)),
            ("continuation first", b"\x80", Err(0)),
            ("overlong of three", b"\xe0\x9f\x80", Err(1)),
            ("surrogate", b"\xed\xa0\x80", Err(1)),
            ("last before surrogates", b"\xed\x9f\xbf", Ok(true)),
            ("four bytes", b"\xf0\x9f\x98\x80", Ok(true)),
            ("overlong of four", b"\xf0\x8f\x80\x80", Err(1)),
            ("past U+10FFFF", b"\xf4\x90\x80\x80", Err(1)),
            ("no such lead", b"\xf5\x80\x80\x80", Err(0)),
            ("cut after one", b"a\xe2", Ok(false)),
            ("cut after three", b"\xf0\x9f\x98", Ok(false)),
            ("lead then ascii", b"\xe2a", Err(1)),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(verdict(bytes), *expected, "{name}");
        }
    }

    #[test]
    fn agrees_with_the_standard_library_on_every_split_of_every_short_sequence() {
        let interesting =
            [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed];
        let leads = [0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff];
        let all: Vec<u8> = interesting.into_iter().chain(leads).collect();
        for &a in &all {
            for &b in &all {
                for &c in &all {
                    for &d in &all {
                        let bytes = [a, b, c, d];
                        for cut in 0..=4 {
                            let mut validator = Validator::default();
                            let result =
                                validator.push(&bytes[..cut]).and_then(|()| validator.push(&bytes[cut..]));
                            let valid = result.is_ok() && validator.is_complete();
                            assert_eq!(valid, std::str::from_utf8(&bytes).is_ok(), "{bytes:x?} cut at {cut}");
                        }
                    }
                }
            }
        }
    }
}
