//! What the alert budget counted: what changed in one batch.
//!
//! ```text
//! row           VERSION, rows before this batch are of no use, count and minutes, count and destinations, count and bursts
//! minute        minute, workload, count
//! destination   hash, latest, flag and minute of its burst, count and (workload, latest − its novelty)
//! burst         minute, flag and workload or hash, count, flag and text of the destination
//! ```

use crate::model::{BudgetCounts, BurstCount, BurstScope, DestinationCount, MinuteCount, Timestamp, WorkloadId};

use super::VERSION;
use super::octets::{Octets, put_signed, put_text, put_time, put_varint};

/// The counts of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BudgetRow {
    /// Rows of earlier batches than this one are of no use.
    pub from: u64,
    /// What the batch changed.
    pub counts: BudgetCounts,
}

/// Writes the counts of a batch.
pub fn encode_budget(from: u64, counts: &BudgetCounts) -> Vec<u8> {
    let mut row = Vec::with_capacity(32 + counts.len() * 32);
    row.push(VERSION);
    put_varint(&mut row, from);
    put_varint(&mut row, counts.minutes.len() as u64);
    for count in &counts.minutes {
        put_signed(&mut row, count.minute);
        put_varint(&mut row, u64::from(count.workload.0));
        put_varint(&mut row, u64::from(count.count));
    }
    put_varint(&mut row, counts.destinations.len() as u64);
    for count in &counts.destinations {
        row.extend_from_slice(&count.hash.to_le_bytes());
        put_time(&mut row, count.latest);
        row.push(u8::from(count.burst_since.is_some()));
        if let Some(since) = count.burst_since {
            put_signed(&mut row, since);
        }
        put_varint(&mut row, count.workloads.len() as u64);
        for (workload, at) in &count.workloads {
            put_varint(&mut row, u64::from(workload.0));
            put_signed(&mut row, count.latest.0.wrapping_sub(at.0));
        }
    }
    put_varint(&mut row, counts.bursts.len() as u64);
    for count in &counts.bursts {
        put_signed(&mut row, count.minute);
        let (flag, number) = match count.scope {
            BurstScope::Workload(id) => (0, u64::from(id.0)),
            BurstScope::Destination(hash) => (1, hash),
        };
        row.push(flag);
        put_varint(&mut row, number);
        put_varint(&mut row, u64::from(count.count));
        row.push(u8::from(count.name.is_some()));
        if let Some(name) = &count.name {
            put_text(&mut row, name);
        }
    }
    row
}

/// Reads the counts of a batch.
pub fn decode_budget(row: &[u8]) -> Option<BudgetRow> {
    let mut octets = Octets::of(row)?;
    let from = octets.varint()?;
    let mut counts = BudgetCounts::default();
    for _ in 0..octets.count()? {
        counts.minutes.push(MinuteCount {
            minute: octets.signed()?,
            workload: WorkloadId(octets.varint_u32()?),
            count: octets.varint_u32()?,
        });
    }
    for _ in 0..octets.count()? {
        counts.destinations.push(read_destination(&mut octets)?);
    }
    for _ in 0..octets.count()? {
        let minute = octets.signed()?;
        let scope = if read_flag(&mut octets)? {
            BurstScope::Destination(octets.varint()?)
        } else {
            BurstScope::Workload(WorkloadId(octets.varint_u32()?))
        };
        counts.bursts.push(BurstCount {
            minute,
            scope,
            count: octets.varint_u32()?,
            name: match read_flag(&mut octets)? {
                true => Some(octets.text()?),
                false => None,
            },
        });
    }
    octets.is_empty().then_some(BudgetRow { from, counts })
}

fn read_destination(octets: &mut Octets<'_>) -> Option<DestinationCount> {
    let hash = octets.array().map(u64::from_le_bytes)?;
    let latest = octets.time()?;
    let burst_since = match read_flag(octets)? {
        true => Some(octets.signed()?),
        false => None,
    };
    let mut workloads = Vec::new();
    for _ in 0..octets.count()? {
        let workload = WorkloadId(octets.varint_u32()?);
        workloads.push((workload, Timestamp(latest.0.wrapping_sub(octets.signed()?))));
    }
    Some(DestinationCount {
        hash,
        latest,
        workloads,
        burst_since,
    })
}

fn read_flag(octets: &mut Octets<'_>) -> Option<bool> {
    match octets.octet()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    proptest! {
        #[test]
        fn counts_come_back_as_they_were_written(
            from: u64,
            counts in samples::budget_counts(),
            at: prop::sample::Index,
            by: u8,
        ) {
            let mut row = encode_budget(from, &counts);
            prop_assert_eq!(decode_budget(&row), Some(BudgetRow { from, counts }));
            let at = at.index(row.len());
            prop_assert_eq!(decode_budget(&row[..at]), None);
            row[at] ^= by;
            let _ = decode_budget(&row);
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = decode_budget(&row);
            row.insert(0, VERSION);
            let _ = decode_budget(&row);
        }
    }
}
