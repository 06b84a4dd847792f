//! What a credential allows where: namespaces say what a channel is, rights say what a ticket narrows it to.
//! Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trunkline_dialect::{ChannelName, Code, ErrorBody};

use crate::channel::HistoryPolicy;
use crate::rate::Rate;
use crate::ticket::Grant;

/// Every namespace there is; what is in none of them is refused.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    namespaces: BTreeMap<String, Arc<Namespace>>,
}

/// What holds for every channel `name:...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// Who may subscribe, ask for the history and for who is present.
    pub subscribe: Who,
    /// Who may publish.
    pub publish: Who,
    /// Whether it is kept who is here.
    pub presence: bool,
    /// Whether subscribers who ask for presence are told of each join and leave.
    pub join_leave: bool,
    /// What of the past is kept.
    pub history: HistoryPolicy,
    /// What happens to a subscriber that reads more slowly than the channel speaks; `None` is the default for
    /// the history there is.
    pub slow_reader: Option<SlowReader>,
    /// Whether the credential must have been bound to the client's address.
    pub bound_ticket: bool,
    /// How often one session may publish here; `None` is no oftener than its commands come.
    pub publish_rate: Option<Rate>,
}

/// Who may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Who {
    /// Whoever is connected, anonymous too.
    Anyone,
    /// Whoever has redeemed a ticket.
    Ticket,
    /// No client; the HTTP API alone.
    Nobody,
}

/// What happens to a subscriber whose outbox is over its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SlowReader {
    /// It is sent all it missed from history, once it reads again.
    CatchUp,
    /// It is sent the newest publication only, and told of the gap before.
    NewestOnly,
    /// It is sent the newest ones that fit into its outbox, and told of the gap before.
    DropOldest,
    /// Its connection ends.
    Disconnect,
}

/// What a client can do in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Act {
    /// Subscribe, and see history and presence.
    Subscribe,
    /// Publish.
    Publish,
}

/// What a ticket narrows its holder to: channel names, or prefixes with `*` at the end, and what may be done
/// there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Vec<Act>>", into = "BTreeMap<String, Vec<Act>>")]
pub(crate) struct Rights(BTreeMap<String, Vec<Act>>);

/// Why a map is not [`Rights`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadRights {
    /// More patterns than [`Rights::MAX_PATTERNS`].
    TooMany(usize),
    /// Empty, or longer than a channel name can be.
    BadPattern(String),
    /// A `*` somewhere else than at the end.
    StarInside(String),
}

impl Policy {
    /// A policy of these namespaces.
    pub(crate) fn new(namespaces: impl IntoIterator<Item = (String, Namespace)>) -> Policy {
        let namespaces = namespaces.into_iter().map(|(name, namespace)| (name, Arc::new(namespace)));
        Policy { namespaces: namespaces.collect() }
    }

    /// The namespace of a channel.
    ///
    /// # Errors
    /// `unknown_channel` if it has none.
    pub(crate) fn namespace(&self, channel: &ChannelName) -> Result<&Arc<Namespace>, ErrorBody> {
        self.namespaces.get(channel.namespace()).ok_or_else(|| {
            ErrorBody::new(Code::UnknownChannel, format!("there is no namespace {:?}", channel.namespace()))
        })
    }

    /// Whether the holder of `grant` may do `act` in `channel`; if so, what holds there.
    ///
    /// # Errors
    /// `unknown_channel` or `forbidden`, with the rule in words.
    pub(crate) fn check(
        &self,
        grant: &Grant,
        channel: &ChannelName,
        act: Act,
    ) -> Result<&Arc<Namespace>, ErrorBody> {
        let namespace = self.namespace(channel)?;
        let forbidden =
            |why: &str| Err(ErrorBody::new(Code::Forbidden, format!("{act} in {channel}: {why}")));
        match namespace.who(act) {
            Who::Nobody => return forbidden("no client may"),
            Who::Ticket if grant.user.is_none() => return forbidden("only with a ticket"),
            Who::Ticket | Who::Anyone => {}
        }
        if namespace.bound_ticket && !grant.bound {
            return forbidden("only with a ticket that is bound to an address");
        }
        // A ticket that names channels means these and no others, even where everybody else may.
        match grant.rights() {
            Some(rights) if !rights.allow(channel, act) => forbidden("the ticket does not name it"),
            _ => Ok(namespace),
        }
    }

    /// Whether there is any channel that a client without a credential could use.
    pub(crate) fn admits_anonymous(&self) -> bool {
        let open = |who| who == Who::Anyone;
        self.namespaces.values().any(|one| !one.bound_ticket && (open(one.subscribe) || open(one.publish)))
    }
}

impl Default for Policy {
    /// One namespace, `room`.
    fn default() -> Policy {
        Policy::new([("room".to_owned(), Namespace::default())])
    }
}

impl Namespace {
    /// What happens to a slow reader here. Without a history there is nothing to catch up from, so only the
    /// newest is worth keeping.
    pub(crate) fn slow_reader(&self) -> SlowReader {
        let default = if self.history.size > 0 { SlowReader::CatchUp } else { SlowReader::NewestOnly };
        self.slow_reader.unwrap_or(default)
    }

    fn who(&self, act: Act) -> Who {
        match act {
            Act::Subscribe => self.subscribe,
            Act::Publish => self.publish,
        }
    }
}

impl Default for Namespace {
    /// Whoever has redeemed a ticket may subscribe and publish; presence, join and leave; the default
    /// history; catch-up.
    fn default() -> Namespace {
        Namespace {
            subscribe: Who::Ticket,
            publish: Who::Ticket,
            presence: true,
            join_leave: true,
            history: HistoryPolicy::default(),
            slow_reader: None,
            bound_ticket: false,
            publish_rate: None,
        }
    }
}

impl Rights {
    /// The most patterns one ticket may have: each is looked at for each command in the worst case.
    pub(crate) const MAX_PATTERNS: usize = 256;

    fn allow(&self, channel: &ChannelName, act: Act) -> bool {
        let covers = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => channel.as_str().starts_with(prefix),
            None => channel.as_str() == pattern,
        };
        self.0.iter().any(|(pattern, acts)| acts.contains(&act) && covers(pattern))
    }
}

impl TryFrom<BTreeMap<String, Vec<Act>>> for Rights {
    type Error = BadRights;

    fn try_from(mut patterns: BTreeMap<String, Vec<Act>>) -> Result<Rights, BadRights> {
        if patterns.len() > Rights::MAX_PATTERNS {
            return Err(BadRights::TooMany(patterns.len()));
        }
        for (pattern, acts) in &mut patterns {
            let fixed = pattern.strip_suffix('*').unwrap_or(pattern);
            if fixed.contains('*') {
                return Err(BadRights::StarInside(pattern.clone()));
            }
            if pattern != "*" && ChannelName::new(fixed).is_err() {
                return Err(BadRights::BadPattern(pattern.clone()));
            }
            acts.sort_unstable();
            acts.dedup();
        }
        Ok(Rights(patterns))
    }
}

impl From<Rights> for BTreeMap<String, Vec<Act>> {
    fn from(Rights(patterns): Rights) -> Self {
        patterns
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Act::Subscribe => "subscribe",
            Act::Publish => "publish",
        })
    }
}

impl std::fmt::Display for BadRights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadRights::TooMany(got) => {
                write!(f, "channels has at most {} entries, got {got}", Rights::MAX_PATTERNS)
            }
            BadRights::BadPattern(got) => {
                write!(f, "a key of channels is a channel name, or the beginning of one and a *, got {got:?}")
            }
            BadRights::StarInside(got) => {
                write!(f, "a * stands only at the end of a channel, got {got:?}")
            }
        }
    }
}

impl std::error::Error for BadRights {}

#[cfg(test)]
mod tests;
