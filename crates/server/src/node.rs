//! One node: its hub, broker, tickets and sessions, in one place. What doors and routes call.

mod api;

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trunkline_dialect::{ChannelName, ErrorBody, GoAway, Push, UserId};

use crate::address::ClientAddress;
use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, Sink};
use crate::cells::lock;
use crate::clock::{Clock, Now};
use crate::counter::Sharded;
use crate::encoded::Encoded;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::outbox::{Ending, Outbox, Outboxes};
use crate::peer::Rules;
use crate::policy::Policy;
use crate::session::{LinkId, Sessions};
use crate::ticket::{Grant, TicketId, TicketRefused};
use crate::ticket_store::{MemoryTicketStore, TicketStore};

/// What a node is made of.
#[derive(Debug, Clone)]
pub(crate) struct NodeSettings {
    /// Its name, as clients are told it.
    pub name: String,
    /// What may be how large, how many, how often.
    pub limits: Limits,
    /// Who may do what where.
    pub policy: Policy,
    /// What session tokens are sealed by; `None` is a random one, with which they end together with this
    /// process.
    pub session_key: Option<[u8; 32]>,
}

/// One node.
pub(crate) struct Node {
    pub(crate) clock: Clock,
    pub(crate) rules: Arc<Rules>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) sessions: Sessions,
    tickets: Arc<dyn TicketStore>,
    /// Every connection's outbox, with or without a session yet.
    links: Mutex<HashSet<OutboxOf>>,
    outboxes: Arc<Outboxes>,
    counts: Counts,
}

/// What has happened since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Messages of clients.
    pub commands: AtomicUsize,
    /// Publications taken, of clients and of the API.
    pub publications: AtomicUsize,
    /// Tickets minted by the API.
    pub tickets_minted: AtomicUsize,
    /// Tickets redeemed.
    pub tickets_redeemed: AtomicUsize,
    /// Tickets and session tokens refused.
    pub credentials_refused: AtomicUsize,
    /// Sessions come back to.
    pub sessions_resumed: AtomicUsize,
}

/// What is, and what has happened since the start: for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what its name says, and metrics.rs describes it to the world")]
pub(crate) struct Figures {
    pub links: usize,
    pub sessions: usize,
    pub channels: usize,
    pub subscriptions: usize,
    pub tickets_waiting: usize,
    pub outbox_bytes: usize,
    pub messages_queued_total: usize,
    pub publications_deferred_total: usize,
    pub publications_crowded_out_total: usize,
    pub slow_readers_ended_total: usize,
    pub commands_total: usize,
    pub publications_total: usize,
    pub deliveries_total: usize,
    pub tickets_minted_total: usize,
    pub tickets_redeemed_total: usize,
    pub credentials_refused_total: usize,
    pub sessions_resumed_total: usize,
}

/// How often the housekeeping goes round: the granularity of presence grace and of expiry.
const ROUND: Duration = Duration::from_millis(250);

impl Node {
    /// A node on its own: everything in memory.
    pub(crate) fn new(settings: NodeSettings, clock: Clock) -> Arc<Node> {
        let tickets = Arc::new(MemoryTicketStore::new(settings.limits.tickets));
        let channels = settings.limits.channels;
        let broker_clock = clock.clone();
        let broker = |sink: Arc<dyn Sink>| -> Arc<dyn Broker> {
            Arc::new(MemoryBroker::new(broker_clock, sink, channels))
        };
        Node::with(settings, clock, broker, tickets)
    }

    /// A node with a broker, made for its sink, and a ticket store.
    pub(crate) fn with(
        settings: NodeSettings,
        clock: Clock,
        broker: impl FnOnce(Arc<dyn Sink>) -> Arc<dyn Broker>,
        tickets: Arc<dyn TicketStore>,
    ) -> Arc<Node> {
        let NodeSettings { name, limits, policy, session_key } = settings;
        let hub = Arc::new(Hub::new(limits.channels, limits.subscriptions));
        let key = session_key.unwrap_or_else(rand::random);
        let outboxes = Outboxes::new(limits.outbox, limits.outbox_total);
        Arc::new(Node {
            broker: broker(hub.clone()),
            sessions: Sessions::new(key, limits.session_linger, limits.sessions),
            rules: Arc::new(Rules { node: name, limits, policy }),
            clock,
            hub,
            tickets,
            links: Mutex::default(),
            outboxes,
            counts: Counts::default(),
        })
    }

    /// The housekeeping of a node: ends graces, forgets what has expired. Runs until it is dropped; spawn it
    /// once.
    pub(crate) async fn maintain(self: Arc<Node>) {
        let mut rounds = tokio::time::interval(ROUND);
        // After a pause (a suspended machine) one round does the work of all that were missed.
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.round();
        }
    }

    /// One round of housekeeping.
    pub(crate) fn round(&self) {
        let now = self.clock.now();
        self.broker.maintain();
        self.sessions.sweep(now);
        self.tickets.sweep(now);
    }

    /// Tells every client, before all else that waits for it, to leave in its own time.
    pub(crate) fn go_away(&self, go_away: GoAway) {
        let push = Encoded::from(&Push::GoAway(go_away));
        lock(&self.links).iter().for_each(|link| link.0.control(push.clone()));
    }

    /// Ends every connection.
    pub(crate) fn end_all(&self, ending: &Ending) {
        lock(&self.links).iter().for_each(|link| link.0.end(ending.clone()));
    }

    /// Ends every connection without another word.
    pub(crate) fn cut_all(&self) {
        lock(&self.links).iter().for_each(|link| link.0.cut());
    }

    /// How many connections there are, with or without a session.
    pub(crate) fn links(&self) -> usize {
        lock(&self.links).len()
    }

    /// What is, and what has happened since the start.
    pub(crate) fn figures(&self) -> Figures {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let sum = |count: &Sharded| usize::try_from(count.get()).unwrap_or(usize::MAX);
        let (counts, outboxes) = (&self.counts, &self.outboxes);
        Figures {
            links: self.links(),
            sessions: self.sessions.len(),
            channels: self.hub.channel_count(),
            subscriptions: self.hub.subscription_count(),
            tickets_waiting: self.tickets.waiting(),
            outbox_bytes: sum(&outboxes.bytes),
            messages_queued_total: sum(&outboxes.messages),
            publications_deferred_total: read(&outboxes.refused),
            publications_crowded_out_total: read(&outboxes.crowded),
            slow_readers_ended_total: read(&outboxes.overflowed),
            commands_total: read(&counts.commands),
            publications_total: read(&counts.publications),
            deliveries_total: self.hub.delivery_count(),
            tickets_minted_total: read(&counts.tickets_minted),
            tickets_redeemed_total: read(&counts.tickets_redeemed),
            credentials_refused_total: read(&counts.credentials_refused),
            sessions_resumed_total: read(&counts.sessions_resumed),
        }
    }

    /// What is counted as it happens.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// An outbox, of which nobody else knows.
    pub(crate) fn outbox(&self) -> Arc<Outbox> {
        Arc::new(Outbox::new(self.outboxes.clone()))
    }

    /// A connection is there: its outbox.
    pub(crate) fn add_connection(&self) -> Arc<Outbox> {
        let outbox = self.outbox();
        lock(&self.links).insert(OutboxOf(outbox.clone()));
        outbox
    }

    /// The connection of this outbox is gone.
    pub(crate) fn remove_connection(&self, outbox: &Arc<Outbox>) {
        lock(&self.links).remove(&OutboxOf(outbox.clone()));
    }

    /// A link is lost: its subscriptions end now, its presence after `grace`.
    pub(crate) fn drop_link(&self, link: LinkId, grace: Duration) {
        let last = |channel: &ChannelName| drop(self.broker.interest(channel, false));
        for (channel, user) in self.hub.drop_link(link, last) {
            self.broker.linger(&channel, link, &user, grace);
        }
    }

    /// Ends one subscription. Answers, if there was one, the user that was present by it.
    pub(crate) fn unsubscribe(&self, link: LinkId, channel: &ChannelName) -> Option<Option<UserId>> {
        self.hub.unsubscribe(link, channel, || drop(self.broker.interest(channel, false)))
    }

    /// Redeems a ticket: the one time that it can be.
    ///
    /// # Errors
    /// `unauthenticated`, whatever the reason; or that the store is not available.
    pub(crate) async fn redeem(
        &self,
        now: Now,
        ticket: &str,
        address: &ClientAddress,
    ) -> Result<Grant, ErrorBody> {
        let refused = |refused: TicketRefused, id: Option<&TicketId>| {
            let (reason, ticket) = (refused.name(), id.map(TicketId::hash));
            // The metric counts them; a stranger must not be able to fill the log.
            tracing::debug!(reason, ?ticket, ?address, "ticket refused");
            self.counts.credentials_refused.fetch_add(1, Ordering::Relaxed);
            ErrorBody::from(refused)
        };
        let id = TicketId::parse(ticket).map_err(|why| refused(why, None))?;
        let record =
            self.tickets.take(&id).await?.ok_or_else(|| refused(TicketRefused::Unknown, Some(&id)))?;
        let grant = record.redeem(now, address).map_err(|why| refused(why, Some(&id)))?;
        self.counts.tickets_redeemed.fetch_add(1, Ordering::Relaxed);
        Ok(grant)
    }
}

/// A connection, known by where its outbox lies.
struct OutboxOf(Arc<Outbox>);

impl PartialEq for OutboxOf {
    fn eq(&self, other: &OutboxOf) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OutboxOf {}

impl Hash for OutboxOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Default for NodeSettings {
    /// A random name and key, the default limits and policy.
    fn default() -> NodeSettings {
        NodeSettings {
            name: format!("node-{:08x}", rand::random::<u32>()),
            limits: Limits::default(),
            policy: Policy::default(),
            session_key: None,
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("name", &self.rules.node).finish_non_exhaustive()
    }
}
