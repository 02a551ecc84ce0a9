//! `sensor check`: is a settings file good?

use std::io::Write;
use std::path::PathBuf;

use crate::destination::Aggregation;
use crate::run::RunError;
use crate::settings::{Mode, Settings};

use super::exit::Error;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let settings = Settings::read(&arguments.config)?;
    let policy = settings.policy(Mode::Live);
    Aggregation::new(&policy).map_err(RunError::Aggregation)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}: good; {} internal prefixes, {} workloads, {} sinks, window {} days",
        arguments.config.display(),
        policy.network.internal.len(),
        policy.workloads.len(),
        settings.sinks.len(),
        policy.baseline.window.whole_days(),
    )?;
    Ok(())
}
