//! A map for what is nearly always one: a user's sessions, a link's channels. The first entry lies in the map itself, which is
//! then no larger than it and has no heap; from the second on it is a hash map. (A hash map with one entry costs 48 bytes and a
//! table of four places; a B-tree a node of eleven.)

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// See the module.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a map itself takes 48 bytes, which the one entry seldom does")]
pub(crate) enum Few<K, V> {
    One(K, V),
    /// Nothing, or more than one; until it is empty again, for what had two will have two again. (Nothing as a variant of its own
    /// would make a map of texts a word larger.)
    Many(Option<Box<HashMap<K, V>>>),
}

impl<K: Eq + Hash, V> Few<K, V> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Few::One(..) => 1,
            Few::Many(many) => many.as_ref().map_or(0, |many| many.len()),
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is an entry of that name.
    pub(crate) fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self {
            Few::One(own, _) => own.borrow() == key,
            Few::Many(many) => many.as_ref().is_some_and(|many| many.contains_key(key)),
        }
    }

    /// The value of that name.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self {
            Few::One(own, value) => (Borrow::<Q>::borrow(own) == key).then_some(value),
            Few::Many(many) => many.as_mut()?.get_mut(key),
        }
    }

    /// Puts an entry in, in place of one of the same name.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        *self = match std::mem::take(self) {
            Few::One(own, old) if own != key => {
                Few::Many(Some(Box::new(HashMap::from([(own, old), (key, value)]))))
            }
            Few::Many(Some(mut many)) => {
                many.insert(key, value);
                Few::Many(Some(many))
            }
            Few::Many(None) | Few::One(..) => Few::One(key, value),
        };
    }

    /// Takes the entry of that name out. Answers whether there was one.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let removed = match self {
            Few::Many(None) => return false,
            Few::One(own, _) => Borrow::<Q>::borrow(own) == key,
            Few::Many(Some(many)) => {
                let removed = many.remove(key).is_some();
                if !many.is_empty() {
                    return removed;
                }
                removed
            }
        };
        if removed {
            *self = Few::default();
        }
        removed
    }

    /// Keeps the entries for which `keep` answers `true`.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let kept = match self {
            Few::Many(None) => return,
            Few::One(key, value) => keep(key, value),
            Few::Many(Some(many)) => {
                many.retain(keep);
                !many.is_empty()
            }
        };
        if !kept {
            *self = Few::default();
        }
    }

    /// All names, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        let (one, many) = match self {
            Few::One(key, _) => (Some(key), None),
            Few::Many(many) => (None, many.as_ref().map(|many| many.keys())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Few<K, V> {
        Few::Many(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_entry_needs_no_heap() {
        assert!(size_of::<Few<[u8; 16], ()>>() <= 24);
        assert_eq!(size_of::<Few<std::sync::Arc<str>, ()>>(), size_of::<std::sync::Arc<str>>());
    }

    proptest! {
        #[test]
        fn it_is_a_map_however_many_there_are(
            steps in proptest::collection::vec((0_u8..4, 0_u8..5, any::<u8>()), 0..40),
        ) {
            let (mut few, mut model) = (Few::default(), BTreeMap::new());
            for (what, key, value) in steps {
                match what {
                    0 | 1 => {
                        few.insert(key, value);
                        model.insert(key, value);
                    }
                    2 => prop_assert_eq!(few.remove(&key), model.remove(&key).is_some()),
                    _ => {
                        few.retain(|_, kept| *kept < value);
                        model.retain(|_, kept| *kept < value);
                    }
                }
                let mut keys: Vec<u8> = few.keys().copied().collect();
                keys.sort_unstable();
                prop_assert_eq!(keys, model.keys().copied().collect::<Vec<u8>>());
                prop_assert_eq!((few.len(), few.is_empty()), (model.len(), model.is_empty()));
                for key in 0..5 {
                    prop_assert_eq!(few.contains(&key), model.contains_key(&key));
                    prop_assert_eq!(few.get_mut(&key), model.get_mut(&key));
                }
            }
        }
    }
}
