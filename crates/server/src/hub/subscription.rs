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
    pub(super) link: LinkId,
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
    CatchingUp {
        epoch: Epoch,
        sent: u64,
        /// The head's epoch when history was asked last: an answer cannot know of an epoch that began later.
        asked: Option<Epoch>,
        /// Whether this began with the subscribe: then the client is not slow but new, and gets all there is, from
        /// where it was on, whatever happens to slow readers.
        recovering: bool,
    },
    Live {
        epoch: Epoch,
        sent: u64,
    },
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

/// One publication's push, encoded when the first subscriber needs it.
pub(super) struct Lazy<'a> {
    channel: &'a ChannelName,
    publication: &'a Publication,
    push: OnceCell<Encoded>,
}

impl Subscription {
    /// The channel has a new publication.
    pub(super) fn deliver(&mut self, epoch: &Epoch, lazy: &Lazy<'_>) {
        let Phase::Live { epoch: ours, sent } = &mut self.phase else { return };
        let offset = lazy.publication.body.offset;
        if ours == epoch && offset <= *sent {
            return;
        }
        let is_next = ours == epoch && offset == *sent + 1;
        if is_next && (lazy.is_excluded(self.link) || self.outbox.offer(lazy.encoded())) {
            *sent = offset;
            return;
        }
        if is_next && self.slow_reader == SlowReader::Disconnect {
            self.outbox.end(Ending::slow_reader(self.outbox.bounds().high));
        }
        let (epoch, sent) = (ours.clone(), *sent);
        self.phase = Phase::CatchingUp { epoch, sent, asked: None, recovering: false };
        self.outbox.behind(lazy.channel);
    }

    /// The reply to the subscribe is in the outbox and has brought the client to where `recovery` says.
    pub(super) fn start(&mut self, channel: &ChannelName, recovery: &Recovery, head: &Head) {
        if let Some(gap) = recovery.gap {
            self.outbox.push(gap_push(channel, gap));
        }
        let Position { epoch, offset: sent } = recovery.position.clone();
        let nothing_newer = head.epoch.as_ref().is_none_or(|known| *known == epoch && head.offset <= sent);
        if recovery.complete && nothing_newer {
            self.phase = Phase::Live { epoch, sent };
        } else {
            self.phase = Phase::CatchingUp { epoch, sent, asked: None, recovering: true };
            self.outbox.behind(channel);
        }
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
        let Phase::CatchingUp { epoch, sent, asked, recovering } = &mut self.phase else { return None };
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
    pub(super) fn catch_up(&mut self, channel: &ChannelName, page: HistoryPage, head: &mut Head) -> Progress {
        let Phase::CatchingUp { epoch, sent, asked, recovering } = &mut self.phase else {
            return Progress::Done;
        };
        let HistoryPage { top, mut publications } = page;
        if top.epoch != *epoch {
            return Progress::Lost;
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
            if !lazy.is_excluded(self.link) && !self.outbox.offer(lazy.encoded()) {
                return Progress::More;
            }
            *sent = publication.body.offset;
        }
        if reached.is_some_and(|reached| reached < top.offset) && *sent > before {
            // Only the page ended, not the history.
            return Progress::More;
        }
        skip(&self.outbox, channel, sent, top.offset);
        let same = head.epoch.as_ref() == Some(epoch);
        if same && *sent == before {
            // Delivered here, and nowhere in history: not even another step would find it.
            skip(&self.outbox, channel, sent, head.offset);
        }
        if same && *sent < head.offset {
            return Progress::More;
        }
        if !same && *asked != head.epoch {
            return Progress::More;
        }
        if !same {
            // History knows better than a delivery that came before it was asked.
            *head = Head { epoch: Some(epoch.clone()), offset: *sent, newest: None };
        }
        self.phase = Phase::Live { epoch: epoch.clone(), sent: *sent };
        Progress::Done
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
