//! A message to a client, encoded once however many get it.

use std::sync::Arc;

use trunkline_dialect::{Push, Reply};

/// The JSON text of one message, shared: a clone is a reference count.
#[derive(Debug, Clone)]
pub(crate) struct Encoded(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    json: String,
}

impl Encoded {
    /// One JSON object, on one line.
    pub(crate) fn new(json: String) -> Encoded {
        Encoded(Arc::new(Inner { json }))
    }

    /// The text.
    pub(crate) fn json(&self) -> &str {
        &self.0.json
    }

    /// What it counts against an outbox: the text, and what a queue entry costs around it, so that very many very small messages are
    /// bounded too.
    pub(crate) fn weight(&self) -> usize {
        const AROUND: usize = 64;
        AROUND + self.0.json.len()
    }
}

impl From<&Push> for Encoded {
    fn from(push: &Push) -> Encoded {
        Encoded::new(push.encode())
    }
}

impl From<&Reply> for Encoded {
    fn from(reply: &Reply) -> Encoded {
        Encoded::new(reply.encode())
    }
}
