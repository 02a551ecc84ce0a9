//! How many pairs and alerts are kept, and what is not recorded since there is no room (rule A5).

use super::time::{Day, Span, Timestamp};
use super::workload::WorkloadId;

/// What a run lets the ledger hold, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaselineLimits {
    /// Pairs of one workload.
    pub destinations: u32,
    /// Octets that all pairs and alerts may take on disk, by [`PAIR_OCTETS`] and [`ALERT_OCTETS`].
    pub disk: u64,
    /// How long a pair counts without contact, and an alert.
    pub retention: Span,
}

/// What a pair counts on disk: twice the 21 octets that each of ten million took in files (`benches/scale.rs`), since a
/// compaction has the old files beside the new ones, and half as much again for an estate whose names are less alike and
/// for the journal.
pub const PAIR_OCTETS: u64 = 64;

/// What an alert counts on disk: twice the 600 octets that each of thirty thousand took in files, rounded up for those with more
/// evidence, of which an alert may list sixteen pieces.
pub const ALERT_OCTETS: u64 = 2048;

impl BaselineLimits {
    /// Returns from which day on pairs and alerts count where `present` is the present of what expires.
    ///
    /// One whose last contact lies on an earlier day is expired, or will be before the day is over. The day alone decides,
    /// so that it does not matter when the ledger or memory let go of what is expired (rule T2).
    #[must_use]
    pub fn counts_from(&self, present: Timestamp) -> Day {
        Day(present.minus(self.retention).day().0.saturating_add(1))
    }

    /// Returns how many octets so many pairs and alerts count.
    #[must_use]
    pub const fn octets(pairs: u64, alerts: u64) -> u64 {
        let pairs = pairs.saturating_mul(PAIR_OCTETS);
        pairs.saturating_add(alerts.saturating_mul(ALERT_OCTETS))
    }
}

/// Contacts of a workload of which something was not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unrecorded {
    /// How many.
    pub contacts: u64,
    /// When the last of them began.
    pub latest: Timestamp,
}

/// How many pairs and alerts are kept, or what a batch changed of that: each count replaces the one before, so that taking
/// them twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptCounts {
    /// What the run goes by, if it said so.
    pub limits: Option<BaselineLimits>,
    /// Whether days that are not named have no pairs and no alerts. In a batch: from this one on.
    pub is_whole: bool,
    /// Pairs by the day of their last contact, in order.
    pub pairs: Vec<(Day, u64)>,
    /// Alerts by the day on which their contact began, in order.
    pub alerts: Vec<(Day, u64)>,
    /// What was not recorded, by workload, in order.
    pub unrecorded: Vec<(WorkloadId, Unrecorded)>,
}

impl KeptCounts {
    /// Returns how many pairs count from a day on.
    #[must_use]
    pub fn pairs_from(&self, day: Day) -> u64 {
        sum_from(&self.pairs, day)
    }

    /// Returns how many alerts count from a day on.
    #[must_use]
    pub fn alerts_from(&self, day: Day) -> u64 {
        sum_from(&self.alerts, day)
    }
}

fn sum_from(days: &[(Day, u64)], from: Day) -> u64 {
    let counted = days.iter().filter(|(day, _)| *day >= from);
    counted.map(|(_, count)| count).sum()
}
