//! Names as they outlive a run.
//!
//! ```text
//! row     VERSION, count, then a record each
//! record  segment number, segment text, address, name, client, server, kind and admission, TTL, greatest TTL,
//!         first, last − first, expires − last, arrival, chain
//! ```

use std::sync::Arc;

use crate::model::{Admission, Arrival, Evidence, EvidenceKind, NameRecord, Segment, Timestamp};

use super::VERSION;
use super::octets::{Octets, put_address, put_signed, put_text, put_time, put_varint};

/// Set when the evidence is a hint.
const HINT: u8 = 0x01;
/// Set when nobody asked for the evidence.
const UNSOLICITED: u8 = 0x02;

/// What a record takes on average, to size rows before they are written.
const USUAL_NAME: usize = 96;

/// Writes records in one row.
pub fn encode_names<'a>(records: impl ExactSizeIterator<Item = &'a NameRecord>) -> Vec<u8> {
    let mut row = Vec::with_capacity(16 + records.len() * USUAL_NAME);
    row.push(VERSION);
    put_varint(&mut row, records.len() as u64);
    for record in records {
        put_record(&mut row, record);
    }
    row
}

/// Reads a row of names.
pub fn decode_names(row: &[u8]) -> Option<Vec<NameRecord>> {
    let mut octets = Octets::of(row)?;
    let count = octets.count()?;
    let mut records = Vec::with_capacity(count.min(octets.rest().len() / 32));
    for _ in 0..count {
        records.push(read_record(&mut octets)?);
    }
    octets.is_empty().then_some(records)
}

fn put_record(row: &mut Vec<u8>, record: &NameRecord) {
    let evidence = &record.evidence;
    put_varint(row, u64::from(record.segment.number()));
    put_text(row, &record.segment_text);
    put_address(row, record.address);
    put_text(row, &evidence.name);
    put_address(row, evidence.client);
    put_address(row, evidence.server);
    let hint = match evidence.kind {
        EvidenceKind::DnsAddress => 0,
        EvidenceKind::DnsHint => HINT,
    };
    let unsolicited = match evidence.admission {
        Admission::Admitted => 0,
        Admission::Unsolicited => UNSOLICITED,
    };
    row.push(hint | unsolicited);
    put_varint(row, u64::from(evidence.ttl));
    put_varint(row, u64::from(evidence.greatest_ttl));
    put_time(row, evidence.first);
    put_signed(row, evidence.last.0.wrapping_sub(evidence.first.0));
    put_signed(row, evidence.expires.0.wrapping_sub(evidence.last.0));
    put_varint(row, evidence.arrival.0);
    put_varint(row, evidence.chain.len() as u64);
    for name in evidence.chain.iter() {
        put_text(row, name);
    }
}

fn read_record(octets: &mut Octets<'_>) -> Option<NameRecord> {
    let segment = read_segment(octets.varint_u32()?);
    let (segment_text, address) = (octets.text()?, octets.address()?);
    let (name, client, server) = (octets.text()?, octets.address()?, octets.address()?);
    let flags = octets.octet()?;
    if flags & !(HINT | UNSOLICITED) != 0 {
        return None;
    }
    let kind = if flags & HINT == 0 {
        EvidenceKind::DnsAddress
    } else {
        EvidenceKind::DnsHint
    };
    let admission = if flags & UNSOLICITED == 0 {
        Admission::Admitted
    } else {
        Admission::Unsolicited
    };
    let (ttl, greatest_ttl) = (octets.varint_u32()?, octets.varint_u32()?);
    let first = octets.time()?;
    let last = Timestamp(first.0.wrapping_add(octets.signed()?));
    let expires = Timestamp(last.0.wrapping_add(octets.signed()?));
    let arrival = Arrival(octets.varint()?);
    let linked = octets.count()?;
    let mut chain = Vec::with_capacity(linked.min(256));
    for _ in 0..linked {
        chain.push(octets.text()?);
    }
    Some(NameRecord {
        segment,
        segment_text,
        address,
        evidence: Evidence {
            name,
            client,
            server,
            kind,
            admission,
            ttl,
            first,
            last,
            arrival,
            expires,
            greatest_ttl,
            chain: Arc::from(chain),
        },
    })
}

/// Returns the segment with a bare number.
fn read_segment(number: u32) -> Segment {
    let numbered = Segment::numbered(0).number();
    match number.checked_sub(numbered) {
        Some(n) => Segment::numbered(n),
        None => number.checked_sub(1).map_or(Segment::NONE, Segment::vni),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    proptest! {
        #[test]
        fn names_come_back_as_they_were_written(records in prop::collection::vec(samples::name(), 0..20)) {
            prop_assert_eq!(decode_names(&encode_names(records.iter())), Some(records));
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = decode_names(&row);
            row.insert(0, VERSION);
            let _ = decode_names(&row);
        }

        #[test]
        fn a_row_cut_short_is_refused(records in prop::collection::vec(samples::name(), 1..3), at: prop::sample::Index) {
            let row = encode_names(records.iter());
            prop_assert_eq!(decode_names(&row[..at.index(row.len())]), None);
        }
    }
}
