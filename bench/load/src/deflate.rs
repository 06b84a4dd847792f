//! permessage-deflate (RFC 7692), as far as a generator needs it.

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use crate::Fallible;

/// What a flush ends with, and what is left out on the wire (section 7.2.1).
const TRAILER: [u8; 4] = [0, 0, 0xff, 0xff];
const WINDOW_BITS: u8 = 15;

pub(crate) struct Compressor {
    raw: Deflate,
    keeps_context: bool,
}

impl Compressor {
    pub(crate) fn new(keeps_context: bool) -> Self {
        Self { raw: Deflate::new(6, false, WINDOW_BITS), keeps_context }
    }

    pub(crate) fn compress(&mut self, message: &[u8]) -> Fallible<Vec<u8>> {
        let mut out = vec![0; message.len() * 2 + 64];
        let before = self.raw.total_out();
        let status = self.raw.compress(message, &mut out, DeflateFlush::SyncFlush);
        status.map_err(|error| format!("deflate: {error:?}"))?;
        out.truncate((self.raw.total_out() - before) as usize);
        if !out.ends_with(&TRAILER) {
            return Err("deflate: the flush is not whole".into());
        }
        out.truncate(out.len() - TRAILER.len());
        if !self.keeps_context {
            self.raw.reset();
        }
        Ok(out)
    }
}

pub(crate) struct Decompressor {
    raw: Inflate,
    keeps_context: bool,
}

impl Decompressor {
    pub(crate) fn new(keeps_context: bool) -> Self {
        Self { raw: Inflate::new(false, WINDOW_BITS), keeps_context }
    }

    /// As it is after a message that said `seen`.
    pub(crate) fn after(seen: &[u8]) -> Fallible<Self> {
        let mut after = Self::new(true);
        after.raw.set_dictionary(seen).map_err(|error| format!("inflate: {error:?}"))?;
        Ok(after)
    }

    /// Takes the message in `compressed`, which is left empty. A message longer than `limit` is an error.
    pub(crate) fn decompress(&mut self, compressed: &mut Vec<u8>, limit: usize) -> Fallible<Vec<u8>> {
        compressed.extend(TRAILER);
        // One byte more, so that what is too long shows.
        let mut out = vec![0; limit + 1];
        let before = (self.raw.total_in(), self.raw.total_out());
        let status = self.raw.decompress(compressed, &mut out, InflateFlush::SyncFlush);
        let (taken, given) = (self.raw.total_in() - before.0, self.raw.total_out() - before.1);
        // A block that is marked as the last one ends the stream early; the trailer is then left.
        let last_block = matches!(status, Ok(Status::StreamEnd));
        status.map_err(|error| format!("inflate: {error:?}"))?;
        if given as usize > limit || (taken as usize) < compressed.len() && !last_block {
            return Err(format!("inflates to more than {limit} bytes").into());
        }
        out.truncate(given as usize);
        compressed.clear();
        if !self.keeps_context || last_block {
            self.raw.reset(false);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_with_context_and_without() {
        for keeps_context in [false, true] {
            let mut compressor = Compressor::new(keeps_context);
            let mut decompressor = Decompressor::new(keeps_context);
            let mut sizes = Vec::new();
            for _ in 0..3 {
                let mut compressed = compressor.compress(b"one message, and one message more").expect("room");
                sizes.push(compressed.len());
                let back = decompressor.decompress(&mut compressed, 33).expect("what was compressed");
                assert_eq!(back, b"one message, and one message more");
            }
            assert_eq!(sizes[1] < sizes[0], keeps_context, "{sizes:?}");
        }
        let mut compressed = Compressor::new(false).compress(&[7; 100]).expect("room");
        assert!(Decompressor::new(false).decompress(&mut compressed, 99).is_err());
    }
}
