//! A map for what is nearly always one: a user's sessions, a link's channels. The first entry lies in the map itself, which is
//! then no larger than it and has no heap; from the second on it is a hash map. (A hash map with one entry costs 48 bytes and a
//! table of four places; a B-tree a node of eleven.)

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// See the module.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "a map itself takes 48 bytes, which the one entry seldom does")]
pub(crate) enum Few<K, V> {
    #[default]
    None,
    One(K, V),
    /// Until it is empty again: one that had two will have two again.
    Many(Box<HashMap<K, V>>),
}

impl<K: Eq + Hash, V> Few<K, V> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Few::None => 0,
            Few::One(..) => 1,
            Few::Many(many) => many.len(),
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
            Few::None => false,
            Few::One(own, _) => own.borrow() == key,
            Few::Many(many) => many.contains_key(key),
        }
    }

    /// The value of that name.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self {
            Few::None => None,
            Few::One(own, value) => (Borrow::<Q>::borrow(own) == key).then_some(value),
            Few::Many(many) => many.get_mut(key),
        }
    }

    /// Puts an entry in, in place of one of the same name.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        *self = match std::mem::take(self) {
            Few::One(own, old) if own != key => {
                Few::Many(Box::new(HashMap::from([(own, old), (key, value)])))
            }
            Few::None | Few::One(..) => Few::One(key, value),
            Few::Many(mut many) => {
                many.insert(key, value);
                Few::Many(many)
            }
        };
    }

    /// Takes the entry of that name out. Answers whether there was one.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let removed = match self {
            Few::None => return false,
            Few::One(own, _) => Borrow::<Q>::borrow(own) == key,
            Few::Many(many) => {
                let removed = many.remove(key).is_some();
                if !many.is_empty() {
                    return removed;
                }
                removed
            }
        };
        if removed {
            *self = Few::None;
        }
        removed
    }

    /// Keeps the entries for which `keep` answers `true`.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let kept = match self {
            Few::None => return,
            Few::One(key, value) => keep(key, value),
            Few::Many(many) => {
                many.retain(keep);
                !many.is_empty()
            }
        };
        if !kept {
            *self = Few::None;
        }
    }

    /// All names, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        let (one, many) = match self {
            Few::None => (None, None),
            Few::One(key, _) => (Some(key), None),
            Few::Many(many) => (None, Some(many.keys())),
        };
        one.into_iter().chain(many.into_iter().flatten())
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
