//! What the tools read beside a running sensor or after it.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use hashbrown::HashMap;

use crate::model::{AlertId, AlertRecord, Ledger, LedgerError, StoredPair, Timestamp, WorkloadId};

use super::Store;
use super::commit::Writer;
use super::table::Table;
use super::v1;

impl Store {
    /// Returns every alert by the time of its contact's first packet, then by id.
    ///
    /// Only times and ids are held in memory; records are read as they are asked for.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails, `Damaged` when a row cannot be read; items fail in the same way.
    pub fn alerts(&self) -> Result<Alerts<'_>, LedgerError> {
        let mut order = self.rows.read_all(Table::Alerts, .., |key, row| {
            Some((v1::time_of_alert(row)?, v1::alert_id_of(key)?))
        })?;
        order.sort_unstable();
        Ok(Alerts {
            store: self,
            order: order.into_iter(),
        })
    }

    /// Returns every workload's pairs, from pages and the journal, which is read once here. No batch is committed while
    /// they are looked at.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails, `Damaged` when a row cannot be read.
    pub fn all_pairs(&self) -> Result<AllPairs<'_>, LedgerError> {
        // A batch that folds would hand the journal's older pairs on as the newest.
        let writer = self.lock_writer();
        let mut journal: HashMap<WorkloadId, Vec<(u64, StoredPair)>> = HashMap::new();
        self.journal(&mut |row, changes| {
            for change in changes {
                journal.entry(change.workload).or_default().push((row, change.stored));
            }
        })?;
        Ok(AllPairs {
            store: self,
            journal,
            _writer: writer,
        })
    }
}

/// Every workload's pairs; made by [`Store::all_pairs`].
pub struct AllPairs<'a> {
    store: &'a Store,
    /// By workload, oldest first, with the row's batch.
    journal: HashMap<WorkloadId, Vec<(u64, StoredPair)>>,
    _writer: MutexGuard<'a, Writer>,
}

impl std::fmt::Debug for AllPairs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AllPairs")
            .field("journaled", &self.journal.len())
            .finish_non_exhaustive()
    }
}

impl AllPairs<'_> {
    /// Returns a workload's pairs by slot.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails, `Damaged` when a row cannot be read.
    pub fn of(&self, workload: WorkloadId) -> Result<Vec<StoredPair>, LedgerError> {
        let mut pairs: BTreeMap<u32, StoredPair> = BTreeMap::new();
        let mut batches: HashMap<u32, u64> = HashMap::new();
        for page in self.store.pages(workload)? {
            batches.insert(page.number, page.batch);
            self.store.pairs(&page, None, &mut |stored| {
                pairs.insert(stored.slot, stored);
            })?;
        }
        for (row, stored) in self.journal.get(&workload).into_iter().flatten() {
            let page = batches.get(&(stored.slot / StoredPair::A_PAGE));
            if page.is_none_or(|batch| batch < row) {
                pairs.insert(stored.slot, stored.clone());
            }
        }
        Ok(pairs.into_values().collect())
    }
}

/// Every alert of a ledger, in order; made by [`Store::alerts`].
pub struct Alerts<'a> {
    store: &'a Store,
    order: std::vec::IntoIter<(Timestamp, AlertId)>,
}

impl std::fmt::Debug for Alerts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts")
            .field("left", &self.order.len())
            .finish_non_exhaustive()
    }
}

impl Iterator for Alerts<'_> {
    type Item = Result<AlertRecord, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        // An alert is never deleted, so each id of the list has its row.
        self.order.by_ref().find_map(|(_, id)| self.store.alert(id).transpose())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.order.len()))
    }
}
