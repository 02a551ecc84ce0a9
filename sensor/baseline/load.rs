//! Bringing what the ledger has into memory: journal rows at start, the pages of a workload when it is asked for.

use crate::model::{Ledger, LedgerError, StoredPage, StoredPair, WorkloadId};

use super::loaded::{Loaded, is_destination};
use super::pairs::{Baseline, holder, short_hash};
use super::part::Reader;
use super::shared::Shared;

impl Baseline {
    /// Takes over what journal rows hold at start; `sequence` is the one of the next batch.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn resume(&mut self, ledger: &dyn Ledger, sequence: u64) -> Result<(), LedgerError> {
        ledger.journal(&mut |row, changes| {
            self.note_row(row, changes.len());
            for mut change in changes {
                if change.stored.pair.last() < self.cutoff {
                    continue;
                }
                self.shared.share(&mut change.stored);
                let day = change.stored.pair.last().day();
                self.recent.add(holder(change.workload, &change.stored.key, day));
                let workload = change.workload;
                if self.aside.add(row, change) {
                    self.unfolded.push_back((row, workload));
                }
            }
        })?;
        self.sequence = sequence;
        Ok(())
    }

    /// Brings a workload into memory if it is not there; returns it with what its pairs share with others.
    pub(super) fn load(
        &mut self,
        ledger: &dyn Ledger,
        workload: WorkloadId,
    ) -> Result<(&mut Loaded, &mut Shared), LedgerError> {
        let sequence = self.sequence;
        if self.get(workload).is_none() {
            let mut loaded = Loaded::default();
            for page in ledger.pages(workload)? {
                self.add_page(ledger, page, &mut loaded)?;
            }
            self.add_aside(ledger, workload, &mut loaded)?;
            self.loaded_pairs += loaded.len();
            if let Some(place) = self.place(workload) {
                *place = Some(loaded);
            }
        }
        let loaded = self.workloads.get_mut(workload.0 as usize).and_then(Option::as_mut);
        // It was put there above; a workload number beyond memory would have failed before.
        let loaded = loaded.ok_or_else(|| LedgerError::Damaged {
            folder: String::new(),
            kind: "workloads",
        })?;
        loaded.used = sequence;
        Ok((loaded, &mut self.shared))
    }

    /// Adds a page that was read, without what is expired.
    fn add_page(&mut self, ledger: &dyn Ledger, page: StoredPage, loaded: &mut Loaded) -> Result<(), LedgerError> {
        let (hasher, cutoff) = (&self.hasher, self.cutoff);
        if page.least >= cutoff {
            let mut keys = Vec::with_capacity(StoredPair::A_PAGE as usize);
            ledger.slots(&page, &mut |slot, key| {
                keys.push((slot, short_hash(hasher, key), is_destination(key.kind())));
            })?;
            loaded.put_page(page, &keys);
            return Ok(());
        }
        let mut pairs = Vec::new();
        ledger.pairs(&page, None, &mut |stored| {
            if stored.pair.last() >= cutoff {
                pairs.push(stored);
            }
        })?;
        self.shared.share_page(&mut pairs);
        loaded.put_page(page, &[]);
        for stored in pairs {
            let hash = short_hash(hasher, stored.key.view());
            loaded.put(stored, hash);
        }
        Ok(())
    }

    /// Adds what journal rows hold to what the pages of a workload hold.
    fn add_aside(&mut self, ledger: &dyn Ledger, workload: WorkloadId, loaded: &mut Loaded) -> Result<(), LedgerError> {
        let Self {
            hasher, aside, shared, ..
        } = self;
        let mut reader = Reader { ledger, shared };
        for (row, stored) in aside.take(workload) {
            let slot = stored.slot;
            // A page may be newer than rows that others still need.
            if loaded.has_row(slot, row) {
                continue;
            }
            let hash = short_hash(hasher, stored.key.view());
            // The slot may have been that of a pair that is expired by now.
            if loaded.has_other(slot, hash) {
                loaded.read(slot, &mut reader)?;
                loaded.vacate(slot, |key| short_hash(hasher, key.view()));
            }
            loaded.put(stored, hash);
            loaded.change(slot);
            loaded.set_written(slot);
            loaded.unfolded_since.get_or_insert(row);
        }
        Ok(())
    }
}
