//! `sensor baseline import`: the baseline that logs of others tell of.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capture::open_content;
use crate::import::{BaselineFile, Faults, LogFile, LogFormat};
use crate::run::{Import, Merging, RunError};
use crate::settings::{Mode, Settings};

use super::super::exit::Error;
use super::merge::{open_to_change, tell, unread};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        sensor baseline import --state DIR --config sensor.toml conn.log.gz dns.log.gz   Zeek, tables or JSON\n  \
        sensor baseline import --state DIR eve.json                                      Suricata\n  \
        sensor baseline import --state DIR flowlogs/*.log.gz resolver/*.log.gz           AWS\n  \
        sensor baseline import --state DIR other.jsonl                                   an exported baseline\n\n\
        Give all logs of a time in one command: contacts in one file go by the names in another. A second import of the \
        same logs changes nothing. docs/baseline.md says what each format cannot tell.\n\
        Exit status: 0 done, 1 a row or a file could not be read (the rest was taken over), 2 arguments or settings refused.")]
pub(super) struct Arguments {
    /// The folder of the ledger, created if absent. No sensor may be running on it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The settings: internal prefixes, workloads, aggregates; without a file, the built-in defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address space of all rows, as records write it.
    #[arg(long, value_name = "SEGMENT", default_value = "-", allow_hyphen_values = true)]
    segment: Arc<str>,
    /// The format of all files, instead of what they begin with.
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<LogFormat>,
    /// Logs and exported baselines, as they are or compressed by gzip or zstd.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

type Content = Box<dyn BufRead + Send>;

/// A file that can be read.
enum Opened {
    Baseline(BaselineFile<Content>),
    Log(Box<LogFile<Content>>),
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let settings = match &arguments.config {
        Some(path) => Settings::read(path)?,
        None => Settings::default(),
    };
    let policy = settings.policy(Mode::Replay);
    // All of them first, so that a wrong path or format fails before anything is imported.
    let mut files = Vec::new();
    for path in &arguments.files {
        files.push((path.display().to_string(), open(path, arguments.format)?));
    }
    let mut merging = Merging::open(open_to_change(&arguments.state)?, policy.memory)?;
    let (mut import, mut faults) = (Import::default(), Faults::default());
    // A file that cannot be read on is told of at the end: what stands before is taken over.
    let mut damage = None;
    for (name, file) in files {
        let taken = match file {
            Opened::Baseline(mut file) => merging.take_file(&name, &mut file, &mut faults),
            Opened::Log(mut file) => import.take(&name, &mut file, &mut faults),
        };
        match taken {
            Err(error @ RunError::Import { .. }) => {
                damage.get_or_insert(error);
            }
            other => other?,
        }
    }
    let (ledger, tally) = import.judge(policy, Arc::clone(&arguments.segment))?;
    merging.take_ledger(&ledger)?;
    let (merged, events) = merging.finish()?;
    tell(&events);
    eprintln!(
        "{} rows, {} contacts; {} workloads and {} pairs, {} pairs new or changed",
        tally.rows,
        tally.contacts(),
        merged.workloads,
        merged.pairs,
        merged.changed
    );
    if tally.unrecorded() > 0 {
        eprintln!(
            "{} contacts were not recorded, since a budget of `[baseline]` was full",
            tally.unrecorded()
        );
    }
    let unread = unread(&faults);
    let Some(damage) = damage else { return unread };
    if let Err(error) = unread {
        eprintln!("{error}");
    }
    Err(damage.into())
}

fn open(path: &Path, format: Option<LogFormat>) -> Result<Opened, Error> {
    let name = || path.display().to_string();
    let failed = |source| Error::Run(RunError::Import { file: name(), source });
    let mut content: Content = Box::new(open_content(path).map_err(failed)?);
    let held = content.fill_buf().map_err(failed)?;
    let format = match format.or_else(|| LogFormat::of(held)) {
        Some(format) => format,
        // A log of a quiet hour.
        None if held.trim_ascii().is_empty() => LogFormat::Eve,
        None => {
            let known: Vec<&str> = LogFormat::ALL.map(LogFormat::name).into();
            return Err(Error::Argument(format!(
                "{}: it begins as no log that can be imported; --format forces one of {}",
                name(),
                known.join(", ")
            )));
        }
    };
    if format != LogFormat::Baseline {
        return Ok(Opened::Log(Box::new(LogFile::new(content, format))));
    }
    match BaselineFile::open(content) {
        Ok(file) => Ok(Opened::Baseline(file)),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Error::Argument(format!("{}: {error}", name())))
        }
        Err(source) => Err(failed(source)),
    }
}

fn parse_format(text: &str) -> Result<LogFormat, String> {
    let found = LogFormat::ALL.into_iter().find(|format| format.name() == text);
    found.ok_or_else(|| {
        let known: Vec<&str> = LogFormat::ALL.map(LogFormat::name).into();
        format!("expected one of {}", known.join(", "))
    })
}
