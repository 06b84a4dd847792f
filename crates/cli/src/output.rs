//! Lines of stdout.

use std::io::{self, Write};

/// Prints a line that is seen at once, also by a pipe.
///
/// # Errors
///
/// Of stdout; [`io::ErrorKind::BrokenPipe`] when whoever read it has gone, as `head` does.
pub(crate) fn line(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Text of a remote for a terminal, on one line: what would move the cursor or change colours is escaped.
pub(crate) fn for_terminal(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push('\t'),
            character if character.is_control() => shown.extend(character.escape_default()),
            character => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_control_a_terminal_is_escaped_and_all_else_stays() {
        let table = [
            ("", ""),
            ("plain\ttext \u{1f9f6} \\n", "plain\ttext \u{1f9f6} \\n"),
            ("two\nlines\r", "two\\nlines\\r"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\x07\x7f\0", "\\u{7}\\u{7f}\\u{0}"),
        ];
        for (text, expected) in table {
            assert_eq!(for_terminal(text), expected, "{text:?}");
        }
    }
}
