//! Workloads and segments by number, and how far each has learnt (rule B4).

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::identity::Workloads;
use crate::model::{
    Address, BaselinePolicy, JudgeState, Segment, SegmentState, Timestamp, WorkloadId, WorkloadKey, WorkloadRecord,
};

/// How many addresses' workloads are remembered; all are forgotten when it is more, and looked up again.
const FOUND: usize = 1 << 20;

/// Who the originator of a contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who {
    pub id: WorkloadId,
    /// The rule of the inventory that names it.
    pub rule: Option<usize>,
}

/// What learning says to a novelty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learning {
    /// The segment learns: everything is learnt.
    Segment,
    /// The workload learns: what is known to its segment is learnt.
    Workload,
    /// Learning is over.
    Over,
}

/// Something stopped learning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Learnt {
    Segment(Arc<str>),
    /// With its first member.
    Group(Arc<str>),
    Workload(WorkloadKey),
}

/// Workloads and segments.
#[derive(Debug)]
pub(super) struct Registry {
    policy: BaselinePolicy,
    ids: HashMap<WorkloadKey, WorkloadId>,
    /// By number; those that are free are absent.
    records: Vec<Option<WorkloadRecord>>,
    free: BTreeSet<WorkloadId>,
    changed: BTreeSet<WorkloadId>,
    segments: HashMap<Arc<str>, SegmentState>,
    segments_changed: bool,
    /// When each group had learnt first.
    groups: HashMap<Arc<str>, Timestamp>,
    found: HashMap<(Segment, Address), Who, foldhash::quality::RandomState>,
    learning: BTreeSet<(Timestamp, WorkloadId)>,
}

impl Registry {
    /// Takes over what the ledger holds.
    pub fn new(
        policy: BaselinePolicy,
        workloads: Vec<(WorkloadId, WorkloadRecord)>,
        state: &JudgeState,
        at: Option<Timestamp>,
    ) -> Self {
        let mut registry = Self {
            policy,
            ids: HashMap::new(),
            records: Vec::new(),
            free: BTreeSet::new(),
            changed: BTreeSet::new(),
            segments: HashMap::new(),
            segments_changed: false,
            groups: HashMap::new(),
            found: HashMap::default(),
            learning: BTreeSet::new(),
        };
        for segment in &state.segments {
            registry.segments.insert(segment.segment.clone(), segment.clone());
        }
        for (id, record) in workloads {
            registry.put(id, record);
        }
        let numbered = (0..).map(WorkloadId).zip(&registry.records);
        registry.free = numbered
            .filter(|(_, record)| record.is_none())
            .map(|(id, _)| id)
            .collect();
        registry.changed.clear();
        // Those that had learnt before the earlier run ended were told by it.
        let told = at.unwrap_or(Timestamp::MIN);
        registry.learning.retain(|(until, _)| *until > told);
        registry
    }

    fn add(&mut self, record: WorkloadRecord) -> WorkloadId {
        let behind = || WorkloadId(u32::try_from(self.records.len()).unwrap_or(u32::MAX));
        let id = self.free.pop_first().unwrap_or_else(behind);
        self.put(id, record);
        id
    }

    fn put(&mut self, id: WorkloadId, record: WorkloadRecord) {
        self.ids.insert(record.key.clone(), id);
        if let Some(group) = &record.group {
            note_group(&mut self.groups, group, record.learns_until);
        }
        if record.learns_until > record.since {
            self.learning.insert((record.learns_until, id));
        }
        let at = id.0 as usize;
        if self.records.len() <= at {
            self.records.resize(at + 1, None);
        }
        if let Some(place) = self.records.get_mut(at) {
            *place = Some(record);
        }
        self.changed.insert(id);
    }

    /// Notes a contact of a workload.
    pub fn seen(&mut self, id: WorkloadId, at: Timestamp) {
        let record = self.records.get_mut(id.0 as usize).and_then(Option::as_mut);
        if let Some(record) = record
            && at.since(record.last) > WorkloadRecord::LAST_STEP
        {
            record.last = at;
            self.changed.insert(id);
        }
    }

    /// Forgets workloads among these numbers whose last contact was before `cutoff`, and returns them: none of their pairs
    /// is of use any more. Their numbers are given to others.
    pub fn forget(&mut self, numbers: Range<u32>, cutoff: Timestamp) -> Vec<WorkloadId> {
        let mut forgotten = Vec::new();
        for id in numbers.map(WorkloadId) {
            let Some(place) = self.records.get_mut(id.0 as usize) else {
                break;
            };
            let is_over = |record: &mut WorkloadRecord| {
                record.last.plus(WorkloadRecord::LAST_STEP) < cutoff && record.learns_until < cutoff
            };
            let Some(record) = place.take_if(is_over) else { continue };
            self.ids.remove(&record.key);
            self.learning.remove(&(record.learns_until, id));
            self.changed.remove(&id);
            self.free.insert(id);
            forgotten.push(id);
        }
        if !forgotten.is_empty() {
            self.found.clear();
            self.note_groups();
        }
        forgotten
    }

    /// Finds out anew when each group had learnt first, as a restart would.
    fn note_groups(&mut self) {
        self.groups.clear();
        for record in self.records.iter().flatten() {
            if let Some(group) = &record.group {
                note_group(&mut self.groups, group, record.learns_until);
            }
        }
    }

    /// Returns behind which number there is no workload.
    pub fn end(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// Returns who an address is, if that was found out.
    pub fn found(&self, segment: Segment, address: Address) -> Option<Who> {
        self.found.get(&(segment, address)).copied()
    }

    /// Finds out who an address is at `at`; the second value says whether the workload is new.
    pub fn who(
        &mut self,
        rules: &Workloads,
        segment: Segment,
        text: &Arc<str>,
        address: Address,
        at: Timestamp,
    ) -> (Who, bool) {
        let identity = rules.identity(text, address);
        let group = identity
            .rule
            .and_then(|rule| rules.rule(rule))
            .and_then(|rule| rule.group.clone());
        let (id, is_new) = match self.ids.get(&identity.key) {
            Some(&id) => {
                self.take_group(id, group);
                (id, false)
            }
            None => {
                let learns_until = self.learns_until(text, group.as_ref(), at);
                let record = WorkloadRecord {
                    key: identity.key,
                    segment: text.clone(),
                    group,
                    since: at,
                    learns_until,
                    last: at,
                };
                (self.add(record), true)
            }
        };
        let who = Who {
            id,
            rule: identity.rule,
        };
        if self.found.len() >= FOUND {
            self.found.clear();
        }
        self.found.insert((segment, address), who);
        (who, is_new)
    }

    /// Takes over the group that the settings give a workload now.
    fn take_group(&mut self, id: WorkloadId, group: Option<Arc<str>>) {
        let Some(record) = self.records.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        if record.group == group {
            return;
        }
        if let Some(group) = &group {
            note_group(&mut self.groups, group, record.learns_until);
        }
        record.group = group;
        self.changed.insert(id);
    }

    fn learns_until(&mut self, text: &Arc<str>, group: Option<&Arc<str>>, at: Timestamp) -> Timestamp {
        let policy = self.policy;
        let segments_changed = &mut self.segments_changed;
        let segment = self.segments.entry(text.clone()).or_insert_with(|| {
            *segments_changed = true;
            SegmentState {
                segment: text.clone(),
                since: at,
                learns_until: at.plus(policy.learning),
                has_learnt: policy.learning.0 == 0,
            }
        });
        if learns(segment.since, segment.learns_until, at) {
            return segment.learns_until;
        }
        let group_has_learnt = group
            .and_then(|group| self.groups.get(group))
            .is_some_and(|learnt| *learnt <= at);
        if group_has_learnt {
            at
        } else {
            at.plus(policy.learning_new)
        }
    }

    /// Returns what is kept of a workload.
    pub fn record(&self, id: WorkloadId) -> Option<&WorkloadRecord> {
        self.records.get(id.0 as usize)?.as_ref()
    }

    /// Returns what learning says to a novelty of a workload at `at`.
    pub fn learning(&self, id: WorkloadId, segment: &Arc<str>, at: Timestamp) -> Learning {
        if self
            .segments
            .get(segment)
            .is_some_and(|segment| learns(segment.since, segment.learns_until, at))
        {
            Learning::Segment
        } else if self
            .record(id)
            .is_some_and(|record| learns(record.since, record.learns_until, at))
        {
            Learning::Workload
        } else {
            Learning::Over
        }
    }

    /// Returns what stopped learning by `now`, in order.
    pub fn take_learnt(&mut self, now: Timestamp) -> Vec<Learnt> {
        let mut learnt = Vec::new();
        for segment in self.segments.values_mut() {
            if !segment.has_learnt && segment.learns_until <= now {
                segment.has_learnt = true;
                self.segments_changed = true;
                learnt.push(segment.segment.clone());
            }
        }
        learnt.sort_unstable();
        let mut learnt: Vec<Learnt> = learnt.into_iter().map(Learnt::Segment).collect();
        while let Some(&(until, id)) = self.learning.first()
            && until <= now
        {
            self.learning.pop_first();
            let by_segment = |record: &&WorkloadRecord| {
                self.segments
                    .get(&record.segment)
                    .is_none_or(|segment| segment.learns_until != until)
            };
            // Those that learn with their segment end with its event.
            if let Some(record) = self.record(id).filter(by_segment) {
                let first_of = |group: &&Arc<str>| self.groups.get(*group) == Some(&until);
                let group = record
                    .group
                    .as_ref()
                    .filter(first_of)
                    .map(|group| Learnt::Group(group.clone()));
                learnt.extend(group.filter(|group| !learnt.contains(group)));
                learnt.push(Learnt::Workload(record.key.clone()));
            }
        }
        learnt
    }

    /// Returns workloads that are new since the last call.
    pub fn take_changed(&mut self) -> Vec<(WorkloadId, WorkloadRecord)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .filter_map(|id| self.record(id).map(|record| (id, record.clone())))
            .collect()
    }

    /// Returns the segments if one of them changed since the last call.
    pub fn take_segments(&mut self) -> Option<Vec<SegmentState>> {
        std::mem::take(&mut self.segments_changed).then(|| self.segments())
    }

    /// Returns the segments, in order.
    pub fn segments(&self) -> Vec<SegmentState> {
        let mut all: Vec<SegmentState> = self.segments.values().cloned().collect();
        all.sort_by(|a, b| a.segment.cmp(&b.segment));
        all
    }
}

/// Notes until when a member of a group learns: a group has learnt with its first one.
fn note_group(groups: &mut HashMap<Arc<str>, Timestamp>, group: &Arc<str>, learns_until: Timestamp) {
    let learnt = groups.entry(group.clone()).or_insert(learns_until);
    *learnt = learns_until.min(*learnt);
}

/// Says whether who learns from `since` until `until` learns at `at`: packets that are older than the first one too, as
/// captures come in any order, but nothing for who does not learn at all.
fn learns(since: Timestamp, until: Timestamp, at: Timestamp) -> bool {
    since < until && at < until
}
