//! Stdin, by lines or by pieces, without blocking a task and without keeping the process when it is done.

use std::io::{self, BufRead, Read};

use tokio::sync::mpsc;

/// Lines read ahead of their use. More would only make a slow use of them look like progress.
const AHEAD: usize = 16;

/// Pieces read ahead of their use, and the largest of them: what two of them hold covers the time that one takes to leave.
const PIECES_AHEAD: usize = 1;
const PIECE: usize = 64 << 10;

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

/// Bytes as they come, or why no more can be read; ends where stdin does.
pub(crate) type Pieces = mpsc::Receiver<io::Result<Vec<u8>>>;

/// As [`lines`], for bytes that are no text.
pub(crate) fn pieces() -> Pieces {
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = vec![0; PIECE];
        loop {
            let piece = match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => Ok(buffer[..count].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let over = piece.is_err();
            if sender.blocking_send(piece).is_err() || over {
                return;
            }
        }
    });
    pieces
}
