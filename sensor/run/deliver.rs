//! Delivery: what is committed goes to each sink, in order, at least once (rule A4).
//!
//! Each sink has a thread and a position in the ledger. The position moves once the sink has flushed; what a sink does
//! not take stays in the ledger for the next run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

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
    threads: Vec<JoinHandle<Result<Option<String>, LedgerError>>>,
    notice: Notice,
    is_ending: Arc<AtomicBool>,
    store: Arc<Store>,
}

impl Deliveries {
    /// Starts a thread for each sink. A sink that is new starts from now; one that the ledger knows, from its position.
    pub fn start(store: &Arc<Store>, sinks: Vec<Box<dyn Sink>>, persistence: Persistence) -> Result<Self, RunError> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let mut notices = Vec::new();
        for sink in sinks {
            let position = match store.position(sink.name())? {
                Some(position) => position,
                None => {
                    store.set_position(sink.name(), store.outbox_end())?;
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
                is_ending: Arc::clone(&is_ending),
            };
            threads.push(spawn("deliver".to_owned(), move || delivery.run(&notice))?);
        }
        Ok(Self {
            threads,
            notice: Notice(notices),
            is_ending,
            store: Arc::clone(store),
        })
    }

    pub fn notice(&self) -> Notice {
        self.notice.clone()
    }

    /// Waits until everything is delivered or given up; returns what each sink that gave up says.
    pub fn finish(self) -> Result<Vec<String>, RunError> {
        self.is_ending.store(true, Ordering::Release);
        self.notice.give();
        drop(self.notice);
        let mut undelivered = Vec::new();
        for thread in self.threads {
            undelivered.extend(thread.join().map_err(|_| RunError::Panicked("deliver"))??);
        }
        let positions = self.store.positions()?;
        let taken = positions.iter().map(|(_, position)| *position).min();
        let dropped = self
            .store
            .trim_outbox(taken.unwrap_or_else(|| self.store.outbox_end()), KEPT_LINES)?;
        if dropped > 0 {
            tracing::warn!("{dropped} alerts were not taken by every sink in time and are no longer kept for delivery");
        }
        self.store.sync()?;
        Ok(undelivered)
    }
}

/// One sink's delivery.
struct Delivery {
    store: Arc<Store>,
    sink: Box<dyn Sink>,
    position: u64,
    persistence: Persistence,
    is_ending: Arc<AtomicBool>,
}

impl Delivery {
    /// Delivers until the run ends; returns why lines are left, if any are.
    fn run(mut self, notice: &Receiver<()>) -> Result<Option<String>, LedgerError> {
        let mut failures = 0;
        let mut pause = FIRST_PAUSE;
        let mut is_open = true;
        loop {
            if is_open {
                let told = if failures == 0 {
                    notice.recv().map_err(|_| RecvTimeoutError::Disconnected)
                } else {
                    notice.recv_timeout(pause)
                };
                is_open = !matches!(told, Err(RecvTimeoutError::Disconnected));
            } else if failures > 0 {
                std::thread::sleep(pause);
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
                        let left = self.store.outbox_end().saturating_sub(self.position);
                        return Ok(Some(format!(
                            "{error}; {left} lines stay in the ledger and are delivered next time"
                        )));
                    }
                    if failures == 1 {
                        tracing::warn!("{error}; trying again");
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
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
            if self.is_ending.load(Ordering::Acquire) && lines.len() < CHUNK {
                return Ok(Ok(()));
            }
        }
    }
}
