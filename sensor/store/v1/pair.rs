//! Pairs as journal rows and pages hold them.
//!
//! ```text
//! journal  VERSION, count, then (workload, slot, pair) each
//! page     VERSION, least `last`, greatest `last`, batch, count, then (slot, pair) each
//! pair     kind and flags, ports and flags, names unless NAMES_BEFORE, key (a text: its length alone if KEY_IS_TAIL),
//!          first − first of the pair before, last − first, count, octets out, octets in, day bits unless ONE_DAY, ports,
//!          fate of the novelty or NOT_NEW, time of the novelty − first
//! names    count, then text and server each
//! ```
//!
//! A contact is recorded under its domain and its address one after the other, with one name. So a pair takes its names
//! from the one before it where they are the same, and a domain is the tail of the name that led there.

use std::sync::Arc;

use crate::model::{
    Fate, JournalRow, Novelty, Pair, PairBefore, PairChange, PairKey, PairKeyView, PairView, Provenance, StoredPage,
    StoredPair, Timestamp, WorkloadId,
};

use super::VERSION;
use super::octets::{Octets, put_address, put_signed, put_text, put_time, put_varint, put_wide};

/// Stands where a novelty's fate would, for a pair without one.
const NOT_NEW: u8 = 0;

/// In the first octet: the kind of the key.
const KIND: u8 = 0x07;
/// In the first octet: the names are those of the pair before.
const NAMES_BEFORE: u8 = 0x08;
/// In the first octet: the key is the end of the first name, of this length.
const KEY_IS_TAIL: u8 = 0x10;
/// In the first octet: contacts were on the day of the last one only.
const ONE_DAY: u8 = 0x20;
/// In the second octet: how many ports there are.
const PORTS: u8 = 0x0f;

/// What a pair takes on average, rounded up: to size what is written before it is.
const USUAL_PAIR: usize = 48;

/// Octets of a count of pairs, of a page's span and of its batch.
const COUNT: usize = 4;
const SPAN: usize = 16;
const BATCH: usize = 8;

/// When the pairs of a page had their last contacts: all that expiry must know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSpan {
    /// The least `last` of its pairs.
    pub least: Timestamp,
    /// The greatest `last` of its pairs.
    pub greatest: Timestamp,
}

/// Appends a pair to the journal row of a batch.
pub fn add_to_journal(row: &mut JournalRow, view: &PairView<'_>) {
    let JournalRow { octets, pairs, before } = row;
    if octets.is_empty() {
        octets.push(VERSION);
        octets.extend_from_slice(&[0; COUNT]);
    }
    *pairs += 1;
    let count = u32::try_from(*pairs).unwrap_or(u32::MAX);
    if let Some(place) = octets.get_mut(1..=COUNT) {
        place.copy_from_slice(&count.to_le_bytes());
    }
    put_varint(octets, u64::from(view.workload.0));
    put_pair(octets, view, before);
}

/// Reads a journal row.
pub fn decode_journal(row: &[u8]) -> Option<Vec<PairChange>> {
    read_pairs(Octets::of(row)?, |octets, before| {
        Some(PairChange {
            workload: WorkloadId(octets.varint_u32()?),
            stored: read_stored(octets, before)?,
        })
    })
}

/// Returns the row of a page that a batch writes.
pub fn encode_page<'a>(batch: u64, pairs: &mut dyn Iterator<Item = PairView<'a>>) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + SPAN + BATCH + COUNT + StoredPair::A_PAGE as usize * USUAL_PAIR);
    row.push(VERSION);
    row.extend_from_slice(&[0; SPAN + BATCH + COUNT]);
    let (mut least, mut greatest) = (Timestamp(i64::MAX), Timestamp::MIN);
    let mut count = 0_u32;
    let mut before = PairBefore::default();
    for view in pairs {
        least = least.min(view.pair.last());
        greatest = greatest.max(view.pair.last());
        put_pair(&mut row, &view, &mut before);
        count += 1;
    }
    let mut front = Vec::with_capacity(SPAN + BATCH + COUNT);
    put_time(&mut front, least);
    put_time(&mut front, greatest);
    front.extend_from_slice(&batch.to_le_bytes());
    front.extend_from_slice(&count.to_le_bytes());
    if let Some(place) = row.get_mut(1..=SPAN + BATCH + COUNT) {
        place.copy_from_slice(&front);
    }
    row
}

/// Reads a page.
pub fn decode_page(row: &[u8]) -> Option<StoredPage> {
    let mut octets = Octets::of(row)?;
    octets.array::<SPAN>()?;
    Some(StoredPage {
        batch: u64::from_le_bytes(octets.array::<BATCH>()?),
        pairs: read_pairs(octets, read_stored)?,
    })
}

/// Reads everything that is left as pairs behind their count.
fn read_pairs<T>(
    mut octets: Octets<'_>,
    read: impl Fn(&mut Octets<'_>, &mut ReadBefore) -> Option<T>,
) -> Option<Vec<T>> {
    let count = u32::from_le_bytes(octets.array()?) as usize;
    let mut pairs = Vec::with_capacity(count.min(octets.rest().len() / LEAST_PAIR));
    let mut before = ReadBefore::default();
    for _ in 0..count {
        pairs.push(read(&mut octets, &mut before)?);
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

/// The fewest octets that a pair takes.
const LEAST_PAIR: usize = 11;

fn put_pair(row: &mut Vec<u8>, view: &PairView<'_>, before: &mut PairBefore) {
    let pair = view.pair;
    let (kind, is_tail) = match view.key {
        PairKeyView::Text(kind, text) => {
            let first = pair.names().next();
            (kind, first.is_some_and(|first| first.name.ends_with(text)))
        }
        PairKeyView::Address(kind, _) => (kind, false),
    };
    let days = pair.days().bits;
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let has_names_before = has_names(Octets::part(row.get(before.names.clone()).unwrap_or_default()), pair).is_some();
    put_varint(row, u64::from(view.slot));
    row.push(kind | flag(has_names_before, NAMES_BEFORE) | flag(is_tail, KEY_IS_TAIL) | flag(days == 1, ONE_DAY));
    row.push(pair.ports().count() as u8);
    if !has_names_before {
        let start = row.len();
        put_varint(row, pair.names().count() as u64);
        for name in pair.names() {
            put_text(row, &name.name);
            put_address(row, name.server);
        }
        before.names = start..row.len();
    }
    match view.key {
        PairKeyView::Text(_, text) if is_tail => put_varint(row, text.len() as u64),
        PairKeyView::Text(_, text) => put_text(row, text),
        PairKeyView::Address(_, address) => put_address(row, address),
    }
    let first = pair.first().0;
    put_signed(row, first.wrapping_sub(before.first.0));
    before.first = pair.first();
    put_signed(row, pair.last().0.wrapping_sub(first));
    put_varint(row, u64::from(pair.count));
    put_varint(row, pair.octets_out);
    put_varint(row, pair.octets_in);
    if days != 1 {
        put_wide(row, days);
    }
    for port in pair.ports() {
        row.extend_from_slice(&port.to_le_bytes());
    }
    match pair.novelty() {
        Some(Novelty { at, fate }) => {
            row.push(fate as u8);
            put_signed(row, at.0.wrapping_sub(first));
        }
        None => row.push(NOT_NEW),
    }
}

/// Says whether names as they were written are those of a pair: to keep hold of them, to know without a look, would cost
/// more.
fn has_names(mut octets: Octets<'_>, pair: &Pair) -> Option<()> {
    let is_same = |is_same: bool| is_same.then_some(());
    is_same(octets.count()? == pair.names().count())?;
    for name in pair.names() {
        is_same(octets.run()? == name.name.as_bytes())?;
        is_same(octets.address()? == name.server)?;
    }
    is_same(octets.is_empty())
}

/// What was read of the pair before.
#[derive(Debug, Default)]
struct ReadBefore {
    first: Timestamp,
    names: Vec<Arc<Provenance>>,
}

fn read_stored(octets: &mut Octets<'_>, before: &mut ReadBefore) -> Option<StoredPair> {
    let slot = octets.varint_u32()?;
    let flags = octets.octet()?;
    let ports = octets.octet()?;
    if flags & !(KIND | NAMES_BEFORE | KEY_IS_TAIL | ONE_DAY) != 0 || ports & !PORTS != 0 {
        return None;
    }
    if flags & NAMES_BEFORE == 0 {
        before.names.clear();
        for _ in 0..octets.count()? {
            let (name, server) = (octets.text()?, octets.address()?);
            before
                .names
                .push(Arc::new(Provenance::new(name, server, Box::default())));
        }
    }
    let text = |octets: &mut Octets<'_>| {
        if flags & KEY_IS_TAIL == 0 {
            return octets.text();
        }
        let (name, length) = (&before.names.first()?.name, usize::try_from(octets.varint()?).ok()?);
        if length == name.len() {
            return Some(Arc::clone(name));
        }
        name.get(name.len().checked_sub(length)?..).map(Arc::from)
    };
    let key = match flags & KIND {
        0 => PairKey::Domain(text(octets)?),
        1 => PairKey::Tenant(text(octets)?),
        2 => PairKey::Address(octets.address()?),
        3 => PairKey::AttemptedDomain(text(octets)?),
        4 => PairKey::AttemptedTenant(text(octets)?),
        5 => PairKey::AttemptedAddress(octets.address()?),
        _ => return None,
    };
    let first = before.first.0.wrapping_add(octets.signed()?);
    before.first = Timestamp(first);
    let last = first.wrapping_add(octets.signed()?);
    let (count, octets_out, octets_in) = (octets.varint_u32()?, octets.varint()?, octets.varint()?);
    let days = if flags & ONE_DAY == 0 { octets.wide()? } else { 1 };
    let mut pair = Pair::restored(Timestamp(first), Timestamp(last), days);
    (pair.count, pair.octets_out, pair.octets_in) = (count, octets_out, octets_in);
    for _ in 0..ports {
        pair.add_port(u16::from_le_bytes(octets.array()?));
    }
    for name in &before.names {
        pair.add_name(name);
    }
    match octets.octet()? {
        NOT_NEW => {}
        fate => pair.set_novelty(Novelty {
            fate: Fate::from_number(fate)?,
            at: Timestamp(first.wrapping_add(octets.signed()?)),
        }),
    }
    Some(StoredPair { slot, key, pair })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    proptest! {
        #[test]
        fn a_journal_row_comes_back_as_it_was_written(changes in samples::changes(20)) {
            let row = samples::journal_row(&changes);
            prop_assert_eq!(decode_journal(&row).unwrap_or_default(), changes);
        }

        #[test]
        fn a_page_comes_back_with_its_span((_, _, pairs) in samples::page_of_pairs(), batch: u64) {
            let row = encode_page(batch, &mut pairs.iter().map(|stored| stored.view(WorkloadId(1))));
            let span = page_span(&row).unwrap();
            if !pairs.is_empty() {
                prop_assert_eq!(Some(span.least), pairs.iter().map(|stored| stored.pair.last()).min());
                prop_assert_eq!(Some(span.greatest), pairs.iter().map(|stored| stored.pair.last()).max());
            }
            prop_assert_eq!(decode_page(&row), Some(StoredPage { batch, pairs }));
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = (decode_journal(&row), decode_page(&row), page_span(&row));
            row.insert(0, VERSION);
            let _ = (decode_journal(&row), decode_page(&row), page_span(&row));
        }

        #[test]
        fn decoding_a_damaged_row_never_panics(changes in samples::changes(3), at: prop::sample::Index, by: u8) {
            prop_assume!(!changes.is_empty());
            let mut row = samples::journal_row(&changes);
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
