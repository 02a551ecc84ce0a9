//! The programs' commands, one file each; `main.rs` only calls here.

mod alerts;
mod baseline;
mod check;
mod exit;
mod live;
mod log;
pub mod replay;

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// What `--version` says after the name.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A passive network sensor: it raises an alert the first time in 90 days that a workload contacts an external domain,
/// or a bare external address that no DNS answer explains.
#[derive(Debug, Parser)]
#[command(
    name = "sensor",
    version = VERSION,
    after_help = "Start with `replay --learn` on a capture of an ordinary day, or with `sensor run` on the interface \
                  that receives mirrored traffic. Exit status: 0 done, 1 something failed, 2 arguments or settings refused."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch mirrored traffic, on an interface or on UDP sockets that mirrors send to, until SIGINT or SIGTERM.
    Run(live::Arguments),
    /// Read a settings file and say what is wrong with it, if anything is.
    Check(check::Arguments),
    /// List the alerts that a ledger holds.
    Alerts(alerts::Arguments),
    /// What is known of workloads: show, export, merge, import, forget, learn.
    Baseline(baseline::Arguments),
}

/// Runs the `sensor` program.
#[must_use]
pub fn sensor() -> Exit {
    let arguments = Arguments::parse();
    log::start();
    let result = match arguments.command {
        Command::Run(arguments) => live::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Alerts(arguments) => alerts::run(&arguments),
        Command::Baseline(arguments) => baseline::run(&arguments),
    };
    exit::of(result)
}
