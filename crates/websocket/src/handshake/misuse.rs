//! [`Misuse`]: what this end asked of the handshake that no handshake can say.

use http::header::HeaderName;

/// What this end did wrong. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// A subprotocol that is not a token (RFC 6455 §4.1).
    #[error("subprotocol {0:?} is not a token: letters, digits and !#$%&'*+-.^_`|~ (RFC 6455 §4.1)")]
    Subprotocol(String),
    /// A subprotocol that is listed twice (RFC 6455 §4.1).
    #[error("subprotocol {0:?} is listed twice (RFC 6455 §4.1)")]
    SubprotocolTwice(String),
    /// Subprotocols are required and none is listed.
    #[error("a subprotocol is required, but none is listed")]
    NoSubprotocol,
    /// A header that the handshake itself sets (RFC 6455 §4.1, §4.2.2).
    #[error("header {0} is the handshake's own and cannot be set (RFC 6455 §4)")]
    ReservedHeader(HeaderName),
    /// More headers than an `http::HeaderMap` holds.
    #[error("too many headers, the limit is that of http::HeaderMap")]
    TooManyHeaders,
    /// An origin that is not a serialized origin (RFC 6454 §6.2).
    #[error(
        "{0:?} is not an origin such as https://example.com: scheme, host, port if not the default, and nothing more (RFC 6454 §6.2)"
    )]
    Origin(String),
    /// An extension whose name or offer is not made of tokens (RFC 6455 §9.1).
    #[error("extension {0:?} cannot be written as tokens (RFC 6455 §9.1)")]
    Extension(String),
    /// The URL's user name holds a colon, or it or the password a control character (RFC 7617 §2). Neither is shown.
    #[error("the URL's user name and password cannot be sent as Basic authorization (RFC 7617 §2)")]
    Userinfo,
}
