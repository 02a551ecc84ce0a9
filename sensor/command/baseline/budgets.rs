//! The part of `sensor baseline stats` that says how much of the budgets is used (rule A5).

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::alerting::plain;
use crate::model::{BaselineLimits, Day, KeptCounts, StoredPair, Timestamp, WorkloadId, WorkloadRecord};

/// So many workloads that are at their limit are listed as text; JSON has all of them.
const LISTED: usize = 20;

/// How much of the budgets is used.
#[derive(Debug, Serialize)]
pub(super) struct Budgets {
    /// None while no run said what it goes by.
    destinations: Option<Destinations>,
    disk: Option<Disk>,
    /// Contacts of which something was not recorded, of all workloads that are still known.
    contacts_unrecorded: u64,
    /// Whose contacts these are.
    unrecorded: Vec<Unrecorded>,
}

#[derive(Debug, Serialize)]
struct Destinations {
    limit: u64,
    /// Pairs of the workload that has most.
    most_pairs: u64,
    percent: u64,
    /// Workloads at their limit.
    full: Vec<AtLimit>,
}

#[derive(Debug, Serialize)]
struct AtLimit {
    workload: String,
    pairs: u64,
}

#[derive(Debug, Serialize)]
struct Disk {
    limit: u64,
    octets: u64,
    percent: u64,
    pairs: u64,
    alerts: u64,
}

#[derive(Debug, Serialize)]
struct Unrecorded {
    workload: String,
    contacts: u64,
    latest: Timestamp,
}

/// Counts pairs of workloads, one after another.
pub(super) struct Counting {
    limits: Option<BaselineLimits>,
    from: Day,
    most: u64,
    full: Vec<AtLimit>,
}

impl Counting {
    pub(super) fn new(kept: &KeptCounts, present: Timestamp) -> Self {
        Self {
            limits: kept.limits,
            from: kept.limits.map_or(Day(i32::MIN), |limits| limits.counts_from(present)),
            most: 0,
            full: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, record: &WorkloadRecord, pairs: &[StoredPair]) {
        let counted = pairs.iter().filter(|stored| stored.pair.last().day() >= self.from);
        let pairs = counted.count() as u64;
        self.most = self.most.max(pairs);
        if self
            .limits
            .is_some_and(|limits| pairs >= u64::from(limits.destinations))
        {
            let workload = record.key.to_string();
            self.full.push(AtLimit { workload, pairs });
        }
    }

    pub(super) fn finish(self, kept: &KeptCounts, workloads: &[(WorkloadId, WorkloadRecord)]) -> Budgets {
        let (pairs, alerts) = (kept.pairs_from(self.from), kept.alerts_from(self.from));
        let octets = BaselineLimits::octets(pairs, alerts);
        let named: HashMap<WorkloadId, &WorkloadRecord> = workloads.iter().map(|(id, record)| (*id, record)).collect();
        let unrecorded = kept.unrecorded.iter().filter_map(|(id, unrecorded)| {
            Some(Unrecorded {
                workload: named.get(id)?.key.to_string(),
                contacts: unrecorded.contacts,
                latest: unrecorded.latest,
            })
        });
        let unrecorded: Vec<Unrecorded> = unrecorded.collect();
        let (most_pairs, full) = (self.most, self.full);
        Budgets {
            destinations: self.limits.map(|limits| Destinations {
                limit: u64::from(limits.destinations),
                most_pairs,
                percent: percent(most_pairs, u64::from(limits.destinations)),
                full,
            }),
            disk: self.limits.map(|limits| Disk {
                limit: limits.disk,
                octets,
                percent: percent(octets, limits.disk),
                pairs,
                alerts,
            }),
            contacts_unrecorded: unrecorded.iter().map(|unrecorded| unrecorded.contacts).sum(),
            unrecorded,
        }
    }
}

fn percent(used: u64, most: u64) -> u64 {
    let percent = u128::from(used) * 100 / u128::from(most.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

impl Budgets {
    /// Writes them for a person.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (Some(destinations), Some(disk)) = (&self.destinations, &self.disk) else {
            return writeln!(out, "budgets      no run has said yet what it goes by");
        };
        writeln!(out, "budgets")?;
        writeln!(
            out,
            "  destinations       {} pairs of the workload that has most, {} % of {}; at the limit: {}",
            destinations.most_pairs,
            destinations.percent,
            destinations.limit,
            destinations.full.len()
        )?;
        for full in destinations.full.iter().take(LISTED) {
            writeln!(out, "    {}: {} pairs", plain(&full.workload), full.pairs)?;
        }
        writeln!(
            out,
            "  disk               {} octets, {} % of {}: {} pairs, {} alerts",
            disk.octets, disk.percent, disk.limit, disk.pairs, disk.alerts
        )?;
        writeln!(out, "  contacts not recorded {}", self.contacts_unrecorded)?;
        for unrecorded in self.unrecorded.iter().take(LISTED) {
            writeln!(
                out,
                "    {}: {}, the last at {}",
                plain(&unrecorded.workload),
                unrecorded.contacts,
                unrecorded.latest
            )?;
        }
        Ok(())
    }
}
