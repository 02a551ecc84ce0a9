//! A replay: capture files through the engine, one after the other.

use std::path::PathBuf;
use std::sync::Arc;

use crate::capture::{CaptureError, CaptureFile};
use crate::engine::{Decoder, Ending};
use crate::model::{Policy, Sink, SourceId, Span};
use crate::sinks::RecordFiles;
use crate::store::Store;

use super::deliver::Persistence;
use super::error::RunError;
use super::files::FileNumbers;
use super::pipeline::{Parts, Pipeline, Tally};
use super::queue::WhenFull;

/// How many times a replay tries a sink that does not take its alerts: about six seconds.
const TRIES: u32 = 5;
/// Frames between two looks at the progress.
const LOOK_EVERY: u64 = 1 << 14;

/// What a replay is made with.
pub struct Replay {
    /// The settings.
    pub policy: Policy,
    /// The ledger.
    pub store: Arc<Store>,
    /// How many workers.
    pub threads: usize,
    /// The files, in order; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Moves all packet times.
    pub shift: Span,
    /// Where records go, if they are wanted.
    pub records: Option<RecordFiles>,
    /// Where alerts go.
    pub sinks: Vec<Box<dyn Sink>>,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Octets of all files read so far.
    pub octets: u64,
    /// Frames so far.
    pub frames: u64,
}

impl Replay {
    /// Replays the files; `progress` is told now and again.
    ///
    /// A file that is cut or damaged is replayed up to there, the files after it are replayed, and the first such error
    /// is returned with what was counted.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened (nothing is judged then), when the ledger or an output fails.
    pub fn run(self, mut progress: impl FnMut(Progress)) -> Result<(Tally, Option<CaptureError>), RunError> {
        let mut files = Vec::new();
        for (path, number) in self.files.iter().zip(0_u16..=u16::MAX) {
            files.push(CaptureFile::open(path, SourceId(number))?);
        }
        let numbers = FileNumbers::new(files.len());
        let own_sources = u16::try_from(files.len()).unwrap_or(u16::MAX);
        let mut decoder = Decoder::new(&self.policy, self.shift, own_sources);
        let (pipeline, mut fan) = Pipeline::start(Parts {
            policy: self.policy,
            store: self.store,
            threads: self.threads,
            records: self.records,
            sinks: self.sinks,
            when_full: WhenFull::Wait,
            persistence: Persistence::Tries(TRIES),
            files: numbers.clone(),
        })?;
        let mut damage = None;
        let mut frames = 0;
        let mut octets_before = 0;
        for mut file in files {
            numbers.begin(frames, file.name());
            loop {
                match file.next() {
                    Ok(Some(frame)) => decoder.frame(frame, &mut fan),
                    Ok(None) => break,
                    Err(error) => {
                        damage.get_or_insert(error);
                        break;
                    }
                }
                frames += 1;
                if frames % LOOK_EVERY == 0 {
                    let octets = octets_before + file.octets_read();
                    progress(Progress { octets, frames });
                    if fan.is_broken() {
                        break;
                    }
                }
            }
            octets_before += file.octets_read();
        }
        decoder.finish(Ending::Input, &mut fan);
        let tally = pipeline.finish(fan)?;
        Ok((tally, damage))
    }
}
