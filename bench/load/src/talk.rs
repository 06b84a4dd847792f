//! A connection that is spoken with one message at a time, waiting for each answer.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Fallible;
use crate::wire::{CLOSE, FIN, PING, PONG, Reader, TEXT, push_frame};

const KEY: [u8; 4] = [9, 8, 7, 6];

pub(crate) struct Talk {
    pub(crate) stream: TcpStream,
    reader: Reader,
    /// What was received and not yet read.
    rest: Vec<u8>,
}

/// What came to somebody who only waits.
#[derive(Clone, Copy, Default)]
pub(crate) struct Heard {
    pub(crate) pings: u64,
    pub(crate) messages: u64,
}

impl Talk {
    pub(crate) fn new(stream: TcpStream, early: Vec<u8>) -> Self {
        Self { stream, reader: Reader::default(), rest: early }
    }

    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) -> Fallible<()> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        push_frame(&mut frame, first, payload, KEY);
        Ok(self.stream.write_all(&frame)?)
    }

    pub(crate) fn say(&mut self, text: &str) -> Fallible<()> {
        self.send(FIN | TEXT, text.as_bytes())
    }

    /// The next data message: the first byte of its last frame, and what it says.
    pub(crate) fn hear(&mut self) -> Fallible<(u8, Vec<u8>)> {
        let (mut first, mut payload, mut control) = (0, Vec::new(), Vec::new());
        loop {
            let mut input = &self.rest[..];
            let piece = self.reader.next(&mut input)?;
            let taken = self.rest.len() - input.len();
            let Some(piece) = piece else {
                self.rest.clear();
                self.more()?;
                continue;
            };
            if piece.is_control() {
                control.extend(piece.payload);
                let (opcode, ends) = (piece.opcode(), piece.ends);
                self.rest.drain(..taken);
                if ends {
                    self.answer(opcode, &std::mem::take(&mut control))?;
                }
                continue;
            }
            payload.extend(piece.payload);
            // A compressed message says so in its first frame alone.
            first |= piece.first;
            let ends = piece.ends_message();
            self.rest.drain(..taken);
            if ends {
                return Ok((first, payload));
            }
        }
    }

    /// Reads what is there, at least a byte, and answers what has to be answered.
    pub(crate) fn attend(&mut self) -> Fallible<Heard> {
        let mut heard = Heard::default();
        self.more()?;
        let (mut control, bytes) = (Vec::new(), std::mem::take(&mut self.rest));
        let mut input = &bytes[..];
        while let Some(piece) = self.reader.next(&mut input)? {
            if piece.is_control() {
                control.extend(piece.payload);
                let opcode = piece.opcode();
                // A control frame of ours always comes whole: it is shorter than any segment.
                if piece.ends {
                    heard.pings += u64::from(opcode == PING);
                    self.answer(opcode, &std::mem::take(&mut control))?;
                }
            } else if piece.ends_message() {
                heard.messages += 1;
            }
        }
        Ok(heard)
    }

    /// The stream again, if nothing has come that was not read.
    pub(crate) fn into_stream(self) -> Fallible<TcpStream> {
        if self.rest.is_empty() { Ok(self.stream) } else { Err("the server spoke out of turn".into()) }
    }

    fn answer(&mut self, opcode: u8, payload: &[u8]) -> Fallible<()> {
        match opcode {
            PING => self.send(FIN | PONG, payload),
            CLOSE => Err(format!("the server closes: {:?}", String::from_utf8_lossy(payload)).into()),
            _ => Ok(()),
        }
    }

    fn more(&mut self) -> Fallible<()> {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).map_err(|error| format!("no answer: {error}"))?;
        self.rest.extend(&chunk[..count]);
        if count == 0 { Err("the server has ended the stream".into()) } else { Ok(()) }
    }
}
