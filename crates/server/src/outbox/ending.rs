//! How a connection ends by our will.

use trunkline_dialect::{BadCommand, Code, Disconnect, ErrorBody, NotObjects, Push, Rule};

/// How a connection ends by our will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The last push.
    pub disconnect: Disconnect,
    /// The close code of doors that have one.
    pub close_code: u16,
    /// What came could not be read. Where there are no messages nothing behind it can be, and it is answered by an error
    /// and not by a `disconnect`.
    pub unreadable: bool,
}

impl Ending {
    /// RFC 6455 section 7.4.1, "going away": a server that stops.
    const GOING_AWAY: u16 = 1001;

    /// An ending with a code, its advice and its close code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Ending {
        Ending {
            disconnect: Disconnect::new(code, message),
            close_code: code.close_code(),
            unreadable: false,
        }
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

    /// Something came, at a door without messages of its own, that is no object.
    pub(crate) fn not_objects(why: NotObjects) -> Ending {
        let code = match why {
            NotObjects::NotAnObject => Code::BadRequest,
            NotObjects::TooLong { .. } => Code::TooLarge,
        };
        Ending::unreadable(code, why.to_string())
    }

    /// An object came, at such a door, that is no command and has no id by which it could be answered.
    pub(crate) fn no_command(bad: &BadCommand) -> Ending {
        match bad.rule {
            // What it is instead is nobody's business: whoever smuggles something in learns nothing from the answer.
            Rule::NotUtf8 { .. } | Rule::NotJson(_) | Rule::NotAnObject(_) => {
                Ending::not_objects(NotObjects::NotAnObject)
            }
            ref rule => Ending::unreadable(rule.code(), rule.to_string()),
        }
    }

    /// The session is kept: whoever garbled it may not have been the client.
    fn unreadable(code: Code, message: String) -> Ending {
        let ending = Ending::new(code, message);
        let disconnect = Disconnect { reconnect: true, ..ending.disconnect };
        Ending { disconnect, unreadable: true, ..ending }
    }

    /// What the client is told last.
    pub(crate) fn last_push(&self) -> Push {
        let Disconnect { code, message, .. } = &self.disconnect;
        if self.unreadable {
            return Push::Error(ErrorBody::new(*code, message.clone()));
        }
        Push::Disconnect(self.disconnect.clone())
    }

    /// The close reason: the message, within the 123 bytes that a Close frame carries (RFC 6455 section 5.5).
    pub(crate) fn reason(&self) -> String {
        let message = &self.disconnect.message;
        message[..message.floor_char_boundary(123)].to_owned()
    }
}
