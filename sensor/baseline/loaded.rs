//! The pairs of one workload in memory, each in the slot that it keeps on disk.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::model::{Page, Pair, PairKey, StoredPair, WorkloadId};

/// One pair and whether its epoch's journal row has to hold it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: PairKey,
    pub pair: Pair,
    pub is_journaled: bool,
}

/// The pairs of one workload.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    slots: Vec<Option<Entry>>,
    index: HashMap<PairKey, u32, foldhash::fast::RandomState>,
    /// Pages that differ from the ledger's.
    dirty: BTreeSet<u32>,
    /// The batch from which on journal rows are needed for this workload.
    pub unfolded_since: Option<u64>,
    /// The batch in which the workload was last asked for.
    pub used: u64,
}

impl Loaded {
    /// Returns the pairs that pages hold.
    pub fn from_pages(pairs: Vec<StoredPair>) -> Self {
        let mut loaded = Self::default();
        for stored in pairs {
            loaded.put(stored);
        }
        loaded
    }

    /// Puts a pair into its slot.
    pub fn put(&mut self, stored: StoredPair) {
        let at = stored.slot as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        self.index.insert(stored.key.clone(), stored.slot);
        if let Some(place) = self.slots.get_mut(at) {
            *place = Some(Entry {
                key: stored.key,
                pair: stored.pair,
                is_journaled: false,
            });
        }
    }

    /// Adds a pair in a slot of its own; slots that expired pairs left are not used again while the workload is loaded.
    pub fn add(&mut self, key: PairKey, pair: Pair) -> u32 {
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.put(StoredPair { slot, key, pair });
        slot
    }

    /// Returns the slot of a destination.
    pub fn slot_of(&self, key: &PairKey) -> Option<u32> {
        self.index.get(key).copied()
    }

    /// Returns the pair in a slot.
    pub fn get(&self, slot: u32) -> Option<&Entry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Returns the pair in a slot, to change it; its page has to be written again.
    pub fn change(&mut self, slot: u32) -> Option<&mut Entry> {
        let entry = self.slots.get_mut(slot as usize)?.as_mut()?;
        self.dirty.insert(slot / StoredPair::A_PAGE);
        Some(entry)
    }

    /// Returns the pages that differ from the ledger's, and takes them for written.
    pub fn take_pages(&mut self, workload: WorkloadId) -> Vec<Page> {
        self.unfolded_since = None;
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|number| self.page(workload, number)).collect()
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
        self.dirty.is_empty()
    }

    /// Returns how many pairs are held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns how many domains and addresses there are pairs with, attempts left out.
    pub fn destinations(&self) -> u32 {
        let count = self
            .iter()
            .filter(|entry| matches!(entry.key, PairKey::Domain(_) | PairKey::Address(_)))
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Returns every pair.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().flatten()
    }
}
