//! The judge: the one stage that decides, in order (ARCHITECTURE.md).
//!
//! It takes an epoch's reports at once: first the facts of all partitions, then answers that need a decision, then
//! contacts in the order of their arrival. It writes nothing; each epoch gives one batch for the ledger.

mod alerts;
mod alike;
mod answers;
mod bursts;
mod contacts;
mod decide;
mod epoch;
mod facts;
mod follow;
mod full;
mod judged;
mod loss;
mod naming;
mod near;
mod novelty;
mod open;
mod originator;
mod outside;
mod record;
mod records;
mod registry;
mod resume;
mod room;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use hashbrown::HashMap;

use crate::alerting::{Budget, alert_id};
use crate::baseline::Baseline;
use crate::destination::Aggregation;
use crate::identity::{Locality, Network, Workloads};
use crate::model::{
    Address, AlertId, Batch, Counters, DailyRound, DestinationKeys, Event, JudgeState, Ledger, LedgerError, Policy,
    Provenance, RecentEpochs, Record, ResolverState, Segment, SourceReport, Span, Timestamp, WorkloadKey,
};
use crate::names::Names;

use super::limits::Limits;
use super::report::SegmentTexts;
use super::worker::Records;
use contacts::{Contact, Contacts};
use facts::Facts;
use loss::Loss;
use novelty::NewThing;
pub(super) use originator::class as port_class;
use registry::{Registry, Who};

/// What the judge is made with.
pub struct Setup {
    /// The settings.
    pub policy: Policy,
    /// What is internal.
    pub network: Arc<Network>,
    /// How names become destinations.
    pub aggregation: Aggregation,
    /// Limits of the tables.
    pub limits: Limits,
    /// Whether records are written.
    pub records: Records,
    /// What is read; writing is somebody else's.
    pub ledger: Arc<dyn Ledger + Sync>,
    /// The names that workers write.
    pub names: Arc<Names>,
}

/// How many outcomes may wait to be committed; the judge then waits. It holds what it raised in that many batches.
pub const UNCOMMITTED: usize = 64;

/// What an epoch gave, or a part of one.
#[derive(Debug)]
pub struct Outcome {
    /// What the ledger is to hold.
    pub batch: Batch,
    /// Lines of the records, if they are wanted.
    pub records: Vec<Record>,
    /// What is worth a line in the log.
    pub events: Vec<Event>,
    /// What was counted, by everybody.
    pub counters: Counters,
    /// What each source delivered in all; told at the end of the run.
    pub sources: Vec<SourceReport>,
}

impl Outcome {
    /// Returns an outcome that is nothing but a batch.
    #[must_use]
    pub fn of(batch: Batch) -> Self {
        Self {
            batch,
            records: Vec::new(),
            events: Vec::new(),
            counters: Counters::default(),
            sources: Vec::new(),
        }
    }

    fn new(sequence: u64, at: Timestamp) -> Self {
        Self::of(Batch::empty(sequence, at))
    }
}

/// The judge.
pub struct Judge {
    policy: Policy,
    network: Arc<Network>,
    rules: Workloads,
    aggregation: Aggregation,
    limits: Limits,
    records: Records,
    ledger: Arc<dyn Ledger + Sync>,
    names: Arc<Names>,
    baseline: Baseline,
    facts: Facts,
    loss: Loss,
    registry: Registry,
    contacts: Contacts,
    open: open::Open,
    budget: Budget,
    counted: bursts::Counted,
    burst_names: HashMap<u64, Arc<str>>,
    alike: alike::Alike,
    texts: SegmentTexts,
    resumed: resume::Resumed,
    has_saved_names: bool,
    detected: Vec<ResolverState>,
    full: full::Told,
    room: room::Told,
    outside: HashMap<Segment, outside::Outside, foldhash::quality::RandomState>,
    next_sequence: u64,
    /// When the last batches were.
    recent: RecentEpochs,
    round: DailyRound,
    last_expiry: Option<Timestamp>,
    /// Whether this is the run's last epoch.
    is_last: bool,
    out: Outcome,
}

impl Judge {
    /// Returns a judge that goes on where the ledger stands.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn new(setup: Setup) -> Result<Self, LedgerError> {
        let opening = setup.ledger.opening()?;
        let policy = setup.policy;
        let mut baseline = Baseline::new(policy.baseline.window, policy.baseline.retention, setup.limits.pairs);
        baseline.keep_within(Some(policy.baseline.limits()), opening.kept);
        baseline.begin(opening.next_sequence, opening.recent.least());
        baseline.resume(&*setup.ledger, opening.next_sequence)?;
        let mut judge = Self {
            rules: Workloads::new(&policy.workloads),
            registry: Registry::new(policy.baseline, opening.workloads, &opening.state, opening.at),
            network: setup.network,
            aggregation: setup.aggregation,
            limits: setup.limits,
            records: setup.records,
            ledger: setup.ledger,
            names: setup.names,
            baseline,
            facts: Facts::new(setup.limits.listening),
            loss: Loss::default(),
            contacts: Contacts::default(),
            open: open::Open::default(),
            budget: Budget::new(policy.baseline.alerts_a_minute),
            counted: bursts::Counted::default(),
            burst_names: HashMap::new(),
            alike: alike::Alike::default(),
            texts: SegmentTexts::default(),
            resumed: resume::Resumed::default(),
            is_last: false,
            has_saved_names: false,
            detected: Vec::new(),
            full: full::Told::default(),
            room: room::Told::default(),
            outside: HashMap::default(),
            next_sequence: opening.next_sequence,
            recent: opening.recent,
            round: DailyRound::default(),
            last_expiry: None,
            out: Outcome::new(opening.next_sequence, opening.at.unwrap_or_default()),
            policy,
        };
        judge.resume_counts(opening.counted);
        judge.resume(opening.state, &opening.pending, &opening.open)?;
        Ok(judge)
    }

    fn is_internal(&self, address: Address) -> bool {
        self.network.locality(address) == Locality::Internal
    }

    /// Returns a segment as records write it.
    fn text_of(&self, segment: Segment) -> Arc<str> {
        self.texts.text(segment)
    }

    /// Returns what a name is aggregated to.
    fn destination<'a>(&self, provenance: &'a Provenance) -> &'a DestinationKeys {
        provenance.destination(|name| self.aggregation.destination(name))
    }

    fn workload_name(&self, who: Who, address: Address) -> String {
        match self.registry.record(who.id).map(|record| &record.key) {
            Some(WorkloadKey::Named(name)) => name.to_string(),
            Some(WorkloadKey::Address(_, address)) => address.to_string(),
            None => address.to_string(),
        }
    }

    fn alert_id(&self, new: &NewThing<'_>, who: Who, ts: Timestamp) -> AlertId {
        let nobody = WorkloadKey::Named(Arc::from(""));
        let key = self.registry.record(who.id).map_or(&nobody, |record| &record.key);
        alert_id(new.kind, key, &new.key.text(), ts)
    }

    /// Returns who the originator of a contact is; a workload that is new gets its number.
    fn who(&mut self, contact: &Contact) -> Who {
        let address = contact.originator.ip;
        if let Some(who) = self.registry.found(contact.segment, address) {
            return who;
        }
        let text = self.text_of(contact.segment);
        let (who, is_new) = self
            .registry
            .who(&self.rules, contact.segment, &text, address, contact.first);
        if is_new {
            self.baseline.add_workload(who.id);
        }
        self.note_originator(contact.segment, address, contact.first);
        who
    }

    /// Takes memory that a journal row took before, so that the next ones need no fresh one.
    pub fn reuse(&mut self, octets: Vec<u8>) {
        self.baseline.reuse(octets);
    }

    /// Returns the batches that hold what memory has and the ledger has not; to be committed last.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn finish(&mut self) -> Result<Vec<Batch>, LedgerError> {
        /// Pairs in one batch: a few megabytes.
        const STEP: usize = 1 << 15;
        let mut batches = Vec::new();
        loop {
            let sequence = self.next_sequence;
            self.baseline.begin(sequence, self.recent.least());
            let Some((journal, folded)) = self.baseline.finish(&*self.ledger, STEP)? else {
                return Ok(batches);
            };
            self.next_sequence += 1;
            let mut batch = Batch::empty(sequence, self.out.batch.at);
            batch.journal = journal;
            batch.pages = folded.pages;
            batch.folded_through = folded.through;
            batch.holders = folded.holders;
            batches.push(batch);
        }
    }

    /// Ends the judge at the end of a run. The process soon ends as well, so that freeing millions of names and pairs one by
    /// one helps nobody; but the ledger has to be closed.
    pub fn leave(mut self) {
        std::mem::forget(std::mem::replace(
            &mut self.baseline,
            Baseline::new(Span::ZERO, Span::ZERO, 0),
        ));
        std::mem::forget(Arc::clone(&self.names));
    }

    /// Returns the judge's state for the ledger.
    fn state(&self) -> JudgeState {
        JudgeState {
            segments: self.registry.segments(),
            resolvers: self.detected.clone(),
        }
    }

    /// Returns the instant before which what is expired was last of use (rule B5).
    fn cutoff(&self) -> Timestamp {
        self.recent.least().minus(self.policy.baseline.retention)
    }

    /// How long a contact waits.
    const fn settle(&self) -> Span {
        self.policy.names.settle
    }
}
