//! The pairs of one workload in memory, each in the slot that it keeps on disk.

use crate::model::{
    Day, LedgerError, Page, Pair, PairKey, PairView, Places, StoredPage, StoredPair, Timestamp, WorkloadId,
};

use super::part::{Entry, Part, Reader, Stays};

/// The pairs of one workload.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    parts: Vec<Part>,
    index: Places,
    /// How many are with a domain or an address, attempts left out.
    destinations: u32,
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
    /// Puts a page that was read in its place, whose pairs are read when they are asked for; `keys` are its slots, the
    /// hashes of their destinations, and whether those count as such.
    pub fn put_page(&mut self, page: StoredPage, keys: &[(u32, u32, bool)]) {
        self.index.reserve(keys.len());
        let mut unread = 0;
        for &(slot, hash, is_destination) in keys {
            unread |= 1 << place(slot).1;
            self.index.insert(wide(hash), slot);
            self.destinations += u32::from(is_destination);
        }
        let number = page.number as usize;
        if let Some(part) = self.part_mut(number) {
            *part = Part::of(page, unread);
        }
    }

    /// Returns a part, which is made if it is missing.
    fn part_mut(&mut self, number: usize) -> Option<&mut Part> {
        if self.parts.len() <= number {
            self.parts.reserve_exact(number + 1 - self.parts.len());
            self.parts.resize_with(number + 1, Part::default);
        }
        self.parts.get_mut(number)
    }

    /// Says whether the page of a slot that was read holds what a journal row says of it, or something newer.
    pub fn has_row(&self, slot: u32, row: u64) -> bool {
        self.parts.get(place(slot).0).is_some_and(|part| part.has_row(row))
    }

    /// Says whether a pair with another destination is in a slot than one with this hash, as far as hashes tell: where they
    /// are the same, one may take the other's place in the tables too.
    pub fn has_other(&self, slot: u32, hash: u32) -> bool {
        self.has(slot) && !self.index.of(wide(hash)).any(|at| at == slot)
    }

    /// Puts a pair into its slot, in which there is none or one with the same hash; `hash` is that of its key.
    pub fn put(&mut self, stored: StoredPair, hash: u32) {
        let StoredPair { slot, key, pair } = stored;
        let (number, at) = place(slot);
        let is_destination = is_destination(key.kind());
        let Some(part) = self.part_mut(number) else { return };
        if number > 0 && part.end() == 0 {
            // A workload that has filled a page before is likely to fill half of this one.
            part.reserve(StoredPair::A_PAGE as usize / 2);
        }
        if part.put(at, Entry { key, pair }) {
            self.index.insert(wide(hash), slot);
            self.destinations += u32::from(is_destination);
        }
    }

    /// Adds a pair in a slot of its own: the first one that an expired pair left, or the one behind all others.
    pub fn add(&mut self, key: PairKey, hash: u32, pair: Pair) -> u32 {
        if self.free.is_none() {
            let slots = (0..self.end()).rev();
            self.free = Some(slots.filter(|slot| !self.has(*slot)).collect());
        }
        let left = self.free.as_mut().and_then(Vec::pop);
        let slot = left.unwrap_or_else(|| self.end());
        self.put(StoredPair { slot, key, pair }, hash);
        slot
    }

    fn has(&self, slot: u32) -> bool {
        let (number, at) = place(slot);
        self.parts.get(number).is_some_and(|part| part.has(at))
    }

    /// Returns the slot behind all pairs.
    fn end(&self) -> u32 {
        let used = self.parts.iter().rposition(|part| part.end() > 0);
        let end = used.and_then(|number| {
            let last = self.parts.get(number)?.end();
            u32::try_from(number)
                .ok()?
                .checked_mul(StoredPair::A_PAGE)?
                .checked_add(last)
        });
        end.unwrap_or(0)
    }

    /// Takes the pair, which is ready, out of a slot. The ledger may have it still; whoever comes into the slot takes its
    /// place there.
    pub fn vacate(&mut self, slot: u32, hash_of: impl Fn(&PairKey) -> u32) {
        let (number, at) = place(slot);
        if let Some(entry) = self.parts.get_mut(number).and_then(|part| part.take(at)) {
            self.index.remove(wide(hash_of(&entry.key)), slot);
            self.destinations -= u32::from(is_destination(entry.key.kind()));
        }
    }

    /// Forgets pairs whose last contact was before `cutoff`; returns how many.
    pub fn expire(
        &mut self,
        cutoff: Timestamp,
        hash_of: impl Fn(&PairKey) -> u32,
        reader: &mut Reader<'_>,
    ) -> Result<usize, LedgerError> {
        let mut expired = Vec::new();
        for (number, part) in (0_u32..).zip(&mut self.parts) {
            part.read_older(cutoff, reader)?;
            let is_expired = |at: &u32| part.get(*at).is_some_and(|entry| entry.pair.last() < cutoff);
            let places = part.ready().filter(is_expired);
            expired.extend(places.map(|at| number * StoredPair::A_PAGE + at));
        }
        for slot in &expired {
            self.vacate(*slot, &hash_of);
        }
        if !expired.is_empty() {
            self.free = None;
            while self.parts.last().is_some_and(Part::is_empty) {
                self.parts.pop();
            }
        }
        Ok(expired.len())
    }

    /// Makes the pair in a slot ready.
    pub fn read(&mut self, slot: u32, reader: &mut Reader<'_>) -> Result<(), LedgerError> {
        let (number, at) = place(slot);
        match self.parts.get_mut(number) {
            Some(part) => part.read(at, reader),
            None => Ok(()),
        }
    }

    /// Returns the slot of a destination, whose pair is ready then.
    pub fn slot_of(&mut self, key: &PairKey, hash: u32, reader: &mut Reader<'_>) -> Result<Option<u32>, LedgerError> {
        let is_it = |loaded: &Self, slot: u32| loaded.entry(slot).is_some_and(|entry| entry.key == *key);
        let mut is_unread = false;
        for slot in self.index.of(wide(hash)) {
            if is_it(self, slot) {
                return Ok(Some(slot));
            }
            is_unread |= self.entry(slot).is_none();
        }
        if is_unread {
            let slots: Vec<u32> = self.index.of(wide(hash)).collect();
            for slot in slots {
                self.read(slot, reader)?;
                if is_it(self, slot) {
                    return Ok(Some(slot));
                }
            }
        }
        Ok(None)
    }

    /// Returns the slot of a destination, whose pair is ready then; of several the one with the latest contact, since one
    /// that is expired may stand beside its successor where nobody knows the retention.
    pub fn latest_slot_of(
        &mut self,
        key: &PairKey,
        hash: u32,
        reader: &mut Reader<'_>,
    ) -> Result<Option<u32>, LedgerError> {
        let mut slots: Vec<u32> = self.index.of(wide(hash)).collect();
        for slot in &slots {
            self.read(*slot, reader)?;
        }
        slots.retain(|slot| self.entry(*slot).is_some_and(|entry| entry.key == *key));
        Ok(slots.into_iter().max_by_key(|slot| self.get(*slot).map(Pair::last)))
    }

    /// Touches where a destination is looked for.
    pub fn touch_index(&self, hash: u32) -> u64 {
        // A new pair stands behind the last one.
        let last = self.parts.last().and_then(Part::last);
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
        self.parts.get(number)?.get(at)
    }

    /// Returns the pair in a slot, if it is ready.
    pub fn get(&self, slot: u32) -> Option<&Pair> {
        self.entry(slot).map(|entry| &entry.pair)
    }

    /// Returns the destination of the pair in a slot, if it is ready.
    pub fn key(&self, slot: u32) -> Option<PairKey> {
        self.entry(slot).map(|entry| entry.key.clone())
    }

    /// Returns the pair in a slot, which is ready, to change it; its page has to be written again.
    pub fn change(&mut self, slot: u32) -> Option<&mut Pair> {
        let (number, at) = place(slot);
        self.parts.get_mut(number)?.change(at)
    }

    /// Takes a pair for one that a journal row holds as it is.
    pub fn set_written(&mut self, slot: u32) {
        let (number, at) = place(slot);
        if let Some(part) = self.parts.get_mut(number) {
            part.set_written(at);
        }
    }

    /// Returns the pair in a slot, which is ready, to be written; `workload` is whose pairs these are.
    pub fn view(&self, workload: WorkloadId, slot: u32) -> Option<PairView<'_>> {
        self.entry(slot).map(|entry| entry.view(workload, slot))
    }

    /// Returns the slots of pairs that changed since a journal row or their page was written.
    pub fn unwritten(&self) -> Vec<u32> {
        let numbered = (0_u32..).zip(&self.parts);
        let slots =
            numbered.flat_map(|(number, part)| part.unwritten().map(move |at| number * StoredPair::A_PAGE + at));
        slots.collect()
    }

    /// Returns the pages that differ from the ledger's, and takes them for written.
    pub fn take_pages(
        &mut self,
        workload: WorkloadId,
        batch: u64,
        stay: Stays,
        reader: &mut Reader<'_>,
    ) -> Result<Vec<Page>, LedgerError> {
        self.unfolded_since = None;
        self.folded = batch;
        let last = self.parts.len().saturating_sub(1);
        let numbered = (0_u32..).zip(&mut self.parts);
        let dirty = numbered.filter(|(_, part)| part.is_dirty());
        dirty
            .map(|(number, part)| {
                // More pairs are likely to come into the last one.
                let stays = if number as usize == last { Stays::Ready } else { stay };
                part.take_page(workload, number, batch, stays, reader)
            })
            .collect()
    }

    /// Says whether the ledger's pages hold everything.
    pub fn is_clean(&self) -> bool {
        self.parts.iter().all(|part| !part.is_dirty())
    }

    /// Returns how many pairs are held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns how many pairs had their last contact on a day or later.
    pub fn count_from(&mut self, day: Option<Day>, reader: &mut Reader<'_>) -> Result<usize, LedgerError> {
        let mut count = 0;
        for part in &mut self.parts {
            count += part.count_from(day, reader)?;
        }
        Ok(count)
    }

    /// Returns how many domains and addresses there are pairs with, attempts left out.
    pub const fn destinations(&self) -> u32 {
        self.destinations
    }
}

/// Says whether a key of this kind is a domain or an address that a workload has contacts with.
pub(super) const fn is_destination(kind: u8) -> bool {
    matches!(kind, 0 | 2)
}

/// Returns the page of a slot, and the slot's place in it.
const fn place(slot: u32) -> (usize, u32) {
    ((slot / StoredPair::A_PAGE) as usize, slot % StoredPair::A_PAGE)
}

/// Puts a hash where a table of places looks at it.
const fn wide(hash: u32) -> u64 {
    (hash as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::super::shared::Shared;
    use super::super::tests::Paper;
    use super::*;

    #[test]
    fn of_an_expired_pair_and_its_successor_the_latter_is_found() {
        let (paper, mut shared) = (Paper::default(), Shared::default());
        let (ledger, shared) = (&paper, &mut shared);
        let mut reader = Reader { ledger, shared };
        let key = PairKey::Domain("a.example".into());
        for slots in [[0, 5], [5, 0]] {
            let mut loaded = Loaded::default();
            for (slot, at) in slots.into_iter().zip([1, 9]) {
                let (key, pair) = (key.clone(), Pair::new(Timestamp(at)));
                loaded.put(StoredPair { slot, key, pair }, 7);
            }
            assert_eq!(loaded.latest_slot_of(&key, 7, &mut reader).unwrap(), Some(slots[1]));
        }
    }

    #[test]
    fn what_is_written_is_not_written_again_until_it_changes() {
        let (paper, mut shared) = (Paper::default(), Shared::default());
        let (ledger, shared) = (&paper, &mut shared);
        let mut reader = Reader { ledger, shared };
        let mut loaded = Loaded::default();
        let key = |n: u32| PairKey::Domain(format!("{n}.example").into());
        for n in 0..200 {
            let slot = loaded.add(key(n), n / 2, Pair::new(Timestamp(0)));
            assert_eq!(
                (slot, loaded.slot_of(&key(n), n / 2, &mut reader).unwrap()),
                (n, Some(n))
            );
        }
        assert!((0..200).all(|n| loaded.slot_of(&key(n), n / 2, &mut reader).unwrap() == Some(n)));
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
