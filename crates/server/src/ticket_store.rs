//! Where tickets wait for their one redemption: the trait, and the memory of this process.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use crate::broker::{Answer, BrokerError};
use crate::cells::lock;
use crate::clock::Now;
use crate::ticket::{TicketHash, TicketId, TicketRecord};

/// Keeps tickets. One for all nodes that a client may come to.
pub(crate) trait TicketStore: Send + Sync {
    /// Keeps a ticket until its `expires_at`. Ids are random: an id that is there already is an error, not a
    /// replacement.
    fn put<'a>(&'a self, now: Now, id: &'a TicketId, record: TicketRecord) -> Answer<'a, ()>;

    /// Takes the ticket out, in one atomic step: of however many that ask at the same instant, one gets it.
    /// What has expired is either gone or returned; [`TicketRecord::redeem`] looks at the time again.
    fn take<'a>(&'a self, id: &'a TicketId) -> Answer<'a, Option<TicketRecord>>;

    /// Forgets what has expired; called a few times a second, must not block.
    fn sweep(&self, now: Now);

    /// How many tickets wait here, as far as this store knows.
    fn waiting(&self) -> usize;
}

/// Tickets in the memory of this process, at most a fixed number of them.
pub(crate) struct MemoryTicketStore {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By hash: neither a lookup's duration nor a reader of this memory learns an id.
    records: HashMap<TicketHash, TicketRecord>,
    /// The same tickets by the time at which they expire.
    expiry: BTreeSet<(u64, TicketHash)>,
}

impl MemoryTicketStore {
    /// An empty store for at most `limit` waiting tickets.
    pub(crate) fn new(limit: usize) -> MemoryTicketStore {
        MemoryTicketStore { limit, inner: Mutex::default() }
    }
}

impl TicketStore for MemoryTicketStore {
    fn put<'a>(&'a self, now: Now, id: &'a TicketId, record: TicketRecord) -> Answer<'a, ()> {
        let mut inner = lock(&self.inner);
        if inner.records.len() >= self.limit {
            inner.forget_expired(now);
        }
        let hash = id.hash();
        let result = if inner.records.len() >= self.limit {
            Err(BrokerError::Full("tickets"))
        } else if inner.records.contains_key(&hash) {
            Err(BrokerError::Unavailable("the id of a new ticket was taken".into()))
        } else {
            inner.expiry.insert((record.expires_at, hash));
            inner.records.insert(hash, record);
            Ok(())
        };
        Box::pin(std::future::ready(result))
    }

    fn take<'a>(&'a self, id: &'a TicketId) -> Answer<'a, Option<TicketRecord>> {
        let hash = id.hash();
        let mut inner = lock(&self.inner);
        let record = inner.records.remove(&hash);
        if let Some(record) = &record {
            inner.expiry.remove(&(record.expires_at, hash));
        }
        Box::pin(std::future::ready(Ok(record)))
    }

    fn sweep(&self, now: Now) {
        lock(&self.inner).forget_expired(now);
    }

    fn waiting(&self) -> usize {
        lock(&self.inner).records.len()
    }
}

impl Inner {
    fn forget_expired(&mut self, now: Now) {
        while let Some(&(expires_at, hash)) = self.expiry.first()
            && expires_at <= now.unix_ms
        {
            self.expiry.pop_first();
            self.records.remove(&hash);
        }
    }
}

impl std::fmt::Debug for MemoryTicketStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryTicketStore").field("waiting", &self.waiting()).finish()
    }
}

#[cfg(test)]
mod tests;
