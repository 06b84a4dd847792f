//! A message to a client, encoded once and framed once, however many get it.

use trunkline_dialect::{Push, Reply};
use trunkline_net::Prepared;

/// One message: a JSON object on one line, framed as a WebSocket text message. A clone shares the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Encoded(Prepared);

impl Encoded {
    /// One JSON object, on one line.
    pub(crate) fn new(json: &str) -> Encoded {
        Encoded(Prepared::text(json))
    }

    /// The text, as tests read it.
    #[cfg(test)]
    pub(crate) fn json(&self) -> &str {
        std::str::from_utf8(self.0.payload()).expect("it was made of a str")
    }

    /// The whole frame, for the websocket door.
    pub(crate) fn prepared(&self) -> &Prepared {
        &self.0
    }

    /// What it counts against an outbox: the frame, and what a queue entry costs around it, so that very many
    /// very small messages are bounded too.
    pub(crate) fn weight(&self) -> usize {
        const AROUND: usize = 64;
        AROUND + self.0.payload().len()
    }
}

impl From<&Push> for Encoded {
    fn from(push: &Push) -> Encoded {
        Encoded::new(&push.encode())
    }
}

impl From<&Reply> for Encoded {
    fn from(reply: &Reply) -> Encoded {
        Encoded::new(&reply.encode())
    }
}
