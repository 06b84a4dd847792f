//! Every bound of an HTTP/2 connection, each with its reason.

use std::time::Duration;

use h2::{client, server};

use super::inbound::FRAMES_IN_A_TURN;

/// The largest window that HTTP/2 knows (RFC 9113 section 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The window that every connection begins with, and that no setting makes smaller (section 6.9.2).
const FIRST_CONNECTION_WINDOW: u32 = 65_535;

/// Every bound of an HTTP/2 connection, in one place. Those of the WebSockets in it are in [`Limits`](crate::Limits).
///
/// The defaults are safe for a server that faces the open internet. To change one, use the update syntax:
///
/// ```
/// use trunkline_net::http2::Http2Limits;
/// let limits = Http2Limits { streams: 1000, stream_window: 64 << 10, ..Http2Limits::default() };
/// assert_eq!(limits.connection_window(), 64_000 << 10);
/// ```
///
/// Three more are not ours to set, since the HTTP/2 implementation below has them fixed: a block of headers in more
/// CONTINUATION frames than [`header_list`](Self::header_list) can need ends the connection, and so do more than 100 empty
/// DATA frames in its lifetime that end no stream. PING and SETTINGS are answered one at a time, before more is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Streams that a remote may have open at once (128). One more is refused with REFUSED_STREAM, and the
    /// remote may try again. On a client: sockets in one connection, if the server does not allow fewer.
    ///
    /// "It is recommended that this value be no smaller than 100" (RFC 9113 section 6.5.2), and a WebSocket occupies one
    /// for as long as it lives.
    pub streams: u32,
    /// Bytes that a remote may send on one stream before the application has read them (256 KiB): enough for 40 Mbit/s
    /// on a path with a round trip of 50 ms. Unread bytes cost memory, so this times [`streams`](Self::streams) is what
    /// a remote can make us hold.
    pub stream_window: u32,
    /// Bytes of one stream that wait in memory for the socket (64 KiB). More would only hide a slow remote from the
    /// application, and put what is urgent behind what is not.
    pub send_buffer: u32,
    /// Bytes of the headers of one request or response, counted as in RFC 9113 section 6.5.2, which adds 32 for each
    /// (16 KiB). A request with more is answered 431, one with more than four times as much ends the connection. As
    /// [`Limits::head_bytes`](crate::Limits).
    pub header_list: u32,
    /// Streams that the remote has reset before they were looked at (20); one more ends the connection. Only a remote that
    /// opens streams in order to reset them comes that far (CVE-2023-44487).
    pub pending_resets: usize,
    /// Streams of one connection, over its lifetime, that had to be reset because the remote broke a rule or had too many
    /// open (1,024); one more ends the connection. Its streams would cost work and be gone before they are counted as open
    /// (CVE-2025-8671). A remote that keeps the rules may break a few in races.
    pub error_resets: usize,
    /// How often a PING asks whether the remote is there (30 s); `None` never asks. A WebSocket has Pings of its own; a
    /// connection may hold none.
    pub ping_interval: Option<Duration>,
    /// How long a PING may go unanswered before the connection counts as dead (20 s). It begins anew with every byte that
    /// arrives, and with every one that the remote makes room for: the answer may be behind them on a slow path.
    pub ping_timeout: Duration,
    /// How long a server keeps a connection without any stream (60 s, and up to twice that); `None` keeps it for ever.
    /// Browsers open WebSockets in connections that they have already, so not too short.
    pub idle_timeout: Option<Duration>,
    /// From the first byte to the remote's preface, on a client to the server's settings; and then again for the handshake
    /// of each WebSocket on a client (10 s). `None` waits for ever.
    pub handshake_timeout: Option<Duration>,
    /// How long the body of a response may wait for a remote that takes nothing of it (30 s), after which its stream is
    /// reset. `None` waits for ever. A window of zero costs the remote nothing, and us a response.
    pub write_timeout: Option<Duration>,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 128,
            stream_window: 256 << 10,
            send_buffer: 64 << 10,
            header_list: 16 << 10,
            pending_resets: 20,
            error_resets: 1024,
            ping_interval: Some(Duration::from_secs(30)),
            ping_timeout: Duration::from_secs(20),
            idle_timeout: Some(Duration::from_secs(60)),
            handshake_timeout: Some(Duration::from_secs(10)),
            write_timeout: Some(Duration::from_secs(30)),
        }
    }
}

impl Http2Limits {
    /// The connection's window: the sum of all streams' windows, so that streams which are not read leave the others
    /// theirs. HTTP/2 knows no window smaller than 65,535 bytes here and none of 2 GiB or more.
    pub const fn connection_window(&self) -> u32 {
        match self.streams.saturating_mul(self.window()) {
            sum if sum < FIRST_CONNECTION_WINDOW => FIRST_CONNECTION_WINDOW,
            sum if sum > MAX_WINDOW => MAX_WINDOW,
            sum => sum,
        }
    }

    const fn window(&self) -> u32 {
        if self.stream_window > MAX_WINDOW { MAX_WINDOW } else { self.stream_window }
    }

    /// The implementation refuses what reaches its limit, ours is the most that passes.
    const fn header_list_end(&self) -> u32 {
        self.header_list.saturating_add(1)
    }

    pub(super) fn server(&self) -> server::Builder {
        let mut builder = server::Builder::new();
        builder
            .enable_connect_protocol()
            .max_concurrent_streams(self.streams)
            .initial_window_size(self.window())
            .initial_connection_window_size(self.connection_window())
            .max_send_buffer_size(self.send_buffer as usize)
            .max_header_list_size(self.header_list_end())
            .max_pending_accept_reset_streams(self.pending_resets)
            .max_local_error_reset_streams(Some(self.error_resets))
            .data_frame_budget(FRAMES_IN_A_TURN);
        builder
    }

    pub(super) fn client(&self) -> client::Builder {
        let mut builder = client::Builder::new();
        builder
            .enable_push(false)
            // What a server could open would be pushed responses.
            .max_concurrent_streams(0)
            .initial_window_size(self.window())
            .initial_connection_window_size(self.connection_window())
            .max_send_buffer_size(self.send_buffer as usize)
            .max_header_list_size(self.header_list_end())
            .max_local_error_reset_streams(Some(self.error_resets))
            .data_frame_budget(FRAMES_IN_A_TURN);
        builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_window_is_the_sum_of_the_streams_within_what_http2_knows() {
        let window = |streams, stream_window| {
            Http2Limits { streams, stream_window, ..Http2Limits::default() }.connection_window()
        };
        assert_eq!(window(128, 256 << 10), 32 << 20);
        assert_eq!(window(1, 65_534), 65_535);
        assert_eq!(window(1, 65_536), 65_536);
        assert_eq!(window(2, (1 << 30) - 1), (1 << 31) - 2);
        assert_eq!(window(2, 1 << 30), (1 << 31) - 1);
        assert_eq!(window(u32::MAX, u32::MAX), (1 << 31) - 1);
    }
}
