//! JSON objects one after the other, on lines or not: where each of them ends.
//!
//! Doors without messages of their own find them by this. It looks for brackets and quotes alone and leaves the judgement to the
//! parser, which sees each object once, when it is whole.

use std::fmt;

/// Finds the end of one object after the other, however the bytes are cut. It looks at no byte twice, so that a byte at a time costs
/// no more than all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Brackets that are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Bytes of the object that were looked at. 0: between two objects.
    seen: usize,
}

/// What was found. Positions count from the beginning of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole object. The input goes on at `end`.
    Object {
        /// Its first byte; before it is white space.
        start: usize,
        /// Behind its last byte.
        end: usize,
    },
    /// None yet. The input goes on at `start`: with an object that is not complete, or with nothing.
    More {
        /// Behind the white space.
        start: usize,
    },
}

/// Why there will be no more objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotObjects {
    /// What begins here does not begin as an object does.
    NotAnObject,
    /// An object has more bytes than it may.
    TooLong {
        /// The most that it may have.
        limit: usize,
    },
}

impl Objects {
    /// Looks for the next object in `input`, of at most `limit` bytes. The input is all that was not used before, with what has
    /// arrived since behind it: cut off at the `end` of an object before the next is looked for, and at the `start` of one that is
    /// not complete.
    ///
    /// # Errors
    /// [`NotObjects`]: whatever follows, nobody can say where an object would begin.
    pub fn next(&mut self, input: &[u8], limit: usize) -> Result<Found, NotObjects> {
        let start = if self.seen > 0 { 0 } else { white_space(input) };
        if self.seen == 0 {
            match input.get(start) {
                None => return Ok(Found::More { start }),
                Some(b'{') => {}
                Some(_) => return Err(NotObjects::NotAnObject),
            }
        }
        let object = &input[start..];
        let fresh = object.get(self.seen..).unwrap_or_default();
        let end = fresh.iter().position(|byte| self.ends_with(*byte));
        let length = end.map_or(object.len(), |end| self.seen + end + 1);
        if length > limit {
            return Err(NotObjects::TooLong { limit });
        }
        if end.is_none() {
            self.seen = length;
            return Ok(Found::More { start });
        }
        *self = Objects::default();
        Ok(Found::Object { start, end: start + length })
    }

    /// Takes one byte more; whether it is the object's last.
    fn ends_with(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

/// How many bytes of white space it begins with: what JSON calls so (RFC 8259 section 2).
fn white_space(input: &[u8]) -> usize {
    let other = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    input.iter().position(other).unwrap_or(input.len())
}

impl fmt::Display for NotObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => {
                f.write_str("JSON objects are taken here, one after the other, and nothing else")
            }
            Self::TooLong { limit } => write!(f, "an object has at most {limit} bytes"),
        }
    }
}

impl std::error::Error for NotObjects {}

#[cfg(test)]
mod tests {
    use super::*;

    /// All objects of a text that arrives in these pieces, as a door reads them.
    fn read(pieces: &[&[u8]], limit: usize) -> (Vec<String>, Result<String, NotObjects>) {
        let (mut objects, mut held, mut found) = (Objects::default(), Vec::new(), Vec::new());
        for piece in pieces {
            held.extend_from_slice(piece);
            loop {
                match objects.next(&held, limit) {
                    Ok(Found::Object { start, end }) => {
                        found.push(String::from_utf8_lossy(&held[start..end]).into_owned());
                        held.drain(..end);
                    }
                    Ok(Found::More { start }) => {
                        held.drain(..start);
                        break;
                    }
                    Err(error) => return (found, Err(error)),
                }
            }
        }
        (found, Ok(String::from_utf8_lossy(&held).into_owned()))
    }

    const CONVERSATION: &str = concat!(
        "{\"id\":1,\"ping\":{}}\n{\"a\":\"}{\\\"]\\\\\"}{\"b\":[{},[]]}\r\n\t ",
        "{\"text\":\"a\nnewline and \u{1f9f6}\"} {\"pong\":7}"
    );

    #[test]
    fn objects_are_found_with_and_without_newlines_whatever_their_strings_hold() {
        let (found, rest) = read(&[CONVERSATION.as_bytes()], 100);
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(found[1], "{\"a\":\"}{\\\"]\\\\\"}");
        assert_eq!(found[3], "{\"text\":\"a\nnewline and \u{1f9f6}\"}");
        assert_eq!(rest, Ok(String::new()));
    }

    #[test]
    fn wherever_the_bytes_are_cut_the_objects_are_the_same() {
        let whole = read(&[CONVERSATION.as_bytes()], 100);
        for cut in 0..=CONVERSATION.len() {
            let (before, after) = CONVERSATION.as_bytes().split_at(cut);
            assert_eq!(read(&[before, after], 100), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = CONVERSATION.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes, 100), whole);
    }

    #[test]
    fn what_does_not_begin_as_an_object_ends_it() {
        for (text, before) in [
            ("GET / HTTP/1.1\r\n", 0),
            ("[1]", 0),
            ("\"text\"", 0),
            ("}", 0),
            ("{} ,{}", 1),
            ("\0", 0),
            ("\u{feff}{}", 0),
            ("{}\n{}x", 2),
        ] {
            let (found, end) = read(&[text.as_bytes()], 100);
            assert_eq!((found.len(), end), (before, Err(NotObjects::NotAnObject)), "{text:?}");
        }
    }

    #[test]
    fn an_object_of_exactly_the_limit_passes_and_one_byte_more_does_not_complete_or_not() {
        let object = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        let too_long = Err(NotObjects::TooLong { limit: 20 });
        assert_eq!(read(&[object(20).as_bytes()], 20).0.len(), 1);
        assert_eq!(read(&[object(21).as_bytes()], 20).1, too_long);
        assert_eq!(read(&[&object(30).as_bytes()[..21]], 20).1, too_long);
        assert_eq!(read(&[&object(30).as_bytes()[..20]], 20).1, Ok(object(30)[..20].to_owned()));
    }

    #[test]
    fn white_space_without_end_is_not_kept() {
        let (found, rest) = read(&[b" \r\n\t", b"      ", b"\n", b"{"], 10);
        assert_eq!((found.len(), rest), (0, Ok("{".to_owned())));
    }

    #[test]
    fn a_byte_at_a_time_looks_at_no_byte_twice() {
        // Were each look to begin at the beginning, this would take hours.
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(4 << 20)).into_bytes();
        let mut objects = Objects::default();
        for end in 1..text.len() {
            assert_eq!(objects.next(&text[..end], usize::MAX), Ok(Found::More { start: 0 }));
        }
        let end = text.len();
        assert_eq!(objects.next(&text, usize::MAX), Ok(Found::Object { start: 0, end }));
    }
}
