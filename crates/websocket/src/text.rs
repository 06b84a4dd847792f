//! Bytes that are known to be UTF-8, as text, without a second look.
//!
//! `unsafe`, because the standard library has no other way: judging 256 KiB of text a second time takes longer than
//! receiving it. Both functions have a safe twin that judges again, which the tests compare with and which replaces them in
//! debug builds.
#![allow(unsafe_code)]

use crate::utf8::Validator;

/// Text of bytes among which the caller has seen none that is not ASCII.
#[inline]
pub(crate) fn of_ascii(bytes: &[u8]) -> &str {
    debug_assert!(bytes.is_ascii());
    // SAFETY: ASCII is UTF-8, and the only caller has looked at the highest bit of every byte (`mask::apply_and_look`).
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

/// Text of bytes that went through this validator, all of them and in order; `None` where it is not whole.
pub(crate) fn of_judged(bytes: Vec<u8>, judge: &Validator) -> Option<String> {
    if !judge.is_complete() {
        return None;
    }
    debug_assert!(std::str::from_utf8(&bytes).is_ok());
    // SAFETY: a validator refuses the first byte that cannot be part of UTF-8, it has not refused, and no code point is
    // open: so the concatenation of what it was given is UTF-8, and that is what the caller kept.
    Some(unsafe { String::from_utf8_unchecked(bytes) })
}
