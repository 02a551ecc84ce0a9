//! `sensor baseline forget`: pairs that are to be new again.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::{Address, PairKey, StoredPair, Timestamp};
use crate::run;

use super::super::exit::Error;
use super::find;
use super::merge::open_existing;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        sensor baseline forget --state DIR --workload web --domain example.com   contacts with it are new again\n  \
        sensor baseline forget --state DIR --workload 10.1.0.9                   a workload that was compromised while it learnt\n  \
        sensor baseline forget --state DIR --before 2026-01-01T00:00:00Z         everything older, of every workload\n\n\
        Contacts and attempts go alike. The workload itself stays, and what it learns by.")]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["workload", "before"]))]
pub(super) struct Arguments {
    /// The folder of the ledger; no sensor may be running on it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Pairs of this workload: a name of the inventory, an address, or segment and address as in vni=42/10.1.0.5.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    workload: Option<String>,
    /// Only the pair with this domain.
    #[arg(long, value_name = "DOMAIN", requires = "workload", conflicts_with_all = ["ip", "tenant"])]
    domain: Option<String>,
    /// Only the pair with this address.
    #[arg(long, value_name = "ADDRESS", requires = "workload", conflicts_with = "tenant")]
    ip: Option<IpAddr>,
    /// Only the pair with this tenant of a shared service.
    #[arg(long, value_name = "NAME", requires = "workload")]
    tenant: Option<String>,
    /// Only pairs whose last contact was before this time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    before: Option<Timestamp>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let store = open_existing(&arguments.state)?;
    let standing = store.standing()?;
    let workloads: Vec<_> = match &arguments.workload {
        Some(name) => find::workloads(&standing, name)?,
        None => standing.workloads.iter().collect(),
    };
    let text = |text: &String| text.trim_end_matches('.').to_ascii_lowercase().into();
    let destination = (arguments.domain.as_ref().map(text).map(PairKey::Domain))
        .or_else(|| arguments.tenant.as_ref().map(text).map(PairKey::Tenant))
        .or_else(|| arguments.ip.map(Address::from).map(PairKey::Address));
    let is_forgotten = |stored: &StoredPair| {
        destination
            .as_ref()
            .is_none_or(|destination| run::is_pair_with(&stored.key, destination))
            && arguments.before.is_none_or(|before| stored.pair.last() < before)
    };
    let forgotten = run::forget(&store, workloads.into_iter().map(|(id, _)| *id), is_forgotten)?;
    let s = if forgotten == 1 { "" } else { "s" };
    eprintln!("{forgotten} pair{s} forgotten");
    Ok(())
}

/// Parses a time as records write it.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected a time such as 2026-03-02T12:00:00Z".to_owned())
}
