//! `sensor baseline merge`: other baselines into one ledger.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::alerting::harmless;
use crate::capture::open_content;
use crate::import::{BaselineFile, Faults};
use crate::model::{Event, Policy, Span};
use crate::run::{Merging, RunError};
use crate::store::Store;

use super::super::exit::Error;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        sensor baseline merge --state here /srv/other-sensor       another sensor's folder\n  \
        sensor baseline merge --state both a.jsonl.zst b.jsonl.gz  two exports make one\n\n\
        The order of sources does not matter, nor does merging one twice.")]
pub(super) struct Arguments {
    /// The folder of the ledger that the others are merged into, created if absent. No sensor may be running on it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// State folders, beside which sensors may run, or files that `export` wrote, as they are or compressed by gzip or
    /// zstd.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<PathBuf>,
}

/// A source that can be read.
enum Source {
    Ledger(Box<Store>),
    File(String, BaselineFile<Box<dyn std::io::BufRead + Send>>),
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    // All of them first, so that a wrong path fails before anything is merged.
    let sources: Vec<Source> = arguments
        .sources
        .iter()
        .map(|path| open(path))
        .collect::<Result<_, _>>()?;
    let store = open_to_change(&arguments.state)?;
    let mut merging = Merging::open(store, Policy::default().memory)?;
    let mut faults = Faults::default();
    for source in sources {
        match source {
            Source::Ledger(from) => merging.take_ledger(&from)?,
            Source::File(name, mut file) => merging.take_file(&name, &mut file, &mut faults)?,
        }
    }
    let (merged, events) = merging.finish()?;
    tell(&events);
    eprintln!(
        "{} workloads and {} pairs read, {} pairs new or changed",
        merged.workloads, merged.pairs, merged.changed
    );
    unread(&faults)
}

fn open(path: &Path) -> Result<Source, Error> {
    if path.is_dir() {
        return Ok(Source::Ledger(Box::new(Store::open_read_only(path)?)));
    }
    let name = path.display().to_string();
    let opened = open_content(path).and_then(|content| {
        let content: Box<dyn std::io::BufRead + Send> = Box::new(content);
        BaselineFile::open(content)
    });
    match opened {
        Ok(file) => Ok(Source::File(name, file)),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Error::Argument(format!("{name}: {error}")))
        }
        Err(source) => Err(RunError::Import { file: name, source }.into()),
    }
}

/// Opens a ledger to change what it holds; one that is absent is not made.
pub(super) fn open_existing(state: &Path) -> Result<Arc<Store>, Error> {
    if !state.exists() {
        return Err(Error::Argument(format!("{}: there is no ledger", state.display())));
    }
    open_to_change(state)
}

/// Opens a ledger to change it. Nothing expires meanwhile: a tool does not know the retention of the sensor's settings.
pub(super) fn open_to_change(state: &Path) -> Result<Arc<Store>, Error> {
    Ok(Arc::new(Store::open(
        state,
        Policy::default().ledger_memory(),
        Span(i64::MAX),
    )?))
}

/// Writes events to the log.
pub(super) fn tell(events: &[Event]) {
    for event in events {
        tracing::info!(event = event.kind.name(), ts = %event.ts, "{}", event.text);
    }
}

/// Tells which rows could not be read; fails if there are any.
pub(super) fn unread(faults: &Faults) -> Result<(), Error> {
    for line in faults.lines() {
        // What is wrong with a row may quote it.
        eprintln!("{}", harmless(&line));
    }
    match faults.count() {
        0 => Ok(()),
        1 => Err(Error::Failed(
            "1 row cannot be read; the rest was taken over".to_owned(),
            None,
        )),
        count => Err(Error::Failed(
            format!("{count} rows cannot be read; the rest was taken over"),
            None,
        )),
    }
}
