//! One client in one channel: how far it has been sent, and whether what comes goes straight to it. Pure, but
//! for the outbox.
//!
//! ```text
//!               reply is out             all sent, nothing newer delivered
//!   Starting ----------------> CatchingUp --------------------------------> Live
//!                                  ^                                         |
//!                                  '-----------------------------------------'
//!                                     outbox over its bound, or an offset is missing
//! ```
//!
//! `sent` says that every publication up to it has been put into the outbox, announced as a gap, or was not
//! meant for this session. In `Live` each delivery must be `sent + 1`; anything newer means that one was
//! missed. Only then, and while catching up, is history asked. That one rule is recovery after a reconnect,
//! the slow reader, and the delivery lost between nodes.

use std::cell::OnceCell;
use std::sync::Arc;

use trunkline_dialect::{ChannelName, ChannelPush, Epoch, Gap, Position, Push, UserId};

use super::recovery::Recovery;
use super::view::View;
use crate::channel::{HistoryPage, HistoryQuery, Publication};
use crate::encoded::Encoded;
use crate::outbox::{Ending, Outbox};
use crate::policy::SlowReader;
use crate::session::LinkId;

/// The most publications that one step of catching up asks for; the room in the outbox usually ends the page
/// before. It bounds how long the topic's lock is held for one client.
const PAGE: usize = 1_000;

/// One client in one channel.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) outbox: Arc<Outbox>,
    /// The user whose presence this subscription is, where the namespace keeps presence.
    pub(super) present: Option<UserId>,
    /// What the client is told of joins and leaves, if it is.
    pub(super) view: Option<View>,
    pub(super) slow_reader: SlowReader,
    pub(super) phase: Phase,
}

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    /// Boxed, for most subscriptions are live.
    CatchingUp(Box<CatchingUp>),
    /// In the epoch of the topic's head, and with how far it has been sent. Before the head moves to another epoch, whoever is
    /// live falls behind.
    Live(u64),
}

/// Where a subscription is that is not live.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CatchingUp {
    epoch: Epoch,
    sent: u64,
    /// The head's epoch when history was asked last: an answer cannot know of an epoch that began later.
    asked: Option<Epoch>,
    /// Whether this began with the subscribe: then the client is not slow but new, and gets all there is, from
    /// where it was on, whatever happens to slow readers.
    recovering: bool,
}

/// What this node has been delivered of a channel last.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) epoch: Option<Epoch>,
    pub(super) offset: u64,
    /// Kept where somebody may want just that (`newest_only`), for there may be no history to get it from.
    pub(super) newest: Option<Arc<Publication>>,
}

/// How a step of catching up went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing is missing any more, or there is nothing to do now.
    Done,
    /// Another step is due, once there is room.
    More,
    /// The channel's epoch has changed: the subscription has lost its place.
    Lost,
}

/// What came of a step of catching up.
pub(super) struct Step {
    pub(super) progress: Progress,
    /// Where the head is, if history knows better than what was delivered.
    pub(super) head: Option<Head>,
    /// The subscription is live, and has been sent so far.
    pub(super) live: Option<u64>,
}

/// One publication's push, encoded when the first subscriber needs it.
pub(super) struct Lazy<'a> {
    channel: &'a ChannelName,
    publication: &'a Publication,
    push: OnceCell<Encoded>,
}

impl Subscription {
    /// The channel has a new publication, in the epoch of the head. Answers whether the client is sent it now.
    pub(super) fn deliver(&mut self, link: LinkId, epoch: &Epoch, lazy: &Lazy<'_>) -> bool {
        let Phase::Live(sent) = &mut self.phase else { return false };
        let offset = lazy.publication.body.offset;
        if offset <= *sent {
            return false;
        }
        let is_next = offset == *sent + 1;
        if is_next {
            let excluded = lazy.is_excluded(link);
            if excluded || self.outbox.offer(lazy.encoded()) {
                *sent = offset;
                return !excluded;
            }
        }
        if is_next && self.slow_reader == SlowReader::Disconnect {
            self.outbox.end(Ending::slow_reader(self.outbox.bounds().high));
        }
        self.fall_behind(lazy.channel, epoch);
        false
    }

    /// Whoever is live, which is in `epoch`, is so no longer.
    pub(super) fn fall_behind(&mut self, channel: &ChannelName, epoch: &Epoch) {
        let Phase::Live(sent) = self.phase else { return };
        self.catch_up_from(channel, Position::new(epoch.clone(), sent), false);
    }

    /// The reply to the subscribe is in the outbox and has brought the client to where `recovery` says.
    pub(super) fn start(&mut self, channel: &ChannelName, recovery: &Recovery, head: &mut Head) {
        if let Some(gap) = recovery.gap {
            self.outbox.push(gap_push(channel, gap));
        }
        let position = &recovery.position;
        if head.epoch.is_none() {
            // Nothing was delivered yet: then this is what is known of the channel.
            *head = Head { epoch: Some(position.epoch.clone()), offset: position.offset, newest: None };
        }
        let nothing_newer = head.epoch.as_ref() == Some(&position.epoch) && head.offset <= position.offset;
        if recovery.complete && nothing_newer {
            self.phase = Phase::Live(position.offset);
        } else {
            self.catch_up_from(channel, position.clone(), true);
        }
    }

    fn catch_up_from(&mut self, channel: &ChannelName, position: Position, recovering: bool) {
        let Position { epoch, offset: sent } = position;
        self.phase = Phase::CatchingUp(Box::new(CatchingUp { epoch, sent, asked: None, recovering }));
        self.outbox.behind(channel);
    }

    /// Up to where the client has been sent everything, while it is live.
    pub(super) fn position(&self, head: &Head) -> Option<Position> {
        let Phase::Live(sent) = self.phase else { return None };
        Some(Position::new(head.epoch.clone()?, sent))
    }

    /// Tells what was held back of presence, as much as there is room for; the rest has another turn. Answers
    /// whether that was all.
    pub(super) fn tell_presence(&mut self, channel: &ChannelName) -> bool {
        let Some(view) = &mut self.view else { return true };
        for push in view.release(channel, self.outbox.room()) {
            self.outbox.push(push);
        }
        if view.is_held() {
            self.outbox.behind(channel);
        }
        !view.is_held()
    }

    /// What to ask history for, if anything is to be asked.
    pub(super) fn query(&mut self, head: &Head) -> Option<HistoryQuery> {
        let Phase::CatchingUp(behind) = &mut self.phase else { return None };
        let CatchingUp { epoch, sent, asked, recovering } = &mut **behind;
        asked.clone_from(&head.epoch);
        let (bytes, limit) = (self.outbox.room(), PAGE);
        Some(match self.slow_reader {
            _ if *recovering => {
                let since = Some(Position::new(epoch.clone(), *sent));
                HistoryQuery { since, limit, bytes, reverse: false }
            }
            SlowReader::CatchUp | SlowReader::Disconnect => {
                let since = Some(Position::new(epoch.clone(), *sent));
                HistoryQuery { since, limit, bytes, reverse: false }
            }
            SlowReader::NewestOnly => HistoryQuery { since: None, limit: 1, bytes, reverse: true },
            SlowReader::DropOldest => HistoryQuery { since: None, limit, bytes, reverse: true },
        })
    }

    /// History's answer to [`query`](Subscription::query).
    pub(super) fn catch_up(
        &mut self,
        link: LinkId,
        channel: &ChannelName,
        page: HistoryPage,
        head: &Head,
    ) -> Step {
        let step = |progress| Step { progress, head: None, live: None };
        let Phase::CatchingUp(behind) = &mut self.phase else { return step(Progress::Done) };
        let CatchingUp { epoch, sent, asked, recovering } = &mut **behind;
        let HistoryPage { top, mut publications } = page;
        if top.epoch != *epoch {
            return step(Progress::Lost);
        }
        let before = *sent;
        publications.sort_unstable_by_key(|publication| publication.body.offset);
        // Where history is kept the newest one is in it, and must not be put in front of those that come before it.
        let none = publications.iter().all(|publication| publication.body.offset <= before);
        if self.slow_reader == SlowReader::NewestOnly && (none || !*recovering) {
            publications.extend(head.newest_after(&top, &publications));
        }
        let reached = publications.last().map(|publication| publication.body.offset);
        for publication in publications.iter().filter(|publication| publication.body.offset > before) {
            let lazy = Lazy::new(channel, publication);
            skip(&self.outbox, channel, sent, publication.body.offset - 1);
            if !lazy.is_excluded(link) && !self.outbox.offer(lazy.encoded()) {
                return step(Progress::More);
            }
            *sent = publication.body.offset;
        }
        if reached.is_some_and(|reached| reached < top.offset) && *sent > before {
            // Only the page ended, not the history.
            return step(Progress::More);
        }
        skip(&self.outbox, channel, sent, top.offset);
        let same = head.epoch.as_ref() == Some(epoch);
        if same && *sent == before {
            // Delivered here, and nowhere in history: not even another step would find it.
            skip(&self.outbox, channel, sent, head.offset);
        }
        if same && *sent < head.offset {
            return step(Progress::More);
        }
        if !same && *asked != head.epoch {
            return step(Progress::More);
        }
        let known = Head { epoch: Some(epoch.clone()), offset: *sent, newest: None };
        Step { progress: Progress::Done, head: (!same).then_some(known), live: Some(*sent) }
    }
}

/// Announces what lies between `sent` and `to`, both offsets of the gap included, if anything does.
fn skip(outbox: &Outbox, channel: &ChannelName, sent: &mut u64, to: u64) {
    if *sent < to {
        outbox.push(gap_push(channel, Gap { from: *sent + 1, to }));
        *sent = to;
    }
}

fn gap_push(channel: &ChannelName, gap: Gap) -> Encoded {
    Encoded::from(&Push::Channel(channel.clone(), ChannelPush::Gap(gap)))
}

impl Head {
    /// Notes a delivery.
    pub(super) fn advance(&mut self, epoch: &Epoch, publication: &Arc<Publication>, keep: bool) {
        let offset = publication.body.offset;
        if self.epoch.as_ref() == Some(epoch) && offset <= self.offset {
            return;
        }
        self.epoch = Some(epoch.clone());
        self.offset = offset;
        self.newest = keep.then(|| publication.clone());
    }

    /// The newest delivered one, where it is newer than all of `page`.
    fn newest_after(&self, top: &Position, page: &[Arc<Publication>]) -> Option<Arc<Publication>> {
        let last = page.last().map_or(0, |publication| publication.body.offset);
        let newest = self.newest.as_ref().filter(|newest| newest.body.offset > last);
        newest.filter(|_| self.epoch.as_ref() == Some(&top.epoch)).cloned()
    }
}

impl<'a> Lazy<'a> {
    pub(super) fn new(channel: &'a ChannelName, publication: &'a Publication) -> Lazy<'a> {
        Lazy { channel, publication, push: OnceCell::new() }
    }

    fn is_excluded(&self, link: LinkId) -> bool {
        self.publication.exclude == Some(link.session)
    }

    fn encoded(&self) -> &Encoded {
        self.push.get_or_init(|| {
            let push = ChannelPush::Publication(self.publication.body.clone());
            Encoded::from(&Push::Channel(self.channel.clone(), push))
        })
    }
}
