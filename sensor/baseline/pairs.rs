//! Looking pairs up, recording contacts under them, and handing the changes on.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::{
    ActiveDays, Address, Holder, Ledger, LedgerError, Novelty, Pair, PairChange, PairKey, Span, Timestamp, WorkloadId,
};

use super::changes::stretch;
use super::loaded::Loaded;
use super::window;

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
pub struct ContactFacts {
    /// The first packet.
    pub first: Timestamp,
    /// The last packet so far.
    pub last: Timestamp,
    /// Payload sent so far.
    pub octets_out: u64,
    /// Payload received so far.
    pub octets_in: u64,
    /// The responder's port.
    pub port: u16,
    /// The name that led there and the server that gave it.
    pub name: Option<(Arc<str>, Address)>,
}

/// The baseline of one ledger.
#[derive(Debug)]
pub struct Baseline {
    pub(super) window: Span,
    pub(super) retention: Span,
    pub(super) hasher: foldhash::fast::RandomState,
    /// By number, since workloads are numbered in order; those that are not in memory are absent.
    pub(super) workloads: Vec<Option<Box<Loaded>>>,
    /// Workloads with changes that only journal rows hold, by the first of these rows.
    pub(super) unfolded: VecDeque<(u64, WorkloadId)>,
    pub(super) unfolded_changes: usize,
    /// Index entries of this batch.
    pub(super) indexed: Vec<Holder>,
    /// Index entries of the batches before, which the ledger may not show yet, sorted within each batch.
    pub(super) uncommitted: VecDeque<(u64, Vec<Holder>)>,
    pub(super) journal: Vec<PairPlace>,
    pub(super) loaded_pairs: usize,
    pub(super) sequence: u64,
}

impl Baseline {
    /// Returns an empty baseline with this window and retention.
    #[must_use]
    pub fn new(window: Span, retention: Span) -> Self {
        Self {
            window,
            retention,
            hasher: foldhash::fast::RandomState::default(),
            workloads: Vec::new(),
            unfolded: VecDeque::new(),
            unfolded_changes: 0,
            indexed: Vec::new(),
            uncommitted: VecDeque::new(),
            journal: Vec::new(),
            loaded_pairs: 0,
            sequence: 0,
        }
    }

    /// Takes over what journal rows hold at start; `sequence` is the one of the next batch.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn resume(
        &mut self,
        ledger: &dyn Ledger,
        journal: Vec<(u64, Vec<PairChange>)>,
        sequence: u64,
    ) -> Result<(), LedgerError> {
        for (row, changes) in journal {
            self.sequence = row;
            for change in changes {
                let PairChange { workload, stored } = change;
                let hash = self.hasher.hash_one(&stored.key);
                let loaded = self.load(ledger, workload)?;
                let slot = stored.slot;
                let before = loaded.len();
                loaded.put(stored, hash);
                loaded.change(slot);
                let more = loaded.len() - before;
                self.loaded_pairs += more;
                self.unfolded_changes += 1;
                self.note_unfolded(workload);
            }
        }
        self.sequence = sequence;
        Ok(())
    }

    /// Tells that the batch with this sequence begins.
    pub const fn begin(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Tells that a workload is new, so that the ledger need not be asked for its pairs.
    pub fn add_workload(&mut self, workload: WorkloadId) {
        let sequence = self.sequence;
        if let Some(place) = self.place(workload) {
            place.get_or_insert_default().used = sequence;
        }
    }

    pub(super) fn place(&mut self, workload: WorkloadId) -> Option<&mut Option<Box<Loaded>>> {
        let at = workload.0 as usize;
        if self.workloads.len() <= at {
            self.workloads.resize_with(at + 1, || None);
        }
        self.workloads.get_mut(at)
    }

    pub(super) fn get_mut(&mut self, workload: WorkloadId) -> Option<&mut Loaded> {
        self.workloads.get_mut(workload.0 as usize)?.as_deref_mut()
    }

    fn load(&mut self, ledger: &dyn Ledger, workload: WorkloadId) -> Result<&mut Loaded, LedgerError> {
        let sequence = self.sequence;
        let is_absent = self.get_mut(workload).is_none();
        if is_absent {
            let mut loaded = Loaded::default();
            for stored in ledger.pairs(workload)? {
                let hash = self.hasher.hash_one(&stored.key);
                loaded.put(stored, hash);
            }
            self.loaded_pairs += loaded.len();
            if let Some(place) = self.place(workload) {
                *place = Some(Box::new(loaded));
            }
        }
        let loaded = self
            .workloads
            .get_mut(workload.0 as usize)
            .and_then(Option::as_deref_mut);
        // It was put there above; a workload number beyond memory would have failed before.
        let loaded = loaded.ok_or_else(|| LedgerError::Damaged {
            folder: String::new(),
            kind: "workloads",
        })?;
        loaded.used = sequence;
        Ok(loaded)
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
        let hash = self.hasher.hash_one(key);
        let loaded = self.load(ledger, workload)?;
        let entry = loaded.slot_of(key, hash).and_then(|slot| loaded.get(slot));
        Ok(entry
            .map(|entry| &entry.pair)
            .filter(|pair| !window::is_forgotten(pair, at, retention)))
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

    /// Records a contact under a pair (rule B1); returns where the pair stands.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn record(
        &mut self,
        ledger: &dyn Ledger,
        workload: WorkloadId,
        key: &PairKey,
        contact: &ContactFacts,
    ) -> Result<PairPlace, LedgerError> {
        let retention = self.retention;
        let hash = self.hasher.hash_one(key);
        let loaded = self.load(ledger, workload)?;
        let mut indexed = None;
        let slot = match loaded.slot_of(key, hash) {
            Some(slot) => {
                let Some(entry) = loaded.change(slot) else {
                    return Ok(PairPlace { workload, slot });
                };
                let mut is_notable = false;
                if window::is_forgotten(&entry.pair, contact.first, retention) {
                    entry.pair = blank(contact.first);
                    is_notable = true;
                } else {
                    indexed = Some(entry.pair.last.day());
                }
                is_notable |= add(&mut entry.pair, contact);
                if is_notable {
                    self.journal(workload, slot);
                } else {
                    self.note_unfolded(workload);
                }
                slot
            }
            None => {
                let mut pair = blank(contact.first);
                add(&mut pair, contact);
                let slot = loaded.add(key.clone(), hash, pair);
                loaded.change(slot);
                self.loaded_pairs += 1;
                self.journal(workload, slot);
                slot
            }
        };
        self.index(workload, key, indexed, contact.last.day());
        Ok(PairPlace { workload, slot })
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
        let loaded = self.load(ledger, place.workload)?;
        let Some(entry) = loaded.change(place.slot) else {
            return Ok(());
        };
        let pair = &mut entry.pair;
        let before = pair.last.day();
        let hash = (stretch(before) < stretch(last.day())).then(|| entry.key.index_hash());
        pair.last = pair.last.max(last);
        pair.octets_out = pair.octets_out.saturating_add(octets_out);
        pair.octets_in = pair.octets_in.saturating_add(octets_in);
        let is_new_day = pair.days.insert(last.day());
        if let Some(destination) = hash {
            self.indexed.push(Holder {
                destination,
                workload: place.workload,
                day: last.day().0,
            });
        }
        if is_new_day {
            self.journal(place.workload, place.slot);
        } else {
            self.note_unfolded(place.workload);
        }
        Ok(())
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
        let hash = self.hasher.hash_one(key);
        let slot = self.load(ledger, workload)?.slot_of(key, hash);
        Ok(slot.map(|slot| PairPlace { workload, slot }))
    }

    /// Notes the latest novelty of a pair.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn note_novelty(&mut self, ledger: &dyn Ledger, place: PairPlace, novelty: Novelty) -> Result<(), LedgerError> {
        let loaded = self.load(ledger, place.workload)?;
        if let Some(entry) = loaded.change(place.slot) {
            entry.pair.novelty = Some(novelty);
            self.journal(place.workload, place.slot);
        }
        Ok(())
    }

    /// Returns who may have a pair with a destination, in order; the pairs themselves decide.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn holders(&self, ledger: &dyn Ledger, key: &PairKey) -> Result<Vec<WorkloadId>, LedgerError> {
        let hash = key.index_hash();
        let mut holders = ledger.holders(hash)?;
        let of_batch = |batch: &[Holder]| {
            let start = batch.partition_point(|holder| holder.destination < hash);
            let found = batch.get(start..).unwrap_or_default().iter();
            found
                .take_while(|holder| holder.destination == hash)
                .map(|holder| holder.workload)
                .collect::<Vec<_>>()
        };
        for (_, batch) in &self.uncommitted {
            holders.extend(of_batch(batch));
        }
        holders.extend(
            self.indexed
                .iter()
                .filter(|holder| holder.destination == hash)
                .map(|holder| holder.workload),
        );
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
        Ok(self.load(ledger, workload)?.destinations())
    }
}

fn blank(first: Timestamp) -> Pair {
    Pair {
        first,
        last: first,
        count: 0,
        octets_out: 0,
        octets_in: 0,
        days: ActiveDays::one(first.day()),
        ports: SmallVec::new(),
        names: SmallVec::new(),
        novelty: None,
    }
}

/// Adds a contact; says whether that changed what a restart must not lose: days, ports and names, and the first contact.
fn add(pair: &mut Pair, contact: &ContactFacts) -> bool {
    let mut is_notable = pair.count == 0 || contact.first < pair.first;
    pair.first = pair.first.min(contact.first);
    pair.last = pair.last.max(contact.last);
    pair.count = pair.count.saturating_add(1);
    pair.octets_out = pair.octets_out.saturating_add(contact.octets_out);
    pair.octets_in = pair.octets_in.saturating_add(contact.octets_in);
    is_notable |= pair.days.insert(contact.first.day());
    is_notable |= pair.days.insert(contact.last.day());
    if !pair.ports.contains(&contact.port) && pair.ports.len() < Pair::PORTS {
        pair.ports.push(contact.port);
        is_notable = true;
    }
    if let Some(name) = &contact.name
        && !pair.names.contains(name)
        && pair.names.len() < Pair::NAMES
    {
        pair.names.push(name.clone());
        is_notable = true;
    }
    is_notable
}
