//! A concurrent map of named cells, each with a lock of its own.
//!
//! The hub's topics and the memory broker's channels are both this: very many names, each touched by few
//! threads at a time, and now and then one whose cell is held for as long as a fan-out takes. So the map's
//! own locks are held only to find a cell, never while one is worked on, and a busy channel delays nobody but
//! itself.
//!
//! Lock order, for the whole server: broker cell, then hub cell, then outbox. Nothing takes them in another
//! order, and nothing waits for anything else while it holds one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trunkline_dialect::ChannelName;

/// How many parts the map has. Finding a cell takes its part's lock for the time of one hash lookup; 64 keeps
/// eight or sixteen cores from meeting there, and lets one housekeeping step visit a small part of a large
/// map.
pub(crate) const SHARDS: usize = 64;

/// `None` once the cell has been retired from the map: whoever still holds the `Arc` must look the name up
/// again.
type Cell<V> = Arc<Mutex<Option<V>>>;
type Shard<V> = Mutex<HashMap<ChannelName, Cell<V>>>;

/// Named cells of `V`, at most `limit` of them.
#[derive(Debug)]
pub(crate) struct Cells<V> {
    shards: Vec<Shard<V>>,
    hasher: RandomState,
    count: AtomicUsize,
    limit: usize,
}

/// The map holds as many cells as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl<V> Cells<V> {
    /// An empty map that will hold at most `limit` cells.
    pub(crate) fn new(limit: usize) -> Cells<V> {
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect();
        Cells { shards, hasher: RandomState::new(), count: AtomicUsize::new(0), limit }
    }

    /// How many cells there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether another cell would be one too many.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// The name as the map has it, if there is such a cell: for whoever keeps it, so that they share its text.
    pub(crate) fn name(&self, name: &ChannelName) -> Option<ChannelName> {
        lock(self.shard(name)).get_key_value(name).map(|(name, _)| name.clone())
    }

    /// Works on the cell of that name, if there is one.
    pub(crate) fn with<R>(&self, name: &ChannelName, work: impl FnOnce(&mut V) -> R) -> Option<R> {
        let mut work = Some(work);
        loop {
            let cell = lock(self.shard(name)).get(name).cloned()?;
            if let Some(value) = lock(&cell).as_mut() {
                return work.take().map(|work| work(value));
            }
        }
    }

    /// Works on the cell of that name, made by `make` if there is none yet.
    ///
    /// # Errors
    /// [`Full`] if the cell does not exist and the map is at its limit.
    pub(crate) fn with_or_make<R>(
        &self,
        name: &ChannelName,
        make: impl Fn(&ChannelName) -> V,
        work: impl FnOnce(&mut V) -> R,
    ) -> Result<R, Full> {
        let mut work = Some(work);
        loop {
            let cell = {
                let mut shard = lock(self.shard(name));
                if let Some(cell) = shard.get(name) {
                    cell.clone()
                } else {
                    self.reserve()?;
                    let cell = Arc::new(Mutex::new(Some(make(name))));
                    shard.insert(name.clone(), cell.clone());
                    cell
                }
            };
            if let Some(value) = lock(&cell).as_mut()
                && let Some(work) = work.take()
            {
                return Ok(work(value));
            }
        }
    }

    /// Works on the cell of that name and retires it when `work` answers `false` beside its result.
    pub(crate) fn with_or_retire<R>(
        &self,
        name: &ChannelName,
        work: impl FnOnce(&mut V) -> (R, bool),
    ) -> Option<R> {
        let mut work = Some(work);
        loop {
            let mut shard = lock(self.shard(name));
            let cell = shard.get(name)?.clone();
            // The shard's lock must cover a retirement, but must not be held while another thread's fan-out
            // ends.
            let Ok(mut held) = cell.try_lock() else {
                drop(shard);
                drop(lock(&cell));
                continue;
            };
            let value = held.as_mut()?;
            let (result, keep) = work.take()?(value);
            if !keep {
                *held = None;
                shard.remove(name);
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            return Some(result);
        }
    }

    /// Retires every cell of one part of the map for which `keep` answers `false`; cells in use are left for
    /// the next visit.
    pub(crate) fn sweep(&self, shard: usize, mut keep: impl FnMut(&ChannelName, &mut V) -> bool) {
        lock(&self.shards[shard % SHARDS]).retain(|name, cell| {
            let Ok(mut held) = cell.try_lock() else { return true };
            let kept = held.as_mut().is_some_and(|value| keep(name, value));
            if !kept {
                *held = None;
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            kept
        });
    }

    /// Shows every cell once, part by part; what is made or retired meanwhile may or may not be seen.
    pub(crate) fn for_each(&self, mut see: impl FnMut(&ChannelName, &mut V)) {
        for shard in &self.shards {
            let cells: Vec<_> = lock(shard).iter().map(|(name, cell)| (name.clone(), cell.clone())).collect();
            for (name, cell) in cells {
                if let Some(value) = lock(&cell).as_mut() {
                    see(&name, value);
                }
            }
        }
    }

    fn shard(&self, name: &ChannelName) -> &Shard<V> {
        let hash = usize::try_from(self.hasher.hash_one(name) % SHARDS as u64).unwrap_or(0);
        &self.shards[hash]
    }

    fn reserve(&self) -> Result<(), Full> {
        let below = |count| (count < self.limit).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).map(drop).map_err(|_| Full)
    }
}

/// Locks, whether or not a thread panicked while holding it: every critical section here leaves its data
/// whole at each step.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ChannelName {
        ChannelName::new(text).expect("a channel name")
    }

    #[test]
    fn the_map_refuses_one_more_than_its_limit_and_takes_it_after_a_retirement() {
        let cells = Cells::new(2);
        for name in ["a", "b"].map(name) {
            assert_eq!(cells.with_or_make(&name, |_| 0, |value| *value += 1), Ok(()));
        }
        assert_eq!(cells.with_or_make(&name("c"), |_| 0, |_| ()), Err(Full));
        assert_eq!(
            cells.with_or_make(&name("a"), |_| 0, |value| *value),
            Ok(1),
            "an existing cell needs no room"
        );
        assert_eq!(cells.with_or_retire(&name("a"), |value| (*value, false)), Some(1));
        assert_eq!(cells.with_or_make(&name("c"), |_| 7, |value| *value), Ok(7));
        assert_eq!(cells.len(), 2);
    }

    #[test]
    fn no_increment_is_lost_while_cells_are_retired_by_others() {
        let cells = Cells::new(8);
        let retired = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        cells
                            .with_or_make(&name("x"), |_| 0_usize, |value| *value += 1)
                            .expect("room for one");
                        if let Some(count) = cells.with_or_retire(&name("x"), |value| (*value, false)) {
                            retired.fetch_add(count, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(retired.into_inner(), 8_000);
        assert_eq!(cells.len(), 0);
    }
}
