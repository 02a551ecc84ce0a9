//! `sensor baseline`: what is known of workloads, and the tools that change it.

mod budgets;
mod export;
mod find;
mod forget;
mod import;
#[cfg(test)]
mod laws;
mod learn;
mod merge;
mod show;
mod stats;

use super::exit::Error;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List workloads and how far they have learnt, or one workload's pairs.
    Show(show::Arguments),
    /// Say how much the ledger holds.
    Stats(stats::Arguments),
    /// Write the whole baseline as JSON Lines, in an order that depends on nothing but what it holds.
    Export(export::Arguments),
    /// Take other baselines over, so that two sensors' make one.
    Merge(merge::Arguments),
    /// Take over what logs of others say: Zeek, Suricata, AWS; and exported baselines.
    Import(import::Arguments),
    /// Forget pairs of one workload, or all that are older than a time.
    Forget(forget::Arguments),
    /// Let a workload, a group or a segment learn, or end that.
    Learn(learn::Arguments),
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Show(arguments) => show::run(arguments),
        Command::Stats(arguments) => stats::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Merge(arguments) => merge::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Forget(arguments) => forget::run(arguments),
        Command::Learn(arguments) => learn::run(arguments),
    }
}
