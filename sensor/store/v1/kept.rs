//! How many pairs and alerts are kept.
//!
//! ```text
//! count        VERSION, how many
//! unrecorded   VERSION, contacts, latest
//! limits       VERSION, flag; if it is set destinations, octets of disk, retention
//! ```

use crate::model::{BaselineLimits, Span, Unrecorded};

use super::VERSION;
use super::octets::{Octets, put_signed, put_time, put_varint};

/// Writes how many pairs or alerts a day has.
pub fn encode_count(count: u64) -> Vec<u8> {
    let mut row = vec![VERSION];
    put_varint(&mut row, count);
    row
}

/// Reads how many pairs or alerts a day has.
pub fn decode_count(row: &[u8]) -> Option<u64> {
    let mut octets = Octets::of(row)?;
    let count = octets.varint()?;
    octets.is_empty().then_some(count)
}

/// Writes what was not recorded of a workload.
pub fn encode_unrecorded(unrecorded: &Unrecorded) -> Vec<u8> {
    let mut row = encode_count(unrecorded.contacts);
    put_time(&mut row, unrecorded.latest);
    row
}

/// Reads what was not recorded of a workload.
pub fn decode_unrecorded(row: &[u8]) -> Option<Unrecorded> {
    let mut octets = Octets::of(row)?;
    let unrecorded = Unrecorded {
        contacts: octets.varint()?,
        latest: octets.time()?,
    };
    octets.is_empty().then_some(unrecorded)
}

/// Writes what a run goes by, if that is known.
pub fn encode_limits(limits: Option<&BaselineLimits>) -> Vec<u8> {
    let mut row = vec![VERSION, u8::from(limits.is_some())];
    if let Some(limits) = limits {
        put_varint(&mut row, u64::from(limits.destinations));
        put_varint(&mut row, limits.disk);
        put_signed(&mut row, limits.retention.0);
    }
    row
}

/// Reads what a run goes by.
pub fn decode_limits(row: &[u8]) -> Option<Option<BaselineLimits>> {
    let mut octets = Octets::of(row)?;
    let limits = match octets.octet()? {
        0 => None,
        1 => Some(BaselineLimits {
            destinations: octets.varint_u32()?,
            disk: octets.varint()?,
            retention: Span(octets.signed()?),
        }),
        _ => return None,
    };
    octets.is_empty().then_some(limits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_comes_back_as_it_was_written(kept in samples::kept_counts(), count: u64) {
            prop_assert_eq!(decode_limits(&encode_limits(kept.limits.as_ref())), Some(kept.limits));
            for (_, unrecorded) in kept.unrecorded {
                prop_assert_eq!(decode_unrecorded(&encode_unrecorded(&unrecorded)), Some(unrecorded));
            }
            prop_assert_eq!(decode_count(&encode_count(count)), Some(count));
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            for _ in 0..2 {
                let _ = (decode_count(&row), decode_unrecorded(&row), decode_limits(&row));
                row.insert(0, VERSION);
            }
        }
    }
}
