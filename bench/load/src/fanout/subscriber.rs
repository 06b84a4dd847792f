//! One subscriber: where it is in the sequence of deliveries.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::Fallible;
use crate::wire::{CLOSE, CONTINUATION, FIN, PING, PONG, Piece, Reader, TEXT, push_frame};

pub(super) struct Subscriber {
    stream: TcpStream,
    reader: Reader,
    /// Deliveries so far.
    sequence: u64,
    /// Of a message, or a control frame, that came in parts.
    gathered: Vec<u8>,
}

impl Subscriber {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, reader: Reader::default(), sequence: 0, gathered: Vec::new() }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Fallible<Option<usize>> {
        match self.stream.read(buffer) {
            Ok(0) => Err("the server has ended the stream".into()),
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives each whole message to `deliver` with its number, and says how many there were.
    pub(super) fn take(
        &mut self,
        mut input: &[u8],
        mut deliver: impl FnMut(u64, &[u8]) -> Fallible<()>,
    ) -> Fallible<u64> {
        let before = self.sequence;
        while let Some(piece) = self.reader.next(&mut input)? {
            if piece.is_control() {
                self.control(&piece)?;
                continue;
            }
            if !matches!(piece.first, first if first & !FIN == TEXT || first & !FIN == CONTINUATION) {
                return Err(format!("a frame that begins with {:#04x}", piece.first).into());
            }
            if piece.ends_message() && self.gathered.is_empty() {
                deliver(self.sequence, piece.payload)?;
                self.sequence += 1;
                continue;
            }
            self.gathered.extend(piece.payload);
            if piece.ends_message() {
                deliver(self.sequence, &self.gathered)?;
                self.gathered.clear();
                self.sequence += 1;
            }
        }
        Ok(self.sequence - before)
    }

    fn control(&mut self, piece: &Piece<'_>) -> Fallible<()> {
        self.gathered.extend(piece.payload);
        if !piece.ends {
            return Ok(());
        }
        let payload = std::mem::take(&mut self.gathered);
        match piece.opcode() {
            PING => {
                let mut pong = Vec::new();
                push_frame(&mut pong, FIN | PONG, &payload, [1, 2, 3, 4]);
                Ok(self.stream.write_all(&pong)?)
            }
            CLOSE => Err(format!("the server closes: {:?}", String::from_utf8_lossy(&payload)).into()),
            _ => Ok(()),
        }
    }
}
