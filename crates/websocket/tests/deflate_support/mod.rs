//! What the tests of permessage-deflate share.

// Each test file is a crate of its own and uses a part of it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use trunkline_websocket::deflate::{Agreed, Codec, InvalidDeflate, NoShelf, Params, Progress};

/// The same window and the same takeover both ways.
pub(crate) fn agreed(window_bits: u8, takeover: bool) -> Agreed {
    Agreed {
        params: Params {
            server_no_context_takeover: !takeover,
            client_no_context_takeover: !takeover,
            server_max_window_bits: window_bits,
            client_max_window_bits: window_bits,
        },
        level: 6,
        threshold: 0,
    }
}

/// A codec for decompression: the server's.
pub(crate) fn server(agreed: Agreed) -> Codec {
    Codec::new(agreed, true, &NoShelf)
}

/// One message at once, by a connection of its own.
pub(crate) fn inflate_alone(agreed: Agreed, payload: &[u8]) -> Result<Vec<u8>, InvalidDeflate> {
    inflate(&mut server(agreed), payload)
}

/// One message at once.
pub(crate) fn inflate(codec: &mut Codec, payload: &[u8]) -> Result<Vec<u8>, InvalidDeflate> {
    let mut out = Vec::new();
    let inflated = codec.inflate(payload, true, usize::MAX, &mut out)?;
    assert_eq!((inflated.used, inflated.state), (payload.len(), Progress::Done));
    Ok(out)
}

/// One message in pieces: `cut` and `room` say how many bytes the next call may see and write.
pub(crate) fn inflate_in_pieces(
    codec: &mut Codec,
    payload: &[u8],
    mut cut: impl FnMut() -> usize,
    mut room: impl FnMut() -> usize,
) -> Result<Vec<u8>, InvalidDeflate> {
    let mut out = Vec::new();
    let mut rest = payload;
    let mut calls_without_progress = 0;
    loop {
        let count = cut().min(rest.len());
        let last = count == rest.len();
        let (room, before) = (room(), out.len());
        let inflated = codec.inflate(&rest[..count], last, room, &mut out)?;
        let written = out.len() - before;
        assert!(written <= room, "{written} bytes in a room of {room}");
        rest = &rest[inflated.used..];
        match inflated.state {
            Progress::Done => {
                assert!(rest.is_empty());
                return Ok(out);
            }
            Progress::NeedInput => assert_eq!(inflated.used, count),
            Progress::NeedRoom => assert_eq!(written, room),
        }
        calls_without_progress = if inflated.used + written == 0 { calls_without_progress + 1 } else { 0 };
        assert!(calls_without_progress < 1000, "no progress");
    }
}

pub(crate) fn deflate(codec: &mut Codec, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    codec.deflate(message, true, &mut out);
    out
}

/// What people say to each other, as JSON: `len` bytes of it.
pub(crate) fn chat(len: usize, seed: u64) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "the", "meeting", "is", "at", "noon", "who", "has", "seen", "my", "notes", "on", "lunch", "deploy",
        "again", "tomorrow", "thanks", "ok", "why", "would", "it", "fail", "here", "please", "look",
    ];
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((state >> 33) % below).expect("small")
    };
    let mut text = String::from("[");
    while text.len() <= len {
        let words: Vec<_> = (0..3 + random(9)).map(|_| WORDS[random(24)]).collect();
        let (offset, user, at) =
            (random(1 << 20), random(500), 1_790_000_000_000_u64 + random(1 << 30) as u64);
        text += &format!(
            r#"{{"channel":"room:{}","pub":{{"offset":{offset},"user":"user{user}","at":{at},"data":{{"text":"{}"}}}}}},"#,
            user % 7,
            words.join(" ")
        );
    }
    text.truncate(len);
    text.into_bytes()
}

/// Bytes that do not compress.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// DEFLATE by hand (RFC 1951 section 3.1.1), for what no compressor would write.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    bits: usize,
}

impl Writer {
    /// So many bits of `value`, its lowest first.
    pub(crate) fn bits(&mut self, value: usize, count: usize) -> &mut Self {
        for bit in 0..count {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().expect("just pushed") |=
                u8::from(value >> bit & 1 == 1) << (self.bits % 8);
            self.bits += 1;
        }
        self
    }

    /// A code: its highest bit first.
    pub(crate) fn code(&mut self, code: usize, count: usize) -> &mut Self {
        for bit in (0..count).rev() {
            self.bits(code >> bit, 1);
        }
        self
    }

    pub(crate) fn align(&mut self) -> &mut Self {
        self.bits = self.bytes.len() * 8;
        self
    }

    /// BFINAL and BTYPE.
    pub(crate) fn header(&mut self, last: bool, kind: usize) -> &mut Self {
        self.bits(usize::from(last), 1).bits(kind, 2)
    }

    /// A whole stored block.
    pub(crate) fn stored(&mut self, last: bool, data: &[u8]) -> &mut Self {
        self.header(last, 0).align().bits(data.len(), 16).bits(!data.len(), 16);
        self.bytes.extend(data);
        self.align()
    }

    /// A symbol of the fixed code for literals and lengths (RFC 1951 section 3.2.6).
    pub(crate) fn symbol(&mut self, symbol: usize) -> &mut Self {
        match symbol {
            0..144 => self.code(0b0011_0000 + symbol, 8),
            144..256 => self.code(0b1_1001_0000 + symbol - 144, 9),
            256..280 => self.code(symbol - 256, 7),
            _ => self.code(0b1100_0000 + symbol - 280, 8),
        }
    }

    /// A match of three bytes in a block of fixed codes.
    pub(crate) fn three_bytes_from(&mut self, distance: usize) -> &mut Self {
        self.match_from(257, distance)
    }

    /// A match of the length that `symbol` stands for, in a block of fixed codes.
    pub(crate) fn match_from(&mut self, symbol: usize, distance: usize) -> &mut Self {
        self.symbol(symbol);
        let (mut base, mut extra) = (1, 0);
        for code in 0..30 {
            extra = if code < 4 { 0 } else { code / 2 - 1 };
            if distance < base + (1 << extra) {
                return self.code(code, 5).bits(distance - base, extra);
            }
            base += 1 << extra;
        }
        panic!("no distance is as long as {distance}: {base}, {extra}");
    }

    /// The payload of a message: ends with an empty stored block, without its length.
    pub(crate) fn payload(&mut self) -> Vec<u8> {
        self.header(false, 0);
        self.bytes.clone()
    }

    /// As it is.
    pub(crate) fn unfinished(&mut self) -> Vec<u8> {
        self.bytes.clone()
    }
}
