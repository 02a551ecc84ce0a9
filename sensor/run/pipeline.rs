//! The threads of a run and what joins them (ARCHITECTURE.md).
//!
//! The caller's thread captures and decodes. Workers take batches of packets; the judge takes their reports, epoch by
//! epoch; the commit thread writes; each sink has a thread that delivers what is committed. Channels are bounded, and
//! when one end fails the others find theirs closed and stop in order.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::destination::Aggregation;
use crate::engine::{
    DecodeReport, Ending, Judge, Judged, Limits, Mark, Records, Report, Setup, UNCOMMITTED, Worker, WorkerSetup,
};
use crate::identity::Network;
use crate::model::{Batch, Counters, Policy, PortSet, SourceReport};
use crate::names::Names;
use crate::sinks::RecordFiles;
use crate::store::Store;

use super::deliver::{Deliveries, OpenSink, Persistence};
use super::error::RunError;
use super::files::FileNumbers;
use super::outbox::Outbox;
use super::queue::{Fan, QUEUE, WhenFull, Work, give_back};

/// How many packets a worker looks ahead at once: what is brought near for them has to stay near.
const AHEAD: usize = 16;

/// A batch without an alert is on disk after this long at the latest.
const SYNC_EVERY: Duration = Duration::from_secs(10);
/// Epochs whose marks may wait for the judge.
const MARKS: usize = 64;
/// Batches that were written and whose memory waits to be filled anew.
const SPENT: usize = 4;

/// What a run is made with.
pub(super) struct Parts {
    pub policy: Policy,
    pub store: Arc<Store>,
    pub threads: usize,
    pub records: Option<RecordFiles>,
    pub sinks: Vec<OpenSink>,
    pub kept_lines: u64,
    pub when_full: WhenFull,
    pub persistence: Persistence,
    /// Names of the capture files, to be shown in records when there are several.
    pub files: FileNumbers,
}

/// What a run counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// Everything that was counted.
    pub counters: Counters,
    /// What each source delivered.
    pub sources: Vec<SourceReport>,
    /// Alerts that no sink took within the run; they stay in the ledger.
    pub undelivered: Vec<String>,
}

impl Tally {
    /// Returns counters and sources as one object.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut all = self.counters.to_json();
        if let (Some(all), Ok(sources)) = (all.as_object_mut(), serde_json::to_value(&self.sources)) {
            all.insert("sources".to_owned(), sources);
        }
        all
    }
}

/// A running pipeline.
pub(super) struct Pipeline {
    workers: Vec<JoinHandle<()>>,
    judge: JoinHandle<Result<(), RunError>>,
    commit: JoinHandle<Result<(Counters, Vec<SourceReport>), RunError>>,
    tidy: JoinHandle<Result<(), RunError>>,
    deliveries: Deliveries,
}

impl Pipeline {
    /// Starts the threads; returns where packets go.
    pub fn start(parts: Parts) -> Result<(Self, Fan), RunError> {
        let threads = parts.threads.max(1);
        let names = Arc::new(Names::new());
        let network = Arc::new(Network::new(&parts.policy.network));
        let limits = Limits::of(parts.policy.memory);
        let records = if parts.records.is_some() {
            Records::Wanted
        } else {
            Records::NotWanted
        };
        let outbox = Outbox::new(Arc::clone(&parts.store), parts.persistence, parts.kept_lines);
        let deliveries = Deliveries::start(outbox, parts.sinks)?;
        let judge = Judge::new(Setup {
            aggregation: Aggregation::new(&parts.policy).map_err(RunError::Aggregation)?,
            network: Arc::clone(&network),
            limits,
            records,
            ledger: Arc::clone(&parts.store) as _,
            names: Arc::clone(&names),
            policy: parts.policy.clone(),
        })?;
        let setup = WorkerSetup {
            network,
            dns_ports: PortSet::new(&parts.policy.network.dns_ports),
            settle: parts.policy.names.settle,
            limits,
            records,
            names: Arc::clone(&names),
            ledger: Arc::clone(&parts.store) as _,
        };
        let (used, reused) = bounded(QUEUE);
        let mut inputs = Vec::new();
        let mut ends = Vec::new();
        let mut workers = Vec::new();
        for index in 0..threads {
            let (work, todo) = bounded(QUEUE);
            let (report, reports) = bounded(1);
            let (turn, turns) = bounded(1);
            // The first epoch has none before it.
            let _ = turn.send(Report::default());
            let worker = Worker::new(index, threads, setup.clone());
            let used = used.clone();
            workers.push(spawn(format!("worker-{index}"), move || {
                serve(worker, &todo, &used, &turns, &report);
            })?);
            inputs.push(work);
            ends.push((reports, turn));
        }
        let (marks, marked) = bounded(MARKS);
        let (decided, decisions) = bounded(UNCOMMITTED);
        let (committed, spent) = bounded(SPENT);
        let judge = spawn("judge".to_owned(), move || {
            preside(judge, &marked, &ends, &decided, &spent)
        })?;
        let (untidy, to_tidy) = bounded(1);
        let tidied = Arc::clone(&parts.store);
        let tidy = spawn("tidy".to_owned(), move || tidy(&tidied, &to_tidy))?;
        let (store, notice, outbox) = (Arc::clone(&parts.store), deliveries.notice(), deliveries.outbox());
        let keeper = Keeper {
            store,
            records: parts.records,
            files: parts.files,
            counters: Counters::default(),
            sources: Vec::new(),
            notice,
            outbox,
            committed,
            untidy,
        };
        let commit = spawn("commit".to_owned(), move || keeper.keep(&decisions))?;
        let fan = Fan::new(inputs, reused, marks, parts.when_full);
        let pipeline = Self {
            workers,
            judge,
            commit,
            tidy,
            deliveries,
        };
        Ok((pipeline, fan))
    }

    /// Waits for everything that was sent to be judged, committed and delivered.
    pub fn finish(self, fan: Fan) -> Result<Tally, RunError> {
        drop(fan);
        for worker in self.workers {
            worker.join().map_err(|_| RunError::Panicked("worker"))?;
        }
        let judged = self.judge.join().map_err(|_| RunError::Panicked("judge"))?;
        let committed = self.commit.join().map_err(|_| RunError::Panicked("commit"))?;
        let tidied = self.tidy.join().map_err(|_| RunError::Panicked("tidy"))?;
        let undelivered = self.deliveries.finish();
        // When the disk fails all of them do, and the first of these knows best why.
        judged?;
        let (counters, sources) = committed?;
        tidied?;
        Ok(Tally {
            counters,
            sources,
            undelivered: undelivered?,
        })
    }
}

pub(super) fn spawn<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, RunError> {
    Builder::new().name(name).spawn(work).map_err(RunError::Thread)
}

/// A worker's thread.
fn serve(
    mut worker: Worker,
    todo: &Receiver<Work>,
    used: &Sender<Box<super::queue::PacketBatch>>,
    turns: &Receiver<Report>,
    reports: &Sender<Report>,
) {
    for work in todo {
        match work {
            Work::Packets(batch) => {
                for few in batch.few(AHEAD) {
                    worker.look_ahead(few.clone().map(|(partition, packet, _)| (partition, packet)));
                    for (partition, packet, payload) in few {
                        worker.packet(partition, packet, payload);
                    }
                }
                give_back(batch, used);
            }
            Work::Mark(mark) => {
                worker.end_epoch(&mark);
                // Names may be written once the judge is done with the epoch before; it gives that one's report back.
                let Ok(spare) = turns.recv() else { return };
                if reports.send(worker.report(spare)).is_err() {
                    return;
                }
            }
        }
    }
}

/// The judge's thread.
fn preside(
    mut judge: Judge,
    marks: &Receiver<(Mark, DecodeReport)>,
    workers: &[(Receiver<Report>, Sender<Report>)],
    decided: &Sender<Judged>,
    spent: &Receiver<Batch>,
) -> Result<(), RunError> {
    for (mark, decoded) in marks {
        let mut reports = Vec::with_capacity(workers.len());
        for (report, _) in workers {
            match report.recv() {
                Ok(report) => reports.push(report),
                Err(_) => return Err(RunError::Panicked("worker")),
            }
        }
        let mut is_broken = false;
        let outcome = judge.epoch(&mark, decoded, &mut reports, &mut |outcome| {
            is_broken |= decided.send(outcome).is_err();
        })?;
        let mut spare = Vec::new();
        for batch in spent.try_iter() {
            judge.reuse(batch.journal);
            spare.extend(batch.names.rows.into_iter().map(|row| row.octets));
        }
        for (mut report, (_, turn)) in reports.into_iter().zip(workers) {
            report.clear();
            report.spare.extend(spare.pop());
            let _ = turn.send(report);
        }
        if is_broken || decided.send(outcome).is_err() {
            // The commit thread says why it stopped.
            return Ok(());
        }
        if matches!(mark.ending, Ending::Input | Ending::Run) {
            for batch in judge.finish()? {
                if decided.send(Judged::of(batch)).is_err() {
                    return Ok(());
                }
            }
            judge.leave();
            return Ok(());
        }
    }
    Ok(())
}

/// The thread that frees the disk of what is expired, beside the commits.
fn tidy(store: &Store, untidy: &Receiver<()>) -> Result<(), RunError> {
    for () in untidy {
        store.tidy()?;
    }
    Ok(())
}

/// The commit thread: the only one that writes what the judge decided.
struct Keeper {
    store: Arc<Store>,
    records: Option<RecordFiles>,
    files: FileNumbers,
    counters: Counters,
    sources: Vec<SourceReport>,
    notice: super::deliver::Notice,
    outbox: Outbox,
    /// Where batches go when they are written: to fill memory anew costs less than to ask the system for fresh one.
    committed: Sender<Batch>,
    /// Tells that something is expired; what is told while the disk is being freed waits.
    untidy: Sender<()>,
}

impl Keeper {
    fn keep(mut self, decisions: &Receiver<Judged>) -> Result<(Counters, Vec<SourceReport>), RunError> {
        let mut synced = Instant::now();
        loop {
            match decisions.recv_timeout(SYNC_EVERY) {
                Ok(outcome) => self.take(outcome)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.notice.has_failed() {
                // Alerts that nobody is told of are not to pile up in silence: the run ends with what that thread says.
                break;
            }
            if synced.elapsed() >= SYNC_EVERY {
                self.store.sync()?;
                self.outbox.trim()?;
                synced = Instant::now();
            }
        }
        self.store.sync()?;
        if let Some(records) = self.records {
            records.finish()?;
        }
        Ok((self.counters, self.sources))
    }

    fn take(&mut self, outcome: Judged) -> Result<(), RunError> {
        let Judged {
            batch,
            records,
            events,
            counters,
            sources,
        } = outcome;
        if !sources.is_empty() {
            self.sources = sources;
        }
        if !batch.is_empty() {
            self.store.commit(&batch)?;
            if self.store.is_untidy() {
                let _ = self.untidy.try_send(());
            }
            if !batch.deliver.is_empty() {
                self.notice.give();
                self.outbox.wait();
            }
            // If nobody has taken the last ones yet there is memory enough.
            let _ = self.committed.try_send(batch);
        }
        self.counters.merge(&counters);
        for event in events {
            tracing::info!(event = event.kind.name(), ts = %event.ts, "{}", event.text);
        }
        if let Some(files) = &mut self.records {
            for mut record in records {
                self.files.number(&mut record)?;
                files.write(&record)?;
            }
        }
        Ok(())
    }
}
