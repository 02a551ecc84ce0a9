//! A worker: the partitions that one thread serves, and what they tell the judge.

use std::sync::Arc;

use crate::flow::FlowReport;
use crate::identity::Network;
use crate::model::{Counter, Counters, NameRecord, Packet, Segment};
use crate::names::{Interner, Names};

use super::limits::Limits;
use super::partition::PARTITIONS;
use super::report::{Ending, Mark, Report};

mod dns;
mod part;

use part::Part;

/// Whether the run writes `--records`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// They are written.
    Wanted,
    /// They are not, and nothing is kept for them.
    NotWanted,
}

/// What a worker is made with.
#[derive(Debug, Clone)]
pub struct WorkerSetup {
    /// What is internal.
    pub network: Arc<Network>,
    /// Ports that carry DNS.
    pub dns_ports: Arc<[u16]>,
    /// Limits of the tables.
    pub limits: Limits,
    /// Whether records are written.
    pub records: Records,
}

/// What the partitions of a worker share.
#[derive(Debug)]
struct Shared {
    setup: WorkerSetup,
    interner: Interner,
    /// Evidence of this epoch, written at its mark.
    found: Vec<NameRecord>,
    report: Report,
}

/// One worker.
#[derive(Debug)]
pub struct Worker {
    parts: Vec<Option<Part>>,
    shared: Shared,
}

impl Worker {
    /// Returns worker `index` of `workers`: it serves the partitions `p` with `p % workers == index`.
    #[must_use]
    pub fn new(index: usize, workers: usize, setup: WorkerSetup) -> Self {
        let workers = workers.max(1);
        let part = |p: usize| (p % workers == index).then(|| Part::new(&setup));
        Self {
            parts: (0..PARTITIONS).map(part).collect(),
            shared: Shared {
                setup,
                interner: Interner::default(),
                found: Vec::new(),
                report: Report::default(),
            },
        }
    }

    /// Takes a packet of one of the worker's partitions, with the payload that the decoder handed on.
    pub fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]) {
        if let Some(Some(part)) = self.parts.get_mut(partition) {
            part.packet(packet, payload, &mut self.shared);
        }
    }

    /// Ends an epoch in every partition.
    pub fn end_epoch(&mut self, mark: &Mark) {
        for part in self.parts.iter_mut().flatten() {
            let flows = part.end_epoch(mark, &mut self.shared.report.counters);
            self.shared.take_flows(flows);
        }
    }

    /// Writes what the epoch's answers gave and returns the report. Only to be called once the judge is done with the
    /// epoch before: it reads the names while nobody writes.
    pub fn report(&mut self, names: &Names) -> Report {
        let Shared { found, report, .. } = &mut self.shared;
        report.answered.extend(found.iter().map(|piece| piece.address));
        names.write(found, |record| report.save.push(record));
        found.clear();
        std::mem::take(&mut self.shared.report)
    }
}

impl Shared {
    fn take_flows(&mut self, flows: FlowReport) {
        let report = &mut self.report;
        let ends = |updates: &[crate::flow::FlowUpdate]| updates.iter().filter(|update| update.end.is_some()).count();
        let ended = ends(&flows.candidates) + ends(&flows.others_ended);
        report.counters.add(Counter::FlowsEnded, ended as u64);
        report.counters.add(Counter::FlowsEvicted, flows.evicted);
        report.candidates.extend(flows.candidates);
        if self.setup.records == Records::Wanted {
            report.ended.extend(flows.others_ended);
        }
    }

    /// Counts a flow of a segment, and whether both its ends are outside (rule S1).
    fn count_opened(&mut self, segment: Segment, is_external: bool) {
        let external = u64::from(is_external);
        match self.report.opened.iter_mut().find(|opened| opened.0 == segment) {
            Some(opened) => {
                opened.1 += 1;
                opened.2 += external;
            }
            None => self.report.opened.push((segment, 1, external)),
        }
    }
}

/// Ends the tables of a partition as a mark says.
fn end_flows(table: &mut crate::flow::FlowTable, mark: &Mark) -> FlowReport {
    match mark.ending {
        Ending::Epoch => table.mark(mark.now),
        Ending::Stretch(_) => table.time_step(),
        Ending::Input | Ending::Run => table.finish(),
    }
}

/// Adds one partition's flows to another's.
fn join(mut all: FlowReport, more: FlowReport) -> FlowReport {
    all.candidates.extend(more.candidates);
    all.others_ended.extend(more.others_ended);
    all.evicted += more.evicted;
    all
}

/// Counts a flow by where its ends are.
fn count_flow(counters: &mut Counters, counter: Counter) {
    counters.count(Counter::Flows);
    counters.count(counter);
}
