//! Decompression of one message after the other (RFC 7692 section 7.2.2).
//!
//! The library decompresses one stream; here it is made to decompress messages: the trailer that was not sent is put
//! behind each, what comes out is bounded by the room there is, and the window goes from one message to the next by way
//! of a [`Window`] of our own, so that between messages no decompressor has to be kept.

use std::fmt;

use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use super::TRAILER;
use super::window::Window;

/// Why compressed data cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDeflate {
    /// It breaks a rule of RFC 1951, or looks further back than to the beginning of what there is, which may be less
    /// than the sender remembers: the window that was agreed on (RFC 7692 section 7.1.2).
    #[error("a message is not DEFLATE of the agreed window (RFC 7692 section 7.2.2)")]
    Malformed,
    /// A message of very many final blocks (BFINAL) and hardly anything else. Each begins a stream anew, which costs a
    /// copy of the window.
    #[error("a compressed message ends its stream again and again (RFC 7692 section 7.2.3.4)")]
    TooManyStreams,
    /// A message that ends inside a block.
    #[error("a compressed message ends inside a block (RFC 7692 section 7.2.1)")]
    Truncated,
}

/// What one call of [`Codec::inflate`](super::Codec::inflate) came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inflated {
    /// Bytes of the input that it took.
    pub used: usize,
    /// What it waits for.
    pub state: Progress,
}

/// What decompression waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The whole input is taken, and the message goes on.
    NeedInput,
    /// The room is full, and the message has one byte more at least. Call again with what is left of the input.
    NeedRoom,
    /// The message is over.
    Done,
}

/// A decompressor, which is borrowed from a [`Shelf`](super::Shelf) while a message is open.
pub struct Inflater {
    raw: Inflate,
    /// A byte that came out when there was no more room: the proof that the message goes on.
    ahead: Option<u8>,
    /// A stream's last block (BFINAL) has ended, and nothing has come behind it.
    stream_over: bool,
    message_over: bool,
    /// How many streams have ended in this message, and how many bytes of it were taken.
    streams: u64,
    taken: u64,
    failed: Option<InvalidDeflate>,
    /// Whether the window is wanted when the message is over.
    takeover: bool,
    window: Window,
}

/// What is put behind a message: the trailer that is not sent (section 7.2.2), and then a last block of nothing. That the
/// library finds the latter shows that the message did not end inside a block.
const ENDING: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// Final blocks that a message may have in any case, and for how many of its bytes it may have one more. Who flushes by
/// ending streams does so once for each of his writes.
const FREE_STREAMS: u64 = 64;
const BYTES_A_STREAM: u64 = 256;

/// Output asked for at a time: enough for a small message at once, and no more than a message is worth that a limit
/// ends here.
const STEPS: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 16;

/// The library looks back in all that it remembers of a message, which is this much. A sender that goes beyond the window
/// agreed on is noticed only where that would reach into an earlier message; inside of one it harms nobody.
const WINDOW_BITS: u8 = 15;

impl Inflater {
    pub(super) fn new(window_bits: u8) -> Self {
        Self {
            raw: Inflate::new(false, WINDOW_BITS),
            ahead: None,
            stream_over: false,
            message_over: false,
            streams: 0,
            taken: 0,
            failed: None,
            takeover: false,
            window: Window::new(window_bits),
        }
    }

    /// Begins a message that remembers nothing, nor will be remembered.
    pub(super) fn open(&mut self, window_bits: u8) {
        self.window.clear(window_bits);
        self.begin(false);
    }

    /// Begins a message that goes on from `history`, which is put in place of the own window until
    /// [`close_with`](Self::close_with).
    pub(super) fn open_with(&mut self, history: &mut Window) {
        std::mem::swap(&mut self.window, history);
        self.begin(true);
    }

    /// Ends a message that was begun by [`open_with`](Self::open_with).
    pub(super) fn close_with(&mut self, history: &mut Window) {
        std::mem::swap(&mut self.window, history);
    }

    fn begin(&mut self, takeover: bool) {
        (self.ahead, self.failed) = (None, None);
        (self.streams, self.taken) = (0, 0);
        (self.stream_over, self.message_over, self.takeover) = (false, false, takeover);
        self.begin_stream();
    }

    /// A new stream, which goes on from the window.
    fn begin_stream(&mut self) {
        self.raw.reset(false);
        for part in self.window.parts().into_iter().filter(|part| !part.is_empty()) {
            self.raw.set_dictionary(part).expect("a stream without a header takes a dictionary at any time");
        }
    }

    /// What it costs, in bytes: what the library has allocated, and the window.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + STATE + self.window.memory()
    }

    /// See [`Codec::inflate`](super::Codec::inflate).
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        last: bool,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Result<Inflated, InvalidDeflate> {
        if let Some(invalid) = self.failed {
            return Err(invalid);
        }
        let mut call = Call {
            input,
            last,
            limit: out.len().saturating_add(room),
            room,
            remembered: out.len(),
            drained: false,
            out,
        };
        let ended = loop {
            match self.step(&mut call) {
                Ok(None) => {}
                Ok(Some(state)) => break Ok(state),
                Err(invalid) => break Err(invalid),
            }
        };
        self.failed = ended.err();
        let state = ended?;
        if self.takeover || state != Progress::Done {
            self.remember(&mut call);
        }
        Ok(Inflated { used: input.len() - call.input.len(), state })
    }

    /// Gives the library what there is, once; says what to wait for if that is needed.
    fn step(&mut self, call: &mut Call<'_>) -> Result<Option<Progress>, InvalidDeflate> {
        let full = call.out.len() == call.limit;
        if let Some(byte) = self.ahead {
            if full {
                return Ok(Some(Progress::NeedRoom));
            }
            call.push(byte);
            call.remembered = call.out.len();
            self.ahead = None;
            return Ok(None);
        }
        // A stream that ended with the message needs no more. Who sends one should have begun another, of an empty block
        // (RFC 7692 section 7.2.3.4), and nearly all libraries let them get away without.
        if self.message_over || self.stream_over && call.last && call.input.is_empty() {
            return Ok(Some(Progress::Done));
        }
        if call.drained {
            return self.end().map(|()| None);
        }
        let fed = if full { self.look_ahead(call)? } else { self.append(call)? };
        self.stream_over &= !fed.moved;
        if fed.over {
            self.streams += 1;
            if self.streams > FREE_STREAMS + self.taken / BYTES_A_STREAM {
                return Err(InvalidDeflate::TooManyStreams);
            }
            self.remember(call);
            self.begin_stream();
            self.stream_over = true;
        } else if fed.hungry && !call.last {
            return Ok(Some(Progress::NeedInput));
        } else if !fed.hungry && !fed.moved {
            // With input and room the library always moves. If it ever did not, this would go on for ever.
            return Err(InvalidDeflate::Malformed);
        }
        call.drained = fed.hungry && !fed.over;
        Ok(None)
    }

    /// The message's own bytes have come to nothing more: by its ending it must come to its end, and put out nothing.
    fn end(&mut self) -> Result<(), InvalidDeflate> {
        let mut nothing = [0];
        let (taken, written, status) = self.decompress(&ENDING, &mut nothing);
        // The last block was that of the ending; or it was the message's own, whose length the trailer is.
        let whole = written == 0
            && matches!(status, Ok(Status::StreamEnd))
            && [TRAILER.len(), ENDING.len()].contains(&taken);
        self.message_over = whole;
        if whole { Ok(()) } else { Err(InvalidDeflate::Truncated) }
    }

    /// Decompresses to the end of the caller's vector. What comes out before something is wrong stays there, so that it can
    /// be judged first, and the verdict does not depend on how the input is cut.
    fn append(&mut self, call: &mut Call<'_>) -> Result<Fed, InvalidDeflate> {
        let begin = call.out.len();
        call.make_room();
        let mut out = std::mem::take(call.out);
        let (written, fed) = self.feed(call, &mut out[begin..]);
        out.truncate(begin + written);
        *call.out = out;
        fed
    }

    /// There is no more room: whether the message goes on shows in one byte more.
    fn look_ahead(&mut self, call: &mut Call<'_>) -> Result<Fed, InvalidDeflate> {
        let mut byte = [0];
        let (written, fed) = self.feed(call, &mut byte);
        if written > 0 {
            self.remember(call);
            self.window.extend(&byte);
            self.ahead = Some(byte[0]);
        }
        fed
    }

    fn feed(&mut self, call: &mut Call<'_>, output: &mut [u8]) -> (usize, Result<Fed, InvalidDeflate>) {
        let (taken, written, status) = self.decompress(call.input, output);
        call.input = &call.input[taken..];
        self.taken += taken as u64;
        let hungry = written < output.len() && call.input.is_empty();
        let fed = |over| Fed { moved: taken + written > 0, hungry, over };
        let fed = match status {
            Ok(status) => Ok(fed(status == Status::StreamEnd)),
            // The room ended before that: first there must be more. What is wrong is told again with the next call.
            Err(_) if written == output.len() => Ok(fed(false)),
            Err(_) => Err(InvalidDeflate::Malformed),
        };
        (written, fed)
    }

    /// How many bytes were taken and written, and what the library says.
    fn decompress(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> (usize, usize, Result<Status, InflateError>) {
        let before = (self.raw.total_in(), self.raw.total_out());
        let status = self.raw.decompress(input, output, InflateFlush::NoFlush);
        // Both are at most the lengths given.
        let taken = usize::try_from(self.raw.total_in() - before.0).unwrap_or(input.len());
        let written = usize::try_from(self.raw.total_out() - before.1).unwrap_or(output.len());
        (taken, written, status)
    }

    fn remember(&mut self, call: &mut Call<'_>) {
        self.window.extend(&call.out[call.remembered..]);
        call.remembered = call.out.len();
    }
}

/// What the library allocates for one decompressor, whatever its parameters: its state with the tables of a block, and a
/// window (measured, zlib-rs 0.6.8).
const STATE: usize = 47_552;

/// One call of [`Inflater::inflate`].
struct Call<'c> {
    input: &'c [u8],
    last: bool,
    out: &'c mut Vec<u8>,
    /// Where `out` must end.
    limit: usize,
    /// How far that was at the beginning.
    room: usize,
    /// Up to where it is in the window.
    remembered: usize,
    /// Whether all output of the message's own bytes is out.
    drained: bool,
}

impl Call<'_> {
    fn make_room(&mut self) {
        let step = self.input.len().saturating_mul(4).clamp(*STEPS.start(), *STEPS.end());
        let len = self.out.len().saturating_add(step).min(self.limit);
        self.grow(len);
        self.out.resize(len, 0);
    }

    fn push(&mut self, byte: u8) {
        self.grow(self.out.len() + 1);
        self.out.push(byte);
    }

    /// By doubling, but not past what is allowed; and by an eighth where next to nothing is, or a caller with small rooms
    /// would have everything copied each time.
    fn grow(&mut self, len: usize) {
        let capacity = self.out.capacity();
        if len > capacity {
            let least = if self.room < capacity / 8 { capacity + capacity / 8 } else { len };
            let larger = least.max(len).max(capacity.saturating_mul(2).min(self.limit));
            self.out.reserve_exact(larger - self.out.len());
        }
    }
}

/// What came of giving the library what there is.
struct Fed {
    /// Whether anything was taken or written.
    moved: bool,
    /// Whether it has taken all and would have written more.
    hungry: bool,
    /// Whether a stream has ended.
    over: bool,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("window", &self.window)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
