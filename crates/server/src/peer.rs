//! One client, as the hub sees it: commands in, replies and pushes out. Pure: no socket, clock or task; whoever
//! drives it does what must be waited for. What it shares is the count of what it does, with the other links of
//! its session.
//!
//! ```text
//!            connect, or the handshake's credential           accepted
//!   Fresh ------------------------------------------> Connecting -----> Connected
//!     ^                                                 |     |             |
//!     '---- refused: the client may try another --------'     |             |
//!     |                                                       |             |
//!     '--- no credential in time ---> Ended <--- (handshake) refused        |
//!                                       ^------ run out, or too many refusals
//! ```
//!
//! After each [`receive`](Peer::receive), [`complete`](Peer::complete) or
//! [`handle_timeout`](Peer::handle_timeout), drain [`poll_transmit`](Peer::poll_transmit) and
//! [`poll_event`](Peer::poll_event), then ask [`poll_timeout`](Peer::poll_timeout) again.

mod command;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_dialect::command::{Credential, Refresh};
use trunkline_dialect::{
    ChannelName, Code, Connected, ErrorBody, Expiring, OkBody, Position, Push, Refreshed, Reply,
    SessionLimits,
};

use crate::channel::Content;
use crate::clock::{Now, millis};
use crate::encoded::Encoded;
use crate::limits::Limits;
use crate::outbox::Ending;
use crate::policy::{Namespace, Policy};
use crate::rate::Allowance;
use crate::session::{LinkId, Opened};
use crate::ticket::Grant;

/// One client.
#[derive(Debug)]
pub(crate) struct Peer {
    rules: Arc<Rules>,
    state: State,
    /// A new session takes it over; a client that comes back goes on with its session's.
    allowance: Arc<Allowance>,
    /// What is under way; nothing most of the time.
    busy: Option<Box<Busy>>,
}

/// What a door has to say of what comes in by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Each message stands for itself: what is no command is answered, and the next may be one.
    Messages,
    /// Objects follow each other without frames: behind what is no command, and has no id either, nothing can be trusted.
    Objects,
}

/// What is under way.
#[derive(Debug, Default)]
struct Busy {
    /// The ids of the commands that wait for their answer.
    in_flight: Vec<u64>,
    /// At most [`Limits::commands_in_flight`] tasks, and a few others.
    events: VecDeque<Event>,
    /// Replies that wait for the driver: it takes them before it lets anything else happen.
    out: VecDeque<Encoded>,
}

/// What holds for every peer of a node.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The node's name, as clients are told it.
    pub node: String,
    /// What may be how large, how many, how often.
    pub limits: Limits,
    /// Who may do what where.
    pub policy: Policy,
}

#[derive(Debug)]
enum State {
    Fresh {
        deadline: Instant,
    },
    Connecting {
        deadline: Instant,
    },
    Connected(Session),
    /// With the link that it had, if it had one.
    Ended(Option<LinkId>),
}

#[derive(Debug)]
struct Session {
    link: LinkId,
    grant: Arc<Grant>,
    /// The client has not used this link yet.
    silent: bool,
    /// When the credential runs out, and before that, when the client is to be told.
    deadline: Option<Instant>,
    told: bool,
}

/// What a driver has to do for a peer.
#[derive(Debug)]
pub(crate) enum Event {
    /// A task that takes time; its outcome comes back by [`Peer::complete`] with the same id. Tasks are done
    /// one after the other, so a client's commands take effect in the order in which it sent them.
    Do(Option<u64>, Task),
    /// The client has used its link for the first time.
    Used(LinkId),
    /// It is over: the last event.
    End(Ending),
}

/// What takes time, and was allowed when it was asked for. Whoever does it asks the policy again: a refresh may
/// have been done since.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// Accept the credential, or not.
    Connect(Credential),
    /// Accept new permissions, or not.
    Refresh(Refresh),
    /// Make a subscription.
    Subscribe {
        /// Where.
        channel: ChannelName,
        /// From where on.
        since: Option<Position>,
        /// Whether the client wants to know who is there.
        presence: bool,
    },
    /// End a subscription.
    Unsubscribe(ChannelName),
    /// Publish.
    Publish(ChannelName, Content),
    /// Say who is there.
    Presence(ChannelName),
    /// Read history.
    History {
        /// Where.
        channel: ChannelName,
        /// After, or in reverse before, what.
        since: Option<Position>,
        /// At most so many.
        limit: usize,
        /// Newest first.
        reverse: bool,
    },
}

/// What came of a task.
#[derive(Debug)]
pub(crate) enum Done {
    /// The credential was accepted.
    Connected(Opened),
    /// New permissions were accepted.
    Refreshed(Arc<Grant>),
    /// Anything else, with its reply.
    Body(OkBody),
}

/// Why a deadline is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// No credential has come yet.
    NoCredential,
    /// The client is to be told that its credential runs out.
    ExpiringNotice,
    /// The credential runs out.
    Expiry,
}

impl Peer {
    /// A client that has said nothing yet.
    pub(crate) fn new(rules: Arc<Rules>, now: Now) -> Peer {
        Peer {
            state: State::Fresh { deadline: now.instant + rules.limits.connect_timeout },
            allowance: Arc::new(Allowance::new(now.instant)),
            rules,
            busy: None,
        }
    }

    /// One who has a session, and says something of it beside its link.
    pub(crate) fn visiting(
        rules: Arc<Rules>,
        link: LinkId,
        grant: Arc<Grant>,
        allowance: Arc<Allowance>,
    ) -> Peer {
        let session = Session { link, grant, silent: false, deadline: None, told: false };
        Peer { state: State::Connected(session), allowance, rules, busy: None }
    }

    /// The credential that came with the handshake. Answered by the push `connected`, or by the end.
    pub(crate) fn authenticate(&mut self, credential: Credential) {
        if let State::Fresh { deadline } = self.state {
            self.state = State::Connecting { deadline };
            self.busy().events.push_back(Event::Do(None, Task::Connect(credential)));
        }
    }

    /// One whole message of the client. Never fails: what is wrong with it is answered.
    pub(crate) fn receive(&mut self, now: Now, message: &[u8], manner: Manner) {
        if let State::Connected(session) = &mut self.state
            && std::mem::take(&mut session.silent)
        {
            let link = session.link;
            self.busy().events.push_back(Event::Used(link));
        }
        self.receive_command(now, message, manner);
    }

    /// What came of a task that [`poll_event`](Peer::poll_event) gave out.
    pub(crate) fn complete(&mut self, now: Now, id: Option<u64>, outcome: Result<Done, ErrorBody>) {
        if let Some(busy) = &mut self.busy {
            busy.in_flight.retain(|in_flight| Some(*in_flight) != id);
        }
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        match outcome {
            Ok(Done::Connected(opened)) => self.connected(now, id, opened),
            Ok(Done::Refreshed(grant)) => self.refreshed(now, id, grant),
            Ok(Done::Body(body)) => self.reply(id, Ok(body)),
            Err(error) => self.failed(id, error),
        }
    }

    /// What is to be done, in order.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let busy = self.busy.as_mut()?;
        let event = busy.events.pop_front();
        if busy.is_idle() {
            self.busy = None;
        }
        event
    }

    /// What is to be sent, in order.
    pub(crate) fn poll_transmit(&mut self) -> Option<Encoded> {
        let busy = self.busy.as_mut()?;
        let message = busy.out.pop_front();
        if busy.is_idle() {
            self.busy = None;
        }
        message
    }

    /// When [`handle_timeout`](Peer::handle_timeout) is to be called next, and why.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, Why)> {
        match &self.state {
            State::Fresh { deadline } | State::Connecting { deadline } => {
                Some((*deadline, Why::NoCredential))
            }
            State::Connected(session) => {
                let why = if session.told { Why::Expiry } else { Why::ExpiringNotice };
                session.deadline.map(|deadline| (deadline, why))
            }
            State::Ended(_) => None,
        }
    }

    /// A deadline may have come.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        match self.poll_timeout() {
            Some((at, why)) if at <= now.instant => match why {
                Why::NoCredential => {
                    let message =
                        format!("no credential within {} ms", millis(self.rules.limits.connect_timeout));
                    self.end(Ending::new(Code::Unauthenticated, message));
                }
                Why::ExpiringNotice => self.tell_expiring(now),
                Why::Expiry => self.end(Ending::new(Code::Expired, "the credential has run out")),
            },
            _ => {}
        }
    }

    /// Whether another message may be read now: not while the credential is being looked at, and not while as
    /// many commands as allowed wait for their answer.
    pub(crate) fn wants_input(&self) -> bool {
        match self.state {
            State::Connecting { .. } | State::Ended(_) => false,
            State::Fresh { .. } | State::Connected(_) => {
                self.in_flight().len() < self.rules.limits.commands_in_flight
            }
        }
    }

    /// The link, once there is one.
    pub(crate) fn link(&self) -> Option<LinkId> {
        self.session().map(|session| session.link)
    }

    /// The link that there is, or was before the end.
    pub(crate) fn last_link(&self) -> Option<LinkId> {
        match &self.state {
            State::Connected(session) => Some(session.link),
            State::Ended(link) => *link,
            State::Fresh { .. } | State::Connecting { .. } => None,
        }
    }

    /// The end, if it has not come already. Answers the link that there was, to whoever asks first.
    pub(crate) fn take_link(&mut self) -> Option<LinkId> {
        let link = self.last_link();
        self.state = State::Ended(None);
        link
    }

    /// What the client may, once it is connected.
    pub(crate) fn grant(&self) -> Option<&Arc<Grant>> {
        self.session().map(|session| &session.grant)
    }

    /// What the client may still do.
    pub(crate) fn allowance(&self) -> &Arc<Allowance> {
        &self.allowance
    }

    fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }

    fn in_flight(&self) -> &[u64] {
        self.busy.as_ref().map_or(&[], |busy| &busy.in_flight)
    }

    fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Connected(session) => Some(session),
            _ => None,
        }
    }

    fn connected(&mut self, now: Now, id: Option<u64>, opened: Opened) {
        let Opened { link, grant, token, allowance, .. } = opened;
        self.allowance = allowance;
        let limits = &self.rules.limits;
        let number = |limit: usize| u64::try_from(limit).ok();
        let body = Connected {
            session: token,
            user: grant.user.clone(),
            node: self.rules.node.clone(),
            expires: grant.expires,
            heartbeat_ms: millis(limits.heartbeat),
            limits: SessionLimits {
                message: number(limits.message),
                data: number(limits.publication),
                commands_per_s: Some(limits.commands.per_second.into()),
                burst: Some(limits.commands.burst.into()),
                channels: number(limits.subscriptions),
            },
        };
        self.state = State::Connected(Session { link, grant, silent: true, deadline: None, told: false });
        self.set_timers(now);
        match id {
            Some(_) => self.reply(id, Ok(body.into())),
            None => self.busy().out.push_back(Encoded::from(&Push::Connected(body))),
        }
    }

    fn refreshed(&mut self, now: Now, id: Option<u64>, grant: Arc<Grant>) {
        let expires = grant.expires;
        if let State::Connected(session) = &mut self.state {
            session.grant = grant;
        }
        self.set_timers(now);
        self.reply(id, Ok(Refreshed { expires }.into()));
    }

    fn failed(&mut self, id: Option<u64>, error: ErrorBody) {
        if let State::Connecting { deadline } = self.state {
            self.state = State::Fresh { deadline };
            if id.is_none() {
                // The handshake's credential was all there was to try.
                return self.end(Ending::new(error.code, error.message));
            }
        }
        self.reply(id, Err(error));
    }

    /// Sets the deadline to that of the notice, for a credential that runs out.
    fn set_timers(&mut self, now: Now) {
        let State::Connected(session) = &mut self.state else { return };
        let notice = |expiry: Instant| {
            let notice = expiry.checked_sub(self.rules.limits.expiring_notice);
            notice.map_or(now.instant, |notice| notice.max(now.instant))
        };
        session.deadline = session.expiry(now).map(notice);
        session.told = false;
    }

    fn tell_expiring(&mut self, now: Now) {
        let State::Connected(session) = &mut self.state else { return };
        session.deadline = session.expiry(now);
        session.told = true;
        if let Some(expiry) = session.deadline {
            let in_ms = millis(expiry.saturating_duration_since(now.instant));
            self.busy().out.push_back(Encoded::from(&Push::Expiring(Expiring { in_ms })));
        }
    }

    fn reply(&mut self, id: Option<u64>, outcome: Result<OkBody, ErrorBody>) {
        let Some(id) = id else { return };
        self.busy().out.push_back(Encoded::from(&match outcome {
            Ok(body) => Reply::Ok { id, body },
            Err(error) => Reply::Error { id, error },
        }));
    }

    fn end(&mut self, ending: Ending) {
        self.state = State::Ended(self.last_link());
        let busy = self.busy();
        busy.in_flight = Vec::new();
        busy.events.retain(|event| !matches!(event, Event::Do(..)));
        busy.events.push_back(Event::End(ending));
    }
}

impl Busy {
    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.events.is_empty() && self.out.is_empty()
    }
}

impl Session {
    /// When the credential runs out. One that outlives the clock's range needs no timer.
    fn expiry(&self, now: Now) -> Option<Instant> {
        let left = self.grant.expires?.saturating_sub(now.unix_ms);
        now.instant.checked_add(Duration::from_millis(left))
    }
}

#[cfg(test)]
mod tests;
