//! The broker of a server that is alone: everything in this process's memory, gone with it.
//!
//! Each channel's room has a lock of its own, held while a publication gets its offset *and* is delivered,
//! which is what makes the order of deliveries the order of offsets. Other channels go on meanwhile.

use std::collections::{BTreeSet, HashSet};
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use trunkline_dialect::{ChannelName, Epoch, Json, Member, Position, UserId};

use super::{Answer, Broker, BrokerError, Delivery, Sink};
use crate::cells::{Cells, Full, SHARDS, lock};
use crate::channel::{Channel, Content, HistoryPage, HistoryPolicy, HistoryQuery};
use crate::clock::Clock;
use crate::presence::Presence;
use crate::session::LinkId;

/// How long a channel is remembered in which nothing is kept, nobody is present, and no subscriber of this
/// node is interested. Until then whoever comes back finds its position good; 24 hours cover a laptop closed
/// overnight.
const QUIET_FOR: Duration = Duration::from_secs(24 * 3_600);

/// After a search for rooms to give up that found none, how long nobody searches again. A search looks at every room: were it
/// made for each command that names a new channel, a full house would be an easy way to stop the server.
const SEARCH_PAUSE: Duration = Duration::from_secs(1);

/// Channels, their history and who is present, in memory.
pub(crate) struct MemoryBroker {
    clock: Clock,
    sink: Arc<dyn Sink>,
    rooms: Cells<Room>,
    /// Which channels have subscribers here. Apart from the rooms, for it is told under the hub's locks, and
    /// those come after a room's.
    wanted: Mutex<HashSet<ChannelName>>,
    /// When somebody's stay may end, and where. At most one entry per link lost within the grace.
    due: Mutex<BTreeSet<(Instant, ChannelName)>>,
    next_sweep: AtomicUsize,
    /// Until when a search for rooms to give up is not worth it. Held by whoever searches.
    no_search_before: Mutex<Option<Instant>>,
}

struct Room {
    channel: Channel,
    presence: Presence,
    used: Instant,
}

impl MemoryBroker {
    /// A broker that delivers to `sink` and remembers at most `channels` channels.
    pub(crate) fn new(clock: Clock, sink: Arc<dyn Sink>, channels: usize) -> MemoryBroker {
        MemoryBroker {
            clock,
            sink,
            rooms: Cells::new(channels),
            wanted: Mutex::default(),
            due: Mutex::default(),
            next_sweep: AtomicUsize::new(0),
            no_search_before: Mutex::default(),
        }
    }

    /// Works in the room of a channel, made if need be; of a full house, quiet rooms are given up first.
    fn enter_room<R>(
        &self,
        channel: &ChannelName,
        work: impl FnOnce(&mut Room) -> R,
    ) -> Result<R, BrokerError> {
        let now = self.clock.now().instant;
        if self.rooms.is_full() && self.rooms.with(channel, |_| ()).is_none() {
            self.make_room(now);
        }
        let room = |_: &ChannelName| Room {
            channel: Channel::new(fresh_epoch()),
            presence: Presence::default(),
            used: now,
        };
        let work = |room: &mut Room| {
            room.used = now;
            work(room)
        };
        self.rooms.with_or_make(channel, room, work).map_err(|Full| BrokerError::Full("channels"))
    }

    /// Gives up rooms that nobody uses, whatever their age. Looks at every one, so it gives up a sixteenth of
    /// them at once, or is not done again for a while.
    fn make_room(&self, now: Instant) {
        let Ok(mut no_search_before) = self.no_search_before.try_lock() else { return };
        if no_search_before.is_some_and(|at| now < at) {
            return;
        }
        let wanted = (self.rooms.len() / 16).max(1);
        let mut quota = wanted;
        for shard in 0..SHARDS {
            self.rooms.sweep(shard, |name, room| {
                let give_up = quota > 0 && self.is_idle(name, room, now);
                quota -= usize::from(give_up);
                !give_up
            });
        }
        if quota == wanted {
            *no_search_before = Some(now + SEARCH_PAUSE);
        }
    }

    fn is_idle(&self, name: &ChannelName, room: &mut Room, now: Instant) -> bool {
        !room.channel.expire(now) && room.presence.is_empty() && !lock(&self.wanted).contains(name)
    }

    /// Ends the stays that are due in one channel.
    fn expire_presence(&self, name: &ChannelName, now: Instant) {
        self.rooms.with(name, |room| {
            for user in room.presence.expire(now) {
                self.sink.deliver(name, Delivery::Leave(&user));
            }
        });
    }

    fn next_due(&self, now: Instant) -> Option<ChannelName> {
        let mut due = lock(&self.due);
        let is_due = due.first().is_some_and(|(at, _)| *at <= now);
        if is_due { due.pop_first().map(|(_, name)| name) } else { None }
    }
}

impl Broker for MemoryBroker {
    fn publish<'a>(
        &'a self,
        channel: &'a ChannelName,
        content: Content,
        policy: &'a HistoryPolicy,
    ) -> Answer<'a, Position> {
        let now = self.clock.now();
        let position = self.enter_room(channel, |room| {
            let publication = room.channel.append(now, content, policy);
            let position = room.channel.position();
            self.sink.deliver(channel, Delivery::Publication(&position.epoch, &publication));
            position
        });
        Box::pin(ready(position))
    }

    fn history<'a>(&'a self, channel: &'a ChannelName, query: HistoryQuery) -> Answer<'a, HistoryPage> {
        let now = self.clock.now().instant;
        Box::pin(ready(self.enter_room(channel, |room| room.channel.page(now, &query))))
    }

    fn enter<'a>(
        &'a self,
        channel: &'a ChannelName,
        link: LinkId,
        user: &'a UserId,
        info: Option<&'a Json>,
    ) -> Answer<'a, ()> {
        let entered = self.enter_room(channel, |room| {
            if room.presence.enter(link, user, info) {
                self.sink.deliver(channel, Delivery::Join(user, info, link.session));
            }
        });
        Box::pin(ready(entered))
    }

    fn leave<'a>(&'a self, channel: &'a ChannelName, link: LinkId, user: &'a UserId) -> Answer<'a, ()> {
        self.rooms.with(channel, |room| {
            if room.presence.leave(link, user) {
                self.sink.deliver(channel, Delivery::Leave(user));
            }
        });
        Box::pin(ready(Ok(())))
    }

    fn members<'a>(&'a self, channel: &'a ChannelName) -> Answer<'a, Vec<Member>> {
        let members = self.rooms.with(channel, |room| room.presence.members());
        Box::pin(ready(Ok(members.unwrap_or_default())))
    }

    fn count_members<'a>(&'a self, channels: &'a [ChannelName]) -> Answer<'a, Vec<usize>> {
        let count = |channel| self.rooms.with(channel, |room| room.presence.len()).unwrap_or(0);
        Box::pin(ready(Ok(channels.iter().map(count).collect())))
    }

    fn ready(&self) -> Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn interest(&self, channel: &ChannelName, wanted: bool) -> Answer<'static, ()> {
        let mut all = lock(&self.wanted);
        if wanted {
            all.insert(channel.clone());
        } else {
            all.remove(channel);
        }
        Box::pin(ready(Ok(())))
    }

    fn linger(&self, channel: &ChannelName, link: LinkId, user: &UserId, grace: Duration) {
        let until = self.clock.now().instant + grace;
        let lingers = self.rooms.with(channel, |room| room.presence.linger(link, user, until));
        if lingers == Some(true) {
            lock(&self.due).insert((until, channel.clone()));
        }
    }

    fn maintain(&self) {
        let now = self.clock.now().instant;
        while let Some(name) = self.next_due(now) {
            self.expire_presence(&name, now);
        }
        let shard = self.next_sweep.fetch_add(1, Ordering::Relaxed) % SHARDS;
        self.rooms.sweep(shard, |name, room| {
            // First of all: what has been kept long enough goes, however recently the channel was used.
            let is_idle = self.is_idle(name, room, now);
            !is_idle || now.saturating_duration_since(room.used) < QUIET_FOR
        });
    }
}

impl std::fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBroker").field("channels", &self.rooms.len()).finish_non_exhaustive()
    }
}

/// 96 random bits: never used before, in this process or any other.
fn fresh_epoch() -> Epoch {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    let text = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 12]>());
    Epoch::new(&text).expect("16 letters and digits keep the rules of an epoch")
}

#[cfg(test)]
mod tests;
