//! The index by destination: who may have a pair with it.
//!
//! A merge for every entry would cost more than the pair itself. So a batch writes its entries as one row and they stay
//! in memory, sorted; when there are enough of them they are merged into the buckets, several a bucket, and their rows
//! are deleted in the same batch.

use crate::model::Holder;

use super::expiry::Expiry;
use super::v1;

/// How many entries wait in memory (2 MiB) before they are merged into the buckets, about eight a bucket.
pub const FOLD: usize = 1 << 17;

/// Entries that are not in the buckets yet, as a few sorted runs, each at least twice as long as the next.
#[derive(Debug, Default)]
pub struct RecentHolders {
    runs: Vec<Vec<Holder>>,
}

impl RecentHolders {
    /// Adds entries in any order.
    pub fn add(&mut self, holders: impl IntoIterator<Item = Holder>) {
        let mut run: Vec<Holder> = holders.into_iter().collect();
        if run.is_empty() {
            return;
        }
        run.sort();
        while let Some(longer) = self.runs.pop_if(|last| last.len() < 2 * run.len()) {
            run.extend(longer);
            // The sort finds the two runs and merges them.
            run.sort();
        }
        self.runs.push(run);
    }

    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    /// Returns the entries of one destination.
    pub fn of(&self, destination: u64) -> impl Iterator<Item = Holder> {
        self.runs.iter().flat_map(move |run| {
            let start = run.partition_point(|holder| holder.destination < destination);
            let found = run.iter().skip(start);
            found
                .take_while(move |holder| holder.destination == destination)
                .copied()
        })
    }

    /// Returns every entry, with those of a batch, in order.
    pub fn all_with(&self, batch: &[Holder]) -> Vec<Holder> {
        let mut all: Vec<Holder> = self.runs.iter().flatten().chain(batch).copied().collect();
        all.sort();
        all
    }

    /// Forgets every entry.
    pub fn clear(&mut self) {
        self.runs.clear();
    }
}

/// Merges rows of one bucket: a workload's latest day for a destination stays, and expired entries go.
///
/// The order and the grouping of rows do not matter.
pub fn merge<'a>(expiry: &Expiry, row: Option<&'a [u8]>, operands: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let cutoff = expiry.holder_cutoff().0;
    let rows = row.into_iter().chain(operands);
    let mut holders: Vec<Holder> = rows.flat_map(v1::decode_holders).collect();
    holders.retain(|holder| holder.day >= cutoff);
    holders.sort();
    // Entries of one destination and workload lie by day; each takes the day of the one behind it.
    holders.dedup_by(|later, kept| {
        let same = later.destination == kept.destination && later.workload == kept.workload;
        if same {
            kept.day = later.day;
        }
        same
    });
    v1::encode_holders(&holders)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use crate::model::{SECOND, Span, Timestamp, WorkloadId};

    use super::super::samples;
    use super::*;

    fn holder(destination: u64, workload: u32, day: i32) -> Holder {
        Holder {
            destination,
            workload: WorkloadId(workload),
            day,
        }
    }

    proptest! {
        #[test]
        fn merging_does_not_depend_on_grouping(
            rows in prop::collection::vec(prop::collection::vec(samples::few_holders(), 0..8), 1..8),
            split: prop::sample::Index,
        ) {
            let expiry = Expiry::new(Span::days(180));
            let rows: Vec<Vec<u8>> = rows.iter().map(|row| v1::encode_holders(row)).collect();
            let at_once = merge(&expiry, None, rows.iter().map(Vec::as_slice));
            let (front, back) = rows.split_at(split.index(rows.len()));
            let front = merge(&expiry, None, front.iter().map(Vec::as_slice));
            let back = merge(&expiry, None, back.iter().map(Vec::as_slice));
            prop_assert_eq!(merge(&expiry, Some(&back), [front.as_slice()].into_iter()), at_once);
        }

        #[test]
        fn recent_entries_are_found_whatever_the_runs(
            batches in prop::collection::vec(prop::collection::vec(samples::few_holders(), 0..8), 0..20),
        ) {
            let mut recent = RecentHolders::default();
            for batch in &batches {
                recent.add(batch.iter().copied());
            }
            let all: Vec<Holder> = batches.iter().flatten().copied().collect();
            prop_assert_eq!(recent.len(), all.len());
            for destination in 0..4 {
                let found: BTreeSet<Holder> = recent.of(destination).collect();
                let expected: BTreeSet<Holder> = all.iter().filter(|h| h.destination == destination).copied().collect();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn the_latest_day_stays_and_expired_entries_go() {
        let expiry = Expiry::new(Span::days(180));
        let rows = [
            v1::encode_holders(&[holder(1, 1, 100), holder(1, 2, 300)]),
            v1::encode_holders(&[holder(1, 2, 400), holder(2, 1, 240)]),
        ];
        let merged = merge(&expiry, None, rows.iter().map(Vec::as_slice));
        assert!(v1::decode_holders(&merged).eq([holder(1, 1, 100), holder(1, 2, 400), holder(2, 1, 240)]));
        expiry.set_present(Timestamp(480 * 86_400 * SECOND));
        let merged = merge(&expiry, Some(&merged), std::iter::empty());
        assert!(v1::decode_holders(&merged).eq([holder(1, 2, 400), holder(2, 1, 240)]));
    }
}
