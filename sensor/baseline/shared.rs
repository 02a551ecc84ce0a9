//! Names and destinations that many pairs have, once each.
//!
//! Pairs of contacts share them by themselves. Those that are read from the ledger are made anew for each row, and with
//! thousands of workloads the same names would take more memory than the pairs.

use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::model::{PairKey, PairKeyView, Provenance, StoredPair};

/// What nobody else has any more is looked for when there are twice as many as last time, and so many at least.
const LEAST: usize = 1 << 12;

/// The hash of a pair's destination, if that is a text, and of its first name.
type Hashes = (Option<u64>, Option<u64>);

/// What pairs of the ledger have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    hasher: foldhash::fast::RandomState,
    names: HashTable<Arc<Provenance>>,
    texts: HashTable<Arc<str>>,
    /// The name that was met last as it was read, and the one that stands for it: neighbours often have the same.
    last: Option<(Arc<Provenance>, Arc<Provenance>)>,
}

impl Shared {
    /// Lets the pairs of a page that was read share their names and their destinations with the others.
    pub fn share_page(&mut self, pairs: &mut [StoredPair]) {
        let hashes: Vec<Hashes> = pairs.iter().map(|stored| self.hashes(stored)).collect();
        self.look_ahead(&hashes);
        for (stored, hashes) in pairs.iter_mut().zip(hashes) {
            self.share_hashed(stored, hashes);
        }
    }

    /// Lets a pair that was read share its names and its destination with the others.
    pub fn share(&mut self, stored: &mut StoredPair) {
        let hashes = self.hashes(stored);
        self.share_hashed(stored, hashes);
    }

    fn hashes(&self, stored: &StoredPair) -> Hashes {
        let text = match stored.key.view() {
            PairKeyView::Text(_, text) => Some(self.hasher.hash_one(text)),
            PairKeyView::Address(..) => None,
        };
        let name = stored.pair.names().next().map(|name| self.hash_of(name));
        (text, name)
    }

    fn hash_of(&self, name: &Arc<Provenance>) -> u64 {
        self.hasher.hash_one((&*name.name, name.server))
    }

    /// Brings near what a page's pairs are about to be compared with, in steps in which none waits for another.
    fn look_ahead(&self, hashes: &[Hashes]) {
        let texts = || hashes.iter().filter_map(|(text, _)| *text);
        let names = || hashes.iter().filter_map(|(_, name)| *name);
        // A table is asked for what no entry is, so that it looks at each that might be it.
        let mut near = 0;
        for hash in texts() {
            near ^= usize::from(
                self.texts
                    .find(hash, |text| black_box(text.len()) == usize::MAX)
                    .is_some(),
            );
        }
        for hash in names() {
            near ^= usize::from(
                self.names
                    .find(hash, |name| black_box(Arc::as_ptr(name)).is_null())
                    .is_some(),
            );
        }
        for hash in texts() {
            self.texts.find(hash, |text| {
                near ^= usize::from(text.bytes().next().unwrap_or_default());
                false
            });
        }
        for hash in names() {
            self.names.find(hash, |name| {
                near ^= name.name.len();
                false
            });
        }
        for hash in names() {
            self.names.find(hash, |name| {
                near ^= usize::from(name.name.bytes().next().unwrap_or_default());
                false
            });
        }
        black_box(near);
    }

    fn share_hashed(&mut self, stored: &mut StoredPair, (text_hash, name_hash): Hashes) {
        let hasher = &self.hasher;
        if let (
            PairKey::Domain(text)
            | PairKey::Tenant(text)
            | PairKey::AttemptedDomain(text)
            | PairKey::AttemptedTenant(text),
            Some(hash),
        ) = (&mut stored.key, text_hash)
        {
            let hash_of = |text: &Arc<str>| hasher.hash_one(&**text);
            same(&mut self.texts, hash, text, |one, other| one == other, hash_of);
        }
        let hash_of = |name: &Arc<Provenance>| hasher.hash_one((&*name.name, name.server));
        for (number, name) in stored.pair.names_mut().enumerate() {
            if let Some((read, shared)) = &self.last
                && Arc::ptr_eq(read, name)
            {
                *name = Arc::clone(shared);
                continue;
            }
            let hash = name_hash.filter(|_| number == 0).unwrap_or_else(|| hash_of(name));
            let read = Arc::clone(name);
            same(&mut self.names, hash, name, |one, other| one == other, hash_of);
            self.last = Some((read, Arc::clone(name)));
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
