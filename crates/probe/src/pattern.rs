//! Bulk that can be checked: bytes that follow from a seed and their position, so that either end knows what has to come.
//!
//! A checksum says that something is wrong; this says how much, and where it begins.

/// The byte at each position of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    seed: u64,
}

/// What arrived, compared with what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pattern: Pattern,
    received: u64,
    wrong: u64,
    first_wrong: Option<u64>,
}

impl Pattern {
    /// The pattern of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Writes the bytes from position `at` on into `out`.
    pub fn fill(self, at: u64, out: &mut [u8]) {
        let mut at = at;
        let mut rest = out;
        while !rest.is_empty() {
            let word = self.word(at / WORD).to_le_bytes();
            let skip = usize::try_from(at % WORD).unwrap_or(0);
            let count = (word.len() - skip).min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&word[skip..skip + count]);
            at = at.wrapping_add(WORD - at % WORD);
            rest = later;
        }
    }

    /// SplitMix64: every word is a mix of its own number, so that any of them can be had without those before it.
    fn word(self, index: u64) -> u64 {
        let mut word = self.seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// Bytes of one word.
const WORD: u64 = 8;

impl Check {
    /// Of what has to begin with the pattern's first byte.
    pub fn new(pattern: Pattern) -> Self {
        Self { pattern, received: 0, wrong: 0, first_wrong: None }
    }

    /// Compares what came next.
    pub fn take(&mut self, bytes: &[u8]) {
        let mut expected = [0; 4096];
        for piece in bytes.chunks(expected.len()) {
            let expected = &mut expected[..piece.len()];
            self.pattern.fill(self.received, expected);
            if expected != piece {
                self.count(piece, expected);
            }
            self.received = self.received.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
    }

    /// Bytes that came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that are not what was sent.
    pub fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Position of the first of them.
    pub fn first_wrong(&self) -> Option<u64> {
        self.first_wrong
    }

    fn count(&mut self, piece: &[u8], expected: &[u8]) {
        for (at, _) in
            (self.received..).zip(piece.iter().zip(expected)).filter(|(_, (got, sent))| got != sent)
        {
            self.wrong += 1;
            self.first_wrong.get_or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_same_however_it_is_cut() {
        let pattern = Pattern::new(7);
        let mut whole = [0; 100];
        pattern.fill(0, &mut whole);
        for at in 0..100_u8 {
            for end in at..=100 {
                let mut part = vec![0; usize::from(end - at)];
                pattern.fill(u64::from(at), &mut part);
                assert_eq!(part, whole[usize::from(at)..usize::from(end)], "{at}..{end}");
            }
        }
        let mut other = [0; 100];
        Pattern::new(8).fill(0, &mut other);
        assert_ne!(whole, other, "another seed");
    }

    #[test]
    fn a_check_counts_what_is_wrong_and_says_where_it_begins() {
        let pattern = Pattern::new(1);
        let mut bytes = vec![0; 10_000];
        pattern.fill(0, &mut bytes);
        let mut check = Check::new(pattern);
        check.take(&bytes[..5000]);
        assert_eq!((check.received(), check.wrong(), check.first_wrong()), (5000, 0, None));
        bytes[7000] ^= 1;
        bytes[9999] ^= 0x80;
        check.take(&bytes[5000..]);
        assert_eq!((check.received(), check.wrong(), check.first_wrong()), (10_000, 2, Some(7000)));
    }

    #[test]
    fn a_lost_byte_is_found_where_it_was_lost() {
        let pattern = Pattern::new(2);
        let mut bytes = vec![0; 64];
        pattern.fill(0, &mut bytes);
        bytes.remove(20);
        let mut check = Check::new(pattern);
        check.take(&bytes);
        assert!(check.first_wrong().is_some_and(|at| (20..24).contains(&at)), "{check:?}");
    }
}
