//! The alert budget (rule A5): beyond it novelties become one burst alert, and flags on their pairs.
//!
//! Novelties are counted by content (who, whom, when in packet time), whether or not their alert was stored before, so a
//! run over the same packets admits the same ones. Two scopes have a budget: a workload within one minute, and a
//! destination within ten minutes. A novelty counts for both; where both are over, the workload's burst takes it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Span, Timestamp, WorkloadId};

/// How many novelties of one workload are raised within one minute of packet time: one a second is more than a person
/// reads, and a workload that is merely new has fewer destinations.
pub const ALERTS_A_MINUTE: u32 = 60;
/// For how many workloads one destination is raised within [`DESTINATION_WINDOW`]: beyond it the destination is the
/// news, not who contacts it.
pub const WORKLOADS_A_DESTINATION: usize = 20;
/// How long a destination's workloads count together.
pub const DESTINATION_WINDOW: Span = Span::minutes(10);

/// How many minutes around the latest contact are kept: contacts are judged at most some seconds out of order, and
/// ended bursts are told once.
const MINUTES_KEPT: i64 = 20;
/// How many scopes of each kind are kept; when full, the one furthest in time from the latest contact is forgotten,
/// which can only let an alert through. At most 8 MiB together.
const SCOPES: usize = 16_384;

/// Who or what is over budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BurstScope {
    /// A workload with too many new destinations.
    Workload(WorkloadId),
    /// A destination that is new to too many workloads, by the hash that the caller gave.
    Destination(u64),
}

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
#[derive(Debug, Default)]
pub struct Budget {
    minutes: BTreeMap<(i64, WorkloadId), u32>,
    destinations: BTreeMap<u64, Destination>,
    /// The keys of `destinations` by their latest novelty.
    by_time: BTreeSet<(Timestamp, u64)>,
    bursts: BTreeMap<(i64, BurstScope), Burst>,
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
}

impl Budget {
    /// Returns a budget that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one novelty, by the time of its contact's first packet, and says whether it is raised by itself.
    ///
    /// `destination_hash` is that of the pair's key; equal hashes count as one destination.
    pub fn admit(&mut self, workload: WorkloadId, destination_hash: u64, at: Timestamp) -> Admit {
        self.forget(at);
        let minute = at.minute();
        let in_minute = self.minutes.entry((minute, workload)).or_default();
        *in_minute = in_minute.saturating_add(1);
        let workload_is_over = *in_minute > ALERTS_A_MINUTE;
        let destination_is_over = self.count_destination(workload, destination_hash, at);
        let (scope, minute) = match destination_is_over {
            _ if workload_is_over => (BurstScope::Workload(workload), minute),
            Some(since) => (BurstScope::Destination(destination_hash), since),
            None => return Admit::Raise,
        };
        let burst = self.bursts.entry((minute, scope)).or_default();
        burst.count = burst.count.saturating_add(1);
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

    /// Returns the bursts that are over at `now` and grew since they were last returned, in order of minute and scope.
    pub fn ended(&mut self, now: Timestamp) -> Vec<EndedBurst> {
        let now = now.minute();
        let mut ended = Vec::new();
        self.bursts.retain(|&(minute, scope), burst| {
            let length = match scope {
                BurstScope::Workload(_) => 1,
                BurstScope::Destination(_) => DESTINATION_WINDOW.0 / Span::minutes(1).0,
            };
            let is_near = minute.abs_diff(now) <= MINUTES_KEPT.unsigned_abs();
            let is_over = minute + length <= now || !is_near;
            if is_over && burst.count > burst.told {
                burst.told = burst.count;
                ended.push(EndedBurst {
                    minute,
                    scope,
                    count: burst.count,
                });
            }
            is_near
        });
        ended
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

fn is_within(one: Timestamp, other: Timestamp, span: Span) -> bool {
    one.0.abs_diff(other.0) <= span.0.unsigned_abs()
}

fn ends<T>(mut keys: impl DoubleEndedIterator<Item = T> + Clone) -> Option<(T, T)> {
    let last = keys.clone().next_back()?;
    keys.next().map(|first| (first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SECOND;

    /// The start of a minute.
    const START: Timestamp = Timestamp(28_333_333 * 60 * SECOND);
    const WEB: WorkloadId = WorkloadId(1);

    fn seconds(n: i64) -> Timestamp {
        START.plus(Span::seconds(n))
    }

    #[test]
    fn rule_a5_a_workload_raises_sixty_alerts_a_minute() {
        let mut budget = Budget::new();
        for n in 0..60 {
            assert_eq!(budget.admit(WEB, n, START), Admit::Raise);
        }
        let (scope, minute) = (BurstScope::Workload(WEB), START.minute());
        assert_eq!(
            budget.admit(WEB, 60, seconds(59)),
            Admit::Burst {
                scope,
                minute,
                first: true
            }
        );
        assert_eq!(
            budget.admit(WEB, 61, seconds(59)),
            Admit::Burst {
                scope,
                minute,
                first: false
            }
        );
        assert_eq!(budget.admit(WorkloadId(2), 61, seconds(59)), Admit::Raise);
        assert_eq!(budget.admit(WEB, 62, seconds(60)), Admit::Raise);
        assert_eq!(budget.count(scope, minute), 2);
        assert_eq!(budget.ended(seconds(59)), []);
        assert_eq!(
            budget.ended(seconds(60)),
            [EndedBurst {
                minute,
                scope,
                count: 2
            }]
        );
        assert_eq!(budget.ended(seconds(60)), []);
        // A contact that is judged late still belongs to its minute, and its burst is told again.
        assert_eq!(
            budget.admit(WEB, 63, seconds(58)),
            Admit::Burst {
                scope,
                minute,
                first: false
            }
        );
        assert_eq!(
            budget.ended(seconds(61)),
            [EndedBurst {
                minute,
                scope,
                count: 3
            }]
        );
    }

    #[test]
    fn rule_a5_a_destination_is_raised_for_twenty_workloads_within_ten_minutes() {
        let mut budget = Budget::new();
        for n in 0..20 {
            assert_eq!(budget.admit(WorkloadId(n), 7, seconds(i64::from(n))), Admit::Raise);
        }
        assert_eq!(
            budget.admit(WorkloadId(3), 7, seconds(60)),
            Admit::Raise,
            "the same workload counts once"
        );
        let (scope, minute) = (BurstScope::Destination(7), START.minute() + 1);
        assert_eq!(
            budget.admit(WorkloadId(20), 7, seconds(90)),
            Admit::Burst {
                scope,
                minute,
                first: true
            }
        );
        assert_eq!(
            budget.admit(WorkloadId(21), 7, seconds(300)),
            Admit::Burst {
                scope,
                minute,
                first: false
            }
        );
        assert_eq!(budget.admit(WorkloadId(21), 8, seconds(300)), Admit::Raise);
        assert_eq!(budget.ended(seconds(600)), []);
        assert_eq!(
            budget.ended(seconds(660)),
            [EndedBurst {
                minute,
                scope,
                count: 2
            }]
        );
        assert_eq!(
            budget.admit(WorkloadId(30), 7, seconds(1300)),
            Admit::Raise,
            "the window is empty again"
        );
    }

    #[test]
    fn a_lasting_burst_of_a_destination_is_told_every_ten_minutes() {
        let mut budget = Budget::new();
        let mut first = Vec::new();
        for n in 0..240_u32 {
            let at = seconds(i64::from(n) * 10);
            if let Admit::Burst {
                minute, first: true, ..
            } = budget.admit(WorkloadId(n), 7, at)
            {
                first.push(minute - START.minute());
            }
        }
        assert_eq!(first, [3, 13, 23, 33]);
    }

    #[test]
    fn a_step_back_of_time_starts_a_new_count() {
        let mut budget = Budget::new();
        let earlier = START.minus(Span::days(3));
        for at in [START, earlier, START] {
            for n in 0..60 {
                assert_eq!(budget.admit(WEB, n, at), Admit::Raise);
            }
            assert!(matches!(budget.admit(WEB, 60, at), Admit::Burst { .. }));
        }
    }

    #[test]
    fn memory_is_bounded_and_the_present_is_kept() {
        let mut budget = Budget::new();
        for n in 0..40_000_u32 {
            budget.admit(WorkloadId(n), u64::from(n), START);
        }
        assert!(budget.minutes.len() <= SCOPES && budget.by_time.len() <= SCOPES);
        assert_eq!(budget.destinations.len(), budget.by_time.len());
        let late = START.plus(Span::hours(2));
        budget.admit(WEB, 1, late);
        assert_eq!((budget.minutes.len(), budget.by_time.len()), (1, 1));
    }
}
