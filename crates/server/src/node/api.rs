//! What the HTTP API asks of a node: the same as clients do, without a credential of their own.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use trunkline_dialect::{ChannelName, Code, ErrorBody, Json, Member, Position, Secret, UserId};

use super::Node;
use crate::broker::BrokerError;
use crate::channel::{Content, HistoryPage, HistoryQuery};
use crate::outbox::Ending;
use crate::policy::Namespace;
use crate::session::{SessionId, SessionView};
use crate::ticket::{TicketId, TicketRequest};

/// A ticket, for the web service that asked for it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Minted {
    /// What the client redeems.
    pub ticket: Secret,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires_at: u64,
}

/// A channel that somebody is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChannelSummary {
    /// Its name.
    pub channel: ChannelName,
    /// How many links subscribe to it on this node.
    pub subscribers: usize,
    /// How many users are present.
    pub users: usize,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SessionSummary {
    /// Its name.
    pub session: String,
    /// Whose it is.
    pub user: Option<UserId>,
    /// By which door its link came.
    pub door: &'static str,
    /// From where.
    pub address: Option<IpAddr>,
    /// Who says so: `socket`, `proxy`, `forwarded`, `ticket`; `unix` for who has no address.
    pub address_by: &'static str,
    /// When its link was made, in milliseconds since the Unix epoch.
    pub since: u64,
    /// What it subscribes to.
    pub channels: Vec<ChannelName>,
    /// Whether its link is there now; otherwise it is waited for.
    pub attached: bool,
}

impl Node {
    /// Publishes on behalf of a backend, in any namespace there is.
    ///
    /// # Errors
    /// `unknown_channel`, `too_large`, or the broker's reason.
    pub(crate) async fn publish(
        &self,
        channel: &ChannelName,
        data: Json,
        exclude: Option<SessionId>,
    ) -> Result<Position, ErrorBody> {
        let namespace = self.rules.policy.namespace(channel)?;
        let (limit, got) = (self.rules.limits.publication, data.get().len());
        if got > limit {
            return Err(ErrorBody::new(Code::TooLarge, format!("data has at most {limit} bytes, got {got}")));
        }
        self.publish_content(channel, Content { data, user: None, exclude }, namespace).await
    }

    /// Publishes what is allowed already.
    pub(crate) async fn publish_content(
        &self,
        channel: &ChannelName,
        content: Content,
        namespace: &Namespace,
    ) -> Result<Position, ErrorBody> {
        let position = self.broker.publish(channel, content, &namespace.history).await?;
        self.counts.publications.fetch_add(1, Ordering::Relaxed);
        Ok(position)
    }

    /// A page of history, at most [`Limits::history`](crate::limits::Limits::history) publications and
    /// [`Limits::reply`](crate::limits::Limits::reply) bytes of it.
    ///
    /// # Errors
    /// `unknown_channel`, or the broker's reason.
    pub(crate) async fn history(
        &self,
        channel: &ChannelName,
        since: Option<Position>,
        limit: usize,
        reverse: bool,
    ) -> Result<HistoryPage, ErrorBody> {
        self.rules.policy.namespace(channel)?;
        let limits = &self.rules.limits;
        let query = HistoryQuery { since, limit: limit.min(limits.history), bytes: limits.reply, reverse };
        Ok(self.broker.history(channel, query).await?)
    }

    /// Everybody who is present in a channel.
    ///
    /// # Errors
    /// `unknown_channel`, `forbidden` where no presence is kept, or the broker's reason.
    pub(crate) async fn presence(&self, channel: &ChannelName) -> Result<Vec<Member>, ErrorBody> {
        let namespace = self.rules.policy.namespace(channel)?.clone();
        self.members(channel, &namespace).await
    }

    /// Everybody who is present in a channel of that namespace.
    pub(crate) async fn members(
        &self,
        channel: &ChannelName,
        namespace: &Arc<Namespace>,
    ) -> Result<Vec<Member>, ErrorBody> {
        if !namespace.presence {
            let message = format!("no presence is kept in {}", channel.namespace());
            return Err(ErrorBody::new(Code::Forbidden, message));
        }
        Ok(self.broker.members(channel).await?)
    }

    /// The channels with subscribers on this node whose names begin with `prefix`, at most `limit`, in the
    /// order of names.
    ///
    /// # Errors
    /// The broker's reason.
    pub(crate) async fn channels(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<ChannelSummary>, ErrorBody> {
        let (names, subscribers): (Vec<_>, Vec<_>) = self.hub.channels(prefix, limit).into_iter().unzip();
        let users = self.broker.count_members(&names).await?;
        let summary = |((channel, subscribers), users)| ChannelSummary { channel, subscribers, users };
        Ok(names.into_iter().zip(subscribers).zip(users).map(summary).collect())
    }

    /// Mints a ticket.
    ///
    /// # Errors
    /// `bad_request` with the rule in words, `too_many` if the store is full, or the store's reason.
    pub(crate) async fn mint(&self, request: TicketRequest) -> Result<Minted, ErrorBody> {
        let (now, limits) = (self.clock.now(), &self.rules.limits);
        let record = request.record(now, limits.ticket_ttl, limits.ticket_ttl_max);
        let record = record.map_err(|refused| ErrorBody::new(Code::BadRequest, refused.to_string()))?;
        let (id, expires_at) = (TicketId::from_random(rand::random()), record.expires_at);
        self.tickets.put(now, &id, record).await?;
        self.counts.tickets_minted.fetch_add(1, Ordering::Relaxed);
        Ok(Minted { ticket: Secret::new(id.expose()), expires_at })
    }

    /// Sessions of this node, all or one user's; at most `limit`.
    pub(crate) fn sessions(&self, user: Option<&str>, limit: usize) -> Vec<SessionSummary> {
        let summary = |view: SessionView| SessionSummary {
            session: view.link.session.to_string(),
            user: view.grant.user.clone(),
            door: view.origin.door.name(),
            address: view.origin.address.ip(),
            address_by: view.origin.address.told_by(),
            since: view.since,
            channels: self.hub.channels_of(view.link),
            attached: view.attached,
        };
        self.sessions.list(user, limit).into_iter().map(summary).collect()
    }

    /// Disconnects a session, all sessions of a user, or a session if it is the user's. Answers how many.
    pub(crate) fn disconnect(
        &self,
        session: Option<SessionId>,
        user: Option<&str>,
        ending: &Ending,
    ) -> usize {
        self.sessions.end(session, user, ending)
    }

    /// Whether the broker is there.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) async fn ready(&self) -> Result<(), BrokerError> {
        self.broker.ready().await
    }
}
