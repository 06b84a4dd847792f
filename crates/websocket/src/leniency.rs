//! What a remote gets wrong and may be forgiven, each by its own name.

/// Rules that a remote may break without being refused. All off by default: what the RFC forbids is refused.
///
/// Turn one on for a remote that cannot be mended, and only for that remote: strictness is what keeps two programs, a
/// proxy and the server behind it for one, from reading the same bytes in two ways.
///
/// ```
/// use trunkline_websocket::Leniency;
/// let leniency = Leniency { long_lengths: true, ..Leniency::default() };
/// assert!(!leniency.masked_servers);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leniency {
    /// Payload lengths in more bytes than they need (RFC 6455 section 5.2: "the minimal number of bytes MUST be used").
    ///
    /// Writers that always take the 64-bit form exist, because several libraries accept it. The top bit of such a
    /// length must be 0 all the same, and a control frame's length has one form only.
    pub long_lengths: bool,
    /// Masked frames from a server (section 5.1: "a server MUST NOT mask any frames").
    ///
    /// Seen in small embedded servers, which share the code that writes frames between both roles. The other way round
    /// there is no leniency: a client's mask protects the proxies between.
    pub masked_servers: bool,
    /// Close frames with a code that must not cross the wire, such as 1005 or 1006 (section 7.4.1).
    ///
    /// Seen in servers that send the code which their own library reports. Such a frame then counts as one
    /// without a code: it ends the connection cleanly, [`Closed::code`](crate::Closed::code) is 1005, and the
    /// answer to it is empty.
    pub reserved_close_codes: bool,
    /// A handshake over HTTP/2 without `Sec-WebSocket-Version` (RFC 8441 section 5 keeps the header, and some clients
    /// leave it out). For servers.
    pub http2_without_version: bool,
}
