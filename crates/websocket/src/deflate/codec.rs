//! Compression and decompression of one connection's messages.

use super::window::Window;
use super::{Agreed, Deflater, Inflated, Inflater, InvalidDeflate, Progress, Shelf};

/// Both directions of one connection.
///
/// It knows payloads and nothing of frames: which messages are compressed (RSV1), and how large they may get, is the
/// connection's to say.
#[derive(Debug)]
pub struct Codec {
    agreed: Agreed,
    server: bool,
    shelf: &'static dyn Shelf,
    /// Held while a message is open; with context takeover from the first message on.
    deflater: Option<Box<Deflater>>,
    /// Held while a message is open.
    inflater: Option<Box<Inflater>>,
    /// With context takeover, what the remote's earlier messages were.
    history: Window,
}

/// A way to compress a message on its own, so that the result suits every connection of the same variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The window is 2^this bytes, 9 to 15.
    pub window_bits: u8,
    /// 1 is fast, 9 is small.
    pub level: u8,
}

impl Codec {
    /// For a connection that has seen no message yet. `server` is which of both ends we are.
    pub fn new(agreed: Agreed, server: bool, shelf: &'static dyn Shelf) -> Self {
        let (_, bits) = agreed.params.receiving(server);
        Self { agreed, server, shelf, deflater: None, inflater: None, history: Window::new(bits) }
    }

    /// What it goes by.
    pub const fn agreed(&self) -> Agreed {
        self.agreed
    }

    /// See [`Agreed::variant`].
    pub fn variant(&self) -> Option<Variant> {
        self.agreed.variant(self.server)
    }

    /// Compresses a piece of the open message, or the first of a new one, and appends what comes of it to `out`.
    ///
    /// The `last` piece, which may be empty, ends the message; an empty message becomes a single zero byte (RFC 7692
    /// section 7.2.3.6). Pieces before it may add nothing to `out`: the compressor keeps them until it has a block.
    ///
    /// With context takeover, what was compressed must be sent: the remote's window is to have what ours has. A message
    /// that is to go uncompressed is not given to this at all.
    pub fn deflate(&mut self, piece: &[u8], last: bool, out: &mut Vec<u8>) {
        let (no_takeover, bits) = self.agreed.params.sending(self.server);
        let (shelf, level) = (self.shelf, self.agreed.level);
        let deflater = self.deflater.get_or_insert_with(|| shelf.take_deflater(bits, level));
        deflater.deflate(piece, last, out);
        if last && no_takeover {
            self.give_deflater();
        }
    }

    /// Decompresses a piece of the open message, or the first of a new one, and appends at most `room` bytes to `out`.
    ///
    /// `last` says that the message ends with `input`; the trailer of section 7.2.2 is not part of it. What was taken
    /// of `input`, and what to do next, is in [`Inflated`]; with [`Progress::NeedRoom`] the same call is made again
    /// with the rest of `input`. A message of `room` bytes exactly is [`Progress::Done`].
    ///
    /// The memory that it takes is a decompressor, the window, and what it appends, however much the data would become.
    ///
    /// # Errors
    ///
    /// The data is no DEFLATE, or looks back into earlier messages beyond the window agreed on. From then on, every call
    /// says so; what came out before is in `out`.
    pub fn inflate(
        &mut self,
        input: &[u8],
        last: bool,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Result<Inflated, InvalidDeflate> {
        let (no_takeover, bits) = self.agreed.params.receiving(self.server);
        let (shelf, history) = (self.shelf, &mut self.history);
        let inflater = self.inflater.get_or_insert_with(|| {
            let mut inflater = shelf.take_inflater(bits);
            if no_takeover {
                inflater.open(bits);
            } else {
                inflater.open_with(history);
            }
            inflater
        });
        let inflated = inflater.inflate(input, last, room, out)?;
        if inflated.state == Progress::Done {
            self.give_inflater();
        }
        Ok(inflated)
    }

    /// The connection has ended: gives back what is borrowed. Dropping it does the same.
    pub fn abandon(&mut self) {
        self.give_deflater();
        self.give_inflater();
        self.history = Window::default();
    }

    /// What it holds at the moment, in bytes, without itself.
    pub fn memory(&self) -> usize {
        self.history.memory()
            + self.deflater.as_ref().map_or(0, |deflater| deflater.memory())
            + self.inflater.as_ref().map_or(0, |inflater| inflater.memory())
    }

    fn give_deflater(&mut self) {
        if let Some(deflater) = self.deflater.take() {
            self.shelf.give_deflater(deflater);
        }
    }

    fn give_inflater(&mut self) {
        if let Some(mut inflater) = self.inflater.take() {
            let (no_takeover, _) = self.agreed.params.receiving(self.server);
            if !no_takeover {
                inflater.close_with(&mut self.history);
            }
            self.shelf.give_inflater(inflater);
        }
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Variant {
    /// Compresses a whole message and appends the result to `out`: what [`Codec::deflate`] would make of it.
    pub fn deflate(self, message: &[u8], shelf: &dyn Shelf, out: &mut Vec<u8>) {
        let mut deflater = shelf.take_deflater(self.window_bits, self.level);
        deflater.deflate(message, true, out);
        shelf.give_deflater(deflater);
    }
}
