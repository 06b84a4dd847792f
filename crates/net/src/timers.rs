//! Deadlines of all connections of a runtime in one place, so that a connection that waits has no timer of its own.
//!
//! A connection's deadline moves with every byte that arrives and nearly never comes. So what is kept for it is a few
//! bytes, and is touched once in a ping interval: an entry in a table, and its place in one ordered set. One task for
//! each runtime sleeps until the first of them. Resolution is a millisecond; nothing fires early.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;

/// Bits of an entry's number; above them stands the time. 16 million connections, and 34 years.
const INDEX_BITS: u32 = 24;

/// Wakers taken out under one lock.
const AT_ONCE: usize = 64;

/// The timers of each runtime that has any.
static RUNTIMES: Mutex<Vec<(Id, Weak<Timers>)>> = Mutex::new(Vec::new());

/// One connection's timer: set or not, and if it is set, when it fires.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    set: Option<Set>,
}

#[derive(Debug)]
struct Set {
    timers: Arc<Timers>,
    index: u32,
    /// Milliseconds since the timers' beginning.
    at: u64,
}

impl Alarm {
    /// Makes sure that the task is woken at `deadline` at the latest. Earlier it may be, for a deadline that has moved since:
    /// whoever is woken looks at the clock. `again` says that the task may have changed since it asked last.
    pub(crate) fn wake_at(&mut self, cx: &Context<'_>, deadline: Instant, now: Instant, again: bool) {
        if let Some(set) = &mut self.set {
            let at = set.timers.tick_after(deadline);
            let fired = set.timers.tick_before(now) >= set.at;
            if fired || at < set.at || again {
                set.at = if fired { at } else { at.min(set.at) };
                set.timers.reset(set.index, set.at, cx.waker());
            }
            return;
        }
        let timers = Timers::of_this_runtime();
        let at = timers.tick_after(deadline);
        if let Some(index) = timers.insert(at, cx.waker()) {
            self.set = Some(Set { timers, index, at });
        }
    }

    /// Nobody has to be woken.
    pub(crate) fn clear(&mut self) {
        self.set = None;
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        self.timers.remove(self.index);
    }
}

#[derive(Debug)]
struct Timers {
    beginning: Instant,
    table: Mutex<Table>,
    /// The first deadline has become an earlier one.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct Table {
    /// (Milliseconds, number) of each entry that has not fired, in one word.
    order: BTreeSet<u64>,
    entries: Vec<Entry>,
    /// The first of the entries that are free.
    free: Option<u32>,
    /// When the task looks next.
    next: Option<u64>,
}

#[derive(Debug)]
enum Entry {
    Set { at: u64, waker: Waker },
    Fired,
    Free { next: Option<u32> },
}

impl Timers {
    /// Those of the runtime in whose context this is called, with the task that drives them.
    fn of_this_runtime() -> Arc<Self> {
        let runtime = Handle::current();
        let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
        let known = runtimes.iter().find(|(id, _)| *id == runtime.id());
        if let Some(timers) = known.and_then(|(_, timers)| timers.upgrade()) {
            return timers;
        }
        runtimes.retain(|(_, timers)| timers.strong_count() > 0);
        let beginning = tokio::time::Instant::now().into_std();
        let timers = Arc::new(Self { beginning, table: Mutex::default(), earlier: Notify::new() });
        runtimes.push((runtime.id(), Arc::downgrade(&timers)));
        runtime.spawn(Driver(Arc::clone(&timers)).run());
        timers
    }

    /// The first tick at which `deadline` has passed.
    fn tick_after(&self, deadline: Instant) -> u64 {
        let since = deadline.saturating_duration_since(self.beginning);
        let millis = u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        millis.min(u64::MAX >> INDEX_BITS)
    }

    /// The last tick that has passed at `now`.
    fn tick_before(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.beginning).as_millis()).unwrap_or(u64::MAX)
    }

    /// `None` where the table is full, which more connections than a process can have would take.
    fn insert(&self, at: u64, waker: &Waker) -> Option<u32> {
        self.change(|table| {
            let entry = Entry::Set { at, waker: waker.clone() };
            let index = match table.free {
                Some(index) => {
                    let Entry::Free { next } = std::mem::replace(&mut table.entries[index as usize], entry)
                    else {
                        return None;
                    };
                    table.free = next;
                    index
                }
                None => {
                    let index =
                        u32::try_from(table.entries.len()).ok().filter(|index| index >> INDEX_BITS == 0)?;
                    table.entries.push(entry);
                    index
                }
            };
            table.order.insert(key(at, index));
            Some(index)
        })
    }

    fn reset(&self, index: u32, at: u64, waker: &Waker) {
        self.change(|table| {
            let entry = &mut table.entries[index as usize];
            match entry {
                Entry::Set { at: before, waker: known } => {
                    table.order.remove(&key(*before, index));
                    *before = at;
                    known.clone_from(waker);
                }
                _ => *entry = Entry::Set { at, waker: waker.clone() },
            }
            table.order.insert(key(at, index));
        });
    }

    fn remove(&self, index: u32) {
        let mut table = self.lock();
        let next = table.free.replace(index);
        let entry = std::mem::replace(&mut table.entries[index as usize], Entry::Free { next });
        if let Entry::Set { at, .. } = entry {
            table.order.remove(&key(at, index));
        }
        drop(table);
    }

    /// Changes the table, and tells the task if it has to look earlier than it would.
    fn change<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        let mut table = self.lock();
        let result = change(&mut table);
        let first = table.first();
        let earlier = first.is_some() && table.next.is_none_or(|next| first < Some(next));
        if earlier {
            table.next = first;
        }
        drop(table);
        if earlier {
            self.earlier.notify_one();
        }
        result
    }

    /// Takes out whose time has come. `Err` is when the next one's comes, if there is one.
    fn due(&self, wakers: &mut Vec<Waker>) -> Result<(), Option<u64>> {
        let now = self.tick_before(tokio::time::Instant::now().into_std());
        let mut table = self.lock();
        while let Some(first) = table.order.first().copied() {
            if first >> INDEX_BITS > now {
                break;
            }
            if wakers.len() == AT_ONCE {
                return Ok(());
            }
            table.order.pop_first();
            let index = usize::try_from(first & ((1 << INDEX_BITS) - 1)).unwrap_or(usize::MAX);
            if let Some(entry) = table.entries.get_mut(index)
                && let Entry::Set { waker, .. } = std::mem::replace(entry, Entry::Fired)
            {
                wakers.push(waker);
            }
        }
        table.next = table.first();
        if wakers.is_empty() { Err(table.next) } else { Ok(()) }
    }

    async fn sleep_until(&self, next: Option<u64>) {
        let next = next.and_then(|next| self.beginning.checked_add(Duration::from_millis(next)));
        match next {
            Some(next) => tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                () = self.earlier.notified() => {}
            },
            None => self.earlier.notified().await,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        // Poisoned only if a waker's clone panicked; the table is whole all the same.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn first(&self) -> Option<u64> {
        self.order.first().map(|first| first >> INDEX_BITS)
    }
}

fn key(at: u64, index: u32) -> u64 {
    (at << INDEX_BITS) | u64::from(index)
}

/// The task of a runtime. It ends with the runtime, and its timers are then nobody's to find.
struct Driver(Arc<Timers>);

impl Driver {
    /// Wakes whose time has come, for as long as the runtime runs.
    async fn run(self) {
        let Self(timers) = &self;
        let mut wakers = Vec::with_capacity(AT_ONCE);
        loop {
            match timers.due(&mut wakers) {
                Ok(()) => {
                    wakers.drain(..).for_each(Waker::wake);
                    // Those who were woken first.
                    tokio::task::yield_now().await;
                }
                Err(next) => timers.sleep_until(next).await,
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
        runtimes.retain(|(_, timers)| !std::ptr::eq(timers.as_ptr(), Arc::as_ptr(&self.0)));
    }
}

#[cfg(test)]
mod tests;
