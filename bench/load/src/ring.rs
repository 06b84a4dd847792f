//! Frames that are ready to be sent, made once.
//!
//! All connections send the same messages in the same turn, each from a place of its own. The frames lie one behind the
//! other, and as many as can be in flight stand once more at the end: whatever is due is one slice and one call.

use crate::Fallible;
use crate::args::Echo;
use crate::deflate::Compressor;
use crate::messages::{Random, message, opcode};
use crate::wire::{FIN, RSV1, push_frame};

/// All frames together take about this much: more would measure the generator's cache.
const BYTES: usize = 512 << 10;
const MOST: usize = 64;
/// What a compressor can remember.
const WINDOW: usize = 32 << 10;

pub(crate) struct Ring {
    pub(crate) opcode: u8,
    payloads: Vec<Vec<u8>>,
    frames: Vec<u8>,
    /// Where in `frames` each one begins, and where the last one ends.
    bounds: Vec<usize>,
    /// Frames that are only sent the first time round: they were compressed with less behind them than later.
    prefix: usize,
}

impl Ring {
    /// `compress`: whether to, and whether a context is kept.
    pub(crate) fn new(args: &Echo, compress: Option<bool>) -> Fallible<Self> {
        // One more than in flight, so that no two of these are alike.
        let mut count = (BYTES / args.size.max(1)).min(MOST).max(args.in_flight + 1);
        if compress == Some(true) {
            // The second round has a full window behind it and is the same as the third.
            count = count.max(WINDOW / args.size.max(1) + 1);
        }
        let payloads: Vec<_> = (0..count).map(|number| message(args.kind, args.size, number)).collect();
        let mut ring = Self {
            opcode: opcode(args.kind),
            prefix: if compress == Some(true) { count } else { 0 },
            payloads,
            frames: Vec::new(),
            bounds: vec![0],
        };
        let mut keys = Random::new(args.size as u64);
        let mut compressor = compress.map(Compressor::new);
        for position in 0..ring.prefix + count {
            let payload = ring.payload(position as u64);
            let (first, payload) = match &mut compressor {
                Some(compressor) => (FIN | RSV1 | ring.opcode, &compressor.compress(payload)?),
                None => (FIN | ring.opcode, &ring.payloads[position % count]),
            };
            let key = (keys.next() as u32 | 1).to_be_bytes();
            push_frame(&mut ring.frames, first, payload, key);
            ring.bounds.push(ring.frames.len());
        }
        for position in ring.prefix..ring.prefix + args.in_flight {
            let again = ring.bounds[position]..ring.bounds[position + 1];
            ring.frames.extend_from_within(again);
            ring.bounds.push(ring.frames.len());
        }
        Ok(ring)
    }

    /// Where connection `number` begins.
    pub(crate) fn start(&self, number: usize) -> u64 {
        if self.prefix > 0 { 0 } else { (number % self.payloads.len()) as u64 }
    }

    /// What message `sequence` says.
    pub(crate) fn payload(&self, sequence: u64) -> &[u8] {
        &self.payloads[(sequence % self.payloads.len() as u64) as usize]
    }

    /// The frames of `count` messages from `sequence` on, as a range of [`bytes`](Self::bytes). No more than can be in flight.
    pub(crate) fn frames(&self, sequence: u64, count: usize) -> (usize, usize) {
        let (prefix, round) = (self.prefix as u64, self.payloads.len() as u64);
        let position = if sequence < prefix { sequence } else { prefix + (sequence - prefix) % round };
        (self.bounds[position as usize], self.bounds[position as usize + count])
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.frames
    }

    /// The mean of a frame on the wire.
    pub(crate) fn frame_bytes(&self) -> f64 {
        self.frames.len() as f64 / (self.bounds.len() - 1) as f64
    }
}
