//! Handing changes on: journal rows, and pages that take over from them.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{Holder, JournalRow, Ledger, LedgerError, Page, StoredPair, WorkloadId};

use super::loaded::Loaded;
use super::pairs::{Baseline, PairPlace, short_hash};
use super::part::{Reader, Stays};

/// Journal rows are folded into pages once they hold this many changes: a restart reads at most about so many, in less
/// than a second, and a pair is written about once as a row and once in a page.
const FOLD_AT: usize = 1 << 20;
/// Fewer changes are not worth the pages.
const LEAST_FOLD: usize = 1 << 12;
/// At most about so many pairs are folded in one epoch, so that folding never holds up the judge.
const FOLD_STEP: usize = 1 << 14;
/// A pair that comes into memory only to be folded counts as so many: it stays there until the ledger shows its page.
const ASIDE_COST: usize = 8;
/// So many batches after it was handed over the ledger shows a change: more than may be on their way to the disk.
const UNCOMMITTED: u64 = 256;
/// Octets that are made ready for a journal row at most.
const ROW_AHEAD: usize = 1 << 18;
/// Workloads that are idle are looked for again after so many batches at the earliest.
const LOOK_EVERY: u64 = 16;

/// What folding gave.
#[derive(Debug, Default)]
pub struct Folded {
    /// Pages to write.
    pub pages: Vec<Page>,
    /// Journal rows up to this one are no longer needed.
    pub through: Option<u64>,
    /// Entries of the index by destination to write, in runs each of which is in order: all that only these rows held, and
    /// later ones.
    pub holders: Arc<Vec<Vec<Holder>>>,
}

impl Baseline {
    /// Returns this batch's journal row; empty if no pair changed in a way that a restart must not lose.
    pub fn take_journal(&mut self) -> Vec<u8> {
        let JournalRow { octets, pairs, .. } = std::mem::take(&mut self.row);
        self.note_row(self.sequence, pairs);
        // The next row is likely to be about as long.
        self.row.octets = self.spare.take().unwrap_or_default();
        self.row.octets.reserve(octets.len().min(ROW_AHEAD));
        octets
    }

    /// Takes memory that a journal row took before.
    pub fn reuse(&mut self, mut octets: Vec<u8>) {
        octets.clear();
        self.spare = Some(octets);
    }

    /// Appends a pair to this batch's journal row.
    pub(super) fn write(&mut self, ledger: &dyn Ledger, place: PairPlace) {
        let PairPlace { workload, slot } = place;
        let loaded = self.workloads.get_mut(workload.0 as usize).and_then(Option::as_mut);
        let Some(loaded) = loaded else { return };
        if let Some(view) = loaded.view(workload, slot) {
            ledger.add_to_journal(&mut self.row, view);
        }
        loaded.set_written(slot);
    }

    /// Notes how many changes a journal row holds.
    pub(super) fn note_row(&mut self, row: u64, changes: usize) {
        if changes > 0 {
            self.rows.push_back((row, changes));
            self.journaled += changes;
        }
    }

    /// Returns how many changes journal rows hold when they are folded: a restart has all of them in memory.
    fn fold_at(&self) -> usize {
        FOLD_AT.min(self.limit * 2 / 3).max(LEAST_FOLD)
    }

    /// Returns pages that take over from journal rows if those have become long, pages of workloads that are to be
    /// forgotten if too many pairs are in memory, and those of workloads whose turn of the day is `due`; forgets those that
    /// the ledger shows whole by now.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn fold(&mut self, ledger: &dyn Ledger, due: Option<Range<u32>>) -> Result<Folded, LedgerError> {
        self.recent.forget(self.sequence.saturating_sub(UNCOMMITTED));
        let mut pages = Vec::new();
        if let Some(due) = due {
            self.tidy(ledger, due, &mut pages)?;
        }
        // Once begun, it goes on until they hold half as many.
        let fold_at = self.fold_at();
        self.is_folding = self.journaled >= if self.is_folding { fold_at / 2 } else { fold_at };
        if self.is_folding {
            self.fold_oldest(ledger, FOLD_STEP, &mut pages)?;
        }
        self.trim(ledger, &mut pages)?;
        Ok(self.folded(pages))
    }

    /// Forgets what is expired of workloads in memory, and hands over what only journal rows hold, so that nothing stays
    /// there that is expired.
    fn tidy(&mut self, ledger: &dyn Ledger, numbers: Range<u32>, pages: &mut Vec<Page>) -> Result<(), LedgerError> {
        let (sequence, cutoff, stay) = (self.sequence, self.cutoff, self.stay());
        for id in numbers.map(WorkloadId) {
            if self.aside.since(id).is_some() {
                self.load(ledger, id)?;
            }
            let Self {
                workloads,
                hasher,
                shared,
                loaded_pairs,
                ..
            } = self;
            let Some(loaded) = workloads.get_mut(id.0 as usize).and_then(Option::as_mut) else {
                continue;
            };
            let mut reader = Reader { ledger, shared };
            *loaded_pairs -= loaded.expire(cutoff, |key| short_hash(hasher, key.view()), &mut reader)?;
            if loaded.unfolded_since.is_some() {
                pages.extend(loaded.take_pages(id, sequence, stay, &mut reader)?);
            }
        }
        Ok(())
    }

    /// Returns in which form pages that are written stay in memory: ready to be changed while there is room.
    const fn stay(&self) -> Stays {
        if self.loaded_pairs > self.limit / 4 * 3 {
            Stays::AsWritten
        } else {
            Stays::Ready
        }
    }

    /// Folds the workloads that are first to need journal rows, about `pairs` pairs of them.
    fn fold_oldest(&mut self, ledger: &dyn Ledger, pairs: usize, pages: &mut Vec<Page>) -> Result<(), LedgerError> {
        let (sequence, stay) = (self.sequence, self.stay());
        let mut left = pairs;
        while left > 0
            && let Some((since, workload)) = self.unfolded.pop_front()
        {
            // Else it was folded before its turn.
            if self.unfolded_since(workload) == Some(since) {
                let was_aside = self.get(workload).is_none();
                let (loaded, shared) = self.load(ledger, workload)?;
                let folded = loaded.take_pages(workload, sequence, stay, &mut Reader { ledger, shared })?;
                let cost = if was_aside {
                    // It came into memory for this alone, and is the first to go.
                    loaded.used = 0;
                    loaded.len() * ASIDE_COST
                } else {
                    folded.len() * StoredPair::A_PAGE as usize
                };
                left = left.saturating_sub(cost);
                pages.extend(folded);
            }
        }
        Ok(())
    }

    /// Forgets the longest unused workloads until no more pairs are in memory than may be. Those that only journal rows hold
    /// are folded first, and forgotten when the ledger shows that.
    fn trim(&mut self, ledger: &dyn Ledger, pages: &mut Vec<Page>) -> Result<(), LedgerError> {
        if self.loaded_pairs <= self.limit {
            return Ok(());
        }
        let (sequence, stay) = (self.sequence, self.stay());
        if self.idle.is_empty() && sequence >= self.next_look {
            self.next_look = sequence + LOOK_EVERY;
            let numbered = (0_u32..).zip(&self.workloads);
            let loaded = numbered.filter_map(|(id, loaded)| loaded.as_ref().map(|loaded| (WorkloadId(id), loaded)));
            let idle = loaded.filter(|(_, loaded)| loaded.used + UNCOMMITTED < sequence);
            self.idle.extend(idle.map(|(id, loaded)| (loaded.used, id)));
            self.idle.sort_unstable_by(|a, b| b.cmp(a));
        }
        let mut left = FOLD_STEP;
        while self.loaded_pairs > self.limit
            && left > 0
            && let Some((used, id)) = self.idle.pop()
        {
            let place = self.workloads.get_mut(id.0 as usize);
            let Some(loaded) = place.and_then(Option::as_mut).filter(|loaded| loaded.used == used) else {
                continue;
            };
            let pairs = loaded.len();
            if !loaded.is_clean() {
                let shared = &mut self.shared;
                let folded = loaded.take_pages(id, sequence, stay, &mut Reader { ledger, shared })?;
                left = left.saturating_sub(folded.len() * StoredPair::A_PAGE as usize);
                pages.extend(folded);
            } else if loaded.folded + UNCOMMITTED < sequence {
                self.loaded_pairs -= pairs;
                left = left.saturating_sub(pairs);
                if let Some(place) = self.place(id) {
                    *place = None;
                }
            }
        }
        Ok(())
    }

    /// Says which journal rows are of no more use, and hands over the entries of the index that would go with them.
    fn folded(&mut self, pages: Vec<Page>) -> Folded {
        while let Some(&(since, workload)) = self.unfolded.front()
            && self.unfolded_since(workload) != Some(since)
        {
            self.unfolded.pop_front();
        }
        // A row is needed as long as a workload has changes since it.
        let needed = self.unfolded.front().map_or(u64::MAX, |(row, _)| *row);
        let mut folded = Folded {
            pages,
            ..Folded::default()
        };
        while let Some(&(row, changes)) = self.rows.front()
            && row < needed
        {
            self.rows.pop_front();
            self.journaled -= changes;
            folded.through = Some(row);
        }
        if folded.through.is_some_and(|through| through > self.indexed_through) {
            folded.holders = self.recent.take(self.sequence);
            self.indexed_through = self.sequence;
        }
        folded
    }

    /// Returns what the run's last batches have to hold: the changes that nothing holds yet as one more journal row, or, if
    /// the rows would be too long for the next start, pages that take over from all of them. To be called until it returns
    /// nothing.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn finish(&mut self, ledger: &dyn Ledger, pairs: usize) -> Result<Option<(Vec<u8>, Folded)>, LedgerError> {
        let mut places = Vec::new();
        for &(since, workload) in &self.unfolded {
            let loaded = self.get(workload).filter(|loaded| loaded.unfolded_since == Some(since));
            let slots = loaded.map(Loaded::unwritten).unwrap_or_default();
            places.extend(slots.into_iter().map(|slot| PairPlace { workload, slot }));
        }
        if self.journaled + places.len() > self.fold_at() {
            let mut pages = Vec::new();
            self.fold_oldest(ledger, pairs, &mut pages)?;
            return Ok(Some((Vec::new(), self.folded(pages))));
        }
        places.truncate(pairs);
        for place in places {
            self.write(ledger, place);
        }
        let row = self.take_journal();
        Ok((!row.is_empty()).then(|| (row, Folded::default())))
    }

    /// Returns pages that take over from about so many changes that only journal rows hold; none once no row is needed any
    /// more. For who changes pages themselves: what a row says of a pair comes back where the page does not have it.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn fold_all(&mut self, ledger: &dyn Ledger, pairs: usize) -> Result<Option<Folded>, LedgerError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let mut pages = Vec::new();
        self.fold_oldest(ledger, pairs, &mut pages)?;
        self.trim(ledger, &mut pages)?;
        Ok(Some(self.folded(pages)))
    }

    /// Notes that a workload has changes from this batch on that no page holds.
    pub(super) fn note_unfolded(&mut self, workload: WorkloadId) {
        let sequence = self.sequence;
        if let Some(loaded) = self.get_mut(workload)
            && loaded.unfolded_since.is_none()
        {
            loaded.unfolded_since = Some(sequence);
            self.unfolded.push_back((sequence, workload));
        }
    }
}
