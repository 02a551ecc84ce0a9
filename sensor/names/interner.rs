//! One copy of what answers have in common.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::model::{Address, Places, Provenance, SharedName};

use super::given::Hasher;

/// The least number of copies before unused ones are looked for.
const FIRST_PURGE: usize = 1024;

/// One copy of each name for all workers; copies that nobody else holds are dropped now and again.
#[derive(Debug)]
pub(super) struct SharedNames {
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
    fn share(&self, text: &str) -> SharedName {
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

/// Stands for a provenance among a worker's copies until the next [`Interner::purge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin(pub(super) u32);

/// One copy, by the hash of all that it was made from.
#[derive(Debug)]
struct Interned {
    hash: u64,
    name_hash: u64,
    provenance: Arc<Provenance>,
}

/// One shared copy of each provenance that a worker meets; copies that nobody else holds are dropped now and again.
///
/// A copy is found by a seeded 64-bit hash of its content alone: two that share one are as likely as a disk's undetected
/// read error, and nobody outside can make them. Finding one touches neither it nor its count of holders, which other
/// threads change: that would cost more than all else here.
#[derive(Debug)]
pub struct Interner {
    names: Arc<SharedNames>,
    copies: Vec<Interned>,
    index: Places,
    hasher: foldhash::quality::RandomState,
    /// Of the tables in which evidence is found by its name.
    name_hasher: Hasher,
    purge_at: usize,
}

impl Interner {
    /// Returns an interner without copies.
    pub(super) fn new(names: Arc<SharedNames>, name_hasher: Hasher) -> Self {
        Self {
            names,
            copies: Vec::new(),
            index: Places::new(),
            hasher: foldhash::quality::RandomState::default(),
            name_hasher,
            purge_at: FIRST_PURGE,
        }
    }

    /// Returns what stands for what `server` said of `name` by a chain; `make_chain` is asked only if that is new.
    pub fn intern(
        &mut self,
        name: &str,
        server: Address,
        chain: &[&[u8]],
        make_chain: impl FnOnce() -> Box<[Arc<str>]>,
    ) -> Origin {
        self.intern_hashed(self.hash(name, server, chain), name, server, make_chain)
    }

    /// Returns the hash of all that a copy is made from.
    #[must_use]
    pub fn hash(&self, name: &str, server: Address, chain: &[&[u8]]) -> u64 {
        self.hasher.hash_one((name, server, chain))
    }

    /// Touches where a copy is looked for.
    pub(super) fn touch_index(&self, hash: u64) -> u64 {
        self.index.touch(hash)
    }

    /// Touches what is probably the copy.
    pub(super) fn touch_copy(&self, hash: u64) -> u64 {
        let copy = self
            .index
            .of(hash)
            .next()
            .and_then(|place| self.copies.get(place as usize));
        copy.map_or(0, |copy| copy.hash)
    }

    /// Returns what [`Interner::intern`] does, for what has this hash.
    pub(super) fn intern_hashed(
        &mut self,
        hash: u64,
        name: &str,
        server: Address,
        make_chain: impl FnOnce() -> Box<[Arc<str>]>,
    ) -> Origin {
        let is_it = |place: &u32| self.copies.get(*place as usize).is_some_and(|copy| copy.hash == hash);
        if let Some(place) = self.index.of(hash).find(is_it) {
            return Origin(place);
        }
        let place = self.copies.len() as u32;
        self.copies.push(Interned {
            hash,
            name_hash: self.name_hasher.hash_one(name),
            provenance: Arc::new(Provenance::of(self.names.share(name), server, make_chain())),
        });
        self.index.insert(hash, place);
        Origin(place)
    }

    /// Returns the copy that an origin stands for.
    #[must_use]
    pub fn get(&self, origin: Origin) -> Option<&Arc<Provenance>> {
        self.copies.get(origin.0 as usize).map(|copy| &copy.provenance)
    }

    /// Returns the copy that an origin stands for, and the hash of its name.
    pub(super) fn with_hash(&self, origin: Origin) -> Option<(&Arc<Provenance>, u64)> {
        let copy = self.copies.get(origin.0 as usize)?;
        Some((&copy.provenance, copy.name_hash))
    }

    /// Drops copies that nobody else holds, if there are many more than there were; what stood for copies stands for
    /// others then.
    pub fn purge(&mut self) {
        if self.copies.len() < self.purge_at {
            return;
        }
        self.copies.retain(|copy| Arc::strong_count(&copy.provenance) > 1);
        self.purge_at = (self.copies.len() * 2).max(FIRST_PURGE);
        self.index = Places::with_capacity(self.copies.len());
        for (place, copy) in (0..).zip(&self.copies) {
            self.index.insert(copy.hash, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut interner = Interner::new(Arc::default(), Hasher::default());
        let mut intern = |name: &str| {
            let origin = interner.intern(name, Address::v4([10, 0, 0, 53]), &[], Box::default);
            let provenance = Arc::clone(interner.get(origin).unwrap());
            interner.purge();
            assert!(interner.copies.len() <= FIRST_PURGE);
            provenance
        };
        let kept = intern("kept.example");
        assert!(Arc::ptr_eq(&kept, &intern("kept.example")));
        for n in 0..10_000 {
            assert_eq!(&*intern(&format!("{n}.example")).name, format!("{n}.example"));
        }
        assert!(Arc::ptr_eq(&kept, &intern("kept.example")));
    }
}
