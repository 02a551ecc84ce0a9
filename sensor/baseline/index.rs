//! The index by destination: entries that the ledger does not show yet.
//!
//! The ledger keeps the index in buckets, and an entry a bucket would cost more than the pair itself. So entries wait here
//! until the journal rows of their pairs go; a restart has them from these rows. Hardly anybody asks, so they are put in
//! order only when somebody does.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{Holder, Runs, WorkloadId, same_in};

/// So many entries are put in order at once; fewer are looked through one by one.
const FRESH: usize = 1 << 12;

/// Entries that the ledger may not show yet.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Up to [`FRESH`] entries in any order.
    fresh: Vec<Holder>,
    /// Full ones.
    full: Vec<Vec<Holder>>,
    /// Those that somebody asked about.
    runs: Runs<Holder>,
    /// What was handed over, sorted, and the batch that takes it to the ledger.
    handed: VecDeque<(u64, Arc<Vec<Holder>>)>,
}

impl Recent {
    /// Adds an entry.
    pub fn add(&mut self, holder: Holder) {
        if self.fresh.len() == FRESH {
            self.full
                .push(std::mem::replace(&mut self.fresh, Vec::with_capacity(FRESH)));
        }
        self.fresh.push(holder);
    }

    /// Returns who has an entry for a destination, in any order.
    pub fn of(&mut self, destination: u64) -> Vec<WorkloadId> {
        for full in std::mem::take(&mut self.full) {
            self.runs.add(full);
        }
        let mut found: Vec<WorkloadId> = self
            .fresh
            .iter()
            .filter(|holder| holder.destination == destination)
            .map(|holder| holder.workload)
            .collect();
        let order = |holder: &Holder| holder.destination.cmp(&destination);
        let handed = self.handed.iter().flat_map(|(_, run)| same_in(run, order));
        found.extend(self.runs.same(order).chain(handed).map(|holder| holder.workload));
        found
    }

    /// Hands all entries over in order, to be written with this batch.
    pub fn take(&mut self, batch: u64) -> Arc<Vec<Holder>> {
        let (runs, full) = (self.runs.take(), std::mem::take(&mut self.full));
        let parts = || runs.iter().chain(&full).chain([&self.fresh]);
        let mut all = Vec::with_capacity(parts().map(Vec::len).sum());
        for part in parts() {
            all.extend_from_slice(part);
        }
        self.fresh.clear();
        all.sort_unstable();
        all.dedup();
        let all = Arc::new(all);
        if !all.is_empty() {
            self.handed.push_back((batch, Arc::clone(&all)));
        }
        all
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
            steps in prop::collection::vec((prop::collection::vec(holder(), 0..2500), any::<bool>()), 0..12),
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
                    handed.extend(recent.take(batch).iter());
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
            handed.extend(recent.take(99).iter());
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
