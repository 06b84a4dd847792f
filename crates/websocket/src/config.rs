//! What a connection is told once: its role and its limits, every default with its reason.

use std::time::Duration;

/// Which end of the connection this is (RFC 6455 section 1.2).
///
/// The role decides who masks (section 5.3), who closes TCP first (section 7.1.1) and nothing else.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// The end that answered the opening handshake: refuses unmasked frames, sends unmasked ones.
    Server,
    /// The end that began the opening handshake: refuses masked frames, masks every frame it sends.
    Client(MaskSource),
}

impl Role {
    /// Whether this is [`Role::Server`].
    pub const fn is_server(&self) -> bool {
        matches!(self, Self::Server)
    }
}

/// Where a client's masks come from: called once for every frame.
///
/// RFC 6455 section 5.3 demands strong entropy and that no mask can be told from earlier ones, so this must draw
/// from a cryptographically secure generator. The generator is passed in because this crate owns no randomness.
pub type MaskSource = fn() -> [u8; 4];

/// Every bound of a connection, in one place.
///
/// The defaults are safe for a server that faces the open internet. To change one, use the update syntax:
///
/// ```
/// use trunkline_websocket::Limits;
/// let limits = Limits { message: 64 * 1024, ..Limits::default() };
/// assert_eq!(limits.fragments, 4096);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one message, all of its fragments together (1 MiB). A message of exactly this size is accepted; one
    /// more byte fails the connection with 1009, at the header that announces it and before the payload is read.
    ///
    /// Large enough for any document an interactive application sends at once, small enough that a thousand hostile
    /// connections cost one GiB and not sixty.
    ///
    /// A compressed message counts as it is once inflated, see [`inflated`](Self::inflated). One that is received
    /// piece by piece has [`streamed`](Self::streamed) in place of this.
    pub message: usize,
    /// Bytes of one compressed message once it is inflated; `None` (the default) is as [`message`](Self::message).
    /// Exactly this is accepted; the byte after it fails the connection with 1009 before it is kept.
    ///
    /// Give a number of its own where compressed messages are worth more, or less, trust than others. On the wire
    /// such a message may have an eighth more, since what does not compress grows a little.
    pub inflated: Option<usize>,
    /// How many bytes one compressed byte may become (1,032: as many as DEFLATE can do, so that nothing honest is
    /// refused). More fails the connection with 1009.
    ///
    /// Judged whenever another 64 KiB have been inflated, and at the end of a message of at least that: below, a
    /// ratio says nothing. Text and JSON reach 5 to 20; a decompression bomb comes close to the default.
    pub inflate_ratio: u32,
    /// Bytes in one message that is received piece by piece (1 TiB), as the application gets them. Exactly this is
    /// accepted, one more fails the connection with 1009.
    ///
    /// Such a message costs no memory, so this bounds nothing but how long a remote may go on.
    pub streamed: u64,
    /// Frames of one message before its last (4,096), empty ones counted; more fail the connection with 1009.
    ///
    /// Browsers fragment large messages (Chromium at 131,000 bytes), streaming senders at 4 to 64 KiB; a peer that needs
    /// more frames than this sends its message in crumbs. Of a message that is received piece by piece only the empty
    /// ones count: nothing is kept of the others.
    pub fragments: u32,
    /// Bytes that may wait to be written before sending is refused (256 KiB). One message may overshoot it, so that a
    /// message larger than the mark can be sent at all.
    ///
    /// A few round trips' worth on a fast path; more would only hide a slow reader from the application.
    pub outgoing: usize,
    /// Bytes of an HTTP/1.1 head, request or response (16 KiB). Browsers send about 600, cookies can add 8 KiB.
    pub head_bytes: usize,
    /// Header fields of such a head (100). Browsers send about 15, a chain of proxies adds as many.
    pub head_headers: usize,
    /// From the first byte to the finished opening handshake (10 s): one deadline for the whole head, however
    /// slowly it trickles in. `None` waits for ever.
    pub handshake_timeout: Option<Duration>,
    /// From closing to the remote's Close frame (5 s), and again from there to the end of the stream. What was queued
    /// before has to leave in this time too: a remote that reads a byte now and then must not hold the close for
    /// hours. `None` waits for ever.
    pub close_timeout: Option<Duration>,
    /// How long nothing may arrive before we ask with a Ping (30 s); `None` never asks. Below the 60 s idle limit
    /// that nginx and most load balancers ship with, twice over.
    pub ping_interval: Option<Duration>,
    /// How long after our Ping still nothing may arrive before the remote counts as dead (10 s); `None` waits for
    /// ever. Any byte is a sign of life, not the Pong alone: it may be stuck behind a large message.
    pub pong_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 1 << 20,
            inflated: None,
            inflate_ratio: 1032,
            streamed: 1 << 40,
            fragments: 4096,
            outgoing: 256 << 10,
            head_bytes: 16 << 10,
            head_headers: 100,
            handshake_timeout: Some(Duration::from_secs(10)),
            close_timeout: Some(Duration::from_secs(5)),
            ping_interval: Some(Duration::from_secs(30)),
            pong_timeout: Some(Duration::from_secs(10)),
        }
    }
}

impl Limits {
    /// No limit on sizes, counts or times, no keepalive. For trusted remotes and tests only: one remote can then
    /// exhaust memory, and a dead one is never noticed.
    ///
    /// The outgoing mark stays as it is: it is backpressure, not a refusal.
    pub fn unlimited() -> Self {
        Self {
            message: usize::MAX,
            inflated: None,
            inflate_ratio: u32::MAX,
            streamed: u64::MAX,
            fragments: u32::MAX,
            head_bytes: usize::MAX,
            // httparse wants a table of this many entries, so "no limit" has to be a number.
            head_headers: 4096,
            handshake_timeout: None,
            close_timeout: None,
            ping_interval: None,
            pong_timeout: None,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let limits = Limits::default();
        assert_eq!((limits.message, limits.inflated, limits.inflate_ratio), (1_048_576, None, 1032));
        assert_eq!(limits.streamed, 1_099_511_627_776);
        assert_eq!(limits.fragments, 4096);
        assert_eq!(limits.outgoing, 262_144);
        assert_eq!((limits.head_bytes, limits.head_headers), (16_384, 100));
        assert_eq!(limits.handshake_timeout, Some(Duration::from_secs(10)));
        assert_eq!(limits.close_timeout, Some(Duration::from_secs(5)));
        assert_eq!(limits.ping_interval, Some(Duration::from_secs(30)));
        assert_eq!(limits.pong_timeout, Some(Duration::from_secs(10)));
    }
}
