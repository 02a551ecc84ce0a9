//! Delivery: what is committed goes to each sink, in order, at least once (rule A4).
//!
//! Each sink has a thread and a position in the ledger. The sink says how far its receiver is, and the position follows;
//! what lies behind it stays in the ledger for the next try, or the next run.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use crate::model::{Alert, LedgerError, Sink, SinkError, SinkPosition, SinkStart};
use crate::sinks::{ALERTS, is_reader_gone};
use crate::store::Store;

use super::error::RunError;
use super::outbox::{Outbox, Taken};
use super::pipeline::spawn;

/// Lines that are read from the ledger at once.
pub(super) const CHUNK: usize = 256;
/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a sink with lines under way is looked after.
const STEP: Duration = Duration::from_millis(100);
/// How long a live run that ends waits for its sinks; service managers lose patience after 90 s or more.
const LAST: Duration = Duration::from_secs(20);

/// A sink, and where it begins if it is new to the ledger.
pub struct OpenSink {
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// With what it begins.
    pub from: SinkStart,
}

/// A sink that begins with the next alert.
impl<T: Sink + 'static> From<T> for OpenSink {
    fn from(sink: T) -> Self {
        Self {
            sink: Box::new(sink),
            from: SinkStart::Now,
        }
    }
}

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
pub(super) struct Notice {
    threads: Vec<Sender<()>>,
    has_failed: Arc<AtomicBool>,
}

impl Notice {
    /// Tells it; a thread that has been told already need not be told again.
    pub fn give(&self) {
        for sender in &self.threads {
            let _ = sender.try_send(());
        }
    }

    /// Says whether a thread ended because the ledger failed.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
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

impl Deliveries {
    /// Starts a thread for each sink. One that the ledger knows goes on from its position.
    pub fn start(mut outbox: Outbox, sinks: Vec<OpenSink>) -> Result<Self, RunError> {
        let mut threads = Vec::new();
        let mut notices = Vec::new();
        let has_failed = Arc::new(AtomicBool::new(false));
        let store = Arc::clone(outbox.store());
        for OpenSink { mut sink, from } in sinks {
            let name = sink.name().to_owned();
            let known = store.position(&name)?;
            let position = match known {
                Some(position) => position,
                None => outbox.begin(&name, from)?,
            };
            sink.resume(position)?;
            let position = sink.position();
            if known != Some(position) {
                store.set_position(&name, position)?;
            }
            let (give, notice) = bounded(1);
            // What an earlier run left is delivered at once.
            let _ = give.send(());
            notices.push(give);
            let delivery = Delivery {
                store: Arc::clone(&store),
                sink,
                persistence: outbox.persistence(),
                given: position.line,
                lines: VecDeque::new(),
                position,
                taken: outbox.add(&name, position.line),
                told: String::new(),
                end: None,
            };
            let failed = Arc::clone(&has_failed);
            let deliver = move || {
                let ended = delivery.run(&notice);
                failed.fetch_or(ended.is_err(), Ordering::AcqRel);
                ended
            };
            threads.push((name, spawn("deliver".to_owned(), deliver)?));
        }
        Ok(Self {
            threads,
            notice: Notice {
                threads: notices,
                has_failed,
            },
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
        let store = self.outbox.store();
        let mut undelivered = Vec::new();
        for (name, thread) in self.threads {
            if let Some(error) = thread.join().map_err(|_| RunError::Panicked("deliver"))?? {
                let position = store.position(&name)?.unwrap_or_default();
                let left = store.outbox_end().saturating_sub(position.line);
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

/// How much of what is committed a sink has been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handed {
    /// Everything.
    All,
    /// As much as it has room for.
    Full,
    /// A part, and it has room for more.
    Some,
}

/// One sink's delivery.
struct Delivery {
    store: Arc<Store>,
    sink: Box<dyn Sink>,
    persistence: Persistence,
    /// Lines that were read and not handed over yet.
    lines: VecDeque<(u64, Alert)>,
    /// The last line that was handed over.
    given: u64,
    /// The position as the ledger has it.
    position: SinkPosition,
    taken: Taken,
    /// What was said of the sink's last failure; each is said once.
    told: String,
    /// Once the run is over: when the last try ends.
    end: Option<Instant>,
}

impl Delivery {
    /// Delivers until the run ends; returns why lines are left, if any are.
    fn run(mut self, notice: &Receiver<()>) -> Result<Option<SinkError>, LedgerError> {
        let mut failures = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            let (started_at, is_last) = (self.position.line, self.end.is_some());
            let Err(error) = self.deliver(notice)? else {
                return Ok(None);
            };
            if is_reader_gone(&error) && self.sink.name() == ALERTS {
                return Ok(None);
            }
            // The sink begins again behind what is delivered.
            self.lines.clear();
            self.given = self.position.line;
            if self.position.line > started_at {
                (failures, pause) = (0, FIRST_PAUSE);
            }
            failures += 1;
            let is_given_up = match self.persistence {
                Persistence::Forever => is_last || self.is_late(),
                Persistence::Tries(most) => failures >= most,
            };
            if is_given_up {
                return Ok(Some(error));
            }
            let words = error.to_string();
            if words != self.told {
                tracing::warn!("{words}; trying again");
                self.told = words;
            }
            self.wait(notice, pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Delivers everything that is committed until the run is over, or until the sink fails.
    fn deliver(&mut self, notice: &Receiver<()>) -> Result<Result<(), SinkError>, LedgerError> {
        loop {
            let (handed, moved) = match self.hand_over()? {
                Ok(handed) => (handed, self.sink.turn(Duration::ZERO)),
                Err(error) => (Handed::Some, Err(error)),
            };
            self.keep_position()?;
            if let Err(error) = moved {
                return Ok(Err(error));
            }
            if handed == Handed::All && self.position.line >= self.given {
                if self.end.is_some() {
                    return Ok(Ok(()));
                }
                if notice.recv().is_err() {
                    self.end_run();
                }
                continue;
            }
            if handed == Handed::All && self.end.is_none() {
                // Lines are under way, and new ones are handed over as soon as they come.
                if notice.recv_timeout(STEP) == Err(RecvTimeoutError::Disconnected) {
                    self.end_run();
                }
                continue;
            }
            if self.end.is_none() && notice.try_recv() == Err(TryRecvError::Disconnected) {
                self.end_run();
            }
            if self.is_late() {
                let why = "the run ended before the receiver had read everything";
                return Ok(Err(SinkError {
                    sink: self.sink.name().to_owned(),
                    source: io::Error::new(io::ErrorKind::TimedOut, why),
                }));
            }
            if handed != Handed::Some {
                // The receiver has to move.
                let moved = self.sink.turn(STEP);
                self.keep_position()?;
                if let Err(error) = moved {
                    return Ok(Err(error));
                }
            }
        }
    }

    /// Hands over what the sink has room for, a chunk at most.
    fn hand_over(&mut self) -> Result<Result<Handed, SinkError>, LedgerError> {
        for _ in 0..CHUNK {
            if !self.sink.has_room() {
                return Ok(Ok(Handed::Full));
            }
            if self.lines.is_empty() {
                self.lines = self.store.outbox_after(self.given, CHUNK)?.into();
            }
            let Some((number, alert)) = self.lines.pop_front() else {
                if self.end.is_some() {
                    self.sink.end();
                }
                return Ok(Ok(Handed::All));
            };
            if let Err(error) = self.sink.deliver(number, &alert) {
                return Ok(Err(error));
            }
            self.given = number;
        }
        Ok(Ok(Handed::Some))
    }

    /// Keeps how far the sink is.
    fn keep_position(&mut self) -> Result<(), LedgerError> {
        let position = self.sink.position();
        if position != self.position {
            self.store.set_position(self.sink.name(), position)?;
            if !std::mem::take(&mut self.told).is_empty() {
                tracing::info!("{} takes alerts again", self.sink.name());
            }
            self.position = position;
            self.taken.set(position.line);
        }
        Ok(())
    }

    /// Waits for the whole pause, whatever is committed meanwhile. A sink that is tried for good is tried once more as soon
    /// as the run ends.
    fn wait(&mut self, notice: &Receiver<()>, pause: Duration) {
        let until = Instant::now() + pause;
        loop {
            match notice.recv_deadline(until) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    if self.persistence != Persistence::Forever {
                        std::thread::sleep(until.saturating_duration_since(Instant::now()));
                    }
                    self.end_run();
                    break;
                }
            }
        }
    }

    fn end_run(&mut self) {
        self.sink.hurry();
        self.end.get_or_insert_with(|| Instant::now() + LAST);
    }

    /// Says whether a live run has waited long enough for its end; a replay takes the time that its sinks take.
    fn is_late(&self) -> bool {
        let is_over = self.end.is_some_and(|end| Instant::now() >= end);
        self.persistence == Persistence::Forever && is_over
    }
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
