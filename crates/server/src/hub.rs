//! Who subscribes to what on this node. The only module that knows.
//!
//! Every channel with a subscriber here is a topic with a lock of its own, held for a lookup, a fan-out, or
//! one step of one client's catching up; nothing waits while it is held. A publication is encoded once, and
//! each outbox gets a reference to it.

mod recovery;
mod subscription;
mod view;

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::mem::take;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use indexmap::IndexMap;
use trunkline_dialect::{ChannelName, ChannelPush, Epoch, Join, Leave, Member, Position, Push, UserId};

use crate::broker::{Delivery, Sink};
use crate::cells::{Cells, Full, SHARDS, lock};
use crate::channel::{HistoryPage, HistoryQuery, Publication};
use crate::encoded::Encoded;
use crate::few::Few;
use crate::outbox::Outbox;
use crate::policy::SlowReader;
use crate::session::{LinkId, SessionId};
pub(crate) use recovery::Recovery;
pub(crate) use subscription::Progress;
use subscription::{Head, Lazy, Phase, Subscription};
use view::View;

/// Who subscribes to what.
#[derive(Debug)]
pub(crate) struct Hub {
    topics: Cells<Topic>,
    /// The channels of each link that is there; a link that is not in here can subscribe to nothing any more. In parts, for
    /// links come and go in crowds.
    links: Vec<Mutex<HashMap<LinkId, Few<ChannelName, ()>>>>,
    subscriptions_per_link: usize,
    subscriptions: AtomicUsize,
    deliveries: AtomicUsize,
}

/// One channel that somebody here subscribes to.
#[derive(Debug, Default)]
struct Topic {
    subscriptions: IndexMap<LinkId, Subscription>,
    head: Head,
    /// Whether some subscriber may want just the newest publication.
    keeps_newest: bool,
}

/// How a client subscribes.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    /// Its link.
    pub link: LinkId,
    /// Where its pushes go.
    pub outbox: Arc<Outbox>,
    /// The user that is present by it, if the namespace keeps presence.
    pub present: Option<UserId>,
    /// Whether it is told of joins and leaves.
    pub watches: bool,
    /// What happens when it reads too slowly.
    pub slow_reader: SlowReader,
}

/// Who was present when the reply to a subscribe was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roll {
    /// Whom the reply names.
    pub named: Vec<Member>,
    /// Who did not fit into it.
    pub others: Vec<Member>,
}

/// Why a subscription was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscribeRefused {
    /// The link has it already.
    Already,
    /// The link has as many as it may; with the number.
    TooMany(usize),
    /// The node has as many channels as it may.
    Full,
    /// The link is gone.
    Gone,
}

impl Hub {
    /// A hub of at most `channels` channels, and `subscriptions_per_link` for each link.
    pub(crate) fn new(channels: usize, subscriptions_per_link: usize) -> Hub {
        Hub {
            topics: Cells::new(channels),
            links: (0..SHARDS).map(|_| Mutex::default()).collect(),
            subscriptions_per_link,
            subscriptions: AtomicUsize::new(0),
            deliveries: AtomicUsize::new(0),
        }
    }

    /// A link is there and may subscribe.
    pub(crate) fn add_link(&self, link: LinkId) {
        self.links(link).entry(link).or_default();
    }

    /// Makes a subscription, which is silent until [`start`](Hub::start). `interest` is called under the
    /// topic's lock, and its result returned: so that what it asks for and what
    /// [`unsubscribe`](Hub::unsubscribe) takes back cannot overtake each other.
    ///
    /// # Errors
    /// [`SubscribeRefused`] says why not.
    pub(crate) fn subscribe<R>(
        &self,
        channel: &ChannelName,
        subscriber: Subscriber,
        interest: impl FnOnce() -> R,
    ) -> Result<R, SubscribeRefused> {
        let link = subscriber.link;
        // One text for all who subscribe.
        let channel = &self.topics.name(channel).unwrap_or_else(|| channel.clone());
        self.note(link, channel)?;
        let work = |topic: &mut Topic| {
            // Of channels with one subscriber there may be as many as there are clients; left to itself, the map would make
            // room for four.
            if topic.subscriptions.is_empty() {
                topic.subscriptions.reserve_exact(1);
            }
            topic.keeps_newest |= subscriber.slow_reader == SlowReader::NewestOnly;
            topic.subscriptions.insert(link, Subscription::new(subscriber));
            interest()
        };
        let made = self.topics.with_or_make(channel, |_| Topic::default(), work).map_err(|Full| {
            self.forget(link, channel);
            SubscribeRefused::Full
        })?;
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        Ok(made)
    }

    /// Whether the link was dropped while its subscription was being made: what `subscribe` left behind must
    /// then be undone.
    pub(crate) fn is_gone(&self, link: LinkId) -> bool {
        !self.links(link).contains_key(&link)
    }

    /// The reply to the subscribe, which said `recovery` and named the first of `roll`, is in the outbox: from
    /// here on there are pushes, and the others of the roll are the first of them.
    pub(crate) fn start(&self, link: LinkId, channel: &ChannelName, recovery: &Recovery, roll: Roll) {
        let named: BTreeSet<&UserId> = roll.named.iter().map(|member| &member.user).collect();
        self.with_subscription(link, channel, |subscription, head| {
            subscription.start(channel, recovery, head);
            if let Some(view) = &mut subscription.view {
                view.start(|user| named.contains(user), roll.others);
            }
            subscription.tell_presence(channel);
        });
    }

    /// There is room in the outbox for a channel in which its client is behind: presence that was held back
    /// goes out, and what is to be asked of history, if anything, is answered. Its answer goes to
    /// [`catch_up`](Hub::catch_up).
    pub(crate) fn plan(&self, link: LinkId, channel: &ChannelName) -> Option<HistoryQuery> {
        let plan = self.with_subscription(link, channel, |subscription, head| {
            // The rest of presence first, when there is room again: publications can wait in the history.
            if subscription.tell_presence(channel) { subscription.query(head) } else { None }
        });
        plan.flatten()
    }

    /// One step of catching up, with what history answered. After [`Progress::More`] the outbox asks for the
    /// next by itself.
    pub(crate) fn catch_up(&self, link: LinkId, channel: &ChannelName, page: HistoryPage) -> Progress {
        let progress = self.topics.with(channel, |topic| topic.catch_up(link, channel, page));
        progress.flatten().unwrap_or(Progress::Done)
    }

    /// Up to where a link has been sent a channel, or put into its outbox, while it is live there.
    pub(crate) fn position(&self, link: LinkId, channel: &ChannelName) -> Option<Position> {
        self.with_subscription(link, channel, |subscription, head| subscription.position(head)).flatten()
    }

    /// Ends a subscription. Answers it, with the user that was present by it, if there was one; `last` is
    /// called, under the topic's lock, if it was the channel's last here.
    pub(crate) fn unsubscribe(
        &self,
        link: LinkId,
        channel: &ChannelName,
        last: impl FnOnce(),
    ) -> Option<Option<UserId>> {
        let removed = self.topics.with_or_retire(channel, |topic| {
            let removed = topic.subscriptions.swap_remove(&link);
            let keep = !topic.subscriptions.is_empty();
            if !keep {
                last();
            }
            (removed, keep)
        });
        let removed = removed.flatten()?;
        self.forget(link, channel);
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        Some(removed.present)
    }

    /// The link is gone, and its subscriptions with it. Answers where which user was present by them.
    pub(crate) fn drop_link(&self, link: LinkId, last: impl Fn(&ChannelName)) -> Vec<(ChannelName, UserId)> {
        let channels = self.links(link).remove(&link).unwrap_or_default();
        let ended = channels.keys().map(|channel| {
            let present = self.unsubscribe(link, channel, || last(channel)).flatten();
            present.map(|user| (channel.clone(), user))
        });
        ended.flatten().collect()
    }

    /// The channels that a link subscribes to, in the order of names.
    pub(crate) fn channels_of(&self, link: LinkId) -> Vec<ChannelName> {
        let channels = self.links(link).get(&link).map(|channels| channels.keys().cloned().collect());
        let mut channels: Vec<ChannelName> = channels.unwrap_or_default();
        channels.sort_unstable();
        channels
    }

    /// Channels that begin with `prefix` and their number of subscribers here; at most `limit`, in the order
    /// of names.
    pub(crate) fn channels(&self, prefix: &str, limit: usize) -> Vec<(ChannelName, usize)> {
        let mut found = Vec::new();
        self.topics.for_each(|name, topic| {
            if name.as_str().starts_with(prefix) {
                found.push((name.clone(), topic.subscriptions.len()));
            }
        });
        found.sort_unstable();
        found.truncate(limit);
        found
    }

    /// How many channels have a subscriber here.
    pub(crate) fn channel_count(&self) -> usize {
        self.topics.len()
    }

    /// How many subscriptions there are.
    pub(crate) fn subscription_count(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// How many times a publication has been handed to a subscriber since this node started.
    pub(crate) fn delivery_count(&self) -> usize {
        self.deliveries.load(Ordering::Relaxed)
    }

    fn note(&self, link: LinkId, channel: &ChannelName) -> Result<(), SubscribeRefused> {
        let mut links = self.links(link);
        let channels = links.get_mut(&link).ok_or(SubscribeRefused::Gone)?;
        if channels.contains(channel) {
            return Err(SubscribeRefused::Already);
        }
        if channels.len() >= self.subscriptions_per_link {
            return Err(SubscribeRefused::TooMany(self.subscriptions_per_link));
        }
        channels.insert(channel.clone(), ());
        Ok(())
    }

    fn forget(&self, link: LinkId, channel: &ChannelName) {
        if let Some(channels) = self.links(link).get_mut(&link) {
            channels.remove(channel);
        }
    }

    /// The part in which a link is. The names of sessions are random, so any byte of them spreads.
    fn links(&self, link: LinkId) -> MutexGuard<'_, HashMap<LinkId, Few<ChannelName, ()>>> {
        lock(&self.links[usize::from(link.session.0[0]) % SHARDS])
    }

    fn with_subscription<R>(
        &self,
        link: LinkId,
        channel: &ChannelName,
        work: impl FnOnce(&mut Subscription, &mut Head) -> R,
    ) -> Option<R> {
        let work = |topic: &mut Topic| {
            let Topic { subscriptions, head, .. } = topic;
            subscriptions.get_mut(&link).map(|subscription| work(subscription, head))
        };
        self.topics.with(channel, work).flatten()
    }
}

impl Sink for Hub {
    fn deliver(&self, channel: &ChannelName, delivery: Delivery<'_>) {
        self.topics.with(channel, |topic| match delivery {
            Delivery::Publication(epoch, publication) => {
                let delivered = topic.publication(channel, epoch, publication);
                self.deliveries.fetch_add(delivered, Ordering::Relaxed);
            }
            Delivery::Join(user, info, by) => topic.presence(channel, user, Some(by), || {
                ChannelPush::Join(Join { user: user.clone(), info: info.cloned() })
            }),
            Delivery::Leave(user) => {
                topic.presence(channel, user, None, || ChannelPush::Leave(Leave { user: user.clone() }));
            }
        });
    }
}

impl Topic {
    /// Hands a publication to everybody who is up to it. Answers to how many.
    fn publication(&mut self, channel: &ChannelName, epoch: &Epoch, publication: &Arc<Publication>) -> usize {
        if self.head.epoch.as_ref() != Some(epoch) {
            self.leave_epoch(channel);
        }
        self.head.advance(epoch, publication, self.keeps_newest);
        let lazy = Lazy::new(channel, publication);
        let deliver = |(link, one): (&LinkId, &mut Subscription)| one.deliver(*link, epoch, &lazy);
        self.subscriptions.iter_mut().map(deliver).filter(|taken| *taken).count()
    }

    /// One step of one subscription's catching up. `None` if there is no such subscription.
    fn catch_up(&mut self, link: LinkId, channel: &ChannelName, page: HistoryPage) -> Option<Progress> {
        let subscription = self.subscriptions.get_mut(&link)?;
        let step = subscription.catch_up(link, channel, page, &self.head);
        if step.progress == Progress::More {
            subscription.outbox.behind(channel);
        }
        if let Some(head) = step.head {
            // History knows better than a delivery that came before it was asked, and so will the others learn from it.
            self.leave_epoch(channel);
            self.head = head;
        }
        if let Some(subscription) = self.subscriptions.get_mut(&link)
            && let Some(sent) = step.live
        {
            subscription.phase = Phase::Live(sent);
        }
        Some(step.progress)
    }

    /// The epoch of the head is about to be another one: who was live in it is behind.
    fn leave_epoch(&mut self, channel: &ChannelName) {
        let Some(epoch) = take(&mut self.head).epoch else { return };
        self.subscriptions.values_mut().for_each(|one| one.fall_behind(channel, &epoch));
    }

    /// Tells whoever wants to know that a user joined, by a session that is not told itself, or left.
    fn presence(
        &mut self,
        channel: &ChannelName,
        user: &UserId,
        joined_by: Option<SessionId>,
        push: impl Fn() -> ChannelPush,
    ) {
        let encoded = OnceCell::new();
        for (link, subscription) in &mut self.subscriptions {
            let own = joined_by == Some(link.session);
            let Some(view) = subscription.view.as_mut().filter(|_| !own) else { continue };
            let push = encoded.get_or_init(|| Encoded::from(&Push::Channel(channel.clone(), push())));
            let was_held = view.is_held();
            if view.change(user, joined_by.is_some(), push, !subscription.outbox.is_full()) {
                subscription.outbox.push(push.clone());
            } else if view.is_held() && !was_held {
                subscription.outbox.behind(channel);
            }
        }
    }
}

impl Subscription {
    fn new(subscriber: Subscriber) -> Subscription {
        let Subscriber { link: _, outbox, present, watches, slow_reader } = subscriber;
        let view = watches.then(View::starting);
        Subscription { outbox, present, view, slow_reader, phase: Phase::Starting }
    }
}

/// A join or leave as the hub tells it, for tests of what is held back.
#[cfg(test)]
mod tests;
