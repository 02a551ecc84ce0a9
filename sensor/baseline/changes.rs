//! Handing changes on: journal rows, pages that take over from them, and the index by destination.

use crate::model::{Day, Holder, Page, PairChange, PairKey, StoredPair, WorkloadId};

use super::pairs::{Baseline, PairPlace};

/// Journal rows are folded into pages once they hold this many changes: a restart reads at most so many.
const FOLD_AT: usize = 1 << 18;
/// At most about so many pairs are folded in one epoch, so that folding never holds up the judge.
const FOLD_STEP: usize = 1 << 14;
/// The index by destination gets an entry for each stretch of so many days in which a pair had contacts, so that the
/// store can tell by an entry's day alone that it is of no use.
const INDEX_STRETCH_DAYS: i32 = 45;
/// Entries of the index by destination are looked for here for so many batches: more than may be on their way to the
/// disk.
const UNCOMMITTED: u64 = 256;

/// What folding gave.
#[derive(Debug, Default)]
pub struct Folded {
    /// Pages to write.
    pub pages: Vec<Page>,
    /// Journal rows up to this one are no longer needed.
    pub through: Option<u64>,
}

impl Baseline {
    /// Returns the pairs that this batch's journal row holds.
    pub fn take_journal(&mut self) -> Vec<PairChange> {
        let places = std::mem::take(&mut self.journal);
        let mut changes = Vec::with_capacity(places.len());
        for place in places {
            let Some(loaded) = self.get_mut(place.workload) else {
                continue;
            };
            let Some(entry) = loaded.change(place.slot) else {
                continue;
            };
            entry.is_journaled = false;
            changes.push(PairChange {
                workload: place.workload,
                stored: StoredPair {
                    slot: place.slot,
                    key: entry.key.clone(),
                    pair: entry.pair.clone(),
                },
            });
        }
        self.unfolded_changes += changes.len();
        changes
    }

    /// Returns pages that take over from journal rows if those have become long, or if more than `limit` pairs are in
    /// memory (only what pages hold can be forgotten), and up to which row they do.
    pub fn fold(&mut self, limit: usize) -> Folded {
        if self.unfolded_changes < FOLD_AT && self.loaded_pairs <= limit {
            return Folded::default();
        }
        self.fold_step(FOLD_STEP)
    }

    /// Returns pages that take over from journal rows, about `pairs` pairs of them.
    pub fn fold_step(&mut self, pairs: usize) -> Folded {
        let mut folded = Folded::default();
        let sequence = self.sequence;
        let mut left = pairs;
        while left > 0
            && let Some((_, workload)) = self.unfolded.pop_front()
        {
            let Some(loaded) = self.get_mut(workload) else { continue };
            let pages = loaded.take_pages(workload, sequence);
            left = left.saturating_sub(pages.iter().map(|page| page.pairs.len()).sum());
            folded.pages.extend(pages);
        }
        // Rows of this batch and later ones are needed for what is still in the queue.
        folded.through = match self.unfolded.front() {
            Some((row, _)) => row.checked_sub(1),
            None => Some(self.sequence),
        };
        if self.unfolded.is_empty() {
            self.unfolded_changes = 0;
        } else {
            self.unfolded_changes = self.unfolded_changes.saturating_sub(pairs - left);
        }
        folded
    }

    /// Says whether journal rows or memory hold anything that pages do not.
    #[must_use]
    pub fn is_folded(&self) -> bool {
        self.unfolded.is_empty()
    }

    /// Forgets the longest unused workloads that the ledger shows whole by now, until at most `limit` pairs are in memory.
    pub fn trim(&mut self, limit: usize) {
        if self.loaded_pairs <= limit {
            return;
        }
        let numbered = (0_u32..).zip(&self.workloads);
        let loaded = numbered.filter_map(|(id, loaded)| loaded.as_ref().map(|loaded| (WorkloadId(id), loaded)));
        let mut clean: Vec<(u64, WorkloadId)> = loaded
            .filter(|(_, loaded)| loaded.is_clean() && loaded.used.max(loaded.folded) + UNCOMMITTED < self.sequence)
            .map(|(id, loaded)| (loaded.used, id))
            .collect();
        clean.sort_unstable();
        for (_, id) in clean {
            if self.loaded_pairs <= limit - limit / 8 {
                break;
            }
            if let Some(loaded) = self.place(id).and_then(Option::take) {
                self.loaded_pairs -= loaded.len();
            }
        }
    }

    /// Returns the entries of the index by destination that this batch adds.
    pub fn take_indexed(&mut self) -> Vec<Holder> {
        let mut indexed = std::mem::take(&mut self.indexed);
        indexed.sort_unstable();
        indexed.dedup();
        while self
            .uncommitted
            .front()
            .is_some_and(|(batch, _)| batch + UNCOMMITTED < self.sequence)
        {
            self.uncommitted.pop_front();
        }
        if !indexed.is_empty() {
            self.uncommitted.push_back((self.sequence, indexed.clone()));
        }
        indexed
    }

    pub(super) fn journal(&mut self, workload: WorkloadId, slot: u32) {
        self.note_unfolded(workload);
        if let Some(entry) = self.get_mut(workload).and_then(|loaded| loaded.change(slot))
            && !entry.is_journaled
        {
            entry.is_journaled = true;
            self.journal.push(PairPlace { workload, slot });
        }
    }

    pub(super) fn note_unfolded(&mut self, workload: WorkloadId) {
        let sequence = self.sequence;
        if let Some(loaded) = self.get_mut(workload)
            && loaded.unfolded_since.is_none()
        {
            loaded.unfolded_since = Some(sequence);
            self.unfolded.push_back((sequence, workload));
        }
    }

    pub(super) fn index(&mut self, workload: WorkloadId, key: &PairKey, indexed: Option<Day>, day: Day) {
        if indexed.is_none_or(|indexed| stretch(indexed) < stretch(day)) {
            self.indexed.push(Holder {
                destination: key.index_hash(),
                workload,
                day: day.0,
            });
        }
    }
}

pub(super) const fn stretch(day: Day) -> i32 {
    day.0.div_euclid(INDEX_STRETCH_DAYS)
}
