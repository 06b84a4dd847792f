//! The loop of [`super::xor`], compiled for processors with wider vectors, and the choice between them at run time.
//!
//! `unsafe`, because calling code that is compiled for AVX2 on a processor without it is undefined. The safe twin is the
//! loop itself, which is what runs everywhere else and what the tests compare with.
#![allow(unsafe_code)]

use super::xor;

/// Below this the choice costs more than it gains.
const WIDE_FROM: usize = 64;

#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn apply(data: &mut [u8], key: u64) -> u64 {
    if data.len() < WIDE_FROM {
        return xor(data, key);
    }
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F, which is all that the function demands.
        return unsafe { avx512(data, key) };
    }
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function demands.
        return unsafe { avx2(data, key) };
    }
    xor(data, key)
}

/// Elsewhere the widest vectors there are (NEON on ARM) are part of what everything is compiled for.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn apply(data: &mut [u8], key: u64) -> u64 {
    if data.len() < WIDE_FROM { xor(data, key) } else { long(data, key) }
}

#[cfg(not(target_arch = "x86_64"))]
fn long(data: &mut [u8], key: u64) -> u64 {
    xor(data, key)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(data: &mut [u8], key: u64) -> u64 {
    xor(data, key)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(data: &mut [u8], key: u64) -> u64 {
    xor(data, key)
}

/// One way of doing it.
#[cfg(test)]
pub(super) type Way = fn(&mut [u8], u64) -> u64;

/// Every way that this processor can go, by name.
#[cfg(test)]
pub(super) fn ways() -> Vec<(&'static str, Way)> {
    let mut ways: Vec<(&str, Way)> = vec![("chosen", apply)];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            ways.push(("avx2", |data, key| unsafe { avx2(data, key) }));
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512F.
            ways.push(("avx512", |data, key| unsafe { avx512(data, key) }));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    ways.push(("long", long));
    ways
}
