//! One copy of what answers have in common.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use hashbrown::HashTable;

use crate::model::{Provenance, SharedName};

/// The least number of copies before unused ones are looked for.
const FIRST_PURGE: usize = 1024;

/// One copy of each name for all workers; copies that nobody else holds are dropped now and again.
#[derive(Debug)]
pub struct SharedNames {
    copies: DashMap<u64, SharedName, foldhash::fast::RandomState>,
    hasher: foldhash::quality::RandomState,
    /// How many copies were made since the last purge, and how many may be.
    made: AtomicUsize,
    purge_at: AtomicUsize,
}

impl Default for SharedNames {
    fn default() -> Self {
        Self {
            copies: DashMap::default(),
            hasher: foldhash::quality::RandomState::default(),
            made: AtomicUsize::new(0),
            purge_at: AtomicUsize::new(FIRST_PURGE),
        }
    }
}

impl SharedNames {
    /// Returns the shared copy of a name.
    #[must_use]
    pub fn share(&self, text: &str) -> SharedName {
        let mut is_new = false;
        let name = self
            .copies
            .entry(self.hasher.hash_one(text))
            .or_insert_with(|| {
                is_new = true;
                SharedName::new(text.into())
            })
            .clone();
        if *name.text != *text {
            // Another name has this hash.
            return SharedName::new(text.into());
        }
        if is_new && self.made.fetch_add(1, Ordering::Relaxed) >= self.purge_at.load(Ordering::Relaxed) {
            self.made.store(0, Ordering::Relaxed);
            self.copies.retain(|_, name| Arc::strong_count(&name.text) > 1);
            self.purge_at
                .store(self.copies.len().max(FIRST_PURGE), Ordering::Relaxed);
        }
        name
    }
}

/// Hands out one shared copy of each provenance; copies that nobody else holds are dropped now and again.
///
/// A copy is found by a seeded 64-bit hash of its content alone: two that share one are as likely as a disk's undetected
/// read error, and nobody outside can make them.
#[derive(Debug)]
pub struct Interner {
    copies: HashTable<(u64, Arc<Provenance>)>,
    hasher: foldhash::quality::RandomState,
    purge_at: usize,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            copies: HashTable::new(),
            hasher: foldhash::quality::RandomState::default(),
            purge_at: FIRST_PURGE,
        }
    }
}

impl Interner {
    /// Returns the shared copy of what `make` gives, which is asked only if there is none; `content` is all that it is made
    /// from.
    pub fn intern(&mut self, content: impl Hash, make: impl FnOnce() -> Provenance) -> Arc<Provenance> {
        let hash = self.hasher.hash_one(content);
        if let Some((_, copy)) = self.copies.find(hash, |(other, _)| *other == hash) {
            return Arc::clone(copy);
        }
        if self.copies.len() >= self.purge_at {
            self.copies.retain(|(_, copy)| Arc::strong_count(copy) > 1);
            self.purge_at = (self.copies.len() * 2).max(FIRST_PURGE);
        }
        let copy = Arc::new(make());
        self.copies
            .insert_unique(hash, (hash, Arc::clone(&copy)), |(hash, _)| *hash);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Address;

    fn intern(interner: &mut Interner, name: &str) -> Arc<Provenance> {
        let server = Address::v4([10, 0, 0, 53]);
        interner.intern((name, server), || Provenance::new(name.into(), server, Box::default()))
    }

    #[test]
    fn names_are_shared_and_unused_ones_are_dropped() {
        let names = SharedNames::default();
        let kept = names.share("kept.example");
        for n in 0..10_000 {
            drop(names.share(&format!("{n}.example")));
        }
        assert!(names.copies.len() <= 2 * FIRST_PURGE);
        assert!(Arc::ptr_eq(&kept.text, &names.share("kept.example").text));
    }

    #[test]
    fn copies_are_shared_and_unused_ones_are_dropped() {
        let mut interner = Interner::default();
        let kept = intern(&mut interner, "kept.example");
        assert!(Arc::ptr_eq(&kept, &intern(&mut interner, "kept.example")));
        for n in 0..10_000 {
            intern(&mut interner, &format!("{n}.example"));
        }
        assert!(interner.copies.len() <= FIRST_PURGE);
        assert!(Arc::ptr_eq(&kept, &intern(&mut interner, "kept.example")));
    }
}
