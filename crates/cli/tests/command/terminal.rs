//! On a terminal: `trunkline connect` edits lines and messages do not disturb them, `trunkline bench` shows how it is getting
//! on, and the terminal is left as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};

use crate::support::{PATIENCE, Running, signal, trunkline};

const CTRL_B: &str = "\x02";
const CTRL_D: &str = "\x04";

#[test]
fn lines_are_edited_and_messages_appear_above_them() {
    let (_echo, url) = Running::echo(&[]);
    let mut terminal = Terminal::start(&["connect", &url]);
    terminal.shows("connected");
    terminal.shows("> ");
    terminal.types(&format!("wrld{CTRL_B}{CTRL_B}{CTRL_B}o\r"));
    // On a line of its own, without a prompt: this is the message, not what was typed.
    terminal.shows("\nworld\n");
    terminal.shows("> ");
    terminal.types(CTRL_D);
    terminal.shows("closed by us, answered with code 1000");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn a_message_cannot_control_the_terminal() {
    let (_echo, url) = Running::echo(&[]);
    let mut terminal = Terminal::start(&["connect", &url]);
    terminal.shows("> ");
    // Ctrl-V takes the next key as it is.
    terminal.types("a\x16\x1b[2Jb\r");
    terminal.shows("\na\\u{1b}[2Jb\n");
    terminal.shows("> ");
    terminal.types(CTRL_D);
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn a_remote_that_closes_while_a_line_is_edited_leaves_the_terminal_as_it_was() {
    let (echo, url) = Running::echo(&[]);
    let mut terminal = Terminal::start(&["connect", &url]);
    terminal.shows("> ");
    assert_ne!(terminal.local_flags(), terminal.before.local_flags, "it edits in raw mode");
    terminal.types("half a li");
    terminal.shows("half a li");
    echo.signal("TERM");
    terminal.shows("\nclosed by the remote with code 1001");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn a_bench_shows_how_it_is_getting_on_and_then_its_result() {
    let (_echo, url) = Running::echo(&[]);
    let terminal = Terminal::start(&["bench", &url, "--connections", "2", "--duration", "600"]);
    terminal.shows(" echoes/s, p99 ");
    // It is no terminal of a session, whose keys are signals.
    signal(&terminal.child, "INT");
    terminal.shows("128-byte text messages, at most 1 in flight; interrupted\n");
    terminal.shows("errors        none\n");
    assert_eq!(terminal.ends(), Some(0));
}

/// A pseudo-terminal with the command on it.
struct Terminal {
    child: Child,
    keyboard: File,
    /// Kept open, so that the terminal outlives the command and can be looked at.
    line: OwnedFd,
    before: Termios,
    screen: Arc<(Mutex<String>, Condvar)>,
}

impl Terminal {
    fn start(args: &[&str]) -> Self {
        let pty = openpty(None, None).expect("a pseudo-terminal");
        let before = tcgetattr(&pty.slave).expect("it is a terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let mut command = trunkline(args);
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().expect("the binary starts");
        let keyboard = File::from(pty.master);
        let screen = Arc::<(Mutex<String>, Condvar)>::default();
        let mut output = keyboard.try_clone().expect("a descriptor");
        let seen = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                seen.0.lock().expect("nobody panics with it").push_str(&text);
                seen.1.notify_all();
            }
        });
        Self { child, keyboard, line: pty.slave, before, screen }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits until the text was written to the screen, and forgets what was written up to its end.
    fn shows(&self, text: &str) {
        let (seen, changed) = &*self.screen;
        let guard = seen.lock().expect("nobody panics with it");
        let (mut seen, _) = changed
            .wait_timeout_while(guard, PATIENCE, |seen| !plain(seen).contains(text))
            .expect("nobody panics with it");
        let now = plain(&seen);
        let Some(at) = now.find(text) else {
            drop(seen);
            panic!("{text:?} is not shown, but {now:?}");
        };
        *seen = now[at + text.len()..].to_owned();
    }

    fn local_flags(&self) -> LocalFlags {
        tcgetattr(&self.line).expect("it is a terminal").local_flags
    }

    /// Waits for the end, looks at the terminal, and gives the exit code.
    fn ends(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(tcgetattr(&self.line).expect("it is a terminal"), self.before);
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text without what is written around it, whenever rustyline has the time: marks for updates and pasting, erased
/// rests of lines. Going back to the start of a line counts as a new one.
fn plain(text: &str) -> String {
    ["\x1b[?2026h", "\x1b[?2026l", "\x1b[?2004h", "\x1b[?2004l", "\x1b[K"]
        .iter()
        .fold(text.to_owned(), |text, sequence| text.replace(sequence, ""))
        .replace("\r\n", "\n")
        .replace('\r', "\n")
}
