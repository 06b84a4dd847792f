//! One subscription: where it is, and what the application gets of it.
//!
//! ```text
//!            subscribe sent            reply                     queue full
//!  Wanted ------------------> Asked ----------> Live, in step ----------------> Live, behind
//!    ^                          |                 |      ^                          |
//!    |           cut            |                 |      |    all that was passed   |
//!    +--------------------------+-----------------+      |    over has been fetched |
//!    |                                                   +--------------------------+
//!    +-------------------------------- cut, still behind --------------------------+
//! ```
//!
//! *Behind* means that the application did not take events fast enough. Nothing more is queued; only the highest offset
//! passed over is noted. When half of the queue is free, the rest comes from history, and what history no longer has is
//! a gap. So the connection is read at full speed for all other channels, memory is bounded, and nothing is lost in
//! silence.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use trunkline_dialect::command::{History as AskHistory, Subscribe};
use trunkline_dialect::{
    ChannelPush, ErrorBody, Gap, History, Member, Position, Presence, Publication, Removed, Subscribed,
};

use super::ask::{Answer, Key};
use crate::event::{Event, Lost};

/// The task's end of a [`Subscription`](crate::Subscription).
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) events: mpsc::Sender<Event>,
    /// What comes after all that is queued, whether or not the queue has room.
    pub(crate) last: oneshot::Sender<Vec<Event>>,
}

#[derive(Debug)]
pub(crate) struct Channel {
    key: Key,
    feed: Feed,
    presence: bool,
    /// The last publication that is queued or was, or since which to begin.
    position: Option<Position>,
    stage: Stage,
    /// Who waits for the first answer to subscribe.
    answer: Option<Answer<()>>,
    behind: Option<Behind>,
    catching_up: CatchingUp,
}

/// What is under way to end being behind: never two things at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CatchingUp {
    Idle,
    /// [`Need::Room`] was told and not yet met.
    Waiting,
    /// [`Need::History`] was told, or its command is on its way.
    Fetching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Wanted,
    Asked,
    Live,
}

/// What the application has not been told since its queue was full.
#[derive(Debug, Default)]
struct Behind {
    /// The highest offset passed over, in the epoch of the position.
    seen: u64,
    lost: Option<Lost>,
    /// Whether joins or leaves were passed over.
    members: bool,
}

/// What a channel needs next from whoever drives it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    /// To be told when half of the queue is free.
    Room,
    /// The command of [`Channel::catch_up`].
    History,
    /// Who is there.
    Members,
}

impl Channel {
    pub(crate) fn new(
        key: Key,
        feed: Feed,
        presence: bool,
        since: Option<Position>,
        answer: Answer<()>,
    ) -> Self {
        let answer = Some(answer);
        Self {
            key,
            feed,
            presence,
            position: since,
            stage: Stage::Wanted,
            answer,
            behind: None,
            catching_up: CatchingUp::Idle,
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Whether the hub knows of it, or is about to.
    pub(crate) fn is_on_the_hub(&self) -> bool {
        self.stage != Stage::Wanted
    }

    pub(crate) fn is_first(&self) -> bool {
        self.answer.is_some()
    }

    /// For waiting until there is room again.
    pub(crate) fn events(&self) -> &mpsc::Sender<Event> {
        &self.feed.events
    }

    /// The command that begins it, or goes on with it; it is on its way then.
    pub(crate) fn subscribe(&mut self) -> Subscribe {
        self.stage = Stage::Asked;
        Subscribe { channel: self.key.channel.clone(), since: self.position.clone(), presence: self.presence }
    }

    /// The connection is gone, or the hub could not do it now.
    pub(crate) fn cut(&mut self) {
        self.stage = Stage::Wanted;
        if self.catching_up == CatchingUp::Fetching {
            self.catching_up = CatchingUp::Idle;
        }
    }

    pub(crate) fn subscribed(&mut self, reply: Subscribed) -> Need {
        if let Some(answer) = self.answer.take() {
            // Whoever waited may have gone; then the dropped subscription is noticed as such.
            let _ = answer.send(Ok(()));
        }
        self.stage = Stage::Live;
        let Subscribed { epoch, offset, recovered, publications, members } = reply;
        let before_first = publications.first().map(|first| first.offset.saturating_sub(1));
        let start = Position::new(epoch, before_first.unwrap_or(offset));
        match self.position.take() {
            None => self.position = Some(start),
            Some(since) if recovered && since.epoch == start.epoch => {
                self.position = Some(since.clone());
                self.offer(Event::Recovered { since });
            }
            Some(before) => {
                self.position = Some(start.clone());
                self.lose(Lost { before, now: start });
            }
        }
        for publication in publications {
            self.publication(publication);
        }
        // Who fell behind before the cut may have missed more than this reply shows.
        if let Some(behind) = &mut self.behind {
            behind.seen = behind.seen.max(offset);
        }
        if let Some(members) = members {
            self.members(members);
        }
        self.need_room()
    }

    pub(crate) fn push(&mut self, push: ChannelPush) -> Need {
        if self.stage != Stage::Live {
            // Of an earlier subscription: no push precedes the reply to ours.
            return Need::Nothing;
        }
        match push {
            ChannelPush::Publication(publication) => self.publication(publication),
            ChannelPush::Gap(gap) => self.gap(gap),
            ChannelPush::Join(join) => self.presence_changed(Event::Join(join)),
            ChannelPush::Leave(leave) => self.presence_changed(Event::Leave(leave)),
            // The end of the subscription is not its own affair, and pushes to come mean nothing to us.
            _ => {}
        }
        self.need_room()
    }

    /// [`Need::Room`] is met.
    pub(crate) fn has_room_again(&mut self) -> Need {
        self.catching_up = CatchingUp::Idle;
        if self.stage == Stage::Live { self.need_room() } else { Need::Nothing }
    }

    /// The command that [`Need::History`] is for.
    pub(crate) fn catch_up(&mut self) -> Option<AskHistory> {
        if self.stage != Stage::Live {
            return None;
        }
        let lost = self.behind.as_mut()?.lost.take();
        if let Some(lost) = lost
            && !self.queue(Event::Lost(lost.clone()))
        {
            self.fall_behind().lost = Some(lost);
        }
        let limit = u32::try_from(self.feed.events.capacity()).unwrap_or(u32::MAX);
        Some(AskHistory {
            channel: self.key.channel.clone(),
            since: self.position.clone(),
            limit,
            reverse: false,
        })
    }

    /// The answer to [`catch_up`](Self::catch_up).
    pub(crate) fn caught_up(&mut self, reply: Result<History, ErrorBody>) -> Need {
        self.catching_up = CatchingUp::Idle;
        let (Some(start), Some(mut behind)) = (self.position.clone(), self.behind.take()) else {
            return Need::Nothing;
        };
        if let Ok(History { publications, epoch, offset }) = reply {
            if epoch != start.epoch {
                let before_first = publications.first().map(|first| first.offset.saturating_sub(1));
                let now = Position::new(epoch, before_first.unwrap_or(offset));
                self.position = Some(now.clone());
                behind.seen = offset;
                self.lose(Lost { before: start.clone(), now });
            }
            behind.seen = behind.seen.max(offset);
            for publication in publications {
                self.skip_to(publication.offset);
                self.publication(publication);
            }
        }
        if self.position.as_ref() == Some(&start) {
            // History is off, or forbidden, or has lost them: nobody has what is missing.
            self.skip_to(behind.seen.saturating_add(1));
        }
        self.after_catching_up(behind)
    }

    /// The answer to [`Need::Members`].
    pub(crate) fn fetched_members(&mut self, reply: Result<Presence, ErrorBody>) -> Need {
        // Without an answer the application keeps what it knows; presence is what the hub allows to be seen.
        if let Ok(Presence { members, .. }) = reply {
            self.members(members);
        }
        self.need_room()
    }

    /// The end, for a reason of the hub's: after all that is queued.
    pub(crate) fn end(self, removed: Removed) {
        let mut last = Vec::new();
        if let Some(Behind { seen, lost, .. }) = self.behind {
            last.extend(lost.map(Event::Lost));
            last.extend(missing(self.position.as_ref(), seen).map(Event::Gap));
        }
        last.push(Event::Unsubscribed(removed));
        // The application may have dropped the subscription: then nobody needs to know.
        let _ = self.feed.last.send(last);
    }

    /// The end before it began.
    pub(crate) fn refuse(self, error: crate::Error) {
        if let Some(answer) = self.answer {
            // Whoever waited may have gone: then nobody needs to know.
            let _ = answer.send(Err(error));
        }
    }

    fn publication(&mut self, publication: Publication) {
        let Publication { offset, .. } = publication;
        let Some(position) = &self.position else { return };
        if offset <= position.offset {
            return;
        }
        if self.offer(Event::Publication(publication)) {
            self.advance(offset);
        } else {
            let behind = self.fall_behind();
            behind.seen = behind.seen.max(offset);
        }
    }

    fn gap(&mut self, gap: Gap) {
        if self.offer(Event::Gap(gap)) {
            self.advance(gap.to);
        } else {
            let behind = self.fall_behind();
            behind.seen = behind.seen.max(gap.to);
        }
    }

    fn presence_changed(&mut self, event: Event) {
        if self.presence && !self.offer(event) {
            self.fall_behind().members = true;
        }
    }

    fn members(&mut self, members: Vec<Member>) {
        if self.presence && !self.offer(Event::Members(members)) {
            self.fall_behind().members = true;
        }
    }

    /// The position has moved to `lost.now` without the application having got what was between.
    fn lose(&mut self, lost: Lost) {
        if self.offer(Event::Lost(lost.clone())) {
            return;
        }
        let behind = self.fall_behind();
        // Of several losses the application hears of one that spans them all.
        let before = behind.lost.take().map_or(lost.before, |earlier| earlier.before);
        behind.seen = lost.now.offset;
        behind.lost = Some(Lost { before, now: lost.now });
    }

    /// Tells of a gap, if there is one, before `offset`.
    fn skip_to(&mut self, offset: u64) {
        if let Some(gap) = missing(self.position.as_ref(), offset.saturating_sub(1)) {
            self.gap(gap);
        }
    }

    fn after_catching_up(&mut self, earlier: Behind) -> Need {
        let reached = self.position.as_ref().is_none_or(|position| position.offset >= earlier.seen);
        if reached && self.behind.is_none() {
            return if earlier.members { Need::Members } else { Need::Nothing };
        }
        let behind = self.fall_behind();
        behind.seen = behind.seen.max(earlier.seen);
        behind.members |= earlier.members;
        self.need_room()
    }

    /// What must be done to be in step again, if it is not being done.
    fn need_room(&mut self) -> Need {
        if self.behind.is_none() || self.catching_up != CatchingUp::Idle {
            return Need::Nothing;
        }
        let (catching_up, need) = match self.feed.events.capacity() >= room(&self.feed.events) {
            true => (CatchingUp::Fetching, Need::History),
            false => (CatchingUp::Waiting, Need::Room),
        };
        self.catching_up = catching_up;
        need
    }

    /// Queues an event, unless something before it was passed over. False if it was not queued.
    fn offer(&mut self, event: Event) -> bool {
        self.behind.is_none() && self.queue(event)
    }

    fn queue(&mut self, event: Event) -> bool {
        // A dropped subscription is noticed by its own watch; until then its events are nobody's.
        !matches!(self.feed.events.try_send(event), Err(TrySendError::Full(_)))
    }

    fn fall_behind(&mut self) -> &mut Behind {
        self.behind.get_or_insert_default()
    }

    fn advance(&mut self, offset: u64) {
        if let Some(position) = &mut self.position {
            position.offset = position.offset.max(offset);
        }
    }
}

/// How much of a queue must be free to go on after it was full: half, so that catching up goes in large steps.
pub(crate) fn room(events: &mpsc::Sender<Event>) -> usize {
    events.max_capacity().div_ceil(2)
}

fn missing(position: Option<&Position>, up_to: u64) -> Option<Gap> {
    let from = position?.offset.saturating_add(1);
    (from <= up_to).then_some(Gap { from, to: up_to })
}
