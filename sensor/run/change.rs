//! What operators change in a ledger: pairs that are to be forgotten, and who is to learn (rule B4).
//!
//! Each is written through the same batches as what the judge decides, so that a change that is broken off is whole or not
//! there.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::baseline::{Baseline, KeptPairs};
use crate::model::{
    Batch, Event, JudgeState, Ledger, Page, PairKey, Span, StoredPair, Timestamp, WorkloadId, WorkloadRecord,
};
use crate::store::Store;

use super::error::RunError;

/// Pairs in one batch, about: a few megabytes.
const A_BATCH: usize = 1 << 14;
/// Pairs in memory while the journal is folded, about: some hundred megabytes.
const IN_MEMORY: usize = 1 << 20;

/// Forgets the pairs of some workloads that `is_forgotten` names; returns how many.
///
/// First everything that only the journal holds goes into pages: a row would bring a pair back that its page has no more.
///
/// # Errors
///
/// When the ledger cannot be read or written; batches before that stand.
pub fn forget(
    store: &Store,
    workloads: impl IntoIterator<Item = WorkloadId>,
    is_forgotten: impl Fn(&StoredPair) -> bool,
) -> Result<u64, RunError> {
    let opening = store.opening()?;
    let at = opening.at.unwrap_or_default();
    let mut sequence = opening.next_sequence;
    let mut kept = KeptPairs::new(None, opening.kept);
    let mut baseline = Baseline::new(Span::ZERO, Span(i64::MAX), IN_MEMORY);
    baseline.begin(sequence, Timestamp::MIN);
    baseline.resume(store, sequence)?;
    while let Some(folded) = baseline.fold_all(store, A_BATCH)? {
        let mut batch = Batch::empty(sequence, at);
        (batch.pages, batch.folded_through, batch.holders) = (folded.pages, folded.through, folded.holders);
        store.commit(&batch)?;
        sequence += 1;
        baseline.begin(sequence, Timestamp::MIN);
    }
    drop(baseline);
    let mut batch = Batch::empty(sequence, at);
    let mut forgotten = 0;
    for workload in workloads {
        for page in store.pages(workload)? {
            let (number, mut left, mut gone) = (page.number, Vec::new(), 0);
            store.pairs(&page, None, &mut |stored| {
                if is_forgotten(&stored) {
                    kept.move_pair(workload, Some(stored.pair.last().day()), None);
                    gone += 1;
                } else {
                    left.push(stored);
                }
            })?;
            if gone == 0 {
                continue;
            }
            forgotten += gone;
            let mut views = left.iter().map(|stored| stored.view(workload));
            let row = match left.is_empty() {
                true => Vec::new(),
                false => store.page_row(sequence, &mut views),
            };
            batch.pages.push(Page { workload, number, row });
        }
        if batch.pages.len() * StoredPair::A_PAGE as usize >= A_BATCH {
            batch.kept = kept.take_changed(false);
            store.commit(&batch)?;
            sequence += 1;
            batch = Batch::empty(sequence, at);
        }
    }
    if !batch.is_empty() {
        batch.kept = kept.take_changed(false);
        store.commit(&batch)?;
    }
    store.sync()?;
    Ok(forgotten)
}

/// Who is to learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learner {
    /// These workloads.
    Workloads(Vec<WorkloadId>),
    /// A segment, as records write it, with those that learn as long as it does.
    Segment(Arc<str>),
}

/// Lets somebody learn until then, in packet time, and no longer; returns how many workloads and segments that changed, and
/// the ends of learning that come by it.
///
/// # Errors
///
/// When the ledger cannot be read or written.
pub fn learn(store: &Store, learner: &Learner, until: Timestamp) -> Result<(u64, Vec<Event>), RunError> {
    let standing = store.standing()?;
    let at = standing.at.unwrap_or_default();
    let mut batch = Batch::empty(store.opening()?.next_sequence, at);
    let mut events = Vec::new();
    let mut end = |what: String| events.push(Event::learning_ended(at, &what));
    let mut learnt = learnt_groups(standing.workloads.iter().map(|(_, record)| record), at);
    let mut state = standing.state;
    let mut with_segment = None;
    if let Learner::Segment(name) = learner
        && let Some(segment) = state.segments.iter_mut().find(|segment| segment.segment == *name)
    {
        with_segment = Some(segment.learns_until);
        let end_of = ending(segment.since, segment.learns_until, until, at);
        if let Some(until) = end_of {
            if until <= at && segment.learns_until > at {
                end(format!("segment {name}"));
            }
            (segment.learns_until, segment.has_learnt) = (until, until <= at);
            batch.state = Some(JudgeState {
                segments: state.segments.clone(),
                resolvers: std::mem::take(&mut state.resolvers),
            });
        }
    }
    for (id, record) in standing.workloads {
        let is_meant = match learner {
            Learner::Workloads(ids) => ids.contains(&id),
            // Else each of them would be told of, while its segment goes on learning.
            Learner::Segment(name) => record.segment == *name && with_segment == Some(record.learns_until),
        };
        let Some(until) = ending(record.since, record.learns_until, until, at).filter(|_| is_meant) else {
            continue;
        };
        if until <= at && record.learns_until > at && with_segment.is_none() {
            if let Some(group) = record.group.as_ref().filter(|group| learnt.insert((*group).clone())) {
                end(format!("group {group}"));
            }
            end(format!("workload {}", record.key));
        }
        let learns_until = until;
        batch.workloads.push((id, WorkloadRecord { learns_until, ..record }));
    }
    let changed = batch.workloads.len() + usize::from(batch.state.is_some());
    if !batch.is_empty() {
        store.commit(&batch)?;
        store.sync()?;
    }
    Ok((changed as u64, events))
}

/// Returns the groups that have learnt at a time: each has with its first member (rule B4).
pub(super) fn learnt_groups<'a>(
    records: impl Iterator<Item = &'a WorkloadRecord>,
    at: Timestamp,
) -> BTreeSet<Arc<str>> {
    let learnt = records.filter(|record| record.learns_until <= at);
    learnt.filter_map(|record| record.group.clone()).collect()
}

/// Returns the new end of learning; none if nothing changes: who does not learn does not stop either.
fn ending(since: Timestamp, before: Timestamp, until: Timestamp, at: Timestamp) -> Option<Timestamp> {
    let learns = before > since && before > at;
    let until = until.max(since);
    (until != before && (learns || until > at)).then_some(until)
}

/// Says whether a pair is one with this destination, contact or attempt.
#[must_use]
pub fn is_pair_with(key: &PairKey, destination: &PairKey) -> bool {
    key.attempted() == destination.attempted()
}
