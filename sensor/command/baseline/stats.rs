//! `sensor baseline stats`: how much the ledger holds.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use crate::model::{PairKind, SegmentLine};
use crate::store::Store;
use crate::views::segment_text;

use super::super::exit::Error;
use super::budgets::{Budgets, Counting};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the ledger; a sensor may be running on it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The figures.
#[derive(Debug, serde::Serialize)]
struct Figures {
    at: Option<crate::model::Timestamp>,
    workloads: usize,
    learning: usize,
    groups: BTreeMap<String, usize>,
    segments: Vec<SegmentLine>,
    resolvers: usize,
    pairs: BTreeMap<&'static str, u64>,
    budgets: Budgets,
    journal: Journal,
    /// Octets of each table's files.
    octets: BTreeMap<&'static str, u64>,
}

#[derive(Debug, serde::Serialize)]
struct Journal {
    rows: usize,
    changes: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let store = Store::open_read_only(&arguments.state)?;
    let figures = figures(&store)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, &figures).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let pairs: u64 = figures.pairs.values().sum();
    let at = figures
        .at
        .map_or_else(|| "nothing was recorded yet".to_owned(), |at| at.to_string());
    writeln!(out, "packet time  {at}")?;
    writeln!(
        out,
        "workloads    {}, of which {} learn",
        figures.workloads, figures.learning
    )?;
    for (group, members) in &figures.groups {
        writeln!(out, "group        {}: {members}", crate::alerting::plain(group))?;
    }
    for segment in &figures.segments {
        writeln!(out, "{}", segment_text(segment, figures.at))?;
    }
    writeln!(out, "resolvers    {}", figures.resolvers)?;
    writeln!(out, "pairs        {pairs}")?;
    for (kind, count) in &figures.pairs {
        writeln!(out, "  {kind:<18} {count}")?;
    }
    figures.budgets.write(&mut out)?;
    let Journal { rows, changes } = figures.journal;
    writeln!(out, "journal      {changes} changes in {rows} rows")?;
    writeln!(out, "octets of files, without what is only in the log")?;
    for (table, octets) in &figures.octets {
        writeln!(out, "  {table:<18} {octets}")?;
    }
    Ok(())
}

fn figures(store: &Store) -> Result<Figures, Error> {
    let standing = store.standing()?;
    let extent = store.extent()?;
    let mut kinds = [0_u64; PairKind::ALL.len()];
    let (kept, present) = (store.kept()?, store.present());
    let mut budgets = Counting::new(&kept, present);
    let pairs = store.all_pairs()?;
    let mut groups = BTreeMap::new();
    let mut learning = 0;
    for (id, record) in &standing.workloads {
        let own = pairs.of(*id)?;
        budgets.take(record, &own);
        for stored in own {
            if let Some(count) = kinds.get_mut(PairKind::from(&stored.key) as usize) {
                *count += 1;
            }
        }
        if let Some(group) = &record.group {
            *groups.entry(group.to_string()).or_default() += 1;
        }
        let learns = record.learns_until > record.since && standing.at.is_none_or(|at| at < record.learns_until);
        learning += usize::from(learns);
    }
    let counted = PairKind::ALL.into_iter().zip(kinds);
    Ok(Figures {
        at: standing.at,
        workloads: standing.workloads.len(),
        learning,
        groups,
        segments: standing.state.segments.iter().map(SegmentLine::from).collect(),
        resolvers: standing.state.resolvers.len(),
        budgets: budgets.finish(&kept, &standing.workloads),
        pairs: counted.map(|(kind, count)| (kind.name(), count)).collect(),
        journal: Journal {
            rows: extent.journal_rows,
            changes: extent.journal_changes,
        },
        octets: extent.octets.into_iter().collect(),
    })
}
