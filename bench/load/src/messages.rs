//! What is in the messages.

use crate::args::Kind;
use crate::wire::{BINARY, TEXT};

/// Two, three and four bytes, spaces between the words as in real text.
const UTF8: &str = "Ευχαριστώ πολύ, спасибо большое, どうもありがとう, 정말 고마워요, žluťoučký kůň, 很高兴认识你, תודה רבה, 🎉🚀🐎 ";

const ASCII: &str =
    "The quick brown fox jumps over the lazy dog, and the dog, who has seen it all before, sleeps on. ";

const WORDS: &str = "the of and to in is you that it he was for on are as with his they at be this have from or one had by \
    word but not what all were we when your can said there use an each which she do how their if will up other about out \
    many then them these so some her would make like him into time has look two more write go see number no way could \
    people my than first water been call who oil its now find long down day did get come made may part tomorrow meeting \
    deploy server message channel broken again thanks sorry lunch review merge branch latency customer ticket release";

/// The opcode that goes with it.
pub(crate) fn opcode(kind: Kind) -> u8 {
    if kind == Kind::Binary { BINARY } else { TEXT }
}

/// Message `number`: `size` bytes, different from all others if there is room: four bytes, or about sixty of JSON.
pub(crate) fn message(kind: Kind, size: usize, number: usize) -> Vec<u8> {
    let mut random = Random::new(number as u64);
    match kind {
        Kind::Binary => {
            let mut bytes = (number as u32).to_be_bytes().to_vec();
            while bytes.len() < size {
                bytes.extend(random.next().to_ne_bytes());
            }
            bytes.truncate(size);
            bytes
        }
        Kind::Ascii => repeated(ASCII, size, number),
        Kind::Utf8 => repeated(UTF8, size, number),
        Kind::Json => json(size, &mut random),
    }
}

/// The number, and then `text` from a place that depends on it; cut at a character and filled up in ASCII.
fn repeated(text: &str, size: usize, number: usize) -> Vec<u8> {
    let mut out = format!("{number:04} ");
    let characters = text.chars().count();
    for character in text.chars().cycle().skip(number * 7 % characters) {
        if out.len() + character.len_utf8() > size {
            break;
        }
        out.push(character);
    }
    out.truncate(size);
    let mut bytes = out.into_bytes();
    bytes.resize(size, b'.');
    bytes
}

/// Publications as a hub has them: the names repeat and the rest does not.
fn json(size: usize, random: &mut Random) -> Vec<u8> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = String::new();
    while text.len() < size {
        let (user, at) = (random.below(5000), 1_790_000_000_000 + random.below(1 << 33));
        text += &format!(
            r#"{{"channel":"room:{}","pub":{{"offset":{},"user":"u{user}","at":{at},"data":{{"id":"{:016x}","text":""#,
            random.below(40),
            random.below(1 << 20),
            random.next()
        );
        for _ in 0..4 + random.below(16) {
            // Common words are common.
            let word = random.below(words.len() as u64).min(random.below(words.len() as u64));
            text += words[word as usize];
            text.push(' ');
        }
        text += r#""}}},"#;
    }
    text.truncate(size);
    text.into_bytes()
}

/// SplitMix64: the same numbers in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed * 2 + 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_size_and_text_is_utf8() {
        for kind in [Kind::Binary, Kind::Ascii, Kind::Utf8, Kind::Json] {
            for size in [1, 16, 125, 126, 1024, 70_000] {
                let (one, other) = (message(kind, size, 1), message(kind, size, 2));
                assert_eq!(one.len(), size);
                assert!(size < 125 || one != other);
                assert!(kind == Kind::Binary || std::str::from_utf8(&one).is_ok());
            }
        }
    }

    #[test]
    fn most_bytes_of_text_that_is_not_ascii_are_not_ascii() {
        let message = message(Kind::Utf8, 1024, 3);
        let beyond = message.iter().filter(|byte| !byte.is_ascii()).count();
        assert!(beyond * 10 > message.len() * 8, "{beyond}");
    }
}
