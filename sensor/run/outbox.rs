//! The lines in the ledger, seen by those who look after their number (rule A4).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::model::{LedgerError, SinkPosition, SinkStart};
use crate::store::Store;

use super::deliver::{CHUNK, Persistence};

/// How often a replay that waits for its sinks looks at them, whatever they say.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The lines in the ledger, and how far the sinks of this run are.
#[derive(Clone)]
pub(super) struct Outbox {
    store: Arc<Store>,
    persistence: Persistence,
    sinks: Vec<(String, Arc<AtomicU64>)>,
    /// Lines that the ledger keeps; older ones are deleted, and those that a sink had not taken are counted and reported.
    kept: u64,
    tell: Sender<()>,
    told: Receiver<()>,
}

/// How far one sink is, told by its thread. Once that ends the sink waits for no line of this run any more.
pub(super) struct Taken {
    line: Arc<AtomicU64>,
    tell: Sender<()>,
}

impl Taken {
    pub fn set(&self, line: u64) {
        self.line.store(line, Ordering::Release);
        let _ = self.tell.try_send(());
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.set(u64::MAX);
    }
}

impl Outbox {
    pub fn new(store: Arc<Store>, persistence: Persistence, kept: u64) -> Self {
        let (tell, told) = bounded(1);
        Self {
            store,
            persistence,
            sinks: Vec::new(),
            kept,
            tell,
            told,
        }
    }

    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub const fn persistence(&self) -> Persistence {
        self.persistence
    }

    /// Returns where a sink begins that the ledger does not know.
    ///
    /// A date is held against when alerts were decided. One from before the oldest line that is kept begins with that
    /// line, and that is said; it happens once, as the sink has a position from then on.
    pub fn begin(&self, sink: &str, from: SinkStart) -> Result<SinkPosition, LedgerError> {
        let SinkStart::At(from) = from else {
            return Ok(SinkPosition::at(self.store.outbox_end()));
        };
        let mut after = 0;
        let mut oldest = None;
        loop {
            let lines = self.store.outbox_after(after, CHUNK)?;
            let Some((last, _)) = lines.last() else { break };
            after = *last;
            oldest = oldest.or_else(|| lines.first().map(|(number, alert)| (*number, alert.at)));
            if let Some((first, _)) = lines.into_iter().find(|(_, alert)| alert.at >= from) {
                if let Some((oldest, at)) = oldest
                    && oldest == first
                    && oldest > 1
                {
                    tracing::warn!(
                        "{sink} begins with the oldest alert that is kept for delivery, decided at {at}, not at {from}"
                    );
                }
                return Ok(SinkPosition::at(first - 1));
            }
        }
        let end = self.store.outbox_end();
        if oldest.is_none() && end > 0 {
            tracing::warn!(
                "{sink} begins with the next alert, not with those from {from} on: none is kept for delivery"
            );
        }
        Ok(SinkPosition::at(end))
    }

    /// Adds a sink of this run.
    pub fn add(&mut self, name: &str, line: u64) -> Taken {
        let line = Arc::new(AtomicU64::new(line));
        self.sinks.push((name.to_owned(), Arc::clone(&line)));
        Taken {
            line,
            tell: self.tell.clone(),
        }
    }

    /// Deletes the oldest lines beyond those that are kept. A replay keeps what a sink has not had all its tries at, and in
    /// a temporary ledger nothing that every sink took.
    pub fn trim(&self) -> Result<(), LedgerError> {
        let awaited = self.awaited();
        let mut through = self.store.outbox_end().saturating_sub(self.kept);
        if self.persistence != Persistence::Forever {
            through = through.min(awaited);
        }
        if self.store.is_temporary() {
            through = through.max(awaited);
        }
        let mut taken = self.store.outbox_end();
        for (sink, _) in &self.sinks {
            taken = taken.min(self.store.position(sink)?.unwrap_or_default().line);
        }
        let dropped = self.store.trim_outbox(through, taken)?;
        if dropped > 0 {
            tracing::warn!("{dropped} alerts were not taken by every sink in time and are no longer kept for delivery");
        }
        Ok(())
    }

    /// Waits, in a replay, while a sink that is still tried is further behind than lines are kept.
    pub fn wait(&self) {
        if self.persistence == Persistence::Forever {
            return;
        }
        while self.store.outbox_end().saturating_sub(self.awaited()) > self.kept {
            let _ = self.told.recv_timeout(LOOK_EVERY);
        }
    }

    /// Returns the line up to which no sink of this run waits for lines.
    fn awaited(&self) -> u64 {
        let lines = self.sinks.iter().map(|(_, line)| line.load(Ordering::Acquire));
        lines.min().unwrap_or(u64::MAX)
    }
}
