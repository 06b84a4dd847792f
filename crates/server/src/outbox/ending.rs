//! How the server ends a connection.

use trunkline_dialect::{Code, Disconnect};

/// How a connection ends by our will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The last push.
    pub disconnect: Disconnect,
    /// The close code of doors that have one.
    pub close_code: u16,
}

impl Ending {
    /// RFC 6455 section 7.4.1, "going away": a server that stops.
    const GOING_AWAY: u16 = 1001;

    /// An ending with a code, its advice and its close code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Ending {
        Ending { disconnect: Disconnect::new(code, message), close_code: code.close_code() }
    }

    /// This node stops; another, or its successor, goes on.
    pub(crate) fn stopping() -> Ending {
        let ending = Ending::new(Code::Unavailable, "this node stops");
        Ending { close_code: Ending::GOING_AWAY, ..ending }
    }

    /// A newer link has taken the session over.
    pub(crate) fn displaced() -> Ending {
        Ending::new(Code::Conflict, "another connection has taken this session over")
    }

    /// The client does not read what it is sent.
    pub(crate) fn slow_reader(bytes: usize) -> Ending {
        Ending::new(Code::TooMany, format!("slow reader: {bytes} bytes wait to be read"))
    }

    /// The close reason: the message, within the 123 bytes that a Close frame carries (RFC 6455 section 5.5).
    pub(crate) fn reason(&self) -> String {
        let message = &self.disconnect.message;
        message[..message.floor_char_boundary(123)].to_owned()
    }
}
