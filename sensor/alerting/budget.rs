//! The alert budget (rule A5): beyond it novelties become one burst alert, and flags on their pairs.
//!
//! Novelties are counted by content (who, whom, when in packet time), whether or not their alert was stored before, so a
//! run over the same packets admits the same ones. Two scopes have a budget: a workload within one minute, and a
//! destination within ten minutes. A novelty counts for both; where both are over, the workload's burst takes it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{BudgetCounts, BurstCount, BurstScope, DestinationCount, MinuteCount, Span, Timestamp, WorkloadId};

/// For how many workloads one destination is raised within [`DESTINATION_WINDOW`]: beyond it the destination is the
/// news, not who contacts it.
pub const WORKLOADS_A_DESTINATION: usize = 20;
/// How long a destination's workloads count together.
pub const DESTINATION_WINDOW: Span = Span::minutes(10);

/// How many minutes around the latest contact are kept: contacts are judged at most some seconds out of order, and
/// ended bursts are told once.
const MINUTES_KEPT: i64 = 20;
/// Counts that are further back than this in packet time change nothing any more.
pub const COUNTS_LAST: Span = Span::minutes(MINUTES_KEPT);
/// How many scopes of each kind are kept; when full, the one furthest in time from the latest contact is forgotten,
/// which can only let an alert through. At most 8 MiB together.
const SCOPES: usize = 16_384;

/// Whether a novelty is raised by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// It is.
    Raise,
    /// It belongs to a burst.
    Burst {
        /// Whose burst.
        scope: BurstScope,
        /// The minute that the burst is known by: the contact's own for a workload, that of the burst's start for a
        /// destination.
        minute: i64,
        /// Whether it is the burst's first novelty, with which its alert goes out.
        first: bool,
    },
}

/// A burst that is over, and how many novelties it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndedBurst {
    /// The minute that it is known by.
    pub minute: i64,
    /// Whose burst.
    pub scope: BurstScope,
    /// How many novelties were not raised by themselves.
    pub count: u32,
}

/// Counts novelties and says which are over budget.
#[derive(Debug)]
pub struct Budget {
    /// How many novelties of one workload are raised within one minute.
    alerts_a_minute: u32,
    minutes: BTreeMap<(i64, WorkloadId), u32>,
    destinations: BTreeMap<u64, Destination>,
    /// The keys of `destinations` by their latest novelty.
    by_time: BTreeSet<(Timestamp, u64)>,
    bursts: BTreeMap<(i64, BurstScope), Burst>,
    changed: Changed,
}

/// What was counted since the ledger was last told; some of it several times.
#[derive(Debug, Default)]
struct Changed {
    minutes: Vec<(i64, WorkloadId)>,
    destinations: Vec<u64>,
    bursts: Vec<(i64, BurstScope)>,
}

#[derive(Debug, Default)]
struct Destination {
    latest: Timestamp,
    /// The workloads within the window with their latest novelty, at most one more than the budget.
    workloads: Vec<(WorkloadId, Timestamp)>,
    burst_since: Option<i64>,
}

#[derive(Debug, Default)]
struct Burst {
    count: u32,
    told: u32,
    /// Whether only an earlier run counted it: if that run's input is seen again, its time is still to come.
    is_restored: bool,
}

impl Budget {
    /// Returns a budget of so many alerts for a workload and minute, which has counted nothing.
    #[must_use]
    pub fn new(alerts_a_minute: u32) -> Self {
        Self {
            alerts_a_minute,
            minutes: BTreeMap::new(),
            destinations: BTreeMap::new(),
            by_time: BTreeSet::new(),
            bursts: BTreeMap::new(),
            changed: Changed::default(),
        }
    }

    /// Counts one novelty, by the time of its contact's first packet, and says whether it is raised by itself.
    ///
    /// `destination_hash` is that of the pair's key; equal hashes count as one destination.
    pub fn admit(&mut self, workload: WorkloadId, destination_hash: u64, at: Timestamp) -> Admit {
        self.forget(at);
        let minute = at.minute();
        let in_minute = self.minutes.entry((minute, workload)).or_default();
        *in_minute = in_minute.saturating_add(1);
        note(&mut self.changed.minutes, (minute, workload));
        note(&mut self.changed.destinations, destination_hash);
        let workload_is_over = *in_minute > self.alerts_a_minute;
        let destination_is_over = self.count_destination(workload, destination_hash, at);
        let (scope, minute) = match destination_is_over {
            _ if workload_is_over => (BurstScope::Workload(workload), minute),
            Some(since) => (BurstScope::Destination(destination_hash), since),
            None => return Admit::Raise,
        };
        let burst = self.bursts.entry((minute, scope)).or_default();
        burst.count = burst.count.saturating_add(1);
        burst.is_restored = false;
        note(&mut self.changed.bursts, (minute, scope));
        Admit::Burst {
            scope,
            minute,
            first: burst.count == 1,
        }
    }

    /// Returns how many novelties a burst stands for so far.
    #[must_use]
    pub fn count(&self, scope: BurstScope, minute: i64) -> u32 {
        self.bursts.get(&(minute, scope)).map_or(0, |burst| burst.count)
    }

    /// Says whether anything was counted since the ledger was last told.
    #[must_use]
    pub const fn has_changed(&self) -> bool {
        !self.changed.minutes.is_empty() || !self.changed.destinations.is_empty() || !self.changed.bursts.is_empty()
    }

    /// Returns what was counted since the last call, for the ledger; bursts are without the name of their destination.
    pub fn take_changed(&mut self) -> BudgetCounts {
        let Changed {
            mut minutes,
            mut destinations,
            mut bursts,
        } = std::mem::take(&mut self.changed);
        minutes.sort_unstable();
        minutes.dedup();
        destinations.sort_unstable();
        destinations.dedup();
        bursts.sort_unstable();
        bursts.dedup();
        let minutes = minutes.into_iter().filter_map(|(minute, workload)| {
            let count = *self.minutes.get(&(minute, workload))?;
            Some(MinuteCount {
                minute,
                workload,
                count,
            })
        });
        let destinations = destinations.into_iter().filter_map(|hash| {
            let seen = self.destinations.get(&hash)?;
            Some(DestinationCount {
                hash,
                latest: seen.latest,
                workloads: seen.workloads.clone(),
                burst_since: seen.burst_since,
            })
        });
        let bursts = bursts.into_iter().filter_map(|(minute, scope)| {
            let count = self.bursts.get(&(minute, scope))?.count;
            Some(BurstCount {
                minute,
                scope,
                count,
                name: None,
            })
        });
        BudgetCounts {
            minutes: minutes.collect(),
            destinations: destinations.collect(),
            bursts: bursts.collect(),
        }
    }

    /// Lets [`take_changed`](Self::take_changed) return everything, so that what it returned before is of no more use.
    pub fn change_all(&mut self) {
        self.changed = Changed {
            minutes: self.minutes.keys().copied().collect(),
            destinations: self.destinations.keys().copied().collect(),
            bursts: self.bursts.keys().copied().collect(),
        };
    }

    /// Takes over what an earlier run counted.
    pub fn restore(&mut self, counts: BudgetCounts) {
        for count in counts.minutes {
            self.minutes.insert((count.minute, count.workload), count.count);
        }
        for count in counts.destinations {
            let seen = self.destinations.entry(count.hash).or_default();
            self.by_time.remove(&(seen.latest, count.hash));
            self.by_time.insert((count.latest, count.hash));
            *seen = Destination {
                latest: count.latest,
                workloads: count.workloads,
                burst_since: count.burst_since,
            };
        }
        for count in counts.bursts {
            let burst = Burst {
                count: count.count,
                told: 0,
                is_restored: true,
            };
            self.bursts.insert((count.minute, count.scope), burst);
        }
    }

    /// Returns the bursts that are over at `now` and grew since they were last returned, in order of minute and scope.
    ///
    /// A burst far ahead of `now` is over because time went back, unless an earlier run counted it.
    pub fn ended(&mut self, now: Timestamp) -> Vec<EndedBurst> {
        let now = now.minute();
        let mut ended = Vec::new();
        self.bursts.retain(|&(minute, scope), burst| {
            let length = match scope {
                BurstScope::Workload(_) => 1,
                BurstScope::Destination(_) => DESTINATION_WINDOW.0 / Span::minutes(1).0,
            };
            let is_near = minute.abs_diff(now) <= MINUTES_KEPT.unsigned_abs();
            let is_to_come = burst.is_restored && minute > now;
            let is_over = minute + length <= now || !is_near && !is_to_come;
            if is_over && burst.count > burst.told {
                burst.told = burst.count;
                ended.push(EndedBurst {
                    minute,
                    scope,
                    count: burst.count,
                });
            }
            is_near || is_to_come
        });
        ended
    }

    /// Returns the destinations whose bursts are remembered, some of them several times.
    pub fn destinations(&self) -> impl Iterator<Item = u64> {
        self.bursts.keys().filter_map(|(_, scope)| match scope {
            BurstScope::Destination(hash) => Some(*hash),
            BurstScope::Workload(_) => None,
        })
    }

    /// Counts a workload for a destination; returns the minute of the burst's start if it is over budget.
    fn count_destination(&mut self, workload: WorkloadId, hash: u64, at: Timestamp) -> Option<i64> {
        let seen = self.destinations.entry(hash).or_default();
        self.by_time.remove(&(seen.latest, hash));
        self.by_time.insert((at, hash));
        seen.latest = at;
        seen.workloads
            .retain(|&(other, when)| other != workload && is_within(when, at, DESTINATION_WINDOW));
        if seen.workloads.len() > WORKLOADS_A_DESTINATION {
            seen.workloads.remove(0);
        }
        seen.workloads.push((workload, at));
        if seen.workloads.len() <= WORKLOADS_A_DESTINATION {
            seen.burst_since = None;
            return None;
        }
        let length = DESTINATION_WINDOW.0 / Span::minutes(1).0;
        let minute = at.minute();
        let since = seen
            .burst_since
            .filter(|since| since.abs_diff(minute) < length.unsigned_abs())
            .unwrap_or(minute);
        seen.burst_since = Some(since);
        Some(since)
    }

    /// Drops what is too far from `at` to matter, earlier or later, and makes room.
    fn forget(&mut self, at: Timestamp) {
        let now = at.minute();
        let kept = MINUTES_KEPT.unsigned_abs();
        while let Some((&(first, _), &(last, _))) = ends(self.minutes.keys()) {
            let is_crowded = self.minutes.len() >= SCOPES;
            let (before, after) = (first.abs_diff(now), last.abs_diff(now));
            if before.max(after) <= kept && !is_crowded {
                break;
            }
            if before >= after {
                self.minutes.pop_first()
            } else {
                self.minutes.pop_last()
            };
        }
        while let Some((&(first, _), &(last, _))) = ends(self.by_time.iter()) {
            let is_crowded = self.by_time.len() >= SCOPES;
            let is_near = is_within(first, at, DESTINATION_WINDOW) && is_within(last, at, DESTINATION_WINDOW);
            if is_near && !is_crowded {
                break;
            }
            let drop_first = first.0.abs_diff(at.0) >= last.0.abs_diff(at.0);
            let dropped = if drop_first {
                self.by_time.pop_first()
            } else {
                self.by_time.pop_last()
            };
            if let Some((_, hash)) = dropped {
                self.destinations.remove(&hash);
            }
        }
        while self.bursts.len() >= SCOPES {
            self.bursts.pop_first();
        }
    }
}

/// Notes what was counted, unless it is what was counted last.
fn note<T: PartialEq>(changed: &mut Vec<T>, key: T) {
    if changed.last() != Some(&key) {
        changed.push(key);
    }
}

fn is_within(one: Timestamp, other: Timestamp, span: Span) -> bool {
    one.0.abs_diff(other.0) <= span.0.unsigned_abs()
}

fn ends<T>(mut keys: impl DoubleEndedIterator<Item = T> + Clone) -> Option<(T, T)> {
    let last = keys.clone().next_back()?;
    keys.next().map(|first| (first, last))
}

#[cfg(test)]
mod tests;
