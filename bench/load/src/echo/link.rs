//! One connection: what it has sent, and what has to come back.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::Fallible;
use crate::args::Echo;
use crate::deflate::Decompressor;
use crate::meter::Meter;
use crate::open::Agreed;
use crate::ring::Ring;
use crate::wire::{CLOSE, CONTINUATION, FIN, PING, PONG, Piece, RSV1, Reader, push_frame};

pub(super) struct Link {
    pub(super) stream: TcpStream,
    pub(super) waits_for_room: bool,
    /// A range of the ring's bytes that is still to be sent.
    due: (usize, usize),
    /// Answers to pings. They go out between frames, which is when nothing is due.
    pongs: Vec<u8>,
    in_flight: usize,
    burst: bool,
    /// The first message, the next one to be sent, the next one to come back.
    start: u64,
    sent: u64,
    awaited: u64,
    /// When those in flight were sent.
    times: VecDeque<Instant>,
    reader: Reader,
    message: Arriving,
    inflater: Option<Decompressor>,
}

/// The message that is arriving.
#[derive(Default)]
struct Arriving {
    open: bool,
    compressed: bool,
    /// Bytes that are there and as they should be.
    position: usize,
    /// Those of a compressed message, and of a control frame: they are judged when whole.
    gathered: Vec<u8>,
    control: Vec<u8>,
}

impl Link {
    pub(super) fn new(stream: TcpStream, agreed: Agreed, start: u64, args: &Echo, ring: &Ring) -> Self {
        let (frames, _) = ring.frames(start, 0);
        Self {
            stream,
            waits_for_room: false,
            due: (frames, frames),
            pongs: Vec::new(),
            in_flight: args.in_flight,
            burst: args.burst,
            start,
            sent: start,
            awaited: start,
            times: VecDeque::with_capacity(args.in_flight),
            reader: Reader::default(),
            message: Arriving::default(),
            inflater: agreed.deflate.then(|| Decompressor::new(agreed.server_keeps_context)),
        }
    }

    /// Messages that are back.
    pub(super) fn echoed(&self) -> u64 {
        self.awaited - self.start
    }

    /// How many bytes came; none if none are there.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Fallible<Option<usize>> {
        match self.stream.read(buffer) {
            Ok(0) => Err("the server has ended the stream".into()),
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Judges what has come, and says how many messages are back.
    pub(super) fn take(
        &mut self,
        mut input: &[u8],
        ring: &Ring,
        now: Instant,
        meter: &mut Meter<'_>,
    ) -> Fallible<u64> {
        let before = self.awaited;
        while let Some(piece) = self.reader.next(&mut input)? {
            if piece.is_control() {
                self.control(&piece)?;
            } else if self.data(&piece, ring)? {
                self.awaited += 1;
                let sent = self.times.pop_front().ok_or("a message that was not sent")?;
                meter.latency(sent, now);
            }
        }
        Ok(self.awaited - before)
    }

    /// Makes due what may be sent now.
    pub(super) fn refill(&mut self, ring: &Ring, now: Instant) {
        let flying = (self.sent - self.awaited) as usize;
        // One range is due at a time.
        if self.due.0 < self.due.1 || flying == self.in_flight || self.burst && flying > 0 {
            return;
        }
        let count = self.in_flight - flying;
        self.due = ring.frames(self.sent, count);
        self.sent += count as u64;
        self.times.extend(std::iter::repeat_n(now, count));
    }

    pub(super) fn flush(&mut self, ring: &Ring) -> Fallible<()> {
        self.waits_for_room = false;
        while self.due.0 < self.due.1 {
            match self.stream.write(&ring.bytes()[self.due.0..self.due.1]) {
                Ok(count) => self.due.0 += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.waits_for_room = true;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !self.pongs.is_empty() {
            // So few bytes that there is always room for them.
            self.stream.write_all(&std::mem::take(&mut self.pongs))?;
        }
        Ok(())
    }

    /// Whether the awaited message is whole.
    fn data(&mut self, piece: &Piece<'_>, ring: &Ring) -> Fallible<bool> {
        if piece.starts {
            self.begin(piece, ring.opcode)?;
        }
        let wanted = ring.payload(self.awaited);
        let message = &mut self.message;
        if message.compressed {
            message.gathered.extend(piece.payload);
        } else {
            let end = message.position + piece.payload.len();
            if wanted.get(message.position..end) != Some(piece.payload) {
                return Err(
                    format!("message {} is another from byte {} on", self.awaited, message.position).into()
                );
            }
            message.position = end;
        }
        if !piece.ends_message() {
            return Ok(false);
        }
        message.open = false;
        if message.compressed {
            let inflater = self.inflater.as_mut().ok_or("a compressed message, and nothing was agreed")?;
            if inflater.decompress(&mut message.gathered, wanted.len())? != wanted {
                return Err(format!("message {} inflates to another", self.awaited).into());
            }
        } else if message.position != wanted.len() {
            return Err(format!("message {} ends after {} bytes", self.awaited, message.position).into());
        }
        Ok(true)
    }

    fn begin(&mut self, piece: &Piece<'_>, opcode: u8) -> Fallible<()> {
        let wanted = if self.message.open { CONTINUATION } else { opcode };
        let allowed = if self.message.open || self.inflater.is_none() { FIN } else { FIN | RSV1 };
        if piece.opcode() != wanted || piece.first & 0x70 & !allowed != 0 {
            return Err(
                format!("a frame that begins with {:#04x}, opcode {wanted} was due", piece.first).into()
            );
        }
        if !self.message.open {
            self.message.open = true;
            self.message.compressed = piece.first & RSV1 != 0;
            self.message.position = 0;
        }
        Ok(())
    }

    fn control(&mut self, piece: &Piece<'_>) -> Fallible<()> {
        self.message.control.extend(piece.payload);
        if !piece.ends {
            return Ok(());
        }
        let payload = std::mem::take(&mut self.message.control);
        match piece.opcode() {
            PING => push_frame(&mut self.pongs, FIN | PONG, &payload, [1, 2, 3, 4]),
            PONG => {}
            CLOSE => return Err(format!("the server closes: {:?}", String::from_utf8_lossy(&payload)).into()),
            opcode => return Err(format!("a control frame with opcode {opcode}").into()),
        }
        Ok(())
    }
}
