//! The engine in this process, without threads and without a ledger on disk.

use std::sync::Arc;

use firstcontact::destination::Aggregation;
use firstcontact::engine::{DecodeReport, Judge, Limits, Mark, Packets, Records, Report, Setup, Worker, WorkerSetup};
use firstcontact::identity::Network;
use firstcontact::model::{
    AlertId, AlertRecord, BaselineMode, Counter, Counters, JournalRow, Ledger, LedgerError, NameRow, NameView,
    NameWriter, Opening, Packet, PairChange, PairKeyView, PairView, Policy, PortSet, SavedNames, Span, StoredPage,
    StoredPair, Timestamp, WorkloadId,
};
use firstcontact::names::Names;

/// A ledger that holds nothing: the judge keeps what it decided in memory.
struct Nothing;

impl Ledger for Nothing {
    fn opening(&self) -> Result<Opening, LedgerError> {
        Ok(Opening::default())
    }

    fn journal(&self, _: &mut dyn FnMut(u64, Vec<PairChange>)) -> Result<(), LedgerError> {
        Ok(())
    }

    fn names(&self, _: Timestamp, _: Timestamp) -> Result<SavedNames, LedgerError> {
        Ok(SavedNames::default())
    }

    fn name_writer(&self) -> Box<dyn NameWriter> {
        Box::new(Self)
    }

    fn end_names(&self, _: &mut NameRow, _: &dyn Fn(firstcontact::model::Segment) -> Arc<str>) {}

    fn pages(&self, _: WorkloadId) -> Result<Vec<StoredPage>, LedgerError> {
        Ok(Vec::new())
    }

    fn slots(&self, _: &StoredPage, _: &mut dyn FnMut(u32, PairKeyView<'_>)) -> Result<(), LedgerError> {
        Ok(())
    }

    fn pairs(&self, _: &StoredPage, _: Option<u32>, _: &mut dyn FnMut(StoredPair)) -> Result<(), LedgerError> {
        Ok(())
    }

    fn add_to_journal(&self, row: &mut JournalRow, _: PairView<'_>) {
        row.octets.push(0);
    }

    fn page_row(&self, _: u64, _: &mut dyn Iterator<Item = PairView<'_>>) -> Vec<u8> {
        Vec::new()
    }

    fn holders(&self, _: u64) -> Result<Vec<WorkloadId>, LedgerError> {
        Ok(Vec::new())
    }

    fn alert(&self, _: AlertId) -> Result<Option<AlertRecord>, LedgerError> {
        Ok(None)
    }
}

impl NameWriter for Nothing {
    fn add(&mut self, _: &NameView<'_>) {}

    fn take(&mut self) -> Vec<NameRow> {
        Vec::new()
    }

    fn reuse(&mut self, _: Vec<u8>) {}
}

/// The engine with some workers, without threads. `turn` chooses in which order workers write names and report.
pub struct Engine {
    workers: Vec<Worker>,
    /// Reports of the epoch before, for the next.
    spare: Vec<Report>,
    judge: Judge,
    turn: usize,
    /// Alerts, records and events, as text.
    pub given: Vec<String>,
    pub counters: Counters,
    records: Records,
}

impl Engine {
    /// Returns an engine that keeps alerts, records and events as text if records are wanted.
    pub fn new(workers: usize, turn: usize, records: Records) -> Self {
        let mut policy = Policy::default();
        policy.baseline.learning = Span::ZERO;
        policy.baseline.learning_new = Span::ZERO;
        policy.baseline.mode = BaselineMode::Judge;
        let network = Arc::new(Network::new(&policy.network));
        let limits = Limits::of(1 << 20);
        let names = Arc::new(Names::new());
        let setup = WorkerSetup {
            network: Arc::clone(&network),
            dns_ports: PortSet::new(&policy.network.dns_ports),
            settle: policy.names.settle,
            limits,
            records,
            names: Arc::clone(&names),
            ledger: Arc::new(Nothing),
        };
        let judge = Judge::new(Setup {
            aggregation: Aggregation::new(&policy).expect("the built-in rules"),
            policy,
            network,
            limits,
            records,
            ledger: Arc::new(Nothing),
            names: Arc::clone(&names),
        });
        Self {
            workers: (0..workers).map(|n| Worker::new(n, workers, setup.clone())).collect(),
            spare: Vec::new(),
            judge: judge.expect("an empty ledger can be read"),
            turn,
            given: Vec::new(),
            counters: Counters::default(),
            records,
        }
    }
}

impl Packets for Engine {
    fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]) {
        let worker = partition % self.workers.len();
        self.workers[worker].packet(partition, packet, payload);
    }

    fn mark(&mut self, mark: Mark, report: DecodeReport) {
        self.workers.iter_mut().for_each(|worker| worker.end_epoch(&mark));
        let count = self.workers.len();
        let order = (0..count).map(|n| (n + self.turn) % count);
        let mut reports: Vec<Report> = order
            .map(|n| self.workers[n].report(self.spare.pop().unwrap_or_default()))
            .collect();
        let mut outcomes = Vec::new();
        let hand_over = &mut |outcome| outcomes.push(outcome);
        let last = self.judge.epoch(&mark, report, &mut reports, hand_over);
        outcomes.push(last.expect("nothing is read"));
        reports.iter_mut().for_each(Report::clear);
        self.spare = reports;
        for outcome in outcomes {
            self.counters.merge(&outcome.counters);
            if self.records == Records::NotWanted {
                continue;
            }
            let alerts = outcome.batch.deliver.iter().map(|alert| format!("{alert:?}"));
            self.given.extend(alerts);
            self.given
                .extend(outcome.records.iter().map(|record| format!("{record:?}")));
            self.given
                .extend(outcome.events.iter().map(|event| format!("{event:?}")));
        }
    }
}

/// Holds the sums of docs/counters.md.
pub fn assert_balanced(counters: &Counters, frames: usize) {
    let given = counters.get(Counter::Packets) + counters.get(Counter::FragmentsJoined);
    let sum = given + counters.malformed() + counters.ignored();
    assert_eq!(counters.get(Counter::Frames), frames as u64);
    assert_eq!(sum, frames as u64);
    let flows = [
        Counter::FlowsCandidates,
        Counter::FlowsInternal,
        Counter::FlowsInbound,
        Counter::FlowsExternal,
        Counter::FlowsNeither,
    ];
    let flows: u64 = flows.into_iter().map(|counter| counters.get(counter)).sum();
    assert_eq!(counters.get(Counter::Flows), flows);
    let verdicts = [
        Counter::ContactsKnown,
        Counter::ContactsNew,
        Counter::ContactsLearned,
        Counter::ContactsAttempt,
        Counter::ContactsResolver,
        Counter::ContactsBurst,
    ];
    let verdicts: u64 = verdicts.into_iter().map(|counter| counters.get(counter)).sum();
    assert_eq!(counters.get(Counter::Contacts), verdicts);
    let responses = counters.get(Counter::DnsMatched) + counters.get(Counter::DnsUnmatched);
    assert_eq!(counters.get(Counter::DnsResponses), responses);
}
