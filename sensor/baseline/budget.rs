//! How many pairs and alerts are kept, and whether there is room for more (rule A5).
//!
//! Two budgets bound what an estate can make the ledger hold: pairs of one workload, and octets of all pairs and alerts
//! together. Neither is measured: what a disk holds depends on when tables are compacted, and an alert must not (rule T2).
//! Pairs are counted by the day of their last contact, so that nobody has to tell when they expire: the sum over the days
//! that still count is how many there are. A pair gets a journal row whenever that day changes, and the counts go with it
//! in one batch, so that both agree after a kill.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::model::{BaselineLimits, Day, KeptCounts, Ledger, LedgerError, PairKey, Timestamp, Unrecorded, WorkloadId};

use super::pairs::Baseline;
use super::part::Reader;

/// A budget that has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Full {
    /// The workload has as many pairs as it may have.
    Destinations,
    /// All pairs and alerts take as much disk as they may.
    Disk,
}

/// What there is to be room for on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A pair.
    Pair,
    /// An alert, and the pairs of its contact: its domain, tenant and address.
    Novelty,
}

impl Need {
    const fn octets(self) -> u64 {
        match self {
            Self::Pair => BaselineLimits::octets(1, 0),
            Self::Novelty => BaselineLimits::octets(3, 1),
        }
    }
}

/// Counts of pairs and alerts.
#[derive(Debug, Default)]
pub struct KeptPairs {
    limits: Option<BaselineLimits>,
    /// What the ledger holds on account of `limits`.
    told: Option<BaselineLimits>,
    /// Whether the ledger has all counts.
    is_whole: bool,
    /// What is of earlier days is expired, and does not count.
    from: Option<Day>,
    pairs: Days,
    alerts: Days,
    /// How many pairs of a workload count, where that was asked for since `from` changed.
    of_workloads: HashMap<WorkloadId, usize>,
    unrecorded: BTreeMap<WorkloadId, Unrecorded>,
    changed: BTreeSet<WorkloadId>,
}

/// Counts by day.
#[derive(Debug, Default)]
struct Days {
    counts: BTreeMap<Day, u64>,
    /// The sum over all days that count.
    sum: u64,
    /// Days whose count changed, some of them several times.
    changed: Vec<Day>,
    /// A day, and how many were added to it that `counts` does not have yet: nearly all are of the same one.
    added: (Day, u64),
}

impl Days {
    fn restored(counts: Vec<(Day, u64)>, is_whole: bool) -> Self {
        let mut days = Self {
            counts: counts.into_iter().collect(),
            ..Self::default()
        };
        days.sum = days.counts.values().sum();
        if !is_whole {
            days.changed = days.counts.keys().copied().collect();
        }
        days
    }

    fn add(&mut self, day: Day, from: Option<Day>) {
        self.sum += u64::from(Some(day) >= from);
        if self.added.0 != day {
            self.settle();
            self.added.0 = day;
        }
        self.added.1 += 1;
    }

    /// Brings `counts` up to date.
    fn settle(&mut self) {
        let (day, added) = self.added;
        if added > 0 {
            *self.counts.entry(day).or_default() += added;
            self.added.1 = 0;
            self.note(day);
        }
    }

    /// Takes one of a day away; one that was not counted any more is not there.
    fn remove(&mut self, day: Day, from: Option<Day>) {
        self.settle();
        if let Some(count) = self.counts.get_mut(&day).filter(|count| **count > 0) {
            *count -= 1;
            self.sum -= u64::from(Some(day) >= from);
            self.note(day);
        }
    }

    fn note(&mut self, day: Day) {
        if self.changed.last() != Some(&day) {
            self.changed.push(day);
        }
    }

    /// Counts from another day on. Days before it are forgotten for good: where time goes back, the ledger may have deleted
    /// what they held.
    fn begin(&mut self, from: Day) {
        self.settle();
        while let Some(first) = self.counts.first_entry()
            && *first.key() < from
        {
            self.changed.push(*first.key());
            first.remove();
        }
        self.sum = self.counts.values().sum();
    }

    fn take_changed(&mut self) -> Vec<(Day, u64)> {
        self.settle();
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        let count = |day| self.counts.get(&day).copied().unwrap_or(0);
        changed.into_iter().map(|day| (day, count(day))).collect()
    }
}

impl KeptPairs {
    /// Goes on with the counts of a ledger; without limits there is always room.
    #[must_use]
    pub fn new(limits: Option<BaselineLimits>, kept: KeptCounts) -> Self {
        Self {
            limits,
            told: kept.limits,
            is_whole: kept.is_whole,
            from: None,
            pairs: Days::restored(kept.pairs, kept.is_whole),
            alerts: Days::restored(kept.alerts, kept.is_whole),
            of_workloads: HashMap::new(),
            unrecorded: kept.unrecorded.into_iter().collect(),
            changed: BTreeSet::new(),
        }
    }

    /// Tells what the present is for all that expires.
    pub fn begin(&mut self, present: Timestamp) {
        let from = self.limits.map(|limits| limits.counts_from(present));
        if let Some(from) = from.filter(|from| self.from != Some(*from)) {
            self.from = Some(from);
            self.pairs.begin(from);
            self.alerts.begin(from);
            self.of_workloads.clear();
        }
    }

    /// Counts a pair under the day of its last contact, where it stood under another day before, or was none; or, where it
    /// is none any more, no longer.
    pub fn move_pair(&mut self, workload: WorkloadId, before: Option<Day>, after: Option<Day>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.pairs.remove(before, self.from);
        }
        if let Some(after) = after {
            self.pairs.add(after, self.from);
        }
        if !self.of_workloads.is_empty()
            && let Some(count) = self.of_workloads.get_mut(&workload)
        {
            let counts = |day: Option<Day>| usize::from(day.is_some() && day >= self.from);
            *count = (*count + counts(after)).saturating_sub(counts(before));
        }
    }

    /// Counts an alert whose contact began then.
    pub fn add_alert(&mut self, ts: Timestamp) {
        self.alerts.add(ts.day(), self.from);
    }

    /// Counts a contact of which something was not recorded.
    pub fn add_unrecorded(&mut self, workload: WorkloadId, at: Timestamp) {
        let unrecorded = self.unrecorded.entry(workload).or_insert(Unrecorded {
            contacts: 0,
            latest: at,
        });
        unrecorded.contacts = unrecorded.contacts.saturating_add(1);
        unrecorded.latest = unrecorded.latest.max(at);
        self.changed.insert(workload);
    }

    /// Returns how many others had the last contact of which something was not recorded on this day, up to `most`.
    #[must_use]
    pub fn others_unrecorded(&self, workload: WorkloadId, day: Day, most: usize) -> usize {
        let others = self.unrecorded.iter();
        let others = others.filter(|(other, unrecorded)| **other != workload && unrecorded.latest.day() == day);
        others.take(most).count()
    }

    /// Forgets a workload whose number somebody else may get.
    pub fn forget(&mut self, workload: WorkloadId) {
        self.of_workloads.remove(&workload);
        self.unrecorded.remove(&workload);
        self.changed.remove(&workload);
    }

    /// Returns how many octets count, and how many may.
    #[must_use]
    pub fn disk(&self) -> Option<(u64, u64)> {
        let limits = self.limits?;
        Some((BaselineLimits::octets(self.pairs.sum, self.alerts.sum), limits.disk))
    }

    /// Says whether that takes more disk than there may be.
    #[must_use]
    pub fn is_disk_full(&self, need: Need) -> bool {
        let disk = self.disk();
        disk.is_some_and(|(used, most)| used.saturating_add(need.octets()) > most)
    }

    /// Returns what a batch has to say of the counts; `is_alone` if it says nothing else. Pairs and alerts come with others
    /// of its changes, so that it says something alone only of what was not recorded.
    pub fn take_changed(&mut self, is_alone: bool) -> KeptCounts {
        if is_alone && self.changed.is_empty() {
            return KeptCounts::default();
        }
        let changed = std::mem::take(&mut self.changed);
        let unrecorded = changed.into_iter();
        let unrecorded = unrecorded.filter_map(|workload| Some((workload, *self.unrecorded.get(&workload)?)));
        let limits = self.limits.filter(|limits| self.told != Some(*limits));
        self.told = limits.or(self.told);
        KeptCounts {
            limits,
            is_whole: !std::mem::replace(&mut self.is_whole, true),
            pairs: self.pairs.take_changed(),
            alerts: self.alerts.take_changed(),
            unrecorded: unrecorded.collect(),
        }
    }
}

impl Baseline {
    /// Goes on with the counts of the ledger, within these limits; without them there is always room.
    pub fn keep_within(&mut self, limits: Option<BaselineLimits>, kept: KeptCounts) {
        self.kept = KeptPairs::new(limits, kept);
    }

    /// Returns the counts of pairs and alerts.
    pub const fn kept(&self) -> &KeptPairs {
        &self.kept
    }

    /// Returns the counts of pairs and alerts, to add what is not a pair.
    pub const fn kept_mut(&mut self) -> &mut KeptPairs {
        &mut self.kept
    }

    /// Says which budget has no room for a pair of a workload and what else comes with it; none if it has that pair, or
    /// there is room.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn no_room(
        &mut self,
        ledger: &dyn Ledger,
        workload: WorkloadId,
        key: &PairKey,
        need: Need,
    ) -> Result<Option<Full>, LedgerError> {
        let Some(limits) = &self.kept.limits else {
            return Ok(None);
        };
        let most = limits.destinations as usize;
        let in_memory = match self.get(workload) {
            Some(loaded) => loaded.len(),
            None => self.load(ledger, workload)?.0.len(),
        };
        let is_disk_full = self.kept.is_disk_full(need);
        if in_memory < most && !is_disk_full {
            return Ok(None);
        }
        // Only where so many are in memory has it to be known how many of them are expired.
        let full = if in_memory >= most && self.counted_pairs(ledger, workload)? >= most {
            Full::Destinations
        } else if is_disk_full {
            Full::Disk
        } else {
            return Ok(None);
        };
        self.lacks(ledger, workload, key).map(|lacks| lacks.then_some(full))
    }

    /// Says whether a workload has no pair with a destination that counts.
    #[cold]
    fn lacks(&mut self, ledger: &dyn Ledger, workload: WorkloadId, key: &PairKey) -> Result<bool, LedgerError> {
        let (hash, from) = (self.hash(key), self.kept.from);
        let (loaded, shared) = self.load(ledger, workload)?;
        let slot = loaded.latest_slot_of(key, hash, &mut Reader { ledger, shared })?;
        let pair = slot.and_then(|slot| loaded.get(slot));
        // One that is expired counts no more, whether or not memory has let go of it.
        Ok(pair.is_none_or(|pair| Some(pair.last().day()) < from))
    }

    /// Returns how many pairs of a workload count.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn counted_pairs(&mut self, ledger: &dyn Ledger, workload: WorkloadId) -> Result<usize, LedgerError> {
        if let Some(count) = self.kept.of_workloads.get(&workload) {
            return Ok(*count);
        }
        let from = self.kept.from;
        let (loaded, shared) = self.load(ledger, workload)?;
        let count = loaded.count_from(from, &mut Reader { ledger, shared })?;
        self.kept.of_workloads.insert(workload, count);
        Ok(count)
    }
}
