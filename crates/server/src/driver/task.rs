//! What takes time, done: each task of a peer as one async function.
//!
//! Any of them may be dropped where it waits, when its client goes. What must not be left behind is therefore
//! noted where the client's end finds it (the hub knows a subscription before anything is asked for it), and
//! after the step that makes a session nothing waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use trunkline_dialect::command::{Credential, Refresh};
use trunkline_dialect::{
    ChannelName, ChannelPush, Code, ErrorBody, History, Json, Member, OkBody, Position, Presence, Published,
    Push, Removed, Subscribed, Unsubscribed, UserId,
};

use crate::channel::HistoryQuery;
use crate::encoded::Encoded;
use crate::hub::{Progress, Recovery, Roll, SubscribeRefused, Subscriber};
use crate::node::Node;
use crate::outbox::Outbox;
use crate::peer::{Done, Task};
use crate::policy::{Act, Namespace};
use crate::rate::Allowance;
use crate::session::{LinkId, Origin};
use crate::ticket::Grant;

/// Whose task it is.
pub(super) struct Place {
    pub(super) node: Arc<Node>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) origin: Origin,
    pub(super) link: Option<LinkId>,
    pub(super) grant: Option<Arc<Grant>>,
    pub(super) allowance: Arc<Allowance>,
}

/// A command is done.
pub(super) struct Finished {
    pub(super) id: Option<u64>,
    pub(super) outcome: Result<Done, ErrorBody>,
    /// What the hub is to be told once the reply is in the outbox.
    pub(super) start: Option<Start>,
}

/// A subscription whose reply is about to go out.
pub(super) struct Start {
    pub(super) channel: ChannelName,
    pub(super) recovery: Recovery,
    pub(super) roll: Roll,
}

/// Does one task.
pub(super) async fn perform(place: Place, id: Option<u64>, task: Task) -> Finished {
    let mut start = None;
    let outcome = match task {
        Task::Connect(credential) => connect(&place, credential).await,
        other => match (place.link, place.grant.clone()) {
            (Some(link), Some(grant)) => {
                Connected { place: &place, link, grant }.perform(other, &mut start).await
            }
            _ => Err(ErrorBody::new(Code::Unauthenticated, "connect comes first")),
        },
    };
    Finished { id, outcome, start }
}

/// One step of catching up in one channel.
pub(super) async fn catch_up(node: Arc<Node>, outbox: Arc<Outbox>, link: LinkId, channel: ChannelName) {
    let Some(query) = node.hub.plan(link, &channel) else { return };
    let lost = match node.broker.history(&channel, query).await {
        Ok(page) => node.hub.catch_up(link, &channel, page) == Progress::Lost,
        Err(error) => {
            tracing::warn!(%channel, %error, "no history to catch up from");
            true
        }
    };
    if lost {
        // The client subscribes again with the position it has, and is told then what of it is still good. A
        // return within the grace is silent to the others.
        if let Some(Some(user)) = node.unsubscribe(link, &channel) {
            node.broker.linger(&channel, link, &user, node.rules.limits.presence_grace);
        }
        let why = "this node has lost its place in the channel; subscribe again, with since";
        outbox.push(unsubscribed(&channel, Code::Unavailable, why));
    }
}

async fn connect(place: &Place, credential: Credential) -> Result<Done, ErrorBody> {
    let Place { node, outbox, origin, allowance, .. } = place;
    let now = node.clock.now();
    let opened = match credential {
        Credential::Ticket(ticket) => {
            let grant = node.redeem(now, ticket.expose(), &origin.address).await?;
            let origin = Origin { address: grant.binding.address(origin.address), ..*origin };
            node.sessions.open(node.clock.now(), grant, origin, outbox.clone(), allowance.clone())?
        }
        Credential::Session(token) => {
            let resumed = node.sessions.resume(now, token.expose(), *origin, outbox.clone());
            let counts = node.counts();
            let count = if resumed.is_ok() { &counts.sessions_resumed } else { &counts.credentials_refused };
            count.fetch_add(1, Ordering::Relaxed);
            resumed.inspect_err(|why| {
                tracing::debug!(reason = why.name(), address = ?origin.address, "session token refused");
            })?
        }
        Credential::Token(_) => return Err(no_tokens()),
        Credential::Anonymous => {
            if !node.rules.policy.admits_anonymous() {
                let why = "no namespace here admits a client without a credential";
                return Err(ErrorBody::new(Code::Unauthenticated, why));
            }
            node.sessions.open(now, Grant::anonymous(), *origin, outbox.clone(), allowance.clone())?
        }
    };
    if let Some(displaced) = opened.displaced {
        node.drop_link(displaced, node.rules.limits.presence_grace);
    }
    node.hub.add_link(opened.link);
    Ok(Done::Connected(opened))
}

/// A client with a session.
struct Connected<'a> {
    place: &'a Place,
    link: LinkId,
    /// What it may now, which may be something else than when the command came.
    grant: Arc<Grant>,
}

impl Connected<'_> {
    async fn perform(&self, task: Task, start: &mut Option<Start>) -> Result<Done, ErrorBody> {
        let node = &self.place.node;
        let body: OkBody = match task {
            Task::Connect(_) => return Err(ErrorBody::new(Code::Conflict, "connected already")),
            Task::Refresh(refresh) => return self.refresh(refresh).await,
            Task::Subscribe { channel, since, presence } => {
                let (body, begun) = self.subscribe(channel, since, presence).await?;
                *start = Some(begun);
                body.into()
            }
            Task::Unsubscribe(channel) => self.unsubscribe(&channel).await?.into(),
            Task::Publish(channel, content) => {
                let namespace = self.may(&channel, Act::Publish)?;
                let position = node.publish_content(&channel, content, namespace).await?;
                Published { position }.into()
            }
            Task::Presence(channel) => {
                let namespace = self.may(&channel, Act::Subscribe)?;
                let members = node.members(&channel, namespace).await?;
                let count = u64::try_from(members.len()).unwrap_or(u64::MAX);
                Presence { members: self.roll(members).named, count }.into()
            }
            Task::History { channel, since, limit, reverse } => {
                self.may(&channel, Act::Subscribe)?;
                let page = node.history(&channel, since, limit, reverse).await?;
                let publications = page.publications.iter().map(|one| one.body.clone()).collect();
                let Position { epoch, offset } = page.top;
                History { publications, epoch, offset }.into()
            }
        };
        Ok(Done::Body(body))
    }

    /// What holds in a channel, if the client may do this there.
    fn may(&self, channel: &ChannelName, act: Act) -> Result<&Arc<Namespace>, ErrorBody> {
        self.place.node.rules.policy.check(&self.grant, channel, act)
    }

    async fn refresh(&self, refresh: Refresh) -> Result<Done, ErrorBody> {
        let Place { node, outbox, origin, .. } = self.place;
        let Refresh::Ticket(ticket) = refresh else { return Err(no_tokens()) };
        let grant = node.redeem(node.clock.now(), ticket.expose(), &origin.address).await?;
        if grant.user != self.grant.user {
            return Err(ErrorBody::new(Code::Forbidden, "a refresh is for the same user"));
        }
        let grant = Arc::new(grant);
        if !node.sessions.renew(self.link, grant.clone()) {
            return Err(taken_over());
        }
        let shown = grant.user.as_ref().filter(|_| grant.info() != self.grant.info());
        // The session has its new permissions: nothing that fails from here on may leave it with the old ones.
        for channel in node.hub.channels_of(self.link) {
            let done = match (node.rules.policy.check(&grant, &channel, Act::Subscribe), shown) {
                (Err(error), _) => {
                    let left = self.leave(&channel).await;
                    outbox.push(unsubscribed(&channel, error.code, &error.message));
                    left.map(drop)
                }
                (Ok(namespace), Some(user)) if namespace.presence => {
                    self.enter(&channel, user, grant.info()).await
                }
                (Ok(_), _) => Ok(()),
            };
            if let Err(error) = done {
                tracing::warn!(%channel, ?error, "presence is not as a refresh would have it");
            }
        }
        Ok(Done::Refreshed(grant))
    }

    async fn subscribe(
        &self,
        channel: ChannelName,
        since: Option<Position>,
        presence: bool,
    ) -> Result<(Subscribed, Start), ErrorBody> {
        let Place { node, outbox, .. } = self.place;
        let namespace = self.may(&channel, Act::Subscribe)?;
        let subscriber = Subscriber {
            link: self.link,
            outbox: outbox.clone(),
            present: self.grant.user.clone().filter(|_| namespace.presence),
            watches: presence && namespace.presence && namespace.join_leave,
            slow_reader: namespace.slow_reader(),
        };
        let interest = node.hub.subscribe(&channel, subscriber, || node.broker.interest(&channel, true));
        let interest = interest.map_err(|refused| refused_subscribe(refused, &channel))?;
        if node.hub.is_gone(self.link) {
            // Displaced meanwhile, and the subscription was too late to be found.
            node.unsubscribe(self.link, &channel);
            return Err(taken_over());
        }
        let begun = async {
            interest.await?;
            let recovery = self.recover(&channel, since).await?;
            if namespace.presence
                && let Some(user) = &self.grant.user
            {
                self.enter(&channel, user, self.grant.info()).await?;
            }
            let wanted = presence && namespace.presence;
            let members = if wanted { Some(node.broker.members(&channel).await?) } else { None };
            Ok((recovery, members))
        };
        match begun.await {
            Ok((recovery, members)) => Ok(self.begun(channel, recovery, members)),
            Err(error) if node.hub.is_gone(self.link) => {
                // Not left: the session goes on by another link, which may have entered already.
                node.unsubscribe(self.link, &channel);
                Err(error)
            }
            Err(error) => {
                self.leave(&channel).await?;
                Err(error)
            }
        }
    }

    /// The reply, and what the hub is to be told after it.
    fn begun(
        &self,
        channel: ChannelName,
        recovery: Recovery,
        members: Option<Vec<Member>>,
    ) -> (Subscribed, Start) {
        let Position { epoch, offset } = recovery.position.clone();
        let roll = members.map(|members| self.roll(members));
        let body = Subscribed {
            epoch,
            offset,
            recovered: recovery.recovered,
            publications: recovery.publications.clone(),
            members: roll.as_ref().map(|roll| roll.named.clone()),
        };
        (body, Start { channel, recovery, roll: roll.unwrap_or_default() })
    }

    /// Makes the user present by this link. If the link has been dropped meanwhile, even while this waits or
    /// because of it, then whoever dropped it found nobody to wait for: the grace begins here.
    async fn enter(
        &self,
        channel: &ChannelName,
        user: &UserId,
        info: Option<&Json>,
    ) -> Result<(), ErrorBody> {
        let node = &self.place.node;
        let entering = Entering { node, link: self.link, channel, user };
        node.broker.enter(channel, self.link, user, info).await?;
        drop(entering);
        if node.hub.is_gone(self.link) { Err(taken_over()) } else { Ok(()) }
    }

    async fn recover(&self, channel: &ChannelName, since: Option<Position>) -> Result<Recovery, ErrorBody> {
        let limits = &self.place.node.rules.limits;
        let query = |since, limit| HistoryQuery { since, limit, bytes: limits.reply, reverse: false };
        let broker = &self.place.node.broker;
        let Some(since) = since else {
            return Ok(Recovery::from_top(broker.history(channel, query(None, 0)).await?.top));
        };
        let page = broker.history(channel, query(Some(since.clone()), limits.history)).await?;
        let fresh = match Recovery::since(&since, page, self.link.session) {
            Ok(recovery) => return Ok(recovery),
            Err(fresh) => fresh,
        };
        let page = broker.history(channel, query(Some(fresh.clone()), limits.history)).await?;
        let recovery = Recovery::since(&fresh, page, self.link.session);
        // Twice another epoch within one subscribe: the broker is not itself just now.
        let recovery =
            recovery.map_err(|_| ErrorBody::new(Code::Unavailable, "the channel is being reset"))?;
        Ok(Recovery { recovered: false, ..recovery })
    }

    async fn unsubscribe(&self, channel: &ChannelName) -> Result<Unsubscribed, ErrorBody> {
        if self.leave(channel).await? {
            return Ok(Unsubscribed {});
        }
        Err(ErrorBody::new(Code::NotSubscribed, format!("no subscription to {channel}")))
    }

    /// Ends a subscription, and presence with it at once. Answers whether there was one.
    async fn leave(&self, channel: &ChannelName) -> Result<bool, ErrorBody> {
        let node = &self.place.node;
        let Some(present) = node.unsubscribe(self.link, channel) else { return Ok(false) };
        if let Some(user) = present {
            node.broker.leave(channel, self.link, &user).await?;
        }
        Ok(true)
    }

    /// Members as one reply names them: one's own user first, then as many as fit.
    fn roll(&self, mut members: Vec<Member>) -> Roll {
        let own = members.iter().position(|member| Some(&member.user) == self.grant.user.as_ref());
        if let Some(own) = own {
            members.swap(0, own);
        }
        let limit = self.place.node.rules.limits.reply;
        let weight = |member: &Member| {
            32 + member.user.as_str().len() + member.info.as_ref().map_or(0, |info| info.get().len())
        };
        let mut bytes = 0_usize;
        let fits = |member: &&Member| {
            bytes = bytes.saturating_add(weight(member));
            bytes <= limit
        };
        let fit = members.iter().take_while(fits).count().max(usize::from(own.is_some()));
        let others = members.split_off(fit);
        Roll { named: members, others }
    }
}

/// A link on its way into a channel's presence. Its drop, when the broker has answered or nobody waits for the
/// answer any more, comes after the broker was asked to enter; that of the link may have come before.
struct Entering<'a> {
    node: &'a Node,
    link: LinkId,
    channel: &'a ChannelName,
    user: &'a UserId,
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        // A link is taken out of the hub before its channels begin to linger: either that is seen here, or that
        // lingering is still to come, and finds whom this has let in.
        if self.node.hub.is_gone(self.link) {
            let grace = self.node.rules.limits.presence_grace;
            self.node.broker.linger(self.channel, self.link, self.user, grace);
        }
    }
}

fn unsubscribed(channel: &ChannelName, code: Code, message: &str) -> Encoded {
    let removed = Removed { code, message: message.to_owned() };
    Encoded::from(&Push::Channel(channel.clone(), ChannelPush::Unsubscribed(removed)))
}

fn refused_subscribe(refused: SubscribeRefused, channel: &ChannelName) -> ErrorBody {
    match refused {
        SubscribeRefused::Already => {
            ErrorBody::new(Code::Conflict, format!("subscribed to {channel} already"))
        }
        SubscribeRefused::TooMany(limit) => {
            ErrorBody::new(Code::TooMany, format!("at most {limit} subscriptions"))
        }
        SubscribeRefused::Full => ErrorBody::new(Code::TooMany, "as many channels as this node holds"),
        SubscribeRefused::Gone => taken_over(),
    }
}

fn taken_over() -> ErrorBody {
    ErrorBody::new(Code::Conflict, "another connection has taken this session over")
}

fn no_tokens() -> ErrorBody {
    ErrorBody::new(Code::Unauthenticated, "this server knows no keys for tokens; connect with a ticket")
}
