//! Delivery: what is committed goes to each sink, in order, at least once (rule A4).
//!
//! Each sink has a thread and a position in the ledger. The position moves once the sink has flushed; what a sink does
//! not take stays in the ledger for the next run.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::model::{LedgerError, Sink, SinkError};
use crate::sinks::{ALERTS, is_reader_gone};
use crate::store::Store;

use super::error::RunError;
use super::pipeline::spawn;

/// Lines that are read from the ledger at once.
const CHUNK: usize = 256;
/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Lines that the ledger keeps for sinks that do not take them; older ones are dropped, counted and reported.
const KEPT_LINES: u64 = 100_000;

/// How long a sink is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// For good; when the run ends, once more.
    Forever,
    /// So many times in a row.
    Tries(u32),
}

/// Tells every sink's thread that something was committed.
#[derive(Debug, Clone)]
pub(super) struct Notice(Vec<Sender<()>>);

impl Notice {
    /// Tells it; a thread that has been told already need not be told again.
    pub fn give(&self) {
        for sender in &self.0 {
            let _ = sender.try_send(());
        }
    }
}

/// The threads that deliver.
pub(super) struct Deliveries {
    threads: Vec<(String, DeliveryThread)>,
    notice: Notice,
    outbox: Outbox,
}

/// Ends with why lines are left, if any are.
type DeliveryThread = JoinHandle<Result<Option<SinkError>, LedgerError>>;

/// The lines in the ledger, seen by those who look after their number.
#[derive(Clone)]
pub(super) struct Outbox {
    store: Arc<Store>,
    sinks: Vec<String>,
}

impl Outbox {
    /// Deletes lines that every sink of this run took, and the oldest of the others if there are too many.
    pub fn trim(&self) -> Result<(), LedgerError> {
        let mut taken = self.store.outbox_end();
        for sink in &self.sinks {
            taken = taken.min(self.store.position(sink)?.unwrap_or(0));
        }
        let dropped = self.store.trim_outbox(taken, KEPT_LINES)?;
        if dropped > 0 {
            tracing::warn!("{dropped} alerts were not taken by every sink in time and are no longer kept for delivery");
        }
        Ok(())
    }
}

impl Deliveries {
    /// Starts a thread for each sink. A sink that is new starts from now; one that the ledger knows, from its position.
    pub fn start(store: &Arc<Store>, sinks: Vec<Box<dyn Sink>>, persistence: Persistence) -> Result<Self, RunError> {
        let mut threads = Vec::new();
        let mut notices = Vec::new();
        for sink in sinks {
            let name = sink.name().to_owned();
            let position = match store.position(&name)? {
                Some(position) => position,
                None => {
                    store.set_position(&name, store.outbox_end())?;
                    store.outbox_end()
                }
            };
            let (give, notice) = bounded(1);
            // What an earlier run left is delivered at once.
            let _ = give.send(());
            notices.push(give);
            let delivery = Delivery {
                store: Arc::clone(store),
                sink,
                position,
                persistence,
            };
            threads.push((name, spawn("deliver".to_owned(), move || delivery.run(&notice))?));
        }
        let outbox = Outbox {
            store: Arc::clone(store),
            sinks: threads.iter().map(|(name, _)| name.clone()).collect(),
        };
        Ok(Self {
            threads,
            notice: Notice(notices),
            outbox,
        })
    }

    pub fn notice(&self) -> Notice {
        self.notice.clone()
    }

    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Waits until everything is delivered or given up; returns what each sink that gave up says.
    pub fn finish(self) -> Result<Vec<String>, RunError> {
        self.notice.give();
        drop(self.notice);
        let store = &self.outbox.store;
        let mut undelivered = Vec::new();
        for (name, thread) in self.threads {
            if let Some(error) = thread.join().map_err(|_| RunError::Panicked("deliver"))?? {
                let left = store.outbox_end().saturating_sub(store.position(&name)?.unwrap_or(0));
                let fate = if store.is_temporary() {
                    "lost with the temporary ledger; give --state to keep them"
                } else {
                    "kept in the ledger and delivered next time"
                };
                undelivered.push(format!("{error}; {left} undelivered lines are {fate}"));
            }
        }
        self.outbox.trim()?;
        store.sync()?;
        Ok(undelivered)
    }
}

/// One sink's delivery.
struct Delivery {
    store: Arc<Store>,
    sink: Box<dyn Sink>,
    position: u64,
    persistence: Persistence,
}

impl Delivery {
    /// Delivers until the run ends; returns why lines are left, if any are.
    fn run(mut self, notice: &Receiver<()>) -> Result<Option<SinkError>, LedgerError> {
        let mut failures = 0;
        let mut pause = FIRST_PAUSE;
        let mut is_open = true;
        loop {
            if failures > 0 {
                is_open = self.wait(notice, pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else if is_open {
                is_open = notice.recv().is_ok();
            }
            match self.drain()? {
                Ok(()) => {
                    failures = 0;
                    pause = FIRST_PAUSE;
                    if !is_open {
                        return Ok(None);
                    }
                }
                Err(error) if is_reader_gone(&error) && self.sink.name() == ALERTS => return Ok(None),
                Err(error) => {
                    failures += 1;
                    let is_last = match self.persistence {
                        Persistence::Forever => !is_open,
                        Persistence::Tries(most) => failures >= most,
                    };
                    if is_last {
                        return Ok(Some(error));
                    }
                    if failures == 1 {
                        tracing::warn!("{error}; trying again");
                    }
                }
            }
        }
    }

    /// Waits for the whole pause, whatever is committed meanwhile; says whether the run goes on. A sink that is tried for
    /// good is tried once more as soon as the run ends.
    fn wait(&self, notice: &Receiver<()>, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            match notice.recv_deadline(until) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => {
                    if self.persistence != Persistence::Forever {
                        std::thread::sleep(until.saturating_duration_since(Instant::now()));
                    }
                    return false;
                }
            }
        }
    }

    /// Delivers everything that is committed.
    fn drain(&mut self) -> Result<Result<(), SinkError>, LedgerError> {
        loop {
            let lines = self.store.outbox_after(self.position, CHUNK)?;
            let Some((last, _)) = lines.last() else {
                return Ok(Ok(()));
            };
            let last = *last;
            for (_, alert) in &lines {
                if let Err(error) = self.sink.deliver(alert) {
                    return Ok(Err(error));
                }
            }
            if let Err(error) = self.sink.flush() {
                return Ok(Err(error));
            }
            self.position = last;
            self.store.set_position(self.sink.name(), last)?;
        }
    }
}
