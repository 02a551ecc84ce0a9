//! Looking pairs up and recording contacts under them.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::model::{
    Day, Holder, JournalRow, Ledger, LedgerError, Novelty, Pair, PairKey, PairKeyView, Provenance, Span, Timestamp,
    WorkloadId,
};

use super::aside::Aside;
use super::budget::KeptPairs;
use super::index::Recent;
use super::loaded::Loaded;
use super::part::Reader;
use super::shared::Shared;
use super::window;

/// The index by destination gets an entry for each stretch of so many days in which a pair had contacts, so that the
/// store can tell by an entry's day alone that it is of no use.
const INDEX_STRETCH_DAYS: i32 = 45;

/// Where a pair stands; valid as long as its workload has contacts with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairPlace {
    /// Whose pair.
    pub workload: WorkloadId,
    /// Its slot.
    pub slot: u32,
}

/// What a contact adds to a pair when it is recorded.
#[derive(Debug, Clone)]
pub struct ContactFacts<'a> {
    /// The first packet.
    pub first: Timestamp,
    /// The last packet so far.
    pub last: Timestamp,
    /// Payload sent so far.
    pub octets_out: u64,
    /// Payload received so far.
    pub octets_in: u64,
    /// The responder's port, if the transport has ports.
    pub port: Option<u16>,
    /// The name that led there and the server that gave it.
    pub name: Option<&'a Arc<Provenance>>,
}

/// The baseline of one ledger.
#[derive(Debug)]
pub struct Baseline {
    window: Span,
    retention: Span,
    pub(super) hasher: foldhash::fast::RandomState,
    /// How many pairs may be in memory.
    pub(super) limit: usize,
    pub(super) shared: Shared,
    /// By number, since workloads are numbered in order; those that are not in memory are absent.
    pub(super) workloads: Vec<Option<Loaded>>,
    /// What journal rows hold of workloads that are not in memory.
    pub(super) aside: Aside,
    /// Workloads with changes that only journal rows hold, by the first of these rows.
    pub(super) unfolded: VecDeque<(u64, WorkloadId)>,
    /// Journal rows that are needed, and how many changes each holds.
    pub(super) rows: VecDeque<(u64, usize)>,
    /// How many changes all of them hold.
    pub(super) journaled: usize,
    pub(super) is_folding: bool,
    /// Entries of the index by destination that the ledger may not show yet.
    pub(super) recent: Recent,
    /// The ledger gets all entries up to this batch's.
    pub(super) indexed_through: u64,
    /// This batch's journal row so far.
    pub(super) row: JournalRow,
    /// Memory for the next one.
    pub(super) spare: Option<Vec<u8>>,
    pub(super) loaded_pairs: usize,
    /// Workloads that were idle when that was last looked for, the longest unused last.
    pub(super) idle: Vec<(u64, WorkloadId)>,
    pub(super) next_look: u64,
    pub(super) sequence: u64,
    /// Pairs whose last contact was before it are as absent, on disk or not.
    pub(super) cutoff: Timestamp,
    /// How many pairs there are.
    pub(super) kept: KeptPairs,
}

impl Baseline {
    /// Returns an empty baseline with this window and retention, of which about `limit` pairs may be in memory.
    #[must_use]
    pub fn new(window: Span, retention: Span, limit: usize) -> Self {
        Self {
            window,
            retention,
            hasher: foldhash::fast::RandomState::default(),
            limit,
            shared: Shared::default(),
            workloads: Vec::new(),
            aside: Aside::default(),
            unfolded: VecDeque::new(),
            rows: VecDeque::new(),
            journaled: 0,
            is_folding: false,
            recent: Recent::default(),
            indexed_through: 0,
            row: JournalRow::default(),
            spare: None,
            loaded_pairs: 0,
            idle: Vec::new(),
            next_look: 0,
            sequence: 0,
            cutoff: Timestamp::MIN,
            kept: KeptPairs::default(),
        }
    }

    /// Tells that the batch with this sequence begins, and what the present is for all that expires.
    ///
    /// Pairs without contact for the retention before it are as absent from now on, whether or not the ledger has deleted
    /// them: which slots are free must not depend on when it does (rule T2).
    pub fn begin(&mut self, sequence: u64, present: Timestamp) {
        self.sequence = sequence;
        self.cutoff = present.minus(self.retention);
        self.kept.begin(present);
    }

    /// Tells that a workload is new, so that the ledger need not be asked for its pairs.
    pub fn add_workload(&mut self, workload: WorkloadId) {
        let sequence = self.sequence;
        if let Some(place) = self.place(workload) {
            place.get_or_insert_default().used = sequence;
        }
    }

    /// Forgets a workload of which every pair is expired.
    pub fn forget_workload(&mut self, workload: WorkloadId) {
        if let Some(place) = self.workloads.get_mut(workload.0 as usize)
            && let Some(loaded) = place.take()
        {
            self.loaded_pairs -= loaded.len();
        }
        self.aside.take(workload);
        self.kept.forget(workload);
    }

    /// Returns how many pairs are in memory.
    #[must_use]
    pub const fn loaded(&self) -> usize {
        self.loaded_pairs + self.aside.len()
    }

    /// The table of pairs looks at 32 bits; the seed keeps those who choose names from choosing them.
    pub(super) fn hash(&self, key: &PairKey) -> u32 {
        short_hash(&self.hasher, key.view())
    }

    pub(super) fn place(&mut self, workload: WorkloadId) -> Option<&mut Option<Loaded>> {
        let at = workload.0 as usize;
        if self.workloads.len() <= at {
            self.workloads.resize_with(at + 1, || None);
        }
        self.workloads.get_mut(at)
    }

    pub(super) fn get(&self, workload: WorkloadId) -> Option<&Loaded> {
        self.workloads.get(workload.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, workload: WorkloadId) -> Option<&mut Loaded> {
        self.workloads.get_mut(workload.0 as usize)?.as_mut()
    }

    /// Returns from which batch on journal rows are needed for a workload.
    pub(super) fn unfolded_since(&self, workload: WorkloadId) -> Option<u64> {
        match self.get(workload) {
            Some(loaded) => loaded.unfolded_since,
            None => self.aside.since(workload),
        }
    }

    /// Returns a workload's pair with a destination, unless it is forgotten at `at` (rule B5).
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn pair(
        &mut self,
        ledger: &dyn Ledger,
        workload: WorkloadId,
        key: &PairKey,
        at: Timestamp,
    ) -> Result<Option<&Pair>, LedgerError> {
        let retention = self.retention;
        let hash = self.hash(key);
        let (loaded, shared) = self.load(ledger, workload)?;
        let slot = loaded.slot_of(key, hash, &mut Reader { ledger, shared })?;
        let pair = slot.and_then(|slot| loaded.get(slot));
        Ok(pair.filter(|pair| !window::is_forgotten(pair, at, retention)))
    }

    /// Says whether a contact at `at` is known (rule B2).
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn is_known(
        &mut self,
        ledger: &dyn Ledger,
        workload: WorkloadId,
        key: &PairKey,
        at: Timestamp,
    ) -> Result<bool, LedgerError> {
        let length = self.window;
        let pair = self.pair(ledger, workload, key, at)?;
        Ok(pair.is_some_and(|pair| window::is_known(pair, at, length)))
    }

    /// Records a contact under a pair (rule B1), and that it was new if it was; returns where the pair stands.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn record(
        &mut self,
        ledger: &dyn Ledger,
        workload: WorkloadId,
        key: &PairKey,
        contact: &ContactFacts<'_>,
        novelty: Option<Novelty>,
    ) -> Result<PairPlace, LedgerError> {
        let retention = self.retention;
        let hash = self.hash(key);
        let (loaded, shared) = self.load(ledger, workload)?;
        let (slot, before, is_notable, indexed) = match loaded.slot_of(key, hash, &mut Reader { ledger, shared })? {
            Some(slot) => {
                let Some(pair) = loaded.change(slot) else {
                    return Ok(PairPlace { workload, slot });
                };
                let before = pair.last().day();
                let is_forgotten = window::is_forgotten(pair, contact.first, retention);
                if is_forgotten {
                    *pair = Pair::new(contact.first);
                }
                let indexed = (!is_forgotten).then_some(before);
                let is_notable = add(pair, contact) || is_forgotten || novelty.is_some();
                if let Some(novelty) = novelty {
                    pair.set_novelty(novelty);
                }
                (slot, Some(before), is_notable, indexed)
            }
            None => {
                // Whole before it is put anywhere: sharing the name and the key is an atomic step each, which waits for
                // whatever was written to fresh memory before.
                let mut pair = Pair::new(contact.first);
                add(&mut pair, contact);
                if let Some(novelty) = novelty {
                    pair.set_novelty(novelty);
                }
                let slot = loaded.add(key.clone(), hash, pair);
                loaded.change(slot);
                (slot, None, true, None)
            }
        };
        let place = PairPlace { workload, slot };
        let day = contact.last.day();
        // An older contact leaves the last one as it is.
        self.kept.move_pair(workload, before, before.max(Some(day)));
        self.loaded_pairs += usize::from(before.is_none());
        self.note_unfolded(workload);
        if is_notable {
            self.write(ledger, place);
        }
        if indexed.is_none_or(|indexed| stretch(indexed) < stretch(day)) {
            self.recent.add(holder(workload, key, day));
        }
        Ok(place)
    }

    /// Adds what a recorded contact carried since (rule B1: it lasts as long as its flow).
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn extend(
        &mut self,
        ledger: &dyn Ledger,
        place: PairPlace,
        last: Timestamp,
        octets_out: u64,
        octets_in: u64,
    ) -> Result<(), LedgerError> {
        let (loaded, shared) = self.load(ledger, place.workload)?;
        loaded.read(place.slot, &mut Reader { ledger, shared })?;
        let Some(pair) = loaded.change(place.slot) else {
            return Ok(());
        };
        let before = pair.last().day();
        let is_new_day = pair.extend(last);
        let after = if is_new_day { pair.last().day() } else { before };
        pair.octets_out = pair.octets_out.saturating_add(octets_out);
        pair.octets_in = pair.octets_in.saturating_add(octets_in);
        if stretch(before) < stretch(last.day())
            && let Some(key) = loaded.key(place.slot)
        {
            self.recent.add(holder(place.workload, &key, last.day()));
        }
        self.note_unfolded(place.workload);
        if is_new_day {
            self.kept.move_pair(place.workload, Some(before), Some(after));
            self.write(ledger, place);
        }
        Ok(())
    }

    /// Touches where a workload's pair with a destination is looked for; returns the hash for [`Baseline::touch_pair`].
    pub fn touch_index(&self, workload: WorkloadId, key: &PairKey) -> (u32, u64) {
        let hash = self.hash(key);
        (hash, self.get(workload).map_or(0, |loaded| loaded.touch_index(hash)))
    }

    /// Touches what is probably a workload's pair with a destination.
    pub fn touch_pair(&self, workload: WorkloadId, hash: u32) -> u64 {
        self.get(workload).map_or(0, |loaded| loaded.touch_pair(hash))
    }

    /// Touches the pair at a place.
    pub fn touch(&self, place: PairPlace) -> u64 {
        let pair = self.get(place.workload).and_then(|loaded| loaded.get(place.slot));
        pair.map_or(0, |pair| u64::from(pair.count))
    }

    /// Returns where a workload's pair with a destination stands, if it has one.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn place_of(
        &mut self,
        ledger: &dyn Ledger,
        workload: WorkloadId,
        key: &PairKey,
    ) -> Result<Option<PairPlace>, LedgerError> {
        let hash = self.hash(key);
        let (loaded, shared) = self.load(ledger, workload)?;
        let slot = loaded.slot_of(key, hash, &mut Reader { ledger, shared })?;
        Ok(slot.map(|slot| PairPlace { workload, slot }))
    }

    /// Returns who may have a pair with a destination, in order; the pairs themselves decide.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn holders(&mut self, ledger: &dyn Ledger, key: &PairKey) -> Result<Vec<WorkloadId>, LedgerError> {
        let hash = key.index_hash();
        let mut holders = ledger.holders(hash)?;
        holders.extend(self.recent.of(hash));
        holders.sort_unstable();
        holders.dedup();
        Ok(holders)
    }

    /// Returns how many domains and addresses a workload has contacts with.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn destinations(&mut self, ledger: &dyn Ledger, workload: WorkloadId) -> Result<u32, LedgerError> {
        Ok(self.load(ledger, workload)?.0.destinations())
    }
}

pub(super) fn short_hash(hasher: &foldhash::fast::RandomState, key: PairKeyView<'_>) -> u32 {
    (hasher.hash_one(key) >> 32) as u32
}

/// Returns the stretch of days that shares an entry of the index.
pub(super) const fn stretch(day: Day) -> i32 {
    day.0.div_euclid(INDEX_STRETCH_DAYS)
}

/// Returns the entry of the index for a pair with a contact on a day.
pub(super) fn holder(workload: WorkloadId, key: &PairKey, day: Day) -> Holder {
    Holder {
        destination: key.index_hash(),
        workload,
        day: day.0,
    }
}

/// Adds a contact; says whether that changed what a restart must not lose: days, ports and names, and the first contact.
fn add(pair: &mut Pair, contact: &ContactFacts<'_>) -> bool {
    let mut is_notable = pair.begin(contact.first);
    pair.count = pair.count.saturating_add(1);
    pair.octets_out = pair.octets_out.saturating_add(contact.octets_out);
    pair.octets_in = pair.octets_in.saturating_add(contact.octets_in);
    is_notable |= pair.extend(contact.last);
    is_notable |= pair.add_day(contact.first.day());
    if let Some(port) = contact.port {
        is_notable |= pair.add_port(port);
    }
    if let Some(name) = contact.name {
        is_notable |= pair.add_name(name);
    }
    is_notable
}
