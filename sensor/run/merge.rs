//! Taking another baseline over into a ledger (rule B5).
//!
//! What is merged is joined field by field ([`crate::model::Pair::joined`]), so neither the order of sources nor their
//! number matters, and a merge that was broken off is made whole by the same merge once more. Sources are read from front
//! to back and written in batches, so that memory holds what a batch has, whatever the size of both.

use std::cmp::Reverse;
use std::io::BufRead;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::baseline::Baseline;
use crate::engine::Limits;
use crate::import::{BaselineFile, Faults, Item};
use crate::model::{
    Batch, Event, JudgeState, Ledger, LedgerError, Pair, PairKey, ResolverState, SegmentState, Span, Timestamp,
    WorkloadId, WorkloadKey, WorkloadRecord,
};
use crate::store::Store;

use super::change::learnt_groups;
use super::error::RunError;

/// Pairs that one batch changes. Workloads stay in memory for 256 batches, so this bounds memory as well: half a million
/// pairs.
const A_BATCH: usize = 1 << 11;
/// Pairs in one batch at the end.
const STEP: usize = 1 << 15;

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merged {
    /// Workloads that the sources had.
    pub workloads: u64,
    /// Pairs that the sources had.
    pub pairs: u64,
    /// Pairs that are new or changed by it.
    pub changed: u64,
}

/// A ledger that others are merged into.
pub struct Merging {
    store: Arc<Store>,
    baseline: Baseline,
    ids: HashMap<WorkloadKey, WorkloadId>,
    /// By number. Those of workloads that are forgotten are absent, and stay so until a run gives them out again: only it
    /// knows by the settings which of their pairs are as absent.
    records: Vec<Option<WorkloadRecord>>,
    state: JudgeState,
    /// Where the ledger stood at first.
    opened_at: Option<Timestamp>,
    at: Option<Timestamp>,
    sequence: u64,
    changed_workloads: Vec<WorkloadId>,
    is_state_changed: bool,
    changes: usize,
    merged: Merged,
}

impl Merging {
    /// Goes on where the ledger stands; `memory` is the setting.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn open(store: Arc<Store>, memory: u64) -> Result<Self, LedgerError> {
        let opening = store.opening()?;
        // Neither window nor retention is asked for here.
        let limit = Limits::of(memory).pairs;
        let mut baseline = Baseline::new(Span::ZERO, Span(i64::MAX), limit);
        // Nothing is left out: what is merged has to be the same in any order.
        baseline.keep_within(None, opening.kept);
        baseline.begin(opening.next_sequence, Timestamp::MIN);
        baseline.resume(&*store, opening.next_sequence)?;
        let mut merging = Self {
            store,
            baseline,
            ids: HashMap::new(),
            records: Vec::new(),
            state: opening.state,
            opened_at: opening.at,
            at: opening.at,
            sequence: opening.next_sequence,
            changed_workloads: Vec::new(),
            is_state_changed: false,
            changes: 0,
            merged: Merged::default(),
        };
        for (id, record) in opening.workloads {
            merging.put(id, record);
        }
        Ok(merging)
    }

    fn add(&mut self, record: WorkloadRecord) -> WorkloadId {
        let id = WorkloadId(u32::try_from(self.records.len()).unwrap_or(u32::MAX));
        self.put(id, record);
        id
    }

    fn put(&mut self, id: WorkloadId, record: WorkloadRecord) {
        self.ids.insert(record.key.clone(), id);
        let at = id.0 as usize;
        if self.records.len() <= at {
            self.records.resize(at + 1, None);
        }
        if let Some(place) = self.records.get_mut(at) {
            *place = Some(record);
        }
    }

    fn record_mut(&mut self, id: WorkloadId) -> Option<&mut WorkloadRecord> {
        self.records.get_mut(id.0 as usize)?.as_mut()
    }

    /// Takes an exported baseline over; rows that cannot be read are left out and added to `faults` under the file's name.
    ///
    /// # Errors
    ///
    /// When the file cannot be read on (what stands before is taken over), or the ledger cannot be read or written.
    pub fn take_file(
        &mut self,
        name: &str,
        file: &mut BaselineFile<impl BufRead>,
        faults: &mut Faults,
    ) -> Result<(), RunError> {
        self.at = self.at.max(file.at());
        let mut workload = None;
        let cannot = |source| RunError::Import {
            file: name.to_owned(),
            source,
        };
        while let Some(item) = file.next_item().map_err(cannot)? {
            match item {
                Ok(Item::Segment(segment)) => self.take_segment(&segment),
                Ok(Item::Resolver(resolver)) => self.take_resolver(&resolver),
                Ok(Item::Workload(record)) => workload = Some(self.take_workload(&record)),
                Ok(Item::Pair(key, pair)) => {
                    if let Some(workload) = workload {
                        self.take_pair(workload, &key, &pair)?;
                    }
                }
                Err(fault) => faults.add(name, &fault),
            }
        }
        Ok(())
    }

    /// Takes another ledger's baseline over.
    ///
    /// # Errors
    ///
    /// When a ledger cannot be read or written.
    pub fn take_ledger(&mut self, from: &Store) -> Result<(), RunError> {
        let standing = from.standing()?;
        self.at = self.at.max(standing.at);
        standing
            .state
            .segments
            .iter()
            .for_each(|segment| self.take_segment(segment));
        standing
            .state
            .resolvers
            .iter()
            .for_each(|resolver| self.take_resolver(resolver));
        let pairs = from.all_pairs()?;
        for (id, record) in &standing.workloads {
            let workload = self.take_workload(record);
            let mut own = pairs.of(*id)?;
            // Of one that is expired and its successor, until the ledger deletes it, the latter.
            own.sort_by(|a, b| (&a.key, Reverse(a.pair.last())).cmp(&(&b.key, Reverse(b.pair.last()))));
            own.dedup_by(|older, newer| older.key == newer.key);
            for stored in own {
                self.take_pair(workload, &stored.key, &stored.pair)?;
            }
        }
        Ok(())
    }

    fn take_segment(&mut self, segment: &SegmentState) {
        let is_it = |known: &SegmentState| known.segment == segment.segment;
        self.is_state_changed |= join(&mut self.state.segments, segment, is_it, SegmentState::joined);
    }

    fn take_resolver(&mut self, resolver: &ResolverState) {
        let of = |state: &ResolverState| (Arc::clone(&state.segment), state.address);
        let is_it = |known: &ResolverState| of(known) == of(resolver);
        self.is_state_changed |= join(&mut self.state.resolvers, resolver, is_it, ResolverState::joined);
    }

    fn take_workload(&mut self, record: &WorkloadRecord) -> WorkloadId {
        self.merged.workloads += 1;
        let Some(&id) = self.ids.get(&record.key) else {
            let id = self.add(record.clone());
            self.baseline.add_workload(id);
            self.changed_workloads.push(id);
            return id;
        };
        if let Some(known) = self.record_mut(id) {
            let joined = known.joined(record);
            if joined != *known {
                *known = joined;
                self.changed_workloads.push(id);
            }
        }
        id
    }

    fn take_pair(&mut self, workload: WorkloadId, key: &PairKey, pair: &Pair) -> Result<(), RunError> {
        self.merged.pairs += 1;
        if self.baseline.merge(&*self.store, workload, key, pair)? {
            self.merged.changed += 1;
            self.changes += 1;
        }
        // A workload is forgotten by its own last contact, which exports leave to its pairs.
        if let Some(record) = self.record_mut(workload)
            && pair.last().since(record.last) > WorkloadRecord::LAST_STEP
        {
            record.last = pair.last();
            self.changed_workloads.push(workload);
        }
        if self.changes + self.changed_workloads.len() >= A_BATCH {
            self.commit()?;
        }
        Ok(())
    }

    /// Returns a batch that changes nothing. Time stands still until all is merged: expiry goes by the least time of the
    /// last 600 batches, and a merge has many, so that a source's wrong clock would let everything expire.
    fn batch(&self) -> Batch {
        Batch::empty(self.sequence, self.opened_at.unwrap_or_default())
    }

    /// Writes what changed as one batch.
    fn commit(&mut self) -> Result<(), RunError> {
        let mut batch = self.batch();
        batch.journal = self.baseline.take_journal();
        self.changed_workloads.sort_unstable();
        self.changed_workloads.dedup();
        for id in self.changed_workloads.drain(..) {
            if let Some(Some(record)) = self.records.get(id.0 as usize) {
                batch.workloads.push((id, record.clone()));
            }
        }
        if std::mem::take(&mut self.is_state_changed) {
            batch.state = Some(self.state.clone());
        }
        let folded = self.baseline.fold(&*self.store, None)?;
        batch.pages = folded.pages;
        batch.folded_through = folded.through;
        batch.holders = folded.holders;
        batch.kept = self.baseline.kept_mut().take_changed(batch.is_empty());
        self.changes = 0;
        self.write(batch)
    }

    fn write(&mut self, batch: Batch) -> Result<(), RunError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(&batch)?;
        self.sequence += 1;
        self.baseline.begin(self.sequence, Timestamp::MIN);
        self.baseline.reuse(batch.journal);
        Ok(())
    }

    /// Writes the rest and brings everything to the disk; returns what was done, and what is worth a line in the log.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be written.
    pub fn finish(mut self) -> Result<(Merged, Vec<Event>), RunError> {
        let events = self.ended_in_between();
        self.commit()?;
        while let Some((journal, folded)) = self.baseline.finish(&*self.store, STEP)? {
            let mut batch = self.batch();
            batch.journal = journal;
            batch.pages = folded.pages;
            batch.folded_through = folded.through;
            batch.holders = folded.holders;
            self.write(batch)?;
        }
        if let Some(at) = self.at
            && self.opened_at != self.at
        {
            self.store.commit(&Batch::empty(self.sequence, at))?;
        }
        self.store.sync()?;
        Ok((self.merged, events))
    }

    /// Returns the ends of learning between where the ledger stood and where it stands now: the next run takes them for
    /// told. Segments keep account of that themselves.
    fn ended_in_between(&self) -> Vec<Event> {
        let (Some(before), Some(now)) = (self.opened_at, self.at) else {
            return Vec::new();
        };
        let ended = |record: &&WorkloadRecord| {
            record.learns_until > record.since && record.learns_until > before && record.learns_until <= now
        };
        let with_segment = |record: &&WorkloadRecord| {
            let mut segments = self.state.segments.iter();
            segments.any(|state| state.segment == record.segment && state.learns_until == record.learns_until)
        };
        let records = self.records.iter().flatten().filter(ended);
        let mut learnt = learnt_groups(self.records.iter().flatten(), before);
        let mut told = Vec::new();
        for record in records.filter(|record| !with_segment(record)) {
            let group = record.group.as_ref().filter(|group| learnt.insert((*group).clone()));
            told.extend(group.map(|group| format!("group {group}")));
            told.push(format!("workload {}", record.key));
        }
        told.iter().map(|what| Event::learning_ended(now, what)).collect()
    }
}

/// Joins a state with the known one, or adds it; says whether that changed anything.
fn join<T: Clone + PartialEq>(
    all: &mut Vec<T>,
    other: &T,
    is_it: impl Fn(&T) -> bool,
    joined: impl Fn(&T, &T) -> T,
) -> bool {
    let Some(known) = all.iter_mut().find(|known| is_it(known)) else {
        all.push(other.clone());
        return true;
    };
    let joined = joined(known, other);
    let is_changed = joined != *known;
    *known = joined;
    is_changed
}
