//! `refresh`: who I am, again.

use serde::{Deserialize, Serialize};

use super::at_most;
use crate::error::Rule;
use crate::{Limits, Secret};

/// New permissions on a live connection, for the same user. Answered with [`Refreshed`](crate::Refreshed).
///
/// Without it a connection ends when its credential runs out; [`Expiring`](crate::Expiring) tells in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub enum Refresh {
    /// A one-time ticket.
    Ticket(Secret),
    /// A signed token (JWT).
    Token(Secret),
}

impl Refresh {
    pub(super) fn check(&self, limits: &Limits) -> Result<(), Rule> {
        match self {
            Self::Ticket(secret) => at_most("a refresh ticket", limits.credential, secret.expose().len()),
            Self::Token(secret) => at_most("a refresh token", limits.credential, secret.expose().len()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Secret>,
}

impl TryFrom<Wire> for Refresh {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        match (wire.ticket, wire.token) {
            (Some(ticket), None) => Ok(Self::Ticket(ticket)),
            (None, Some(token)) => Ok(Self::Token(token)),
            _ => Err("takes one of ticket and token"),
        }
    }
}

impl From<Refresh> for Wire {
    fn from(refresh: Refresh) -> Self {
        match refresh {
            Refresh::Ticket(ticket) => Self { ticket: Some(ticket), token: None },
            Refresh::Token(token) => Self { ticket: None, token: Some(token) },
        }
    }
}
