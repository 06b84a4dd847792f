//! Messages as a chat has them: JSON, of which the names repeat and the rest does not.

const WORDS: &str = "the of and to in is you that it he was for on are as with his they at be this have from or one had by \
    word but not what all were we when your can said there use an each which she do how their if will up other about out \
    many then them these so some her would make like him into time has look two more write go see number no way could \
    people my than first water been call who oil its now find long down day did get come made may part tomorrow meeting \
    deploy server message channel broken again thanks sorry lunch review merge branch latency customer ticket release";

/// Enough different messages of `len` bytes that none is still remembered when it comes again, but from a large cache.
pub fn messages(len: usize) -> Vec<Vec<u8>> {
    let count = ((1 << 19) / len).clamp(8, 512) as u64;
    (0..count).map(|seed| message(len, seed)).collect()
}

/// A message of `len` bytes: one publication, or as many as it takes, as history is answered.
pub fn message(len: usize, seed: u64) -> Vec<u8> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut random = Random(seed * 2 + 1);
    let mut text = String::new();
    while text.len() < len {
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
    text.truncate(len);
    text.into_bytes()
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
