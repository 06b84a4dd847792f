//! Masking (RFC 6455 section 5.3): one XOR, its own inverse.

/// XORs `data` with the masking key, as if `data` began `offset` bytes into the frame's payload.
///
/// Works a machine word at a time; the compiler turns the loop into vector instructions.
///
/// ```
/// # use trunkline_websocket::mask;
/// let mut data = *b"Hello";
/// mask::apply(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
/// assert_eq!(data, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
/// ```
pub fn apply(data: &mut [u8], key: [u8; 4], offset: usize) {
    // j = i MOD 4 (section 5.3): a key turned by the offset lets every chunk begin at its first byte.
    let key = turned(key, offset);
    let word = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
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
}
