//! One channel: its epoch, its offsets, and the history that makes coming back without loss possible. Pure.
//!
//! A position is `(epoch, offset)`. Offsets alone would lie: a broker that restarts with an empty memory
//! begins at 1 again, and a client that comes back asking for "everything after 57" would silently be given
//! nothing until offset 58 is reached, having lost all before. The epoch is a fresh random name for each life
//! of the channel, so that such a client is told `recovered: false` instead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_dialect::{Epoch, Json, Position, Publication as Body, UserId};

use crate::clock::Now;
use crate::session::SessionId;

/// What somebody wants published.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// Any JSON, exactly as it was written.
    pub data: Json,
    /// Who published it, if a user did.
    pub user: Option<UserId>,
    /// The session that must not be sent it.
    pub exclude: Option<SessionId>,
}

/// One item in a channel.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    /// What crosses the wire: offset, data, user, time.
    pub body: Body,
    /// The session that must not be sent it.
    pub exclude: Option<SessionId>,
}

impl Publication {
    /// What keeping it costs in bytes, near enough to bound a history by.
    pub(crate) fn weight(&self) -> usize {
        /// The structures around the data: publication, reference counts, queue entry.
        const AROUND: usize = 128;
        AROUND + self.body.data.get().len() + self.body.user.as_ref().map_or(0, |user| user.as_str().len())
    }
}

/// How much of a channel's past is kept: whichever of the three runs out first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryPolicy {
    /// Publications; 0 keeps none.
    pub size: usize,
    /// How long each is kept.
    pub ttl: Duration,
    /// Bytes of all of them together, so that 1,000 large publications in each of many channels stay
    /// affordable.
    pub bytes: usize,
}

impl HistoryPolicy {
    /// Nothing is kept: positions still count, and what a client misses is announced to it as a gap.
    #[cfg(test)]
    pub(crate) const OFF: HistoryPolicy = HistoryPolicy { size: 0, ttl: Duration::ZERO, bytes: 0 };
}

impl Default for HistoryPolicy {
    /// 1,000 publications, 10 minutes, 8 MiB.
    fn default() -> HistoryPolicy {
        HistoryPolicy { size: 1_000, ttl: Duration::from_secs(600), bytes: 8 << 20 }
    }
}

/// Which part of the history is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryQuery {
    /// Exclusive: forwards from the publication after it, backwards from the one before it. `None` is the
    /// respective end.
    pub since: Option<Position>,
    /// At most so many publications.
    pub limit: usize,
    /// At most so many bytes by [`Publication::weight`], but always one publication if there is one.
    pub bytes: usize,
    /// Newest first.
    pub reverse: bool,
}

/// An answer to a [`HistoryQuery`].
#[derive(Debug, Clone)]
pub(crate) struct HistoryPage {
    /// Where the channel was when the page was read. When its epoch is not the one asked for, `publications`
    /// is empty.
    pub top: Position,
    /// In the order asked for, without holes.
    pub publications: Vec<Arc<Publication>>,
}

/// One life of a channel.
#[derive(Debug)]
pub(crate) struct Channel {
    epoch: Epoch,
    top: u64,
    history: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    publication: Arc<Publication>,
    until: Instant,
}

impl Channel {
    /// A channel in which nothing has been published in this epoch.
    pub(crate) fn new(epoch: Epoch) -> Channel {
        Channel { epoch, top: 0, history: VecDeque::new(), bytes: 0 }
    }

    /// Where the channel is. Survives an empty history: positions of a quiet channel do not age out.
    pub(crate) fn position(&self) -> Position {
        Position { epoch: self.epoch.clone(), offset: self.top }
    }

    /// Gives `content` the next offset and keeps it as long as `policy` says.
    pub(crate) fn append(&mut self, now: Now, content: Content, policy: &HistoryPolicy) -> Arc<Publication> {
        self.top += 1;
        let Content { data, user, exclude } = content;
        let body = Body { offset: self.top, data, user, at: now.unix_ms };
        let publication = Arc::new(Publication { body, exclude });
        if policy.size > 0 {
            self.bytes += publication.weight();
            self.history
                .push_back(Kept { publication: publication.clone(), until: now.instant + policy.ttl });
        }
        while self.history.len() > policy.size || self.bytes > policy.bytes {
            if !self.forget_oldest() {
                break;
            }
        }
        self.expire(now.instant);
        publication
    }

    /// Forgets what has been kept long enough; answers whether anything is left.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        while self.history.front().is_some_and(|kept| kept.until <= now) {
            self.forget_oldest();
        }
        !self.history.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.bytes
    }

    /// One page of the history as of `now`.
    pub(crate) fn page(&mut self, now: Instant, query: &HistoryQuery) -> HistoryPage {
        self.expire(now);
        let top = self.position();
        if query.since.as_ref().is_some_and(|since| since.epoch != top.epoch) {
            return HistoryPage { top, publications: Vec::new() };
        }
        let since = query.since.as_ref().map(|since| since.offset);
        let publications = if query.reverse {
            let end = since.map_or(self.history.len(), |since| self.index_of(since));
            take(self.history.range(..end).rev(), query)
        } else {
            let start = since.map_or(0, |since| self.index_of(since.saturating_add(1)));
            take(self.history.range(start..), query)
        };
        HistoryPage { top, publications }
    }

    /// Where `offset` is in the history, or would be: the history has no holes, so arithmetic finds it.
    fn index_of(&self, offset: u64) -> usize {
        let first = self.top + 1 - self.history.len() as u64;
        usize::try_from(offset.saturating_sub(first)).unwrap_or(usize::MAX).min(self.history.len())
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(kept) = self.history.pop_front() else { return false };
        self.bytes -= kept.publication.weight();
        if self.history.is_empty() {
            // A quiet channel costs its position, not the room its busiest hour took.
            self.history = VecDeque::new();
        }
        true
    }
}

/// What of `kept` fits the query's two limits; the first always does.
fn take<'a>(kept: impl Iterator<Item = &'a Kept>, query: &HistoryQuery) -> Vec<Arc<Publication>> {
    let mut bytes = 0_usize;
    let fits = |kept: &&Kept| {
        let first = bytes == 0;
        bytes = bytes.saturating_add(kept.publication.weight());
        first || bytes <= query.bytes
    };
    kept.take(query.limit).take_while(fits).map(|kept| kept.publication.clone()).collect()
}

#[cfg(test)]
mod tests;
