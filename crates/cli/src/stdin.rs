//! Lines of stdin, without blocking a task and without keeping the process when it is done.

use std::io::{self, BufRead};

use tokio::sync::mpsc;

/// Lines read ahead of their use. More would only make a slow use of them look like progress.
const AHEAD: usize = 16;

/// Lines as they come, or why no more can be read; ends where stdin does.
pub(crate) type Lines = mpsc::Receiver<io::Result<String>>;

/// Reads stdin from now on, on a thread of its own: one that waits for a line when the process is done ends with it,
/// where the runtime would wait for its own.
pub(crate) fn lines() -> Lines {
    let (sender, lines) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let over = line.is_err();
            if sender.blocking_send(line).is_err() || over {
                return;
            }
        }
    });
    lines
}
