//! The pairs of one workload in memory, each in the slot that it keeps on disk.

use hashbrown::HashTable;

use crate::model::{Page, Pair, PairKey, StoredPair, WorkloadId};

/// One pair and whether its epoch's journal row has to hold it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: PairKey,
    pub pair: Pair,
    pub is_journaled: bool,
    hash: u64,
}

/// The pairs of one workload.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    slots: Vec<Option<Entry>>,
    index: HashTable<u32>,
    /// Pages that differ from the ledger's, a bit each.
    dirty: Vec<u64>,
    /// The batch from which on journal rows are needed for this workload.
    pub unfolded_since: Option<u64>,
    /// The batch that last took pages over; the ledger may not show them yet.
    pub folded: u64,
    /// The batch in which the workload was last asked for.
    pub used: u64,
}

impl Loaded {
    /// Puts a pair into its slot; `hash` is that of its key.
    pub fn put(&mut self, stored: StoredPair, hash: u64) {
        let StoredPair { slot, key, pair } = stored;
        let at = slot as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        let entry = Entry {
            key,
            pair,
            is_journaled: false,
            hash,
        };
        let Some(place) = self.slots.get_mut(at) else { return };
        let is_known = place.replace(entry).is_some();
        if !is_known {
            let slots = &self.slots;
            self.index.insert_unique(hash, slot, |&slot| hash_in(slots, slot));
        }
    }

    /// Adds a pair in a slot of its own; slots that expired pairs left are not used again while the workload is loaded.
    pub fn add(&mut self, key: PairKey, hash: u64, pair: Pair) -> u32 {
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.put(StoredPair { slot, key, pair }, hash);
        slot
    }

    /// Returns the slot of a destination.
    pub fn slot_of(&self, key: &PairKey, hash: u64) -> Option<u32> {
        let is_it = |&slot: &u32| self.get(slot).is_some_and(|entry| entry.key == *key);
        self.index.find(hash, is_it).copied()
    }

    /// Returns the pair in a slot.
    pub fn get(&self, slot: u32) -> Option<&Entry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Returns the pair in a slot, to change it; its page has to be written again.
    pub fn change(&mut self, slot: u32) -> Option<&mut Entry> {
        let page = slot / StoredPair::A_PAGE;
        let (word, bit) = ((page / 64) as usize, page % 64);
        if self.dirty.len() <= word {
            self.dirty.resize(word + 1, 0);
        }
        if let Some(bits) = self.dirty.get_mut(word) {
            *bits |= 1 << bit;
        }
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Returns the pages that differ from the ledger's, and takes them for written.
    pub fn take_pages(&mut self, workload: WorkloadId, batch: u64) -> Vec<Page> {
        self.unfolded_since = None;
        self.folded = batch;
        let dirty = std::mem::take(&mut self.dirty);
        let words = (0_u32..).zip(dirty);
        let numbers = words.flat_map(|(word, bits)| {
            let is_set = move |bit: &u32| bits & (1 << bit) != 0;
            (0..64).filter(is_set).map(move |bit| word * 64 + bit)
        });
        numbers.map(|number| self.page(workload, number)).collect()
    }

    fn page(&self, workload: WorkloadId, number: u32) -> Page {
        let first = number * StoredPair::A_PAGE;
        let pairs = (first..first + StoredPair::A_PAGE).filter_map(|slot| {
            self.get(slot).map(|entry| StoredPair {
                slot,
                key: entry.key.clone(),
                pair: entry.pair.clone(),
            })
        });
        Page {
            workload,
            number,
            pairs: pairs.collect(),
        }
    }

    /// Says whether the ledger's pages hold everything.
    pub fn is_clean(&self) -> bool {
        self.dirty.iter().all(|bits| *bits == 0)
    }

    /// Returns how many pairs are held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns how many domains and addresses there are pairs with, attempts left out.
    pub fn destinations(&self) -> u32 {
        let entries = self.slots.iter().flatten();
        let count = entries
            .filter(|entry| matches!(entry.key, PairKey::Domain(_) | PairKey::Address(_)))
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

fn hash_in(slots: &[Option<Entry>], slot: u32) -> u64 {
    slots
        .get(slot as usize)
        .and_then(Option::as_ref)
        .map_or(0, |entry| entry.hash)
}
