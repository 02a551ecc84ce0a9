//! Entries of the index by destination: 16 octets each behind the version, in any order.

use crate::model::{Holder, WorkloadId};

use super::VERSION;

/// Octets of one entry: hash, workload, day.
const ENTRY: usize = 8 + 4 + 4;

/// Writes entries in one row.
pub fn encode_holders(holders: &[Holder]) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + holders.len() * ENTRY);
    row.push(VERSION);
    for holder in holders {
        row.extend_from_slice(&holder.destination.to_le_bytes());
        row.extend_from_slice(&holder.workload.0.to_le_bytes());
        row.extend_from_slice(&holder.day.to_le_bytes());
    }
    row
}

/// Reads the entries of a row. A row of another version has none, and octets behind the last whole entry are left out:
/// merging must not fail, and a lost entry costs a count of workloads, never an alert.
pub fn decode_holders(row: &[u8]) -> impl Iterator<Item = Holder> + '_ {
    let body = match row.split_first() {
        Some((&VERSION, body)) => body,
        _ => &[],
    };
    body.as_chunks::<ENTRY>().0.iter().map(|entry| {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *entry;
        Holder {
            destination: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            workload: WorkloadId(u32::from_le_bytes([i, j, k, l])),
            day: i32::from_le_bytes([m, n, o, p]),
        }
    })
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
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = decode_holders(&row).count();
            row.insert(0, VERSION);
            prop_assert_eq!(decode_holders(&row).count(), (row.len() - 1) / ENTRY);
        }
    }
}
