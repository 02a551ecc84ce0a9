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

use std::ops::ControlFlow;
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
    let mut octets = Octets::of(row)?;
    let count = u32::from_le_bytes(octets.array()?) as usize;
    let mut changes = Vec::with_capacity(count.min(octets.rest().len() / LEAST_PAIR));
    let (mut before, mut names) = (ReadBefore::default(), Names::default());
    for _ in 0..count {
        let workload = WorkloadId(octets.varint_u32()?);
        let stored = read_row(&mut octets, &mut before)?.to_stored(&mut names)?;
        changes.push(PairChange { workload, stored });
    }
    octets.is_empty().then_some(changes)
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

/// Reads of a page what it says of all of its pairs.
pub fn decode_page(number: u32, row: Box<[u8]>) -> Option<StoredPage> {
    let (least, batch) = (page_span(&row)?.least, page_batch(&row)?);
    Some(StoredPage {
        number,
        batch,
        least,
        row,
    })
}

/// Reads of a page only which batch wrote it.
pub fn page_batch(row: &[u8]) -> Option<u64> {
    let mut octets = Octets::of(row)?;
    octets.array::<SPAN>()?;
    octets.array::<BATCH>().map(u64::from_le_bytes)
}

/// Gives the pairs of a page, by slot, to `take` as they stand there; stops where that says so.
fn walk<'a>(row: &'a [u8], mut take: impl FnMut(&PairRow<'a>) -> ControlFlow<()>) -> Option<()> {
    let mut octets = Octets::of(row)?;
    octets.array::<{ SPAN + BATCH }>()?;
    let count = u32::from_le_bytes(octets.array()?);
    let mut before = ReadBefore::default();
    for _ in 0..count {
        if take(&read_row(&mut octets, &mut before)?).is_break() {
            return Some(());
        }
    }
    octets.is_empty().then_some(())
}

/// Gives slot and destination of each pair of a page, which are one behind the other and in its place, to `take`.
pub fn page_slots(page: &StoredPage, take: &mut dyn FnMut(u32, PairKeyView<'_>)) -> Option<()> {
    let first = page.number.checked_mul(StoredPair::A_PAGE)?;
    let mut left = first..=first.checked_add(StoredPair::A_PAGE - 1)?;
    let mut are_in_place = true;
    walk(&page.row, |pair| {
        if !left.contains(&pair.slot) {
            are_in_place = false;
            return ControlFlow::Break(());
        }
        left = pair.slot + 1..=*left.end();
        take(pair.slot, pair.key);
        ControlFlow::Continue(())
    })?;
    are_in_place.then_some(())
}

/// Gives the pairs of a page, all of them or the one in a slot, to `take`.
pub fn page_pairs(row: &[u8], slot: Option<u32>, take: &mut dyn FnMut(StoredPair)) -> Option<()> {
    let mut names = Names::default();
    let mut is_read = true;
    walk(row, |pair| {
        if slot.is_none_or(|slot| slot == pair.slot) {
            match pair.to_stored(&mut names) {
                Some(stored) => take(stored),
                None => is_read = false,
            }
        }
        match is_read && slot.is_none_or(|slot| slot > pair.slot) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    is_read.then_some(())
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
struct ReadBefore<'a> {
    first: Timestamp,
    /// Its names as they stand in the row, their count left out.
    names: &'a [u8],
    name_count: usize,
}

/// A pair as it stands in a row.
#[derive(Debug)]
struct PairRow<'a> {
    slot: u32,
    key: PairKeyView<'a>,
    /// Whether the key is the first name, whole.
    is_name: bool,
    first: Timestamp,
    last: Timestamp,
    count: u32,
    octets_out: u64,
    octets_in: u64,
    days: u128,
    ports: &'a [u8],
    names: &'a [u8],
    name_count: usize,
    novelty: Option<Novelty>,
}

/// The names that were read last: pairs that follow each other often have the same.
#[derive(Debug, Default)]
struct Names<'a> {
    octets: &'a [u8],
    names: Vec<Arc<Provenance>>,
}

fn read_row<'a>(octets: &mut Octets<'a>, before: &mut ReadBefore<'a>) -> Option<PairRow<'a>> {
    let slot = octets.varint_u32()?;
    let flags = octets.octet()?;
    let ports = octets.octet()?;
    if flags & !(KIND | NAMES_BEFORE | KEY_IS_TAIL | ONE_DAY) != 0 || ports & !PORTS != 0 {
        return None;
    }
    if flags & NAMES_BEFORE == 0 {
        before.name_count = octets.count()?;
        let from = octets.rest();
        for _ in 0..before.name_count {
            octets.run()?;
            octets.address()?;
        }
        before.names = from.get(..from.len() - octets.rest().len())?;
    }
    let kind = flags & KIND;
    let mut is_name = false;
    let key = match kind {
        0 | 1 | 3 | 4 if flags & KEY_IS_TAIL == 0 => PairKeyView::Text(kind, octets.str()?),
        0 | 1 | 3 | 4 => {
            let length = usize::try_from(octets.varint()?).ok()?;
            let mut names = Octets::part(before.names);
            let name = if before.name_count == 0 { None } else { names.str() }?;
            is_name = length == name.len();
            PairKeyView::Text(kind, name.get(name.len().checked_sub(length)?..)?)
        }
        2 | 5 => PairKeyView::Address(kind, octets.address()?),
        _ => return None,
    };
    let first = before.first.0.wrapping_add(octets.signed()?);
    before.first = Timestamp(first);
    let last = first.wrapping_add(octets.signed()?);
    let (count, octets_out, octets_in) = (octets.varint_u32()?, octets.varint()?, octets.varint()?);
    let days = if flags & ONE_DAY == 0 { octets.wide()? } else { 1 };
    let ports = octets.slice(usize::from(ports) * size_of::<u16>())?;
    let novelty = match octets.octet()? {
        NOT_NEW => None,
        fate => Some(Novelty {
            fate: Fate::from_number(fate)?,
            at: Timestamp(first.wrapping_add(octets.signed()?)),
        }),
    };
    Some(PairRow {
        slot,
        key,
        is_name,
        first: Timestamp(first),
        last: Timestamp(last),
        count,
        octets_out,
        octets_in,
        days,
        ports,
        names: before.names,
        name_count: before.name_count,
        novelty,
    })
}

impl<'a> PairRow<'a> {
    fn to_stored(&self, names: &mut Names<'a>) -> Option<StoredPair> {
        let is_same = std::ptr::eq(self.names, names.octets) && names.names.len() == self.name_count;
        if !is_same {
            names.names.clear();
            names.octets = self.names;
            let mut octets = Octets::part(self.names);
            for _ in 0..self.name_count {
                let (name, server) = (octets.text()?, octets.address()?);
                names
                    .names
                    .push(Arc::new(Provenance::new(name, server, Box::default())));
            }
        }
        let text = |text: &str| match names.names.first() {
            Some(first) if self.is_name => Arc::clone(&first.name),
            _ => Arc::from(text),
        };
        let key = match self.key {
            PairKeyView::Text(0, name) => PairKey::Domain(text(name)),
            PairKeyView::Text(1, name) => PairKey::Tenant(text(name)),
            PairKeyView::Text(3, name) => PairKey::AttemptedDomain(text(name)),
            PairKeyView::Text(4, name) => PairKey::AttemptedTenant(text(name)),
            PairKeyView::Address(2, address) => PairKey::Address(address),
            PairKeyView::Address(5, address) => PairKey::AttemptedAddress(address),
            PairKeyView::Text(..) | PairKeyView::Address(..) => return None,
        };
        let mut pair = Pair::restored(self.first, self.last, self.days);
        (pair.count, pair.octets_out, pair.octets_in) = (self.count, self.octets_out, self.octets_in);
        for port in self.ports.as_chunks().0 {
            pair.add_port(u16::from_le_bytes(*port));
        }
        for name in &names.names {
            pair.add_name(name);
        }
        if let Some(novelty) = self.novelty {
            pair.set_novelty(novelty);
        }
        let slot = self.slot;
        Some(StoredPair { slot, key, pair })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::samples;
    use super::*;

    fn read_all(row: &[u8]) {
        let _ = (decode_journal(row), page_span(row), page_pairs(row, None, &mut |_| {}));
        if let Some(page) = decode_page(0, row.into()) {
            let _ = page_slots(&page, &mut |_, _| {});
        }
    }

    proptest! {
        #[test]
        fn a_journal_row_comes_back_as_it_was_written(changes in samples::changes(20)) {
            let row = samples::journal_row(&changes);
            prop_assert_eq!(decode_journal(&row).unwrap_or_default(), changes);
        }

        #[test]
        fn a_page_comes_back_with_its_span((_, number, pairs) in samples::page_of_pairs(), batch: u64) {
            let row = encode_page(batch, &mut pairs.iter().map(|stored| stored.view(WorkloadId(1))));
            let span = page_span(&row).unwrap();
            if !pairs.is_empty() {
                prop_assert_eq!(Some(span.least), pairs.iter().map(|stored| stored.pair.last()).min());
                prop_assert_eq!(Some(span.greatest), pairs.iter().map(|stored| stored.pair.last()).max());
            }
            let page = decode_page(number, row.into()).unwrap();
            prop_assert_eq!((page.number, page.batch, page.least), (number, batch, span.least));
            let (mut all, mut keys) = (Vec::new(), Vec::new());
            prop_assert_eq!(page_pairs(&page.row, None, &mut |stored| all.push(stored)), Some(()));
            prop_assert_eq!(&all, &pairs);
            let mut take = |slot, key: PairKeyView<'_>| keys.push((slot, format!("{key:?}")));
            prop_assert_eq!(page_slots(&page, &mut take), Some(()));
            let expected = pairs.iter().map(|stored| (stored.slot, format!("{:?}", stored.key.view())));
            prop_assert!(keys.into_iter().eq(expected));
            for stored in &pairs {
                let mut one = Vec::new();
                prop_assert_eq!(page_pairs(&page.row, Some(stored.slot), &mut |stored| one.push(stored)), Some(()));
                prop_assert_eq!(one, std::slice::from_ref(stored));
            }
        }

        #[test]
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            read_all(&row);
            row.insert(0, VERSION);
            read_all(&row);
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
