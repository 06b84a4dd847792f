//! The one table of codes: what went wrong, as a name on the wire, a WebSocket close code, and advice.

use std::fmt;

/// Whether a connection that ended with a code should be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reconnect {
    /// Yes, after the usual backoff, with the credential at hand.
    Yes,
    /// Yes, but the credential at hand is spent: with a new one.
    WithNewCredential,
    /// No: the same would happen again.
    No,
}

impl Reconnect {
    /// Its name in the published table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::WithNewCredential => "with_new_credential",
            Self::No => "no",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident, $name:literal, $close:literal, $retry:ident, $reconnect:ident;)+) => {
        /// Why a command was refused or a connection ended.
        ///
        /// On the wire it is [its name](Code::name), as the end of a WebSocket connection [its close
        /// code](Code::close_code). A name that this version does not know is read as [`Code::Internal`], with
        /// the name kept in front of the message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every code, in the order of close codes.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// The WebSocket close code of a connection that ends for this reason: 4400 to 4499, which
            /// RFC 6455 section 7.4.2 leaves to applications.
            pub const fn close_code(self) -> u16 {
                match self { $(Code::$variant => $close,)+ }
            }

            /// Whether the same command, sent again later as it is, may succeed.
            pub const fn retry(self) -> bool {
                match self { $(Code::$variant => $retry,)+ }
            }

            /// What to do after a connection that ended for this reason.
            pub const fn reconnect(self) -> Reconnect {
                match self { $(Code::$variant => Reconnect::$reconnect,)+ }
            }
        }
    };
}

//  what it says, the name, the close code, retry the command?, make the connection again?
codes! {
    /// It could not be read as a command: the message names the rule.
    BadRequest,      "bad_request",     4400, false, No;
    /// No credential, or one that is unknown, used, or from the wrong address.
    Unauthenticated, "unauthenticated", 4401, false, WithNewCredential;
    /// The credential does not allow this.
    Forbidden,       "forbidden",       4403, false, No;
    /// No namespace of that name.
    UnknownChannel,  "unknown_channel", 4404, false, No;
    /// The id is in flight already, or another connection took the session over.
    Conflict,        "conflict",        4409, true,  No;
    /// The credential was good and has run out.
    Expired,         "expired",         4410, false, WithNewCredential;
    /// It needs a subscription that this session does not have.
    NotSubscribed,   "not_subscribed",  4412, false, Yes;
    /// Longer than a limit: the message names it.
    TooLarge,        "too_large",       4413, false, No;
    /// More connections, channels or commands in flight than allowed.
    TooMany,         "too_many",        4428, true,  Yes;
    /// More commands a second than allowed.
    RateLimited,     "rate_limited",    4429, true,  Yes;
    /// A fault on the side of the hub.
    Internal,        "internal",        4450, true,  Yes;
    /// The hub, or the broker behind it, is not there now.
    Unavailable,     "unavailable",     4453, true,  Yes;
}

impl Code {
    /// The code of that name, if this version knows it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// The code of that WebSocket close code, if it is one of ours.
    pub fn from_close_code(close: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.close_code() == close)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
