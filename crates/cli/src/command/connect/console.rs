//! Where lines come from and messages go to: a terminal with line editing, or a pipe.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::Duration;

use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};
use tokio::sync::mpsc;
use trunkline_net::Message;

use crate::output;
use crate::stdin::{self, Lines};

const PROMPT: &str = "> ";

/// Both ends of a conversation with whoever uses the command.
pub(super) struct Console {
    /// What to send.
    pub(super) lines: Lines,
    /// Where to show what comes.
    pub(super) screen: Screen,
    /// How long to wait for more once the lines have ended.
    pub(super) wait: Duration,
    /// To be dropped before anything else is printed.
    pub(super) restore: Option<Restore>,
}

/// Where messages are shown.
pub(super) enum Screen {
    /// Above the line that is being edited.
    Terminal(Box<dyn ExternalPrinter + Send>),
    /// As lines of stdout.
    Pipe,
}

impl Console {
    /// The terminal, greeted, if there is one at both ends and it can edit lines; else a pipe.
    pub(super) fn open(greeting: &str, wait: Duration) -> Self {
        terminal(greeting).unwrap_or_else(|| Self {
            lines: stdin::lines(),
            screen: Screen::Pipe,
            wait,
            restore: None,
        })
    }
}

impl Screen {
    /// Shows a message, as a line.
    ///
    /// # Errors
    ///
    /// Of stdout.
    pub(super) fn show(&mut self, message: &Message) -> io::Result<()> {
        match (self, message.as_text()) {
            (Self::Pipe, Some(text)) => output::line(text),
            (Self::Pipe, None) => output::line(hexadecimal(message.as_bytes())),
            (Self::Terminal(printer), text) => {
                let line = text.map_or_else(|| hexadecimal(message.as_bytes()), output::for_terminal);
                printer.print(line + "\n").map_err(io::Error::other)
            }
        }
    }
}

fn terminal(greeting: &str) -> Option<Console> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return None;
    }
    let config = Config::builder().auto_add_history(true).build();
    let mut editor = DefaultEditor::with_config(config).ok()?;
    // A terminal that cannot edit lines has no printer either: that one is used as a pipe.
    let printer = editor.create_external_printer().ok()?;
    let restore = Restore::new();
    eprintln!("{greeting}");
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        loop {
            let line = match editor.readline(PROMPT) {
                Ok(line) => Ok(line),
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
                Err(error) => Err(io::Error::other(error)),
            };
            let over = line.is_err();
            if sender.blocking_send(line).is_err() || over {
                return;
            }
        }
    });
    // Whoever ends a conversation by hand has seen the answers.
    Some(Console { lines, screen: Screen::Terminal(Box::new(printer)), wait: Duration::ZERO, restore })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        // A `String` takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The terminal's mode, to go back to: when the connection ends, a thread is still waiting for a line, with the
/// terminal in raw mode and a prompt on it.
pub(super) struct Restore {
    #[cfg(unix)]
    mode: nix::sys::termios::Termios,
}

#[cfg(unix)]
impl Restore {
    fn new() -> Option<Self> {
        let mode = nix::sys::termios::tcgetattr(io::stdin()).ok()?;
        Some(Self { mode })
    }
}

#[cfg(unix)]
impl Drop for Restore {
    fn drop(&mut self) {
        use nix::sys::termios::{SetArg, tcsetattr};
        // A terminal that has gone needs no mode.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.mode);
        // Out of bracketed paste, back to the start of the line, and wipe the prompt.
        eprint!("\x1b[?2004l\r\x1b[K");
    }
}

#[cfg(not(unix))]
impl Restore {
    /// Consoles of other systems restore themselves.
    fn new() -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_is_shown_as_hexadecimal_digits() {
        assert_eq!(hexadecimal(&[]), "0x");
        assert_eq!(hexadecimal(&[0, 0x7f, 0xff, 10]), "0x007fff0a");
    }
}
