//! Entries of the index by destination.
//!
//! ```text
//! row    VERSION, then entries: destination − destination before, workload, day − day before
//! ```
//!
//! Entries that lie in order take about ten octets each: their destinations share a bucket, and often are the same.

use crate::model::{Holder, WorkloadId};

use super::VERSION;
use super::octets::{Octets, put_signed, put_varint};

/// What an entry takes on average, rounded up.
const USUAL_ENTRY: usize = 12;

/// Writes entries in one row; the shorter if they lie in order.
pub fn encode_holders(holders: &[Holder]) -> Vec<u8> {
    let mut row = Vec::with_capacity(16 + holders.len() * USUAL_ENTRY);
    row.push(VERSION);
    let (mut destination, mut day) = (0_u64, 0_i64);
    for holder in holders {
        put_varint(&mut row, holder.destination.wrapping_sub(destination));
        put_varint(&mut row, u64::from(holder.workload.0));
        put_signed(&mut row, i64::from(holder.day) - day);
        (destination, day) = (holder.destination, i64::from(holder.day));
    }
    row
}

/// Reads the entries of a row. A row of another version has none, and what lies behind the last whole entry is left out:
/// merging must not fail, and a lost entry costs a count of workloads, never an alert.
pub fn decode_holders(row: &[u8]) -> impl Iterator<Item = Holder> + '_ {
    let mut octets = Octets::of(row);
    let (mut destination, mut day) = (0_u64, 0_i64);
    std::iter::from_fn(move || {
        let octets = octets.as_mut()?;
        destination = destination.wrapping_add(octets.varint()?);
        let workload = WorkloadId(octets.varint_u32()?);
        day = day.checked_add(octets.signed()?)?;
        Some(Holder {
            destination,
            workload,
            day: day.try_into().ok()?,
        })
    })
    .fuse()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    proptest! {
        #[test]
        fn entries_come_back_as_they_were_written(holders in prop::collection::vec(samples::holder(), 0..50)) {
            let row = encode_holders(&holders);
            prop_assert!(decode_holders(&row).eq(holders.iter().copied()));
        }

        #[test]
        fn of_a_row_that_was_cut_whole_entries_are_read(
            holders in prop::collection::vec(samples::holder(), 0..50),
            at: prop::sample::Index,
        ) {
            let mut row = encode_holders(&holders);
            row.truncate(at.index(row.len()));
            let read: Vec<Holder> = decode_holders(&row).collect();
            prop_assert!(holders.starts_with(&read));
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = decode_holders(&row).count();
            row.insert(0, VERSION);
            let _ = decode_holders(&row).count();
        }
    }
}
