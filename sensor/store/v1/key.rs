//! Keys: big endian, so that rows lie in the order of what they are named after.

use crate::model::{AlertId, Day, Timestamp, WorkloadId};

/// How many leading bits of a destination's hash name its bucket in the index by destination.
///
/// Buckets are few so that a fold of the recent entries is few merges, and many so that a bucket stays short: with 60
/// million pairs one has 58 KiB.
const BUCKET_BITS: u32 = 14;

/// Before the name of a sink in the key of its position.
const SINK: &[u8] = b"sink:";

/// Before the number of a batch, modulo the ring's length, in the key of its time.
const RECENT: &[u8] = b"at:";

/// Before the number of a batch in the key of what the budget counted in it.
pub const COUNTED: [u8; 8] = *b"counted:";

/// Returns the key of what the budget counted in a batch.
pub const fn counted_key(sequence: u64) -> [u8; 16] {
    ((u64::from_be_bytes(COUNTED) as u128) << 64 | sequence as u128).to_be_bytes()
}

/// Reads a key of [`counted_key`].
pub fn from_counted_key(key: &[u8]) -> Option<u64> {
    from_sequence_key(key.strip_prefix(&COUNTED)?)
}

/// Before a day in the key of how many pairs had their last contact on it.
pub const PAIRS: [u8; 6] = *b"pairs:";

/// Before a day in the key of how many alerts there are whose contact began on it.
pub const ALERTS: [u8; 7] = *b"alerts:";

/// Before a workload in the key of what was not recorded of it.
pub const UNRECORDED: [u8; 11] = *b"unrecorded:";

/// Returns the key of a count of a day; days lie in their order.
pub fn day_key(prefix: &[u8], day: Day) -> Vec<u8> {
    let number = day.0.cast_unsigned() ^ (1 << 31);
    [prefix, &number.to_be_bytes()].concat()
}

/// Reads a key of [`day_key`].
pub fn from_day_key(prefix: &[u8], key: &[u8]) -> Option<Day> {
    let number = key.strip_prefix(prefix)?.try_into().ok().map(u32::from_be_bytes)?;
    Some(Day((number ^ (1 << 31)).cast_signed()))
}

/// Returns the key of what was not recorded of a workload.
pub fn unrecorded_key(workload: WorkloadId) -> Vec<u8> {
    [&UNRECORDED[..], &workload_key(workload)].concat()
}

/// Reads a key of [`unrecorded_key`].
pub fn from_unrecorded_key(key: &[u8]) -> Option<WorkloadId> {
    from_workload_key(key.strip_prefix(&UNRECORDED)?)
}

/// Returns the key of what is numbered by batch, outbox line or arrival.
pub const fn sequence_key(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

/// Reads a key of [`sequence_key`].
pub fn from_sequence_key(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// Returns the key of a workload, which is also the prefix of its pages.
pub const fn workload_key(workload: WorkloadId) -> [u8; 4] {
    workload.0.to_be_bytes()
}

/// Reads a key of [`workload_key`].
pub fn from_workload_key(key: &[u8]) -> Option<WorkloadId> {
    key.try_into().ok().map(u32::from_be_bytes).map(WorkloadId)
}

/// Returns the key of a page.
pub fn page_key(workload: WorkloadId, number: u32) -> [u8; 8] {
    ((u64::from(workload.0) << 32) | u64::from(number)).to_be_bytes()
}

/// Returns whose page it is and which one.
pub fn workload_of_page(key: &[u8]) -> Option<(WorkloadId, u32)> {
    let [a, b, c, d, e, f, g, h] = *key.as_array::<8>()?;
    Some((
        WorkloadId(u32::from_be_bytes([a, b, c, d])),
        u32::from_be_bytes([e, f, g, h]),
    ))
}

/// Returns the key of the bucket that holds a destination.
pub fn bucket(destination: u64) -> [u8; 2] {
    let [_, _, _, _, _, _, high, low] = (destination >> (64 - BUCKET_BITS)).to_be_bytes();
    [high, low]
}

/// Returns the key of a row of names: when its last record is of use for the last time, then its batch and its number among
/// the batch's rows.
pub fn names_key(last_use: Timestamp, sequence: u64, number: u32) -> [u8; 20] {
    let mut key = [0; 20];
    let parts = last_use_number(last_use).to_be_bytes().into_iter();
    let parts = parts.chain(sequence.to_be_bytes()).chain(number.to_be_bytes());
    key.iter_mut().zip(parts).for_each(|(place, octet)| *place = octet);
    key
}

/// Returns the least key of [`names_key`] for an instant.
pub fn last_use_key(last_use: Timestamp) -> [u8; 20] {
    names_key(last_use, 0, 0)
}

/// Flips the sign, so that unsigned order is the order of time.
const fn last_use_number(time: Timestamp) -> u64 {
    time.0.cast_unsigned() ^ (1 << 63)
}

/// Reads an alert's id.
pub fn alert_id_of(key: &[u8]) -> Option<AlertId> {
    key.try_into().ok().map(AlertId)
}

/// Returns the key of a sink's position.
pub fn sink_key(sink: &str) -> Vec<u8> {
    [SINK, sink.as_bytes()].concat()
}

/// Reads the sink's name from a key of [`sink_key`]; `None` for every other key.
pub fn sink_of(key: &[u8]) -> Option<&str> {
    key.strip_prefix(SINK).and_then(|sink| std::str::from_utf8(sink).ok())
}

/// Returns the key of a place in the ring of recent batches' times.
pub fn recent_key(place: usize) -> Vec<u8> {
    [RECENT, &(place as u64).to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_in_the_order_of_their_last_use() {
        let times = [
            Timestamp::MIN,
            Timestamp(-1),
            Timestamp(0),
            Timestamp(7),
            Timestamp(i64::MAX),
        ];
        assert!(times.is_sorted_by_key(|&time| names_key(time, 9, 2)));
        assert!(last_use_key(Timestamp(7)) > names_key(Timestamp(6), u64::MAX, 0));
    }

    #[test]
    fn a_page_lies_under_its_workload() {
        let key = page_key(WorkloadId(7), 3);
        assert!(key.starts_with(&workload_key(WorkloadId(7))));
        assert_eq!(workload_of_page(&key), Some((WorkloadId(7), 3)));
    }

    #[test]
    fn counts_lie_in_the_order_of_their_days() {
        let days = [Day(i32::MIN), Day(-1), Day(0), Day(20_000), Day(i32::MAX)];
        assert!(days.is_sorted_by_key(|&day| day_key(&PAIRS, day)));
        for day in days {
            assert_eq!(from_day_key(&PAIRS, &day_key(&PAIRS, day)), Some(day));
            assert_eq!(from_day_key(&ALERTS, &day_key(&PAIRS, day)), None);
        }
        let key = unrecorded_key(WorkloadId(7));
        assert_eq!(from_unrecorded_key(&key), Some(WorkloadId(7)));
    }

    #[test]
    fn a_bucket_is_the_front_of_the_hash() {
        assert_eq!(bucket(0), [0, 0]);
        assert_eq!(bucket(u64::MAX), [0x3f, 0xff]);
        assert_eq!(bucket(1 << 50), [0, 1]);
    }
}
