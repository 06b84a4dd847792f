//! The opening handshake (RFC 6455 §4): pure functions over [`http`] types, both roles.
//!
//! Whoever reads the head, ends in the same [`accept`]: our own [`http1::HeadReader`], or an HTTP framework. Over HTTP/2
//! it is [`accept_http2`], with the same rules for all that both versions have (RFC 8441 §5). Nothing here reads a clock or
//! draws a random number; the client's key comes in as an argument.
//!
//! A whole handshake, the bytes carried by hand:
//!
//! ```
//! use trunkline_websocket::handshake::{self, AcceptPolicy, ConnectOptions, http1};
//! use trunkline_websocket::Limits;
//! use trunkline_websocket::url::WsUrl;
//!
//! let limits = Limits::default();
//!
//! // The client asks. The key is 16 fresh random bytes.
//! let url = WsUrl::parse("ws://example.com/chat")?;
//! let options = ConnectOptions { subprotocols: vec!["chat.1".into()], ..ConnectOptions::default() };
//! let attempt = handshake::request(&url, &options, [7; 16])?;
//! let asked = http1::write_request(attempt.request());
//!
//! // The server answers ...
//! let mut head = http1::HeadReader::new(&limits);
//! assert_eq!(head.receive(&asked)?, Some(asked.len()));
//! let policy = AcceptPolicy { subprotocols: vec!["chat.1".into()], ..AcceptPolicy::default() };
//! let accepted = handshake::accept(&head.request()?, &policy)?;
//! assert_eq!(accepted.subprotocol(), Some("chat.1"));
//! let answered = http1::write_response(accepted.response(), b"");
//!
//! // ... and the client checks the answer. What follows the head are frames.
//! let mut head = http1::ResponseReader::new(&limits);
//! assert_eq!(head.receive(&answered)?, Some(answered.len()));
//! let established = attempt.verify(&head.response()?)?;
//! assert_eq!(established.subprotocol(), Some("chat.1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod connect;
mod field;
pub mod http1;
mod http2;
mod misuse;
pub mod negotiate;
mod origin;
mod rejected;
mod upgrade;

pub use accept::{AcceptPolicy, Accepted, accept, check_request};
pub use connect::{Attempt, ConnectOptions, Established, request};
pub use http2::{HTTP2_PROTOCOL, Http2Attempt, accept_http2, request_http2};
pub use misuse::Misuse;
pub use negotiate::{Extension, Extensions};
pub use origin::OriginPolicy;
pub use rejected::{Rejected, Rule};
pub use upgrade::{UpgradeAttempt, accept_upgrade, accept_upgrade_http2, request_upgrade};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, ORIGIN, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
pub use http::header::{
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
};
use sha1::{Digest, Sha1};

/// "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" (§1.3): no server that does not know WebSocket would use it by chance.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (§4.2.2), both in base64.
pub fn accept_value(key: &str) -> String {
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize();
    STANDARD.encode(digest)
}

/// Whether the handshake itself sets this header, or its meaning would change what the handshake says.
fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [HeaderName; 16] = [
        HOST,
        UPGRADE,
        CONNECTION,
        ORIGIN,
        SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_VERSION,
        SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_EXTENSIONS,
        CONTENT_LENGTH,
        TRANSFER_ENCODING,
        TE,
        TRAILER,
        EXPECT,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    RESERVED.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_that_of_the_example_in_the_rfc() {
        assert_eq!(accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
