//! What survives a lost link: the registry of sessions, and the sealed token that brings a client back to its
//! own.
//!
//! A session is made by a credential and outlives its link by a while, so that a train's tunnel does not cost
//! the web service a new ticket. It has at most one link: coming back while the old one still seems to be
//! there (it usually is not; only nobody has noticed) displaces it. Each link has a serial, one higher than
//! the last, and whatever an old link says late is recognised by it.

mod origin;
pub(crate) mod token;
mod visit;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use trunkline_dialect::{Code, ErrorBody, Secret, UserId};

use crate::address::ClientAddress;
use crate::cells::lock;
use crate::clock::Now;
use crate::few::Few;
use crate::outbox::{Ending, Outbox};
use crate::rate::Allowance;
use crate::ticket::Grant;
pub(crate) use origin::{Door, Origin};
use token::{Claims, Sealer};
pub(crate) use visit::Visit;

/// The name of a session: 128 random bits. Not a secret: backends see it, and only its sealed token brings
/// anybody back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) [u8; 16]);

/// One attachment of a session to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId {
    /// The session.
    pub session: SessionId,
    /// 1 for its first link, and one more for each that comes after.
    pub serial: u64,
}

/// A client has a session.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// Its link.
    pub link: LinkId,
    /// What it may.
    pub grant: Arc<Grant>,
    /// What brings it back.
    pub token: Secret,
    /// What it may still do, after all that this session's links have done.
    pub allowance: Arc<Allowance>,
    /// The link that this one displaced; it has been told to end.
    pub displaced: Option<LinkId>,
}

/// Why nobody came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SessionRefused {
    /// Not sealed by us, or by a key of the past.
    Forged,
    /// A newer token, or the link that came with it, was used already.
    Superseded,
    /// The session is over.
    Gone,
    /// The credential behind it has run out.
    Expired,
    /// From elsewhere than its ticket says.
    WrongAddress,
}

/// One session, as backends see it.
#[derive(Debug, Clone)]
pub(crate) struct SessionView {
    /// Its link, or the last it had.
    pub link: LinkId,
    /// What it may, and whose it is.
    pub grant: Arc<Grant>,
    /// How it came in.
    pub origin: Origin,
    /// When its link was made, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Whether its link is there now.
    pub attached: bool,
}

/// Every session of this node.
pub(crate) struct Sessions {
    sealer: Sealer,
    linger: Duration,
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Boxed, for a table is half empty on average, and so costs twice what lies in it.
    sessions: HashMap<SessionId, Box<Session>>,
    by_user: HashMap<UserId, Few<SessionId, ()>>,
    /// The detached ones, by when they end.
    detached: BTreeSet<(Instant, SessionId)>,
}

struct Session {
    grant: Arc<Grant>,
    allowance: Arc<Allowance>,
    serial: u64,
    /// The newest serial whose token the client is known to have, because it has used that link or has come
    /// back by that token; 0 for none. Tokens before it are worth nothing. Those after it are all good: the
    /// replies with them may have been lost together with the links that carried them.
    confirmed: u64,
    origin: Origin,
    since: u64,
    state: State,
}

enum State {
    Attached(Arc<Outbox>),
    Detached { until: Instant },
}

impl Sessions {
    /// A registry of at most `limit` sessions, each good for `linger` after its last link, with tokens sealed
    /// by `key`.
    pub(crate) fn new(key: [u8; 32], linger: Duration, limit: usize) -> Sessions {
        Sessions { sealer: Sealer::new(key), linger, limit, inner: Mutex::default() }
    }

    /// A new session for a credential just accepted, with what its client may still do.
    ///
    /// # Errors
    /// `too_many` if there are as many sessions as there may be and each has its link.
    pub(crate) fn open(
        &self,
        now: Now,
        grant: Grant,
        origin: Origin,
        outbox: Arc<Outbox>,
        allowance: Arc<Allowance>,
    ) -> Result<Opened, ErrorBody> {
        let mut inner = lock(&self.inner);
        inner.sweep(now.instant);
        if inner.sessions.len() >= self.limit && !inner.drop_oldest_detached() {
            return Err(ErrorBody::new(
                Code::TooMany,
                format!("this node holds at most {} sessions", self.limit),
            ));
        }
        let link = LinkId { session: SessionId::random(), serial: 1 };
        let grant = Arc::new(grant);
        if let Some(user) = &grant.user {
            inner.by_user.entry(user.clone()).or_default().insert(link.session, ());
        }
        let token = self.seal(now, link, &grant);
        let state = State::Attached(outbox);
        let session = Box::new(Session {
            grant: grant.clone(),
            allowance: allowance.clone(),
            serial: link.serial,
            confirmed: 0,
            origin,
            since: now.unix_ms,
            state,
        });
        inner.sessions.insert(link.session, session);
        Ok(Opened { link, grant, token, allowance, displaced: None })
    }

    /// Brings a client back to its session by its token, with a new link and a new token.
    ///
    /// # Errors
    /// [`SessionRefused`] says why not.
    pub(crate) fn resume(
        &self,
        now: Now,
        token: &str,
        origin: Origin,
        outbox: Arc<Outbox>,
    ) -> Result<Opened, SessionRefused> {
        let claims = self.sealer.open(token).ok_or(SessionRefused::Forged)?;
        let mut inner = lock(&self.inner);
        inner.sweep(now.instant);
        let session = inner.sessions.get_mut(&claims.link.session).ok_or(SessionRefused::Gone)?;
        session.check(now, &claims, &origin.address)?;
        let link = LinkId { session: claims.link.session, serial: session.serial + 1 };
        let displaced = LinkId { serial: session.serial, ..link };
        let before = std::mem::replace(&mut session.state, State::Attached(outbox));
        session.serial = link.serial;
        session.confirmed = claims.link.serial;
        session.origin = Origin { address: session.grant.binding.address(origin.address), ..origin };
        session.since = now.unix_ms;
        let (grant, allowance) = (session.grant.clone(), session.allowance.clone());
        let displaced = match before {
            State::Detached { until } => {
                inner.detached.remove(&(until, link.session));
                None
            }
            State::Attached(outbox) => {
                outbox.end(Ending::displaced());
                Some(displaced)
            }
        };
        Ok(Opened { link, token: self.seal(now, link, &grant), grant, allowance, displaced })
    }

    /// The client has used this link, so it has its newest token: older ones are worth nothing from now on.
    pub(crate) fn confirm(&self, link: LinkId) {
        self.with_current(link, |session| session.confirmed = link.serial);
    }

    /// New permissions for the session of this link. `false` if it has another link by now.
    pub(crate) fn renew(&self, link: LinkId, grant: Arc<Grant>) -> bool {
        self.with_current(link, |session| session.grant = grant).is_some()
    }

    /// The link is lost; the session is good for a while. Ignored if the session has a newer link.
    pub(crate) fn detach(&self, now: Now, link: LinkId) {
        let until = now.instant + self.linger;
        let mut inner = lock(&self.inner);
        let Some(session) = inner.sessions.get_mut(&link.session) else { return };
        if session.serial == link.serial && matches!(session.state, State::Attached(_)) {
            session.state = State::Detached { until };
            inner.detached.insert((until, link.session));
        }
    }

    /// The session of this link is over: nobody comes back to it. `false` if the session goes on, by a newer
    /// link.
    pub(crate) fn close(&self, link: LinkId) -> bool {
        let mut inner = lock(&self.inner);
        let superseded =
            inner.sessions.get(&link.session).is_some_and(|session| session.serial != link.serial);
        if !superseded {
            inner.forget(link.session);
        }
        !superseded
    }

    /// Forgets the sessions that nobody came back to.
    pub(crate) fn sweep(&self, now: Now) {
        lock(&self.inner).sweep(now.instant);
    }

    /// How many sessions there are, attached or not.
    pub(crate) fn len(&self) -> usize {
        lock(&self.inner).sessions.len()
    }

    /// Sessions, all or one user's, at most `limit` of them; in no order.
    pub(crate) fn list(&self, user: Option<&str>, limit: usize) -> Vec<SessionView> {
        let inner = lock(&self.inner);
        let view = |id: &SessionId| inner.sessions.get(id).map(|session| session.view(*id));
        match user {
            Some(user) => {
                inner.by_user.get(user).into_iter().flat_map(Few::keys).filter_map(view).take(limit).collect()
            }
            None => inner.sessions.keys().filter_map(view).take(limit).collect(),
        }
    }

    /// Ends what matches: the session if one is named, all of the user's if one is named, and both must hold
    /// if both are. Where the ending says not to reconnect, the sessions are over too: their tokens bring
    /// nobody back. Answers how many.
    pub(crate) fn end(&self, session: Option<SessionId>, user: Option<&str>, ending: &Ending) -> usize {
        let mut inner = lock(&self.inner);
        let of_user = |user| inner.by_user.get(user).into_iter().flat_map(Few::keys).copied().collect();
        let candidates: Vec<SessionId> =
            session.map_or_else(|| user.map_or_else(Vec::new, of_user), |id| vec![id]);
        let matches = |id: &SessionId| inner.sessions.get(id).is_some_and(|found| found.is_of(user));
        let ended: Vec<SessionId> = candidates.into_iter().filter(matches).collect();
        for id in &ended {
            if let Some(State::Attached(outbox)) = inner.sessions.get(id).map(|session| &session.state) {
                outbox.end(ending.clone());
            }
            if !ending.disconnect.reconnect {
                inner.forget(*id);
            }
        }
        ended.len()
    }

    fn seal(&self, now: Now, link: LinkId, grant: &Grant) -> Secret {
        self.sealer.seal(&Claims {
            link,
            issued: now.unix_ms,
            expires: grant.expires,
            binding: grant.binding,
            user: grant.user.clone(),
        })
    }

    fn with_current<R>(&self, link: LinkId, work: impl FnOnce(&mut Session) -> R) -> Option<R> {
        let mut inner = lock(&self.inner);
        let session = inner.sessions.get_mut(&link.session)?;
        (session.serial == link.serial).then(|| work(session))
    }
}

impl Inner {
    fn sweep(&mut self, now: Instant) {
        while let Some(&(until, id)) = self.detached.first()
            && until <= now
        {
            self.detached.pop_first();
            self.forget(id);
        }
    }

    fn drop_oldest_detached(&mut self) -> bool {
        let oldest = self.detached.pop_first();
        oldest.inspect(|(_, id)| self.forget(*id)).is_some()
    }

    fn forget(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        if let State::Detached { until } = session.state {
            self.detached.remove(&(until, id));
        }
        if let Some(user) = &session.grant.user
            && let Some(theirs) = self.by_user.get_mut(user)
        {
            theirs.remove(&id);
            if theirs.is_empty() {
                self.by_user.remove(user);
            }
        }
    }
}

impl Session {
    /// Whether these claims bring anybody back to this session now.
    fn check(&self, now: Now, claims: &Claims, address: &ClientAddress) -> Result<(), SessionRefused> {
        if !(self.confirmed..=self.serial).contains(&claims.link.serial) {
            return Err(SessionRefused::Superseded);
        }
        if self.grant.expires.is_some_and(|expires| expires <= now.unix_ms) {
            return Err(SessionRefused::Expired);
        }
        if !self.grant.binding.admits(address) {
            return Err(SessionRefused::WrongAddress);
        }
        Ok(())
    }

    fn is_of(&self, user: Option<&str>) -> bool {
        user.is_none_or(|user| self.grant.user.as_ref().is_some_and(|theirs| theirs.as_str() == user))
    }

    fn view(&self, session: SessionId) -> SessionView {
        SessionView {
            link: LinkId { session, serial: self.serial },
            grant: self.grant.clone(),
            origin: self.origin,
            since: self.since,
            attached: matches!(self.state, State::Attached(_)),
        }
    }
}

impl SessionId {
    fn random() -> SessionId {
        SessionId(rand::random())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// A text that is not a session's name: 22 characters of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotASession;

impl FromStr for SessionId {
    type Err = NotASession;

    fn from_str(text: &str) -> Result<SessionId, NotASession> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| NotASession)?;
        bytes.try_into().map(SessionId).map_err(|_| NotASession)
    }
}

impl SessionRefused {
    /// Its name in logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            // After a restart with a key made up at random this is every token there was, and no attack.
            SessionRefused::Forged => "not sealed with our key",
            SessionRefused::Superseded => "superseded",
            SessionRefused::Gone => "gone",
            SessionRefused::Expired => "expired",
            SessionRefused::WrongAddress => "wrong_address",
        }
    }
}

impl From<SessionRefused> for ErrorBody {
    fn from(refused: SessionRefused) -> ErrorBody {
        match refused {
            SessionRefused::Expired => ErrorBody::new(Code::Expired, "the session's credential has run out"),
            // One sentence for all of it, so that a guesser learns nothing.
            _ => {
                ErrorBody::new(Code::Unauthenticated, "the session is over, or this token is not its newest")
            }
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("sessions", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
