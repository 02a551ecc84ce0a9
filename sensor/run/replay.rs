//! A replay: capture files through the engine, one after the other or merged by time.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::capture::{CaptureError, CaptureFile, Merged};
use crate::engine::{Decoder, Ending};
use crate::model::{Policy, Sink, SourceId, Span};
use crate::sinks::{ALERTS, RecordFiles};
use crate::store::{Beginning, Store};

use super::deliver::Persistence;
use super::error::RunError;
use super::files::FileNumbers;
use super::pipeline::{Parts, Pipeline, Tally};
use super::queue::{Fan, WhenFull};

/// How many times a replay tries a sink that does not take its alerts: about six seconds.
const TRIES: u32 = 5;
/// Frames between two looks at the progress.
const LOOK_EVERY: u64 = 1 << 14;

/// In which order the frames of several files come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOrder {
    /// One file after the other.
    AsGiven,
    /// All files as one stream, by the time of their frames.
    ByTime,
}

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
    /// How they follow each other.
    pub order: FileOrder,
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
    /// A file that is cut or damaged is replayed up to there, all others are replayed, and the first such error is
    /// returned with what was counted. Files that are merged are one source, as the interfaces of one file are: a tap
    /// that writes a file for each direction shows both.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened (nothing is judged then), when the ledger or an output fails.
    pub fn run(self, progress: impl FnMut(Progress)) -> Result<(Tally, Option<CaptureError>), RunError> {
        let mut files = Vec::new();
        for (path, number) in self.files.iter().zip(0_u16..=u16::MAX) {
            let source = match self.order {
                FileOrder::AsGiven => SourceId(number),
                FileOrder::ByTime => SourceId(0),
            };
            files.push(CaptureFile::open(path, source)?);
        }
        let is_numbered = files.len() > 1 && self.records.is_some();
        let numbers = match self.order {
            FileOrder::AsGiven if is_numbered => FileNumbers::InARow(Arc::default()),
            FileOrder::ByTime if is_numbered => FileNumbers::merged(files.iter().map(CaptureFile::name))?,
            _ => FileNumbers::One,
        };
        let own_sources = match self.order {
            FileOrder::AsGiven => u16::try_from(files.len()).unwrap_or(u16::MAX),
            FileOrder::ByTime => 1,
        };
        if let Beginning::Again(batches) = self.store.begin_run(&self.command(), ALERTS)? {
            tracing::info!(
                "this replay was killed before it ended; what it committed ({batches} batches) is gone through and not committed again"
            );
        }
        let store = Arc::clone(&self.store);
        let decoder = Decoder::new(&self.policy, self.shift, own_sources);
        let (pipeline, fan) = Pipeline::start(Parts {
            policy: self.policy,
            store: self.store,
            threads: self.threads,
            records: self.records,
            sinks: self.sinks,
            when_full: WhenFull::Wait,
            persistence: Persistence::Tries(TRIES),
            files: numbers.clone(),
        })?;
        let mut reader = Reader {
            decoder,
            fan,
            numbers,
            progress,
            frames: 0,
            damage: None,
        };
        let read = match self.order {
            FileOrder::ByTime if files.len() > 1 => reader.merged(files),
            _ => {
                reader.in_a_row(files);
                Ok(())
            }
        };
        reader.decoder.finish(Ending::Input, &mut reader.fan);
        let tally = pipeline.finish(reader.fan)?;
        read?;
        store.end_run()?;
        Ok((tally, reader.damage))
    }

    /// Returns what makes two replays the same: the program, the settings that decide something, the files with their
    /// lengths. Whether their content is the same shows by what comes of it.
    fn command(&self) -> String {
        let settings = Sha256::digest(format!("{:?}", self.policy));
        let mut text = format!("replay {}\nsettings ", env!("CARGO_PKG_VERSION"));
        let mut add = |part: std::fmt::Arguments<'_>| {
            // Nothing is written but memory.
            let _ = text.write_fmt(part);
        };
        settings.iter().for_each(|octet| add(format_args!("{octet:02x}")));
        add(format_args!("\nshift {}\norder {:?}", self.shift.0, self.order));
        for file in &self.files {
            let path = file.canonicalize().unwrap_or_else(|_| file.clone());
            let length = path.metadata().map_or(0, |metadata| metadata.len());
            add(format_args!("\nfile {length} {path:?}"));
        }
        text
    }
}

/// What takes frames from files to the pipeline.
struct Reader<P> {
    decoder: Decoder,
    fan: Fan,
    numbers: FileNumbers,
    progress: P,
    frames: u64,
    /// The first error of a file that could not be read on.
    damage: Option<CaptureError>,
}

impl<P: FnMut(Progress)> Reader<P> {
    /// Reads one file after the other.
    fn in_a_row(&mut self, files: Vec<CaptureFile>) {
        let mut octets_before = 0;
        for mut file in files {
            self.numbers.begin(self.frames, file.name());
            loop {
                match file.next() {
                    Ok(Some(frame)) => self.decoder.frame(frame, &mut self.fan),
                    Ok(None) => break,
                    Err(error) => {
                        self.damage.get_or_insert(error);
                        break;
                    }
                }
                if self.is_stopped(|| octets_before + file.octets_read()) {
                    break;
                }
            }
            octets_before += file.octets_read();
        }
    }

    /// Reads all files as one stream by time.
    ///
    /// # Errors
    ///
    /// When the frames' numbers cannot be kept; what was read before is judged.
    fn merged(&mut self, files: Vec<CaptureFile>) -> Result<(), RunError> {
        let mut files = Merged::new(files);
        loop {
            match files.next() {
                Ok(Some((frame, place))) => {
                    self.numbers.add(place)?;
                    self.decoder.frame(frame, &mut self.fan);
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.damage.get_or_insert(error);
                    continue;
                }
            }
            if self.is_stopped(|| files.octets_read()) {
                return Ok(());
            }
        }
    }

    /// Counts a frame and tells of the progress now and again; says then whether nobody takes frames any more.
    #[inline]
    fn is_stopped(&mut self, octets: impl FnOnce() -> u64) -> bool {
        self.frames += 1;
        if !self.frames.is_multiple_of(LOOK_EVERY) {
            return false;
        }
        (self.progress)(Progress {
            octets: octets(),
            frames: self.frames,
        });
        self.fan.is_broken()
    }
}
