//! Pairs as journal rows and pages hold them, and journal rows.
//!
//! ```text
//! journal  VERSION, count, then (workload, pair) each
//! pair     slot, kind and flags, count of ports, names (if NAMES_BEFORE, how far in front of the pair they stand), key (a
//!          text: its length alone if KEY_IS_TAIL), first − what the row says of it, last − first, count, octets out,
//!          octets in, day bits unless ONE_DAY, ports, fate of the novelty or NOT_NEW, time of the novelty − first
//! names    count, then text and server each
//! ```
//!
//! A contact is recorded under its domain and its address one after the other, with one name. So a pair takes its names
//! from the one before it where they are the same, and a domain is the tail of the name that led there. In a journal row
//! times are relative to `first` of the pair before.

use std::sync::Arc;

use crate::model::{
    Fate, JournalRow, Novelty, Pair, PairBefore, PairChange, PairKey, PairKeyView, PairView, Provenance, StoredPair,
    Timestamp, WorkloadId,
};

use super::VERSION;
use super::octets::{Octets, put_address, put_signed, put_text, put_varint, put_wide};

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

/// Octets of a count of pairs.
const COUNT: usize = 4;

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
    before.first = view.pair.first();
}

/// Reads a journal row.
pub fn decode_journal(row: &[u8]) -> Option<Vec<PairChange>> {
    let mut octets = Octets::of(row)?;
    let count = u32::from_le_bytes(octets.array()?) as usize;
    let mut changes = Vec::with_capacity(count.min(octets.rest().len() / LEAST_PAIR));
    let (mut before, mut names) = (Timestamp::default(), Names::default());
    for _ in 0..count {
        let workload = WorkloadId(octets.varint_u32()?);
        let (head, rest) = PairHead::read(row, row.len() - octets.rest().len())?;
        octets = rest;
        let stored = head.read_stored(&mut octets, before, &mut names)?;
        before = stored.pair.first();
        changes.push(PairChange { workload, stored });
    }
    octets.is_empty().then_some(changes)
}

/// The fewest octets that a pair takes.
const LEAST_PAIR: usize = 11;

/// Appends a pair, with times relative to the `first` of `before`, which gets the place of its names.
pub fn put_pair(row: &mut Vec<u8>, view: &PairView<'_>, before: &mut PairBefore) {
    let (pair, own) = (view.pair, row.len());
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
    if has_names_before {
        put_varint(row, (own - before.names.start) as u64);
    } else {
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

/// The front of a pair: which one it is.
#[derive(Debug)]
pub struct PairHead<'a> {
    /// Its slot.
    pub slot: u32,
    /// Its destination.
    pub key: PairKeyView<'a>,
    /// Whether the key is the first name, whole.
    is_name: bool,
    is_one_day: bool,
    ports: usize,
    /// The row from its names on.
    names: Octets<'a>,
}

/// The names that were read last: pairs that follow each other often have the same.
#[derive(Debug, Default)]
pub struct Names<'a> {
    /// The row from them on.
    octets: &'a [u8],
    names: Vec<Arc<Provenance>>,
}

impl<'a> PairHead<'a> {
    /// Reads the front of the pair that begins at `start` of a row; returns what follows as well.
    pub fn read(row: &'a [u8], start: usize) -> Option<(Self, Octets<'a>)> {
        let mut octets = Octets::part(row.get(start..)?);
        let slot = octets.varint_u32()?;
        let flags = octets.octet()?;
        let ports = octets.octet()?;
        if flags & !(KIND | NAMES_BEFORE | KEY_IS_TAIL | ONE_DAY) != 0 || ports & !PORTS != 0 {
            return None;
        }
        let names = if flags & NAMES_BEFORE == 0 {
            let names = octets;
            for _ in 0..octets.count()? {
                octets.run()?;
                octets.address()?;
            }
            names
        } else {
            let distance = usize::try_from(octets.varint()?).ok()?;
            Octets::part(row.get(start.checked_sub(distance)?..)?)
        };
        let kind = flags & KIND;
        let mut is_name = false;
        let key = match kind {
            0 | 1 | 3 | 4 if flags & KEY_IS_TAIL == 0 => PairKeyView::Text(kind, octets.str()?),
            0 | 1 | 3 | 4 => {
                let length = usize::try_from(octets.varint()?).ok()?;
                let mut names = names;
                let name = if names.count()? == 0 { None } else { names.str() }?;
                is_name = length == name.len();
                PairKeyView::Text(kind, name.get(name.len().checked_sub(length)?..)?)
            }
            2 | 5 => PairKeyView::Address(kind, octets.address()?),
            _ => return None,
        };
        let head = Self {
            slot,
            key,
            is_name,
            is_one_day: flags & ONE_DAY != 0,
            ports: usize::from(ports),
            names,
        };
        Some((head, octets))
    }

    /// Reads the rest of the pair, with times relative to `base`.
    pub fn read_stored(&self, octets: &mut Octets<'a>, base: Timestamp, names: &mut Names<'a>) -> Option<StoredPair> {
        names.read(self.names)?;
        let first = base.0.wrapping_add(octets.signed()?);
        let last = first.wrapping_add(octets.signed()?);
        let (count, octets_out, octets_in) = (octets.varint_u32()?, octets.varint()?, octets.varint()?);
        let days = if self.is_one_day { 1 } else { octets.wide()? };
        let mut pair = Pair::restored(Timestamp(first), Timestamp(last), days);
        (pair.count, pair.octets_out, pair.octets_in) = (count, octets_out, octets_in);
        for _ in 0..self.ports {
            pair.add_port(u16::from_le_bytes(octets.array()?));
        }
        for name in &names.names {
            pair.add_name(name);
        }
        match octets.octet()? {
            NOT_NEW => {}
            fate => pair.set_novelty(Novelty {
                fate: Fate::from_number(fate)?,
                at: Timestamp(first.wrapping_add(octets.signed()?)),
            }),
        }
        let (slot, key) = (self.slot, self.to_key(names)?);
        Some(StoredPair { slot, key, pair })
    }

    fn to_key(&self, names: &Names<'a>) -> Option<PairKey> {
        let text = |text: &str| match names.names.first() {
            Some(first) if self.is_name => Arc::clone(&first.name),
            _ => Arc::from(text),
        };
        Some(match self.key {
            PairKeyView::Text(0, name) => PairKey::Domain(text(name)),
            PairKeyView::Text(1, name) => PairKey::Tenant(text(name)),
            PairKeyView::Text(3, name) => PairKey::AttemptedDomain(text(name)),
            PairKeyView::Text(4, name) => PairKey::AttemptedTenant(text(name)),
            PairKeyView::Address(2, address) => PairKey::Address(address),
            PairKeyView::Address(5, address) => PairKey::AttemptedAddress(address),
            PairKeyView::Text(..) | PairKeyView::Address(..) => return None,
        })
    }
}

impl<'a> Names<'a> {
    /// Reads names from where they stand, unless it was these that were read last.
    fn read(&mut self, mut octets: Octets<'a>) -> Option<()> {
        if std::ptr::addr_eq(self.octets.as_ptr(), octets.rest().as_ptr()) {
            return Some(());
        }
        self.names.clear();
        self.octets = octets.rest();
        for _ in 0..octets.count()? {
            let (name, server) = (octets.text()?, octets.address()?);
            self.names.push(Arc::new(Provenance::new(name, server, Box::default())));
        }
        Some(())
    }
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
        fn decoding_any_octets_never_panics(mut row: Vec<u8>) {
            let _ = decode_journal(&row);
            row.insert(0, VERSION);
            let _ = decode_journal(&row);
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
