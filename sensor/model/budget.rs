//! What the alert budget has counted, as the ledger keeps it (rule A5).

use std::sync::Arc;

use super::time::Timestamp;
use super::workload::WorkloadId;

/// Who or what is over budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BurstScope {
    /// A workload with too many new destinations.
    Workload(WorkloadId),
    /// A destination that is new to too many workloads, by the hash of its pair's key.
    Destination(u64),
}

/// Counts of the budget, or those that a batch changed: each replaces the one before of the same key, so that taking
/// them twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BudgetCounts {
    /// Novelties of workloads, by minute.
    pub minutes: Vec<MinuteCount>,
    /// Workloads that destinations were new to.
    pub destinations: Vec<DestinationCount>,
    /// Bursts.
    pub bursts: Vec<BurstCount>,
}

impl BudgetCounts {
    /// Returns how many counts there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.minutes.len() + self.destinations.len() + self.bursts.len()
    }

    /// Says whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How many novelties a workload had within a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinuteCount {
    /// The UTC minute.
    pub minute: i64,
    /// Whose novelties.
    pub workload: WorkloadId,
    /// How many.
    pub count: u32,
}

/// To whom a destination was new lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationCount {
    /// The hash of the pair's key.
    pub hash: u64,
    /// Its latest novelty.
    pub latest: Timestamp,
    /// The workloads with their latest novelty.
    pub workloads: Vec<(WorkloadId, Timestamp)>,
    /// The minute of the burst that lasts, if one does.
    pub burst_since: Option<i64>,
}

/// How many novelties a burst stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BurstCount {
    /// The minute that the burst is known by.
    pub minute: i64,
    /// Whose burst.
    pub scope: BurstScope,
    /// How many novelties were not raised by themselves.
    pub count: u32,
    /// The destination's text, if it is the burst of one.
    pub name: Option<Arc<str>>,
}
