//! Names as they outlive a run.
//!
//! ```text
//! row         VERSION, where the segments begin, names, segments
//! segments    count, then a text each
//! names       a time, then a group each
//! group       segment, provenance, client, then an address each up to and with one that is LAST; a group is of one
//!             response
//! provenance  its place among those of the row; where that is the next one: name, server, count of names in the chain and
//!             each of them
//! address     address, flags, TTL, greatest TTL unless SAME_TTL, last − the one before, last − first unless ONE_ANSWER,
//!             expires − last, in seconds if WHOLE_SECONDS
//! ```
//!
//! Segments are given by their place. Only evidence that counts is kept; its frame is a matter of its run.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::model::{
    Address, Admission, AnswerFacts, Evidence, EvidenceKind, NameRecord, NameRow, NameView, NameWriter, Provenance,
    SECOND, SavedNames, Segment, Timestamp,
};

use super::super::expiry::last_use;
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
/// Set when the address ends its group.
const LAST: u8 = 0x10;

/// Octets of the number that says where a row's segments begin.
const START: usize = 4;
/// Rows whose memory is kept for others.
const SPARE: usize = 4;

/// Writes names: a row for each day of last use, so that a row goes when all of it is of no use.
#[derive(Debug, Default)]
pub struct NameRows {
    /// By the day of last use; hardly ever more than a few.
    days: Vec<(i32, Growing)>,
    /// Memory for further rows.
    spare: Vec<Vec<u8>>,
}

/// A row as it grows, name by name.
#[derive(Debug, Default)]
struct Growing {
    row: Option<NameRow>,
    /// Whom the latest group is of.
    group: Option<(Segment, u32, Address)>,
    /// Where the flags of the latest address stand.
    flags: usize,
    before: Timestamp,
    /// How long the row before was: the next is likely to be about as long.
    expected: usize,
    /// Provenances of the row by what stands for them.
    places: HashMap<u32, usize, foldhash::fast::RandomState>,
}

impl NameWriter for NameRows {
    fn add(&mut self, name: &NameView<'_>) {
        let last_use = last_use(&name.facts);
        let day = last_use.day().0;
        let at = self.days.iter().position(|(other, _)| *other == day);
        let at = at.unwrap_or_else(|| {
            self.days.push((day, Growing::default()));
            self.days.len() - 1
        });
        if let Some((_, growing)) = self.days.get_mut(at) {
            growing.add(name, last_use, &mut self.spare);
        }
    }

    fn take(&mut self) -> Vec<NameRow> {
        // A day that got no row since the last call is past, or far off.
        self.days.retain(|(_, growing)| growing.row.is_some());
        self.days.iter_mut().filter_map(|(_, growing)| growing.take()).collect()
    }

    fn reuse(&mut self, octets: Vec<u8>) {
        if self.spare.len() < SPARE {
            self.spare.push(octets);
        }
    }
}

impl Growing {
    fn add(&mut self, name: &NameView<'_>, last_use: Timestamp, spare: &mut Vec<Vec<u8>>) {
        let row = self.row.get_or_insert_with(|| {
            let mut octets = spare.pop().unwrap_or_default();
            octets.clear();
            octets.reserve(self.expected + self.expected / 8);
            octets.push(VERSION);
            octets.extend_from_slice(&[0; START]);
            put_time(&mut octets, name.facts.last);
            self.before = name.facts.last;
            NameRow {
                last_use,
                segments: Vec::new(),
                octets,
            }
        });
        row.last_use = row.last_use.max(last_use);
        let octets = &mut row.octets;
        let group = (name.segment, name.origin, name.client);
        if self.group != Some(group) {
            end_group(octets, self.flags, self.group);
            self.group = Some(group);
            put_varint(octets, position(&mut row.segments, name.segment) as u64);
            let next = self.places.len();
            let place = *self.places.entry(name.origin).or_insert(next);
            put_varint(octets, place as u64);
            if place == next {
                put_provenance(octets, name.provenance);
            }
            put_address(octets, name.client);
        }
        self.flags = put_answer(octets, name.address, &name.facts, self.before);
        self.before = name.facts.last;
    }

    fn take(&mut self) -> Option<NameRow> {
        let mut row = self.row.take()?;
        end_group(&mut row.octets, self.flags, self.group.take());
        self.places.clear();
        self.expected = row.octets.len();
        Some(row)
    }
}

/// Marks the address whose flags stand at a place as the last of its group.
fn end_group<T>(octets: &mut [u8], flags: usize, group: Option<T>) {
    if group.is_some()
        && let Some(flags) = octets.get_mut(flags)
    {
        *flags |= LAST;
    }
}

/// Returns the place of a segment, at the end if it is new; segments stand together, so the last one is looked at first.
fn position(segments: &mut Vec<Segment>, segment: Segment) -> usize {
    let at = segments.iter().rposition(|other| *other == segment);
    at.unwrap_or_else(|| {
        segments.push(segment);
        segments.len() - 1
    })
}

/// Adds the texts of its segments to a row.
pub fn end_names(row: &mut NameRow, text: impl Fn(Segment) -> Arc<str>) {
    let octets = &mut row.octets;
    let start = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    if let Some(place) = octets.get_mut(1..=START) {
        place.copy_from_slice(&start.to_le_bytes());
    }
    put_varint(octets, row.segments.len() as u64);
    for segment in &row.segments {
        put_text(octets, &text(*segment));
    }
}

/// Returns records in the ledger's form.
pub fn rows_of(names: &SavedNames) -> Vec<NameRow> {
    let mut rows = NameRows::default();
    let mut origins: HashMap<usize, u32, foldhash::fast::RandomState> = HashMap::default();
    for record in &names.records {
        let provenance = &record.evidence.provenance;
        // The records hold what they point to, so that one place in memory is one provenance.
        let next = origins.len() as u32;
        rows.add(&NameView {
            segment: record.segment,
            client: record.evidence.client,
            provenance,
            origin: *origins.entry(Arc::as_ptr(provenance).addr()).or_insert(next),
            address: record.address,
            facts: record.evidence.facts,
        });
    }
    let mut rows = rows.take();
    for row in &mut rows {
        end_names(row, |segment| {
            names.text(segment).cloned().unwrap_or_else(|| Arc::from("-"))
        });
    }
    rows
}

/// Reads a row of names; each record has its segment's text.
pub fn decode_names(row: &[u8]) -> Option<Vec<(Arc<str>, NameRecord)>> {
    let start = u32::from_le_bytes(*row.get(1..)?.first_chunk::<START>()?);
    let (names, texts) = row.split_at_checked(start as usize)?;
    let mut texts = Octets::part(texts);
    let mut segments = Vec::new();
    for _ in 0..texts.count()? {
        segments.push(texts.text()?);
    }
    if !texts.is_empty() {
        return None;
    }
    let mut octets = Octets::of(names)?;
    octets.array::<START>()?;
    let mut provenances = Vec::new();
    let mut before = octets.time()?;
    let mut records = Vec::new();
    while !octets.is_empty() {
        let text = segments.get(octets.varint_u32()? as usize)?;
        let place = octets.varint_u32()? as usize;
        if place == provenances.len() {
            provenances.push(Arc::new(read_provenance(&mut octets)?));
        }
        let provenance = provenances.get(place)?;
        let client = octets.address()?;
        loop {
            let (address, facts, is_last) = read_answer(&mut octets, before)?;
            before = facts.last;
            let record = NameRecord {
                segment: Segment::NONE,
                address,
                evidence: Evidence {
                    provenance: Arc::clone(provenance),
                    client,
                    facts,
                },
            };
            records.push((Arc::clone(text), record));
            if is_last {
                break;
            }
        }
    }
    Some(records)
}

fn put_provenance(row: &mut Vec<u8>, provenance: &Provenance) {
    put_text(row, &provenance.name);
    put_address(row, provenance.server);
    put_varint(row, provenance.chain.len() as u64);
    for name in &provenance.chain {
        put_text(row, name);
    }
}

fn read_provenance(octets: &mut Octets<'_>) -> Option<Provenance> {
    let (name, server) = (octets.text()?, octets.address()?);
    let mut chain = Vec::new();
    for _ in 0..octets.count()? {
        chain.push(octets.text()?);
    }
    Some(Provenance::new(name, server, chain.into()))
}

/// Writes an address; returns where its flags stand.
fn put_answer(row: &mut Vec<u8>, address: Address, facts: &AnswerFacts, before: Timestamp) -> usize {
    put_address(row, address);
    let life = facts.expires.0.wrapping_sub(facts.last.0);
    let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
    let flags = flag(facts.kind == EvidenceKind::DnsHint, HINT)
        | flag(facts.ttl == facts.greatest_ttl, SAME_TTL)
        | flag(facts.first == facts.last, ONE_ANSWER)
        | flag(life % SECOND == 0, WHOLE_SECONDS);
    let at = row.len();
    row.push(flags);
    put_varint(row, u64::from(facts.ttl));
    if flags & SAME_TTL == 0 {
        put_varint(row, u64::from(facts.greatest_ttl));
    }
    put_signed(row, facts.last.0.wrapping_sub(before.0));
    if flags & ONE_ANSWER == 0 {
        put_signed(row, facts.last.0.wrapping_sub(facts.first.0));
    }
    put_signed(
        row,
        if flags & WHOLE_SECONDS == 0 {
            life
        } else {
            life / SECOND
        },
    );
    at
}

/// Reads an address, and whether it ends its group.
fn read_answer(octets: &mut Octets<'_>, before: Timestamp) -> Option<(Address, AnswerFacts, bool)> {
    let address = octets.address()?;
    let flags = octets.octet()?;
    if flags & !(HINT | SAME_TTL | ONE_ANSWER | WHOLE_SECONDS | LAST) != 0 {
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
    let facts = AnswerFacts {
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
    };
    Some((address, facts, flags & LAST != 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    fn encode(names: &SavedNames) -> Vec<Vec<u8>> {
        rows_of(names).into_iter().map(|row| row.octets).collect()
    }

    proptest! {
        #[test]
        fn names_come_back_as_they_were_written(names in samples::names(20)) {
            let mut expected: Vec<(i32, Arc<str>, NameRecord)> = names
                .records
                .iter()
                .map(|record| {
                    let text = names.text(record.segment).unwrap();
                    let day = last_use(&record.evidence.facts).day().0;
                    (day, text.clone(), NameRecord { segment: Segment::NONE, ..record.clone() })
                })
                .collect();
            // Rows come in the order of each day's first name; the names of one day keep theirs.
            let days: Vec<i32> = expected.iter().map(|(day, ..)| *day).collect();
            expected.sort_by_key(|(day, ..)| days.iter().position(|other| other == day));
            let expected: Vec<(Arc<str>, NameRecord)> =
                expected.into_iter().map(|(_, text, record)| (text, record)).collect();
            let read: Option<Vec<_>> = encode(&names).iter().map(|row| decode_names(row)).collect();
            prop_assert_eq!(read.map(|rows| rows.concat()), Some(expected));
        }

        #[test]
        fn a_writer_begins_anew(one in samples::names(9), other in samples::names(9)) {
            let mut rows = NameRows::default();
            for names in [&one, &other] {
                for (origin, record) in (0..).zip(&names.records) {
                    let evidence = &record.evidence;
                    rows.add(&NameView {
                        segment: record.segment,
                        client: evidence.client,
                        provenance: &evidence.provenance,
                        origin,
                        address: record.address,
                        facts: evidence.facts,
                    });
                }
                let mut read = 0;
                for mut row in rows.take() {
                    end_names(&mut row, |segment| names.text(segment).cloned().unwrap());
                    read += decode_names(&row.octets).unwrap().len();
                    rows.reuse(row.octets);
                }
                prop_assert_eq!(read, names.records.len());
            }
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = decode_names(&row);
            row.insert(0, VERSION);
            let _ = decode_names(&row);
        }

        #[test]
        fn a_row_cut_short_is_refused(names in samples::names(3), at: prop::sample::Index) {
            for row in encode(&names) {
                prop_assert_eq!(decode_names(&row[..at.index(row.len())]), None);
            }
        }
    }
}
