//! The index by destination: who may have a pair with it.
//!
//! Entries lie in buckets. The judge hands them over many at a time, so that each merge brings several to its bucket.

use crate::model::Holder;

use super::expiry::Expiry;
use super::v1;

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
