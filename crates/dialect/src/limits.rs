//! How large the parts of a command may be.

/// Limits of decoding. All are in bytes of UTF-8, except the depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nesting of the whole command, `data` included. 64: deeper than any honest document, and shallow enough
    /// for the recursive parsers of other people behind us.
    pub depth: usize,
    /// The JSON text of `data` in a publish. 64 KiB: everything published is kept in history and sent to many.
    pub data: usize,
    /// A ticket, token or session token. 16 KiB: tokens with many claims exist, larger ones do not fit into
    /// the head of an HTTP request either.
    pub credential: usize,
    /// Name and version of the client software, each. 128: they are kept as long as the session.
    pub client: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, data: 64 * 1024, credential: 16 * 1024, client: 128 }
    }
}

/// How deep `data` and `info` may nest on their own: in the deepest command they sit two levels down.
pub const DATA_DEPTH: usize = 62;

/// How deep a client follows the hub. A publication sits two levels down in a publish, four in the reply to a
/// subscribe; the rest is room for bodies that a newer hub may send.
pub(crate) const SERVER_MESSAGE_DEPTH: usize = 72;

/// The longest message of an error, in bytes: it may repeat what a remote sent, so it must not be its size.
pub(crate) const ERROR_MESSAGE: usize = 512;

/// Integers on the wire are below 2^53, so that every JSON reader holds them exactly (RFC 8259 section 6).
pub(crate) const INTEGER: u64 = 1 << 53;
