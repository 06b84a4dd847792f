//! Masking (RFC 6455 section 5.3): one XOR, its own inverse.
//!
//! The loop is written once, a machine word at a time, and the compiler turns it into vector instructions. Compiled for the
//! oldest processor it uses 16-byte ones; `wide` has it compiled for newer ones too, and chooses at run time.

mod wide;

/// XORs `data` with the masking key, as if `data` began `offset` bytes into the frame's payload.
///
/// ```
/// # use trunkline_websocket::mask;
/// let mut data = *b"Hello";
/// mask::apply(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
/// assert_eq!(data, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
/// ```
#[inline]
pub fn apply(data: &mut [u8], key: [u8; 4], offset: usize) {
    // j = i MOD 4 (section 5.3): a key turned by the offset lets every chunk begin at its first byte.
    wide::apply(data, doubled(turned(key, offset)));
}

/// As [`apply`] from the payload's beginning, and says whether all of the result is ASCII: looking costs next to nothing
/// while the bytes are in a register anyway.
#[inline]
pub(crate) fn apply_and_look(data: &mut [u8], key: [u8; 4]) -> bool {
    wide::apply(data, doubled(key)) & HIGH_BITS == 0
}

/// The bit that no ASCII byte has, in each byte of a word.
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The loop itself. Gives all words of the result together by OR.
#[inline(always)]
fn xor(data: &mut [u8], key: u64) -> u64 {
    let mut seen = 0;
    let (words, rest) = data.as_chunks_mut::<8>();
    for chunk in words {
        let word = u64::from_ne_bytes(*chunk) ^ key;
        seen |= word;
        *chunk = word.to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    seen
}

fn doubled([a, b, c, d]: [u8; 4]) -> u64 {
    u64::from_ne_bytes([a, b, c, d, a, b, c, d])
}

fn turned(mut key: [u8; 4], offset: usize) -> [u8; 4] {
    key.rotate_left(offset % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_by_one(data: &mut [u8], key: [u8; 4], offset: usize) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte ^= key[(i + offset) % 4];
        }
    }

    #[test]
    fn agrees_with_the_definition_for_every_length_and_offset() {
        let key = [0xa5, 0x01, 0xff, 0x7c];
        for len in 0..70 {
            for offset in 0..9 {
                let mut fast: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
                let mut slow = fast.clone();
                apply(&mut fast, key, offset);
                one_by_one(&mut slow, key, offset);
                assert_eq!(fast, slow, "len {len} offset {offset}");
            }
        }
    }

    #[test]
    fn in_two_pieces_is_the_same_as_in_one() {
        let key = [1, 2, 3, 4];
        for cut in 0..=23 {
            let mut whole = [0x55u8; 23];
            let mut pieces = whole;
            apply(&mut whole, key, 0);
            let (a, b) = pieces.split_at_mut(cut);
            apply(a, key, 0);
            apply(b, key, cut);
            assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn looking_tells_ascii_from_what_is_not_for_every_length_and_every_place() {
        let key = [0xa5, 0x01, 0xff, 0x7c];
        for len in 0..300 {
            let mut masked = vec![b'a'; len];
            apply(&mut masked, key, 0);
            assert!(apply_and_look(&mut masked.clone(), key), "len {len}");
            for place in 0..len {
                let mut other = masked.clone();
                other[place] ^= 0x80;
                assert!(!apply_and_look(&mut other, key), "len {len} place {place}");
            }
        }
    }

    #[test]
    fn every_way_of_doing_it_agrees_with_the_plain_loop() {
        for len in (0..600).chain([4095, 4096, 65_537]) {
            let data: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
            for (name, way) in wide::ways() {
                let (mut fast, mut plain) = (data.clone(), data.clone());
                let key = doubled([0xa5, 0x01, 0xff, 0x7c]);
                assert_eq!(way(&mut fast, key), xor(&mut plain, key), "{name} len {len}");
                assert_eq!(fast, plain, "{name} len {len}");
            }
        }
    }
}
