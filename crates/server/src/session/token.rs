//! The session token: what a client comes back with. Sealed, so that it says nothing to its holder and nobody
//! else can make one.
//!
//! ```text
//! base64url( version 1 | nonce, 24 | ChaCha20-Poly1305( claims ) | tag, 16 )
//!            '--- authenticated as associated data ---'
//! ```
//!
//! The claims are enough to refuse a token without asking the registry of another node: session, serial, when
//! issued, when the credential runs out, from where, whose.

use std::net::IpAddr;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use trunkline_dialect::{Secret, UserId};

use super::{LinkId, SessionId};
use crate::ticket::{AddressPolicy, Binding};

/// The layout of the claims; a token of another is not ours to read.
const VERSION: u8 = 1;
const NONCE: usize = 24;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The session, and which of its links got this token.
    pub link: LinkId,
    /// When it was issued, in milliseconds since the Unix epoch.
    pub issued: u64,
    /// When the credential behind the session runs out.
    pub expires: Option<u64>,
    /// From where it is good.
    pub binding: Binding,
    /// Whose session it is.
    pub user: Option<UserId>,
}

/// Seals and opens tokens with one key.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl Sealer {
    /// Tokens by this key; nodes that share it can open each other's.
    pub(crate) fn new(key: [u8; 32]) -> Sealer {
        Sealer { cipher: XChaCha20Poly1305::new(&key.into()) }
    }

    /// A token of these claims.
    pub(crate) fn seal(&self, claims: &Claims) -> Secret {
        // 192 bits are enough for random nonces, however many tokens one key seals.
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: &claims.write(), aad: &[VERSION] };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("a few hundred bytes are within what the cipher seals at once");
        Secret::new(BASE64_URL_SAFE_NO_PAD.encode([&[VERSION], &nonce[..], &sealed[..]].concat()))
    }

    /// The claims of a token, if this key sealed it and not a bit was changed.
    pub(crate) fn open(&self, token: &str) -> Option<Claims> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (&version, rest) = bytes.split_first()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        if version != VERSION {
            return None;
        }
        let claims =
            self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &[version] }).ok()?;
        Claims::read(&claims)
    }
}

impl Claims {
    fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend(self.link.session.0);
        out.extend(self.link.serial.to_be_bytes());
        out.extend(self.issued.to_be_bytes());
        // 0 is no time at which anything could run out.
        out.extend(self.expires.unwrap_or(0).to_be_bytes());
        out.push(match self.binding.policy {
            AddressPolicy::Off => 0,
            AddressPolicy::Exact => 1,
            AddressPolicy::Prefix => 2,
            AddressPolicy::Adopt => 3,
        });
        match self.binding.ip {
            None => out.push(0),
            Some(IpAddr::V4(ip)) => out.extend([&[4], &ip.octets()[..]].concat()),
            Some(IpAddr::V6(ip)) => out.extend([&[16], &ip.octets()[..]].concat()),
        }
        out.extend(self.user.as_ref().map_or("", UserId::as_str).as_bytes());
        out
    }

    fn read(mut bytes: &[u8]) -> Option<Claims> {
        fn chunk<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
            let (chunk, rest) = bytes.split_first_chunk::<N>()?;
            *bytes = rest;
            Some(*chunk)
        }
        let link =
            LinkId { session: SessionId(chunk(&mut bytes)?), serial: u64::from_be_bytes(chunk(&mut bytes)?) };
        let issued = u64::from_be_bytes(chunk(&mut bytes)?);
        let expires = Some(u64::from_be_bytes(chunk(&mut bytes)?)).filter(|&expires| expires > 0);
        let policy = match chunk(&mut bytes)? {
            [0] => AddressPolicy::Off,
            [1] => AddressPolicy::Exact,
            [2] => AddressPolicy::Prefix,
            [3] => AddressPolicy::Adopt,
            _ => return None,
        };
        let ip = match chunk(&mut bytes)? {
            [0] => None,
            [4] => Some(IpAddr::from(chunk::<4>(&mut bytes)?)),
            [16] => Some(IpAddr::from(chunk::<16>(&mut bytes)?)),
            _ => return None,
        };
        let user = match std::str::from_utf8(bytes).ok()? {
            "" => None,
            user => Some(UserId::new(user).ok()?),
        };
        Some(Claims { link, issued, expires, binding: Binding { policy, ip }, user })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            link: LinkId { session: SessionId([7; 16]), serial: 3 },
            issued: 1_700_000_000_000,
            expires: Some(1_700_000_600_000),
            binding: Binding { policy: AddressPolicy::Prefix, ip: Some(IpAddr::from([192, 0, 2, 1])) },
            user: Some(UserId::new("zoë").expect("a user id")),
        }
    }

    #[test]
    fn what_is_sealed_opens_to_the_same_claims() {
        let sealer = Sealer::new([1; 32]);
        let v6 = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
        let policies =
            [AddressPolicy::Off, AddressPolicy::Exact, AddressPolicy::Prefix, AddressPolicy::Adopt];
        for policy in policies {
            for ip in [None, Some(IpAddr::from([192, 0, 2, 1])), Some(v6)] {
                let claims = Claims { binding: Binding { policy, ip }, ..claims() };
                assert_eq!(sealer.open(sealer.seal(&claims).expose()), Some(claims));
            }
        }
        let nobody = Claims { user: None, expires: None, ..claims() };
        assert_eq!(sealer.open(sealer.seal(&nobody).expose()), Some(nobody));
    }

    #[test]
    fn no_single_changed_character_and_no_shorter_token_opens() {
        let sealer = Sealer::new([1; 32]);
        let token = sealer.seal(&claims()).expose().to_owned();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("still ASCII");
            assert_eq!(sealer.open(&changed), None, "changed at {at}");
            assert_eq!(sealer.open(&token[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn another_key_opens_nothing_and_two_tokens_of_the_same_claims_differ() {
        let sealer = Sealer::new([1; 32]);
        let token = sealer.seal(&claims());
        assert_eq!(Sealer::new([2; 32]).open(token.expose()), None);
        assert_ne!(sealer.seal(&claims()).expose(), token.expose());
    }
}
