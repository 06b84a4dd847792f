//! Frames, by hand.

use crate::Fallible;

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) const FIN: u8 = 0x80;
/// In permessage-deflate: the message is compressed.
pub(crate) const RSV1: u8 = 0x40;

/// Appends a whole frame as a client sends it. `first` is its first byte: FIN, RSV1 and the opcode.
pub(crate) fn push_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], key: [u8; 4]) {
    out.push(first);
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Reads what a server sends, cut anywhere. It judges the form of each frame; what the payload should be is for others.
#[derive(Default)]
pub(crate) struct Reader {
    head: [u8; 10],
    /// Bytes of `head` that are there.
    have: u8,
    /// Whether `head` is whole.
    open: bool,
    /// Whether nothing of the open frame was given out yet.
    fresh: bool,
    /// Payload of the open frame that is still to come.
    left: u64,
}

/// A part of one frame's payload.
pub(crate) struct Piece<'a> {
    /// The frame's first byte.
    pub(crate) first: u8,
    pub(crate) starts: bool,
    pub(crate) ends: bool,
    pub(crate) payload: &'a [u8],
}

impl Piece<'_> {
    pub(crate) fn opcode(&self) -> u8 {
        self.first & 15
    }

    pub(crate) fn is_control(&self) -> bool {
        self.first & 8 != 0
    }

    /// Whether the message, and not only the frame, ends with it.
    pub(crate) fn ends_message(&self) -> bool {
        self.ends && self.first & FIN != 0
    }
}

impl Reader {
    /// The next piece in `input`, from which it is taken; none when there is no more to tell before more bytes come.
    #[inline]
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Fallible<Option<Piece<'a>>> {
        if !self.open && !self.take_head(input)? {
            return Ok(None);
        }
        if self.left > 0 && input.is_empty() {
            return Ok(None);
        }
        let (payload, rest) = input.split_at(input.len().min(self.left as usize));
        *input = rest;
        self.left -= payload.len() as u64;
        self.open = self.left > 0;
        Ok(Some(Piece {
            first: self.head[0],
            starts: std::mem::take(&mut self.fresh),
            ends: !self.open,
            payload,
        }))
    }

    fn take_head(&mut self, input: &mut &[u8]) -> Fallible<bool> {
        loop {
            let need = match self.head[1] {
                _ if self.have < 2 => 2,
                ..126 => 2,
                126 => 4,
                127 => 10,
                128.. => return Err("a masked frame from a server".into()),
            };
            let have = usize::from(self.have);
            let (taken, rest) = input.split_at(input.len().min(need - have));
            self.head[have..have + taken.len()].copy_from_slice(taken);
            *input = rest;
            self.have += taken.len() as u8;
            if usize::from(self.have) < need {
                return Ok(false);
            }
            if need > 2 || self.head[1] < 126 {
                break;
            }
        }
        self.left = match self.head[1] {
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..10].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        (self.have, self.open, self.fresh) = (0, true, true);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_at_every_cut() {
        let mut bytes = vec![FIN | TEXT, 0, FIN | BINARY, 3, 1, 2, 3, FIN | BINARY, 126, 1, 0];
        bytes.extend([7; 256]);
        bytes.extend([FIN | BINARY, 127, 0, 0, 0, 0, 0, 0, 0, 1, 9]);
        for cut in 0..=bytes.len() {
            let (mut reader, mut seen, mut frames) = (Reader::default(), Vec::<u8>::new(), 0);
            for mut input in [&bytes[..cut], &bytes[cut..]] {
                while let Some(piece) = reader.next(&mut input).expect("good frames") {
                    seen.extend(piece.payload);
                    frames += u32::from(piece.ends_message());
                }
            }
            assert_eq!((frames, seen.len()), (4, 260), "cut at {cut}");
        }
    }

    #[test]
    fn a_frame_is_masked_and_its_length_in_the_shortest_form() {
        let mut frame = Vec::new();
        push_frame(&mut frame, FIN | TEXT, b"abcde", [1, 2, 3, 4]);
        assert_eq!(frame, [0x81, 0x85, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3, b'd' ^ 4, b'e' ^ 1]);
        for (len, head) in [(125, 6), (126, 8), (0xffff, 8), (0x1_0000, 14)] {
            frame.clear();
            push_frame(&mut frame, FIN | BINARY, &vec![0; len], [0; 4]);
            assert_eq!(frame.len(), head + len);
        }
    }
}
