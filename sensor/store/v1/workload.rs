//! Workloads.
//!
//! ```text
//! VERSION, ADDRESS and GROUP, key (name, or segment text and address), segment, group if GROUP is set,
//! since, learns until, last contact
//! ```

use crate::model::{WorkloadKey, WorkloadRecord};

use super::VERSION;
use super::octets::{Octets, put_address, put_text, put_time};

/// Set when the key is an address.
const ADDRESS: u8 = 0x01;
/// Set when there is a group.
const GROUP: u8 = 0x02;

/// Writes a workload.
pub fn encode_workload(record: &WorkloadRecord) -> Vec<u8> {
    let mut row = vec![VERSION];
    let group = if record.group.is_some() { GROUP } else { 0 };
    match &record.key {
        WorkloadKey::Named(name) => {
            row.push(group);
            put_text(&mut row, name);
        }
        WorkloadKey::Address(segment, address) => {
            row.push(group | ADDRESS);
            put_text(&mut row, segment);
            put_address(&mut row, *address);
        }
    }
    put_text(&mut row, &record.segment);
    if let Some(group) = &record.group {
        put_text(&mut row, group);
    }
    put_time(&mut row, record.since);
    put_time(&mut row, record.learns_until);
    put_time(&mut row, record.last);
    row
}

/// Reads a workload.
pub fn decode_workload(row: &[u8]) -> Option<WorkloadRecord> {
    let mut octets = Octets::of(row)?;
    let flags = octets.octet()?;
    if flags & !(ADDRESS | GROUP) != 0 {
        return None;
    }
    let key = if flags & ADDRESS == 0 {
        WorkloadKey::Named(octets.text()?)
    } else {
        WorkloadKey::Address(octets.text()?, octets.address()?)
    };
    let record = WorkloadRecord {
        key,
        segment: octets.text()?,
        group: if flags & GROUP == 0 { None } else { Some(octets.text()?) },
        since: octets.time()?,
        learns_until: octets.time()?,
        last: octets.time()?,
    };
    octets.is_empty().then_some(record)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    proptest! {
        #[test]
        fn a_workload_comes_back_as_it_was_written(record in samples::workload()) {
            prop_assert_eq!(decode_workload(&encode_workload(&record)), Some(record));
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = decode_workload(&row);
            row.insert(0, VERSION);
            let _ = decode_workload(&row);
        }
    }
}
