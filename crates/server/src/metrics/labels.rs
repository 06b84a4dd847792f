//! The words by which metrics are told apart.

pub(super) type Label = [(&'static str, &'static str); 1];

/// Why a connection did not get as far as a handshake or an HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Full,
    TooManyFromAddress,
    TooFastFromAddress,
    HeadInvalid,
    HeadTooLarge,
    HeadTooSlow,
    /// A listener wants the PROXY protocol, and this address is no listed proxy.
    ProxyNotListed,
    ProxyInvalid,
    ProxyTooSlow,
    /// The fields by which proxies tell of clients are forged, or cannot be read.
    Forwarded,
    /// It did not come by TLS to the proxy that does it.
    Plaintext,
}

/// What came of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    NotServed,
    BadVersion,
    BadRequest,
    BadOrigin,
    NoSubprotocol,
    TooFast,
    NoRoom,
    Stopping,
    Unauthenticated,
    NoUpstream,
}

impl Reason {
    pub(super) const ALL: [Reason; 11] = [
        Reason::Full,
        Reason::TooManyFromAddress,
        Reason::TooFastFromAddress,
        Reason::HeadInvalid,
        Reason::HeadTooLarge,
        Reason::HeadTooSlow,
        Reason::ProxyNotListed,
        Reason::ProxyInvalid,
        Reason::ProxyTooSlow,
        Reason::Forwarded,
        Reason::Plaintext,
    ];

    pub(super) fn label(self) -> Label {
        let name = match self {
            Reason::Full => "full",
            Reason::TooManyFromAddress => "too_many_from_address",
            Reason::TooFastFromAddress => "too_fast_from_address",
            Reason::HeadInvalid => "head_invalid",
            Reason::HeadTooLarge => "head_too_large",
            Reason::HeadTooSlow => "head_too_slow",
            Reason::ProxyNotListed => "proxy_not_listed",
            Reason::ProxyInvalid => "proxy_invalid",
            Reason::ProxyTooSlow => "proxy_too_slow",
            Reason::Forwarded => "forwarded",
            Reason::Plaintext => "plaintext",
        };
        [("reason", name)]
    }
}

impl Outcome {
    pub(super) const ALL: [Outcome; 11] = [
        Outcome::Accepted,
        Outcome::NotServed,
        Outcome::BadVersion,
        Outcome::BadRequest,
        Outcome::BadOrigin,
        Outcome::NoSubprotocol,
        Outcome::TooFast,
        Outcome::NoRoom,
        Outcome::Stopping,
        Outcome::Unauthenticated,
        Outcome::NoUpstream,
    ];

    pub(super) fn label(self) -> Label {
        let name = match self {
            Outcome::Accepted => "accepted",
            Outcome::NotServed => "not_served",
            Outcome::BadVersion => "bad_version",
            Outcome::BadRequest => "bad_request",
            Outcome::BadOrigin => "bad_origin",
            Outcome::NoSubprotocol => "no_subprotocol",
            Outcome::TooFast => "too_fast",
            Outcome::NoRoom => "no_room",
            Outcome::Stopping => "stopping",
            Outcome::Unauthenticated => "unauthenticated",
            Outcome::NoUpstream => "no_upstream",
        };
        [("outcome", name)]
    }
}

/// What came of a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsOutcome {
    Ok,
    /// An ACME server asked whether the domain is ours, and was answered.
    Challenge,
    NotTls,
    TooSlow,
    Ended,
    /// The client does not like our certificate, or said something else against us.
    Refused,
    NothingInCommon,
    /// The client showed no certificate where one is required.
    NoCertificate,
    /// The client's certificate is not trusted.
    Untrusted,
    /// There is no certificate to show yet.
    NothingToShow,
    Broken,
}

impl TlsOutcome {
    pub(super) const ALL: [TlsOutcome; 11] = [
        TlsOutcome::Ok,
        TlsOutcome::Challenge,
        TlsOutcome::NotTls,
        TlsOutcome::TooSlow,
        TlsOutcome::Ended,
        TlsOutcome::Refused,
        TlsOutcome::NothingInCommon,
        TlsOutcome::NoCertificate,
        TlsOutcome::Untrusted,
        TlsOutcome::NothingToShow,
        TlsOutcome::Broken,
    ];

    pub(super) fn label(self) -> Label {
        let name = match self {
            TlsOutcome::Ok => "ok",
            TlsOutcome::Challenge => "challenge",
            TlsOutcome::NotTls => "not_tls",
            TlsOutcome::TooSlow => "too_slow",
            TlsOutcome::Ended => "ended",
            TlsOutcome::Refused => "refused",
            TlsOutcome::NothingInCommon => "nothing_in_common",
            TlsOutcome::NoCertificate => "no_certificate",
            TlsOutcome::Untrusted => "untrusted",
            TlsOutcome::NothingToShow => "nothing_to_show",
            TlsOutcome::Broken => "broken",
        };
        [("outcome", name)]
    }
}

/// By which HTTP version a WebSocket came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    Http1,
    Http2,
}

impl Via {
    pub(super) fn name(self) -> &'static str {
        match self {
            Via::Http1 => "1.1",
            Via::Http2 => "2",
        }
    }
}

/// What carries the bytes of a raw stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carriage {
    /// An upgrade to nothing but bytes, or its twin over HTTP/2.
    Upgrade,
    /// The binary messages of a WebSocket.
    WebSocket,
    /// A connection that has been nothing else from its first byte.
    Raw,
}

impl Carriage {
    pub(super) const ALL: [Carriage; 3] = [Carriage::Upgrade, Carriage::WebSocket, Carriage::Raw];

    pub(super) fn label(self) -> Label {
        let name = match self {
            Carriage::Upgrade => "upgrade",
            Carriage::WebSocket => "websocket",
            Carriage::Raw => "raw",
        };
        [("carrier", name)]
    }
}
