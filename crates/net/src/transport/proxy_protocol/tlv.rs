//! What a proxy says beside the addresses: type, length, value (section 2.2.1 on).

use std::fmt;

use super::Malformed;

/// The types that are registered.
pub mod kind {
    /// What was agreed on in TLS's ALPN.
    pub const ALPN: u8 = 0x01;
    /// The host name that the client asked for (SNI), UTF-8.
    pub const AUTHORITY: u8 = 0x02;
    /// A checksum of the header.
    pub const CRC32C: u8 = 0x03;
    /// Nothing: padding.
    pub const NOOP: u8 = 0x04;
    /// A name of the connection, at most 128 opaque bytes.
    pub const UNIQUE_ID: u8 = 0x05;
    /// The client came by TLS, or not; with TLVs of its own inside.
    pub const SSL: u8 = 0x20;
    /// Inside [`SSL`]: the version, as text.
    pub const SSL_VERSION: u8 = 0x21;
    /// Inside [`SSL`]: the common name in the client's certificate.
    pub const SSL_CN: u8 = 0x22;
    /// Inside [`SSL`]: the cipher's name.
    pub const SSL_CIPHER: u8 = 0x23;
    /// The network namespace's name.
    pub const NETNS: u8 = 0x30;
}

/// The longest unique id that counts as one (section 2.2.5).
const UNIQUE_ID: usize = 128;

/// What a proxy says beside the addresses, in its order. Well formed, as far as types and lengths go.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tlvs(Box<[u8]>);

/// What a proxy says of its client's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ssl<'a> {
    /// Whether the client came by TLS at all.
    pub tls: bool,
    /// Whether it showed a certificate, in this connection or in the session that it resumed.
    pub certificate: bool,
    /// Whether that certificate, if one was shown, was found good.
    pub verified: bool,
    /// TLS's version, as `TLSv1.3`.
    pub version: Option<&'a str>,
    /// The common name of the client's certificate.
    pub common_name: Option<&'a str>,
}

impl Tlvs {
    pub(super) fn parse(bytes: &[u8]) -> Result<Tlvs, Malformed> {
        let mut rest = bytes;
        while let Some(kind) = rest.first() {
            let (_, behind) = next(rest).ok_or(Malformed::Tlv { kind: *kind })?;
            rest = behind;
        }
        Ok(Tlvs(bytes.into()))
    }

    /// Each, as type and value.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        each(&self.0)
    }

    /// The value of the first of a type.
    #[must_use]
    pub fn get(&self, kind: u8) -> Option<&[u8]> {
        self.iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The host name that the client asked for, where it is text.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.get(kind::AUTHORITY).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The proxy's name of the connection. One of more than 128 bytes is none.
    #[must_use]
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.get(kind::UNIQUE_ID).filter(|value| value.len() <= UNIQUE_ID)
    }

    /// What the proxy says of its client's TLS; `None` if nothing, or nothing that can be read.
    #[must_use]
    pub fn ssl(&self) -> Option<Ssl<'_>> {
        const SSL: u8 = 1;
        const CERTIFICATE: u8 = 2 | 4;
        let (fixed, inside) = self.get(kind::SSL)?.split_first_chunk::<5>()?;
        let [client, verify @ ..] = *fixed;
        let text = |kind| {
            let value = each(inside).find(|(found, _)| *found == kind)?.1;
            std::str::from_utf8(value).ok()
        };
        Some(Ssl {
            tls: client & SSL != 0,
            certificate: client & CERTIFICATE != 0,
            verified: verify == [0; 4],
            version: text(kind::SSL_VERSION),
            common_name: text(kind::SSL_CN),
        })
    }

    /// The first of a type: what is before its value, the value, and what is behind.
    pub(super) fn around(&self, kind: u8) -> Option<(&[u8], &[u8], &[u8])> {
        let mut rest: &[u8] = &self.0;
        while let Some(((found, value), behind)) = next(rest) {
            if found == kind {
                let place = self.0.len() - behind.len() - value.len();
                return Some((&self.0[..place], value, behind));
            }
            rest = behind;
        }
        None
    }
}

/// Those that are whole, from the first on.
fn each(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (tlv, behind) = next(rest)?;
        rest = behind;
        Some(tlv)
    })
}

/// Type and value.
type Tlv<'a> = (u8, &'a [u8]);

/// The first, and what is behind it.
fn next(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let ([kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let (value, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some(((*kind, value), behind))
}

impl fmt::Debug for Tlvs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(kind, value)| (kind, value.escape_ascii().to_string()));
        f.debug_map().entries(shown).finish()
    }
}
