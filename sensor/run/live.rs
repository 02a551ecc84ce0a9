//! A live run: an interface or sockets until a signal says stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::capture::{Live, LiveFrom};
use crate::engine::{Decoder, Ending};
use crate::model::{Counter, Policy, SourceId, Span};
use crate::store::Store;

use super::deliver::{OpenSink, Persistence};
use super::error::RunError;
use super::files::FileNumbers;
use super::pipeline::{Parts, Pipeline, Tally};
use super::queue::WhenFull;

/// What a live run is made with.
pub struct LiveRun {
    /// The settings.
    pub policy: Policy,
    /// The ledger.
    pub store: Arc<Store>,
    /// How many workers.
    pub threads: usize,
    /// Where frames come from.
    pub from: LiveFrom,
    /// Octets of the capture ring, or of the buffers of all sockets.
    pub ring: u32,
    /// Where alerts go.
    pub sinks: Vec<OpenSink>,
    /// How many lines the ledger keeps for them.
    pub kept_lines: u64,
}

impl LiveRun {
    /// Captures until SIGINT or SIGTERM; what is undecided then waits in the ledger for the next start (rule T3).
    ///
    /// `ready` is called once packets are being captured.
    ///
    /// # Errors
    ///
    /// When the interface or a socket, the ledger or an output fails.
    pub fn run(self, ready: impl FnOnce()) -> Result<Tally, RunError> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // A second signal ends the process at once.
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
                .map_err(RunError::Signals)?;
            signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(RunError::Signals)?;
        }
        let mut live = Live::open(&self.from, SourceId(0), self.ring)?;
        let mut decoder = Decoder::new(&self.policy, Span::ZERO, 1);
        let (pipeline, mut fan) = Pipeline::start(Parts {
            policy: self.policy,
            store: self.store,
            threads: self.threads,
            records: None,
            sinks: self.sinks,
            kept_lines: self.kept_lines,
            when_full: WhenFull::Drop,
            persistence: Persistence::Forever,
            files: FileNumbers::One,
        })?;
        ready();
        let mut drops = live.drops();
        let mut was_down = false;
        while !stop.load(Ordering::Acquire) && !fan.is_broken() {
            let polled = live.poll(&mut |frame| decoder.frame(frame, &mut fan))?;
            let now = live.drops();
            decoder.count(Counter::KernelDrops, now.saturating_sub(drops));
            drops = now;
            decoder.count(Counter::QueueDrops, fan.take_dropped());
            if polled.is_idle() {
                fan.flush();
                decoder.idle(live.quiet_until(), &mut fan);
            }
            if polled.is_down != was_down {
                was_down = polled.is_down;
                let state = if was_down { "down" } else { "up" };
                tracing::warn!("interface {} is {state}", self.from);
            }
            if polled.is_down {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
        decoder.finish(Ending::Run, &mut fan);
        pipeline.finish(fan)
    }
}
