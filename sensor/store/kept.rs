//! How many pairs and alerts the ledger holds (rule A5).
//!
//! Batches say what they change of it. A ledger that no batch said it of, as one of an older version, is looked through.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use rocksdb::PrefixRange;

use crate::model::{Day, KeptCounts, Ledger, LedgerError, StoredPair, Timestamp, WorkloadId};

use super::Store;
use super::table::Table;
use super::v1;

/// The key of what the last run went by. Where it is, counts are whole.
pub const LIMITS: &[u8] = b"limits";

impl Store {
    /// Returns how many pairs and alerts there are, by day, and what was not recorded.
    ///
    /// # Errors
    ///
    /// `Failed` when the disk fails, `Damaged` when a row cannot be read.
    pub fn kept(&self) -> Result<KeptCounts, LedgerError> {
        let store = self.read_from();
        let Some(limits) = store.rows.read(Table::State, LIMITS, v1::decode_limits)? else {
            return store.recount();
        };
        let days = |prefix: &'static [u8]| {
            store.rows.read_all(Table::State, PrefixRange(prefix), |key, row| {
                Some((v1::from_day_key(prefix, key)?, v1::decode_count(row)?))
            })
        };
        Ok(KeptCounts {
            limits,
            is_whole: true,
            pairs: days(&v1::PAIRS)?,
            alerts: days(&v1::ALERTS)?,
            unrecorded: store
                .rows
                .read_all(Table::State, PrefixRange(v1::UNRECORDED), |key, row| {
                    Some((v1::from_unrecorded_key(key)?, v1::decode_unrecorded(row)?))
                })?,
        })
    }

    /// Returns what the ledger takes for the present of all that expires.
    pub fn present(&self) -> Timestamp {
        self.lock_writer().present()
    }

    /// Counts all pairs and alerts.
    fn recount(&self) -> Result<KeptCounts, LedgerError> {
        let mut pairs: BTreeMap<Day, u64> = BTreeMap::new();
        let mut count = |stored: &StoredPair| *pairs.entry(stored.pair.last().day()).or_default() += 1;
        // What journal rows say of a slot is newer than its page, unless that was written later.
        let mut journal: HashMap<(WorkloadId, u32), (u64, StoredPair)> = HashMap::new();
        self.journal(&mut |row, changes| {
            for change in changes {
                journal.insert((change.workload, change.stored.slot), (row, change.stored));
            }
        })?;
        for row in self.rows.scan_once(Table::Pages, ..)? {
            let (key, row) = row?;
            let damaged = || self.rows.damaged(Table::Pages);
            let page = v1::workload_of_page(&key).zip(v1::page_batch(&row));
            let ((workload, number), batch) = page.ok_or_else(damaged)?;
            let first = number.saturating_mul(StoredPair::A_PAGE);
            for slot in first..first.saturating_add(StoredPair::A_PAGE) {
                let is_older = |(row, _): &mut (u64, StoredPair)| *row <= batch;
                if let hashbrown::hash_map::Entry::Occupied(mut changed) = journal.entry((workload, slot))
                    && is_older(changed.get_mut())
                {
                    changed.remove();
                }
            }
            let read = v1::page_pairs(&row, None, &mut |stored| {
                if !journal.contains_key(&(workload, stored.slot)) {
                    count(&stored);
                }
            });
            read.ok_or_else(damaged)?;
        }
        journal.values().for_each(|(_, stored)| count(stored));
        let mut alerts: BTreeMap<Day, u64> = BTreeMap::new();
        for row in self.rows.scan_once(Table::Alerts, ..)? {
            let ts = v1::time_of_alert(&row?.1).ok_or_else(|| self.rows.damaged(Table::Alerts))?;
            *alerts.entry(ts.day()).or_default() += 1;
        }
        Ok(KeptCounts {
            pairs: pairs.into_iter().collect(),
            alerts: alerts.into_iter().collect(),
            ..KeptCounts::default()
        })
    }
}
