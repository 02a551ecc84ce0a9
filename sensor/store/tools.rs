//! What the tools read beside a running sensor or after it.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use crate::model::{AlertId, AlertRecord, Ledger, LedgerError, StoredPair, Timestamp, WorkloadId};

use super::Store;
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

    /// Returns a workload's pairs by slot, from its pages and the journal.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails, `Damaged` when a row cannot be read.
    pub fn all_pairs(&self, workload: WorkloadId) -> Result<Vec<StoredPair>, LedgerError> {
        // No batch comes in between: one that folds would hand the journal's older pairs on as the newest.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = self.journal()?;
        let mut pairs: BTreeMap<u32, StoredPair> = BTreeMap::new();
        let changes = journal.into_iter().flat_map(|(_, changes)| changes);
        let changed: Vec<StoredPair> = changes
            .filter(|change| change.workload == workload)
            .map(|change| change.stored)
            .collect();
        for stored in self.pairs(workload)?.into_iter().chain(changed) {
            pairs.insert(stored.slot, stored);
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
