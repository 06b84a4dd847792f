//! How a client came in.

use crate::address::ClientAddress;

/// A way into the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Messages of a WebSocket.
    WebSocket,
    /// JSON lines.
    Lines,
    /// Server-sent events.
    Sse,
}

impl Door {
    /// Its name, as backends see it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Door::WebSocket => "websocket",
            Door::Lines => "lines",
            Door::Sse => "sse",
        }
    }
}

/// How a client came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// By which door.
    pub door: Door,
    /// From where.
    pub address: ClientAddress,
}
