//! What is rare: JSON behind the version, and the few rows that say where the ledger stands.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{AlertRecord, FilePlace, SinkPosition, Timestamp};

use super::VERSION;
use super::octets::{Octets, put_time, put_varint};

/// Where the ledger stands after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The batch.
    pub sequence: u64,
    /// The end of its epoch.
    pub at: Timestamp,
    /// The greatest number that an outbox line was given; 0 before the first.
    pub outbox_end: u64,
    /// Journal rows up to this batch are in pages; 0 before the first fold.
    pub folded_through: u64,
}

/// Writes where the ledger stands.
pub fn encode_committed(committed: Committed) -> Vec<u8> {
    let mut row = vec![VERSION];
    put_varint(&mut row, committed.sequence);
    put_time(&mut row, committed.at);
    put_varint(&mut row, committed.outbox_end);
    put_varint(&mut row, committed.folded_through);
    row
}

/// Reads where the ledger stands.
pub fn decode_committed(row: &[u8]) -> Option<Committed> {
    let mut octets = Octets::of(row)?;
    let committed = Committed {
        sequence: octets.varint()?,
        at: octets.time()?,
        outbox_end: octets.varint()?,
        folded_through: octets.varint()?,
    };
    octets.is_empty().then_some(committed)
}

/// Writes an instant.
pub fn encode_time(time: Timestamp) -> Vec<u8> {
    let mut row = vec![VERSION];
    put_time(&mut row, time);
    row
}

/// Reads an instant.
pub fn decode_time(row: &[u8]) -> Option<Timestamp> {
    let mut octets = Octets::of(row)?;
    octets.time().filter(|_| octets.is_empty())
}

/// Writes the digest over the batches of a run.
pub fn encode_digest(digest: u64) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend_from_slice(&digest.to_le_bytes());
    row
}

/// Reads the digest over the batches of a run.
pub fn decode_digest(row: &[u8]) -> Option<u64> {
    let mut octets = Octets::of(row)?;
    let digest = octets.array()?;
    octets.is_empty().then_some(u64::from_le_bytes(digest))
}

/// Writes how far a sink has come: the line, and behind it, for a file, which one and its length.
pub fn encode_position(position: SinkPosition) -> Vec<u8> {
    let mut row = vec![VERSION];
    put_varint(&mut row, position.line);
    if let Some(file) = position.file {
        for number in [file.device, file.inode, file.length] {
            put_varint(&mut row, number);
        }
    }
    row
}

/// Reads how far a sink has come.
pub fn decode_position(row: &[u8]) -> Option<SinkPosition> {
    let mut octets = Octets::of(row)?;
    let line = octets.varint()?;
    if octets.is_empty() {
        return Some(SinkPosition::at(line));
    }
    let file = FilePlace {
        device: octets.varint()?,
        inode: octets.varint()?,
        length: octets.varint()?,
    };
    octets.is_empty().then_some(SinkPosition { line, file: Some(file) })
}

/// Writes a record as JSON.
///
/// # Errors
///
/// When the record cannot be written as JSON, such as one with a time that is outside the years that JSON can name.
pub fn encode_json<T: Serialize>(record: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut row = vec![VERSION];
    serde_json::to_writer(&mut row, record)?;
    Ok(row)
}

/// Reads a record of [`encode_json`].
pub fn decode_json<T: DeserializeOwned>(row: &[u8]) -> Option<T> {
    serde_json::from_slice(Octets::of(row)?.rest()).ok()
}

/// Writes an alert: its time stands before the JSON, so that alerts can be put in order without reading them.
///
/// # Errors
///
/// As [`encode_json`].
pub fn encode_alert(record: &AlertRecord) -> Result<Vec<u8>, serde_json::Error> {
    let mut row = vec![VERSION];
    put_time(&mut row, record.alert.ts);
    serde_json::to_writer(&mut row, record)?;
    Ok(row)
}

/// Reads of an alert only the time of its contact's first packet.
pub fn time_of_alert(row: &[u8]) -> Option<Timestamp> {
    Octets::of(row)?.time()
}

/// Reads an alert.
pub fn decode_alert(row: &[u8]) -> Option<AlertRecord> {
    let mut octets = Octets::of(row)?;
    octets.time()?;
    serde_json::from_slice(octets.rest()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::model::{JudgeState, OpenAlert};

    use super::super::super::samples;
    use super::*;

    proptest! {
        #[test]
        fn rare_records_come_back_as_they_were_written(
            alert in samples::alert_record(),
            open in samples::open_alert(),
            state in samples::state(),
        ) {
            let row = encode_alert(&alert).unwrap();
            prop_assert_eq!(time_of_alert(&row), Some(alert.alert.ts));
            prop_assert_eq!(decode_alert(&row), Some(alert));
            prop_assert_eq!(decode_json::<OpenAlert>(&encode_json(&open).unwrap()), Some(open));
            prop_assert_eq!(decode_json::<JudgeState>(&encode_json(&state).unwrap()), Some(state));
        }

        #[test]
        fn where_the_ledger_stands_comes_back(sequence: u64, at: i64, outbox_end: u64, folded_through: u64, file: Option<[u64; 3]>) {
            let committed = Committed { sequence, at: Timestamp(at), outbox_end, folded_through };
            prop_assert_eq!(decode_committed(&encode_committed(committed)), Some(committed));
            let file = file.map(|[device, inode, length]| FilePlace { device, inode, length });
            let position = SinkPosition { line: outbox_end, file };
            prop_assert_eq!(decode_position(&encode_position(position)), Some(position));
            prop_assert_eq!(decode_time(&encode_time(Timestamp(at))), Some(Timestamp(at)));
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            row.insert(0, VERSION);
            let _ = (decode_committed(&row), decode_time(&row), decode_digest(&row));
            let _ = (decode_position(&row), decode_alert(&row));
            let _ = decode_json::<OpenAlert>(&row);
        }
    }
}
