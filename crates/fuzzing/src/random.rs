//! A pseudo-random generator for changes to seeds: the same everywhere, from its seed alone. Never for a mask.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("smaller than a usize")
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `seed` with a few things wrong: bits flipped, bytes set to extremes, stretches removed, doubled or spliced in
    /// from `other`.
    pub fn change(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        const EXTREMES: &[u8] =
            &[0x00, 0x7d, 0x7e, 0x7f, 0x80, 0xff, b'\r', b'\n', b' ', b':', b'"', b'{', b'['];
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = at + self.below((bytes.len() - at).min(32) + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = EXTREMES[self.below(EXTREMES.len())],
                2 => bytes.insert(at, EXTREMES[self.below(EXTREMES.len())]),
                3 => drop(bytes.drain(at..end)),
                4 => drop(bytes.splice(at..at, bytes[at..end].to_vec()).count()),
                _ => drop(bytes.splice(at..end, stretch(self, other)).count()),
            }
        }
        bytes
    }
}

fn stretch(random: &mut Random, of: &[u8]) -> Vec<u8> {
    let start = random.below(of.len() + 1);
    let len = random.below((of.len() - start).min(64) + 1);
    of[start..start + len].to_vec()
}
