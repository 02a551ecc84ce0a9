//! Pairs as journal rows and pages hold them.
//!
//! ```text
//! journal  VERSION, count, then (workload, slot, pair) each
//! page     VERSION, least `last`, greatest `last`, count, then (slot, pair) each
//! pair     key kind, key, first, last − first, count, octets out, octets in, newest day − day of last, day bits,
//!          ports, names with servers, fate of the novelty or NOT_NEW, time of the novelty − first
//! ```

use smallvec::SmallVec;

use crate::model::{
    ActiveDays, Day, Fate, Novelty, Page, Pair, PairChange, PairKey, StoredPair, Timestamp, WorkloadId,
};

use super::VERSION;
use super::octets::{Octets, put_address, put_signed, put_text, put_time, put_varint, put_wide};

/// Stands where a novelty's fate would, for a pair without one.
const NOT_NEW: u8 = 0;

/// What a pair takes on average, rounded up: to size what is written before it is.
pub const USUAL_PAIR: usize = 96;

/// When the pairs of a page had their last contacts: all that expiry must know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSpan {
    /// The least `last` of its pairs.
    pub least: Timestamp,
    /// The greatest `last` of its pairs.
    pub greatest: Timestamp,
}

/// Writes the journal row of a batch in place of what `row` holds.
pub fn encode_journal(row: &mut Vec<u8>, changes: &[PairChange]) {
    row.clear();
    row.reserve(16 + changes.len() * USUAL_PAIR);
    row.push(VERSION);
    put_varint(row, changes.len() as u64);
    for change in changes {
        put_varint(row, u64::from(change.workload.0));
        put_stored(row, &change.stored);
    }
}

/// Reads a journal row.
pub fn decode_journal(row: &[u8]) -> Option<Vec<PairChange>> {
    let mut octets = Octets::of(row)?;
    let count = octets.count()?;
    let mut changes = Vec::with_capacity(count.min(octets.rest().len() / 16));
    for _ in 0..count {
        changes.push(PairChange {
            workload: WorkloadId(octets.varint_u32()?),
            stored: read_stored(&mut octets)?,
        });
    }
    octets.is_empty().then_some(changes)
}

/// Writes a page in place of what `row` holds; pairs whose last contact was before `cutoff` are left out.
///
/// Returns `None`, and leaves `row` without meaning, if no pair is left.
pub fn encode_page(row: &mut Vec<u8>, page: &Page, cutoff: Timestamp) -> Option<()> {
    let kept = || page.pairs.iter().filter(|stored| stored.pair.last >= cutoff);
    let least = kept().map(|stored| stored.pair.last).min()?;
    let greatest = kept().map(|stored| stored.pair.last).max()?;
    row.clear();
    row.push(VERSION);
    put_time(row, least);
    put_time(row, greatest);
    put_varint(row, kept().count() as u64);
    for stored in kept() {
        put_stored(row, stored);
    }
    Some(())
}

/// Reads the pairs of a page.
pub fn decode_page(row: &[u8]) -> Option<Vec<StoredPair>> {
    let mut octets = Octets::of(row)?;
    octets.array::<16>()?;
    let count = octets.count()?;
    let mut pairs = Vec::with_capacity(count.min(octets.rest().len() / 16));
    for _ in 0..count {
        pairs.push(read_stored(&mut octets)?);
    }
    octets.is_empty().then_some(pairs)
}

/// Reads of a page only what expiry must know.
pub fn page_span(row: &[u8]) -> Option<PageSpan> {
    let mut octets = Octets::of(row)?;
    Some(PageSpan {
        least: octets.time()?,
        greatest: octets.time()?,
    })
}

fn put_stored(row: &mut Vec<u8>, stored: &StoredPair) {
    put_varint(row, u64::from(stored.slot));
    row.push(stored.key.kind());
    match &stored.key {
        PairKey::Domain(name)
        | PairKey::Tenant(name)
        | PairKey::AttemptedDomain(name)
        | PairKey::AttemptedTenant(name) => put_text(row, name),
        PairKey::Address(address) | PairKey::AttemptedAddress(address) => put_address(row, *address),
    }
    let pair = &stored.pair;
    put_time(row, pair.first);
    put_signed(row, pair.last.0.wrapping_sub(pair.first.0));
    put_varint(row, pair.count);
    put_varint(row, pair.octets_out);
    put_varint(row, pair.octets_in);
    put_signed(row, i64::from(pair.days.newest.0) - i64::from(pair.last.day().0));
    put_wide(row, pair.days.bits);
    put_varint(row, pair.ports.len() as u64);
    for port in &pair.ports {
        row.extend_from_slice(&port.to_le_bytes());
    }
    put_varint(row, pair.names.len() as u64);
    for (name, server) in &pair.names {
        put_text(row, name);
        put_address(row, *server);
    }
    match pair.novelty {
        Some(Novelty { at, fate }) => {
            row.push(fate as u8);
            put_signed(row, at.0.wrapping_sub(pair.first.0));
        }
        None => row.push(NOT_NEW),
    }
}

fn read_stored(octets: &mut Octets<'_>) -> Option<StoredPair> {
    let slot = octets.varint_u32()?;
    let key = match octets.octet()? {
        0 => PairKey::Domain(octets.text()?),
        1 => PairKey::Tenant(octets.text()?),
        2 => PairKey::Address(octets.address()?),
        3 => PairKey::AttemptedDomain(octets.text()?),
        4 => PairKey::AttemptedTenant(octets.text()?),
        5 => PairKey::AttemptedAddress(octets.address()?),
        _ => return None,
    };
    let first = octets.time()?;
    let last = Timestamp(first.0.wrapping_add(octets.signed()?));
    let (count, octets_out, octets_in) = (octets.varint()?, octets.varint()?, octets.varint()?);
    let newest = i64::from(last.day().0).checked_add(octets.signed()?)?;
    let days = ActiveDays {
        newest: Day(newest.try_into().ok()?),
        bits: octets.wide()?,
    };
    let listed = octets.count()?;
    let mut ports = SmallVec::with_capacity(listed.min(octets.rest().len() / 2));
    for _ in 0..listed {
        ports.push(u16::from_le_bytes(octets.array()?));
    }
    let named = octets.count()?;
    let mut names = SmallVec::with_capacity(named.min(octets.rest().len() / 6));
    for _ in 0..named {
        names.push((octets.text()?, octets.address()?));
    }
    let novelty = match octets.octet()? {
        NOT_NEW => None,
        fate => Some(Novelty {
            fate: Fate::from_number(fate)?,
            at: Timestamp(first.0.wrapping_add(octets.signed()?)),
        }),
    };
    Some(StoredPair {
        slot,
        key,
        pair: Pair {
            first,
            last,
            count,
            octets_out,
            octets_in,
            days,
            ports,
            names,
            novelty,
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    proptest! {
        #[test]
        fn a_journal_row_comes_back_as_it_was_written(changes in samples::changes(20)) {
            let mut row = b"what it held before".to_vec();
            encode_journal(&mut row, &changes);
            prop_assert_eq!(decode_journal(&row), Some(changes));
        }

        #[test]
        fn a_page_comes_back_without_what_is_expired(page in samples::page(), cutoff: i64) {
            let cutoff = Timestamp(cutoff);
            let mut left = page.pairs.clone();
            left.retain(|stored| stored.pair.last >= cutoff);
            let mut row = b"what it held before".to_vec();
            let written = encode_page(&mut row, &page, cutoff);
            prop_assert_eq!(written.is_none(), left.is_empty());
            if written.is_some() {
                let span = page_span(&row).unwrap();
                prop_assert_eq!(Some(span.least), left.iter().map(|stored| stored.pair.last).min());
                prop_assert_eq!(Some(span.greatest), left.iter().map(|stored| stored.pair.last).max());
                prop_assert_eq!(decode_page(&row), Some(left));
            }
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = (decode_journal(&row), decode_page(&row), page_span(&row));
            row.insert(0, VERSION);
            let _ = (decode_journal(&row), decode_page(&row), page_span(&row));
        }

        #[test]
        fn decoding_a_damaged_row_never_panics(changes in samples::changes(3), at: prop::sample::Index, by: u8) {
            let mut row = Vec::new();
            encode_journal(&mut row, &changes);
            let at = at.index(row.len());
            if let Some(octet) = row.get_mut(at) {
                *octet ^= by;
            }
            let _ = decode_journal(&row);
            row.truncate(at);
            prop_assert_eq!(decode_journal(&row), None);
        }
    }
}
