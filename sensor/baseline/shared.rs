//! Names and destinations that many pairs have, once each.
//!
//! Pairs of contacts share them by themselves. Those that are read from the ledger are made anew for each row, and with
//! thousands of workloads the same names would take more memory than the pairs.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::model::{PairKey, Provenance, StoredPair};

/// What nobody else has any more is looked for when there are twice as many as last time, and so many at least.
const LEAST: usize = 1 << 12;

/// What pairs of the ledger have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    hasher: foldhash::fast::RandomState,
    names: HashTable<Arc<Provenance>>,
    texts: HashTable<Arc<str>>,
}

impl Shared {
    /// Lets a pair that was read share its names and its destination with the others.
    pub fn share(&mut self, stored: &mut StoredPair) {
        match &mut stored.key {
            PairKey::Domain(text)
            | PairKey::Tenant(text)
            | PairKey::AttemptedDomain(text)
            | PairKey::AttemptedTenant(text) => {
                let hash = self.hasher.hash_one(&**text);
                same(
                    &mut self.texts,
                    hash,
                    text,
                    |one, other| one == other,
                    |text| self.hasher.hash_one(&**text),
                );
            }
            PairKey::Address(_) | PairKey::AttemptedAddress(_) => {}
        }
        let hash_of = |name: &Arc<Provenance>| self.hasher.hash_one((&*name.name, name.server));
        for name in stored.pair.names_mut() {
            let hash = hash_of(name);
            same(&mut self.names, hash, name, |one, other| one == other, hash_of);
        }
    }
}

/// Puts the same one that was met before in the place of `one`.
fn same<T: ?Sized>(
    met: &mut HashTable<Arc<T>>,
    hash: u64,
    one: &mut Arc<T>,
    is_same: impl Fn(&Arc<T>, &Arc<T>) -> bool,
    hash_of: impl Fn(&Arc<T>) -> u64,
) {
    if let Some(known) = met.find(hash, |known| is_same(known, one)) {
        *one = Arc::clone(known);
        return;
    }
    if met.len() == met.capacity() && met.len() >= LEAST {
        met.retain(|known| Arc::strong_count(known) > 1);
    }
    met.insert_unique(hash, Arc::clone(one), hash_of);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Address, Pair, Timestamp};

    fn stored(n: usize) -> StoredPair {
        let mut pair = Pair::new(Timestamp(0));
        for host in ["a", "b"] {
            let name = format!("{host}.{n}.example").into();
            pair.add_name(&Arc::new(Provenance::new(
                name,
                Address::v4([10, 0, 0, 2]),
                Box::default(),
            )));
        }
        let key = PairKey::Domain(format!("{n}.example").into());
        StoredPair { slot: 0, key, pair }
    }

    #[test]
    fn pairs_that_were_read_share_what_is_the_same_and_nothing_stays_that_nobody_has() {
        let mut shared = Shared::default();
        let (mut one, mut other) = (stored(1), stored(1));
        shared.share(&mut one);
        shared.share(&mut other);
        assert_eq!(one, other);
        assert!(one.pair.names().zip(other.pair.names()).all(|(a, b)| Arc::ptr_eq(a, b)));
        for n in 0..10 * LEAST {
            shared.share(&mut stored(n));
        }
        assert!(shared.texts.len() < 3 * LEAST && shared.names.len() < 3 * LEAST);
    }
}
