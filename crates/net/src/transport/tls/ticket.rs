//! Session tickets: what a client comes back with to be spared the full handshake. The server keeps nothing of it.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rustls::server::ProducesTickets;
use rustls::ticketer::TicketRotator;

use super::error::TlsError;

/// How long one key seals tickets; it opens them for as long again.
const KEY_SECONDS: u32 = 6 * 60 * 60;

const NONCE: usize = 24;

/// Tickets sealed by keys that only this process knows, and forgets within twelve hours.
///
/// rustls has such ones for each of its providers; these work whichever one the program has installed.
pub(super) fn tickets() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    let rotator = TicketRotator::new(KEY_SECONDS, || Ok(Box::new(Sealer::new()))).map_err(TlsError::setup)?;
    Ok(Arc::new(rotator))
}

struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl Sealer {
    fn new() -> Self {
        Self { cipher: XChaCha20Poly1305::new(&rand::random::<[u8; 32]>().into()) }
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl ProducesTickets for Sealer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        KEY_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        // 192 bits are enough for random nonces, however many tickets one key seals.
        let nonce: [u8; NONCE] = rand::random();
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), plain).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_first_chunk::<NONCE>()?;
        self.cipher.decrypt(&XNonce::from(*nonce), sealed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_opened_by_who_sealed_it_and_no_bit_may_change() {
        let (ours, others) = (Sealer::new(), Sealer::new());
        let ticket = ours.encrypt(b"session").expect("sealed");
        assert_eq!(ours.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(others.decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[at] ^= 1;
            assert_eq!(ours.decrypt(&forged), None, "byte {at}");
            assert_eq!(ours.decrypt(&ticket[..at]), None, "cut to {at} bytes");
        }
        assert_ne!(ours.encrypt(b"session"), ours.encrypt(b"session"));
    }
}
