//! `connect`: who I am.

use serde::{Deserialize, Serialize};

use super::at_most;
use crate::error::Rule;
use crate::json::optional_object;
use crate::{Limits, Secret};

/// The first command, where the handshake carried no credential. Answered with
/// [`Connected`](crate::Connected).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Connect {
    /// What says who I am.
    pub credential: Credential,
    /// Which software I am.
    pub client: Option<ClientInfo>,
}

/// What says who a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A one-time ticket.
    Ticket(Secret),
    /// A signed token (JWT).
    Token(Secret),
    /// The session token of an earlier connect: to come back.
    Session(Secret),
    /// Nothing; for namespaces that admit anyone.
    Anonymous,
}

/// Which software a client is. Nothing depends on it; it is shown to whoever operates the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Its name, at most 128 bytes.
    #[serde(default)]
    pub name: String,
    /// Its version, at most 128 bytes.
    #[serde(default)]
    pub version: String,
}

impl Connect {
    /// Connects with a credential.
    pub fn new(credential: Credential) -> Self {
        Self { credential, client: None }
    }

    pub(super) fn check(&self, limits: &Limits) -> Result<(), Rule> {
        match &self.credential {
            Credential::Ticket(secret) => {
                at_most("a connect ticket", limits.credential, secret.expose().len())?;
            }
            Credential::Token(secret) => {
                at_most("a connect token", limits.credential, secret.expose().len())?
            }
            Credential::Session(secret) => {
                at_most("a connect session", limits.credential, secret.expose().len())?;
            }
            Credential::Anonymous => {}
        }
        let Some(client) = &self.client else { return Ok(()) };
        at_most("a client name", limits.client, client.name.len())?;
        at_most("a client version", limits.client, client.version.len())
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Wire {
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Secret>,
    #[serde(default, deserialize_with = "optional_object", skip_serializing_if = "Option::is_none")]
    client: Option<ClientInfo>,
}

impl TryFrom<Wire> for Connect {
    type Error = &'static str;

    fn try_from(Wire { ticket, token, session, client }: Wire) -> Result<Self, Self::Error> {
        let credential = match (ticket, token, session) {
            (Some(ticket), None, None) => Credential::Ticket(ticket),
            (None, Some(token), None) => Credential::Token(token),
            (None, None, Some(session)) => Credential::Session(session),
            (None, None, None) => Credential::Anonymous,
            _ => return Err("takes at most one of ticket, token and session"),
        };
        Ok(Self { credential, client })
    }
}

impl From<Connect> for Wire {
    fn from(Connect { credential, client }: Connect) -> Self {
        let wire = Self { client, ..Self::default() };
        match credential {
            Credential::Ticket(ticket) => Self { ticket: Some(ticket), ..wire },
            Credential::Token(token) => Self { token: Some(token), ..wire },
            Credential::Session(session) => Self { session: Some(session), ..wire },
            Credential::Anonymous => wire,
        }
    }
}
