//! A ticket: a one-time permission to connect: who, what, until when, from which address. Pure; where it is
//! kept is [`ticket_store`](crate::ticket_store)'s business.
//!
//! A ticket crosses places that remember: URLs, proxy logs, browser histories. So it is worth nothing after
//! its first use, nothing after seconds, and, where the web service knew the client's address, nothing
//! elsewhere. A redemption from the wrong address spends the ticket too: whoever holds a copy gets one try,
//! not two.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trunkline_dialect::{BadJson, Code, ErrorBody, Json, Secret, UserId};

use crate::address::{ClientAddress, canonical};
use crate::clock::{Now, millis};
use crate::policy::Rights;

/// What a web service asks for when it mints; the body of `POST /api/v1/tickets`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TicketRequest {
    /// Who the holder will be.
    pub user: UserId,
    /// What others may see of them in presence.
    #[serde(default)]
    pub info: Option<Json>,
    /// Where the client is.
    #[serde(default)]
    pub ip: Option<IpAddr>,
    /// How strictly; `exact` where an address is given, `off` where none is.
    #[serde(default)]
    pub policy: Option<AddressPolicy>,
    /// Seconds until it is worth nothing, used or not.
    #[serde(default)]
    pub ttl_s: Option<u32>,
    /// Seconds for which what it grants lasts once it is redeemed; forever if absent.
    #[serde(default)]
    pub session_ttl_s: Option<u32>,
    /// What the holder is narrowed to.
    #[serde(default)]
    pub channels: Option<Rights>,
    /// For the web service itself; never reaches a client.
    #[serde(default)]
    pub meta: Option<Json>,
}

/// How the client's address must compare with the ticket's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AddressPolicy {
    /// They are equal.
    Exact,
    /// They are of the same network: IPv4 /24, IPv6 /48.
    Prefix,
    /// It does not matter.
    Off,
    /// The ticket's *becomes* the client's, where the server cannot see it at all.
    Adopt,
}

/// The permission, as it is kept until its one redemption.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TicketRecord {
    /// Who.
    pub user: UserId,
    /// What others see of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Json>,
    /// What only backends see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Json>,
    /// Narrowed to what; `None` is what the namespaces say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Rights>,
    /// From where.
    #[serde(flatten)]
    pub binding: Binding,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires_at: u64,
    /// For how long after the redemption, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_ttl_s: Option<u32>,
}

/// From where a credential is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Binding {
    /// How strictly.
    pub policy: AddressPolicy,
    /// Where the client was said to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
}

/// What a redeemed credential grants. Whoever holds one has been let in: only this module and the anonymous
/// connect make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Who; `None` is nobody in particular.
    pub user: Option<UserId>,
    /// What few tickets say.
    pub details: Option<Box<Details>>,
    /// From where coming back is good.
    pub binding: Binding,
    /// Whether the client's address was checked.
    pub bound: bool,
    /// When it runs out, in milliseconds since the Unix epoch.
    pub expires: Option<u64>,
}

/// What a grant has only if its ticket said so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// What others see of the user.
    pub info: Option<Json>,
    /// What only backends see.
    pub meta: Option<Json>,
    /// Narrowed to what.
    pub rights: Option<Rights>,
}

/// The name of a ticket is the ticket: whoever has it may redeem it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TicketId(Secret);

/// The SHA-256 of a ticket's id: what stores look up by, so that no comparison's duration tells of an id, and
/// all that is ever logged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TicketHash([u8; 32]);

/// Why no ticket was minted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MintRefused {
    /// The policy needs an address and none was given.
    NoAddress(AddressPolicy),
    /// `info` or `meta` is longer than its limit.
    TooLarge {
        /// Which.
        what: &'static str,
        /// The most, in bytes.
        limit: usize,
        /// How long it is.
        got: usize,
    },
    /// `info` nests deeper than a push can carry.
    BadInfo(BadJson),
    /// Longer than tickets may live, or no time at all.
    BadTtl {
        /// What was asked for, in seconds.
        got: u32,
        /// The most, in seconds.
        max: u64,
    },
}

/// Why a ticket was not accepted. Clients are told `unauthenticated` and one sentence for all of it, so that
/// a guesser learns nothing; logs and metrics get the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TicketRefused {
    /// Not shaped like a ticket.
    Malformed,
    /// Never minted, used already, or gone.
    Unknown,
    /// Its time was over.
    Expired,
    /// Redeemed from elsewhere than it was minted for; spent all the same.
    WrongAddress,
}

impl TicketRequest {
    /// The longest `info`, in bytes: each presence reply and join carries it.
    pub(crate) const MAX_INFO: usize = 4 << 10;
    /// The longest `meta`, in bytes: kept as long as the session.
    pub(crate) const MAX_META: usize = 16 << 10;

    /// The record to keep.
    ///
    /// # Errors
    /// [`MintRefused`] says which rule the request breaks.
    pub(crate) fn record(
        self,
        now: Now,
        default_ttl: Duration,
        max_ttl: Duration,
    ) -> Result<TicketRecord, MintRefused> {
        let default_policy = if self.ip.is_some() { AddressPolicy::Exact } else { AddressPolicy::Off };
        let policy = self.policy.unwrap_or(default_policy);
        if self.ip.is_none() && policy != AddressPolicy::Off {
            return Err(MintRefused::NoAddress(policy));
        }
        at_most("info", TicketRequest::MAX_INFO, self.info.as_ref())?;
        at_most("meta", TicketRequest::MAX_META, self.meta.as_ref())?;
        if let Some(info) = &self.info {
            Json::parse(info.get()).map_err(MintRefused::BadInfo)?;
        }
        let ttl = match self.ttl_s {
            None => default_ttl,
            Some(ttl_s) if (1..=max_ttl.as_secs()).contains(&u64::from(ttl_s)) => {
                Duration::from_secs(ttl_s.into())
            }
            Some(got) => return Err(MintRefused::BadTtl { got, max: max_ttl.as_secs() }),
        };
        Ok(TicketRecord {
            user: self.user,
            info: self.info,
            meta: self.meta,
            channels: self.channels,
            binding: Binding { policy, ip: self.ip.map(canonical) },
            expires_at: now.unix_ms + millis(ttl),
            session_ttl_s: self.session_ttl_s,
        })
    }
}

impl TicketRecord {
    /// What the record grants to a client at `address`. Consumes it: taking it out of its store was the
    /// redemption, whatever comes of it.
    ///
    /// # Errors
    /// [`TicketRefused::Expired`] or [`TicketRefused::WrongAddress`].
    pub(crate) fn redeem(self, now: Now, address: &ClientAddress) -> Result<Grant, TicketRefused> {
        if self.expires_at <= now.unix_ms {
            return Err(TicketRefused::Expired);
        }
        if !self.binding.admits(address) {
            return Err(TicketRefused::WrongAddress);
        }
        let details = Details { info: self.info, meta: self.meta, rights: self.channels };
        Ok(Grant {
            user: Some(self.user),
            details: (details != Details::default()).then(|| Box::new(details)),
            bound: self.binding.checks(),
            binding: self.binding,
            expires: self.session_ttl_s.map(|seconds| now.unix_ms + 1_000 * u64::from(seconds)),
        })
    }
}

impl Binding {
    /// Good from everywhere.
    pub(crate) const NONE: Binding = Binding { policy: AddressPolicy::Off, ip: None };

    /// Whether a client at `address` satisfies it. A client without an address (a unix socket) satisfies only
    /// what asks for none.
    pub(crate) fn admits(&self, address: &ClientAddress) -> bool {
        let pair = self.ip.map(canonical).zip(address.ip());
        match self.policy {
            AddressPolicy::Off | AddressPolicy::Adopt => true,
            AddressPolicy::Exact => pair.is_some_and(|(ours, theirs)| ours == theirs),
            AddressPolicy::Prefix => pair.is_some_and(|(ours, theirs)| network(ours) == network(theirs)),
        }
    }

    /// Where a client that the server sees at `seen` is to be taken to be.
    pub(crate) fn address(&self, seen: ClientAddress) -> ClientAddress {
        match (self.policy, self.ip) {
            (AddressPolicy::Adopt, Some(ip)) => ClientAddress::Stated(canonical(ip)),
            _ => seen,
        }
    }

    /// Whether it compares addresses at all.
    fn checks(&self) -> bool {
        matches!(self.policy, AddressPolicy::Exact | AddressPolicy::Prefix)
    }
}

impl Grant {
    /// What a client without a credential is granted: to be nobody in particular.
    pub(crate) fn anonymous() -> Grant {
        Grant { user: None, details: None, binding: Binding::NONE, bound: false, expires: None }
    }

    /// What others see of the user.
    pub(crate) fn info(&self) -> Option<&Json> {
        self.details.as_ref()?.info.as_ref()
    }

    /// What the holder is narrowed to.
    pub(crate) fn rights(&self) -> Option<&Rights> {
        self.details.as_ref()?.rights.as_ref()
    }
}

impl TicketId {
    /// 128 bits as base64url: what an id has at least, and what ours have.
    const MIN_CHARS: usize = 22;
    /// More would only be carried around.
    const MAX_CHARS: usize = 128;

    /// The id made of 128 random bits.
    pub(crate) fn from_random(bits: [u8; 16]) -> TicketId {
        TicketId(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bits)))
    }

    /// Takes what a client presents, if it is shaped like an id at all.
    ///
    /// # Errors
    /// [`TicketRefused::Malformed`].
    pub(crate) fn parse(presented: &str) -> Result<TicketId, TicketRefused> {
        let shaped = (TicketId::MIN_CHARS..=TicketId::MAX_CHARS).contains(&presented.len())
            && presented.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if shaped { Ok(TicketId(Secret::new(presented))) } else { Err(TicketRefused::Malformed) }
    }

    /// The id itself: for the one who asked for the ticket.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What may be kept and logged of it.
    pub(crate) fn hash(&self) -> TicketHash {
        TicketHash(Sha256::digest(self.expose()).into())
    }
}

impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketId({:?})", self.hash())
    }
}

impl fmt::Debug for TicketHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", BASE64_URL_SAFE_NO_PAD.encode(&self.0[..9]))
    }
}

impl fmt::Display for MintRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MintRefused::NoAddress(policy) => {
                write!(
                    f,
                    "policy \"{}\" is about an address, so the ticket needs an ip",
                    format!("{policy:?}").to_lowercase()
                )
            }
            MintRefused::TooLarge { what, limit, got } => {
                write!(f, "{what} has at most {limit} bytes, got {got}")
            }
            MintRefused::BadInfo(bad) => write!(f, "info: {bad}"),
            MintRefused::BadTtl { got, max } => write!(f, "ttl_s is from 1 to {max}, got {got}"),
        }
    }
}

impl std::error::Error for MintRefused {}

impl TicketRefused {
    /// Its name in logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            TicketRefused::Malformed => "malformed",
            TicketRefused::Unknown => "unknown",
            TicketRefused::Expired => "expired",
            TicketRefused::WrongAddress => "wrong_address",
        }
    }
}

impl From<TicketRefused> for ErrorBody {
    fn from(_: TicketRefused) -> ErrorBody {
        ErrorBody::new(
            Code::Unauthenticated,
            "the ticket is unknown, used, expired, or from another address; ask for a new one",
        )
    }
}

fn at_most(what: &'static str, limit: usize, json: Option<&Json>) -> Result<(), MintRefused> {
    match json.map(|json| json.get().len()) {
        Some(got) if got > limit => Err(MintRefused::TooLarge { what, limit, got }),
        _ => Ok(()),
    }
}

/// The network that policy `prefix` compares: what a household or an office keeps while single addresses in
/// it change.
fn network(ip: IpAddr) -> (bool, u128) {
    match canonical(ip) {
        IpAddr::V4(v4) => (false, u128::from(v4.to_bits() >> 8)),
        IpAddr::V6(v6) => (true, v6.to_bits() >> 80),
    }
}

#[cfg(test)]
mod tests;
