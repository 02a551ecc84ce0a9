//! Names as they outlive a run.
//!
//! ```text
//! row         VERSION, segments, provenances, a time, count of groups, then a group each
//! segments    count, then a text each
//! provenances count, then name, server, count of names in the chain and each of them
//! group       segment, provenance, client, count of addresses, then an address each; a group is of one response
//! address     address, flags, TTL, greatest TTL unless SAME_TTL, last − the one before, last − first unless ONE_ANSWER,
//!             expires − last, in seconds if WHOLE_SECONDS
//! ```
//!
//! Segments and provenances are given by their place. Only evidence that counts is kept; its frame is a matter of its run.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::model::{
    Address, Admission, Evidence, EvidenceKind, NameRecord, Provenance, SECOND, SavedNames, Segment, Timestamp,
};

use super::VERSION;
use super::octets::{Octets, put_address, put_signed, put_text, put_time, put_varint};

/// Set when the evidence is a hint.
const HINT: u8 = 0x01;
/// Set when the greatest TTL is the TTL.
const SAME_TTL: u8 = 0x02;
/// Set when the first answer is the last one.
const ONE_ANSWER: u8 = 0x04;
/// Set when the life after the last answer is written in seconds.
const WHOLE_SECONDS: u8 = 0x08;

/// What an address takes on average, to size rows before they are written.
const USUAL_NAME: usize = 32;

/// Writes some of `names` in one row.
pub fn encode_names(names: &SavedNames, records: &[&NameRecord]) -> Vec<u8> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut provenances: Vec<&Provenance> = Vec::new();
    let mut places: HashMap<usize, usize, foldhash::fast::RandomState> = HashMap::default();
    let mut groups = Vec::with_capacity(records.len() * USUAL_NAME);
    let mut count = 0_u64;
    let base = records.first().map_or(Timestamp(0), |record| record.evidence.last);
    let mut last = base;
    let origin = |record: &NameRecord| {
        let evidence = &record.evidence;
        (
            record.segment,
            Arc::as_ptr(&evidence.provenance).addr(),
            evidence.client,
        )
    };
    for group in records.chunk_by(|a, b| origin(a) == origin(b)) {
        let Some(first) = group.first() else { continue };
        let segment = position(&mut segments, first.segment);
        let provenance = &first.evidence.provenance;
        let place = *places.entry(Arc::as_ptr(provenance).addr()).or_insert_with(|| {
            provenances.push(provenance);
            provenances.len() - 1
        });
        put_varint(&mut groups, segment as u64);
        put_varint(&mut groups, place as u64);
        put_address(&mut groups, first.evidence.client);
        put_varint(&mut groups, group.len() as u64);
        for record in group {
            put_record(&mut groups, record, last);
            last = record.evidence.last;
        }
        count += 1;
    }
    let mut row = Vec::with_capacity(groups.len() + 64 + provenances.len() * USUAL_NAME * 2);
    row.push(VERSION);
    put_varint(&mut row, segments.len() as u64);
    for segment in segments {
        put_text(&mut row, names.text(segment).map_or("-", |text| text));
    }
    put_varint(&mut row, provenances.len() as u64);
    for provenance in provenances {
        put_text(&mut row, &provenance.name);
        put_address(&mut row, provenance.server);
        put_varint(&mut row, provenance.chain.len() as u64);
        for name in &provenance.chain {
            put_text(&mut row, name);
        }
    }
    put_time(&mut row, base);
    put_varint(&mut row, count);
    row.append(&mut groups);
    row
}

/// Returns the place of a segment, at the end if it is new; segments stand together, so the last one is looked at first.
fn position(segments: &mut Vec<Segment>, segment: Segment) -> usize {
    let at = segments.iter().rposition(|other| *other == segment);
    at.unwrap_or_else(|| {
        segments.push(segment);
        segments.len() - 1
    })
}

/// Reads a row of names; each record has its segment's text.
pub fn decode_names(row: &[u8]) -> Option<Vec<(Arc<str>, NameRecord)>> {
    let mut octets = Octets::of(row)?;
    let mut segments = Vec::new();
    for _ in 0..octets.count()? {
        segments.push(octets.text()?);
    }
    let mut provenances = Vec::new();
    for _ in 0..octets.count()? {
        let (name, server) = (octets.text()?, octets.address()?);
        let mut chain = Vec::new();
        for _ in 0..octets.count()? {
            chain.push(octets.text()?);
        }
        provenances.push(Arc::new(Provenance::new(name, server, chain.into())));
    }
    let mut last = octets.time()?;
    let mut records = Vec::new();
    for _ in 0..octets.count()? {
        let text = segments.get(octets.varint_u32()? as usize)?;
        let provenance = provenances.get(octets.varint_u32()? as usize)?;
        let client = octets.address()?;
        for _ in 0..octets.count()? {
            let record = read_record(&mut octets, provenance, client, last)?;
            last = record.evidence.last;
            records.push((Arc::clone(text), record));
        }
    }
    octets.is_empty().then_some(records)
}

fn put_record(row: &mut Vec<u8>, record: &NameRecord, before: Timestamp) {
    let evidence = &record.evidence;
    put_address(row, record.address);
    let life = evidence.expires.0.wrapping_sub(evidence.last.0);
    let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
    let flags = flag(evidence.kind == EvidenceKind::DnsHint, HINT)
        | flag(evidence.ttl == evidence.greatest_ttl, SAME_TTL)
        | flag(evidence.first == evidence.last, ONE_ANSWER)
        | flag(life % SECOND == 0, WHOLE_SECONDS);
    row.push(flags);
    put_varint(row, u64::from(evidence.ttl));
    if flags & SAME_TTL == 0 {
        put_varint(row, u64::from(evidence.greatest_ttl));
    }
    put_signed(row, evidence.last.0.wrapping_sub(before.0));
    if flags & ONE_ANSWER == 0 {
        put_signed(row, evidence.last.0.wrapping_sub(evidence.first.0));
    }
    put_signed(
        row,
        if flags & WHOLE_SECONDS == 0 {
            life
        } else {
            life / SECOND
        },
    );
}

fn read_record(
    octets: &mut Octets<'_>,
    provenance: &Arc<Provenance>,
    client: Address,
    before: Timestamp,
) -> Option<NameRecord> {
    let address = octets.address()?;
    let flags = octets.octet()?;
    if flags & !(HINT | SAME_TTL | ONE_ANSWER | WHOLE_SECONDS) != 0 {
        return None;
    }
    let ttl = octets.varint_u32()?;
    let greatest_ttl = if flags & SAME_TTL == 0 {
        octets.varint_u32()?
    } else {
        ttl
    };
    let last = Timestamp(before.0.wrapping_add(octets.signed()?));
    let first = if flags & ONE_ANSWER == 0 {
        Timestamp(last.0.wrapping_sub(octets.signed()?))
    } else {
        last
    };
    let life = octets.signed()?;
    let life = if flags & WHOLE_SECONDS == 0 {
        life
    } else {
        life.checked_mul(SECOND)?
    };
    Some(NameRecord {
        segment: Segment::NONE,
        address,
        evidence: Evidence {
            provenance: Arc::clone(provenance),
            client,
            kind: if flags & HINT == 0 {
                EvidenceKind::DnsAddress
            } else {
                EvidenceKind::DnsHint
            },
            admission: Admission::Admitted,
            ttl,
            greatest_ttl,
            first,
            last,
            expires: Timestamp(last.0.wrapping_add(life)),
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    fn encode(names: &SavedNames) -> Vec<u8> {
        encode_names(names, &names.records.iter().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn names_come_back_as_they_were_written(names in samples::names(20)) {
            let expected: Vec<(Arc<str>, NameRecord)> = names
                .records
                .iter()
                .map(|record| {
                    let text = names.text(record.segment).unwrap();
                    (text.clone(), NameRecord { segment: Segment::NONE, ..record.clone() })
                })
                .collect();
            prop_assert_eq!(decode_names(&encode(&names)), Some(expected));
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = decode_names(&row);
            row.insert(0, VERSION);
            let _ = decode_names(&row);
        }

        #[test]
        fn a_row_cut_short_is_refused(names in samples::names(3), at: prop::sample::Index) {
            let row = encode(&names);
            prop_assert_eq!(decode_names(&row[..at.index(row.len())]), None);
        }
    }
}
