//! `sensor run`: watch an interface.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::SinkUrl;
use crate::run::LiveRun;
use crate::settings::{Mode, Settings};
use crate::sinks;
use crate::store::Store;

use super::exit::Error;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The interface that receives mirrored traffic; else `[capture] interface` of the settings.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The settings; without a file, the built-in defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the ledger, created if absent.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Workers; the cores unless given. Alerts are the same for every number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let settings = match &arguments.config {
        Some(path) => Settings::read(path)?,
        None => Settings::default(),
    };
    let configured = settings.capture.interface.as_ref().map(ToString::to_string);
    let Some(interface) = arguments.interface.or(configured) else {
        return Err(Error::Argument(
            "no interface: give --interface NAME, or interface under [capture] in the settings".to_owned(),
        ));
    };
    let policy = settings.policy(Mode::Live);
    let store = Arc::new(Store::open(
        &arguments.state,
        policy.memory / 16,
        policy.baseline.retention,
    )?);
    let sinks = open_sinks(&settings.sinks)?;
    let run = LiveRun {
        threads: threads(arguments.threads),
        store,
        interface: interface.clone(),
        ring: u32::try_from(settings.capture.ring).unwrap_or(u32::MAX),
        sinks,
        policy,
    };
    let tally = run.run(|| tracing::info!("watching {interface}; stop with SIGINT or SIGTERM"))?;
    tracing::info!("stopped; counters: {}", tally.counters.to_json());
    if tally.undelivered.is_empty() {
        Ok(())
    } else {
        Err(Error::Undelivered(tally.undelivered.join("; ")))
    }
}

/// Opens the sinks of the settings.
pub(super) fn open_sinks(urls: &[SinkUrl]) -> Result<Vec<Box<dyn crate::model::Sink>>, Error> {
    urls.iter()
        .map(|url| {
            sinks::open(url).map_err(|error| match error.source.kind() {
                std::io::ErrorKind::Unsupported => Error::Argument(error.to_string()),
                _ => Error::Run(error.into()),
            })
        })
        .collect()
}

/// Returns how many workers to start.
pub(super) fn threads(given: Option<u16>) -> usize {
    match given {
        Some(given) => usize::from(given),
        None => std::thread::available_parallelism().map_or(1, usize::from).min(64),
    }
}
