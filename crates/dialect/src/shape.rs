//! What one pass over the bytes of a message tells before a parser sees them: it neither recurses nor allocates.

use crate::limits::INTEGER;

/// How deep the brackets nest: one linear pass without a stack, right for whatever JSON, harmless for the rest.
pub(crate) fn depth(input: &[u8]) -> usize {
    Shape::measure(input).depth
}

/// What one pass over the bytes tells, before a parser sees them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The deepest nesting.
    pub(crate) depth: usize,
    /// The id at the top, if there is exactly one good one.
    pub(crate) id: Option<u64>,
}

impl Shape {
    pub(crate) fn measure(input: &[u8]) -> Self {
        let (mut depth, mut deepest) = (0_usize, 0);
        let (mut id, mut ids) = (None, 0_u32);
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            at += 1;
            match byte {
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b'"' => {
                    let start = at;
                    at = end_of_string(input, start);
                    if depth == 1 && input.get(start..at) == Some(b"id\"") {
                        ids = ids.saturating_add(1);
                        id = id_after_key(&input[at..]);
                    }
                }
                _ => {}
            }
        }
        Self { depth: deepest, id: id.filter(|_| ids == 1) }
    }
}

/// The index after the quote that ends the string whose content starts at `at`, or the end of the input.
fn end_of_string(input: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = input.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    input.len()
}

/// The id in `: 7,`.
fn id_after_key(input: &[u8]) -> Option<u64> {
    let value = input.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).take(17).count();
    let (digits, rest) = value.split_at(digits);
    let ends = matches!(rest.trim_ascii_start().first(), Some(b',' | b'}'));
    parse_id(std::str::from_utf8(digits).ok()?).filter(|_| ends)
}

/// Digits only: `7.0` and `1e3` may be integers to some readers, and are not to others.
pub(crate) fn parse_id(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&id: &u64| digits && (1..INTEGER).contains(&id))
}
