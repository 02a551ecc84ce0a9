//! The pairs of one workload in memory, each in the slot that it keeps on disk.

use std::hint::black_box;
use std::ops::BitXor;

use crate::model::{
    Day, Ledger, Page, Pair, PairKey, PairKeyView, PairView, Places, StoredPair, Timestamp, WorkloadId,
};

/// One pair.
#[derive(Debug, Clone)]
struct Entry {
    key: PairKey,
    pair: Pair,
}

impl Entry {
    fn view(&self, workload: WorkloadId, slot: u32) -> PairView<'_> {
        PairView {
            workload,
            slot,
            key: self.key.view(),
            pair: &self.pair,
        }
    }
}

/// The pairs of one page, and a bit for each of its slots that says how far the ledger has it.
#[derive(Debug, Default)]
struct Part {
    entries: Vec<Option<Entry>>,
    /// Pairs that neither a journal row nor the page holds as they are.
    unwritten: u64,
    /// Whether the ledger's page is another one.
    is_dirty: bool,
    /// The batch that wrote the ledger's page, as far as that was read.
    batch: u64,
}

impl Part {
    /// Brings near the names of all pairs, in steps in which none waits for another: a page is about to be written, most
    /// of which was not asked for in a while.
    fn look_ahead(&self) {
        let entries = || self.entries.iter().flatten();
        let names = || entries().filter_map(|entry| entry.pair.names().next());
        let keys = entries().filter_map(|entry| match entry.key.view() {
            PairKeyView::Text(_, text) => text.bytes().next(),
            PairKeyView::Address(..) => None,
        });
        black_box(names().fold(0, |near, name| near ^ name.name.len()));
        black_box(keys.fold(0, BitXor::bitxor));
        black_box(
            names()
                .filter_map(|name| name.name.bytes().next())
                .fold(0, BitXor::bitxor),
        );
    }
}

/// The pairs of one workload.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    parts: Vec<Part>,
    index: Places,
    /// Slots without a pair, the least last; not known until a pair is added.
    free: Option<Vec<u32>>,
    /// The batch from which on journal rows are needed for this workload.
    pub unfolded_since: Option<u64>,
    /// The batch that last took pages over; the ledger may not show them yet.
    pub folded: u64,
    /// The batch in which the workload was last asked for.
    pub used: u64,
}

impl Loaded {
    /// Makes room for the pairs of a page that was read.
    pub fn reserve(&mut self, pairs: &[StoredPair]) {
        self.index.reserve(pairs.len());
        if let Some(last) = pairs.last() {
            let (number, at) = place(last.slot);
            if self.parts.len() <= number {
                self.parts.reserve_exact(number + 1 - self.parts.len());
                self.parts.resize_with(number + 1, Part::default);
            }
            if let Some(part) = self.parts.get_mut(number) {
                part.entries.reserve_exact(at + 1);
            }
        }
    }

    /// Notes which batch wrote the page of a slot.
    pub fn set_batch(&mut self, slot: u32, batch: u64) {
        if let Some(part) = self.parts.get_mut(place(slot).0) {
            part.batch = batch;
        }
    }

    /// Says whether the page of a slot that was read holds what a journal row says of it, or something newer.
    pub fn has_row(&self, slot: u32, row: u64) -> bool {
        self.parts.get(place(slot).0).is_some_and(|part| part.batch >= row)
    }

    /// Puts a pair into its slot; `hash` is that of its key.
    pub fn put(&mut self, stored: StoredPair, hash: u32) {
        let StoredPair { slot, key, pair } = stored;
        let (number, at) = place(slot);
        if self.parts.len() <= number {
            self.parts.reserve_exact(number + 1 - self.parts.len());
            self.parts.resize_with(number + 1, Part::default);
        }
        let Some(part) = self.parts.get_mut(number) else { return };
        if number > 0 && part.entries.is_empty() {
            // A workload that has filled a page before is likely to fill half of this one.
            part.entries.reserve_exact(StoredPair::A_PAGE as usize / 2);
        }
        if part.entries.len() == at {
            part.entries.push(Some(Entry { key, pair }));
        } else {
            if part.entries.len() < at {
                part.entries.resize_with(at + 1, || None);
            }
            let Some(place) = part.entries.get_mut(at) else { return };
            if place.replace(Entry { key, pair }).is_some() {
                return;
            }
        }
        self.index.insert(wide(hash), slot);
    }

    /// Adds a pair in a slot of its own: the first one that an expired pair left, or the one behind all others.
    pub fn add(&mut self, key: PairKey, hash: u32, pair: Pair) -> u32 {
        if self.free.is_none() {
            let slots = (0..self.end()).rev();
            self.free = Some(slots.filter(|slot| self.entry(*slot).is_none()).collect());
        }
        let left = self.free.as_mut().and_then(Vec::pop);
        let slot = left.unwrap_or_else(|| self.end());
        self.put(StoredPair { slot, key, pair }, hash);
        slot
    }

    /// Returns the slot behind all that have had a pair.
    fn end(&self) -> u32 {
        let full = self.parts.len().saturating_sub(1) * StoredPair::A_PAGE as usize;
        let last = self.parts.last().map_or(0, |part| part.entries.len());
        u32::try_from(full + last).unwrap_or(u32::MAX)
    }

    /// Takes the pair out of a slot. The ledger may have it still; whoever comes into the slot takes its place there.
    pub fn vacate(&mut self, slot: u32, hash_of: impl Fn(&PairKey) -> u32) {
        let (number, at) = place(slot);
        let Some(part) = self.parts.get_mut(number) else { return };
        if let Some(entry) = part.entries.get_mut(at).and_then(Option::take) {
            part.unwritten &= !(1 << at);
            self.index.remove(wide(hash_of(&entry.key)), slot);
        }
    }

    /// Forgets pairs whose last contact was before `cutoff`; returns how many.
    pub fn expire(&mut self, cutoff: Timestamp, hash_of: impl Fn(&PairKey) -> u32) -> usize {
        let is_expired = |slot: &u32| self.get(*slot).is_some_and(|pair| pair.last() < cutoff);
        let expired: Vec<u32> = (0..self.end()).filter(is_expired).collect();
        for slot in &expired {
            self.vacate(*slot, &hash_of);
        }
        if !expired.is_empty() {
            self.free = None;
            let is_empty = |part: &Part| !part.is_dirty && part.entries.iter().all(Option::is_none);
            while self.parts.last().is_some_and(is_empty) {
                self.parts.pop();
            }
        }
        expired.len()
    }

    /// Returns the slot of a destination.
    pub fn slot_of(&self, key: &PairKey, hash: u32) -> Option<u32> {
        let is_it = |&slot: &u32| self.entry(slot).is_some_and(|entry| entry.key == *key);
        self.index.of(wide(hash)).find(is_it)
    }

    /// Returns the slot of a destination; of several the one with the latest contact, since one that is expired may stand
    /// beside its successor where nobody knows the retention.
    pub fn latest_slot_of(&self, key: &PairKey, hash: u32) -> Option<u32> {
        let is_it = |&slot: &u32| self.entry(slot).is_some_and(|entry| entry.key == *key);
        let last = |slot: &u32| self.get(*slot).map(Pair::last);
        self.index.of(wide(hash)).filter(is_it).max_by_key(last)
    }

    /// Touches where a destination is looked for.
    pub fn touch_index(&self, hash: u32) -> u64 {
        // A new pair stands behind the last one.
        let last = self.parts.last().and_then(|part| part.entries.last()?.as_ref());
        self.index.touch(wide(hash)) ^ last.map_or(0, |last| u64::from(last.pair.count))
    }

    /// Touches what is probably the pair of a destination.
    pub fn touch_pair(&self, hash: u32) -> u64 {
        let slot = self.index.of(wide(hash)).next();
        let entry = slot.and_then(|slot| self.entry(slot));
        entry.map_or(0, |entry| u64::from(entry.key.kind()) ^ u64::from(entry.pair.count))
    }

    fn entry(&self, slot: u32) -> Option<&Entry> {
        let (number, at) = place(slot);
        self.parts.get(number)?.entries.get(at)?.as_ref()
    }

    /// Returns the pair in a slot.
    pub fn get(&self, slot: u32) -> Option<&Pair> {
        self.entry(slot).map(|entry| &entry.pair)
    }

    /// Returns the destination of the pair in a slot.
    pub fn key(&self, slot: u32) -> Option<PairKey> {
        self.entry(slot).map(|entry| entry.key.clone())
    }

    /// Returns the pair in a slot, to change it; its page has to be written again.
    pub fn change(&mut self, slot: u32) -> Option<&mut Pair> {
        let (number, at) = place(slot);
        let part = self.parts.get_mut(number)?;
        part.is_dirty = true;
        part.unwritten |= 1 << at;
        part.entries.get_mut(at)?.as_mut().map(|entry| &mut entry.pair)
    }

    /// Takes a pair for one that a journal row holds as it is.
    pub fn set_written(&mut self, slot: u32) {
        let (number, at) = place(slot);
        if let Some(part) = self.parts.get_mut(number) {
            part.unwritten &= !(1 << at);
        }
    }

    /// Returns the pair in a slot, to be written; `workload` is whose pairs these are.
    pub fn view(&self, workload: WorkloadId, slot: u32) -> Option<PairView<'_>> {
        self.entry(slot).map(|entry| entry.view(workload, slot))
    }

    /// Returns the slots of pairs that changed since a journal row or their page was written.
    pub fn unwritten(&self) -> Vec<u32> {
        let mut slots = Vec::new();
        for (number, part) in (0_u32..).zip(&self.parts) {
            let mut bits = part.unwritten;
            while bits != 0 {
                slots.push(number * StoredPair::A_PAGE + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        slots
    }

    /// Returns the pages that differ from the ledger's, and takes them for written.
    pub fn take_pages(&mut self, ledger: &dyn Ledger, workload: WorkloadId, batch: u64) -> Vec<Page> {
        self.unfolded_since = None;
        self.folded = batch;
        let numbered = (0_u32..).zip(&mut self.parts);
        let dirty = numbered.filter(|(_, part)| part.is_dirty);
        dirty
            .map(|(number, part)| {
                (part.is_dirty, part.unwritten) = (false, 0);
                part.look_ahead();
                let slots = (number * StoredPair::A_PAGE..).zip(&part.entries);
                let pairs = slots.filter_map(|(slot, entry)| entry.as_ref().map(|entry| entry.view(workload, slot)));
                let mut pairs = pairs.peekable();
                let row = match pairs.peek() {
                    Some(_) => ledger.page_row(batch, &mut pairs),
                    None => Vec::new(),
                };
                Page { workload, number, row }
            })
            .collect()
    }

    /// Says whether the ledger's pages hold everything.
    pub fn is_clean(&self) -> bool {
        self.parts.iter().all(|part| !part.is_dirty)
    }

    /// Returns how many pairs are held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns how many pairs had their last contact on a day or later.
    pub fn count_from(&self, day: Option<Day>) -> usize {
        let entries = self.parts.iter().flat_map(|part| part.entries.iter().flatten());
        entries.filter(|entry| Some(entry.pair.last().day()) >= day).count()
    }

    /// Returns how many domains and addresses there are pairs with, attempts left out.
    pub fn destinations(&self) -> u32 {
        let entries = self.parts.iter().flat_map(|part| part.entries.iter().flatten());
        let count = entries
            .filter(|entry| matches!(entry.key, PairKey::Domain(_) | PairKey::Address(_)))
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Returns the page of a slot, and the slot's place in it.
const fn place(slot: u32) -> (usize, usize) {
    (
        (slot / StoredPair::A_PAGE) as usize,
        (slot % StoredPair::A_PAGE) as usize,
    )
}

/// Puts a hash where a table of places looks at it.
const fn wide(hash: u32) -> u64 {
    (hash as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_takes_96_octets_with_its_destination() {
        assert_eq!((size_of::<Entry>(), size_of::<Option<Entry>>()), (96, 96));
    }

    #[test]
    fn of_an_expired_pair_and_its_successor_the_latter_is_found() {
        let key = PairKey::Domain("a.example".into());
        for slots in [[0, 5], [5, 0]] {
            let mut loaded = Loaded::default();
            for (slot, at) in slots.into_iter().zip([1, 9]) {
                let (key, pair) = (key.clone(), Pair::new(Timestamp(at)));
                loaded.put(StoredPair { slot, key, pair }, 7);
            }
            assert_eq!(loaded.latest_slot_of(&key, 7), Some(slots[1]));
        }
    }

    #[test]
    fn what_is_written_is_not_written_again_until_it_changes() {
        let mut loaded = Loaded::default();
        let key = |n: u32| PairKey::Domain(format!("{n}.example").into());
        for n in 0..200 {
            let slot = loaded.add(key(n), n / 2, Pair::new(Timestamp(0)));
            assert_eq!((slot, loaded.slot_of(&key(n), n / 2)), (n, Some(n)));
        }
        assert!((0..200).all(|n| loaded.slot_of(&key(n), n / 2) == Some(n)));
        assert_eq!(
            (loaded.len(), loaded.destinations(), loaded.is_clean()),
            (200, 200, true)
        );
        for slot in [3, 70, 199] {
            loaded.change(slot).unwrap().count = 7;
        }
        assert_eq!(loaded.view(WorkloadId(1), 70).unwrap().pair.count, 7);
        loaded.set_written(70);
        assert_eq!(loaded.unwritten(), [3, 199]);
        loaded.change(70).unwrap().count = 8;
        assert_eq!(loaded.unwritten(), [3, 70, 199]);
    }
}
