//! What is sent: slices of one text, or of one piece of random bytes, so that no message has to be made.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use trunkline_net::{Message, Utf8Bytes};

/// From how many places a message can begin. Further than a window of DEFLATE reaches back (32 KiB), so that compression
/// with a memory of earlier messages does not find them again; less than the processor's cache. A power of two.
const PLACES: usize = 256 << 10;

/// The same bytes in every run, so that runs can be compared.
const SEED: u64 = 0x7472_756e_6b6c_696e;

/// Words of a chat. None has a character that JSON would escape.
const WORDS: &[&str] = &[
    "the", "deploy", "is", "green", "again", "who", "has", "a", "minute", "for", "review", "user", "joined",
    "left", "room", "typing", "seen", "thanks", "merged", "build", "failed", "at", "step", "latency", "went",
    "up", "after", "restart", "of", "node", "and", "then", "came", "back", "with", "all", "messages", "in",
    "order", "nothing", "lost", "id", "ok", "from", "to", "session", "channel", "offset", "price", "volume",
    "bid", "ask", "trade", "score",
];

/// Messages of one size.
pub(super) struct Payloads {
    size: usize,
    source: Source,
}

enum Source {
    Text(Utf8Bytes),
    Binary(Bytes),
}

impl Payloads {
    /// Text that compresses as a chat does: words and numbers, in ASCII.
    pub(super) fn text(size: usize) -> Self {
        let mut random = StdRng::seed_from_u64(SEED);
        let mut text = String::with_capacity(PLACES + size + 16);
        while text.len() < PLACES + size {
            let word = WORDS[random.random_range(0..WORDS.len())];
            text.push_str(word);
            if random.random_ratio(1, 4) {
                text.push_str(&format!("={}", random.random_range(0..1_000_000)));
            }
            text.push(' ');
        }
        text.truncate(PLACES + size);
        Self { size, source: Source::Text(text.into()) }
    }

    /// Bytes that do not compress.
    pub(super) fn binary(size: usize) -> Self {
        let mut bytes = vec![0; PLACES + size];
        StdRng::seed_from_u64(SEED).fill_bytes(&mut bytes);
        Self { size, source: Source::Binary(bytes.into()) }
    }

    /// Bytes of a message.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A message of a sender. Another number, or another sender, most probably makes it another one.
    pub(super) fn message(&self, sender: u64, number: u64) -> Message {
        let place = self.place(sender, number);
        match &self.source {
            Source::Text(text) => Message::Text(text.slice_ref(&text[place..place + self.size])),
            Source::Binary(bytes) => Message::Binary(bytes.slice(place..place + self.size)),
        }
    }

    /// The beginning of a message, where it is text.
    pub(super) fn beginning(&self, sender: u64, number: u64, length: usize) -> &str {
        let place = self.place(sender, number);
        match &self.source {
            Source::Text(text) => &text[place..place + length.min(self.size)],
            Source::Binary(_) => "",
        }
    }

    /// What is wrong with an echo of that message.
    pub(super) fn fault(&self, sender: u64, number: u64, echo: &Message) -> Option<&'static str> {
        let sent = self.message(sender, number);
        if sent == *echo {
            return None;
        }
        Some(if sent.kind() != echo.kind() {
            "text for binary, or binary for text"
        } else if sent.len() != echo.len() {
            "another length than what was sent"
        } else {
            "other bytes than what was sent"
        })
    }

    /// Where a message begins. One sender's follow each other, with an odd step, so that no place comes again before all have
    /// been; the first is anywhere.
    fn place(&self, sender: u64, number: u64) -> usize {
        let first = sender.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let step = (self.size | 1) as u64;
        first.wrapping_add(number.wrapping_mul(step)) as usize % PLACES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn messages_have_their_size_and_differ_from_each_other() {
        for payloads in [Payloads::text(16), Payloads::binary(16)] {
            let messages: BTreeSet<Vec<u8>> = (0..100)
                .flat_map(|number| [payloads.message(0, number), payloads.message(1, number)])
                .map(|message| message.as_bytes().to_vec())
                .collect();
            assert!(messages.len() > 195, "{}", messages.len());
            assert!(messages.iter().all(|message| message.len() == 16));
        }
        let payloads = Payloads::text(1000);
        let places: BTreeSet<usize> = (0..PLACES as u64).map(|number| payloads.place(7, number)).collect();
        assert_eq!(places.len(), PLACES);
        assert!(Payloads::text(0).message(0, 0).is_empty());
        assert_eq!(Payloads::binary(1 << 20).message(9, 9).len(), 1 << 20);
    }

    #[test]
    fn text_needs_no_escapes_in_json() {
        let payloads = Payloads::text(1000);
        let text = payloads.beginning(3, 4, 900);
        assert_eq!(text.len(), 900);
        assert_eq!(serde_json::to_string(text).expect("JSON").len(), 902);
        assert_eq!(payloads.message(3, 4).as_text().map(|whole| &whole[..900]), Some(text));
    }

    #[test]
    fn whatever_is_no_echo_is_told_apart() {
        let payloads = Payloads::text(16);
        let right = payloads.message(1, 2);
        let short = Message::from("short");
        let binary = Message::Binary(right.clone().into_bytes());
        assert_eq!(payloads.fault(1, 2, &right), None);
        for (wrong, word) in [(payloads.message(1, 3), "bytes"), (short, "length"), (binary, "binary")] {
            assert!(payloads.fault(1, 2, &wrong).is_some_and(|fault| fault.contains(word)), "{wrong:?}");
        }
    }
}
