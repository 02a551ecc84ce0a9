//! The pairs of one page in memory.
//!
//! A page is kept as the ledger gave it until somebody asks for one of its pairs: of a workload that comes into memory one
//! pair is wanted, and to make all of them ready, with the names that they share with others, takes twice as long as to read
//! them, and twice their memory. Where memory is tight, a full page that is written for the ledger goes back to that form.

use std::hint::black_box;
use std::ops::BitXor;

use crate::model::{
    Day, Ledger, LedgerError, Page, Pair, PairKey, PairKeyView, PairView, StoredPage, StoredPair, Timestamp, WorkloadId,
};

use super::shared::Shared;

/// What reads pairs that nobody asked for yet.
pub(super) struct Reader<'a> {
    /// Where their pages come from.
    pub ledger: &'a dyn Ledger,
    /// What they have in common with others.
    pub shared: &'a mut Shared,
}

/// A contact gives a pair with its domain and one with its address.
const A_CONTACT: usize = 2;

/// In which form a page that was written stays in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stays {
    /// Its pairs are ready: more are likely to come.
    Ready,
    /// As it was written, which takes less than half as much.
    AsWritten,
}

/// One pair.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: PairKey,
    pub pair: Pair,
}

impl Entry {
    pub fn view(&self, workload: WorkloadId, slot: u32) -> PairView<'_> {
        PairView {
            workload,
            slot,
            key: self.key.view(),
            pair: &self.pair,
        }
    }
}

/// The pairs of one page, and bits for each of its slots.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Where the pairs stand that nobody asked for yet.
    page: Option<Box<StoredPage>>,
    /// Pairs that nobody asked for yet.
    unread: u64,
    /// Pairs that are ready.
    ready: u64,
    /// Those, by slot.
    entries: Vec<Entry>,
    /// Pairs that neither a journal row nor the page holds as they are.
    unwritten: u64,
    /// Whether the ledger's page is another one.
    is_dirty: bool,
    /// The batch that wrote the ledger's page, as far as that was read.
    batch: u64,
}

impl Part {
    /// Returns a part with a page that was read, of whose pairs none is ready, or none is there if they are not all of
    /// use.
    pub fn of(page: StoredPage, unread: u64) -> Self {
        Self {
            batch: page.batch,
            page: (unread != 0).then(|| Box::new(page)),
            unread,
            ..Self::default()
        }
    }

    /// Returns the place behind all pairs.
    pub const fn end(&self) -> u32 {
        u64::BITS - (self.unread | self.ready).leading_zeros()
    }

    /// Says whether there is a pair at a place, ready or not.
    pub const fn has(&self, at: u32) -> bool {
        (self.unread | self.ready) >> at & 1 == 1
    }

    /// Says whether the ledger's page holds what a journal row says of it, or something newer.
    pub const fn has_row(&self, row: u64) -> bool {
        self.batch >= row
    }

    /// Says whether the ledger's page is another one.
    pub const fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Says whether nothing is here and the ledger's page says so.
    pub const fn is_empty(&self) -> bool {
        self.unread | self.ready == 0 && !self.is_dirty
    }

    /// Returns how many pairs that are ready stand before a place.
    const fn rank(&self, at: u32) -> usize {
        let before = (1 << at) - 1;
        if self.ready & before == before {
            return at as usize;
        }
        (self.ready & before).count_ones() as usize
    }

    /// Returns the pair at a place if it is ready.
    pub fn get(&self, at: u32) -> Option<&Entry> {
        match self.ready >> at & 1 {
            1 => self.entries.get(self.rank(at)),
            _ => None,
        }
    }

    /// Returns the last pair that is ready.
    pub fn last(&self) -> Option<&Entry> {
        self.entries.last()
    }

    /// Returns the places of pairs that are ready.
    pub fn ready(&self) -> impl Iterator<Item = u32> + use<> {
        places(self.ready)
    }

    /// Returns the places of pairs that changed since a journal row or the page was written.
    pub fn unwritten(&self) -> impl Iterator<Item = u32> + use<> {
        places(self.unwritten)
    }

    /// Makes room for more pairs.
    pub fn reserve(&mut self, pairs: usize) {
        self.entries.reserve_exact(pairs);
    }

    /// Puts a pair at a place; says whether there was none.
    pub fn put(&mut self, at: u32, entry: Entry) -> bool {
        let rank = self.rank(at);
        if self.ready >> at & 1 == 1 {
            if let Some(place) = self.entries.get_mut(rank) {
                *place = entry;
            }
            return false;
        }
        if self.entries.capacity() == 0 {
            // The least that a vector takes by itself is twice as much, and most workloads of a crowd have one contact.
            self.entries.reserve_exact(A_CONTACT);
        }
        if rank == self.entries.len() {
            self.entries.push(entry);
        } else {
            self.entries.insert(rank, entry);
        }
        self.ready |= 1 << at;
        let was_unread = self.unread >> at & 1 == 1;
        self.unread &= !(1 << at);
        if self.unread == 0 {
            self.page = None;
        }
        !was_unread
    }

    /// Takes the pair at a place, which is ready, out.
    pub fn take(&mut self, at: u32) -> Option<Entry> {
        if self.ready >> at & 1 == 0 {
            return None;
        }
        let entry = self.entries.remove(self.rank(at));
        self.ready &= !(1 << at);
        self.unwritten &= !(1 << at);
        Some(entry)
    }

    /// Returns the pair at a place, which is ready, to change it.
    pub fn change(&mut self, at: u32) -> Option<&mut Pair> {
        self.is_dirty = true;
        if self.ready >> at & 1 == 0 {
            return None;
        }
        self.unwritten |= 1 << at;
        let rank = self.rank(at);
        self.entries.get_mut(rank).map(|entry| &mut entry.pair)
    }

    /// Takes a pair for one that a journal row holds as it is.
    pub const fn set_written(&mut self, at: u32) {
        self.unwritten &= !(1 << at);
    }

    /// Makes the pair at a place ready.
    pub fn read(&mut self, at: u32, reader: &mut Reader<'_>) -> Result<(), LedgerError> {
        if self.unread >> at & 1 == 1
            && let Some(page) = &self.page
        {
            let mut read = None;
            let slot = page.number * StoredPair::A_PAGE + at;
            reader
                .ledger
                .pairs(page, Some(slot), &mut |stored| read = Some(stored))?;
            if let Some(mut stored) = read {
                reader.shared.share(&mut stored);
                self.put_stored(stored);
            }
        }
        Ok(())
    }

    /// Makes all pairs ready.
    pub fn read_all(&mut self, reader: &mut Reader<'_>) -> Result<(), LedgerError> {
        if let Some(page) = &self.page {
            let (unread, mut pairs) = (self.unread, Vec::new());
            reader.ledger.pairs(page, None, &mut |stored| {
                if unread >> (stored.slot % StoredPair::A_PAGE) & 1 == 1 {
                    pairs.push(stored);
                }
            })?;
            reader.shared.share_page(&mut pairs);
            self.entries.reserve_exact(pairs.len());
            for stored in pairs {
                self.put_stored(stored);
            }
        }
        Ok(())
    }

    /// Returns how many pairs had their last contact on a day or later.
    pub fn count_from(&mut self, day: Option<Day>, reader: &mut Reader<'_>) -> Result<usize, LedgerError> {
        if let Some(page) = &self.page
            && Some(page.least.day()) < day
        {
            self.read_all(reader)?;
        }
        let ready = self.entries.iter().filter(|entry| Some(entry.pair.last().day()) >= day);
        Ok(self.unread.count_ones() as usize + ready.count())
    }

    fn put_stored(&mut self, stored: StoredPair) {
        let StoredPair { slot, key, pair } = stored;
        self.put(slot % StoredPair::A_PAGE, Entry { key, pair });
    }

    /// Makes those pairs ready of which some may be expired: all or none.
    pub fn read_older(&mut self, cutoff: Timestamp, reader: &mut Reader<'_>) -> Result<(), LedgerError> {
        match &self.page {
            Some(page) if page.least < cutoff => self.read_all(reader),
            _ => Ok(()),
        }
    }

    /// Returns the page with this number in the ledger's form, and takes it for written. Where `stays` says so, nothing but
    /// that form of it stays here.
    pub fn take_page(
        &mut self,
        workload: WorkloadId,
        number: u32,
        batch: u64,
        stays: Stays,
        reader: &mut Reader<'_>,
    ) -> Result<Page, LedgerError> {
        self.read_all(reader)?;
        (self.is_dirty, self.unwritten) = (false, 0);
        self.look_ahead();
        let slots = self.ready().map(|at| number * StoredPair::A_PAGE + at);
        let mut pairs = slots.zip(&self.entries).map(|(slot, entry)| entry.view(workload, slot));
        let row = match self.entries.is_empty() {
            true => Vec::new(),
            false => reader.ledger.page_row(batch, &mut pairs),
        };
        if stays == Stays::AsWritten
            && let Some(least) = self.entries.iter().map(|entry| entry.pair.last()).min()
        {
            let row = row.as_slice().into();
            self.page = Some(Box::new(StoredPage {
                number,
                batch,
                least,
                row,
            }));
            (self.unread, self.ready) = (self.ready, 0);
            self.entries = Vec::new();
        }
        Ok(Page { workload, number, row })
    }

    /// Brings near the names of all pairs, in steps in which none waits for another: a page is about to be written, most
    /// of which was not asked for in a while.
    fn look_ahead(&self) {
        let names = || self.entries.iter().filter_map(|entry| entry.pair.names().next());
        let keys = self.entries.iter().filter_map(|entry| match entry.key.view() {
            PairKeyView::Text(_, text) => text.bytes().next(),
            PairKeyView::Address(..) => None,
        });
        black_box(names().fold(0, |near, name| near ^ name.name.len()));
        black_box(keys.fold(0, BitXor::bitxor));
        black_box(
            names()
                .filter_map(|name| name.name.bytes().next())
                .fold(0, BitXor::bitxor),
        );
    }
}

/// Returns the places whose bits are set.
fn places(mut bits: u64) -> impl Iterator<Item = u32> + use<> {
    std::iter::from_fn(move || {
        let at = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_takes_96_octets_with_its_destination() {
        assert_eq!(size_of::<Entry>(), 96);
    }

    #[test]
    fn pairs_stand_by_place_in_whichever_order_they_come_and_go() {
        let entry = |n: u32| Entry {
            key: PairKey::Domain(format!("{n}.example").into()),
            pair: Pair::new(Timestamp(i64::from(n))),
        };
        let mut part = Part::default();
        let order: Vec<u32> = (0..64).map(|n| n * 37 % 64).collect();
        for (n, at) in order.iter().enumerate() {
            assert!(!part.has(*at) && part.put(*at, entry(*at)) && !part.put(*at, entry(*at)));
            assert!(
                order
                    .iter()
                    .take(n + 1)
                    .all(|at| part.get(*at).unwrap().pair.first() == Timestamp(i64::from(*at)))
            );
        }
        for (n, at) in order.iter().enumerate() {
            assert_eq!(part.take(*at).unwrap().pair.first(), Timestamp(i64::from(*at)));
            assert!(part.take(*at).is_none() && part.get(*at).is_none());
            assert!(
                order
                    .iter()
                    .skip(n + 1)
                    .all(|at| part.get(*at).unwrap().pair.first() == Timestamp(i64::from(*at)))
            );
        }
        assert_eq!((part.end(), part.is_empty()), (0, true));
    }
}
