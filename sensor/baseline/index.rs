//! The index by destination: entries that the ledger does not show yet.
//!
//! The ledger keeps the index in buckets, and an entry a bucket would cost more than the pair itself. So entries wait here
//! until the journal rows of their pairs go; a restart has them from these rows. Hardly anybody asks, so they lie in runs that
//! are put in order one by one, and who writes them merges the runs: to merge them here would hold up the judge.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{Holder, WorkloadId, same_in};

/// So many entries are put in order at once, which takes some milliseconds; fewer are looked through one by one.
const FRESH: usize = 1 << 15;

/// Entries that the ledger may not show yet.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Up to [`FRESH`] entries in any order.
    fresh: Vec<Holder>,
    /// Full ones, each in order.
    runs: Vec<Vec<Holder>>,
    /// Runs that were handed over, and the batch that takes them to the ledger.
    handed: VecDeque<(u64, Arc<Vec<Vec<Holder>>>)>,
}

impl Recent {
    /// Adds an entry.
    pub fn add(&mut self, holder: Holder) {
        if self.fresh.len() == FRESH {
            self.end_run(Vec::with_capacity(FRESH));
        }
        self.fresh.push(holder);
    }

    fn end_run(&mut self, next: Vec<Holder>) {
        let mut run = std::mem::replace(&mut self.fresh, next);
        run.sort_unstable();
        run.dedup();
        self.runs.push(run);
    }

    /// Returns who has an entry for a destination, in any order.
    pub fn of(&self, destination: u64) -> Vec<WorkloadId> {
        let order = |holder: &Holder| holder.destination.cmp(&destination);
        let handed = self.handed.iter().flat_map(|(_, runs)| runs.iter());
        let in_runs = self.runs.iter().chain(handed).flat_map(|run| same_in(run, order));
        let fresh = self.fresh.iter().filter(|holder| holder.destination == destination);
        fresh.chain(in_runs).map(|holder| holder.workload).collect()
    }

    /// Hands all entries over as runs in order, to be written with this batch.
    pub fn take(&mut self, batch: u64) -> Arc<Vec<Vec<Holder>>> {
        if !self.fresh.is_empty() {
            self.end_run(Vec::new());
        }
        let runs = Arc::new(std::mem::take(&mut self.runs));
        if !runs.is_empty() {
            self.handed.push_back((batch, Arc::clone(&runs)));
        }
        runs
    }

    /// Forgets what was handed over up to this batch: the ledger shows it.
    pub fn forget(&mut self, through: u64) {
        while self.handed.front().is_some_and(|(batch, _)| *batch <= through) {
            self.handed.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holder() -> impl Strategy<Value = Holder> {
        (0..4_u64, 0..4_u32, 0..3_i32).prop_map(|(destination, workload, day)| Holder {
            destination,
            workload: WorkloadId(workload),
            day,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn entries_are_found_whatever_was_asked_and_handed_over(
            steps in prop::collection::vec((prop::collection::vec(holder(), 0..25_000), any::<bool>()), 0..12),
        ) {
            let mut recent = Recent::default();
            let mut all: Vec<Holder> = Vec::new();
            let mut handed: Vec<Holder> = Vec::new();
            for (batch, (entries, takes)) in (1..).zip(steps) {
                for entry in entries {
                    recent.add(entry);
                    all.push(entry);
                }
                if takes {
                    handed.extend(recent.take(batch).iter().flatten());
                }
                for destination in 0..4 {
                    let mut found = recent.of(destination);
                    found.sort_unstable();
                    found.dedup();
                    let same = all.iter().filter(|entry| entry.destination == destination);
                    let mut expected: Vec<WorkloadId> = same.map(|entry| entry.workload).collect();
                    expected.sort_unstable();
                    expected.dedup();
                    prop_assert_eq!(found, expected);
                }
            }
            handed.extend(recent.take(99).iter().flatten());
            recent.forget(99);
            prop_assert!(recent.of(1).is_empty());
            let in_order = |mut entries: Vec<Holder>| {
                entries.sort_unstable();
                entries.dedup();
                entries
            };
            prop_assert_eq!(in_order(handed), in_order(all));
        }
    }
}
