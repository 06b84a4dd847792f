//! The ways in which the same bytes can arrive.

use crate::random::Random;

/// Whole, byte by byte, and twice in pieces of pseudo-random sizes that depend on the bytes alone.
pub(crate) fn every_way(data: &[u8]) -> [Vec<&[u8]>; 4] {
    let seed = data.iter().fold(data.len() as u64, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte));
    [vec![data], data.chunks(1).collect(), pieces(data, seed, 8), pieces(data, !seed, 200)]
}

fn pieces(mut data: &[u8], seed: u64, at_most: usize) -> Vec<&[u8]> {
    let mut random = Random::new(seed);
    let mut pieces = Vec::new();
    while !data.is_empty() {
        let (piece, rest) = data.split_at((random.below(at_most) + 1).min(data.len()));
        pieces.push(piece);
        data = rest;
    }
    pieces
}
