//! Alerts of bursts: more novelties than a person reads (rule A5).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::alerting::{Budget, COUNTS_LAST, EndedBurst, FULL, burst_id, burst_summary, links};
use crate::model::{
    Address, Alert, AlertDestination, AlertKind, AlertRecord, AlertState, AlertWorkload, BudgetCounts, BurstScope,
    Counter, LedgerError, Lowered, SECOND, Severity, Timestamp, WorkloadKey,
};

use super::super::report::Ending;
use super::Judge;

/// So many counts in rows of the ledger at most: beyond, the next batch says all of them anew, which is about half as
/// many.
const COUNTS_IN_ROWS: usize = 1 << 17;

/// Where the ledger keeps what the budget counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Batches that counted something, when, and how many counts that was.
    rows: VecDeque<(u64, Timestamp, usize)>,
    entries: usize,
    /// Whether the ledger keeps anything.
    is_kept: bool,
}

impl Counted {
    fn clear(&mut self) {
        self.rows.clear();
        self.entries = 0;
    }
}

impl Judge {
    /// Takes over what an earlier run counted (rule A5), and keeps it.
    pub(super) fn resume_counts(&mut self, counted: Vec<BudgetCounts>) {
        self.counted.is_kept = !counted.is_empty();
        for counts in counted {
            for burst in &counts.bursts {
                if let (BurstScope::Destination(hash), Some(name)) = (burst.scope, &burst.name) {
                    self.burst_names.insert(hash, Arc::clone(name));
                }
            }
            self.budget.restore(counts);
        }
        self.budget.change_all();
    }

    /// Hands what the budget counted in this epoch to the ledger, in the same batch as the flags that it stands for, so
    /// that a restart goes on with the count.
    pub(super) fn keep_counts(&mut self, now: Timestamp) {
        if !self.budget.has_changed() {
            return;
        }
        let counted = &mut self.counted;
        while let Some((_, at, entries)) = counted.rows.front()
            && now.since(*at) > COUNTS_LAST
        {
            counted.entries -= entries;
            counted.rows.pop_front();
        }
        if counted.entries > COUNTS_IN_ROWS {
            self.budget.change_all();
            counted.clear();
        }
        let mut counts = self.budget.take_changed();
        for burst in &mut counts.bursts {
            if let BurstScope::Destination(hash) = burst.scope {
                burst.name = self.burst_names.get(&hash).cloned();
            }
        }
        let sequence = self.out.batch.sequence;
        counted.rows.push_back((sequence, now, counts.len()));
        counted.entries += counts.len();
        counted.is_kept = true;
        self.out.batch.counted_from = counted.rows.front().map(|(first, _, _)| *first);
        self.out.batch.counted = counts;
    }

    /// Puts out the alerts of bursts that are over at `now`, or with the input (rule A5). What is not over when a run stops
    /// goes on with the next one (rule T3).
    pub(super) fn end_bursts(&mut self, now: Timestamp, ending: Ending) -> Result<(), LedgerError> {
        let is_over = ending == Ending::Input;
        let now = if is_over { Timestamp(i64::MAX) } else { now };
        let ended = self.budget.ended(now);
        let has_ended = !ended.is_empty();
        if is_over {
            // All is told: the next input is counted by itself.
            self.budget = Budget::new(self.policy.baseline.alerts_a_minute);
            self.counted.clear();
            if std::mem::take(&mut self.counted.is_kept) {
                self.out.batch.counted_from = Some(self.out.batch.sequence);
            }
        }
        for burst in ended {
            let alert = self.burst_alert(&burst);
            if self.alert_record(alert.id)?.is_none() {
                self.out.counters.count(Counter::AlertsRaised);
                self.put_out(AlertRecord {
                    state: AlertState::Raised,
                    alert,
                    considered: Vec::new(),
                    lowered: Lowered::default(),
                });
            }
        }
        if has_ended {
            let kept: BTreeSet<u64> = self.budget.destinations().collect();
            self.burst_names.retain(|hash, _| kept.contains(hash));
        }
        Ok(())
    }

    fn burst_alert(&mut self, burst: &EndedBurst) -> Alert {
        let (scope, id, segment, domain) = match burst.scope {
            BurstScope::Workload(id) => {
                let key = self
                    .registry
                    .record(id)
                    .map(|record| record.key.to_string())
                    .unwrap_or_default();
                let segment = self
                    .registry
                    .record(id)
                    .map_or_else(|| Arc::from("-"), |record| record.segment.clone());
                (format!("workload {key}"), Some(id), segment, None)
            }
            BurstScope::Destination(hash) => {
                let name = self
                    .burst_names
                    .get(&hash)
                    .map(|name| name.to_string())
                    .unwrap_or_default();
                (format!("destination {name}"), None, Arc::from("-"), Some(name))
            }
        };
        let record = id.and_then(|id| self.registry.record(id));
        let name = match record.map(|record| &record.key) {
            Some(WorkloadKey::Named(name)) => name.to_string(),
            Some(WorkloadKey::Address(_, address)) => address.to_string(),
            None => "several".to_owned(),
        };
        let address = match record.map(|record| &record.key) {
            Some(WorkloadKey::Address(_, address)) => Some(*address),
            _ => None,
        };
        let ip = domain.as_ref().and_then(|text| text.parse::<std::net::IpAddr>().ok());
        let ts = Timestamp(burst.minute.saturating_mul(60 * SECOND));
        let destination = AlertDestination {
            domain: domain.filter(|_| ip.is_none()).map(Arc::from),
            tenant: None,
            name: None,
            ip: ip.map(Address::from),
            port: None,
            transport: None,
        };
        let workload = AlertWorkload {
            name,
            address,
            group: record.and_then(|record| record.group.clone()),
            owner: None,
            segment,
            since: record.map(|record| record.since),
        };
        let id = burst_id(&scope, burst.minute);
        let mut alert = Alert::without_flow(id, AlertKind::Burst, ts, workload, destination);
        alert.at = self.out.batch.at;
        alert.severity = Severity::High;
        alert.confidence = FULL;
        alert.links = links(&alert.destination);
        alert.baseline.window_days = u32::try_from(self.policy.baseline.window.whole_days()).unwrap_or(u32::MAX);
        alert.attack = vec!["T1568".to_owned()];
        alert.count = Some(burst.count);
        alert.summary = burst_summary(&alert, self.policy.baseline.alerts_a_minute);
        alert
    }
}
