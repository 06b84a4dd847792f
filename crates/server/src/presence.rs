//! Who is present in one channel: a member per user, with the sessions that make it one. Pure.
//!
//! A session is held by its subscription, without end, or *lingers* until a deadline: a lost link lingers for
//! the grace, and the sessions of a node that died linger until its lease ends. A session that returns before
//! its deadline was never away: neither leave nor join.

use std::time::Instant;

use indexmap::IndexMap;
use trunkline_dialect::{Json, Member, UserId};

use crate::few::Few;
use crate::session::{LinkId, SessionId};

/// The members of one channel.
///
/// Every call names a *link*, one attachment of a session, for a session may be taken over by a new link
/// while the old one's loss is still on its way here: what an older link of the same session says is then
/// ignored.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    members: IndexMap<UserId, Here>,
}

#[derive(Debug)]
struct Here {
    info: Option<Json>,
    sessions: Few<SessionId, Stay>,
}

#[derive(Debug)]
struct Stay {
    /// The newest link of the session that entered.
    serial: u64,
    /// When the stay ends; `None` while a subscription holds it.
    until: Option<Instant>,
}

impl Presence {
    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Everybody who is here.
    pub(crate) fn members(&self) -> Vec<Member> {
        let member = |(user, here): (&UserId, &Here)| Member {
            user: user.clone(),
            info: here.info.clone(),
            sessions: u32::try_from(here.sessions.len()).unwrap_or(u32::MAX),
        };
        self.members.iter().map(member).collect()
    }

    /// A session of `user` is here. Answers whether the user has thereby joined: not when another session of
    /// theirs was here already, and not when this one only comes back.
    pub(crate) fn enter(&mut self, link: LinkId, user: &UserId, info: Option<&Json>) -> bool {
        // As for the subscriptions of a channel: there are very many in which one user is alone.
        if self.members.is_empty() {
            self.members.reserve_exact(1);
        }
        let here = self.members.entry(user.clone());
        let joined = matches!(here, indexmap::map::Entry::Vacant(_));
        let here = here.or_insert_with(|| Here { info: None, sessions: Few::default() });
        let newer = here.sessions.get_mut(&link.session).is_none_or(|stay| stay.serial <= link.serial);
        if newer {
            here.sessions.insert(link.session, Stay { serial: link.serial, until: None });
            here.info = info.cloned();
        }
        joined
    }

    /// A link's session is here no longer. Answers whether its user has thereby left.
    pub(crate) fn leave(&mut self, link: LinkId, user: &UserId) -> bool {
        let Some(here) = self.members.get_mut(user) else { return false };
        if here.sessions.get_mut(&link.session).is_none_or(|stay| stay.serial > link.serial) {
            return false;
        }
        here.sessions.remove(&link.session);
        let left = here.sessions.is_empty();
        if left {
            // Nobody is promised an order, and keeping one would make each leave of a large channel a move of
            // all behind.
            self.members.swap_remove(user);
        }
        left
    }

    /// A link is lost: its session may be away until `until`; unless it enters again by a newer link (or the
    /// same), its stay then ends. Answers whether that deadline was set.
    pub(crate) fn linger(&mut self, link: LinkId, user: &UserId, until: Instant) -> bool {
        let stay = self.members.get_mut(user).and_then(|here| here.sessions.get_mut(&link.session));
        let stay = stay.filter(|stay| stay.serial <= link.serial);
        stay.map(|stay| stay.until = Some(until)).is_some()
    }

    /// Ends the stay of every session whose deadline has come, and answers which users have thereby left.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<UserId> {
        let mut left = Vec::new();
        self.members.retain(|user, here| {
            here.sessions.retain(|_, stay| stay.until.is_none_or(|until| until > now));
            if here.sessions.is_empty() {
                left.push(user.clone());
            }
            !here.sessions.is_empty()
        });
        left
    }
}

#[cfg(test)]
mod tests;
