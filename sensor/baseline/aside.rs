//! What journal rows hold of workloads that are not in memory.
//!
//! A start reads all journal rows, and they may speak of every workload that there is. To read the pages of all of these at
//! once would take as long as all pairs are many; so their changes stay aside until somebody asks for the workload, or its
//! rows are to go.

use hashbrown::HashMap;

use crate::model::{PairChange, StoredPair, WorkloadId};

/// Changes of workloads that are not in memory.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Oldest first, with the batch of their row.
    changes: HashMap<WorkloadId, Vec<(u64, StoredPair)>, foldhash::fast::RandomState>,
    pairs: usize,
}

impl Aside {
    /// Adds a change of a journal row; says whether it is the workload's first.
    pub fn add(&mut self, row: u64, change: PairChange) -> bool {
        self.pairs += 1;
        let changes = self.changes.entry(change.workload).or_default();
        changes.push((row, change.stored));
        changes.len() == 1
    }

    /// Returns the changes of a workload that comes into memory.
    pub fn take(&mut self, workload: WorkloadId) -> Vec<(u64, StoredPair)> {
        let changes = self.changes.remove(&workload).unwrap_or_default();
        self.pairs -= changes.len();
        changes
    }

    /// Returns from which batch on journal rows are needed for a workload.
    pub fn since(&self, workload: WorkloadId) -> Option<u64> {
        self.changes.get(&workload)?.first().map(|(row, _)| *row)
    }

    /// Returns how many changes there are.
    pub const fn len(&self) -> usize {
        self.pairs
    }
}
