//! The PROXY protocol, versions 1 and 2: how a proxy that works on bytes says whose connection it brings.
//!
//! A header comes before the first byte of everything else, TLS included. Whether one comes is for the listener to know and never to
//! be guessed (section 2 of the specification, "must not try to guess"), and only from one's own proxies: anybody can write
//! one.
//!
//! ```
//! use trunkline_net::proxy_protocol::{Endpoints, parse};
//!
//! let bytes = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n";
//! let (header, used) = parse(bytes).expect("well formed").expect("complete");
//! assert_eq!(&bytes[used..][..3], b"GET");
//! assert!(matches!(header.endpoints, Endpoints::Inet { source, .. } if source.port() == 56324));
//! ```

mod crc32c;
#[cfg(test)]
mod tests;
mod tlv;
mod v1;
mod v2;

pub use tlv::{Ssl, Tlvs, kind};
pub use v2::write;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The longest header of version 1, its line end included (section 2.1).
pub const MAX_V1: usize = 107;

/// The longest header of version 2 that is read. 2,048 bytes: all kinds of TLVs that are registered, each as long as it gets,
/// fit; the length field alone would allow 65,551.
pub const MAX_V2: usize = 2048;

/// How long a header may take to come. 3 s: a proxy sends it at once, and one retransmission of TCP fits.
pub const TIME: Duration = Duration::from_secs(3);

/// A header that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose connection it is.
    pub endpoints: Endpoints,
    /// What else the proxy says; version 1 says nothing.
    pub tlvs: Tlvs,
}

/// Whose connection a proxy brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoints {
    /// The proxy's own, as for a health check (`LOCAL`): the ends of the socket are the true ones.
    Local,
    /// The proxy does not know, or it is of a kind that has no meaning here (`UNKNOWN`, `AF_UNSPEC`, datagrams).
    Unknown,
    /// Of a client over TCP.
    Inet {
        /// The client.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
    /// Of a client of a unix socket. Paths without the zeros behind them, at most 108 bytes each.
    Unix {
        /// The client's, which most have not.
        source: Box<[u8]>,
        /// Where it connected to.
        destination: Box<[u8]>,
    },
}

/// Which rule a header breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The first bytes are those of neither version.
    #[error("no PROXY protocol header")]
    NoHeader,
    /// Longer than the limit.
    #[error("a header of {got} bytes or more, where {limit} are the limit")]
    TooLong {
        /// [`MAX_V1`] or [`MAX_V2`].
        limit: usize,
        /// What came, or was announced.
        got: usize,
    },
    /// A line of version 1 that does not have the fields of its protocol, one space apart.
    #[error("version 1: {0}")]
    Line(&'static str),
    /// A version that is not known, or a command.
    #[error("version and command are {0:#04x}; known are 0x20 and 0x21")]
    Command(u8),
    /// A family or transport that nobody has assigned.
    #[error("family and transport {0:#04x} are not assigned")]
    Family(u8),
    /// The addresses of this family do not fit into the length that is said.
    #[error("{got} bytes, where the addresses alone are {needed}")]
    Addresses {
        /// How long the addresses of the family are.
        needed: usize,
        /// The length that the header says.
        got: usize,
    },
    /// A TLV that is longer than what is left of the header.
    #[error("a TLV of type {kind:#04x} is longer than the rest of the header")]
    Tlv {
        /// Its type.
        kind: u8,
    },
    /// The checksum is not that of the header.
    #[error("the checksum (CRC32c) is wrong")]
    Checksum,
}

/// Why no header was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// What came is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It was not there in time.
    #[error("the PROXY protocol header did not arrive within {0:?}")]
    TimedOut(Duration),
    /// The stream ended first, as that of a port check does.
    #[error("the stream ended before the PROXY protocol header")]
    Ended,
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a header from its first bytes: the header, and how many bytes it took; `None` if more have to come. Pure.
///
/// # Errors
/// The rule that is broken, as early as the bytes show it.
pub fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    match input.first() {
        None => Ok(None),
        Some(b'P') => v1::parse(input),
        Some(_) => v2::parse(input),
    }
}

/// Reads the header that a stream has to begin with, and not a byte behind it.
///
/// # Errors
/// See [`HeaderError`]. The stream is of no further use then.
///
/// # Cancel safety
/// None: dropped, what was read of the header is lost.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S, within: Duration) -> Result<Header, HeaderError> {
    timeout(within, read_exactly(stream)).await.unwrap_or(Err(HeaderError::TimedOut(within)))
}

async fn read_exactly<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Header, HeaderError> {
    let mut bytes = Vec::with_capacity(MAX_V1);
    loop {
        // What is certain to belong to it, so that nothing behind it has to be put back.
        let missing = match bytes.first() {
            None => v1::SHORTEST.min(v2::FIXED),
            Some(b'P') => v1::missing(&bytes),
            Some(_) => v2::missing(&bytes),
        };
        let taken = (&mut *stream).take(missing as u64).read_buf(&mut bytes).await?;
        if taken == 0 {
            return Err(HeaderError::Ended);
        }
        if let Some((header, _)) = parse(&bytes)? {
            return Ok(header);
        }
    }
}
